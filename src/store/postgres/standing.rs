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
            self.ended.notify_waiters();
        }
    }

    /// Waits until a tenure has ended.
    pub async fn ended(&self, epoch: i64) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.tenure().is_none_or(|tenure| tenure.epoch != epoch) {
                return;
            }
            ended.await;
        }
    }
}

/// How a process joins.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Its name.
    pub name: String,
    /// Tells it from another process of the same name.
    pub instance: i64,
    /// How long its lease lasts.
    pub lease_s: u64,
    /// It takes a share of the slots; else it only writes.
    pub takes: bool,
    /// It has joined before: another process that has its name since is left in peace.
    pub again: bool,
}

/// Joins. Who had the same name before is fenced, and its slots are this node's at once.
pub(in crate::store) fn join(session: &Session, how: &Joining) -> Result<Tenure, SessionError> {
    session.batch("BEGIN")?;
    let joined = join_in_transaction(session, how);
    session.batch(if joined.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    joined
}

fn join_in_transaction(session: &Session, how: &Joining) -> Result<Tenure, SessionError> {
    let refused = |message: &str| SessionError::Refused { code: "53000".into(), message: message.into() };
    session.batch(&format!("SELECT pg_advisory_xact_lock({MEMBERSHIP_LOCK})"))?;
    let name = Value::Text(how.name.as_str().into());
    if how.again {
        let other = session.prepare(
            "SELECT 1 FROM node JOIN lease ON lease.number = node.number
             WHERE name = ? AND expires_at > now() AND instance <> ?",
        )?;
        if !session.query(&other, &[name.clone(), Value::Integer(how.instance)])?.is_empty() {
            return Err(refused("another process has joined under the name of this node: each needs its own"));
        }
    }
    let again = session
        .prepare("UPDATE node SET epoch = nextval('node_epoch') WHERE name = ? RETURNING number, epoch, last_key")?;
    let mut row = session.query(&again, std::slice::from_ref(&name))?;
    if row.is_empty() {
        let Some((number, last_key)) = free_number(session)? else { return Err(refused("512 nodes have joined")) };
        let insert = session.prepare(
            "INSERT INTO node (number, name, epoch, last_key) VALUES (?, ?, nextval('node_epoch'), ?)
             RETURNING number, epoch, last_key",
        )?;
        row = session.query(&insert, &[Value::Integer(number), name, Value::Integer(last_key)])?;
    }
    let Some(row) = row.first() else {
        return Err(SessionError::Lost("the node could not be written".into()));
    };
    let tenure = Tenure { number: row.integer(0)? as u16, epoch: row.integer(1)?, last_key: row.integer(2)? };
    let lease = session.prepare(
        "INSERT INTO lease (number, expires_at, leaving, instance, version)
         VALUES (?, now() + make_interval(secs => CAST(? AS integer)), ?, ?, ?)
         ON CONFLICT (number) DO UPDATE SET expires_at = excluded.expires_at, leaving = excluded.leaving,
           instance = excluded.instance, version = excluded.version",
    )?;
    let numbers = [i64::from(tenure.number), how.lease_s as i64, i64::from(!how.takes), how.instance];
    let version = Value::Text(env!("CARGO_PKG_VERSION").into());
    let values: Vec<Value<'_>> = numbers.into_iter().map(Value::Integer).chain([version]).collect();
    session.execute(&lease, &values)?;
    Ok(tenure)
}

/// A number that nobody has, or else that of a node that is long gone, which goes; with a bound above the keys
/// that were given under it.
fn free_number(session: &Session) -> Result<Option<(i64, i64)>, SessionError> {
    let unused = session.prepare(
        "SELECT number FROM generate_series(0, CAST(? AS integer) - 1) AS number
         WHERE NOT EXISTS (SELECT 1 FROM node WHERE node.number = number.number) LIMIT 1",
    )?;
    if let Some(row) = session.query(&unused, &[Value::Integer(NODES_MAX)])?.first() {
        return Ok(Some((row.integer(0)?, 0)));
    }
    let gone = session.prepare(
        "DELETE FROM node WHERE number = (
           SELECT node.number FROM node JOIN lease ON lease.number = node.number
            WHERE expires_at < now() - make_interval(secs => CAST(? AS integer))
              AND NOT EXISTS (SELECT 1 FROM slot WHERE slot.node = node.number)
            ORDER BY expires_at LIMIT 1)
         RETURNING number, last_key",
    )?;
    let gone = session.query(&gone, &[Value::Integer(NUMBER_RESTS_S)])?;
    gone.first().map(|row| Ok((row.integer(0)?, row.integer(1)?))).transpose()
}
