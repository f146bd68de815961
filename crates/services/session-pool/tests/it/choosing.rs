use anyhow::Result;
use barid_bus::Channel;
use barid_domain::TenantId;
use barid_proto::{
    session_pool::v1::{ChooseSessionRequest, Session, pool_service_client::PoolServiceClient},
    status::reason,
};
use tonic::{Code, Status};

use crate::house::{House, session};

impl House {
    async fn choose(&self, tenant: TenantId, session: &str) -> Result<String, Status> {
        let mut pool: PoolServiceClient<Channel> = PoolServiceClient::new(self.queue.channel());
        let request = ChooseSessionRequest { tenant_id: tenant.to_string(), session_id: session.into() };
        Ok(pool.choose_session(request).await?.into_inner().session_id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_asked_for_or_the_first_that_can_send() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    let fault = |refused: Result<String, Status>| {
        let status = refused.expect_err("refused");
        (status.code(), reason(&status).unwrap_or_default())
    };
    assert_eq!(fault(house.choose(tenant, "").await), (Code::FailedPrecondition, "NO_SESSION".into()));

    let first = house.create(tenant, Session { inactive: true, ..session("1") }).await?.id;
    assert_eq!(fault(house.choose(tenant, "").await), (Code::FailedPrecondition, "NO_ACTIVE_SESSION".into()));
    assert_eq!(house.choose(tenant, &first).await?, first, "named, its messages wait for it");
    let second = house.create(tenant, session("2")).await?.id;
    let third = house.create(tenant, session("3")).await?.id;
    assert_eq!(house.choose(tenant, "").await?, second);
    assert_eq!(house.choose(tenant, &third).await?, third);
    house.database.execute(&["UPDATE session_pool.sessions SET state = 6 WHERE phone_number_id = '2'"]).await?;
    assert_eq!(house.choose(tenant, "").await?, third, "one that rests comes after one that does not");
    house.deactivate(tenant, &third).await?;
    assert_eq!(house.choose(tenant, "").await?, second, "and before one that is deactivated");

    assert_eq!(fault(house.choose(other, &second).await).0, Code::NotFound);
    assert_eq!(fault(house.choose(tenant, "ses_nonsense").await).0, Code::NotFound);
    house.delete(tenant, &second).await?;
    assert_eq!(fault(house.choose(tenant, &second).await).0, Code::NotFound);
    Ok(())
}
