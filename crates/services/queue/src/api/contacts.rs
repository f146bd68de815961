//! `ContactService`.

use barid_bus::tenant;
use barid_domain::{Phone, TenantId};
use barid_proto::{
    Violations,
    queue::v1::{
        Alias, AliasKind, Contact, GetContactRequest, ListContactsRequest, ListContactsResponse, UpsertContactRequest,
        contact_service_server::ContactService,
    },
    status::not_found,
    timestamp,
};
use tonic::{Request, Response, Status};

use super::{State, page_size, page_start};
use crate::store::ContactRow;

#[tonic::async_trait]
impl ContactService for State {
    async fn upsert_contact(&self, request: Request<UpsertContactRequest>) -> Result<Response<Contact>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let phone = self.phone(tenant, "phone", &request.phone).await?;
        if let Some(wrong) = request.names.keys().find(|language| !is_language(language)) {
            let says = format!("`{wrong}` is no language; give names by codes such as `ar` or `pt-BR`");
            return Err(Violations::one("names", "invalid_language", says));
        }
        let contact = self.store.upsert_contact(tenant, phone, request.names).await?;
        Ok(Response::new(to_proto(tenant, contact)))
    }

    async fn get_contact(&self, request: Request<GetContactRequest>) -> Result<Response<Contact>, Status> {
        let tenant = tenant(&request)?;
        let phone = self.phone(tenant, "phone", &request.get_ref().phone).await?;
        let contact = self.store.contact(tenant, phone).await?.ok_or_else(|| not_found("contact", &request.get_ref().phone))?;
        Ok(Response::new(to_proto(tenant, contact)))
    }

    async fn list_contacts(&self, request: Request<ListContactsRequest>) -> Result<Response<ListContactsResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let size = page_size(request.page_size, 100);
        let mut rows = self.store.contacts(tenant, page_start(&request.page_token)?, size + 1).await?;
        let more = rows.len() as u64 > size;
        rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let next_page_token = rows.last().filter(|_| more).map(|row| row.id.to_string()).unwrap_or_default();
        let contacts = rows.into_iter().map(|row| to_proto(tenant, row)).collect();
        Ok(Response::new(ListContactsResponse { contacts, next_page_token }))
    }
}

impl State {
    /// The number that a field of a tenant's call gives.
    pub(super) async fn phone(&self, tenant: TenantId, field: &str, text: &str) -> Result<Phone, Status> {
        let profile = self.directory.profile(tenant).await?;
        Phone::parse(text, profile.terms.country).map_err(|error| Violations::one(field, "invalid_phone_number", error.to_string()))
    }
}

fn is_language(text: &str) -> bool {
    (2..=35).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn to_proto(tenant: TenantId, row: ContactRow) -> Contact {
    // Of several the one learnt last: people change their number and keep their account. Aliases come in the order of learning.
    let phone = row.aliases.iter().rfind(|(kind, ..)| *kind == AliasKind::Phone).map(|(_, value, _)| value.clone()).unwrap_or_default();
    let aliases = row.aliases.into_iter().map(|(kind, value, at)| Alias { kind: kind.into(), value, learn_time: Some(timestamp(at)) });
    Contact {
        id: row.id.to_string(),
        tenant_id: tenant.to_string(),
        phone,
        names: row.names,
        aliases: aliases.collect(),
        last_inbound_time: row.last_inbound_at.map(timestamp),
        create_time: Some(timestamp(row.created_at)),
    }
}
