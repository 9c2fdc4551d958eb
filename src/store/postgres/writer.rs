//! The writer: one transaction a batch, in two round trips where nothing is unusual.
//!
//! The first begins the transaction, checks that this node may still write, and asks what has to be known:
//! which unique keys are new, which deliveries are still in the state that they were taken in. The second
//! writes all rows and commits. Changes of configuration, which are few, go statement by statement between
//! such runs.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rustc_hash::FxHashSet;

use super::hot;
use super::notice::{Bulletin, Notice};
use super::options::PgOptions;
use super::partitions::{PAYLOAD_SEQUENCE_BITS, Partitions, Table, day_of};
use super::session::{Call, PgRow, Session, SessionError};
use super::standing::{CONFIGURATION_LOCK, Standing, Tenure};
use super::{purge, upkeep};
use crate::model::id::{first_key_at, key_time};
use crate::model::{KeyMaker, Next, SourceKey, Trigger, UnixMs};
use crate::store::command::{Change, Changed, Command, Done, Raised, Reply};
use crate::store::maintenance::{Maintained, Maintenance, Work};
use crate::store::sql::change::Changer;
use crate::store::sql::core::Core;
use crate::store::sql::db::{Db, Error, Result};
use crate::store::{CommitError, StoreWriter};

/// How long an answer to a statement of a batch is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a transaction may stand still before PostgreSQL ends it: a node that was stopped in the middle
/// of one holds up nobody for longer.
const IDLE_IN_TRANSACTION_MS: i64 = 4_000;
/// Payloads that one block of numbers is for.
pub(in crate::store) const PAYLOAD_BLOCK_BITS: u32 = 16;
/// How far above the keys of a batch the bound lies that is written before they are given.
const KEYS_AHEAD_MS: i64 = 1_000;

const BEGIN: &str = "BEGIN";
/// With what holds for the transaction. Rows are always found by their keys: the planner takes a queue that is
/// short on average for one that can be read from end to end, with all that was deleted from it.
const FENCE: &str = "UPDATE node SET last_key = $3, batch = $4 WHERE number = $1 AND epoch = $2
     RETURNING set_config('idle_in_transaction_session_timeout', $5, true), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true), set_config('statement_timeout', '9s', true)";
const CONFIGURATION: &str = "SELECT version FROM configuration WHERE sole = 0";

/// What one batch has to know of its transaction.
pub(super) struct Transaction {
    pub(super) tenure: Tenure,
    /// Names the batch.
    pub(super) batch: i64,
    /// No other batch runs beside it: it changes configuration.
    is_alone: bool,
    has_begun: bool,
    /// `COMMIT` was sent: what is not answered now may have happened.
    pub(super) is_decided: bool,
    /// What other nodes are told of.
    pub(super) notices: Vec<Notice>,
    /// Of the commands so far.
    pub(super) replies: Vec<Reply>,
}

/// A batch whose commit was not answered.
struct Undecided {
    batch: i64,
    number: u16,
    replies: Vec<Reply>,
    raised: Vec<Raised>,
}

/// Writes to PostgreSQL. Used on one thread, the journal's.
pub struct PgWriter {
    options: PgOptions,
    standing: Arc<Standing>,
    session: Option<Session>,
    pub(super) core: Core,
    partitions: Partitions,
    /// The tenure that the keys are given in.
    keys_of: Option<i64>,
    /// The version of the configuration that `core` knows.
    configuration: i64,
    /// Sources that are there, as of that version.
    pub(super) sources: FxHashSet<SourceKey>,
    /// Numbers of payloads that are left of the block.
    payload_numbers: Range<i64>,
    undecided: Option<Undecided>,
    /// The last delivery set aside whose message was looked for.
    parked_after: (i64, i64),
}

/// What ends a batch.
pub(super) enum Stop {
    /// Another node has taken over: nothing of this tenure is written any more.
    Fenced,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<SessionError> for Stop {
    fn from(error: SessionError) -> Self {
        Self::Failed(error.into())
    }
}

impl PgWriter {
    /// A writer. It connects when it has something to write. `endpoints_max` is the bound on endpoints of
    /// one application.
    pub fn new(options: PgOptions, standing: Arc<Standing>, endpoints_max: usize) -> Self {
        let core = Core::new(Arc::clone(&options.sealer), KeyMaker::new(0, 0), endpoints_max);
        Self {
            options,
            standing,
            session: None,
            core,
            partitions: Partitions::default(),
            keys_of: None,
            configuration: 0,
            sources: FxHashSet::default(),
            payload_numbers: 0..0,
            undecided: None,
            parked_after: (0, 0),
        }
    }

