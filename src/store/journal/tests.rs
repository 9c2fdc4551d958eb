//! The journal over the store in memory, whose commits fail on demand.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::model::routing::route;
use crate::model::{
    AppConfig, ApplicationSpec, EndpointSpec, EnvKey, Envelope, EventTypeSpec, MessageKey, Next, Pending, SecretBytes,
    Taken, Trigger, UnixMs,
};
use crate::store::command::{Change, ChangeRequest, Changed, Done, Publish, Settle};
use crate::store::memory::{MemoryStore, MemoryWriter};

const NOW: UnixMs = 1_760_000_000_000;
const LIMITS: JournalLimits = JournalLimits { rows_max: 10_000, bytes_max: 64 * 1024 * 1024 };

struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> UnixMs {
        NOW
    }
}

/// Runs a test in time that passes only when all wait, on one thread, as the journal itself runs.
fn simulate(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test());
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Forming(usize),
    Commit(usize),
    Committed(usize),
    Answered,
    Lost,
    Tended,
}

type Events = Arc<Mutex<Vec<Seen>>>;

fn note(events: &Events, event: Seen) {
    events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
}

struct Watching(Events);

impl Observer for Watching {
    fn forming(&self, batch: &mut [Command]) {
        note(&self.0, Seen::Forming(batch.len()));
    }

    fn committed(&self, batch: Vec<Command>, replies: &[Reply], _: Vec<Raised>) {
        assert_eq!(batch.len(), replies.len());
        note(&self.0, Seen::Committed(batch.len()));
    }

    fn lost_outcome(&self, _: Command) {
        note(&self.0, Seen::Lost);
    }
}

/// A writer that says what it does, and fails batches in which a message of type `poison` is.
struct Telling {
    writer: MemoryWriter,
    events: Events,
}

impl StoreWriter for Telling {
    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Reply>, CommitError> {
        note(&self.events, Seen::Commit(batch.len()));
        let poison = |command: &Command| match command {
            Command::Publish(publish) => publish.envelope.event_type == "poison",
            Command::Settle(settle) => settle.message == POISON,
            Command::Change(_) | Command::Maintain(_) => false,
        };
        if batch.iter().any(poison) {
            return Err(CommitError::Command("poison".into()));
        }
        self.writer.commit(batch)
    }

    fn tend(&mut self, now: UnixMs) -> Result<bool, CommitError> {
        note(&self.events, Seen::Tended);
        self.writer.tend(now)
    }

    fn backup(&mut self, file: &std::path::Path, between: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        between(self);
        self.writer.backup(file, between)
    }
}

/// An outcome of this message cannot be stored.
const POISON: MessageKey = MessageKey(666);

struct Bench {
    store: MemoryStore,
    journal: Journal,
    events: Events,
    config: Arc<AppConfig>,
    /// Taken when the journal is started.
    task: Option<JournalTask>,
}

impl Bench {
    fn new(limits: JournalLimits) -> Self {
        let store = MemoryStore::new(1);
        let config = configure(&store);
        let (journal, task) = Journal::new(limits, Arc::new(Metrics::new()), Arc::new(FixedClock));
        Self { store, journal, events: Events::default(), config, task: Some(task) }
    }

    /// Runs the journal beside the test.
    fn start(&mut self) -> tokio::task::JoinHandle<Health> {
        let task = self.task.take().expect("started once");
        let (events, store) = (Arc::clone(&self.events), self.store.clone());
        tokio::task::spawn_local(async move {
            let mut writer = Telling { writer: store.writer(), events: Arc::clone(&events) };
            task.run(&mut writer, &Watching(events)).await
        })
    }

