//! The task over the embedded store, some of whose slices fail.

use std::sync::Arc;

use super::*;
use crate::dispatch::ownership::BootClock;
use crate::metrics::Metrics;
use crate::model::{AppConfig, ApplicationSpec, EndpointSpec, EnvKey, Envelope, SecretBytes, SlotSet, TaskAsk};
use crate::store::StoreWriter;
use crate::store::command::{Change, ChangeRequest, Changed, NewTask, Publish, Raised, Reply};
use crate::store::journal::{JournalLimits, Observer};
use crate::store::seal::Sealer;
use crate::store::sqlite::{SqliteOptions, SqliteReader, SqliteWriter, prepare};

const NOW: UnixMs = 1_760_000_000_000;

struct Later;

impl Clock for Later {
    fn now_ms(&self) -> UnixMs {
        NOW + 10 * DAY_MS
    }
}

struct Nobody;

impl Observer for Nobody {
    fn forming(&self, _: &mut [Command]) {}
    fn committed(&self, _: Vec<Command>, _: &[Reply], _: Vec<Raised>) {}
    fn lost_outcome(&self, _: Command) {}
}

fn change(writer: &mut SqliteWriter, change: Change) -> Changed {
    let request = ChangeRequest { at: NOW, idempotency: None, change };
    match writer.commit(&[Command::Change(Box::new(request))]).expect("committed").remove(0) {
        Ok(Done::Changed(changed)) => *changed,
        other => panic!("{other:?}"),
    }
}

/// A store with a recovery that has begun, and a message whose bytes have expired.
fn fill(writer: &mut SqliteWriter) {
    let (env, spec) = (EnvKey(1), ApplicationSpec::default());
    let made = change(writer, Change::CreateApplication { env, uid: None, spec, get_if_exists: false });
    let Changed::Application(app, true) = made else { panic!("{made:?}") };
    let spec = Box::new(EndpointSpec { url: "http://a.example/".into(), ..EndpointSpec::default() });
    let secret = SecretBytes::new(vec![1; 24]);
    let made = change(writer, Change::CreateEndpoint { app: app.key(), uid: None, spec, secret });
    let Changed::Endpoint(endpoint, _) = made else { panic!("{made:?}") };
    change(writer, NewTask::to(env, (app.key(), endpoint.key()), TaskAsk::Recover, (0, NOW)).into_change());
    let config = Arc::new(AppConfig { app, endpoints: vec![endpoint] });
    let publish = Publish {
        routes: Vec::new(),
        config,
        only: None,
        envelope: Envelope { event_type: "a.b".into(), ..Envelope::default() },
        payload: bytes::Bytes::from_static(b"{}"),
        payload_days: 1,
        idempotency: None,
        inbound: None,
        at: NOW,
    };
    writer.commit(&[Command::Publish(Box::new(publish))]).expect("committed")[0].as_ref().expect("published");
}

#[tokio::test]
async fn a_kind_of_work_that_fails_does_not_keep_the_others_from_their_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let sealer = Arc::new(Sealer::new(&[7; 32]));
    let options = SqliteOptions { folder: folder.path().to_owned(), wal_bytes_max: 64 << 20, sealer };
    prepare(&options).expect("prepared");
    fill(&mut SqliteWriter::open(&options, 10, NOW).expect("a writer"));
    let connection = rusqlite::Connection::open(options.file()).expect("open");
    connection
        .execute_batch(
            "CREATE TRIGGER poison BEFORE UPDATE ON background_task BEGIN SELECT raise(ABORT, 'poison'); END",
        )
        .expect("a trigger");
    let payloads = || connection.query_row("SELECT count(*) FROM payload", [], |row| row.get::<_, i64>(0));
    assert_eq!(payloads(), Ok(1));

    let limits = JournalLimits { rows_max: 1_000, bytes_max: 1 << 20 };
    let clock: Arc<dyn Clock> = Arc::new(Later);
    let (journal, task) = Journal::new(limits, Arc::new(Metrics::new()), Arc::clone(&clock));
    let queries = Arc::new(SqliteReader::open(options.clone()));
    let thread = std::thread::spawn(move || {
        let mut writer = SqliteWriter::open(&options, 10, NOW).expect("a writer");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(task.run(&mut writer, &Nobody))
    });
    let retention = Retention::default();
    let ownership = Ownership::none(BootClock);
    let own = Arc::clone(&ownership);
    let maintainer = Maintainer { journal: journal.clone(), queries, clock, retention, ownership };
    let left = maintainer.round(&mut Pace::default(), true, &mut false).await;
    assert!(matches!(left, Ok(false)), "the slot is not held: {left:?}");
    assert_eq!(payloads(), Ok(1));
    own.begin(1, i64::MAX - 1);
    own.hold(&SlotSet::FULL);
    let failed = maintainer.round(&mut Pace::default(), true, &mut false).await;
    assert!(matches!(failed, Ok(false)), "the task whose slice fails rests: {failed:?}");
    assert_eq!(payloads(), Ok(0), "the recovery comes first, and has failed");
    journal.close();
    thread.join().expect("ended");
}
