//! One suite for every engine: what a store must do, as [`Fixture`] sees it from outside.
//!
//! [`check`] runs a test on each engine, newly made. A test that closes and opens its store again
//! (`reopen`) proves on an engine with a disk that nothing lived in memory only.

mod configuration;
mod health;
mod maintenance;
mod publish;
mod settle;
mod traffic;

use std::sync::Arc;

use bytes::Bytes;

use super::command::{
    AttemptRecord, Became, Change, ChangeRequest, Changed, Command, Done, EndpointPatch, HealthStep, Idempotency,
    Publish, Refusal, Reply, Settle,
};
use super::memory::MemoryStore;
use super::postgres::{self, PgOptions, PgReader, PgWriter};
use super::seal::Sealer;
use super::sqlite::{SqliteOptions, SqliteReader, SqliteWriter, prepare};
use super::{StoreReader, StoreWriter};
use crate::model::routing::route;
use crate::model::{
    AppConfig, ApplicationSpec, DeliveryKey, Endpoint, EndpointKey, EndpointSpec, EnvKey, Envelope, Message,
    MessageKey, Next, Outcome, OutcomeKind, Parked, Pending, SecretBytes, SlotSet, Taken, Trigger, UnixMs, Waiting,
    slot_of,
};

pub(super) const NOW: UnixMs = 1_760_000_000_000;
pub(super) const ENV: EnvKey = EnvKey(1);
/// The bound on endpoints of one application that stores are opened with here.
pub(super) const ENDPOINTS_MAX: usize = 5;

