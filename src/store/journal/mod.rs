//! The group commit through which everything durable goes.
//!
//! One task drains all that waits (messages, outcomes, changes) into one transaction, and answers
//! all waiters after the commit. While a commit is in flight the next batch gathers; nobody
//! lingers, except that outcomes alone wait a little for a message. A batch that fails as a whole is tried
//! again one by one; a disk that fails ends the journal: nothing is acknowledged any more.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::command::{Command, Raised, Refusal, Reply};
use super::{CommitError, StoreWriter};
use crate::metrics::Metrics;
use crate::model::Clock;

/// Commands and bytes of one batch.
const BATCH_ROWS_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long outcomes alone wait for a message: losing them only repeats a delivery.
const LINGER: Duration = Duration::from_millis(20);
/// How long nothing must come before work that can wait is done.
const IDLE: Duration = Duration::from_millis(100);
/// How long a full disk is left alone before outcomes are tried again.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// How long a database that is away is left alone before it is tried again.
const AWAY_PAUSE: Duration = Duration::from_millis(250);

/// Sees each batch before it is committed and after. Runs on the journal's thread: it must be quick.
pub trait Observer: Send + Sync {
    /// Last word on where deliveries are placed.
    fn forming(&self, batch: &mut [Command]);
    /// The batch is durable. Called before anybody is answered.
    /// `raised` are the messages that the writer made by itself.
    fn committed(&self, batch: Vec<Command>, replies: &[Reply], raised: Vec<Raised>);
    /// An outcome could not be stored and is given up; the delivery is repeated after a restart.
    fn lost_outcome(&self, command: Command);
}

/// Bounds of what may wait.
#[derive(Debug, Clone, Copy)]
pub struct JournalLimits {
    /// Commands.
    pub rows_max: usize,
    /// Bytes.
    pub bytes_max: usize,
}

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Too much waits: try again soon.
    #[error("the journal is full")]
    Full,
    /// The store failed, or the server is stopping.
    #[error("the journal is closed")]
    Closed,
}

/// How the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Commits go through.
    Good,
    /// The disk has no room: nothing is accepted.
    DiskFull,
    /// The database is away: nothing is accepted, outcomes are kept, and it is tried again.
    Away,
    /// The disk failed: this process must end.
    Failed,
    /// It has written all it had and stopped.
    Closed,
}

/// The handle by which others reach the journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Notify,
    limits: JournalLimits,
    health: watch::Sender<Health>,
}

#[derive(Default)]
struct Queue {
    items: Vec<Item>,
    bytes: usize,
    awaited: usize,
    backups: Vec<(PathBuf, oneshot::Sender<anyhow::Result<()>>)>,
    closing: bool,
    ended: bool,
}

struct Item {
    command: Command,
    waiter: Option<oneshot::Sender<Reply>>,
    queued_at: Instant,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// A journal, and the task that has to be run for it.
    pub fn new(limits: JournalLimits, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> (Self, JournalTask) {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            arrived: Notify::new(),
            limits,
            health: watch::Sender::new(Health::Good),
        });
        (Self { shared: Arc::clone(&shared) }, JournalTask { shared, metrics, clock, undecided: Mutex::new(None) })
    }

    /// Hands in a command; the answer comes after its commit.
    pub fn submit(&self, command: Command) -> Result<oneshot::Receiver<Reply>, NotTaken> {
        let (waiter, answer) = oneshot::channel();
        let weight = command.weight();
        let first = {
            let mut queue = self.shared.queue();
            if queue.closing || matches!(*self.shared.health.borrow(), Health::Failed | Health::Closed) {
                return Err(NotTaken::Closed);
            }
            if queue.items.len() >= self.shared.limits.rows_max || queue.bytes + weight > self.shared.limits.bytes_max {
                return Err(NotTaken::Full);
            }
            queue.bytes += weight;
            queue.awaited += 1;
            queue.items.push(Item { command, waiter: Some(waiter), queued_at: Instant::now() });
            queue.awaited == 1
        };
        if first {
            self.shared.arrived.notify_one();
        }
        Ok(answer)
    }

    /// Hands in a command and waits for its answer.
    pub async fn commit(&self, command: Command) -> Result<Reply, NotTaken> {
        self.submit(command)?.await.map_err(|_| NotTaken::Closed)
    }

    /// Hands in an outcome. Never refused: attempts in flight are bounded, and each holds its place
    /// until its outcome is stored.
    pub fn settle(&self, command: Command) {
        let first = {
            let mut queue = self.shared.queue();
            if queue.ended {
                // Nothing is written any more: the delivery is repeated after the next start.
                return;
            }
            queue.bytes += command.weight();
            queue.items.push(Item { command, waiter: None, queued_at: Instant::now() });
            queue.items.len() == 1
        };
        if first {
            self.shared.arrived.notify_one();
        }
    }

    /// Copies the store to `file` while commits go on.
    pub async fn backup(&self, file: PathBuf) -> anyhow::Result<()> {
        let (done, finished) = oneshot::channel();
        {
            let mut queue = self.shared.queue();
            if queue.ended {
                anyhow::bail!("the journal is closed");
            }
            queue.backups.push((file, done));
        }
        self.shared.arrived.notify_one();
        finished.await.map_err(|_| anyhow::anyhow!("the journal stopped"))?
    }

    /// Commands that wait.
    pub fn depth(&self) -> usize {
        self.shared.queue().items.len()
    }

    /// Bytes of commands that wait, roughly.
    pub fn bytes(&self) -> usize {
        self.shared.queue().bytes
    }

    /// How it is.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Takes nothing more but outcomes; the task ends when all is written.
    pub fn close(&self) {
        self.shared.queue().closing = true;
        self.shared.arrived.notify_one();
    }
}