    /// Days that the bytes of the messages are kept that the writer makes by itself, operational webhooks;
    /// 90 unless set.
    #[must_use]
    pub fn keeping_own_payloads(mut self, days: u16) -> Self {
        self.core.own_payload_days = days;
        self
    }

    fn session(&mut self) -> Result<Session, SessionError> {
        if let Some(session) = self.session.take().filter(|session| !session.is_broken()) {
            return Ok(session);
        }
        let session = Session::connect(&self.options, PATIENCE)?;
        self.partitions = Partitions::read(&session)?;
        self.core.forget_all();
        self.configuration = 0;
        Ok(session)
    }

    fn transact(&mut self, session: &Session, tx: &mut Transaction, batch: &[Command]) -> Result<(), Stop> {
        self.make_partitions(session, batch)?;
        let segments = segments(batch);
        for (i, range) in segments.iter().enumerate() {
            let is_last = i + 1 == segments.len();
            match &batch[range.start] {
                Command::Publish(_) | Command::Settle(_) => {
                    let may_commit = is_last && !tx.is_alone;
                    hot::run(self, session, tx, &batch[range.clone()], may_commit)?;
                }
                Command::Change(request) => {
                    self.begin(session, tx, Vec::new())?;
                    let reply = self.changer(session, request.at).apply(request)?;
                    if let Ok(Done::Changed(changed)) = &reply
                        && !is_as_it_was(&request.change, changed)
                    {
                        tx.notices.extend(Notice::of(changed));
                        if let Changed::Expunged { message, .. } = &**changed {
                            Bulletin::Expunged(*message).send(session)?;
                        }
                    }
                    self.sources.clear();
                    tx.replies.push(reply);
                    hot::write_raised(self, session)?;
                }
                Command::Maintain(slice) => {
                    self.begin(session, tx, Vec::new())?;
                    let maintained = self.maintain(session, *slice)?;
                    tx.replies.push(Ok(Done::Maintained(Box::new(maintained))));
                }
            }
        }
        if !tx.is_decided {
            self.end(session, tx)?;
        }
        Ok(())
    }

