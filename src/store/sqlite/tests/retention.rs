//! What is too old, or was deleted, goes with every row of it; nothing else does, and the file's
//! room is used again.

use std::io::Read as _;

use super::*;
use crate::model::{AppKey, EndpointKey, EnvironmentKind, Key, SlotSet, TaskAsk};
use crate::store::command::{AccessChange, EndpointPatch, NewTask};
use crate::store::query::{AttemptFilter, AttemptsOf, MessageFilter, Order, Page, StoreQueries};

const DAY_MS: i64 = 86_400_000;
const TABLES: [&str; 8] = [
    "message",
    "payload",
    "pending",
    "attempt",
    "message_by_app",
    "attempt_by_message",
    "attempt_by_endpoint",
    "endpoint_hour",
];

/// Publishes `count` messages over all applications and delivers them.
fn grow(store: &mut Store, configs: &[Arc<AppConfig>], count: usize, body: usize) -> Vec<MessageKey> {
    let mut all = Vec::new();
    for first in (0..count).step_by(500) {
        let of = |i: usize| &configs[(first + i) % configs.len()];
        let size = 500.min(count - first);
        let publish = |i: usize| {
            let mut publish = store.message(of(i));
            publish.payload = vec![b'p'; body + i % 7].into();
            Command::Publish(Box::new(publish))
        };
        let batch: Vec<_> = (0..size).map(publish).collect();
        let keys: Vec<_> = store.commit(&batch).iter().map(published).collect();
        let outcomes: Vec<_> = keys.iter().enumerate().map(|(i, key)| store.success(of(i), *key)).collect();
        store.commit(&outcomes);
        store.now += 1_000;
        all.extend(keys);
    }
    all
}

/// All that retention does, with these days for attempts and messages.
fn retain(store: &mut Store, attempt_days: i64, message_days: i64, rows: usize) {
    let (attempts, messages) = (store.now - attempt_days * DAY_MS, store.now - message_days * DAY_MS);
    for work in [
        Work::Payloads,
        Work::Attempts { before: attempts },
        Work::Hours { before: attempts },
        Work::Messages { before: messages },
        Work::Leftovers { before: messages },
    ] {
        store.maintain(work, rows);
    }
}

fn counts(store: &Store) -> [i64; 8] {
    TABLES.map(|table| store.count(table))
}

async fn messages_of(store: &Store, app: AppKey) -> Vec<Key> {
    let page = Page { after: None, order: Order::Ascending, limit: 250 };
    let rows = store.reader.messages_of(app, page, MessageFilter::default()).await.expect("read");
    rows.rows.iter().map(|message| message.id.key).collect()
}

async fn attempts_of(store: &Store, endpoint: EndpointKey) -> Vec<Key> {
    let page = Page { after: None, order: Order::Ascending, limit: 250 };
    let of = AttemptsOf::Endpoint(endpoint);
    let rows = store.reader.attempts(of, page, AttemptFilter::default()).await.expect("read");
    rows.rows.iter().map(|(attempt, _)| attempt.message.key).collect()
}

#[tokio::test]
async fn what_is_too_old_goes_and_what_is_not_stays() {
    let mut store = Store::new();
    let configs: Vec<_> = (0..7).map(|_| store.app()).collect();
    grow(&mut store, &configs, 700, 300);
    store.tend_to_the_end();
    store.now += 60 * DAY_MS;
    let kept: Vec<_> = grow(&mut store, &configs, 70, 300);
    let before = counts(&store);
    retain(&mut store, 90, 90, 33);
    assert_eq!(counts(&store), before, "nothing is that old yet");
    store.now += 31 * DAY_MS;
    retain(&mut store, 90, 90, 33);
    // Those of the last 70 are in the tails: the indexes hold nothing of them yet.
    assert_eq!(counts(&store), [70, 70, 0, 70, 0, 0, 0, 0]);
    for (i, config) in configs.iter().enumerate() {
        let own: Vec<_> = kept.iter().map(|key| key.0).skip(i).step_by(configs.len()).collect();
        assert_eq!(messages_of(&store, config.app.key()).await, own);
        assert_eq!(attempts_of(&store, config.endpoints[0].key()).await, own);
    }
    let mut store = store.crashed();
    store.tend_to_the_end();
    assert_eq!(counts(&store)[..7], [70, 70, 0, 70, 70, 70, 70]);
    store.now += 100 * DAY_MS;
    retain(&mut store, 90, 90, 1_000);
    assert_eq!(counts(&store), [0; 8]);
    let key = published(&store.commit(&[Command::Publish(Box::new(store.message(&configs[0])))])[0]);
    assert!(key.0 > kept[69].0, "keys rise although all rows are gone");
}

