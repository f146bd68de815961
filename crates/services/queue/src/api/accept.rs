//! From requests to committed messages.

use barid_domain::{MessageId, SessionId, TenantId};
use barid_proto::{
    Violations,
    queue::v1::{BatchSendMessagesRequest, Message as MessageView, SendMessageRequest, SendWindow},
    template::v1::{MetaTemplateCall, Rendering},
    timestamp,
};
use barid_vault::TenantKey;
use chrono::{DateTime, SubsecRound, Utc};
use prost::Message;
use tonic::Status;

use super::{State, references};
use crate::{
    channel::Channel,
    clients::{Profile, RenderRequest},
    content::Content,
    draft::{self, Draft, Key},
    lanes::Lane,
    state::State as MessageState,
    store::{Accepted, Found, NewMessage, Recipient},
    target::Target,
};

/// Most characters of a text that goes along with media or choices.
const LONGEST_CAPTION: usize = 1024;

/// A request on its way, or what became of it.
pub(super) type Step<T> = Result<T, Result<Accepted, Status>>;

/// Requests of which some became messages, in their order.
struct Prepared {
    steps: Vec<Step<Draft>>,
    messages: Vec<(NewMessage, Content)>,
}

impl State {
    /// Accepts messages of a tenant, each with its own outcome, in order.
    pub(super) async fn accept(&self, tenant: TenantId, lane: Lane, requests: Vec<SendMessageRequest>) -> Vec<Result<Accepted, Status>> {
        let count = requests.len();
        let Prepared { steps, messages } = match self.prepare(tenant, lane, requests).await {
            Ok(prepared) => prepared,
            Err(status) => return vec![Err(status); count],
        };
        let messages = messages.into_iter().map(|(message, _)| message).collect();
        let mut committed = self.committer.accept(messages).await.into_iter();
        let outcomes = steps.into_iter().map(|step| match step {
            Ok(_) => committed
                .next()
                .map_or_else(|| Err(Status::internal("a message was not committed")), |outcome| outcome.map_err(Status::from)),
            Err(outcome) => outcome,
        });
        outcomes.collect()
    }

    /// Accepts a message of a tenant, and gives it back as it stands, without its history.
    pub(super) async fn accept_one(&self, tenant: TenantId, lane: Lane, request: SendMessageRequest) -> Result<MessageView, Status> {
        let Prepared { mut steps, mut messages } = self.prepare(tenant, lane, vec![request]).await?;
        let (accepted, sent) = match (steps.pop(), messages.pop()) {
            (Some(Err(outcome)), _) => (outcome?, None),
            (_, Some((message, content))) => {
                let sent = message.job.is_none().then(|| view(&message, content));
                let outcome = self.committer.accept(vec![message]).await.pop().unwrap_or(Err(crate::Error::Busy));
                (outcome?, sent)
            }
            _ => return Err(Status::internal("a message was not committed")),
        };
        // What has just begun to wait is as it was handed over; of everything else the ledger knows more.
        if let (Some(sent), Some(contact), MessageState::Queued) = (sent, accepted.contact, accepted.state) {
            return Ok(MessageView { contact_id: contact.to_string(), ..sent });
        }
        let mut message = self.store.message(tenant, accepted.id).await?;
        message.history.clear();
        Ok(message)
    }

    /// Finds session, contact and text for each request, and seals it.
    async fn prepare(&self, tenant: TenantId, lane: Lane, requests: Vec<SendMessageRequest>) -> Result<Prepared, Status> {
        let profile = self.directory.profile(tenant).await?;
        let keys: Vec<Option<Key>> = requests.iter().map(|request| draft::key(request, profile.terms.country)).collect();
        let now = self.store.now();
        let steps = requests.into_iter().map(|request| draft::check(request, profile.terms, lane, now).map_err(Err));
        let mut steps: Vec<Step<Draft>> = steps.collect();
        let messages = self.messages(tenant, profile, &keys, &mut steps).await?;
        self.recall(tenant, &keys, &mut steps).await?;
        Ok(Prepared { steps, messages })
    }

    /// A repetition is answered with what is known, even where it would be refused today: its schedule time has passed, its template is gone.
    /// The commit knows the keys of what is not refused.
    async fn recall<T>(&self, tenant: TenantId, keys: &[Option<Key>], steps: &mut [Step<T>]) -> Result<(), Status> {
        let refused = steps.iter_mut().zip(keys).filter(|(step, _)| matches!(step, Err(Err(_))));
        let (refused, keys): (Vec<_>, Vec<_>) = refused.filter_map(|(step, key)| Some((step, key.clone()?))).unzip();
        for (step, known) in refused.into_iter().zip(self.store.known_keys(tenant, keys).await?) {
            if let Some(outcome) = known {
                *step = Err(outcome.map_err(Status::from));
            }
        }
        Ok(())
    }

