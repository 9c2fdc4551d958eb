//! Ticks: the server itself makes the messages of sources of type cron.
//!
//! One task knows when each source is due, and what it knows is a hint: the source is read again when its time
//! has come, and the writer makes a tick only where the source still is as far as it was then
//! ([`Tick`]). So a tick happens once, whatever becomes of the task, the process or the clock; and where some
//! were missed, the newest of them is made, at once. Of several nodes, the one that holds a source's slot
//! makes its ticks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Gateway, NotAccepted};
use crate::dispatch::ownership::Ownership;
use crate::model::cron::{CONTENT_TYPE, CONTENT_TYPE_DEFAULT, CronSource, Due, PAYLOAD, SCHEDULED_AT, Schedule};
use crate::model::routing::route;
use crate::model::time::rfc3339;
use crate::model::{Envelope, IdKind, Received, SourceKey, UnixMs, slot_of};
use crate::store::command::{Command, Done, Inbound, Publish, Refusal, Tick};
use crate::store::journal::NotTaken;

/// The longest time between two looks at the clock, which may be set anew.
const LOOK: Duration = Duration::from_secs(1);
/// How long what failed is left alone, in milliseconds.
const AFTER_FAILURE_MS: i64 = 1_000;
/// A clock that was wrong by more is told of.
const DAY_MS: i64 = 86_400_000;
/// How often all sources are read where nothing says that one was changed.
const READ_AGAIN: Duration = Duration::from_mins(1);
/// The pause between two readings is at least so many times as long as one takes.
const READING_SHARE: u32 = 10;
/// Sources that are read at once.
const PAGE: usize = 100;
/// Ticks that are made at once.
const TICKS_MAX: usize = 64;
/// What the source's log says that the sender was answered, where there is none.
const STATUS: u16 = 200;

