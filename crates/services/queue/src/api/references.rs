//! What replies and reactions are about: a message of the same tenant with the same customer, over the same session.

use std::collections::HashMap;

use barid_domain::TenantId;
use barid_proto::Violations;
use tonic::Status;

use super::{State, accept::Step};
use crate::{
    draft::Draft,
    store::{Found, Recipient},
    target::Target,
};

impl State {
    /// Finds what drafts refer to. A draft goes over the session of what it refers to: another one has no such conversation.
    pub(super) async fn find_targets(&self, tenant: TenantId, steps: &mut [Step<Draft>]) -> Result<HashMap<Target, Found>, Status> {
        let wanted = steps.iter().flatten().filter_map(|draft| draft.reference).map(|(target, _)| target).collect();
        let found = self.store.targets(tenant, wanted).await?;
        for step in steps {
            let Ok(draft) = step else { continue };
            let Some((target, field)) = draft.reference else { continue };
            match found.get(&target) {
                None => *step = Err(Err(Target::unknown(field))),
                Some(found) if draft.session.is_some_and(|session| session != found.session) => {
                    let says = format!("is another session than that of {field}; leave it empty");
                    *step = Err(Err(Violations::one("sessionId", "other_session", says)));
                }
                Some(found) => draft.session = Some(found.session),
            }
        }
        Ok(found)
    }
}

/// Refuses drafts whose target was exchanged with somebody else than their recipient.
pub(super) fn same_customer(steps: &mut [Step<Draft>], recipients: &[Option<Recipient>], targets: &HashMap<Target, Found>) {
    for (step, recipient) in steps.iter_mut().zip(recipients) {
        let (Ok(draft), Some(recipient)) = (&*step, recipient) else { continue };
        if let Some((target, field)) = draft.reference
            && targets.get(&target).is_none_or(|found| found.contact != recipient.contact)
        {
            *step = Err(Err(Target::unknown(field)));
        }
    }
}
