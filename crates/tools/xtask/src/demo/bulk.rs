use super::cast;
use super::report::Sent;
use super::stage::{AT_ONCE, Business, Stage};
use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long nothing may change before we stop waiting for the rest.
const STANDSTILL: Duration = Duration::from_secs(90);
/// Between two looks at the history.
const PAUSE: Duration = Duration::from_millis(500);

/// Where each message stands in Barid's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub delivered: usize,
    pub read: usize,
}

/// Hands `messages` invoices over, evenly spread over the businesses. Returns what was accepted, and why the rest was not.
pub async fn send(stage: &Stage, businesses: &[Business], messages: usize, run: &str) -> Result<(Vec<Sent>, Vec<String>)> {
    let count = businesses.len();
    let shares = shares(messages, count);
    let calls = businesses.iter().zip(shares).enumerate().filter(|(_, (_, share))| *share > 0);
    let outcomes: Vec<_> = stream::iter(calls)
        .map(|(index, (business, share))| send_share(stage, business, (index, count), share, run))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (sent, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    Ok((sent.into_iter().flatten().collect(), refused.into_iter().flatten().collect()))
}

/// Splits `messages` into parts that differ by one at most.
fn shares(messages: usize, parts: usize) -> Vec<usize> {
    (0..parts).map(|part| messages / parts + usize::from(part < messages % parts)).collect()
}

async fn send_share(
    stage: &Stage,
    business: &Business,
    (index, businesses): (usize, usize),
    share: usize,
    run: &str,
) -> Result<(Vec<Sent>, Vec<String>)> {
    let place = business.role.place;
    // Nobody gets two of them.
    let customer = |item: usize| cast::customer(place, FIRST_CUSTOMER + item * businesses + index);
    let invoice = |item: usize| {
        json!({
            "recipient": customer(item),
            "template": "invoice",
            "variables": cast::invoice(place, index * 10_000 + item),
            "mediaUrl": format!("https://storage.example.com/invoices/{index}-{item}.pdf"),
        })
    };
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    for (frame, start) in (0..share).step_by(MOST_IN_A_CALL).enumerate() {
        let items = start..share.min(start + MOST_IN_A_CALL);
        let call = json!({"tenantId": business.tenant_id, "messages": items.map(invoice).collect::<Vec<_>>()});
        let outcomes = hand_over(stage, &format!("{run}-{index}-{frame}"), &call).await?;
        for outcome in &outcomes {
            let item = start + usize::try_from(outcome["index"].as_u64().unwrap_or(0)).unwrap_or(0);
            match outcome["accepted"]["id"].as_str() {
                Some(id) => sent.push(Sent::new(id.to_owned(), business, &customer(item))),
                None => refused.push(outcome["error"]["message"].as_str().unwrap_or("refused without a reason").to_owned()),
            }
        }
    }
    Ok((sent, refused))
}

/// Hands a call over until no message of it is told to try again: with the same key, what was taken stays taken.
async fn hand_over(stage: &Stage, key: &str, call: &Value) -> Result<Vec<Value>> {
    const UNAVAILABLE: u64 = 14;
    let start = Instant::now();
    loop {
        let answer = stage.api.send("/v1/messages:batchSend", key, call).await?;
        let Some(outcomes) = answer["outcomes"].as_array() else { bail!("no outcomes in {answer}") };
        let again = outcomes.iter().any(|outcome| outcome["error"]["code"].as_u64() == Some(UNAVAILABLE));
        if !again || start.elapsed() > STANDSTILL {
            return Ok(outcomes.clone());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

const MOST_IN_A_CALL: usize = 10_000;

/// The customers before are those of the scenes.
const FIRST_CUSTOMER: usize = 1_000;

/// Waits until every message is read, or nothing has changed for a long time.
pub async fn until_read(stage: &Stage, sent: &[Sent], quiet: bool) -> Result<Progress> {
    let mut waiting: HashMap<&str, HashSet<&str>> = HashMap::new();
    for message in sent {
        waiting.entry(&message.tenant_id).or_default().insert(&message.id);
    }
    let bar = bar(sent.len(), quiet);
    let (mut by_tenant, mut best, mut changed) = (HashMap::new(), Progress::default(), Instant::now());
    loop {
        let unfinished =
            waiting.iter().filter(|(tenant, ids)| by_tenant.get(*tenant).is_none_or(|progress: &Progress| progress.read < ids.len()));
        let looks: Vec<_> = stream::iter(unfinished)
            .map(|(tenant, ids)| async move { look(stage, tenant, ids).await.map(|progress| (*tenant, progress)) })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        by_tenant.extend(looks);
        let now = by_tenant
            .values()
            .fold(Progress::default(), |sum, one| Progress { delivered: sum.delivered + one.delivered, read: sum.read + one.read });
        if now != best {
            (best, changed) = (now, Instant::now());
        }
        bar.set_position(best.read as u64);
        bar.set_message(format!("{} delivered", best.delivered));
        if best.read >= sent.len() || changed.elapsed() > STANDSTILL {
            bar.finish_and_clear();
            return Ok(best);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts a tenant's own messages among the newest that were delivered or read.
async fn look(stage: &Stage, tenant: &str, ids: &HashSet<&str>) -> Result<Progress> {
    let mut progress = Progress::default();
    let mut token = String::new();
    // As many pages as the messages can fill, and one for what was sent beside.
    for _ in 0..=ids.len().div_ceil(PAGE) {
        let page_size = PAGE.to_string();
        let mut query =
            vec![("tenantId", tenant), ("pageSize", &page_size), ("states", "MESSAGE_STATE_DELIVERED"), ("states", "MESSAGE_STATE_READ")];
        if !token.is_empty() {
            query.push(("pageToken", &token));
        }
        let page = stage.api.get("/v1/messages", &query).await?;
        let found: &[Value] = page["messages"].as_array().map_or(&[], Vec::as_slice);
        for message in found.iter().filter(|message| message["id"].as_str().is_some_and(|id| ids.contains(id))) {
            progress.delivered += 1;
            progress.read += usize::from(message["state"] == "MESSAGE_STATE_READ");
        }
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() || progress.delivered == ids.len() {
            break;
        }
    }
    Ok(progress)
}

const PAGE: usize = 500;

/// How often each message is shown by its customer's phone, in the order given.
pub async fn shown(stage: &Stage, sent: &[Sent]) -> Result<Vec<usize>> {
    stream::iter(sent)
        .map(|message| async move {
            let conversation = stage.phones.conversation(&message.customer, &message.phone_number_id).await?;
            Ok(conversation.iter().filter(|shown| message.is_shown_by(shown)).count())
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

fn bar(length: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} read, {msg}, {elapsed}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style).with_message("0 delivered")
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn shares_are_even_and_complete() {
        assert_eq!(shares(2_000, 50), vec![40; 50]);
        assert_eq!(shares(7, 3), [3, 2, 2]);
        assert_eq!(shares(2, 3), [1, 1, 0]);
        assert!(shares(5, 0).is_empty());
    }
}
