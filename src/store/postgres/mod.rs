//! The engine over PostgreSQL: one node or many.

mod options;
pub(super) mod session;

use super::maintenance::{Due, Horizon};
use super::sql::db::{Db, Result};
use crate::model::{AppKey, Key};
pub use options::PgOptions;

pub(super) fn maintenance_due(_db: Db<'_>, _horizon: Horizon) -> Result<Due> {
    Ok(Due::default())
}

pub(super) fn message_of_event(_db: Db<'_>, _app: AppKey, _event_id: &str) -> Result<Option<Key>> {
    Ok(None)
}
