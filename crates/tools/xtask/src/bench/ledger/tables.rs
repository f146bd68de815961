//! What PostgreSQL counts of the use of each table, and what of it is too much. Pure.

use super::super::figures::tenth;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of each table of the ledger with all its partitions: rows, rows read sequentially, rows that an index led to, blocks of it and its indexes.
pub const QUERY: &str = "
    SELECT regexp_replace(t.relname, '_(before|rest|[0-9]{8})$', ''), sum(greatest(c.reltuples, 0))::bigint, sum(t.seq_tup_read),
        sum(coalesce(t.idx_tup_fetch, 0)), sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)
        + coalesce(toast_blks_read + toast_blks_hit + tidx_blks_read + tidx_blks_hit, 0))
    FROM pg_stat_user_tables t JOIN pg_statio_user_tables USING (relid) JOIN pg_class c ON c.oid = relid
    WHERE t.schemaname = 'queue' GROUP BY 1";

/// From so many rows on nothing may read a table from its beginning to its end.
const GROWN: u64 = 10_000;
/// By how much what is read may grow: trees are a level or two higher, and there are more of them, one for each day.
const MOST_BLOCKS: f64 = 2.5;
const MOST_ROWS: f64 = 1.5;
/// What is little anyway: readings vary by as much.
const FEW_BLOCKS: f64 = 10.0;
const FEW_ROWS: f64 = 3.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    rows: u64,
    sequential: u64,
    by_index: u64,
    blocks: u64,
}

pub type Counts = BTreeMap<String, Count>;

/// Reads the answer to [`QUERY`].
pub fn read(answer: &str) -> Result<Counts> {
    let line = |line: &str| -> Result<(String, Count)> {
        let (table, numbers) = line.split_once('|').context("a line begins with a table")?;
        let numbers: Vec<u64> =
            numbers.split('|').map(str::parse).collect::<Result<_, _>>().with_context(|| format!("not counts: {line}"))?;
        let &[rows, sequential, by_index, blocks] = numbers.as_slice() else { anyhow::bail!("not four counts: {line}") };
        Ok((table.to_owned(), Count { rows, sequential, by_index, blocks }))
    };
    answer.lines().map(line).collect()
}

/// What was read of a table for one message or question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Read {
    /// Rows of the table itself.
    #[serde(skip)]
    size: u64,
    /// Rows that were looked at.
    pub rows: f64,
    /// Of these, in a reading of the whole table or partition.
    pub sequential_rows: f64,
    /// Blocks of 8 KiB, from memory or from the disk.
    pub blocks: f64,
}

impl std::ops::Add for Read {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            size: self.size + other.size,
            rows: tenth(self.rows + other.rows),
            sequential_rows: tenth(self.sequential_rows + other.sequential_rows),
            blocks: tenth(self.blocks + other.blocks),
        }
    }
}

/// How tables were used for a while.
pub struct Use {
    tables: Counts,
    times: usize,
    took: Duration,
}

impl Use {
    /// Between two readings, for so many messages or questions.
    pub fn between(before: &Counts, after: &Counts, times: usize, took: Duration) -> Self {
        let grown = |(table, after): (&String, &Count)| {
            let before = before.get(table).copied().unwrap_or_default();
            let count = Count {
                rows: after.rows,
                sequential: after.sequential.saturating_sub(before.sequential),
                by_index: after.by_index.saturating_sub(before.by_index),
                blocks: after.blocks.saturating_sub(before.blocks),
            };
            (table.clone(), count)
        };
        Self { tables: after.iter().map(grown).collect(), times, took }
    }

    pub fn blocks_per_second(&self) -> f64 {
        self.tables.values().map(|count| count.blocks as f64).sum::<f64>() / self.took.as_secs_f64()
    }

    /// For each of the messages or questions, without what jobs read at rest. What is read sequentially counts whoever did it.
    pub fn reads(&self, rest: &Self) -> BTreeMap<String, Read> {
        let part = self.took.as_secs_f64() / rest.took.as_secs_f64();
        let each = |(table, count): (&String, &Count)| {
            let rest = rest.tables.get(table).copied().unwrap_or_default();
            let without = |count: u64, rest: u64| tenth((count as f64 - rest as f64 * part).max(0.0) / self.times as f64);
            let read = Read {
                size: count.rows,
                rows: without(count.sequential + count.by_index, rest.sequential + rest.by_index),
                sequential_rows: count.sequential as f64 / self.times as f64,
                blocks: without(count.blocks, rest.blocks),
            };
            (table.clone(), read)
        };
        self.tables.iter().map(each).collect()
    }
}

/// What is read too much of since the tables have grown.
pub fn troubles(what: &str, new: &BTreeMap<String, Read>, grown: &BTreeMap<String, Read>) -> Vec<String> {
    let mut troubles = Vec::new();
    for (table, read) in grown {
        let before = new.get(table).copied().unwrap_or_default();
        if read.size >= GROWN && read.sequential_rows > 0.0 {
            troubles.push(format!("{table} has {} rows and is read sequentially, {:.1} rows for {what}", read.size, read.sequential_rows));
        }
        if read.rows > before.rows * MOST_ROWS + FEW_ROWS {
            troubles.push(format!("{what} looks at {} rows of {table}, and at {} when it was new", read.rows, before.rows));
        }
        if read.blocks > before.blocks * MOST_BLOCKS + FEW_BLOCKS {
            troubles.push(format!("{what} reads {} blocks of {table}, and {} when it was new", read.blocks, before.blocks));
        }
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn used(before: &str, after: &str, rest: &str) -> BTreeMap<String, Read> {
        let [before, after, rest] = [before, after, rest].map(|counts| read(counts).unwrap());
        Use::between(&before, &after, 10, SECOND).reads(&Use::between(&Counts::new(), &rest, 1, 2 * SECOND))
    }

    #[test]
    fn what_jobs_read_at_rest_is_not_the_messages() {
        let reads = used("messages|100|5|50|400", "messages|120|5|150|1400", "messages|0|0|20|200");
        assert_eq!(reads["messages"], Read { size: 120, rows: 9.0, sequential_rows: 0.0, blocks: 90.0 });
    }

    #[test]
    fn a_table_that_has_grown_may_not_be_read_whole() {
        let small = used("state|100|0|0|0", "state|100|1000|0|100", "");
        let same = used("state|1000000|0|0|0", "state|1000000|1000|0|100", "");
        assert_eq!(troubles("it", &small, &small), Vec::<String>::new());
        assert_eq!(troubles("it", &small, &same).len(), 1);
    }

    #[test]
    fn rows_and_blocks_may_grow_a_little() {
        let new = used("", "ready|100|0|100|1000", "");
        let higher = used("", "ready|1000000|0|120|2400", "");
        assert_eq!(troubles("it", &new, &higher), Vec::<String>::new());
        let more = used("", "ready|1000000|0|300|1000", "");
        let wider = used("", "ready|1000000|0|100|2700", "");
        assert!(troubles("it", &new, &more)[0].contains("30 rows of ready"));
        assert!(troubles("it", &new, &wider)[0].contains("270 blocks of ready"));
    }
}