    /// Begins the transaction, if that has not been done, along with some calls; their rows.
    pub(super) fn begin(
        &mut self,
        session: &Session,
        tx: &mut Transaction,
        calls: Vec<Call<'_>>,
    ) -> Result<Vec<Vec<PgRow>>, Stop> {
        if tx.has_begun {
            return Ok(session.pipeline(&calls)?);
        }
        let lock = if tx.is_alone { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
        let opening = [
            session.prepare(BEGIN)?,
            session.prepare(FENCE)?,
            session.prepare(&format!("SELECT {lock}({CONFIGURATION_LOCK})"))?,
            session.prepare(CONFIGURATION)?,
        ];
        let (number, idle) = (i16::try_from(tx.tenure.number).unwrap_or_default(), IDLE_IN_TRANSACTION_MS.to_string());
        let bound = self.core.keys.last().max(tx.tenure.last_key);
        let fence: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            vec![&number, &tx.tenure.epoch, &bound, &tx.batch, &idle];
        let mut all: Vec<Call<'_>> =
            vec![(&opening[0], Vec::new()), (&opening[1], fence), (&opening[2], Vec::new()), (&opening[3], Vec::new())];
        all.extend(calls);
        tx.has_begun = true;
        let mut answers = session.pipeline(&all)?;
        if answers[1].is_empty() {
            return Err(Stop::Fenced);
        }
        let version = answers[3].first().map_or(Ok(0), |row| row.integer(0))?;
        if version != self.configuration {
            self.core.forget_all();
            self.sources.clear();
            self.configuration = version;
        }
        Ok(answers.split_off(opening.len()))
    }

    fn end(&mut self, session: &Session, tx: &mut Transaction) -> Result<(), Stop> {
        self.begin(session, tx, Vec::new())?;
        if !tx.notices.is_empty() {
            let version =
                session.prepare("UPDATE configuration SET version = version + 1 WHERE sole = 0 RETURNING version")?;
            let rows = session.query(&version, &[])?;
            // What this node knows is as new as what it has just changed.
            self.configuration = rows.first().map_or(Ok(0), |row| row.integer(0))?;
            Bulletin::configuration(self.configuration, tx.tenure.number, &tx.notices).send(session)?;
        }
        tx.is_decided = true;
        session.batch("COMMIT")?;
        Ok(())
    }

    fn changer<'c>(&'c mut self, session: &'c Session, at: UnixMs) -> Changer<'c> {
        Changer { db: Db::Postgres(session), state: &mut self.core, at }
    }

    pub(super) fn health(
        &mut self,
        session: &Session,
        settle: &crate::store::command::Settle,
    ) -> Result<Option<Arc<crate::model::Endpoint>>> {
        self.changer(session, settle.at).health(settle)
    }

    /// One slice of work that keeps the store tidy. What is old goes with its partition (see [`upkeep`]).
    fn maintain(&mut self, session: &Session, slice: Maintenance) -> Result<Maintained> {
        let (began, db) = (Instant::now(), Db::Postgres(session));
        let done = match slice.work {
            Work::Purge => purge::slice(db, slice.at, slice.rows)?,
            Work::RunTasks { slots } => self.changer(session, slice.at).task_slice(slots, slice.rows)?,
            Work::Tasks { before } => upkeep::tasks(db, before, slice.rows)?,
            Work::SourceLogs { before } => upkeep::source_logs(db, before, slice.rows)?,
            Work::Hours { before } => upkeep::hours(db, before, slice.rows)?,
            Work::Leftovers { before } => upkeep::leftovers(db, &mut self.parked_after, before, slice.rows)?,
            Work::Payloads => upkeep::payloads(db, slice.at)?,
            Work::Attempts { before } => upkeep::attempts(db, before)?,
            Work::Messages { before } => upkeep::messages(db, before)?,
        };
        Ok(Maintained { took: began.elapsed(), ..done })
    }

    /// The days of a batch have their partitions.
    fn make_partitions(&mut self, session: &Session, batch: &[Command]) -> Result<(), Stop> {
        let mut wanted = FxHashSet::default();
        let key_day = |at: UnixMs| day_of(key_time(self.core.keys.last()).max(at));
        for command in batch {
            match command {
                Command::Publish(publish) => {
                    wanted.insert((Table::Message, key_day(publish.at)));
                    wanted.insert((Table::Payload, hot::expiry_day(publish)));
                }
                Command::Settle(settle) => {
                    let started_at = settle.attempt.as_ref().map_or(settle.at, |record| record.outcome.started_at);
                    wanted.insert((Table::Attempt, key_day(started_at)));
                    if settle.tell.is_some() || settle.health.is_some() {
                        wanted.extend(self.of_raised(key_day(settle.at), settle.at));
                    }
                }
                Command::Change(request) => wanted.extend(self.of_raised(key_day(request.at), request.at)),
                Command::Maintain(_) => {}
            }
        }
        // Keys that are counted on beyond a millisecond may reach into the next day.
        let next: Vec<_> = wanted
            .iter()
            .filter(|(table, day)| {
                *table != Table::Payload && day_of(key_time(self.core.keys.last()) + KEYS_AHEAD_MS) > *day
            })
            .map(|(table, day)| (*table, day + 1))
            .collect();
        Ok(self.partitions.ensure(session, wanted.into_iter().chain(next))?)
    }

    /// Partitions of what the writer may raise by itself.
    fn of_raised(&self, key_day: i64, at: UnixMs) -> [(Table, i64); 2] {
        [(Table::Message, key_day), (Table::Payload, day_of(at) + i64::from(self.core.own_payload_days) + 1)]
    }

    /// The number of a payload, unique among all nodes.
    pub(super) fn payload_number(&mut self, session: &Session) -> Result<i64, SessionError> {
        if self.payload_numbers.is_empty() {
            let rows = session.query(&session.prepare("SELECT nextval('payload_block')")?, &[])?;
            let block = rows.first().map_or(Ok(0), |row| row.integer(0))?;
            let first = (block << PAYLOAD_BLOCK_BITS) & ((1 << PAYLOAD_SEQUENCE_BITS) - 1);
            self.payload_numbers = first..first + (1 << PAYLOAD_BLOCK_BITS);
        }
        Ok(self.payload_numbers.next().unwrap_or_default())
    }

    /// What is known of a batch before its transaction.
    fn transaction(&mut self, tenure: &Tenure, batch: &[Command]) -> Transaction {
        self.core.begin();
        Transaction {
            tenure: self.bound_keys(tenure, batch),
            batch: rand::rng().random_range(1..i64::MAX),
            is_alone: batch.iter().any(changes_configuration),
            has_begun: false,
            is_decided: false,
            notices: Vec::new(),
            replies: Vec::with_capacity(batch.len()),
        }
    }

    /// Takes up the keys where the tenure says, and remembers a bound above those of this batch.
    fn bound_keys(&mut self, tenure: &Tenure, batch: &[Command]) -> Tenure {
        if self.keys_of != Some(tenure.epoch) {
            self.core.keys = KeyMaker::new(tenure.number, tenure.last_key);
            self.keys_of = Some(tenure.epoch);
        }
        let at = batch.iter().map(at).max().unwrap_or(0).max(key_time(self.core.keys.last()));
        Tenure { last_key: first_key_at(at + KEYS_AHEAD_MS) | (i64::from(tenure.number) << 12), ..*tenure }
    }

    /// What a failed batch means; the session is kept where it can be used again.
    fn fail(&mut self, session: Session, tx: &Transaction, stop: Stop) -> CommitError {
        self.core.rollback();
        self.configuration = 0;
        let rolled_back = !session.is_broken() && session.batch("ROLLBACK").is_ok();
        if rolled_back {
            self.session = Some(session);
        }
        match stop {
            Stop::Fenced => {
                tracing::warn!(epoch = tx.tenure.epoch, "another node has taken over from this one: it joins again");
                self.standing.end(tx.tenure.epoch);
                CommitError::Away("this node is fenced".into())
            }
            Stop::Failed(Error::Postgres(error)) if error.is_full() => CommitError::Full,
            Stop::Failed(Error::Postgres(error)) if error.is_passing() => CommitError::Away(error.to_string()),
            Stop::Failed(Error::Postgres(error)) if error.lacks_partition() => {
                self.partitions.forget();
                CommitError::Away(error.to_string())
            }
            Stop::Failed(error) => CommitError::Command(error.to_string()),
        }
    }

    /// Whether the batch whose commit was not answered is stored. Waits for it where it is under way.
    fn is_stored(session: &Session, undecided: &Undecided) -> Result<bool, SessionError> {
        let sql = "SELECT batch FROM node WHERE number = ? FOR UPDATE";
        let number = [crate::store::sql::db::Value::Integer(undecided.number.into())];
        let rows = session.query(&session.prepare(sql)?, &number)?;
        Ok(rows.first().map_or(Ok(0), |row| row.integer(0))? == undecided.batch)
    }
}

impl StoreWriter for PgWriter {
    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Reply>, CommitError> {
        let Some(tenure) = self.standing.tenure() else {
            return Err(CommitError::Away("this node has not joined".into()));
        };
        let session = self.session().map_err(|error| CommitError::Away(error.to_string()))?;
        let mut tx = self.transaction(&tenure, batch);
        let mut result = self.transact(&session, &mut tx, batch);
        // Nodes that got in each other's way, or a day that has no partition (any more): it goes at the second try.
        if !tx.is_decided
            && let Err(Stop::Failed(Error::Postgres(error))) = &result
            && (error.is_deadlock() || error.lacks_partition())
            && session.batch("ROLLBACK").is_ok()
        {
            self.core.rollback();
            self.configuration = 0;
            self.partitions = Partitions::read(&session).unwrap_or_default();
            tx = self.transaction(&tenure, batch);
            result = self.transact(&session, &mut tx, batch);
        }
        let Err(stop) = result else {
            self.session = Some(session);
            return Ok(tx.replies);
        };
        let raised = std::mem::take(&mut self.core.raised);
        let failed = self.fail(session, &tx, stop);
        if !tx.is_decided {
            return Err(failed);
        }
        let (number, replies) = (tx.tenure.number, tx.replies);
        self.undecided = Some(Undecided { batch: tx.batch, number, replies, raised });
        match self.resolve() {
            Ok(Some(replies)) => Ok(replies),
            Ok(None) => Err(failed),
            Err(_) => Err(CommitError::Unknown(failed.to_string())),
        }
    }

