//! Messages lie in partitions by the time of their ids. A statement whose plan is kept looks into every partition for `= ANY($1)`; with the
//! bounds of the ids beside it, it looks into those between them. The bounds alone would have it read everything in between.

use sea_orm::Value;
use uuid::Uuid;

/// The least and the greatest of ids, for a statement's `BETWEEN`.
pub(super) fn bounds(ids: &[Uuid]) -> [Value; 2] {
    let least = ids.iter().min().copied().unwrap_or_default();
    let greatest = ids.iter().max().copied().unwrap_or_default();
    [least.into(), greatest.into()]
}
