//! What only the embedded engine does: lists over indexes that are filled later, keys that go to
//! the disk, rollbacks, crashes, backups, files.

mod counters;
mod crash;
mod cron;
mod deliveries;
mod files;
mod keys;
mod lists;
mod policy;
mod replays;
mod reseal;
mod retention;
mod sources;

use std::sync::Arc;

use tempfile::TempDir;

use super::{SqliteOptions, SqliteReader, SqliteWriter, prepare};
use crate::model::{
    AppConfig, ApplicationSpec, EndpointSpec, EnvKey, Envelope, MessageKey, Next, Outcome, OutcomeKind, SecretBytes,
    Taken, Trigger, UnixMs, routing,
};
use crate::store::command::{
    AttemptRecord, Became, Change, ChangeRequest, Changed, Command, Done, Idempotency, Publish, Reply, Settle,
};
use crate::store::maintenance::{Maintenance, Work};
use crate::store::seal::Sealer;
use crate::store::{CommitError, StoreWriter};

const NOW: UnixMs = 1_760_000_000_000;
const SECRET: &[u8; 24] = b"\x91kk-secret-of-an-endpoi\xfe";

/// A store in a folder of its own.
struct Store {
    options: SqliteOptions,
    writer: SqliteWriter,
    reader: SqliteReader,
    _folder: TempDir,
    now: UnixMs,
}

impl Store {
    fn new() -> Self {
        Self::with_log(64 * 1024 * 1024)
    }

    fn with_log(wal_bytes_max: u64) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), wal_bytes_max, NOW)
    }

    fn in_folder(folder: TempDir, wal_bytes_max: u64, now: UnixMs) -> Self {
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let options = SqliteOptions { folder: folder.path().to_owned(), wal_bytes_max, sealer };
        prepare(&options).expect("prepared");
        let writer = SqliteWriter::open(&options, 10, now).expect("a writer");
        let reader = SqliteReader::open(options.clone());
        Self { options, writer, reader, _folder: folder, now }
    }

    /// What a process would find that starts after this one was killed now.
    fn crashed(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // The log is copied second: what is moved from it to the file meanwhile is in both.
        for name in ["posthouse.db", "posthouse.db-wal"] {
            std::fs::copy(self.options.folder.join(name), folder.path().join(name)).expect("copied");
        }
        Self::in_folder(folder, self.options.wal_bytes_max, self.now)
    }

    /// From now on whatever is published as `poison` fails inside SQLite, in the given manner.
    fn poison(&self, manner: &str) {
        let sql = format!(
            "DROP TRIGGER IF EXISTS poison; CREATE TEMP TRIGGER poison BEFORE INSERT ON main.message
               WHEN new.event_type = 'poison' BEGIN SELECT raise({manner}, 'poison'); END"
        );
        self.writer.connection.execute_batch(&sql).expect("a trigger");
    }

    fn commit(&mut self, batch: &[Command]) -> Vec<Reply> {
        self.writer.commit(batch).expect("committed")
    }

    fn change(&mut self, change: Change) -> Changed {
        let command = Command::Change(Box::new(ChangeRequest { at: self.now, idempotency: None, change }));
        match self.commit(&[command]).remove(0) {
            Ok(Done::Changed(changed)) => *changed,
            other => panic!("{other:?}"),
        }
    }

    /// A new application with one endpoint.
    fn app(&mut self) -> Arc<AppConfig> {
        let (env, spec) = (EnvKey(1), ApplicationSpec::default());
        let made = self.change(Change::CreateApplication { env, uid: None, spec, get_if_exists: false });
        let Changed::Application(mut app, true) = made else { panic!("{made:?}") };
        let spec = Box::new(EndpointSpec { url: "http://a.example/".into(), ..EndpointSpec::default() });
        let secret = SecretBytes::new(SECRET.to_vec());
        let made = self.change(Change::CreateEndpoint { app: app.key(), uid: None, spec, secret });
        let Changed::Endpoint(endpoint, Became::New) = made else { panic!("{made:?}") };
        app.version += 1;
        Arc::new(AppConfig { app, endpoints: vec![endpoint] })
    }

    fn message(&self, config: &Arc<AppConfig>) -> Publish {
        let envelope = Envelope {
            event_type: "a.b".into(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            deliver_at: None,
            content_type: None,
        };
        Publish {
            config: Arc::clone(config),
            routes: routing::route(config, &envelope.event_type, &[]),
            envelope,
            payload: bytes::Bytes::from_static(b"{}"),
            payload_days: 90,
            only: None,
            idempotency: None,
            inbound: None,
            at: self.now,
        }
    }

    fn poisoned(&self, config: &Arc<AppConfig>) -> Command {
        let mut publish = self.message(config);
        publish.envelope.event_type = "poison".into();
        Command::Publish(Box::new(publish))
    }

    /// A successful attempt of a message's pending delivery.
    fn success(&self, config: &AppConfig, message: MessageKey) -> Command {
        let outcome = Outcome { status: 200, ..Outcome::without_answer(OutcomeKind::Success, self.now, 1) };
        let endpoint = &config.endpoints[0];
        Command::Settle(Box::new(Settle {
            app: config.app.key(),
            endpoint: endpoint.key(),
            message,
            taken: Taken::Pending,
            trigger: Trigger::Scheduled,
            tenure: 0,
            attempt: Some(AttemptRecord { outcome, url_id: endpoint.url_id }),
            next: Next::Done,
            health: None,
            tell: None,
            at: self.now,
        }))
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.writer.connection.query_row(&sql, [], |row| row.get(0)).expect("counted")
    }

    /// Slices of so many rows until there is no more of this work; how many rows went, and in how many slices.
    fn maintain(&mut self, work: Work, rows: usize) -> (usize, usize) {
        let mut all = (0, 0);
        loop {
            let slice = Maintenance { at: self.now, work, rows };
            let Ok(Done::Maintained(done)) = self.commit(&[Command::Maintain(slice)]).remove(0) else {
                panic!("no slice")
            };
            all = (all.0 + done.rows, all.1 + 1);
            if !done.more {
                return all;
            }
        }
    }

    fn tend_to_the_end(&mut self) {
        while self.writer.tend(self.now).expect("tended") {}
    }
}

/// The key of a message that must be new.
#[track_caller]
fn published(reply: &Reply) -> MessageKey {
    match reply {
        Ok(Done::Published(published)) => MessageKey(published.id.key),
        other => panic!("{other:?}"),
    }
}

fn with_key(publish: Publish, number: u64, body: u8, auto: bool) -> Command {
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    hash[8..].copy_from_slice(&number.to_le_bytes());
    let idempotency = Some(Idempotency { hash, fingerprint: [body; 8], auto });
    Command::Publish(Box::new(Publish { idempotency, ..publish }))
}
