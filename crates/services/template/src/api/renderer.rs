//! `RendererService`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use barid_domain::TenantId;
use barid_proto::{
    fault, ids,
    status::to_rpc_status,
    template::v1::{
        RenderFailure, RenderItem, RenderMessagesRequest, RenderMessagesResponse, RenderOutcome, render_outcome::Outcome,
        renderer_service_server::RendererService,
    },
};
use tonic::{Code, Request, Response, Status};

use super::{State, fill};
use crate::{
    catalog::Entry,
    convert,
    render::{Locale, Tenant},
};

/// How long a tenant and its templates may be looked for: less than a caller waits.
const LOOK_UP: Duration = Duration::from_secs(2);

/// Tenant, template and locale as an item names them.
type Wanted = (String, String, String);
/// What an item is rendered with: its tenant, locale and template, or why there is none.
type Found = Result<(Arc<Tenant>, Locale, Arc<Entry>), RenderFailure>;

fn wanted(item: &RenderItem) -> Wanted {
    (item.tenant_id.clone(), item.template.clone(), item.locale.clone())
}

#[tonic::async_trait]
impl RendererService for State {
    async fn render_messages(&self, request: Request<RenderMessagesRequest>) -> Result<Response<RenderMessagesResponse>, Status> {
        let RenderMessagesRequest { tenant_id, mut items } = request.into_inner();
        for item in items.iter_mut().filter(|item| item.tenant_id.is_empty()) {
            item.tenant_id.clone_from(&tenant_id);
        }
        // A bulk of messages mostly has one tenant, template and locale.
        let mut different: HashMap<Wanted, &RenderItem> = HashMap::new();
        for item in &items {
            different.entry(wanted(item)).or_insert(item);
        }
        // At once and each with a bound of its own, so that one that hangs holds up no other tenant's.
        let found = different.into_iter().map(async |(wanted, item)| {
            let late =
                |_| Err(fault(Code::Unavailable, "TENANT_UNAVAILABLE", "the tenant's settings cannot be read at the moment; try again"));
            (wanted, tokio::time::timeout(LOOK_UP, self.find(item)).await.unwrap_or_else(late))
        });
        let found: HashMap<Wanted, Result<Found, Status>> = futures::future::join_all(found).await.into_iter().collect();
        // Hundreds of messages take tens of milliseconds of processor.
        let work = move || items.into_iter().map(|item| RenderOutcome { outcome: Some(outcome(item, &found)) }).collect();
        let outcomes = tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "rendering ended early");
            fault(Code::Internal, "INTERNAL", "something went wrong inside; the operators can see what")
        })?;
        Ok(Response::new(RenderMessagesResponse { outcomes }))
    }
}

impl State {
    async fn find(&self, item: &RenderItem) -> Result<Found, Status> {
        let id: TenantId = ids::argument("tenantId", &item.tenant_id)?;
        let tenant = self.tenants.get(id).await?;
        let wanted = if item.locale.is_empty() { Ok(tenant.locale.clone()) } else { item.locale.parse::<Locale>() };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(failure("locale", "template_not_found", error.to_string()))),
        };
        Ok(match self.catalog.find(id, &item.template, &wanted).await? {
            Some(entry) => Ok((tenant, wanted, entry)),
            None => {
                let name: String = item.template.chars().take(64).collect();
                let description = format!("there is no template `{name}` in {wanted}; create it, or name one of those that are listed");
                Err(failure("template", "template_not_found", description))
            }
        })
    }
}

fn outcome(item: RenderItem, found: &HashMap<Wanted, Result<Found, Status>>) -> Outcome {
    let (tenant, wanted, entry) = match found.get(&wanted(&item)) {
        Some(Ok(Ok(found))) => found,
        Some(Ok(Err(failure))) => return Outcome::Failure(failure.clone()),
        Some(Err(status)) => return Outcome::Error(to_rpc_status(status)),
        None => return Outcome::Failure(failure("template", "template_not_found", "there is no such template".to_owned())),
    };
    match fill(entry, tenant, wanted, item.contact_names, convert::variables(item.variables)) {
        Ok(rendering) => Outcome::Rendering(rendering),
        Err(error) => Outcome::Failure(failure(&error.field(), error.reason(), error.to_string())),
    }
}

fn failure(field: &str, reason: &str, description: String) -> RenderFailure {
    RenderFailure { field: field.to_owned(), reason: reason.to_owned(), description }
}
