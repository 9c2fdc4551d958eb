//! Counts of messages and attempts are exact wherever the watermark stands, and after a crash.

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

/// What came and went in the hours from `hours.0` until `hours.1`: accepted, delivered, failed.
async fn traffic(store: &Store, hours: (i64, i64)) -> (u64, u64, u64) {
    let hour = NOW / HOUR_MS * HOUR_MS;
    let (since, until) = (hour + hours.0 * HOUR_MS, hour + hours.1 * HOUR_MS);
    let mut all = [(0, 0, 0); 2];
    for (sums, bucket_s) in all.iter_mut().zip([60, 3_600]) {
        let read = store.reader.traffic(EnvKey(1), since, until, bucket_s, store.now).await.expect("read");
        assert_eq!(read.buckets.len() as i64, (until - since) / 1_000 / bucket_s);
        for bucket in read.buckets {
            *sums = (sums.0 + bucket.accepted, sums.1 + bucket.delivered, sums.2 + bucket.failed);
            assert_eq!(bucket.latencies.total(), bucket.delivered + bucket.failed);
        }
    }
    assert_eq!(all[0], all[1], "minutes and hours say the same");
    all[0]
}

#[tokio::test]
async fn traffic_is_counted_before_and_after_it_is_written() {
    let mut store = Store::new();
    let config = store.app();
    grow(&mut store, &config, 90);
    assert_eq!(traffic(&store, (0, 1)).await, (90, 60, 30), "not all is written");
    store.tend_to_the_end();
    assert_eq!(store.count("traffic"), 2, "a minute and an hour");
    assert_eq!(traffic(&store, (0, 1)).await, (90, 60, 30), "all is");
    store.now += HOUR_MS;
    grow(&mut store, &config, 30);
    assert_eq!(traffic(&store, (0, 2)).await, (120, 80, 40), "some is");
    assert_eq!(traffic(&store, (1, 2)).await, (30, 20, 10));
}

#[tokio::test]
async fn traffic_is_counted_once_whatever_is_rolled_back_and_wherever_a_crash_strikes() {
    let mut store = Store::new();
    let config = store.app();
    let mut expected = (0, 0, 0);
    for round in 0..6 {
        grow(&mut store, &config, 600);
        expected = (expected.0 + 600, expected.1 + 400, expected.2 + 200);
        if round % 2 == 0 {
            store.poison("ROLLBACK");
            let poisoned = store.poisoned(&config);
            let whole = Command::Publish(Box::new(store.message(&config)));
            assert!(store.writer.commit(&[whole, poisoned]).is_err(), "nothing of it is stored");
        }
        assert_eq!(traffic(&store, (0, 1)).await, expected, "round {round}");
        store = store.crashed();
        assert_eq!(traffic(&store, (0, 1)).await, expected, "round {round}");
        if round % 3 == 0 {
            store.tend_to_the_end();
        }
        // Long enough for counts to be written with the next commit.
        store.now += 5_000;
    }
    store.tend_to_the_end();
    assert_eq!(traffic(&store.crashed(), (0, 1)).await, expected);
}

#[tokio::test]
async fn counts_are_written_every_few_seconds_however_busy_the_journal_is() {
    let mut store = Store::new();
    let config = store.app();
    for _ in 0..20 {
        grow(&mut store, &config, 500);
        store.now += 500;
    }
    let behind: i64 = store
        .writer
        .connection
        .query_row(
            "SELECT count(*) FROM attempt WHERE key > (SELECT value FROM meta WHERE name = 'traffic')",
            [],
            |row| row.get(0),
        )
        .expect("counted");
    assert!(behind <= 4_500, "{behind} of 10,000 are not written");
}

#[tokio::test]
async fn old_minutes_go() {
    let mut store = Store::new();
    let config = store.app();
    grow(&mut store, &config, 3);
    store.tend_to_the_end();
    store.now += 26 * HOUR_MS;
    grow(&mut store, &config, 3);
    store.tend_to_the_end();
    assert_eq!(store.count("traffic WHERE width = 60"), 1, "those of a day and an hour ago are gone");
    assert_eq!(store.count("traffic WHERE width = 3600"), 2);
}

#[tokio::test]
async fn of_a_long_tail_the_first_count_and_the_rest_is_said_to_be_missing() {
    let mut store = Store::new();
    let config = store.app();
    // Less than the time after which it is written.
    grow(&mut store, &config, 5_500);
    let counted_to = store.now;
    store.now += 2_000;
    grow(&mut store, &config, 500);
    let read = store.reader.traffic(EnvKey(1), 0, 0, 60, store.now).await.expect("read");
    assert!((counted_to..store.now).contains(&read.counted_to), "{}", read.counted_to - counted_to);
}
