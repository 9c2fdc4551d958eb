//! What a killed process leaves behind, and a disk without room.

use super::*;
use crate::model::SlotSet;
use crate::store::StoreReader;

#[tokio::test]
async fn a_crash_loses_nothing_that_was_committed() {
    let mut store = Store::new();
    let config = store.app();
    let endpoint = config.endpoints[0].key();
    let mut keys = Vec::new();
    for round in 0..5_i64 {
        let batch: Vec<_> = (0..200).map(|_| Command::Publish(Box::new(store.message(&config)))).collect();
        keys.extend(store.commit(&batch).iter().map(published));
        let retried: Vec<_> = keys[round as usize * 200..][..50]
            .iter()
            .map(|&key| {
                let Command::Settle(mut settle) = store.success(&config, key) else { panic!() };
                settle.next = Next::Retry { due: NOW + 1_000 - round, attempts: 1 };
                Command::Settle(settle)
            })
            .collect();
        store.commit(&retried);
        let crashed = store.crashed();
        let pending = crashed.reader.pending(&SlotSet::FULL, None, 10_000).await.expect("read");
        assert_eq!(pending.len() as i64, (round + 1) * 150);
        let waiting = crashed.reader.waiting(endpoint, None, 10_000).await.expect("read");
        assert_eq!(waiting.len() as i64, (round + 1) * 50);
        assert!(waiting.is_sorted_by_key(crate::model::Waiting::place));
        assert_eq!(crashed.reader.messages(&keys).await.expect("read").len(), keys.len());
    }
    // What was given before the crash is not given again.
    let mut crashed = store.crashed();
    crashed.now = NOW - 5_000_000;
    let publish = Command::Publish(Box::new(crashed.message(&config)));
    let after = published(&crashed.commit(&[publish])[0]);
    assert!(keys.last().is_some_and(|&last| after > last));
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_nothing_is_lost() {
    let mut store = Store::new();
    let config = store.app();
    let first = Command::Publish(Box::new(store.message(&config)));
    let first = published(&store.commit(&[first])[0]);
    let pages: i64 = store.writer.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("pages");
    let bound = |store: &Store, pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.writer.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("bounded");
    };
    bound(&store, pages + 1);
    let large = |store: &Store| {
        Command::Publish(Box::new(Publish { payload: vec![1; 100_000].into(), ..store.message(&config) }))
    };
    // Full in the hot path, and full inside the savepoint of a change.
    let error = store.writer.commit(&[large(&store)]).expect_err("no room");
    assert!(matches!(error, CommitError::Full), "{error}");
    let spec = ApplicationSpec { name: "n".repeat(200_000), ..ApplicationSpec::default() };
    let change = Change::CreateApplication { env: EnvKey(1), uid: None, spec, get_if_exists: false };
    let change = Command::Change(Box::new(ChangeRequest { at: NOW, idempotency: None, change }));
    let error = store.writer.commit(&[change]).expect_err("no room");
    assert!(matches!(error, CommitError::Full), "{error}");
    let outcome = store.success(&config, first);
    assert!(matches!(&store.commit(&[outcome])[0], Ok(Done::Settled(settled)) if settled.applied));
    bound(&store, 1_000_000);
    let large = large(&store);
    let second = published(&store.commit(&[large])[0]);
    let found = store.reader.messages(&[first, second]).await.expect("read");
    assert_eq!(found.len(), 2);
    assert_eq!(store.reader.pending(&SlotSet::FULL, None, 9).await.expect("read").len(), 1);
}
