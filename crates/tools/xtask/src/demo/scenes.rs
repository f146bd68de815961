//! The parts of the demo with a text to look at. Each sends, waits until the customer has read, and looks at the phone.

use super::api::text;
use super::cast::{self, Place};
use super::phones::Shown;
use super::report::Sent;
use super::stage::{Business, Stage};
use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use serde_json::{Value, json};
use std::time::Duration;

/// How long one message may take to be read, its servers' restarts included.
const READ_LIMIT: Duration = Duration::from_secs(120);

/// The call of seed 000 as it is printed there, and the text it asks for.
const SEED_CALL: &str = include_str!("seed/invoice.json");
const SEED_TEXT: &str = include_str!("seed/invoice.ar.txt");

/// The customer of seed 000, and one who never wrote to the laundry.
const AHMED: &str = "201234567890";
const STRANGER: &str = "201234567891";

/// The invoice of seed 000 on the path of seed 000, to a customer who wrote first. Tells whether its text is the seed's.
pub async fn golden(stage: &Stage, run: &str) -> Result<(Sent, bool)> {
    let laundry = principal(stage, Place::Cairo)?;
    name_customer(stage, laundry, AHMED).await?;
    let answer = await_letter(stage, laundry, AHMED, "السلام عليكم، هل ملابسي جاهزة؟").await;
    answer.context("the customer's message did not arrive")?;
    let call = seed_call(laundry, AHMED)?;
    let sent = send(stage, laundry, AHMED, "/api/messages/send", &format!("{run}-golden"), &call).await?;
    let shown = read(stage, laundry, &sent).await?;
    let golden = shown.text == SEED_TEXT.trim_end_matches('\n') && shown.template.is_none();
    if !golden {
        eprintln!("the phone shows\n{}\nwhere the seed says\n{SEED_TEXT}", shown.text);
    }
    Ok((sent, golden))
}

/// The same invoice to a customer who never wrote: Meta allows only an approved template.
pub async fn outside_the_window(stage: &Stage, run: &str) -> Result<Sent> {
    let laundry = principal(stage, Place::Cairo)?;
    name_customer(stage, laundry, STRANGER).await?;
    let call = seed_call(laundry, STRANGER)?;
    let sent = send(stage, laundry, STRANGER, "/v1/messages:send", &format!("{run}-outside"), &call).await?;
    let shown = read(stage, laundry, &sent).await?;
    let template = shown.template.context("outside the 24-hour window free text was sent instead of Meta's template")?;
    ensure!(template.name == "invoice", "outside the window Meta's template {} was sent instead of invoice", template.name);
    ensure!(shown.text.contains("INV-2024-001"), "Meta's template shows no invoice number: {}", shown.text);
    Ok(sent)
}

/// An order told in three stages, in Portuguese, to a customer who wrote first.
pub async fn order(stage: &Stage, run: &str) -> Result<Vec<Sent>> {
    let shop = principal(stage, Place::SaoPaulo)?;
    let customer = cast::customer(Place::SaoPaulo, 1);
    await_letter(stage, shop, &customer, "Oi! Quero um açaí grande com granola.").await.context("the customer's order did not arrive")?;
    let stages = [("payment_confirmed", "Pagamento confirmado"), ("preparing", "Estamos preparando"), ("ready", "está pronto")];
    let mut all = Vec::new();
    for (rank, (template, phrase)) in stages.into_iter().enumerate() {
        let call = json!({
            "tenantId": shop.tenant_id,
            "recipient": customer,
            "template": template,
            "variables": {"customerName": "João Silva", "orderNumber": "A-1042", "totalAmount": "32.50"},
            "supersedeKey": format!("{run}-order"),
            "supersedeRank": rank + 1,
        });
        let sent = send(stage, shop, &customer, "/v1/messages:send", &format!("{run}-{template}"), &call).await?;
        let shown = read(stage, shop, &sent).await?;
        ensure!(shown.text.contains(phrase), "the stage {template} reads\n{}", shown.text);
        all.push(sent);
    }
    Ok(all)
}

