//! What becomes of a message over time: accepted, sent, delivered, read, or failed; and the webhooks that tell it.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    directory::Number,
    faults::{Kind, Subject},
    graph,
    phone::{Failed, Step, Via, Wire},
    webhook::{Error, Item, What},
    world::World,
};

/// How long a `reorder_webhooks` or `delay` fault holds a webhook back, and how far a duplicate follows, when not told.
const HELD: Duration = Duration::from_secs(2);
const DUPLICATE_AFTER: Duration = Duration::from_millis(200);

/// Where a message's steps are told.
#[derive(Clone)]
pub(crate) enum Line {
    /// By webhooks of this number.
    Cloud(Arc<Number>),
    /// By receipts to the devices linked to the business's phone.
    #[cfg(feature = "web")]
    Web,
}

/// The line of a message, unless its number is gone.
pub(crate) fn line(world: &World, wire: &Wire) -> Option<Line> {
    match wire.via {
        Via::Cloud => world.directory.number(&wire.phone_number_id).map(Line::Cloud),
        #[cfg(feature = "web")]
        Via::Web { .. } => Some(Line::Web),
        #[cfg(not(feature = "web"))]
        Via::Web { .. } => None,
    }
}

/// Something the timer brings up.
pub(crate) enum Event {
    Step {
        wire: Arc<Wire>,
        line: Line,
        step: Step,
    },
    Fail {
        wire: Arc<Wire>,
        number: Arc<Number>,
        error: Error,
    },
    /// A webhook held back until now.
    Tell(Item),
    ApproveTemplate {
        id: String,
        number: Arc<Number>,
    },
    /// Something of the Web protocol that was held back until now.
    #[cfg(feature = "web")]
    Later(Box<dyn FnOnce(&World) + Send>),
}

/// Acts on what the timer brings up until the simulator stops.
pub(crate) async fn run(world: Arc<World>) {
    loop {
        let due = tokio::select! {
            () = world.shutdown.cancelled() => return,
            due = world.timer.due() => due,
        };
        for event in due {
            match event {
                Event::Step { wire, line, step } => advance(&world, wire, line, step),
                Event::Fail { wire, number, error } => fail(&world, wire, number, error),
                Event::Tell(item) => route(&world, item),
                Event::ApproveTemplate { id, number } => approve(&world, &id, number),
                #[cfg(feature = "web")]
                Event::Later(act) => act(&world),
            }
        }
        // A large burst must not starve the requests that share the worker thread.
        tokio::task::yield_now().await;
    }
}

/// Schedules a step of a message.
pub(crate) fn schedule(world: &World, wire: Arc<Wire>, line: Line, step: Step) {
    let delays = &world.config.delays;
    let delay = match step {
        Step::Sent => delays.sent,
        Step::Delivered => delays.delivered,
        Step::Read => delays.read,
    };
    world.timer.after(delay + below(delays.jitter), Event::Step { wire, line, step });
}

/// Schedules the failure of a message that was accepted.
pub(crate) fn schedule_failure(world: &World, wire: Arc<Wire>, number: Arc<Number>, error: Error) {
    let delay = world.config.delays.sent + below(world.config.delays.jitter);
    world.timer.after(delay, Event::Fail { wire, number, error });
}

fn below(limit: Duration) -> Duration {
    if limit.is_zero() { limit } else { rand::random_range(Duration::ZERO..limit) }
}

fn advance(world: &World, wire: Arc<Wire>, line: Line, step: Step) {
    let now = world.now();
    let auto_read = world.config.phones.auto_read;
    // A message that the phone no longer keeps goes its way all the same: somebody waits for its webhooks.
    let outcome = world.phones.change(&wire.wa_id, |phone| {
        if step == Step::Delivered && phone.offline {
            return None;
        }
        let reads = phone.auto_read.unwrap_or(auto_read);
        if let Some(message) = phone.message(wire.sequence) {
            let at = match step {
                Step::Sent => &mut message.sent_at,
                Step::Delivered => &mut message.delivered_at,
                Step::Read => &mut message.read_at,
            };
            if at.is_some() {
                return None;
            }
            *at = Some(now);
        }
        Some(match step {
            Step::Sent => Some(Step::Delivered),
            Step::Delivered if reads => Some(Step::Read),
            _ => None,
        })
    });
    let Some(Some(next)) = outcome else { return };
    tell_step(world, &wire, &line, step);
    if let Some(next) = next {
        schedule(world, wire, line, next);
    }
}

/// Counts a step that was taken and tells it to the business.
pub(crate) fn tell_step(world: &World, wire: &Arc<Wire>, line: &Line, step: Step) {
    let (subject, counter) = match step {
        Step::Sent => (Subject::Sent, &world.stats.sent),
        Step::Delivered => (Subject::Delivered, &world.stats.delivered),
        Step::Read => (Subject::Read, &world.stats.read),
    };
    counter.up();
    match line {
        Line::Cloud(number) => {
            let what = What::Status { wire: Arc::clone(wire), subject, at: world.now(), error: None };
            tell(world, Item { number: Arc::clone(number), what });
        }
        #[cfg(feature = "web")]
        Line::Web => crate::web::told(world, wire, step),
    }
}

fn fail(world: &World, wire: Arc<Wire>, number: Arc<Number>, error: Error) {
    let now = world.now();
    world.phones.change(&wire.wa_id, |phone| {
        if let Some(message) = phone.message(wire.sequence) {
            message.failed = Some(Failed { code: error.code, title: graph::title(error.code).into(), at: now });
        }
    });
    world.stats.failed.up();
    tell(world, Item { number, what: What::Status { wire, subject: Subject::Failed, at: now, error: Some(error) } });
}

/// Sends a webhook on its way, through the faults armed for it.
pub(crate) fn tell(world: &World, item: Item) {
    let struck = item.subject().and_then(|subject| world.faults.on_webhook(subject, &item.number.phone_number_id, item.wa_id()));
    if let Some(fault) = struck {
        match fault.kind {
            Kind::DropWebhook => return,
            Kind::DuplicateWebhook => world.timer.after(fault.delay(DUPLICATE_AFTER), Event::Tell(item.clone())),
            _ => {
                world.timer.after(fault.delay(HELD), Event::Tell(item));
                return;
            }
        }
    }
    if world.config.webhooks.reorder && rand::random_bool(0.5) {
        let delay = below(world.config.webhooks.reorder_spread);
        world.timer.after(delay, Event::Tell(item));
    } else {
        route(world, item);
    }
}

fn route(world: &World, item: Item) {
    match world.directory.app(&item.number.app) {
        None => world.stats.webhook_items_unrouted.up(),
        Some(app) => {
            if !app.push(item, world.config.webhooks.waiting_max) {
                world.stats.webhook_items_lost.up();
            }
        }
    }
}

fn approve(world: &World, id: &str, number: Arc<Number>) {
    let Some(template) = world.templates.approve(id) else { return };
    let value = json!({
        "event": "APPROVED",
        "message_template_id": template.id.parse::<u64>().unwrap_or_default(),
        "message_template_name": template.name,
        "message_template_language": template.language,
        "reason": "NONE",
    });
    tell(world, Item { number, what: What::Account { field: "message_template_status_update", value } });
}
