use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::TenantId;
use barid_proto::{
    status::{from_rpc_status, reason},
    template::v1::{
        CreateTemplateRequest, DeleteTemplateRequest, GetTemplateRequest, ListTemplatesRequest, MetaTemplate, PreviewTemplateRequest,
        RenderFailure, RenderItem, RenderMessagesRequest, Rendering, Template, render_outcome::Outcome,
    },
    tenant::v1::Tenant,
};
use barid_testkit::eventually;
use serde_json::json;
use tonic::{Code, Status};

use crate::{
    house::{House, laundry, nobody, on_behalf, variables},
    support,
};

const GOLDEN: &str = include_str!("../golden/ar/invoice.txt");

fn template(name: &str, locale: &str, body: &str) -> Template {
    Template { name: name.into(), locale: locale.into(), body: body.into(), ..Template::default() }
}

impl House {
    async fn create(&self, tenant: TenantId, template: Template) -> Result<Template, Status> {
        let request = CreateTemplateRequest { template: Some(template), ..Default::default() };
        Ok(self.templates().create_template(on_behalf(tenant, request)).await?.into_inner())
    }

    async fn get(&self, tenant: TenantId, name: &str, locale: &str, version: u32) -> Result<Template, Status> {
        let request = GetTemplateRequest { name: name.into(), locale: locale.into(), version, ..Default::default() };
        Ok(self.templates().get_template(on_behalf(tenant, request)).await?.into_inner())
    }

    async fn list(&self, tenant: TenantId) -> Result<Vec<(String, String, u32)>, Status> {
        let answer = self.templates().list_templates(on_behalf(tenant, ListTemplatesRequest::default())).await?;
        Ok(answer.into_inner().templates.into_iter().map(|template| (template.name, template.locale, template.version)).collect())
    }

    async fn delete(&self, tenant: TenantId, name: &str, locale: &str) -> Result<(), Status> {
        let request = DeleteTemplateRequest { name: name.into(), locale: locale.into(), ..Default::default() };
        self.templates().delete_template(on_behalf(tenant, request)).await.map(drop)
    }

    async fn preview(&self, tenant: TenantId, request: PreviewTemplateRequest) -> Result<Rendering, Status> {
        let answer = self.templates().preview_template(on_behalf(tenant, request)).await?;
        Ok(answer.into_inner().rendering.expect("a rendering"))
    }

    async fn render(&self, tenant: TenantId, items: Vec<RenderItem>) -> Result<Vec<Result<Rendering, RenderFailure>>, Status> {
        let answer = self.renderer().render_messages(RenderMessagesRequest { tenant_id: tenant.to_string(), items }).await?;
        let outcome = |outcome| match outcome {
            Some(Outcome::Rendering(rendering)) => Ok(Ok(rendering)),
            Some(Outcome::Failure(failure)) => Ok(Err(failure)),
            Some(Outcome::Error(status)) => Err(from_rpc_status(status)),
            None => panic!("an outcome"),
        };
        answer.into_inner().outcomes.into_iter().map(|item| outcome(item.outcome)).collect()
    }

    async fn text(&self, tenant: TenantId, name: &str) -> Result<String> {
        let item = RenderItem { template: name.into(), ..RenderItem::default() };
        let outcome = self.render(tenant, vec![item]).await?.remove(0);
        outcome.map(|rendering| rendering.text).map_err(|failure| anyhow::anyhow!("{failure:?}"))
    }
}