#[tokio::test]
async fn rows_behind_a_watermark_stay_until_their_entries_are_written() {
    let mut store = Store::new();
    let config = store.app();
    grow(&mut store, std::slice::from_ref(&config), 100, 10);
    store.now += 200 * DAY_MS;
    store.maintain(Work::Attempts { before: store.now }, 50);
    store.maintain(Work::Messages { before: store.now }, 50);
    assert_eq!((store.count("attempt"), store.count("message")), (100, 100));
    store.tend_to_the_end();
    store.maintain(Work::Attempts { before: store.now }, 50);
    store.maintain(Work::Messages { before: store.now }, 50);
    assert_eq!(counts(&store)[..7], [0; 7]);
}

#[tokio::test]
async fn each_kind_has_its_own_days_and_a_crash_on_the_way_does_no_harm() {
    let mut store = Store::new();
    let config = store.app();
    let keys = grow(&mut store, std::slice::from_ref(&config), 1_000, 300);
    store.tend_to_the_end();
    store.now += 40 * DAY_MS;
    let slice = Maintenance { at: store.now, work: Work::Attempts { before: store.now - 30 * DAY_MS }, rows: 600 };
    // The first gathers all but nothing is complete; after the crash it is begun anew.
    for _ in 0..2 {
        store.commit(&[Command::Maintain(slice)]);
    }
    assert!((1..1_000).contains(&store.count("attempt_by_message")), "a removal is under way");
    let mut store = store.crashed();
    retain(&mut store, 30, 90, 250);
    assert_eq!(counts(&store), [1_000, 1_000, 0, 0, 1_000, 0, 0, 0]);
    assert_eq!(messages_of(&store, config.app.key()).await.len(), 250);
    store.now += 51 * DAY_MS;
    store.maintain(Work::Payloads, 100);
    assert_eq!((store.count("payload"), store.count("message")), (0, 1_000));
    let found = store.reader.messages_of(
        config.app.key(),
        Page { after: None, order: Order::Ascending, limit: 1 },
        MessageFilter { with_content: true, ..MessageFilter::default() },
    );
    let found = found.await.expect("read").rows.remove(0);
    assert_eq!((found.id.key, found.payload), (keys[0].0, None));
}

#[test]
fn a_slice_that_is_rolled_back_is_done_again() {
    let mut store = Store::new();
    let [kept, gone] = [0; 2].map(|_| store.app());
    grow(&mut store, &[Arc::clone(&kept), Arc::clone(&gone)], 400, 10);
    store.tend_to_the_end();
    store.now += 100 * DAY_MS;
    let (app, endpoint) = (gone.app.key(), gone.endpoints[0].key());
    store.change(Change::DeleteEndpoint { app, endpoint });
    store.poison("abort");
    let works = [Work::Purge, Work::Attempts { before: store.now }, Work::Messages { before: store.now }];
    for work in works {
        // Each time some of it is done for good, and some is taken back.
        for _ in 0..3 {
            let slice = || Command::Maintain(Maintenance { at: store.now, work, rows: 90 });
            let (done, undone) = (slice(), slice());
            let poisoned = store.poisoned(&kept);
            store.commit(&[done]);
            store.writer.commit(&[undone, poisoned]).expect_err("poisoned");
        }
        store.maintain(work, 90);
    }
    assert_eq!(counts(&store)[2..7], [0; 5]);
    assert_eq!((store.count("message"), store.count("payload")), (0, 0));
}