    fn message(&self, event_type: &str, body: &str) -> Command {
        let envelope = Envelope {
            event_type: event_type.into(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            deliver_at: None,
            content_type: None,
        };
        Command::Publish(Box::new(Publish {
            config: Arc::clone(&self.config),
            routes: route(&self.config, event_type, &[]),
            envelope,
            payload: bytes::Bytes::copy_from_slice(body.as_bytes()),
            payload_days: 1,
            only: None,
            idempotency: None,
            inbound: None,
            at: NOW,
        }))
    }

    fn outcome(&self, message: MessageKey) -> Command {
        Command::Settle(Box::new(Settle {
            app: self.config.app.key(),
            endpoint: self.config.endpoints[0].key(),
            message,
            taken: Taken::Pending,
            trigger: Trigger::Scheduled,
            tenure: 0,
            attempt: None,
            next: Next::Done,
            health: None,
            tell: None,
            at: NOW,
        }))
    }

    fn seen(&self) -> Vec<Seen> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn body_of(&self, key: MessageKey) -> Option<bytes::Bytes> {
        self.store.all_messages().into_iter().find(|message| message.key() == key)?.payload
    }
}

fn configure(store: &MemoryStore) -> Arc<AppConfig> {
    let mut writer = store.writer();
    let mut change = |change| {
        let request = ChangeRequest { at: NOW, idempotency: None, change };
        match writer.commit(&[Command::Change(Box::new(request))]).expect("committed").remove(0) {
            Ok(Done::Changed(changed)) => *changed,
            other => panic!("{other:?}"),
        }
    };
    let spec = ApplicationSpec::default();
    let made = change(Change::CreateApplication { env: EnvKey(1), uid: None, spec, get_if_exists: false });
    let Changed::Application(mut app, _) = made else { panic!() };
    let (spec, secret) = (Box::<EndpointSpec>::default(), SecretBytes::new(vec![1; 24]));
    let made = change(Change::CreateEndpoint { app: app.key(), uid: None, spec, secret });
    let Changed::Endpoint(endpoint, _) = made else { panic!() };
    app.version += 1;
    Arc::new(AppConfig { app, endpoints: vec![endpoint] })
}

fn published(reply: Result<Reply, NotTaken>) -> MessageKey {
    match reply {
        Ok(Ok(Done::Published(published))) => MessageKey(published.id.key),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_caller_gets_the_answer_to_its_own_command() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let task = bench.start();
        let mut callers = tokio::task::JoinSet::new();
        for i in 0..5_000 {
            let (journal, body) = (bench.journal.clone(), format!("body {i}"));
            let command = bench.message("a", &body);
            callers.spawn(async move {
                if i % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                (body, published(journal.commit(command).await))
            });
        }
        let stored: std::collections::HashMap<_, _> = {
            let answers = callers.join_all().await;
            answers.into_iter().map(|(body, key)| (key, body)).collect()
        };
        assert_eq!(stored.len(), 5_000, "every key is somebody's own");
        for message in bench.store.all_messages() {
            assert_eq!(stored[&message.key()].as_bytes(), message.payload.expect("bytes"));
        }
        let batches = bench.seen().iter().filter(|seen| matches!(seen, Seen::Commit(_))).count();
        assert!(batches < 500, "what waits is committed together: {batches} commits");
        bench.journal.close();
        assert_eq!(task.await.expect("ended"), Health::Closed);
    });
}

#[test]
fn the_observer_sees_a_batch_before_its_commit_and_before_its_answers() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let answers: Vec<_> = (0..3).map(|_| bench.journal.submit(bench.message("a", "b")).expect("taken")).collect();
        let events = Arc::clone(&bench.events);
        let waiting = tokio::spawn(async move {
            for answer in answers {
                answer.await.expect("answered").expect("done");
                note(&events, Seen::Answered);
            }
        });
        let task = bench.start();
        waiting.await.expect("answered");
        bench.journal.close();
        task.await.expect("ended");
        let answered = [Seen::Answered, Seen::Answered, Seen::Answered];
        assert_eq!(bench.seen(), [&[Seen::Forming(3), Seen::Commit(3), Seen::Committed(3)], &answered[..]].concat());
    });
}

#[test]
fn outcomes_alone_wait_for_a_message_but_not_for_long() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let task = bench.start();
        let message = published(bench.journal.commit(bench.message("a", "b")).await);
        let began = Instant::now();
        bench.journal.settle(bench.outcome(message));
        while bench.store.counts().pending > 0 {
            tokio::time::advance(Duration::from_millis(1)).await;
            tokio::task::yield_now().await;
            assert!(began.elapsed() < Duration::from_secs(1), "the outcome waits for ever");
        }
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(18) && waited <= Duration::from_millis(25), "{waited:?}");

        // A message takes them along at once.
        let second = published(bench.journal.commit(bench.message("a", "b")).await);
        bench.journal.settle(bench.outcome(second));
        let began = Instant::now();
        published(bench.journal.commit(bench.message("a", "b")).await);
        assert!(began.elapsed() < Duration::from_millis(2));
        assert_eq!(bench.store.all_pending().len(), 1);
        assert!(bench.seen().contains(&Seen::Commit(2)));
        bench.journal.close();
        task.await.expect("ended");
    });
}

#[test]
fn a_full_disk_refuses_messages_and_keeps_outcomes() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let task = bench.start();
        let first = published(bench.journal.commit(bench.message("a", "b")).await);
        let mut health = bench.journal.health();
        for _ in 0..4 {
            bench.store.fail_next_commit(CommitError::Full);
        }
        bench.journal.settle(bench.outcome(first));
        let refused = bench.journal.commit(bench.message("a", "b")).await;
        assert!(matches!(refused, Ok(Err(Refusal::Full))), "{refused:?}");
        assert_eq!(*health.borrow_and_update(), Health::DiskFull);
        assert_eq!(bench.store.all_pending().len(), 1, "the outcome is not stored, and not forgotten");
        health.wait_for(|health| *health == Health::Good).await.expect("there is room again");
        assert_eq!(bench.store.counts().pending, 0);
        published(bench.journal.commit(bench.message("a", "b")).await);
        assert_eq!(bench.store.counts().messages, 2);
        bench.journal.close();
        task.await.expect("ended");
    });
}

