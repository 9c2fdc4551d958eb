//! What the control loop of a node asks of the database: join, renew, hand over, leave, tell, and read what
//! has arrived. Each on a thread that may wait, with two connections that are kept: upkeep, which may take
//! long, holds up no renewal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::membership::{self, View};
use super::notice::{Bulletin, WAITS_MAX};
use super::options::PgOptions;
use super::reader::messages_by_keys;
use super::session::{Session, SessionError};
use super::standing::{self, Joining, Tenure};
use super::upkeep;
use bytes::Bytes;

use crate::model::{AppKey, EndpointKey, Message, MessageKey, SlotSet, UnixMs};
use crate::store::ReadError;
use crate::store::sql::db;
use crate::store::sql::rows;

/// How long an answer is waited for: renewals are of no use later.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pending deliveries that are read at once.
const ARRIVALS_MAX: usize = 4_096;
/// Bytes of their messages at which a reading ends, and how many are read before that is looked at.
const ARRIVAL_BYTES_MAX: usize = 16 * 1024 * 1024;
const BODIES_AT_ONCE: usize = 128;

/// A delivery in the order of messages.
pub(super) type Place = (MessageKey, EndpointKey);

/// A pending delivery of a slot that is held, with its message.
pub struct Arriving {
    /// To where.
    pub endpoint: EndpointKey,
    /// The application's version that it was routed with.
    pub version: i64,
    /// The message with its bytes, if they are there.
    pub message: Arc<Message>,
}

/// A connection, for one question at a time. Made when it is first needed.
type OneLine = Arc<Mutex<Option<Session>>>;

/// A node's lines to the database for what is not messages. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    options: PgOptions,
    prompt: OneLine,
    upkeep: OneLine,
}

impl Cluster {
    /// Connects when it is first needed.
    pub fn new(options: PgOptions) -> Self {
        Self { options, prompt: OneLine::default(), upkeep: OneLine::default() }
    }

    /// Joins.
    pub async fn join(&self, how: Joining) -> Result<Tenure, SessionError> {
        self.ask(move |session| standing::join(session, &how)).await
    }

    /// Renews the lease, looks who holds what, and mends it; `None` where another node has taken over.
    pub async fn heartbeat(&self, tenure: Tenure, lease_s: u64) -> Result<Option<View>, SessionError> {
        self.ask(move |session| membership::heartbeat(session, &tenure, lease_s)).await
    }

    /// Hands slots over to whom they are wanted by.
    pub async fn hand_over(&self, tenure: Tenure, slots: SlotSet) -> Result<(), SessionError> {
        self.ask(move |session| membership::hand_over(session, &tenure, &slots)).await
    }

    /// This node takes nothing more.
    pub async fn leave(&self, tenure: Tenure) -> Result<(), SessionError> {
        self.ask(move |session| membership::leave(session, &tenure)).await
    }

    /// This node is gone.
    pub async fn end(&self, tenure: Tenure) -> Result<(), SessionError> {
        self.ask(move |session| membership::end(session, &tenure)).await
    }

    /// Partitions ahead, unique keys whose time is over, counts; says whether there is more.
    pub async fn upkeep(&self, now: UnixMs) -> Result<bool, SessionError> {
        self.ask_on(&self.upkeep, move |session| upkeep::round(session, now)).await
    }

    /// What tables have: bytes of rows, bytes of indexes, dead rows.
    pub async fn sizes(&self) -> Result<Vec<(&'static str, [i64; 3])>, SessionError> {
        self.ask_on(&self.upkeep, upkeep::sizes).await
    }

