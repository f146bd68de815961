//! Messages that failed for good take another way, where their tenant chose one and it reaches the customer.

use std::{collections::HashSet, time::Duration};

use barid_runtime::Jobs;

use crate::{
    Error,
    channel::Channel,
    clients::Directory,
    content::Content,
    outlets::{Delivery, Outlets, Parcel},
    store::{Ended, Store, Taken},
};

pub(crate) fn start(jobs: &Jobs, store: &Store, directory: &Directory, outlets: &Outlets) {
    let (store, directory, outlets, shutdown) = (store.clone(), directory.clone(), outlets.clone(), jobs.shutdown());
    jobs.every("fallback", Duration::from_secs(1), move || {
        let (store, directory, outlets, shutdown) = (store.clone(), directory.clone(), outlets.clone(), shutdown.clone());
        async move {
            decide(&store, &directory, &outlets).await?;
            store.give_up_fallbacks().await?;
            loop {
                let taken = store.take_fallbacks().await?;
                if taken.is_empty() {
                    return Ok::<_, Error>(());
                }
                let sent = taken.iter().map(|taken| send(&store, &directory, &outlets, taken));
                // What one of them meets with ends none of the others half-way.
                futures::future::join_all(sent).await.into_iter().collect::<Result<Vec<()>, Error>>()?;
                if shutdown.is_cancelled() {
                    return Ok(());
                }
            }
        }
    });
}

/// Times that a turn looks behind those who cannot be looked up: what was decided waits to be sent meanwhile.
const PASSES: usize = 3;

async fn decide(store: &Store, directory: &Directory, outlets: &Outlets) -> Result<(), Error> {
    // Those of a tenant that cannot be looked up wait for the next time, and keep nobody else waiting.
    let mut unreachable = HashSet::new();
    for _ in 0..PASSES {
        let known = unreachable.len();
        let failed = store.undecided(&unreachable).await?;
        let mut decided = Vec::new();
        for failed in failed {
            if unreachable.contains(&failed.tenant) {
                continue;
            }
            let channel = match directory.profile(failed.tenant).await {
                Ok(profile) => {
                    let reaches = |channel| {
                        outlets.has(channel) && failed.content.as_ref().is_some_and(|content| address(content, channel).is_some())
                    };
                    profile.fallback.next(failed.channel, &failed.reason, reaches)
                }
                Err(status) if status.code() == tonic::Code::NotFound => None,
                Err(status) => {
                    if unreachable.insert(failed.tenant) {
                        tracing::warn!(tenant = %failed.tenant, %status, "fallbacks wait until their tenant can be looked up");
                    }
                    continue;
                }
            };
            decided.push((failed, channel));
        }
        if !decided.is_empty() {
            store.decide(decided).await?;
        }
        if unreachable.len() == known {
            break;
        }
    }
    Ok(())
}

async fn send(store: &Store, directory: &Directory, outlets: &Outlets, taken: &Taken) -> Result<(), Error> {
    match store.still_sending(taken).await {
        Ok(true) => {}
        Ok(false) => return store.end_fallback(taken, Ended::Failed).await,
        Err(error) => {
            // Nothing was sent yet.
            store.end_fallback(taken, Ended::Later).await?;
            return Err(error);
        }
    }
    let from = directory.profile(taken.tenant).await.map(|profile| profile.name.to_string()).unwrap_or_default();
    let content = taken.content.as_ref();
    let Some((to, text)) = content.and_then(|content| Some((address(content, taken.channel)?, text(content)))) else {
        return store.end_fallback(taken, Ended::Failed).await;
    };
    let parcel = Parcel { id: taken.message.to_string(), to, from, text };
    let (message, channel) = (taken.message, taken.channel.name());
    let ended = match outlets.send(taken.channel, parcel).await {
        Delivery::Sent { provider_id } => Ended::Sent { provider_id },
        Delivery::Later(says) => {
            tracing::warn!(%message, channel, says, "a fallback is tried again");
            Ended::Later
        }
        Delivery::Refused(says) => {
            tracing::warn!(%message, channel, says, "a fallback was refused");
            Ended::Failed
        }
        Delivery::Unknown(says) => {
            tracing::warn!(%message, channel, says, "a fallback may have arrived");
            Ended::Unknown
        }
    };
    store.end_fallback(taken, ended).await
}

/// Where a content goes on a channel; nowhere when it has nothing to read, or the customer has no such address.
fn address(content: &Content, channel: Channel) -> Option<String> {
    let address = match channel {
        Channel::Whatsapp => return None,
        Channel::Email => &content.fallback_email,
        Channel::Sms => &content.recipient,
    };
    (!address.is_empty() && !text(content).is_empty()).then(|| address.clone())
}

/// The text, and where the file is that goes with it.
fn text(content: &Content) -> String {
    if content.is_reaction {
        return String::new();
    }
    [content.text.as_str(), content.media_url.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}
