//! Texts, as the template service renders them.

use barid_bus::{Bus, Channel};
use barid_domain::TenantId;
use barid_proto::{
    Violations, fault,
    template::v1::{RenderItem, RenderMessagesRequest, Rendering, render_outcome::Outcome, renderer_service_client::RendererServiceClient},
};
use tonic::{Code, Status};

/// One message to render.
pub(crate) type RenderRequest = RenderItem;

/// Messages in one call: with 64 KiB of variables each they stay below what the bus carries in all but absurd cases.
const CHUNK: usize = 100;
/// Bytes of a call to stay below.
const CHUNK_BYTES: usize = 700 * 1024;

/// Renders messages.
#[derive(Clone)]
pub(crate) struct Renderer(RendererServiceClient<Channel>);

impl Renderer {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self(RendererServiceClient::new(bus.channel()).max_decoding_message_size(usize::MAX))
    }

    /// Renders messages of a tenant, each with its own outcome, in order.
    pub(crate) async fn render(&self, tenant: TenantId, items: Vec<RenderRequest>) -> Vec<Result<Rendering, Status>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            while let Some(item) = items.peek() {
                bytes += prost::Message::encoded_len(item);
                if !chunk.is_empty() && (chunk.len() == CHUNK || bytes > CHUNK_BYTES) {
                    break;
                }
                chunk.extend(items.next());
            }
            let count = chunk.len();
            let request = RenderMessagesRequest { tenant_id: tenant.to_string(), items: chunk };
            match self.0.clone().render_messages(request).await {
                Ok(answer) => {
                    let answer = answer.into_inner().outcomes;
                    let missing = count.saturating_sub(answer.len());
                    outcomes.extend(answer.into_iter().take(count).map(|outcome| match outcome.outcome {
                        Some(Outcome::Rendering(rendering)) => Ok(rendering),
                        Some(Outcome::Failure(failure)) => {
                            Err(Violations::one(failure.field, "template", format!("{} [{}]", failure.description, failure.reason)))
                        }
                        None => Err(incomplete()),
                    }));
                    outcomes.extend(std::iter::repeat_with(|| Err(incomplete())).take(missing));
                }
                Err(status) => outcomes.extend(std::iter::repeat_n(Err(status), count)),
            }
        }
        outcomes
    }
}

fn incomplete() -> Status {
    fault(Code::Internal, "INTERNAL", "the template service gave no rendering")
}