fn invoice() -> RenderItem {
    RenderItem {
        template: "invoice".into(),
        variables: variables(support::invoice()),
        contact_names: [("ar".to_owned(), "أحمد محمد".to_owned())].into(),
        ..RenderItem::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_has_its_messages_rendered() -> Result<()> {
    let house = House::start().await?;
    let tenant = house.add(laundry());
    let english = RenderItem { locale: "en-GB".into(), ..invoice() };
    let items = vec![
        invoice(),
        english,
        RenderItem { template: "invoice".into(), variables: variables(json!({"invoiceNumber": 7})), ..RenderItem::default() },
        RenderItem { template: "nonsense".into(), ..RenderItem::default() },
        RenderItem { locale: "no locale!".into(), ..invoice() },
    ];
    let outcomes = house.render(tenant, items).await?;
    let [arabic, english, missing, unknown, nowhere] = outcomes.as_slice() else { panic!("an outcome for every item") };

    let arabic = arabic.as_ref().expect("a rendering");
    assert_eq!(format!("{}\n", arabic.text), GOLDEN);
    assert_eq!((arabic.locale.as_str(), arabic.version), ("ar", 0));
    let meta = arabic.meta.as_ref().expect("a Meta template");
    assert_eq!(meta.parameters, ["أحمد محمد", "INV-2024-001", "50.00 جنيه", "15 يناير 2024"]);
    assert!(english.as_ref().expect("a rendering").text.contains("Due date: 15 January 2024"));

    let failure = |outcome: &Result<_, RenderFailure>| outcome.as_ref().expect_err("a failure").clone();
    assert_eq!(
        failure(missing),
        RenderFailure {
            field: "variables.totalAmount".into(),
            reason: "variable_missing".into(),
            description: "line 6: totalAmount is missing; give it in variables".into(),
        }
    );
    assert_eq!((failure(unknown).field.as_str(), failure(unknown).reason.as_str()), ("template", "template_not_found"));
    assert_eq!((failure(nowhere).field.as_str(), failure(nowhere).reason.as_str()), ("locale", "template_not_found"));

    let many = house.render(tenant, vec![invoice(); 500]).await?;
    assert!(many.len() == 500 && many.iter().all(|outcome| outcome.as_ref() == Ok(arabic)));

    assert_eq!(house.render(nobody(), vec![invoice()]).await.expect_err("no tenant").code(), Code::NotFound);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_tenant_is_no_matter_to_the_others_of_a_call() -> Result<()> {
    let house = House::start().await?;
    let (first, second) = (house.add(laundry()), house.add(laundry()));
    house.create(first, template("ready", "ar-EG", "جاهز")).await?;
    let item = |tenant: TenantId| RenderItem { tenant_id: tenant.to_string(), template: "ready".into(), ..RenderItem::default() };
    let items = vec![item(first), item(nobody()), RenderItem { tenant_id: second.to_string(), ..invoice() }];
    let answer = house.renderer().render_messages(RenderMessagesRequest { items, ..Default::default() }).await?.into_inner();
    let [own, unknown, other] = answer.outcomes.as_slice() else { panic!("an outcome for every item") };
    assert!(matches!(&own.outcome, Some(Outcome::Rendering(rendering)) if rendering.text == "جاهز"), "{own:?}");
    assert!(matches!(&other.outcome, Some(Outcome::Rendering(rendering)) if format!("{}\n", rendering.text) == GOLDEN), "{other:?}");
    let Some(Outcome::Error(status)) = unknown.outcome.clone() else { panic!("{unknown:?}") };
    assert_eq!(from_rpc_status(status).code(), Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_writes_versions_and_goes_back_to_the_starter() -> Result<()> {
    let house = House::start().await?;
    let (tenant, other) = (house.add(laundry()), house.add(laundry()));
    assert_eq!(house.list(tenant).await?.len(), 18);
    assert!(house.get(tenant, "ready", "", 0).await?.starter);

    let meta =
        MetaTemplate { name: "ready_v2".into(), language: "ar".into(), parameters: vec!["orderNumber".into()], document_header: false };
    let first = Template {
        meta: Some(meta),
        document_url: "{{ mediaUrl | default }}".into(),
        ..template("ready", "ar-eg", "جاهز {{ orderNumber }}")
    };
    let created = house.create(tenant, first.clone()).await?;
    assert!(created.id.starts_with("tpl_") && created.create_time.is_some() && !created.starter);
    assert_eq!((created.locale.as_str(), created.version), ("ar-EG", 1));
    let second = house.create(tenant, template("ready", "ar-EG", "Two")).await?;
    assert_eq!(second.version, 2);

    assert_eq!(house.get(tenant, "ready", "", 0).await?, second);
    assert_eq!(house.get(tenant, "ready", "ar", 1).await?, created);
    assert_eq!(house.get(tenant, "ready", "", 3).await.expect_err("no version").code(), Code::NotFound);
    assert!(house.get(tenant, "ready", "en", 0).await?.starter);
    let listed: Vec<_> = house.list(tenant).await?.into_iter().filter(|(name, ..)| name == "ready").collect();
    assert_eq!(listed, [("ready".into(), "ar-EG".into(), 2), ("ready".into(), "en".into(), 0), ("ready".into(), "pt-BR".into(), 0)]);

    assert_eq!(house.text(tenant, "ready").await?, "Two");
    assert!(house.get(other, "ready", "", 0).await?.starter, "another tenant's template");
    assert_eq!(house.delete(other, "ready", "ar-EG").await.expect_err("not theirs").code(), Code::NotFound);

    house.delete(tenant, "ready", "ar-EG").await?;
    assert!(house.get(tenant, "ready", "", 0).await?.starter);
    let error = house.delete(tenant, "ready", "ar-EG").await.expect_err("gone");
    assert_eq!((error.code(), reason(&error).as_deref()), (Code::NotFound, Some("NOT_FOUND")));
    let told = house.database.execute(&["SELECT kind FROM template.events ORDER BY seq"]).await?;
    assert_eq!(told.lines().collect::<Vec<_>>(), ["created", "created", "deleted"]);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_tried_before_it_is_stored() -> Result<()> {
    let house = House::start().await?;
    let tenant = house.add(laundry());
    let draft = |body: &str| PreviewTemplateRequest {
        name: "invoice".into(),
        body: body.into(),
        variables: variables(json!({"invoiceNumber": "A-1", "totalAmount": 5, "customerName": "أحمد"})),
        ..Default::default()
    };
    let shown = house.preview(tenant, draft("{{ contact.name }}: {{ totalAmount | money }}")).await?;
    assert_eq!(shown.text, "أحمد: 5.00 جنيه");
    assert_eq!(shown.meta.expect("the starter's Meta template").parameters, ["أحمد", "A-1", "5.00 جنيه", "-"]);
    let stored = house.preview(tenant, draft("")).await?;
    assert!(stored.text.contains("رقم الفاتورة: A-1"));
    let fresh = PreviewTemplateRequest { name: "fresh".into(), ..draft("{{ business.name }}") };
    assert_eq!(house.preview(tenant, fresh.clone()).await?.text, "مغسلة النيل الأزرق");

    let refused = |error: Status| (error.code(), error.message().to_owned());
    let missing = refused(house.preview(tenant, draft("{{ dueDate | date }}")).await.expect_err("missing"));
    assert_eq!(missing, (Code::InvalidArgument, "variables.dueDate: line 1: dueDate is missing; give it in variables".into()));
    let wrong = refused(house.preview(tenant, draft("{% set a = 1 %}")).await.expect_err("wrong"));
    assert_eq!(wrong, (Code::InvalidArgument, "body: line 1: templates have no `{% set %}`; they have if and for".into()));
    let unknown = house.preview(tenant, PreviewTemplateRequest { body: String::new(), ..fresh }).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);

    let wrong = house.create(tenant, template("Bad name", "ar", "{{ a | shout }}")).await.expect_err("wrong");
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("template.name: ") && wrong.message().contains("template.body: line 1: "), "{}", wrong.message());
    let long = house.create(tenant, template("long", "ar", &"a".repeat(4_097))).await.expect_err("too long");
    assert_eq!(long.message(), "template.body: has 4097 characters; give at most 4096");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_hears_of_changes() -> Result<()> {
    let mut house = House::start().await?;
    house.replica().await?;
    let tenant = house.add(laundry());
    house.create(tenant, template("hello", "ar", "{{ business.name }} 1")).await?;
    // Calls go to either replica; after some of them both remember.
    let always = async |house: &House, expected: &str| {
        for _ in 0..20 {
            let text = house.text(tenant, "hello").await?;
            ensure!(text == expected, "{text}");
        }
        Ok(())
    };
    always(&house, "مغسلة النيل الأزرق 1").await?;
    house.create(tenant, template("hello", "ar", "{{ business.name }} 2")).await?;
    eventually(Duration::from_secs(5), || always(&house, "مغسلة النيل الأزرق 2")).await?;
    house.change(tenant, Tenant { name: "Red Sea".into(), branding: None, ..laundry() }).await;
    eventually(Duration::from_secs(5), || always(&house, "Red Sea 2")).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_made_at_once_are_counted_one_by_one() -> Result<()> {
    let house = House::start().await?;
    let tenant = house.add(laundry());
    let create = |index: usize| house.create(tenant, template("race", "ar", &format!("{index}")));
    let mut versions: Vec<u32> =
        futures::future::try_join_all((0..20).map(create)).await?.iter().map(|template| template.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=20).collect::<Vec<_>>());
    let newest = house.get(tenant, "race", "", 0).await?;
    assert_eq!(newest.version, 20);
    house.stop().await;
    Ok(())
}
