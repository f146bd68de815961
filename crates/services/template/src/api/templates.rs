//! `TemplateService`.

use std::{collections::BTreeMap, sync::Arc};

use barid_bus::tenant;
use barid_domain::TenantId;
use barid_proto::{
    Violations,
    status::not_found,
    template::v1::{
        CreateTemplateRequest, DeleteTemplateRequest, GetTemplateRequest, ListTemplatesRequest, ListTemplatesResponse,
        PreviewTemplateRequest, PreviewTemplateResponse, Template, template_service_server::TemplateService,
    },
};
use tonic::{Request, Response, Status};

use super::{State, fill};
use crate::{
    catalog::Entry,
    consumers, convert,
    render::{Locale, Part},
    rules,
};

#[tonic::async_trait]
impl TemplateService for State {
    async fn create_template(&self, request: Request<CreateTemplateRequest>) -> Result<Response<Template>, Status> {
        let tenant = tenant(&request)?;
        let Some(template) = request.into_inner().template else {
            return Err(Violations::one("template", "required", "is required; describe the template"));
        };
        let locale = rules::check(&template, &self.engine)?;
        let created = self.store.create(tenant, Template { locale, ..template }).await?;
        self.changed(tenant, &created.name).await;
        Ok(Response::new(created))
    }

    async fn get_template(&self, request: Request<GetTemplateRequest>) -> Result<Response<Template>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let wanted = self.wanted(tenant, &request.locale).await?;
        let missing = || not_found("template", &request.name);
        let newest = &self.catalog.find(tenant, &request.name, &wanted).await?.ok_or_else(missing)?.template;
        if request.version == 0 || request.version == newest.version {
            return Ok(Response::new(newest.clone()));
        }
        let version = self.store.version(tenant, &newest.name, &newest.locale, request.version).await?;
        version.map(Response::new).ok_or_else(missing)
    }

    async fn list_templates(&self, request: Request<ListTemplatesRequest>) -> Result<Response<ListTemplatesResponse>, Status> {
        let templates = self.catalog.list(tenant(&request)?).await?;
        Ok(Response::new(ListTemplatesResponse { templates }))
    }

    async fn delete_template(&self, request: Request<DeleteTemplateRequest>) -> Result<Response<()>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let locale = parse(&request.locale)?.to_string();
        if !self.store.delete(tenant, &request.name, &locale).await? {
            return Err(not_found("template", &request.name));
        }
        self.changed(tenant, &request.name).await;
        Ok(Response::new(()))
    }

    async fn preview_template(&self, request: Request<PreviewTemplateRequest>) -> Result<Response<PreviewTemplateResponse>, Status> {
        let id = tenant(&request)?;
        let request = request.into_inner();
        let tenant = self.tenants.get(id).await?;
        let wanted = if request.locale.is_empty() { tenant.locale.clone() } else { parse(&request.locale)? };
        let stored = self.catalog.find(id, &request.name, &wanted).await?;
        let draft = !request.body.is_empty();
        let entry = match stored {
            Some(entry) if !draft => entry,
            None if !draft => return Err(not_found("template", &request.name)),
            stored => self.draft(stored, &wanted, &request.name, request.body),
        };
        let rendering = fill(&entry, &tenant, &wanted, BTreeMap::new(), convert::variables(request.variables)).map_err(|error| {
            let field = match error.field() {
                template if template != "template" => template,
                _ if draft && error.place().part == Part::Body => "body".to_owned(),
                _ => "name".to_owned(),
            };
            Violations::one(field, error.reason(), error.to_string())
        })?;
        Ok(Response::new(PreviewTemplateResponse { rendering: Some(rendering) }))
    }
}

impl State {
    /// The locale that is asked for, else the tenant's.
    async fn wanted(&self, tenant: TenantId, locale: &str) -> Result<Locale, Status> {
        if locale.is_empty() { Ok(self.tenants.get(tenant).await?.locale.clone()) } else { parse(locale) }
    }

    /// A body that is not stored, with what else the stored template has.
    fn draft(&self, stored: Option<Arc<Entry>>, wanted: &Locale, name: &str, body: String) -> Arc<Entry> {
        let blank = || Template { name: name.to_owned(), locale: wanted.to_string(), ..Template::default() };
        let template = Template { body, ..stored.map_or_else(blank, |stored| stored.template.clone()) };
        let compiled = self.engine.compile(&convert::source(&template));
        Arc::new(Entry { locale: convert::locale(&template.locale), template, compiled })
    }

    async fn changed(&self, tenant: TenantId, name: &str) {
        // Ourselves first: who is told that it is done may ask us next.
        self.catalog.forget(tenant, name).await;
        consumers::template_changed::tell(&self.bus, tenant, name).await;
    }
}

fn parse(locale: &str) -> Result<Locale, Status> {
    locale.parse().map_err(|error: crate::render::UnknownLocale| Violations::one("locale", "invalid_locale", error.to_string()))
}
