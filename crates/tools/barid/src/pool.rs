//! `barid pool`.

use std::{fmt::Write, time::Duration};

use anyhow::Result;
use barid_domain::{Clock, SystemClock};
use barid_proto::session_pool::v1::{
    GetPoolStatusRequest, PoolStatus, Replica, SlotClass, pool_status_service_client::PoolStatusServiceClient,
};
use chrono::{DateTime, Utc};

use crate::{
    cli::Pool,
    client::{Connection, explain},
    output::{Screen, Table, age, json, name, plain, say},
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn run(command: Pool) -> Result<()> {
    let Pool::Status { json: as_json, watch, server } = command;
    let mut service = PoolStatusServiceClient::new(server.connect().await?.connection);
    if !watch {
        return say(&told(&mut service, as_json).await?);
    }
    let mut screen = Screen::new();
    let mut clock = tokio::time::interval(EVERY);
    let looks = async {
        loop {
            clock.tick().await;
            let text = told(&mut service, as_json).await?;
            if as_json { say(&text)? } else { screen.draw(&text)? }
        }
    };
    tokio::select! {
        ended = looks => ended,
        signal = barid_runtime::shutdown_signal() => Ok(signal?),
    }
}

async fn told(service: &mut PoolStatusServiceClient<Connection>, as_json: bool) -> Result<String> {
    let status = service.get_pool_status(GetPoolStatusRequest {}).await.map_err(|status| explain(&status))?.into_inner();
    if as_json { json("barid.session_pool.v1.PoolStatus", &status) } else { Ok(described(&status, SystemClock.now())) }
}

fn described(status: &PoolStatus, now: DateTime<Utc>) -> String {
    if status.replicas.is_empty() {
        return "No replica of session-pool has been heard of.".to_owned();
    }
    let mut table = Table::new(["REPLICA", ">HEARD", ">SLOTS", ">OWNED", ">IN FLIGHT", ">LOGINS", ">FAILED"]);
    for replica in &status.replicas {
        table.row([
            replica.id.clone(),
            age(replica.heartbeat_time.as_ref(), now),
            format!("{}/{}", replica.slots_used, replica.slots),
            replica.owned.to_string(),
            replica.in_flight.to_string(),
            replica.logins.to_string(),
            replica.failed_logins.to_string(),
        ]);
    }
    let mut text = table.to_string();
    for replica in &status.replicas {
        for part in [holders(replica, now), waiters(replica, now)].into_iter().flatten() {
            let _ = write!(text, "\n\n{part}");
        }
    }
    text
}

/// Who is in the slots of a replica, and why.
fn holders(replica: &Replica, now: DateTime<Utc>) -> Option<String> {
    let mut table = Table::new(["SESSION", "TENANT", "STATE", "CLASS", ">SINCE", ">HEARD", ">WAIT", ">UNACKED", "WHY"]);
    for holder in &replica.holders {
        table.row([
            holder.session_id.clone(),
            holder.tenant_id.clone(),
            if holder.pinned { format!("{}, pinned", holder.state) } else { holder.state.clone() },
            class(holder.slot_class()),
            age(holder.since.as_ref(), now),
            age(holder.last_heard_time.as_ref(), now),
            holder.waiting.to_string(),
            holder.unacknowledged.to_string(),
            holder.why.clone(),
        ]);
    }
    let shown = replica.holders.len();
    let title = format!("In the slots of {}{}", plain(&replica.id), more(shown, replica.slots_used as usize));
    (shown > 0).then(|| format!("{title}\n{table}"))
}

/// Who waits for a slot of a replica, and for what.
fn waiters(replica: &Replica, now: DateTime<Utc>) -> Option<String> {
    let mut table = Table::new(["SESSION", "TENANT", "CLASS", ">WAIT", ">OLDEST", "FOR WHAT"]);
    for waiter in &replica.waiting {
        table.row([
            waiter.session_id.clone(),
            waiter.tenant_id.clone(),
            class(waiter.slot_class()),
            waiter.waiting.to_string(),
            age(waiter.oldest_due_time.as_ref(), now),
            waiter.why.clone(),
        ]);
    }
    let title = format!("Waiting for a slot of {}", plain(&replica.id));
    (!replica.waiting.is_empty()).then(|| format!("{title}\n{table}"))
}

fn more(shown: usize, all: usize) -> String {
    if all > shown { format!(", the first {shown} of {all}") } else { String::new() }
}

fn class(class: SlotClass) -> String {
    name(class.as_str_name(), "SLOT_CLASS_")
}
