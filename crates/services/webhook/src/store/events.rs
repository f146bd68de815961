//! What happens to endpoints, told like everything else.

use barid_db::{NewEvent, Tx};
use barid_domain::{EndpointId, TenantId};
use barid_proto::events::v1::{WebhookPayload, event::Payload};
use sea_orm::DbErr;

use super::{EVENTS, Reason, State, Store};

impl Store {
    pub(super) async fn tell(
        &self,
        tx: &Tx,
        (tenant, endpoint): (TenantId, EndpointId),
        kind: &'static str,
        state: State,
        reason: Option<Reason>,
    ) -> Result<(), DbErr> {
        let payload = WebhookPayload {
            state: state.name().to_owned(),
            reason: reason.filter(|_| state == State::Disabled).map_or("", Reason::name).to_owned(),
        };
        let event = NewEvent {
            id: self.ids.mint(),
            tenant,
            entity: endpoint.uuid(),
            kind,
            at: self.clock.now(),
            payload: Payload::Webhook(payload),
        };
        barid_db::append(tx, EVENTS, vec![event]).await
    }
}
