//! Sources of type cron: up to when each of them has ticked.

use super::db::{Db, Optional, Result, Row, params};

use super::change::{Changer, Stop};
use super::source::{SOURCE, source};
use crate::model::cron::CronSource;
use crate::model::{Source, SourceKey};
use crate::store::command::Inbound;
use crate::store::seal::Sealer;

/// Columns [`SOURCE`] and the last tick.
fn cron_source(row: &Row<'_>, sealer: &Sealer) -> Result<CronSource> {
    Ok(CronSource { source: source(row, sealer)?, last_tick: row.get(11)? })
}

/// A page of them, by key.
pub(in crate::store) fn page(
    db: Db<'_>,
    sealer: &Sealer,
    after: Option<SourceKey>,
    limit: usize,
) -> Result<Vec<CronSource>> {
    let sql =
        format!("SELECT {SOURCE}, last_tick FROM source WHERE last_tick IS NOT NULL AND key > ? ORDER BY key LIMIT ?");
    let after = after.map_or(0, |after| after.0);
    db.prepare_cached(&sql)?.query_map(params![after, limit as i64], |row| cron_source(row, sealer))?.collect()
}

/// One of them.
pub(in crate::store) fn by_key(db: Db<'_>, sealer: &Sealer, key: SourceKey) -> Result<Option<CronSource>> {
    db.prepare_cached(&format!("SELECT {SOURCE}, last_tick FROM source WHERE last_tick IS NOT NULL AND key = ?"))?
        .query_row([key.0], |row| cron_source(row, sealer))
        .optional()
}

/// Whether what comes in may: a tick only where its source still is where it was when the tick was decided,
/// and then it is that much further. So a tick happens once, however many make it and whatever the clock does.
pub(in crate::store) fn tick(db: Db<'_>, inbound: &Inbound) -> Result<bool> {
    let Some(tick) = inbound.tick else { return Ok(true) };
    let moved = db
        .prepare_cached(
            "UPDATE source SET last_tick = ?1 
             WHERE key = ?2 AND last_tick = ?3 AND last_tick < ?1 AND updated_at = ?4",
        )?
        .execute([tick.at, inbound.source.0, tick.after, tick.changed_at])?;
    Ok(moved == 1)
}

impl Changer<'_> {
    /// Another schedule begins now: nothing of what it would have asked for before is made up for.
    pub(in crate::store) fn reschedule(&mut self, source: &Source) -> Result<(), Stop> {
        let from = source.is_cron().then_some(self.at);
        self.run("UPDATE source SET last_tick = ? WHERE key = ?", params![from, source.id.key])?;
        Ok(())
    }
}