impl Gateway {
    /// Makes the tick of a source that is due. When to ask again; `None` where it does not tick any more.
    async fn tick(&self, source: SourceKey) -> Result<Option<UnixMs>, NotAccepted> {
        self.admission.check().map_err(NotAccepted::Closed)?;
        let Some(found) = self.queries.cron_source(source).await? else { return Ok(None) };
        let Some(schedule) = schedule_of(&found) else { return Ok(None) };
        let now = self.clock.now_ms();
        let at = match schedule.due(found.last_tick, now) {
            Due::Now(at) => at,
            Due::At(next) => return Ok(Some(next)),
            Due::Never => return Ok(None),
        };
        let Some(config) = self.snapshots.app(found.source.app).await? else { return Ok(None) };
        let setting = |name: &str| found.source.secret.config.get(name).and_then(Value::as_str);
        let content_type = setting(CONTENT_TYPE).unwrap_or(CONTENT_TYPE_DEFAULT).to_owned();
        let headers = vec![("content-type".to_owned(), content_type.clone()), (SCHEDULED_AT.to_owned(), rfc3339(at))];
        let envelope = Envelope {
            event_type: found.source.spec.source_type.clone(),
            content_type: Some(content_type),
            ..Envelope::default()
        };
        let publish = Publish {
            routes: route(&config, &envelope.event_type, &envelope.channels),
            config,
            only: None,
            envelope,
            payload: Bytes::copy_from_slice(setting(PAYLOAD).unwrap_or_default().as_bytes()),
            payload_days: self.retention.payload_days,
            idempotency: None,
            inbound: Some(Box::new(Inbound {
                awaited: None,
                is_logged: true,
                source,
                received: Arc::new(Received::nothing(headers)),
                dedupe: None,
                status: STATUS,
                instead_of: None,
                tick: Some(Tick { at, after: found.last_tick, changed_at: found.source.updated_at }),
            })),
            at: now,
        };
        let _pass = self.admission.enter().map_err(NotAccepted::Closed)?;
        match self.journal.commit(Command::Publish(Box::new(publish))).await? {
            Ok(Done::Published(_)) => {
                self.metrics.messages_accepted.inc();
                self.metrics.cron_ticks.inc();
                Ok(schedule.next(at))
            }
            Ok(_) => Err(Refusal::Failed.into()),
            // It was changed meanwhile: that is told, and read.
            Err(Refusal::Ticked | Refusal::NotFound) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// A source's schedule. It was judged when the source was made; the database of time zones may be another now.
fn schedule_of(found: &CronSource) -> Option<Schedule> {
    let read = Schedule::of(&found.source.secret.config);
    read.inspect_err(|error| {
        let source = found.source.id.format(IdKind::Source);
        tracing::error!(%source, %error, "a source does not tick: its schedule cannot be read");
    })
    .ok()
}

/// The task that ticks.
pub struct Ticker {
    gateway: Arc<Gateway>,
    ownership: Arc<Ownership>,
    changes: watch::Receiver<u64>,
    /// Of what is held, when all sources were read.
    held: u64,
    /// When each source is to be looked at, in the order of time.
    planned: BTreeSet<(UnixMs, SourceKey)>,
    /// When all sources are read again though nothing was changed; at once at first.
    read_at: Option<Instant>,
    /// Not before, though something was.
    not_read_before: Instant,
}

impl Ticker {
    /// Knows nothing yet.
    pub fn new(gateway: Arc<Gateway>, ownership: Arc<Ownership>) -> Self {
        let changes = gateway.snapshots.source_changes();
        let (planned, held) = (BTreeSet::new(), ownership.changes());
        Self { gateway, ownership, changes, held, planned, read_at: None, not_read_before: Instant::now() }
    }

    /// Runs for good; does nothing more when the journal is closed.
    pub async fn run(mut self) {
        let mut is_failing = false;
        loop {
            let pause = match self.round().await {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("sources of type cron tick again");
                    }
                    self.pause()
                }
                Err(NotAccepted::NotTaken(NotTaken::Closed)) => return std::future::pending().await,
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "sources of type cron do not tick; it is tried again");
                    }
                    LOOK
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads what was changed, and makes what is due.
    async fn round(&mut self) -> Result<(), NotAccepted> {
        if self.gateway.admission.is_draining() || self.gateway.admission.is_still() {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        }
        let now = Instant::now();
        let is_other = self.changes.has_changed().unwrap_or(false) || self.held != self.ownership.changes();
        let is_changed = is_other && now >= self.not_read_before;
        let is_stale = is_changed || self.read_at.is_none_or(|at| now >= at);
        let read = if is_stale { self.read().await } else { Ok(()) };
        self.gateway.admission.check().map_err(NotAccepted::Closed)?;
        // Where nothing can be read, what is known goes on.
        self.make_due().await.and(read)
    }

    /// Reads all sources anew, page by page.
    async fn read(&mut self) -> Result<(), NotAccepted> {
        let began = Instant::now();
        // What changes from here on is read next time.
        self.changes.mark_unchanged();
        let held = self.ownership.changes();
        let (mut planned, mut after, now) = (BTreeSet::new(), None, self.gateway.clock.now_ms());
        loop {
            let page = self.gateway.queries.cron_sources(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.source.key());
            let is_last = page.len() < PAGE;
            for found in page.into_iter().filter(|found| self.ownership.may_work(slot_of(found.source.key().0))) {
                if self.read_at.is_none() && found.last_tick > now + DAY_MS {
                    let source = found.source.id.format(IdKind::Source);
                    tracing::warn!(%source, "a source has ticked in what is the future now: it waits until then");
                }
                // When it is due is judged then.
                let next = schedule_of(&found).and_then(|schedule| schedule.next(found.last_tick));
                planned.extend(next.map(|next| (next, found.source.key())));
            }
            if is_last {
                break;
            }
        }
        (self.planned, self.held) = (planned, held);
        let ended = Instant::now();
        self.read_at = Some(ended + READ_AGAIN);
        self.not_read_before = ended + LOOK.max((ended - began) * READING_SHARE);
        Ok(())
    }

    /// Makes ticks that are due, some at once, so that they share commits. One that fails is due again in a
    /// second, and does not hold up the others: the first error is said in the end.
    async fn make_due(&mut self) -> Result<(), NotAccepted> {
        let now = self.gateway.clock.now_ms();
        let mut ticking = JoinSet::new();
        while ticking.len() < TICKS_MAX
            && let Some((_, source)) = self.planned.first().copied().filter(|(due, _)| *due <= now)
        {
            self.planned.pop_first();
            if !self.ownership.may_work(slot_of(source.0)) {
                // Whoever holds it now has read it.
                continue;
            }
            let gateway = Arc::clone(&self.gateway);
            ticking.spawn(async move { (source, gateway.tick(source).await) });
        }
        let mut failed = None;
        while let Some(ended) = ticking.join_next().await {
            match ended {
                Ok((source, Ok(next))) => self.planned.extend(next.map(|next| (next, source))),
                Ok((source, Err(error))) => {
                    self.planned.insert((now + AFTER_FAILURE_MS, source));
                    failed = failed.or(Some(error));
                }
                // Its source is planned again when all are read.
                Err(error) => tracing::error!(%error, "a tick ended in the middle"),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// How long there is nothing to do.
    fn pause(&self) -> Duration {
        let now = self.gateway.clock.now_ms();
        let until_due = self.planned.first().map(|(due, _)| (due - now).max(0) as u64);
        until_due.map_or(LOOK, |until_due| Duration::from_millis(until_due).min(LOOK))
    }
}
