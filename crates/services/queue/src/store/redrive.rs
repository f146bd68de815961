//! Dead letters that are sent again by the thousand, a bounded commit at a time.

use std::collections::BTreeMap;

use barid_db::Tx;
use barid_domain::{MessageId, SessionId, TenantId};
use chrono::{DateTime, Utc};
use sea_orm::Value;
use uuid::Uuid;

use super::{Change, Store, apply};
use crate::{Error, state::Fact};

/// Messages in one commit.
const TURN: u32 = 500;
/// How far dead letters are counted.
const COUNTED: u32 = 100_000;

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadLetters {
    /// Without any, all but those that may have arrived.
    pub reasons: Vec<String>,
    pub session: Option<SessionId>,
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
}

impl DeadLetters {
    /// Those of a tenant after one of them, in the order of their ids; the limit is `$3`.
    fn sql(&self, tenant: TenantId, after: Uuid, limit: u32) -> (String, Vec<Value>) {
        let mut sql = "SELECT d.message_id, s.reason FROM queue.dead_letters d JOIN queue.message_state s USING (message_id)
                       JOIN queue.messages m ON m.id = d.message_id WHERE d.tenant_id = $1 AND d.message_id > $2"
            .to_owned();
        let mut values: Vec<Value> = vec![tenant.uuid().into(), after.into(), i64::from(limit).into()];
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        };
        if let Some(session) = self.session {
            add("m.session_id =", session.uuid().into());
        }
        if let Some(after) = self.after {
            add("d.at >=", after.into());
        }
        if let Some(before) = self.before {
            add("d.at <", before.into());
        }
        if self.reasons.is_empty() {
            add("s.reason <>", "outcome_unknown".into());
        } else {
            values.push(self.reasons.clone().into());
            sql.push_str(&format!(" AND s.reason = ANY(${})", values.len()));
        }
        sql.push_str(" ORDER BY d.message_id LIMIT $3");
        (sql, values)
    }
}

impl Store {
    /// Dead letters of a tenant by their reason.
    pub(crate) async fn count_dead_letters(&self, tenant: TenantId, filter: DeadLetters) -> Result<BTreeMap<String, u32>, Error> {
        let count = move |tx: Tx| async move {
            let (sql, values) = filter.sql(tenant, Uuid::nil(), COUNTED);
            let rows = tx.rows(format!("SELECT f.reason, count(*)::int FROM ({sql}) f GROUP BY f.reason"), values).await?;
            rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index::<i32>(1)?.cast_unsigned()))).collect()
        };
        self.db.tenant.transaction(tenant, count).await
    }

    /// Sends up to `most` dead letters of a tenant again, each once; says how many.
    pub(crate) async fn redrive(&self, tenant: TenantId, filter: DeadLetters, most: u32) -> Result<u32, Error> {
        let (mut redriven, mut after) = (0, Uuid::nil());
        while redriven < most {
            let (store, now) = (self.clone(), self.now());
            let (sql, values) = filter.sql(tenant, after, TURN.min(most - redriven));
            let turn = move |tx: Tx| async move {
                let rows = tx.rows(sql, values).await?;
                let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
                let changes = ids.iter().map(|id| Change::new(MessageId::from_uuid(*id), Fact::Redriven, now));
                let standings = apply::apply(&store, &tx, changes.collect()).await?;
                let changed = standings.values().filter(|standing| standing.before != standing.after).count();
                Ok::<_, Error>((u32::try_from(changed).unwrap_or(u32::MAX), ids.last().copied()))
            };
            let (changed, last) = self.db.tenant.transaction(tenant, turn).await?;
            redriven += changed;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        self.committed(false).await;
        Ok(redriven)
    }
}