    async fn messages(
        &self,
        tenant: TenantId,
        profile: Profile,
        keys: &[Option<Key>],
        steps: &mut [Step<Draft>],
    ) -> Result<Vec<(NewMessage, Content)>, Status> {
        let targets = self.find_targets(tenant, steps).await?;
        let sessions = self.choose_sessions(tenant, steps).await;
        let phones = steps.iter().flatten().map(|draft| draft.recipient.clone()).collect();
        let mut recipients = self.address_book.recipients(tenant, phones).await?.into_iter();
        let recipients: Vec<Option<Recipient>> = steps.iter().map(|step| step.as_ref().ok().and_then(|_| recipients.next())).collect();
        references::same_customer(steps, &recipients, &targets);
        let renderings = self.render(tenant, steps, &recipients).await;

        let vault_key = self.store.vault().tenant(tenant.uuid()).await.map_err(crate::Error::from)?;
        let mut messages = Vec::new();
        for ((((step, key), recipient), rendering), session) in steps.iter_mut().zip(keys).zip(recipients).zip(renderings).zip(sessions) {
            if let (Ok(draft), Some(recipient), Some(session)) = (&*step, recipient, session) {
                let target = draft.reference.and_then(|(target, _)| targets.get(&target).map(|found| (target, found)));
                match self.message(tenant, &profile, draft, key.clone(), recipient, rendering, session, target, &vault_key) {
                    Ok(message) => messages.push(message),
                    Err(status) => *step = Err(Err(status)),
                }
            }
        }
        Ok(messages)
    }

    async fn choose_sessions(&self, tenant: TenantId, steps: &mut [Step<Draft>]) -> Vec<Option<SessionId>> {
        let mut chosen = Vec::with_capacity(steps.len());
        for step in steps {
            let Ok(draft) = step else {
                chosen.push(None);
                continue;
            };
            match self.sessions.choose(tenant, draft.session).await {
                Ok(session) => chosen.push(Some(session)),
                Err(status) => {
                    *step = Err(Err(status));
                    chosen.push(None);
                }
            }
        }
        chosen
    }

