use super::api::{Api, Refusal, text};
use super::cast::{self, Role};
use super::environment::Environment;
use super::phones::Phones;
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Calls under way at once while businesses are set up and messages are looked up.
pub const AT_ONCE: usize = 8;

const ORGANISATION: &str = "Barid demo";

/// A Barid with the demo's businesses in it.
#[derive(Debug)]
pub struct Stage {
    pub api: Api,
    pub phones: Phones,
    pub principals: Vec<Business>,
    tenants: HashMap<String, String>,
}

/// A business that can send.
#[derive(Clone, Debug)]
pub struct Business {
    pub role: Role,
    pub tenant_id: String,
}

impl Stage {
    /// Sets the businesses up, or finds those of an earlier run, and leaves the key in `dev.env`.
    pub async fn set(home: &Path, mut environment: Environment) -> Result<Self> {
        if environment.url.is_empty() || environment.simulator_url.is_empty() {
            bail!(
                "no Barid is known here: run `cargo xtask up`, or set BARID_URL, BARID_SIMULATOR_URL and BARID_API_KEY or BARID_PLATFORM_KEY"
            );
        }
        let http = reqwest::Client::new();
        let api = enter(&http, &environment).await?;
        let tenants = api.list("/v1/tenants", &[("pageSize", "1000")], "tenants").await?;
        let tenants = tenants.iter().map(|tenant| Ok((text(tenant, "name")?, text(tenant, "id")?))).collect::<Result<_>>()?;
        let phones = Phones::new(http, &environment.simulator_url);
        let mut stage = Self { api, phones, principals: Vec::new(), tenants };
        stage.principals = stage.cast(cast::principals().into()).await?;

        environment.api_key = Some(stage.api_key().to_owned());
        environment.tenant_id = Some(stage.tenant_id().to_owned());
        // Elsewhere than in the Barid of this folder the caller knows the key already.
        if Environment::left_in(home)?.url == environment.url {
            environment.save(home)?;
        }
        Ok(stage)
    }

    pub fn api_key(&self) -> &str {
        self.api.key()
    }

    /// The laundry in Cairo.
    pub fn tenant_id(&self) -> &str {
        self.principals.first().map_or("", |business| &business.tenant_id)
    }

    pub fn tenant_name(&self) -> &str {
        self.principals.first().map_or("", |business| &business.role.name)
    }

    /// Lets the roles be played: registers tenants, numbers and templates where they are missing. In the order given.
    pub async fn cast(&self, roles: Vec<Role>) -> Result<Vec<Business>> {
        stream::iter(roles).map(|role| self.admit(role)).buffered(AT_ONCE).try_collect().await
    }

    async fn admit(&self, role: Role) -> Result<Business> {
        let tenant_id = match self.tenants.get(&role.name) {
            Some(id) => id.clone(),
            None => text(&self.api.post("/v1/tenants", &[], &json!({"tenant": role.tenant()})).await?, "id")?,
        };
        // The simulator forgets when it restarts, so it is told every time.
        let number = json!({
            "display_phone_number": role.number,
            "verified_name": role.business_name,
            "token": cast::token(&role.phone_number_id),
            "app": crate::up::APP,
            "waba_id": role.account_id,
        });
        self.phones.register(&role.phone_number_id, &number).await?;
        self.phones.approve(&cast::approved(&role.account_id)).await?;

        let sessions = self.api.list("/v1/sessions", &[("tenantId", &tenant_id)], "sessions").await?;
        if !sessions.iter().any(|session| session["cloud"]["phoneNumberId"] == role.phone_number_id.as_str()) {
            let session = json!({
                "displayName": role.name,
                "phoneNumber": role.number,
                "cloud": {
                    "phoneNumberId": role.phone_number_id,
                    "businessAccountId": role.account_id,
                    "portfolioId": role.account_id,
                    "app": crate::up::APP,
                    "accessToken": cast::token(&role.phone_number_id),
                },
            });
            self.api.post("/v1/sessions", &[("tenantId", &tenant_id)], &session).await?;
        }
        Ok(Business { role, tenant_id })
    }
}

/// Logs in with the organisation's key when it still holds; else makes the organisation and a key.
async fn enter(http: &reqwest::Client, environment: &Environment) -> Result<Api> {
    if let Some(key) = &environment.api_key {
        let api = Api::new(http.clone(), &environment.url, key);
        match api.get("/v1/tenants", &[("pageSize", "1")]).await {
            Ok(_) => return Ok(api),
            Err(error) if is_unauthorised(&error) && environment.platform_key.is_some() => {}
            Err(error) => return Err(error),
        }
    }
    let Some(platform_key) = &environment.platform_key else { bail!("set BARID_API_KEY to the key of an organisation") };
    let platform = Api::new(http.clone(), &environment.url, platform_key);
    let organisations = platform.list("/v1/organisations", &[("pageSize", "1000")], "organisations").await?;
    let known = organisations.iter().find(|organisation| organisation["name"] == ORGANISATION);
    let organisation: Value = match known {
        Some(organisation) => organisation.clone(),
        None => platform.post("/v1/organisations", &[], &json!({"name": ORGANISATION})).await?,
    };
    let request = json!({"organisationId": text(&organisation, "id")?, "displayName": "demo"});
    let key = platform.post("/v1/apiKeys", &[], &request).await.context("making the demo's key")?;
    Ok(Api::new(http.clone(), &environment.url, &text(&key, "secret")?))
}

fn is_unauthorised(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.status == reqwest::StatusCode::UNAUTHORIZED)
}
