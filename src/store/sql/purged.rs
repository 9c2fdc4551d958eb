//! Jobs for what was deleted and still has rows: written in the transaction of the deletion. The engines
//! work them off.

use super::db::{Db, Result, params};
use crate::model::{AppKey, EndpointKey, UnixMs};

/// What was deleted, by stored code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Application,
    Endpoint,
}

impl Kind {
    /// As stored.
    pub(in crate::store) const fn from_code(code: i64) -> Self {
        if code == 0 { Self::Application } else { Self::Endpoint }
    }
}

/// An application was deleted.
pub(in crate::store) fn of_application(db: Db<'_>, app: AppKey, at: UnixMs) -> Result<()> {
    add(db, app.0, Kind::Application, None, at)
}

/// An endpoint was deleted, or goes with its application.
pub(in crate::store) fn of_endpoint(db: Db<'_>, endpoint: EndpointKey, url: i64, at: UnixMs) -> Result<()> {
    add(db, endpoint.0, Kind::Endpoint, Some(url), at)
}

fn add(db: Db<'_>, target: i64, kind: Kind, url: Option<i64>, at: UnixMs) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO purge (target, kind, url, deleted_at, next_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?
    .execute(params![target, kind as i64, url, at, at])?;
    Ok(())
}
