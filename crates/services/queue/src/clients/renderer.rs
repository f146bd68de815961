//! Texts, as the template service renders them: many callers, one call.

use std::time::Duration;

use barid_bus::{Bus, Channel};
use barid_proto::{
    Violations, fault,
    status::from_rpc_status,
    template::v1::{
        RenderItem, RenderMessagesRequest, RenderOutcome, Rendering, render_outcome::Outcome,
        renderer_service_client::RendererServiceClient,
    },
};
use barid_runtime::{BatchLimits, Batcher};
use prost::Message;
use tonic::{Code, Status};

/// One message to render.
pub(crate) type RenderRequest = RenderItem;

/// With 64 KiB of variables each, so many messages stay below what the bus carries in all but absurd cases.
const LIMITS: BatchLimits = BatchLimits { items: 100, at_once: 4, apart: Duration::from_millis(2), waiting: 20_000 };
/// Bytes of a call to stay below.
const CALL_BYTES: usize = 700 * 1024;

/// Renders messages. Clone it freely.
#[derive(Clone)]
pub(crate) struct Renderer(Batcher<RenderRequest, Result<Rendering, Status>>);

impl Renderer {
    /// A renderer and its work, which ends when every clone of it is dropped.
    pub(crate) fn new(bus: &Bus) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let client = RendererServiceClient::new(bus.channel()).max_decoding_message_size(usize::MAX);
        let (batcher, driver) = Batcher::new(LIMITS, move |items| render(client.clone(), items));
        (Self(batcher), driver)
    }

    /// Renders messages, each with its own outcome, in order.
    pub(crate) async fn render(&self, items: Vec<RenderRequest>) -> Vec<Result<Rendering, Status>> {
        self.0.call(items).await.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(crate::Error::Busy.into()))).collect()
    }
}

async fn render(mut client: RendererServiceClient<Channel>, items: Vec<RenderRequest>) -> Vec<Result<Rendering, Status>> {
    let mut outcomes = Vec::with_capacity(items.len());
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let (mut call, mut bytes) = (Vec::new(), 0);
        while let Some(item) = items.peek() {
            bytes += item.encoded_len();
            if !call.is_empty() && bytes > CALL_BYTES {
                break;
            }
            call.extend(items.next());
        }
        let count = call.len();
        match client.render_messages(RenderMessagesRequest { tenant_id: String::new(), items: call }).await {
            Ok(answer) => {
                let answered = answer.into_inner().outcomes.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                outcomes.extend(answered.take(count).map(outcome));
            }
            Err(status) => outcomes.extend(std::iter::repeat_n(Err(status), count)),
        }
    }
    outcomes
}

fn outcome(answered: Option<RenderOutcome>) -> Result<Rendering, Status> {
    match answered.and_then(|answered| answered.outcome) {
        Some(Outcome::Rendering(rendering)) => Ok(rendering),
        Some(Outcome::Failure(failure)) => {
            Err(Violations::one(failure.field, "template", format!("{} [{}]", failure.description, failure.reason)))
        }
        Some(Outcome::Error(status)) => Err(from_rpc_status(status)),
        None => Err(fault(Code::Internal, "INTERNAL", "the template service gave no rendering")),
    }
}