/// The task behind a [`Journal`].
pub struct JournalTask {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// A batch whose commit was not answered. Nobody waits for it any more.
    undecided: Mutex<Option<Vec<Command>>>,
}

impl JournalTask {
    /// Runs until the journal is closed and empty, or the disk fails.
    pub async fn run(self, writer: &mut dyn StoreWriter, observer: &dyn Observer) -> Health {
        let mut more_to_tend = true;
        loop {
            let idle = if more_to_tend { IDLE } else { Duration::from_mins(1) };
            match self.wait(idle).await {
                Event::Closed => break self.end(Health::Closed),
                Event::Idle => match writer.tend(self.clock.now_ms()) {
                    Ok(more) => more_to_tend = more,
                    Err(CommitError::Io(error)) => {
                        tracing::error!(error, "the disk failed");
                        break self.end(Health::Failed);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "filling indexes failed; it is tried again later");
                        more_to_tend = false;
                    }
                },
                Event::Backup(file, done) => {
                    let result = writer.backup(&file, &mut |writer| {
                        self.round(writer, observer);
                    });
                    // Nobody may wait for it any more; then there is nobody to tell.
                    let _ = done.send(result);
                    if *self.shared.health.borrow() == Health::Failed {
                        break self.end(Health::Failed);
                    }
                }
                Event::Work => {
                    more_to_tend = true;
                    match self.round(writer, observer) {
                        Health::Failed => break self.end(Health::Failed),
                        Health::DiskFull => tokio::time::sleep(FULL_PAUSE).await,
                        Health::Away => self.wait_for_return(writer, observer).await,
                        Health::Good | Health::Closed => {}
                    }
                }
            }
        }
    }

    fn end(&self, health: Health) -> Health {
        self.shared.health.send_replace(health);
        // Dropping the waiters answers them: the journal is closed.
        let mut queue = self.shared.queue();
        queue.items.clear();
        queue.backups.clear();
        queue.ended = true;
        health
    }

    async fn wait(&self, idle: Duration) -> Event {
        let mut since: Option<Instant> = None;
        let began = Instant::now();
        loop {
            let arrived = self.shared.arrived.notified();
            let until = {
                let mut queue = self.shared.queue();
                if let Some((file, done)) = queue.backups.pop() {
                    return Event::Backup(file, done);
                }
                if queue.awaited > 0 || (queue.closing && !queue.items.is_empty()) {
                    return Event::Work;
                }
                if queue.items.is_empty() {
                    if queue.closing {
                        return Event::Closed;
                    }
                    began + idle
                } else {
                    *since.get_or_insert_with(Instant::now) + LINGER
                }
            };
            if tokio::time::timeout_at(until, arrived).await.is_err() {
                return if self.shared.queue().items.is_empty() { Event::Idle } else { Event::Work };
            }
        }
    }

    /// Takes a batch and commits it.
    fn round(&self, writer: &mut dyn StoreWriter, observer: &dyn Observer) -> Health {
        let items = self.take();
        if items.is_empty() {
            return Health::Good;
        }
        let (mut commands, mut waiters) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            commands.push(item.command);
            waiters.push((item.waiter, item.queued_at));
        }
        observer.forming(&mut commands);
        let began = Instant::now();
        let result = writer.commit(&commands);
        let took = began.elapsed();
        self.metrics.commit_seconds.observe(took.as_secs_f64());
        self.metrics.batch_size.observe(commands.len() as f64);
        let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        self.metrics.commits.observe(commands.len(), took_ms, self.clock.now_ms());
        match result {
            Ok(replies) => {
                self.answer(observer, writer, commands, replies, waiters);
                self.shared.health.send_if_modified(|health| std::mem::replace(health, Health::Good) != Health::Good);
                Health::Good
            }
            Err(error) => self.mend(&error, writer, observer, commands, waiters),
        }
    }

    fn take(&self) -> Vec<Item> {
        let mut queue = self.shared.queue();
        let mut bytes = 0;
        let fits = |item: &Item| {
            bytes += item.command.weight();
            bytes <= BATCH_BYTES_MAX
        };
        let count = queue.items.iter().take(BATCH_ROWS_MAX).take_while({
            let mut fits = fits;
            move |item| fits(item)
        });
        let count = count.count().max(usize::from(!queue.items.is_empty()));
        let rest = queue.items.split_off(count);
        let taken = std::mem::replace(&mut queue.items, rest);
        queue.bytes -= taken.iter().map(|item| item.command.weight()).sum::<usize>().min(queue.bytes);
        queue.awaited -= taken.iter().filter(|item| item.waiter.is_some()).count();
        taken
    }

    fn answer(
        &self,
        observer: &dyn Observer,
        writer: &mut dyn StoreWriter,
        commands: Vec<Command>,
        replies: Vec<Reply>,
        waiters: Vec<Waiter>,
    ) {
        observer.committed(commands, &replies, writer.take_raised());
        for (reply, (waiter, queued_at)) in replies.into_iter().zip(waiters) {
            if let Some(waiter) = waiter {
                self.metrics.accept_to_commit_seconds.observe(queued_at.elapsed().as_secs_f64());
                // A caller that went away has no answer to get; what it asked for is stored.
                let _ = waiter.send(reply);
            }
        }
    }

    /// A batch failed as a whole.
    fn mend(
        &self,
        error: &CommitError,
        writer: &mut dyn StoreWriter,
        observer: &dyn Observer,
        commands: Vec<Command>,
        waiters: Vec<Waiter>,
    ) -> Health {
        match error {
            CommitError::Io(error) => {
                tracing::error!(error, commands = commands.len(), "the disk failed: nothing is acknowledged any more");
                for (waiter, _) in waiters {
                    refuse(waiter, Refusal::Failed);
                }
                self.shared.health.send_replace(Health::Failed);
                Health::Failed
            }
            CommitError::Away(error) => self.away(error, commands, waiters),
            CommitError::Unknown(error) => {
                *self.undecided() = Some(commands);
                for (waiter, _) in waiters {
                    refuse(waiter, Refusal::Away);
                }
                self.away(error, Vec::new(), Vec::new())
            }
            CommitError::Full => self.mend_full(writer, observer, commands, waiters),
            CommitError::Command(error) => {
                tracing::error!(error, commands = commands.len(), "a batch failed; its commands are tried one by one");
                self.one_by_one(writer, observer, commands, waiters)
            }
        }
    }

    /// The disk is full. Outcomes alone may still find room (they free rows too); messages are refused.
    fn mend_full(
        &self,
        writer: &mut dyn StoreWriter,
        observer: &dyn Observer,
        commands: Vec<Command>,
        waiters: Vec<Waiter>,
    ) -> Health {
        self.disk_full();
        let (mut outcomes, mut kept) = (Vec::new(), Vec::new());
        for (command, (waiter, queued_at)) in commands.into_iter().zip(waiters) {
            if waiter.is_none() {
                outcomes.push(command);
                kept.push((None, queued_at));
            } else {
                refuse(waiter, Refusal::Full);
            }
        }
        if outcomes.is_empty() {
            return Health::DiskFull;
        }
        match writer.commit(&outcomes) {
            Ok(replies) => {
                self.answer(observer, writer, outcomes, replies, kept);
            }
            Err(CommitError::Io(error)) => {
                tracing::error!(error, "the disk failed: nothing is acknowledged any more");
                self.shared.health.send_replace(Health::Failed);
                return Health::Failed;
            }
            Err(error @ (CommitError::Away(_) | CommitError::Unknown(_))) => {
                return self.mend(&error, writer, observer, outcomes, kept);
            }
            Err(_) => self.put_back(outcomes, kept),
        }
        Health::DiskFull
    }

    fn put_back(&self, commands: Vec<Command>, waiters: Vec<Waiter>) {
        let mut queue = self.shared.queue();
        queue.bytes += commands.iter().map(Command::weight).sum::<usize>();
        let items =
            commands.into_iter().zip(waiters).map(|(command, (waiter, queued_at))| Item { command, waiter, queued_at });
        queue.items.splice(0..0, items);
    }

    fn one_by_one(
        &self,
        writer: &mut dyn StoreWriter,
        observer: &dyn Observer,
        commands: Vec<Command>,
        waiters: Vec<Waiter>,
    ) -> Health {
        let (mut kept, mut kept_waiters, mut full) = (Vec::new(), Vec::new(), false);
        let mut rest = commands.into_iter().zip(waiters);
        while let Some((command, (waiter, queued_at))) = rest.next() {
            let single = [command];
            match writer.commit(&single) {
                Ok(replies) => self.answer(observer, writer, Vec::from(single), replies, vec![(waiter, queued_at)]),
                Err(CommitError::Io(error)) => {
                    tracing::error!(error, "the disk failed: nothing is acknowledged any more");
                    refuse(waiter, Refusal::Failed);
                    rest.for_each(|(_, (waiter, _))| refuse(waiter, Refusal::Failed));
                    self.shared.health.send_replace(Health::Failed);
                    return Health::Failed;
                }
                Err(error @ (CommitError::Away(_) | CommitError::Unknown(_))) => {
                    let (rest, waiters): (Vec<_>, Vec<_>) = rest.unzip();
                    let health = self.mend(&error, writer, observer, Vec::from(single), vec![(waiter, queued_at)]);
                    self.put_back(kept, kept_waiters);
                    self.away(&error.to_string(), rest, waiters);
                    return health;
                }
                Err(CommitError::Full) if waiter.is_some() => {
                    refuse(waiter, Refusal::Full);
                    full = true;
                }
                Err(CommitError::Full) => {
                    kept.extend(single);
                    kept_waiters.push((None, queued_at));
                    full = true;
                }
                Err(CommitError::Command(error)) => {
                    tracing::error!(error, "a command cannot be stored");
                    if waiter.is_some() {
                        refuse(waiter, Refusal::Failed);
                    } else {
                        let [command] = single;
                        observer.lost_outcome(command);
                    }
                }
            }
        }
        self.put_back(kept, kept_waiters);
        if full { self.disk_full() } else { Health::Good }
    }

    fn disk_full(&self) -> Health {
        if self.shared.health.send_replace(Health::DiskFull) != Health::DiskFull {
            tracing::error!("the disk is full: nothing is accepted until there is room");
        }
        Health::DiskFull
    }
}

