//! `barid pool status` against a gateway.

use anyhow::{Context, Result};
use barid_proto::session_pool::v1::{
    GetPoolStatusRequest, PoolStatus, Replica, SlotClass, SlotHolder, SlotWaiter,
    pool_status_service_server::{PoolStatusService, PoolStatusServiceServer},
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::{Request, Response, Status};

use crate::{
    command,
    house::{House, PATIENCE, PLATFORM_KEY},
    sessions::told,
};

struct Pool;

#[tonic::async_trait]
impl PoolStatusService for Pool {
    async fn get_pool_status(&self, _: Request<GetPoolStatusRequest>) -> Result<Response<PoolStatus>, Status> {
        let holder = SlotHolder {
            session_id: "ses_a".to_owned(),
            tenant_id: "ten_a".to_owned(),
            state: "warm".to_owned(),
            slot_class: SlotClass::HighVolume.into(),
            why: "300 messages wait".to_owned(),
            waiting: 300,
            unacknowledged: 2,
            pinned: true,
            ..SlotHolder::default()
        };
        let waiter = SlotWaiter {
            session_id: "ses_b".to_owned(),
            tenant_id: "ten_b".to_owned(),
            slot_class: SlotClass::Recent.into(),
            waiting: 1,
            why: "a slot".to_owned(),
            ..SlotWaiter::default()
        };
        let busy = Replica {
            id: "pool-1".to_owned(),
            slots: 20,
            slots_used: 20,
            owned: 140,
            logins: 3100,
            holders: vec![holder],
            waiting: vec![waiter],
            ..Replica::default()
        };
        let idle = Replica { id: "pool-2".to_owned(), slots: 20, ..Replica::default() };
        Ok(Response::new(PoolStatus { replicas: vec![busy, idle] }))
    }
}

const TABLES: &str = "\
REPLICA  HEARD  SLOTS  OWNED  IN FLIGHT  LOGINS  FAILED
pool-1       -  20/20    140          0    3100       0
pool-2       -   0/20      0          0       0       0

In the slots of pool-1, the first 1 of 20
SESSION  TENANT  STATE         CLASS        SINCE  HEARD  WAIT  UNACKED  WHY
ses_a    ten_a   warm, pinned  high volume      -      -   300        2  300 messages wait

Waiting for a slot of pool-1
SESSION  TENANT  CLASS   WAIT  OLDEST  FOR WHAT
ses_b    ten_b   recent     1       -  a slot
";

#[tokio::test]
async fn the_pool_is_told_in_tables_and_in_json() -> Result<()> {
    let house = House::start("").await?;
    let _pool = house.session_pool(|server| server.add(PoolStatusServiceServer::new(Pool))).await?;
    assert_eq!(told(&house.url, PLATFORM_KEY, &["pool", "status"]).await?.as_deref(), Ok(TABLES));
    let json: Value = serde_json::from_str(&told(&house.url, PLATFORM_KEY, &["pool", "status", "--json"]).await?.expect("JSON"))?;
    assert_eq!((&json["replicas"][0]["slotsUsed"], json["replicas"][0]["holders"][0]["waiting"].as_str()), (&20.into(), Some("300")));
    assert_eq!(json["replicas"][1]["owned"], 0, "what is zero is told, too");

    let mut watch = command(&["pool", "status", "--watch", "--json"]);
    let mut watch = watch.env("BARID_SERVER", &house.url).env("BARID_KEY", PLATFORM_KEY).stdout(std::process::Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
    for _ in 0..2 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await??.context("a line")?;
        assert_eq!(serde_json::from_str::<Value>(&line)?, json);
    }
    watch.kill().await?;
    Ok(())
}