    fn resolve(&mut self) -> Result<Option<Vec<Reply>>, CommitError> {
        let Some(undecided) = self.undecided.take() else { return Ok(None) };
        let stored = self.session().and_then(|session| {
            let stored = Self::is_stored(&session, &undecided);
            self.session = Some(session);
            stored
        });
        match stored {
            Ok(true) => {
                self.core.raised = undecided.raised;
                Ok(Some(undecided.replies))
            }
            Ok(false) => Ok(None),
            Err(error) => {
                self.undecided = Some(undecided);
                Err(CommitError::Away(error.to_string()))
            }
        }
    }

    fn tend(&mut self, now: UnixMs) -> Result<bool, CommitError> {
        let Ok(session) = self.session() else { return Ok(false) };
        let ahead = [(Table::Message, day_of(now)), (Table::Attempt, day_of(now))];
        let ahead = ahead.into_iter().flat_map(|(table, day)| [(table, day), (table, day + 1)]);
        let made = self.partitions.ensure(&session, ahead);
        self.session = Some(session);
        made.map_err(|error| CommitError::Away(error.to_string()))?;
        Ok(false)
    }

    fn take_raised(&mut self) -> Vec<Raised> {
        std::mem::take(&mut self.core.raised)
    }

    fn backup(&mut self, _: &Path, _: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        anyhow::bail!("messages are kept in PostgreSQL: its own tools make backups (pg_basebackup, pg_dump)")
    }
}

/// Runs of messages and outcomes, and what stands alone between them.
fn segments(batch: &[Command]) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    let mut seen = FxHashSet::default();
    // Whether what follows may join the last.
    let mut is_open = false;
    for (i, command) in batch.iter().enumerate() {
        let keys = match command {
            Command::Publish(publish) => Some(hot::unique_keys(publish)),
            Command::Settle(_) => Some(Vec::new()),
            Command::Change(_) | Command::Maintain(_) => None,
        };
        // The second of two with one key is judged when the first is written.
        let is_alone = matches!(command, Command::Settle(settle) if ends_all(settle));
        let joins =
            is_open && !is_alone && keys.as_ref().is_some_and(|keys| keys.iter().all(|key| !seen.contains(&key.hash)));
        match segments.last_mut() {
            Some(last) if joins => last.end = i + 1,
            _ => {
                seen.clear();
                segments.push(i..i + 1);
            }
        }
        // What an outcome does to its endpoint counts for what follows; a resend that succeeds ends what has to
        // be written before it.
        let ends = matches!(command, Command::Settle(settle) if settle.health.is_some() || ends_all(settle));
        is_open = keys.is_some() && !ends;
        seen.extend(keys.into_iter().flatten().map(|key| key.hash));
    }
    segments
}

/// Whether what was to be made was there already.
fn is_as_it_was(change: &Change, changed: &Changed) -> bool {
    matches!((change, changed), (Change::CreateApplication { get_if_exists: true, .. }, Changed::Application(_, false)))
}

/// Whether an outcome ends whatever else there is of its delivery.
fn ends_all(settle: &crate::store::command::Settle) -> bool {
    settle.trigger == Trigger::Manual && settle.next == Next::Done
}

/// Whether a command changes what nodes keep in memory, or must be made by no other node at the same time.
fn changes_configuration(command: &Command) -> bool {
    match command {
        Command::Change(request) if request.idempotency.is_some() => true,
        Command::Change(request) => !matches!(
            request.change,
            Change::LogRequest(_)
                | Change::Resend { .. }
                | Change::ExpungeMessage { .. }
                | Change::ExpungeAttempt { .. }
        ),
        Command::Settle(settle) => settle.health.is_some(),
        Command::Publish(_) | Command::Maintain(_) => false,
    }
}

fn at(command: &Command) -> UnixMs {
    match command {
        Command::Publish(publish) => publish.at,
        Command::Settle(settle) => {
            settle.attempt.as_ref().map_or(settle.at, |record| record.outcome.started_at.max(settle.at))
        }
        Command::Change(request) => request.at,
        Command::Maintain(slice) => slice.at,
    }
}