#[test]
fn operational_webhooks_are_kept_as_long_as_other_messages() {
    let mut store = Store::new();
    store.writer = store.writer.keeping_own_payloads(7);
    let Changed::Environment(made) = store.change(Change::Access(AccessChange::CreateEnvironment {
        name: "test".into(),
        kind: EnvironmentKind::Production,
    })) else {
        panic!("no environment")
    };
    let sql = "SELECT key FROM application WHERE kind = 1";
    let own = AppKey(store.writer.connection.query_row(sql, [], |row| row.get(0)).expect("its own"));
    let endpoint = |app| Change::CreateEndpoint {
        app,
        uid: None,
        spec: Box::new(EndpointSpec { url: "http://a.example/".into(), ..EndpointSpec::default() }),
        secret: SecretBytes::new(SECRET.to_vec()),
    };
    store.change(endpoint(own));
    let (env, spec) = (EnvKey(made.id.key), ApplicationSpec::default());
    let made = store.change(Change::CreateApplication { env, uid: None, spec, get_if_exists: false });
    let Changed::Application(app, true) = made else { panic!("{made:?}") };
    store.change(endpoint(app.key()));
    assert_eq!((store.count("message"), store.count("payload")), (1, 1), "that the endpoint was made is told");
    store.now += 7 * DAY_MS;
    store.maintain(Work::Payloads, 10);
    assert_eq!(store.count("payload"), 1);
    store.now += 2 * DAY_MS;
    store.maintain(Work::Payloads, 10);
    assert_eq!((store.count("message"), store.count("payload")), (1, 0));
}

#[tokio::test]
async fn a_message_lives_from_when_it_was_due() {
    let mut store = Store::new();
    let config = store.app();
    let due = store.now + 80 * DAY_MS;
    let mut publish = store.message(&config);
    publish.envelope.deliver_at = Some(due);
    publish.payload_days = 1;
    let later = published(&store.commit(&[Command::Publish(Box::new(publish))])[0]);
    grow(&mut store, std::slice::from_ref(&config), 10, 10);
    store.tend_to_the_end();
    store.now += 79 * DAY_MS;
    retain(&mut store, 5, 5, 3);
    assert_eq!(messages_of(&store, config.app.key()).await, [later.0]);
    assert_eq!((store.count("payload"), store.count("waiting")), (1, 1), "payloads go with their messages");
    store.now = due + 3 * DAY_MS;
    retain(&mut store, 5, 5, 3);
    assert_eq!((store.count("payload"), store.count("message")), (0, 1), "its one day is over");
    store.now = due + 6 * DAY_MS;
    retain(&mut store, 5, 5, 3);
    assert_eq!(store.count("message"), 0);
}

#[tokio::test]
async fn what_is_left_of_a_message_goes_with_it() {
    let mut store = Store::new();
    let (config, other) = (store.app(), store.app());
    let endpoint = config.endpoints[0].key();
    let publish =
        [Command::Publish(Box::new(store.message(&config))), Command::Publish(Box::new(store.message(&config)))];
    let keys: Vec<_> = store.commit(&publish).iter().map(published).collect();
    let Command::Settle(mut failed) = store.success(&config, keys[0]) else { panic!("no settle") };
    failed.next = Next::Park(crate::model::Parked::Failed);
    store.commit(&[Command::Settle(failed)]);
    for run in 1..=2 {
        let sql = "INSERT INTO idempotency_run (run, kind, up_to, expires_at, filter) VALUES (?1, 2, ?2, ?3, x'')";
        let up_to = keys[1].0 + (run - 1) * (1 << 40);
        store.writer.connection.execute(sql, rusqlite::params![run, up_to, i64::MAX]).expect("a run");
        let sql = "INSERT INTO idempotency_entry (run, hash, message) VALUES (?, 5, ?)";
        store.writer.connection.execute(sql, rusqlite::params![run, up_to]).expect("an entry");
    }
    let mut store = store.crashed();
    store.tend_to_the_end();
    store.now += 50 * DAY_MS;
    let kept = grow(&mut store, &[other], 5, 10);
    store.tend_to_the_end();
    let slice = Maintenance { at: store.now, work: Work::Messages { before: store.now - 40 * DAY_MS }, rows: 100 };
    let Ok(Done::Maintained(done)) = store.commit(&[Command::Maintain(slice)]).remove(0) else { panic!("no slice") };
    let withdrawn: Vec<_> = done.withdrawn.iter().map(|pending| (pending.message, pending.endpoint)).collect();
    assert_eq!(withdrawn, [(keys[1], endpoint)], "lanes are told of what was pending");
    retain(&mut store, 40, 40, 100);
    store.tend_to_the_end();
    assert_eq!((store.count("parked"), store.count("pending"), store.count("message")), (0, 0, kept.len() as i64));
    assert_eq!(store.count("idempotency_run"), 1, "the newest run stays");
    assert_eq!(store.count("idempotency_entry"), 1);
}

