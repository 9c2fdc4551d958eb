//! Under which number and in which epoch this node writes: its standing among the nodes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::session::{Session, SessionError};
use crate::store::sql::db::Value;

/// Advisory locks, so that they are those of no other program on the database.
const LOCK_CLASS: i64 = 0x706f_7374 << 32;
/// Held shared by every batch, and alone by one that changes configuration.
pub(in crate::store) const CONFIGURATION_LOCK: i64 = LOCK_CLASS | 1;
/// Held by a node that joins, and by the one that shares out slots.
pub(in crate::store) const MEMBERSHIP_LOCK: i64 = LOCK_CLASS | 2;
/// Held while tables are brought up to date.
pub(in crate::store) const MIGRATION_LOCK: i64 = LOCK_CLASS | 3;
/// Held while a partition is made or dropped.
pub(in crate::store) const PARTITION_LOCK: i64 = LOCK_CLASS | 4;

/// Nodes that may have joined at once.
const NODES_MAX: i64 = 512;
/// Seconds after the end of its lease in which a number is given to no other node.
const NUMBER_RESTS_S: i64 = 3_600;

/// A node's place while its lease holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// In the keys that it gives.
    pub number: u16,
    /// What it writes under another is refused.
    pub epoch: i64,
    /// Above all keys that were given under this number before.
    pub last_key: i64,
}

/// The tenure of this node, shared by those who write and the one who renews.
#[derive(Debug, Default)]
pub struct Standing {
    tenure: Mutex<Option<Tenure>>,
    ended: Notify,
}

impl Standing {
    fn guard(&self) -> MutexGuard<'_, Option<Tenure>> {
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenure, while there is one.
    pub fn tenure(&self) -> Option<Tenure> {
        *self.guard()
    }

    /// The node has joined.
    pub fn begin(&self, tenure: Tenure) {
        *self.guard() = Some(tenure);
    }

    /// This tenure is over, if it still is the one: another node has taken over, or the lease has run out.
    pub fn end(&self, epoch: i64) {
        let mut tenure = self.guard();
        if tenure.is_some_and(|tenure| tenure.epoch == epoch) {
            *tenure = None;
            self.ended.notify_one();
        }
    }

    /// Waits until a tenure has ended.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }
}

/// Joins under a name, to take a share of the slots or only to write. Who had the same name before is fenced, and its slots are this node's at once.
pub(in crate::store) fn join(session: &Session, name: &str, lease_s: u64, takes: bool) -> Result<Tenure, SessionError> {
    session.batch("BEGIN")?;
    let joined = join_in_transaction(session, name, lease_s, takes);
    session.batch(if joined.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    joined
}

fn join_in_transaction(session: &Session, name: &str, lease_s: u64, takes: bool) -> Result<Tenure, SessionError> {
    let number = |row: &super::session::PgRow, column: usize| row.integer(column);
    session.batch(&format!("SELECT pg_advisory_xact_lock({MEMBERSHIP_LOCK})"))?;
    let again = session
        .prepare("UPDATE node SET epoch = nextval('node_epoch') WHERE name = ? RETURNING number, epoch, last_key")?;
    let name = Value::Text(name.into());
    let mut row = session.query(&again, std::slice::from_ref(&name))?;
    if row.is_empty() {
        // A number that nobody has, or whose holder is long gone.
        let new = session.prepare(
            "WITH gone AS (
               DELETE FROM node USING lease
                WHERE lease.number = node.number AND expires_at < now() - make_interval(secs => CAST(? AS integer))
                  AND NOT EXISTS (SELECT 1 FROM slot WHERE slot.node = node.number)
               RETURNING node.number, last_key),
             free AS (
               SELECT number, last_key FROM gone
               UNION ALL
               SELECT number, 0 FROM generate_series(0, CAST(? AS integer) - 1) AS number
                WHERE NOT EXISTS (SELECT 1 FROM node WHERE node.number = number.number)
               LIMIT 1)
             SELECT number, last_key FROM free",
        )?;
        let free = session.query(&new, &[Value::Integer(NUMBER_RESTS_S), Value::Integer(NODES_MAX)])?;
        let Some(free) = free.first() else {
            return Err(SessionError::Refused { code: "53000".into(), message: "512 nodes have joined".into() });
        };
        let insert = session.prepare(
            "INSERT INTO node (number, name, epoch, last_key) VALUES (?, ?, nextval('node_epoch'), ?)
             RETURNING number, epoch, last_key",
        )?;
        row = session.query(&insert, &[Value::Integer(number(free, 0)?), name, Value::Integer(number(free, 1)?)])?;
    }
    let Some(row) = row.first() else {
        return Err(SessionError::Lost("the node could not be written".into()));
    };
    let tenure = Tenure { number: number(row, 0)? as u16, epoch: number(row, 1)?, last_key: number(row, 2)? };
    let own = [Value::Integer(tenure.number.into()), Value::Integer(tenure.epoch)];
    let slots = session.prepare("UPDATE slot SET epoch = ?2 WHERE node = ?1")?;
    session.execute(&slots, &own)?;
    let lease = session.prepare(
        "INSERT INTO lease (number, expires_at, leaving, version)
         VALUES (?, now() + make_interval(secs => CAST(? AS integer)), ?, ?)
         ON CONFLICT (number) DO UPDATE SET expires_at = excluded.expires_at, leaving = excluded.leaving,
           version = excluded.version",
    )?;
    let version = Value::Text(env!("CARGO_PKG_VERSION").into());
    session
        .execute(&lease, &[own[0].clone(), Value::Integer(lease_s as i64), Value::Integer((!takes).into()), version])?;
    Ok(tenure)
}