#[test]
fn outcomes_find_room_where_messages_do_not() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let task = bench.start();
        let first = published(bench.journal.commit(bench.message("a", "b")).await);
        bench.store.fail_next_commit(CommitError::Full);
        bench.journal.settle(bench.outcome(first));
        let refused = bench.journal.commit(bench.message("a", "b")).await;
        assert!(matches!(refused, Ok(Err(Refusal::Full))));
        assert_eq!((bench.store.counts().pending, bench.store.counts().messages), (0, 1));
        bench.journal.close();
        task.await.expect("ended");
    });
}

#[test]
fn a_command_that_cannot_be_stored_takes_nobody_with_it() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let stored = bench.store.clone();
        let answers: Vec<_> = (0..10)
            .map(|i| {
                let event_type = if i == 4 { "poison" } else { "a" };
                bench.journal.submit(bench.message(event_type, &i.to_string())).expect("taken")
            })
            .collect();
        bench.journal.settle(bench.outcome(POISON));
        let task = bench.start();
        for (i, answer) in answers.into_iter().enumerate() {
            match answer.await.expect("answered") {
                Ok(Done::Published(published)) => {
                    assert_ne!(i, 4);
                    assert_eq!(bench.body_of(MessageKey(published.id.key)).expect("stored"), i.to_string().as_bytes());
                }
                other => assert!(i == 4 && matches!(other, Err(Refusal::Failed)), "{other:?}"),
            }
        }
        bench.journal.close();
        assert_eq!(task.await.expect("ended"), Health::Closed);
        assert_eq!(stored.counts().messages, 9);
        assert_eq!(bench.seen().iter().filter(|seen| **seen == Seen::Lost).count(), 1, "the lost outcome is told");
        assert_eq!(bench.seen().iter().filter(|seen| matches!(seen, Seen::Forming(_))).count(), 1);
    });
}

#[test]
fn room_that_runs_out_one_by_one_keeps_outcomes_in_order() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let keys: Vec<_> = {
            let mut writer = bench.store.writer();
            let batch: Vec<_> = (0..3).map(|_| bench.message("a", "b")).collect();
            writer.commit(&batch).expect("committed").into_iter().map(|reply| published(Ok(reply))).collect()
        };
        for key in keys {
            bench.journal.settle(bench.outcome(key));
        }
        let answer = bench.journal.submit(bench.message("a", "b")).expect("taken");
        for error in [CommitError::Command("whole".into()), CommitError::Full, CommitError::Full] {
            bench.store.fail_next_commit(error);
        }
        let mut health = bench.journal.health();
        let task = bench.start();
        published(Ok(answer.await.expect("answered")));
        health.wait_for(|health| *health == Health::DiskFull).await.expect("told");
        health.wait_for(|health| *health == Health::Good).await.expect("over");
        let left: Vec<Pending> = bench.store.all_pending();
        assert_eq!(left.len(), 1, "only the newest message is left");
        bench.journal.close();
        task.await.expect("ended");
    });
}

#[test]
fn a_disk_that_fails_ends_everything_and_nobody_gets_ok() {
    simulate(async || {
        for before in [None, Some(CommitError::Command("then one by one".into()))] {
            let mut bench = Bench::new(LIMITS);
            for error in before.clone().into_iter().chain([CommitError::Io("fsync".into())]) {
                bench.store.fail_next_commit(error);
            }
            let answers: Vec<_> =
                (0..20).map(|_| bench.journal.submit(bench.message("a", "b")).expect("taken")).collect();
            let task = bench.start();
            for answer in answers {
                assert!(matches!(answer.await, Ok(Err(Refusal::Failed))), "{before:?}");
            }
            assert_eq!(task.await.expect("ended"), Health::Failed);
            assert_eq!(*bench.journal.health().borrow(), Health::Failed);
            assert_eq!(bench.journal.submit(bench.message("a", "b")).err(), Some(NotTaken::Closed));
            bench.journal.settle(bench.outcome(MessageKey(1)));
            assert_eq!(bench.journal.depth(), 0);
            assert!(bench.journal.backup("x".into()).await.is_err(), "it does not wait for ever");
            assert_eq!(bench.store.counts().messages, 0);
        }
    });
}