#[tokio::test]
async fn rows_of_what_was_deleted_go_and_no_others() {
    let mut store = Store::new();
    let [gone, bereft, kept] = [0; 3].map(|_| store.app());
    let configs = [Arc::clone(&gone), Arc::clone(&bereft), Arc::clone(&kept)];
    grow(&mut store, &configs, 3_000, 100);
    let (app, endpoint) = (bereft.app.key(), bereft.endpoints[0].key());
    store.change(Change::DeleteApplication { app: gone.app.key() });
    store.change(Change::DeleteEndpoint { app, endpoint });
    let urls = store.count("endpoint_url");
    store.maintain(Work::Purge, 100);
    assert_eq!(store.count("attempt"), 3_000, "the indexes are not filled yet");
    assert_eq!(store.count("purge"), 3);
    // What was in flight at the deletion is recorded late.
    let late = store.success(&gone, MessageKey(5));
    store.commit(&[late]);
    let mut store = store.crashed();
    store.now += 30_000;
    store.tend_to_the_end();
    let (_, slices) = store.maintain(Work::Purge, 100);
    assert!(slices >= 40, "{slices} slices");
    store.now += 600_000;
    store.maintain(Work::Purge, 100);
    assert_eq!(store.count("purge"), 0);
    assert_eq!(counts(&store)[..7], [2_000, 2_000, 0, 1_000, 2_000, 1_000, 1_000]);
    assert_eq!(store.count("endpoint_url"), urls - 2);
    assert_eq!(messages_of(&store, app).await.len(), 250);
    assert!(attempts_of(&store, endpoint).await.is_empty());
    assert_eq!(attempts_of(&store, kept.endpoints[0].key()).await.len(), 250);
}

#[test]
fn a_crash_in_the_middle_of_a_purge_leaves_nothing_behind() {
    let mut store = Store::new();
    let (gone, kept) = (store.app(), store.app());
    grow(&mut store, &[Arc::clone(&gone)], 300, 10);
    let (app, endpoint) = (gone.app.key(), gone.endpoints[0].key());
    let patch = EndpointPatch { url: Some("http://b.example/".into()), ..EndpointPatch::default() };
    store.change(Change::PatchEndpoint { app, endpoint, patch: Box::new(patch) });
    grow(&mut store, &[kept], 10, 10);
    store.tend_to_the_end();
    store.change(Change::DeleteApplication { app });
    store.now += 600_000;
    store.tend_to_the_end();
    // A crash behind each slice: none has anything in memory of the one before.
    let mut crashes = 0;
    while store.count("purge") > 0 {
        let slice = Maintenance { at: store.now, work: Work::Purge, rows: 100 };
        for _ in 0..crashes % 40 {
            store.commit(&[Command::Maintain(slice)]);
        }
        store = store.crashed();
        crashes += 1;
        assert!(crashes < 200, "it does not end");
    }
    assert!(crashes > 5, "{crashes} crashes");
    assert_eq!(counts(&store)[..7], [10, 10, 0, 10, 10, 10, 10]);
    assert_eq!(store.count("endpoint_url"), 1);
}