impl JournalTask {
    fn undecided(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        self.undecided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database is away: who waits is refused, outcomes are kept.
    fn away(&self, error: &str, commands: Vec<Command>, waiters: Vec<Waiter>) -> Health {
        if self.shared.health.send_replace(Health::Away) != Health::Away {
            tracing::error!(error, "the database is away: nothing is accepted until it is back");
        }
        let (mut outcomes, mut kept) = (Vec::new(), Vec::new());
        for (command, (waiter, queued_at)) in commands.into_iter().zip(waiters) {
            if waiter.is_none() {
                outcomes.push(command);
                kept.push((None, queued_at));
            }
            refuse(waiter, Refusal::Away);
        }
        self.put_back(outcomes, kept);
        Health::Away
    }

    /// Tries again and again until the database is back. Ends early where the journal is to be closed: what
    /// was in flight is repeated after the next start.
    async fn wait_for_return(&self, writer: &mut dyn StoreWriter, observer: &dyn Observer) {
        while *self.shared.health.borrow() == Health::Away {
            tokio::time::sleep(AWAY_PAUSE).await;
            if self.try_again(writer, observer) == Health::Away && self.shared.queue().closing {
                let mut queue = self.shared.queue();
                let lost = queue.items.len();
                tracing::warn!(
                    lost,
                    "the database is away at the end: deliveries without a stored outcome are repeated"
                );
                queue.items.clear();
                queue.awaited = 0;
                return;
            }
        }
        tracing::info!("the database is back");
    }

    /// Finds out what became of a batch that was not answered, and commits what has gathered, or nothing.
    fn try_again(&self, writer: &mut dyn StoreWriter, observer: &dyn Observer) -> Health {
        let undecided = self.undecided().take();
        if let Some(commands) = undecided {
            match writer.resolve() {
                Ok(Some(replies)) => observer.committed(commands, &replies, writer.take_raised()),
                Ok(None) => {
                    let outcomes: Vec<Command> = commands.into_iter().filter(|command| !command.is_awaited()).collect();
                    let kept = outcomes.iter().map(|_| (None, Instant::now())).collect();
                    self.put_back(outcomes, kept);
                }
                Err(_) => {
                    *self.undecided() = Some(commands);
                    return Health::Away;
                }
            }
        }
        if !self.shared.queue().items.is_empty() {
            return self.round(writer, observer);
        }
        match writer.commit(&[]) {
            Ok(_) => {
                self.shared.health.send_replace(Health::Good);
                Health::Good
            }
            Err(_) => Health::Away,
        }
    }
}

type Waiter = (Option<oneshot::Sender<Reply>>, Instant);

fn refuse(waiter: Option<oneshot::Sender<Reply>>, refusal: Refusal) {
    if let Some(waiter) = waiter {
        // A caller that went away needs no refusal.
        let _ = waiter.send(Err(refusal));
    }
}

enum Event {
    Work,
    Idle,
    Backup(PathBuf, oneshot::Sender<anyhow::Result<()>>),
    Closed,
}

#[cfg(test)]
mod tests;