    async fn render(&self, tenant: TenantId, steps: &mut [Step<Draft>], recipients: &[Option<Recipient>]) -> Vec<Option<Rendering>> {
        let mut items = Vec::new();
        for (step, recipient) in steps.iter().zip(recipients) {
            if let (Ok(draft), Some(recipient)) = (step, recipient)
                && !draft.request.template.is_empty()
            {
                items.push(RenderRequest {
                    tenant_id: tenant.to_string(),
                    template: draft.request.template.clone(),
                    locale: draft.request.locale.clone(),
                    variables: draft.request.variables.clone(),
                    contact_names: recipient.names.clone(),
                });
            }
        }
        let mut rendered = self.renderer.render(items).await.into_iter();
        let mut renderings = Vec::with_capacity(steps.len());
        for step in steps {
            let wanted = step.as_ref().is_ok_and(|draft| !draft.request.template.is_empty());
            renderings.push(match wanted.then(|| rendered.next()).flatten() {
                Some(Ok(rendering)) => Some(rendering),
                Some(Err(status)) => {
                    *step = Err(Err(status));
                    None
                }
                None => None,
            });
        }
        renderings
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a message is made of, once")]
    fn message(
        &self,
        tenant: TenantId,
        profile: &Profile,
        draft: &Draft,
        key: Option<Key>,
        recipient: Recipient,
        rendering: Option<Rendering>,
        session: SessionId,
        target: Option<(Target, &Found)>,
        vault_key: &TenantKey,
    ) -> Result<(NewMessage, Content), Status> {
        let (id, now): (MessageId, _) = (self.store.mint(), self.store.now());
        let request = &draft.request;
        let mut content = Content {
            recipient: draft.recipient.to_string(),
            text: request.text.clone(),
            meta: None,
            media_url: request.media_url.clone(),
            media_kind: draft.media_kind.into(),
            media_filename: request.media_filename.clone(),
            variables: request.variables.as_ref().map(Message::encode_to_vec).unwrap_or_default(),
            choices: request.choices.clone(),
            location: request.location.clone(),
            contact_card: draft.contact_card.clone(),
            reaction: request.reaction.as_ref().map(|reaction| reaction.emoji.clone()).unwrap_or_default(),
            is_reaction: request.reaction.is_some(),
            target: target.map(|(target, _)| target.to_string()).unwrap_or_default(),
            target_text: target.map(|(_, found)| found.text.clone()).unwrap_or_default(),
            fallback_email: request.fallback_email.clone(),
        };
        let (mut version, mut locale) = (0, request.locale.clone());
        if let Some(rendering) = rendering {
            content.text = rendering.text;
            if content.media_url.is_empty() {
                content.media_url = rendering.document_url;
            }
            content.meta = rendering.meta.map(|meta| fitting(meta, !content.media_url.is_empty()));
            (version, locale) = (rendering.version, rendering.locale);
        }
        fits(&content, if request.template.is_empty() { "text" } else { "template" })?;
        let message = NewMessage {
            id,
            event: self.store.mint(),
            tenant,
            session,
            recipient,
            lane: draft.lane,
            template: request.template.clone(),
            template_version: version,
            locale,
            client_reference: request.client_reference.clone(),
            supersede: (!request.supersede_key.is_empty()).then(|| (request.supersede_key.clone(), request.supersede_rank)),
            content: content.seal(vault_key, tenant, id.uuid()),
            created_at: now,
            asked: draft.asked,
            window: draft.window,
            plan: draft.plan,
            job: draft.job,
            held: false,
            expires_at: draft.expires_at,
            key,
            day: profile.day(now),
            quota: profile.daily_quota,
        };
        Ok((message, content))
    }

    /// Judges each item of a batch by its own limits, and gives it what the call says for all: its key, window and job.
    pub(super) fn items(&self, tenant: TenantId, call: BatchSendMessagesRequest) -> Vec<Result<SendMessageRequest, Status>> {
        let BatchSendMessagesRequest { messages, idempotency_key: key, offset, window, job_id, .. } = call;
        let checked = messages.into_iter().zip(offset..).map(|(mut message, index)| {
            self.guard.check_item(&self.item, &message)?;
            if !message.tenant_id.is_empty() && message.tenant_id != tenant.to_string() {
                let says = "names another tenant than the call; leave it empty or make one call per tenant";
                return Err(Violations::one("tenantId", "other_tenant", says));
            }
            if message.idempotency_key.is_empty() && !key.is_empty() {
                message.idempotency_key = format!("{key}/{index}");
            }
            if message.window.is_none() {
                message.window.clone_from(&window);
            }
            if message.job_id.is_empty() {
                message.job_id.clone_from(&job_id);
            }
            Ok(message)
        });
        checked.collect()
    }
}

/// A message that was accepted and waits for its session, as the API shows it. Its contact is known when it is committed.
fn view(message: &NewMessage, content: Content) -> MessageView {
    // The ledger keeps microseconds.
    let time = |time: DateTime<Utc>| Some(timestamp(time.trunc_subsecs(6)));
    MessageView {
        id: message.id.to_string(),
        tenant_id: message.tenant.to_string(),
        session_id: message.session.to_string(),
        recipient: content.recipient,
        state: MessageState::Queued as i32,
        lane: message.lane as i32,
        template: message.template.clone(),
        template_version: message.template_version,
        locale: message.locale.clone(),
        text: content.text,
        media_url: content.media_url,
        client_reference: message.client_reference.clone(),
        create_time: time(message.created_at),
        due_time: time(message.asked),
        expire_time: time(message.expires_at),
        window: message.window.map(|window| {
            let (start, end) = window.texts();
            SendWindow { start, end }
        }),
        channel: Channel::Whatsapp as i32,
        ..MessageView::default()
    }
}

/// Whether the text fits beside what goes along with it. `field` is where the text came from.
fn fits(content: &Content, field: &str) -> Result<(), Status> {
    let length = content.text.chars().count();
    let beside = match (content.choices.is_some(), !content.media_url.is_empty()) {
        (true, true) => {
            let says = "brings a document along, which cannot stand beside choices; send the two as messages of their own";
            return Err(Violations::one(field, "ambiguous", says));
        }
        (true, false) => "choices",
        (false, true) => "media",
        (false, false) => return Ok(()),
    };
    if length > LONGEST_CAPTION {
        let says = format!(
            "has {length} characters beside {beside}; WhatsApp takes at most {LONGEST_CAPTION}: shorten it, or send it without {beside}"
        );
        return Err(Violations::one(field, "too_long", says));
    }
    Ok(())
}

/// Meta's template with its document header only where there is a document.
fn fitting(meta: MetaTemplateCall, has_document: bool) -> MetaTemplateCall {
    MetaTemplateCall { document_header: meta.document_header && has_document, ..meta }
}