#[test]
fn a_task_goes_some_time_after_it_ended_and_one_that_cannot_go_on_has_failed() {
    let mut store = Store::new();
    let (damaged, sound) = (store.app(), store.app());
    let recover = |config: &AppConfig| {
        let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
        NewTask::to(config.app.env, (app, endpoint), TaskAsk::Recover, (0, NOW)).into_change()
    };
    for config in [&damaged, &sound] {
        store.change(recover(config));
    }
    let spoil = "UPDATE endpoint SET secret = x'00' WHERE key = ?";
    store.writer.connection.execute(spoil, [damaged.endpoints[0].key().0]).expect("spoilt");
    store.maintain(Work::RunTasks { slots: SlotSet::FULL }, 10);
    assert_eq!(store.count("background_task WHERE status = 2"), 1, "its endpoint cannot be read");
    assert_eq!(store.count("background_task WHERE status = 1"), 1);
    store.now += 8 * DAY_MS;
    store.change(recover(&sound));
    let week = Work::Tasks { before: store.now - 7 * DAY_MS };
    assert_eq!(store.maintain(week, 10).0, 2);
    store.now += 8 * DAY_MS;
    assert_eq!(store.maintain(Work::Tasks { before: store.now }, 10).0, 0, "it has not ended");
    assert_eq!(store.count("background_task"), 1);
    let counted = "EXPLAIN QUERY PLAN SELECT count(*) FROM background_task WHERE status <> 0 AND updated_at < 5";
    let plan: String = store.writer.connection.query_row(counted, [], |row| row.get(3)).expect("a plan");
    assert!(plan.contains("background_task_ended"), "{plan}");
}

#[test]
fn the_file_does_not_grow_while_what_comes_replaces_what_goes() {
    let mut store = Store::new();
    let configs: Vec<_> = (0..40).map(|_| store.app()).collect();
    let mut pages = Vec::new();
    for _ in 0..6 {
        grow(&mut store, &configs, 6_000, 700);
        store.tend_to_the_end();
        store.now += 95 * DAY_MS;
        retain(&mut store, 90, 90, 500);
        assert_eq!(store.count("message") + store.count("attempt") + store.count("payload"), 0);
        let count: i64 =
            store.writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("counted");
        pages.push(count);
    }
    let [first, .., last] = pages[..] else { panic!("rounds") };
    assert!(last * 100 <= first * 105, "{pages:?}");
}

#[test]
fn deleted_content_is_overwritten_in_the_file() {
    let mut store = Store::new();
    let config = store.app();
    let (small, large) = (b"OVERWRITE-ME-SMALL".to_vec(), b"OVERWRITE-ME-LARGE".repeat(2_000));
    let answer = b"OVERWRITE-ME-ANSWER".repeat(1_000);
    let publish = |body: &Vec<u8>| {
        let mut publish = store.message(&config);
        publish.payload = body.clone().into();
        Command::Publish(Box::new(publish))
    };
    let batch: Vec<_> = [&small, &large, &b"stays".to_vec()].map(publish).into();
    let keys: Vec<_> = store.commit(&batch).iter().map(published).collect();
    let Command::Settle(mut settle) = store.success(&config, keys[2]) else { panic!("no settle") };
    if let Some(record) = &mut settle.attempt {
        record.outcome.body = answer.into();
    }
    store.commit(&[Command::Settle(settle)]);
    assert_eq!(marks_in_file(&store), (true, true, true));
    let app = config.app.key();
    for message in [keys[0], keys[1]] {
        store.change(Change::ExpungeMessage { app, message });
    }
    let attempt = store.writer.connection.query_row("SELECT key, nonce FROM attempt", [], |row| {
        Ok(crate::model::Id { key: row.get(0)?, nonce: row.get(1)? })
    });
    store.change(Change::ExpungeAttempt { message: keys[2], attempt: attempt.expect("an attempt") });
    assert_eq!(marks_in_file(&store), (false, false, false));
    assert_eq!((store.count("payload"), store.count("attempt"), store.count("message")), (1, 1, 3));
    let on: i64 = store.writer.connection.pragma_query_value(None, "secure_delete", |row| row.get(0)).expect("read");
    assert_eq!(on, 0, "what follows is not slowed down");
}

/// Whether the marks of the bodies are in the file, once the log is copied into it.
fn marks_in_file(store: &Store) -> (bool, bool, bool) {
    let copied = store.writer.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(copied.expect("a checkpoint"), 0);
    let mut file = Vec::new();
    let opened = std::fs::File::open(store.options.file()).expect("opens");
    opened.take(64 << 20).read_to_end(&mut file).expect("read");
    let holds = |mark: &[u8]| file.windows(mark.len()).any(|bytes| bytes == mark);
    (holds(b"OVERWRITE-ME-SMALL"), holds(b"OVERWRITE-ME-LARGE"), holds(b"OVERWRITE-ME-ANSWER"))
}