/// Runs a test on every engine.
#[expect(clippy::needless_pass_by_value, reason = "tests are closures written in place")]
fn check<T: AsyncFn(&mut Fixture)>(test: T) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for kind in [Kind::Memory, Kind::Sqlite, Kind::Postgres] {
        println!("on {kind:?}");
        runtime.block_on(async { test(&mut Fixture::new(kind)).await });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

enum Engine {
    Memory(MemoryStore),
    /// With the folder, which goes when the test ends.
    Sqlite(SqliteOptions, #[expect(dead_code, reason = "kept for its drop")] tempfile::TempDir),
    /// A database of its own.
    Postgres(Box<PgOptions>),
}

/// A store with what tests do all the time.
pub(super) struct Fixture {
    engine: Engine,
    /// `None` only while the store is opened again.
    writer: Option<Box<dyn StoreWriter>>,
    pub(super) reader: Arc<dyn StoreReader>,
    pub(super) now: UnixMs,
}

pub(super) fn options(folder: &std::path::Path) -> SqliteOptions {
    SqliteOptions {
        folder: folder.to_owned(),
        wal_bytes_max: 64 * 1024 * 1024,
        sealer: Arc::new(Sealer::new(&[7; 32])),
    }
}

impl Fixture {
    pub(super) fn new(kind: Kind) -> Self {
        let engine = match kind {
            Kind::Memory => Engine::Memory(MemoryStore::with_endpoints_max(7, ENDPOINTS_MAX)),
            Kind::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                Engine::Sqlite(options(folder.path()), folder)
            }
            Kind::Postgres => {
                let url = crate::test_postgres::shared().create_database();
                let sealer = Arc::new(Sealer::new(&[7; 32]));
                Engine::Postgres(Box::new(PgOptions::new(&url, None, sealer, 4).expect("options")))
            }
        };
        let (writer, reader) = engine.open(NOW);
        Self { engine, writer: Some(writer), reader, now: NOW }
    }

    /// Lets go of the store and opens it again.
    fn reopen(&mut self) {
        self.writer = None;
        let (writer, reader) = self.engine.open(self.now);
        self.writer = Some(writer);
        self.reader = reader;
    }

    pub(super) fn writer(&mut self) -> &mut dyn StoreWriter {
        &mut **self.writer.as_mut().expect("open")
    }

    pub(super) fn commit(&mut self, batch: &[Command]) -> Vec<Reply> {
        let replies = self.writer().commit(batch).expect("committed");
        assert_eq!(replies.len(), batch.len());
        replies
    }

    pub(super) fn one(&mut self, command: Command) -> Reply {
        self.commit(&[command]).remove(0)
    }

    pub(super) fn change(&mut self, change: Change) -> Result<Changed, Refusal> {
        match self.one(self.changing(change))? {
            Done::Changed(changed) => Ok(*changed),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn changing(&self, change: Change) -> Command {
        Command::Change(Box::new(ChangeRequest { at: self.now, idempotency: None, change }))
    }

    /// A new application with so many endpoints.
    pub(super) async fn app(&mut self, endpoints: usize) -> Arc<AppConfig> {
        let spec = ApplicationSpec { name: "one".into(), ..ApplicationSpec::default() };
        let made = self.change(Change::CreateApplication { env: ENV, uid: None, spec, get_if_exists: false });
        let Ok(Changed::Application(app, true)) = made else { panic!("{made:?}") };
        for i in 0..endpoints {
            let spec = EndpointSpec { url: format!("http://{i}.example/"), ..EndpointSpec::default() };
            self.endpoint(&app, None, spec).expect("an endpoint");
        }
        self.config(&app).await
    }

    pub(super) async fn config(&self, app: &crate::model::Application) -> Arc<AppConfig> {
        Arc::new(self.reader.app_config(app.key()).await.expect("read").expect("there"))
    }

    pub(super) fn endpoint(
        &mut self,
        app: &crate::model::Application,
        uid: Option<&str>,
        spec: EndpointSpec,
    ) -> Result<Arc<Endpoint>, Refusal> {
        let change = Change::CreateEndpoint {
            app: app.key(),
            uid: uid.map(str::to_owned),
            spec: Box::new(spec),
            secret: SecretBytes::new(b"0123456789abcdef01234567".to_vec()),
        };
        match self.change(change)? {
            Changed::Endpoint(endpoint, Became::New) => Ok(endpoint),
            other => panic!("{other:?}"),
        }
    }

    /// What `config` makes of a message of this body.
    pub(super) fn message(&self, config: &Arc<AppConfig>, body: impl Into<Bytes>) -> Publish {
        let envelope = Envelope {
            event_type: "invoice.paid".into(),
            event_id: None,
            channels: vec!["a".into(), "b".into()],
            tags: vec!["t".into()],
            deliver_at: None,
            content_type: None,
        };
        Publish {
            config: Arc::clone(config),
            routes: route(config, &envelope.event_type, &envelope.channels),
            envelope,
            payload: body.into(),
            payload_days: 30,
            only: None,
            idempotency: None,
            inbound: None,
            at: self.now,
        }
    }

    /// Publishes a message that must be new.
    pub(super) fn publish(&mut self, publish: Publish) -> MessageKey {
        published(self.one(Command::Publish(Box::new(publish))))
    }

    pub(super) async fn read(&self, key: MessageKey) -> Option<Message> {
        self.reader.messages(&[key]).await.expect("read").pop()
    }

    pub(super) async fn pending(&self) -> Vec<Pending> {
        self.reader.pending(&SlotSet::FULL, None, 1_000).await.expect("read")
    }

    pub(super) async fn waiting(&self, endpoint: EndpointKey) -> Vec<Waiting> {
        self.reader.waiting(endpoint, None, 1_000).await.expect("read")
    }

    /// What is set aside, by endpoint and message.
    pub(super) fn parked(&self) -> Vec<(DeliveryKey, Parked)> {
        match &self.engine {
            Engine::Memory(store) => store.all_parked(),
            Engine::Sqlite(options, _) => {
                let connection = rusqlite::Connection::open(options.file()).expect("open");
                let mut rows = connection
                    .prepare("SELECT endpoint, message, state FROM parked ORDER BY endpoint, message")
                    .expect("sql");
                let read = |row: &rusqlite::Row<'_>| {
                    let key = DeliveryKey { endpoint: EndpointKey(row.get(0)?), message: MessageKey(row.get(1)?) };
                    let code: i64 = row.get(2)?;
                    let all = [Parked::Failed, Parked::Held, Parked::Quarantined, Parked::Cancelled];
                    Ok((key, all.into_iter().find(|parked| parked.code() == code).expect("a state")))
                };
                rows.query_map([], read).expect("read").collect::<Result<_, _>>().expect("rows")
            }
            Engine::Postgres(options) => {
                let all = [Parked::Failed, Parked::Held, Parked::Quarantined, Parked::Cancelled];
                let rows = postgres::numbers(
                    options,
                    "SELECT endpoint, message, state FROM parked ORDER BY endpoint, message",
                );
                let read = |row: &Vec<i64>| {
                    let key = DeliveryKey { endpoint: EndpointKey(row[0]), message: MessageKey(row[1]) };
                    (key, all.into_iter().find(|parked| parked.code() == row[2]).expect("a state"))
                };
                rows.iter().map(read).collect()
            }
        }
    }

    /// Message, kind and trigger of all attempts, in order.
    pub(super) fn attempts(&self) -> Vec<(MessageKey, OutcomeKind, Trigger)> {
        match &self.engine {
            Engine::Memory(store) => {
                store.all_attempts().into_iter().map(|a| (a.message, a.outcome.kind, a.trigger)).collect()
            }
            Engine::Sqlite(options, _) => {
                let connection = rusqlite::Connection::open(options.file()).expect("open");
                let mut rows =
                    connection.prepare("SELECT message, kind, manual FROM attempt ORDER BY key").expect("sql");
                let read = |row: &rusqlite::Row<'_>| {
                    let kind = OutcomeKind::from_code(row.get(1)?).expect("a kind");
                    Ok((MessageKey(row.get(0)?), kind, Trigger::from_code(row.get(2)?)))
                };
                rows.query_map([], read).expect("read").collect::<Result<_, _>>().expect("rows")
            }
            Engine::Postgres(options) => {
                let rows = postgres::numbers(options, "SELECT message, kind, manual FROM attempt ORDER BY key");
                let read = |row: &Vec<i64>| {
                    let kind = OutcomeKind::from_code(u8::try_from(row[1]).expect("a code")).expect("a kind");
                    (MessageKey(row[0]), kind, Trigger::from_code(row[2]))
                };
                rows.iter().map(read).collect()
            }
        }
    }
}

impl Engine {
    fn open(&self, now: UnixMs) -> (Box<dyn StoreWriter>, Arc<dyn StoreReader>) {
        match self {
            Self::Memory(store) => (Box::new(store.writer()), Arc::new(store.clone())),
            Self::Sqlite(options, _) => {
                prepare(options).expect("prepared");
                let writer = SqliteWriter::open(options, ENDPOINTS_MAX, now).expect("a writer");
                (Box::new(writer), Arc::new(SqliteReader::open(options.clone())))
            }
            Self::Postgres(options) => {
                postgres::prepare(options);
                let standing = Arc::new(postgres::sole_standing(options));
                (
                    Box::new(PgWriter::new((**options).clone(), standing, ENDPOINTS_MAX)),
                    Arc::new(PgReader::new(options)),
                )
            }
        }
    }
}

#[track_caller]
pub(super) fn published(reply: Reply) -> MessageKey {
    match reply {
        Ok(Done::Published(published)) => MessageKey(published.id.key),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(reply: Reply) -> Refusal {
    reply.expect_err("refused")
}

pub(super) fn key(name: &str, body: &str, auto: bool) -> Idempotency {
    let sealer = Sealer::new(&[7; 32]);
    let (hash, fingerprint) = (sealer.keyed_hash(&[name.as_bytes()]), sealer.keyed_hash(&[body.as_bytes()]));
    Idempotency { hash: hash[..16].try_into().expect("16"), fingerprint: fingerprint[..8].try_into().expect("8"), auto }
}

pub(super) fn outcome(kind: OutcomeKind, at: UnixMs) -> AttemptRecord {
    let status = if kind == OutcomeKind::Success { 200 } else { 500 };
    let body = Bytes::from_static(b"answer");
    AttemptRecord { outcome: Outcome { status, body, ..Outcome::without_answer(kind, at, 3) }, url_id: 1 }
}

/// The result of one scheduled attempt of a pending delivery.
pub(super) fn settled(config: &AppConfig, message: MessageKey, next: Next, at: UnixMs) -> Settle {
    let kind = if next == Next::Done { OutcomeKind::Success } else { OutcomeKind::Status };
    Settle {
        app: config.app.key(),
        endpoint: config.endpoints[0].key(),
        message,
        taken: Taken::Pending,
        trigger: Trigger::Scheduled,
        tenure: 0,
        attempt: Some(outcome(kind, at)),
        next,
        health: None,
        tell: None,
        at,
    }
}
