//! Counts of attempts are exact wherever the watermark stands, and after a crash.

use super::*;
use crate::model::Parked;
use crate::store::query::{EndpointStats, StoreQueries};

const HOUR_MS: i64 = 3_600_000;

/// Publishes `count` messages a batch of 500, and settles them: every third one fails for good.
fn grow(store: &mut Store, config: &Arc<AppConfig>, count: usize) {
    let mut done = 0;
    while done < count {
        let size = 500.min(count - done);
        let batch: Vec<_> = (0..size).map(|_| Command::Publish(Box::new(store.message(config)))).collect();
        let keys: Vec<_> = store.commit(&batch).iter().map(published).collect();
        let outcomes = keys.iter().enumerate().map(|(i, key)| {
            if (done + i) % 3 == 0 { failure(store, config, *key) } else { store.success(config, *key) }
        });
        let outcomes: Vec<_> = outcomes.collect();
        store.commit(&outcomes);
        done += size;
    }
}

fn failure(store: &Store, config: &AppConfig, message: MessageKey) -> Command {
    let Command::Settle(mut settle) = store.success(config, message) else { panic!("no settle") };
    settle.next = Next::Park(Parked::Failed);
    if let Some(record) = &mut settle.attempt {
        record.outcome.kind = OutcomeKind::Status;
        record.outcome.status = 500;
    }
    Command::Settle(settle)
}

async fn stats(store: &Store, config: &AppConfig, hours: (i64, i64)) -> EndpointStats {
    let endpoint = config.endpoints[0].key();
    let at = |hours: i64| NOW + hours * HOUR_MS;
    store.reader.endpoint_stats(endpoint, at(hours.0), at(hours.1)).await.expect("read")
}

fn counted(total: u64) -> EndpointStats {
    let failed = total.div_ceil(3);
    EndpointStats { success: total - failed, attempts_failed: failed, fail: failed, ..EndpointStats::default() }
}

#[tokio::test]
async fn attempts_are_counted_by_hour_in_the_tail_in_a_slice_and_behind_it() {
    let mut store = Store::new();
    let (config, other) = (store.app(), store.app());
    grow(&mut store, &config, 90);
    grow(&mut store, &other, 30);
    assert_eq!(stats(&store, &config, (-1, 1)).await, counted(90), "in the tail");
    store.tend_to_the_end();
    assert!(store.count("endpoint_hour") >= 2);
    assert_eq!(stats(&store, &config, (-1, 1)).await, counted(90), "all behind the watermark");
    store.now += 2 * HOUR_MS;
    grow(&mut store, &config, 60);
    store.tend_to_the_end();
    grow(&mut store, &config, 30);
    assert_eq!(stats(&store, &config, (-1, 1)).await, counted(90), "another hour's are not counted");
    assert_eq!(stats(&store, &config, (1, 3)).await, counted(90), "some counted, some in the tail");
    assert_eq!(stats(&store, &config, (-1, 3)).await, counted(180));
    assert_eq!(stats(&store, &config, (3, 9)).await, EndpointStats::default());
    assert_eq!(stats(&store, &other, (-1, 9)).await, counted(30));
}

#[tokio::test]
async fn a_slice_that_a_crash_cut_short_is_not_counted_twice() {
    let mut store = Store::new();
    let config = store.app();
    let total = 12_000;
    grow(&mut store, &config, total);
    // One share of what is filled when the journal is idle: less than all.
    assert!(store.writer.tend(store.now).expect("tended"));
    let watermarks = "meta WHERE name = 'attempt_by_endpoint'";
    assert_eq!(store.count(watermarks), 0, "the slice is under way");
    assert!(store.count("endpoint_hour") > 0, "and part of it is counted");
    let expected = counted(total as u64);
    assert_eq!(stats(&store, &config, (-1, 1)).await, expected);
    let mut store = store.crashed();
    assert_eq!(stats(&store, &config, (-1, 1)).await, expected);
    store.tend_to_the_end();
    assert_eq!(store.count(watermarks), 1);
    assert_eq!(stats(&store, &config, (-1, 1)).await, expected);
}