/// An invoice in English, by the plain way.
pub async fn english(stage: &Stage, run: &str) -> Result<Sent> {
    let laundry = principal(stage, Place::Leeds)?;
    let customer = cast::customer(Place::Leeds, 1);
    await_letter(stage, laundry, &customer, "Hi, is my suit done?").await.context("the customer's message did not arrive")?;
    let call = json!({
        "tenantId": laundry.tenant_id,
        "recipient": customer,
        "template": "invoice",
        "variables": cast::invoice(Place::Leeds, 1),
    });
    let sent = send(stage, laundry, &customer, "/v1/messages:send", &format!("{run}-english"), &call).await?;
    let shown = read(stage, laundry, &sent).await?;
    ensure!(shown.text.contains("Dry Cleaning × 3") && shown.text.contains("£"), "the English invoice reads\n{}", shown.text);
    Ok(sent)
}

fn principal(stage: &Stage, place: Place) -> Result<&Business> {
    stage.principals.iter().find(|business| business.role.place == place).context("a business of the demo is missing")
}

/// The call of seed 000, with the tenant's id as its `laundryId`.
fn seed_call(laundry: &Business, recipient: &str) -> Result<Value> {
    let mut call: Value = serde_json::from_str(SEED_CALL).context("the seed's call is no JSON")?;
    call["laundryId"] = json!(laundry.tenant_id);
    call["recipient"] = json!(recipient);
    Ok(call)
}

async fn name_customer(stage: &Stage, laundry: &Business, customer: &str) -> Result<()> {
    let contact = json!({"tenantId": laundry.tenant_id, "names": {"ar": "أحمد محمد", "en": "Ahmed Mohamed"}});
    stage.api.put(&format!("/v1/contacts/{customer}"), &contact).await.map(drop)
}

/// Lets the customer write, and waits until Barid knows of it: then the window is open.
async fn await_letter(stage: &Stage, business: &Business, customer: &str, letter: &str) -> Result<()> {
    let last = || async {
        let query = [("tenantId", business.tenant_id.as_str())];
        match stage.api.get(&format!("/v1/contacts/{customer}"), &query).await {
            Ok(contact) => Ok(contact["lastInboundTime"].as_str().map(str::to_owned)),
            // Not a contact before the first message.
            Err(error) if error.downcast_ref::<super::api::Refusal>().is_some_and(|refusal| refusal.status == 404) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let before = last().await?;
    stage.phones.write(customer, &business.role.phone_number_id, letter).await?;
    eventually(READ_LIMIT, || async {
        let now = last().await?;
        ensure!(now.is_some() && now != before, "Barid has not heard of it");
        Ok(())
    })
    .await
}

async fn send(stage: &Stage, business: &Business, customer: &str, path: &str, key: &str, call: &Value) -> Result<Sent> {
    let message = stage.api.send(path, key, call).await?;
    Ok(Sent::new(text(&message, "id")?, business, customer))
}

/// Waits until Barid's history says that the customer has read, and returns what the phone shows.
async fn read(stage: &Stage, business: &Business, sent: &Sent) -> Result<Shown> {
    let path = format!("/v1/messages/{}", sent.id);
    eventually(READ_LIMIT, || async {
        let message = stage.api.get(&path, &[("tenantId", &business.tenant_id)]).await?;
        ensure!(message["state"] == "MESSAGE_STATE_READ", "{} is {}: {}", sent.id, message["state"], message["reasonText"]);
        Ok(())
    })
    .await?;
    let shown = stage.phones.conversation(&sent.customer, &business.role.phone_number_id).await?;
    let mine = shown.into_iter().find(|shown| sent.is_shown_by(shown));
    mine.with_context(|| format!("{} is READ but not on the phone {}", sent.id, sent.customer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_kept_as_printed() {
        let call: Value = serde_json::from_str(SEED_CALL).unwrap();
        assert_eq!(call["recipient"], AHMED);
        assert_eq!(call["variables"]["items"][1]["service"], "Pressing");
        assert!(SEED_TEXT.starts_with("مرحباً أحمد محمد 👋\n\nفاتورة مغسلة النيل الأزرق\n"));
        assert!(SEED_TEXT.ends_with("مغسلة النيل الأزرق\n📞 01234567890\n"));
        assert_eq!(SEED_TEXT.lines().count(), 15);
    }
}