#[test]
fn a_disk_that_fails_during_a_backup_ends_everything_too() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let answer = bench.journal.submit(bench.message("a", "b")).expect("taken");
        bench.store.fail_next_commit(CommitError::Io("fsync".into()));
        let journal = bench.journal.clone();
        let backup = tokio::spawn(async move { journal.backup("x".into()).await });
        tokio::task::yield_now().await;
        let task = bench.start();
        assert_eq!(task.await.expect("ended"), Health::Failed);
        assert!(matches!(answer.await, Ok(Err(Refusal::Failed))));
        assert!(backup.await.expect("answered").is_err());
    });
}

#[test]
fn closing_writes_what_waits() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let answers: Vec<_> =
            (0..6_000).map(|_| bench.journal.submit(bench.message("a", "b")).expect("taken")).collect();
        bench.journal.close();
        assert_eq!(bench.journal.submit(bench.message("a", "b")).err(), Some(NotTaken::Closed));
        let first_outcome = bench.outcome(MessageKey(9));
        bench.journal.settle(first_outcome);
        let task = bench.start();
        assert_eq!(task.await.expect("ended"), Health::Closed);
        for answer in answers {
            assert!(matches!(answer.await, Ok(Ok(_))));
        }
        assert_eq!(bench.store.counts().messages, 6_000);
        let commits: Vec<_> = bench.seen().into_iter().filter(|seen| matches!(seen, Seen::Commit(_))).collect();
        assert_eq!(commits, [Seen::Commit(BATCH_ROWS_MAX), Seen::Commit(6_001 - BATCH_ROWS_MAX)]);
    });
}

#[test]
fn what_waits_is_bounded_in_rows_and_bytes() {
    simulate(async || {
        let mut bench = Bench::new(JournalLimits { rows_max: 3, bytes_max: 1024 * 1024 });
        for _ in 0..3 {
            bench.journal.submit(bench.message("a", "b")).expect("taken");
        }
        assert_eq!(bench.journal.submit(bench.message("a", "b")).err(), Some(NotTaken::Full));
        bench.journal.settle(bench.outcome(MessageKey(1)));
        assert_eq!(bench.journal.depth(), 4, "an outcome always has room");
        let task = bench.start();
        bench.journal.close();
        task.await.expect("ended");

        let mut bench = Bench::new(JournalLimits { rows_max: 1_000, bytes_max: 1024 * 1024 });
        let large = "x".repeat(400_000);
        let answers: Vec<_> =
            (0..2).map(|_| bench.journal.submit(bench.message("a", &large)).expect("taken")).collect();
        assert_eq!(bench.journal.submit(bench.message("a", &large)).err(), Some(NotTaken::Full));
        let task = bench.start();
        for answer in answers {
            answer.await.expect("answered").expect("done");
        }
        published(bench.journal.commit(bench.message("a", &large)).await);
        bench.journal.close();
        task.await.expect("ended");
    });
}

#[test]
fn a_large_message_is_a_batch_of_its_own_rather_than_none() {
    simulate(async || {
        let mut bench = Bench::new(JournalLimits { rows_max: 10, bytes_max: 256 * 1024 * 1024 });
        let large = "x".repeat(BATCH_BYTES_MAX + 1);
        let answers: Vec<_> = [&*large, "small", &*large]
            .map(|body| bench.journal.submit(bench.message("a", body)).expect("taken"))
            .into();
        let task = bench.start();
        bench.journal.close();
        task.await.expect("ended");
        for answer in answers {
            answer.await.expect("answered").expect("done");
        }
        let commits: Vec<_> = bench.seen().into_iter().filter(|seen| matches!(seen, Seen::Commit(_))).collect();
        assert_eq!(commits, [Seen::Commit(1), Seen::Commit(1), Seen::Commit(1)]);
    });
}

#[test]
fn the_store_is_tended_when_nothing_comes() {
    simulate(async || {
        let mut bench = Bench::new(LIMITS);
        let task = bench.start();
        let asked = AtomicUsize::new(0);
        while !bench.seen().contains(&Seen::Tended) {
            tokio::time::advance(Duration::from_millis(10)).await;
            tokio::task::yield_now().await;
            assert!(asked.fetch_add(1, Ordering::Relaxed) < 100, "never tended");
        }
        bench.journal.close();
        task.await.expect("ended");
    });
}

#[test]
fn a_change_weighs_what_it_carries() {
    let spec = EventTypeSpec { schemas: Some(serde_json::json!({ "1": "x".repeat(10_000) })), ..Default::default() };
    let weight =
        |change: Change| Command::Change(Box::new(ChangeRequest { at: 0, idempotency: None, change })).weight();
    let env = EnvKey(1);
    let types: Vec<_> = (0..100).map(|number| (format!("a.b{number}"), spec.clone())).collect();
    let imported = weight(Change::ImportEventTypes { env, types, replace_all: false });
    assert!((1_000_000..1_100_000).contains(&imported), "{imported}");
    let put = weight(Change::PutEventType { env, name: "a".into(), spec });
    assert!((10_000..20_000).contains(&put), "{put}");
}
