//! Idempotency keys and event ids beyond memory.

use super::*;
use crate::model::TaskAsk;
use crate::store::command::{NewTask, Refusal};
use crate::store::idempotency::GENERATION;

const BATCH: usize = 4_000;

/// Publishes a message for each of these keys.
fn fill(store: &mut Store, config: &Arc<AppConfig>, keys: std::ops::Range<u64>, auto: bool) {
    let keys: Vec<u64> = keys.collect();
    for part in keys.chunks(BATCH) {
        let batch: Vec<_> = part.iter().map(|&key| with_key(store.message(config), key, 1, auto)).collect();
        assert!(store.commit(&batch).iter().all(|reply| matches!(reply, Ok(Done::Published(_)))));
        store.now += 1;
    }
}

/// A sample of keys is sent again: all are known, and with another body refused.
fn all_known(store: &mut Store, config: &Arc<AppConfig>, keys: impl Iterator<Item = u64>, auto: bool) {
    let keys: Vec<u64> = keys.collect();
    for part in keys.chunks(BATCH) {
        let batch: Vec<_> = part.iter().map(|&key| with_key(store.message(config), key, 1, auto)).collect();
        let unknown = store.commit(&batch).iter().filter(|reply| !matches!(reply, Ok(Done::Repeated(_)))).count();
        assert_eq!(unknown, 0, "from {}", part[0]);
    }
    let other = with_key(store.message(config), keys[0], 2, auto);
    assert!(matches!(store.commit(&[other])[0], Err(Refusal::IdempotencyMismatch)));
}

fn with_event(store: &Store, config: &Arc<AppConfig>, id: &str) -> Command {
    let mut publish = store.message(config);
    publish.envelope.event_id = Some(id.into());
    Command::Publish(Box::new(publish))
}

#[test]
fn keys_are_known_in_memory_on_the_disk_and_after_a_crash() {
    let mut store = Store::new();
    let config = store.app();
    let event = with_event(&store, &config, "event");
    published(&store.commit(&[event])[0]);
    let some = 20_000_u64;
    let all = 2 * GENERATION as u64 + some;
    fill(&mut store, &config, 0..all, false);
    assert!(store.count("idempotency_run") >= 2, "two generations went to the disk");
    assert!(store.count("idempotency_entry") >= GENERATION as i64);
    // A generation of event ids that is never full goes to the disk with time.
    let kinds = "(SELECT DISTINCT kind FROM idempotency_run)";
    assert_eq!(store.count(kinds), 2);
    all_known(&mut store, &config, (0..all).step_by(41), false);

    // Killed while a run of the other kind is half written.
    fill(&mut store, &config, all..all + GENERATION as u64 + 2 * BATCH as u64, true);
    let runs = store.count("idempotency_run");
    let mut crashed = store.crashed();
    let half_written =
        "(SELECT DISTINCT run FROM idempotency_entry WHERE run NOT IN (SELECT run FROM idempotency_run))";
    assert_eq!((crashed.count("idempotency_run"), crashed.count(half_written)), (runs, 1));
    all_known(&mut crashed, &config, (0..all).step_by(53), false);
    all_known(&mut crashed, &config, (all..all + GENERATION as u64).step_by(67), true);
    assert!(matches!(crashed.commit(&[with_event(&store, &config, "event")])[0], Err(Refusal::EventIdExists)));
    crashed.tend_to_the_end();
    assert_eq!(crashed.count(half_written), 0, "what is left of a half written run is swept");
    all_known(&mut crashed, &config, (all..all + GENERATION as u64).step_by(671), true);
    drop(crashed);

    // A day later all but the newest run of each kind is swept, by the commits themselves.
    store.now += 25 * 3_600_000;
    let later = store.now;
    fill(&mut store, &config, 0..5 * BATCH as u64, false);
    let swept_by_commits = store.count("idempotency_run");
    assert!(swept_by_commits < runs + 1, "{swept_by_commits} of {runs}");
    store.now = later;
    store.tend_to_the_end();
    assert_eq!(store.count("(SELECT kind FROM idempotency_run GROUP BY kind HAVING count(*) > 1)"), 0);
    assert!(matches!(store.commit(&[with_event(&store, &config, "event")])[0], Err(Refusal::EventIdExists)));
}