    /// Whether commits wait for no standby, although there is one: what a failover may lose.
    pub async fn replicates_asynchronously(&self) -> Result<bool, SessionError> {
        self.ask_on(&self.upkeep, move |session| {
            // Who is no monitor sees that there are standbys, and not how they follow.
            let sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_replication)
                         AND current_setting('synchronous_standby_names') = ''
                       OR current_setting('synchronous_commit') IN ('off', 'local')";
            let rows = session.query(&session.prepare(sql)?, &[])?;
            Ok(rows.first().map_or(Ok(0), |row| row.integer(0))? != 0)
        })
        .await
    }

    /// Tells other nodes of new work. Not waited for by the disk: what is lost is found by looking.
    pub async fn tell(
        &self,
        work: Option<(SlotSet, MessageKey, MessageKey)>,
        waits: Vec<(EndpointKey, AppKey, UnixMs)>,
    ) -> Result<(), SessionError> {
        self.ask(move |session| {
            session.batch("BEGIN; SET LOCAL synchronous_commit = off")?;
            let told = (|| {
                if let Some((slots, first, last)) = work {
                    Bulletin::Work { slots, first, last }.send(session)?;
                }
                waits.chunks(WAITS_MAX).try_for_each(|waits| Bulletin::Waits(waits.to_vec()).send(session))
            })();
            session.batch(if told.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
            told
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Session) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.ask_on(&self.prompt, question).await
    }

    async fn ask_on<T: Send + 'static>(
        &self,
        line: &OneLine,
        question: impl FnOnce(&Session) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let (options, line) = (self.options.clone(), Arc::clone(line));
        let asked = tokio::task::spawn_blocking(move || {
            // Held until there is an answer: whoever asks meanwhile waits, and opens no further connection.
            let mut kept = line.lock().unwrap_or_else(PoisonError::into_inner);
            let session = match kept.take().filter(|session| !session.is_broken()) {
                Some(session) => session,
                None => Session::connect(&options, PATIENCE)?,
            };
            let answer = question(&session);
            *kept = Some(session);
            answer
        });
        asked.await.map_err(|error| SessionError::Lost(error.to_string()))?
    }
}

/// Pending deliveries of these slots, of messages from `first` to `last` that another node than `own` has
/// accepted, after the delivery `after`, in order: at most [`ARRIVALS_MAX`], and fewer where they are long. And
/// behind which delivery it goes on, if it does.
pub async fn arriving(
    reader: &super::PgReader,
    own: u16,
    slots: SlotSet,
    (first, last): (MessageKey, MessageKey),
    after: Option<Place>,
) -> Result<(Vec<Arriving>, Option<Place>), ReadError> {
    let (message, endpoint) = after.map_or((first.0 - 1, i64::MAX), |(message, endpoint)| (message.0, endpoint.0));
    let slots = slots.to_bits();
    reader
        .read_one(move |db| {
            // The messages apart: a statement over partitioned tables that knows its bounds is planned anew
            // each time, which costs more than to run it.
            let pending: Vec<(i64, i64, i64)> = db
                .prepare_cached(
                    "SELECT message, endpoint, version FROM pending WHERE (message, endpoint) > (?1, ?2) AND message <= ?3
                       AND get_bit(CAST(?4 AS bytea), slot) = 1 AND (message >> 12) & 511 <> ?5
                     ORDER BY message, endpoint LIMIT ?6",
                )?
                .query_map(
                    db::params![message, endpoint, last.0, &slots[..], own, ARRIVALS_MAX as i64],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )?
                .collect::<db::Result<_>>()?;
            let place = |(message, endpoint, _): &(i64, i64, i64)| (MessageKey(*message), EndpointKey(*endpoint));
            let (mut arriving, mut bytes) = (Vec::with_capacity(pending.len()), 0);
            for part in pending.chunks(BODIES_AT_ONCE) {
                let mut keys: Vec<i64> = part.iter().map(|(message, ..)| *message).collect();
                keys.dedup();
                let mut messages = HashMap::new();
                for message in db.with_numbers(&messages_by_keys(), &keys, rows::message_with_payload)? {
                    bytes += message.payload.as_ref().map_or(0, Bytes::len);
                    messages.insert(message.id.key, Arc::new(message));
                }
                // What has no message any more was settled or deleted meanwhile.
                arriving.extend(part.iter().filter_map(|(message, endpoint, version)| {
                    let message = messages.get(message).map(Arc::clone)?;
                    Some(Arriving { endpoint: EndpointKey(*endpoint), version: *version, message })
                }));
                if bytes >= ARRIVAL_BYTES_MAX {
                    return Ok((arriving, part.last().map(place)));
                }
            }
            let next = pending.last().map(place).filter(|_| pending.len() == ARRIVALS_MAX);
            Ok((arriving, next))
        })
        .await
}
