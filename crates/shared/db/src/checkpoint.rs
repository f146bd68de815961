//! How far a consumer has come, kept in the schema of who consumes: table `consumer_checkpoints`.

use barid_bus::Checkpoint;
use barid_proto::events::v1::Position;
use sea_orm::DbErr;

use crate::Tx;

/// The checkpoint of a consumer; the very beginning when it has none yet.
pub async fn load(tx: &Tx, schema: &str, consumer: &str) -> Result<Checkpoint, DbErr> {
    let sql = format!(
        "SELECT generation, transaction, sequence, stream_created, stream_sequence FROM {schema}.consumer_checkpoints WHERE consumer = $1"
    );
    let Some(row) = tx.row(sql, [consumer.into()]).await? else { return Ok(Checkpoint::default()) };
    Ok(Checkpoint {
        position: Position {
            generation: row.try_get_by_index::<i32>(0)?.cast_unsigned(),
            transaction: row.try_get_by_index::<i64>(1)?.cast_unsigned(),
            sequence: row.try_get_by_index::<i64>(2)?.cast_unsigned(),
        },
        stream_created: row.try_get_by_index(3)?,
        stream_sequence: row.try_get_by_index::<i64>(4)?.cast_unsigned(),
    })
}

/// Moves a checkpoint on, if it still is `from`. `false` means that another replica has moved it: roll back.
pub async fn advance(tx: &Tx, schema: &str, consumer: &str, from: Checkpoint, to: Checkpoint) -> Result<bool, DbErr> {
    let sql = format!(
        "INSERT INTO {schema}.consumer_checkpoints AS c (consumer, generation, transaction, sequence, stream_created, stream_sequence)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (consumer) DO UPDATE SET generation = $2, transaction = $3, sequence = $4, stream_created = $5, stream_sequence = $6
         WHERE (c.generation, c.transaction, c.sequence) = ($7, $8, $9)"
    );
    let values = [
        consumer.into(),
        to.position.generation.cast_signed().into(),
        to.position.transaction.cast_signed().into(),
        to.position.sequence.cast_signed().into(),
        to.stream_created.into(),
        to.stream_sequence.cast_signed().into(),
        from.position.generation.cast_signed().into(),
        from.position.transaction.cast_signed().into(),
        from.position.sequence.cast_signed().into(),
    ];
    Ok(tx.run(sql, values).await? == 1)
}