#[tokio::test]
async fn an_event_id_is_found_at_every_stage_without_reading_all_messages() {
    use crate::store::query::StoreQueries;
    const FLOOR: usize = 65_536;
    let mut store = Store::new();
    let config = store.app();
    let app = config.app.key();
    let tail = |store: &Store| {
        let connection = &store.writer.connection;
        let low = crate::store::sqlite::keys::event_tail(connection).expect("read");
        let sql = "SELECT count(*) FROM message WHERE key > ?";
        connection.query_row(sql, [low], |row| row.get::<_, i64>(0)).expect("counted") as usize
    };
    let plain = |store: &mut Store, messages: usize| {
        for _ in 0..messages / BATCH {
            let batch: Vec<_> = (0..BATCH).map(|_| Command::Publish(Box::new(store.message(&config)))).collect();
            published(&store.commit(&batch)[0]);
        }
    };
    let find = async |store: &Store, id: &str| {
        let found = store.reader.message_by_event_id(app, id, false).await.expect("read");
        found.map(|message| MessageKey(message.id.key))
    };

    // No event id at all: what is looked through stays short.
    plain(&mut store, 3 * FLOOR);
    assert!(tail(&store) <= FLOOR + BATCH, "{}", tail(&store));
    assert_eq!(find(&store, "unknown").await, None);

    let event = with_event(&store, &config, "event");
    let first = published(&store.commit(&[event])[0]);
    assert_eq!(find(&store, "event").await, Some(first), "in the tail");
    assert_eq!(find(&store.crashed(), "event").await, Some(first));
    plain(&mut store, 2 * FLOOR);
    assert!(tail(&store) > FLOOR, "the floor waits for the entry in memory");
    assert_eq!(find(&store, "event").await, Some(first), "behind the first floor");
    // It goes to the disk with time; a second one is then in the tail again.
    while store.count("idempotency_run") == 0 {
        plain(&mut store, FLOOR);
    }
    assert_eq!(find(&store, "event").await, Some(first), "in a run");
    plain(&mut store, FLOOR + BATCH);
    assert!(tail(&store) <= FLOOR + BATCH);
    let event = with_event(&store, &config, "second");
    let second = published(&store.commit(&[event])[0]);
    store.tend_to_the_end();
    for store in [&store, &store.crashed()] {
        assert_eq!(find(store, "event").await, Some(first));
        assert_eq!(find(store, "second").await, Some(second));
        assert_eq!(find(store, "third").await, None);
    }
}

#[test]
fn a_rollback_forgets_keys_event_ids_and_versions() {
    for manner in ["abort", "rollback"] {
        let mut store = Store::new();
        store.poison(manner);
        let (config, other) = (store.app(), store.app());
        let event = with_event(&store, &config, "event");
        let keyed = with_key(store.message(&config), 1, 1, false);
        let gone = Change::DeleteApplication { app: other.app.key() };
        let gone = Command::Change(Box::new(ChangeRequest { at: NOW, idempotency: None, change: gone }));
        let to_other = Command::Publish(Box::new(store.message(&other)));
        let error =
            store.writer.commit(&[event, keyed, gone, to_other, store.poisoned(&config)]).expect_err("poisoned");
        assert!(matches!(error, CommitError::Command(_)), "{manner}: {error}");
        assert_eq!(store.count("message"), 0);
        let event = with_event(&store, &config, "event");
        let keyed = with_key(store.message(&config), 1, 2, false);
        let to_other = Command::Publish(Box::new(store.message(&other)));
        let replies = store.commit(&[event, keyed, to_other]);
        let keys: Vec<_> = replies.iter().map(published).collect();
        assert!(keys.is_sorted());
        assert_eq!((store.count("message"), store.count("pending"), store.count("payload")), (3, 3, 3), "{manner}");
    }
}

#[test]
fn a_change_that_fails_inside_takes_its_batch_back_whole() {
    for manner in ["abort", "rollback"] {
        let mut store = Store::new();
        let config = store.app();
        let sql = format!(
            "CREATE TEMP TRIGGER poison BEFORE DELETE ON main.endpoint BEGIN SELECT raise({manner}, 'poison'); END"
        );
        store.writer.connection.execute_batch(&sql).expect("a trigger");
        let change = Change::DeleteApplication { app: config.app.key() };
        let change = Command::Change(Box::new(ChangeRequest { at: NOW, idempotency: None, change }));
        let publish = Command::Publish(Box::new(store.message(&config)));
        let error = store.writer.commit(&[publish, change]).expect_err("poisoned");
        assert!(
            error.to_string().contains("poison"),
            "{manner}: the first error is told, not what came of it: {error}"
        );
        let publish = Command::Publish(Box::new(store.message(&config)));
        published(&store.commit(&[publish])[0]);
        assert_eq!(store.count("message"), 1);
    }
}

#[test]
fn no_key_is_given_twice_whatever_was_made_last_and_whatever_the_clock_does() {
    let mut store = Store::new();
    let config = store.app();
    let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
    let token = Change::CreatePortalToken {
        session_id: None,
        env: EnvKey(1),
        target: crate::store::command::Target::Id(config.app.id),
        create: None,
        hash: [1; 32],
        capabilities: Vec::new(),
        feature_flags: Vec::new(),
        lifetime_ms: 1_000,
    };
    let recover = NewTask::to(EnvKey(1), (app, endpoint), TaskAsk::Recover, (0, NOW)).into_change();
    for last in [token, recover] {
        store.now += 1_000;
        let made = match store.change(last) {
            Changed::PortalToken(token, None) => token.id.key,
            Changed::Task(task) => task.id.key,
            other => panic!("{other:?}"),
        };
        let mut earlier = store.crashed();
        earlier.now -= 500;
        let mut earlier = earlier.crashed();
        let message = Command::Publish(Box::new(earlier.message(&config)));
        assert!(published(&earlier.commit(&[message])[0]).0 > made);
    }
}
