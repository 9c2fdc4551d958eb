//! What came and went is counted once, however it is counted.

use super::*;
use crate::store::query::{StoreQueries, Traffic};

const MINUTE_MS: i64 = 60_000;

impl Fixture {
    fn queries(&self) -> Option<Arc<dyn StoreQueries>> {
        match &self.engine {
            Engine::Memory(_) => None,
            Engine::Sqlite(options, _) => Some(Arc::new(SqliteReader::open(options.clone()))),
            Engine::Postgres(options) => Some(Arc::new(PgReader::new(options))),
        }
    }

    /// Whatever is counted later is counted now.
    fn count_all(&mut self) {
        let now = self.now;
        match &self.engine {
            Engine::Memory(_) => {}
            Engine::Sqlite(..) => while self.writer().tend(now).expect("tended") {},
            Engine::Postgres(options) => postgres::count_all(options, now),
        }
    }

    /// Publishes a message, and settles it.
    fn deliver(&mut self, config: &Arc<AppConfig>, kind: OutcomeKind, duration_ms: u32) {
        let message = self.publish(self.message(config, "x"));
        let next = if kind == OutcomeKind::Success { Next::Done } else { Next::Park(Parked::Failed) };
        let mut settle = settled(config, message, next, self.now);
        if let Some(record) = &mut settle.attempt {
            record.outcome.duration_ms = duration_ms;
        }
        self.one(Command::Settle(Box::new(settle))).expect("settled");
    }
}

async fn read(queries: &dyn StoreQueries, env: EnvKey, bucket_s: i64, now: UnixMs) -> Traffic {
    let until = (now / 1_000 / bucket_s + 1) * bucket_s * 1_000;
    queries.traffic(env, until - 24 * bucket_s * 1_000, until, bucket_s, now).await.expect("read")
}

/// Accepted, delivered, failed.
fn sums(traffic: &Traffic) -> (u64, u64, u64) {
    traffic
        .buckets
        .iter()
        .fold((0, 0, 0), |sums, bucket| (sums.0 + bucket.accepted, sums.1 + bucket.delivered, sums.2 + bucket.failed))
}

#[test]
fn messages_and_attempts_are_counted_by_environment_and_time() {
    check(async |store| {
        let Some(queries) = store.queries() else { return };
        let config = store.app(1).await;
        for (kind, duration_ms) in
            [(OutcomeKind::Success, 4), (OutcomeKind::Success, 4), (OutcomeKind::Timeout, 16_000)]
        {
            store.deliver(&config, kind, duration_ms);
        }
        for counted in [false, true] {
            if counted {
                // Long enough for what is counted some time behind.
                store.now += 2 * MINUTE_MS;
                store.count_all();
            }
            for bucket_s in [60, 300, 3_600, 14_400] {
                let traffic = read(&*queries, ENV, bucket_s, store.now).await;
                assert_eq!((traffic.buckets.len(), sums(&traffic)), (24, (3, 2, 1)), "{bucket_s} s, {counted}");
                assert_eq!(traffic.counted_to, store.now, "nothing is missing");
                let of_attempts = traffic.buckets.iter().find(|bucket| bucket.delivered > 0).expect("a bucket");
                let p50 = of_attempts.latencies.percentile_ms(50).expect("attempts");
                let p99 = of_attempts.latencies.percentile_ms(99).expect("attempts");
                assert!((3.0..5.0).contains(&p50) && (15_000.0..30_000.0).contains(&p99), "{p50} {p99}");
            }
            assert_eq!(sums(&read(&*queries, EnvKey(2), 60, store.now).await), (0, 0, 0), "another environment");
        }
        store.deliver(&config, OutcomeKind::Success, 0);
        assert_eq!(sums(&read(&*queries, ENV, 60, store.now).await), (4, 3, 1), "some counted, some not yet");
        store.now += 2 * MINUTE_MS;
        store.count_all();
        store.count_all();
        store.reopen();
        assert_eq!(sums(&read(&*queries, ENV, 60, store.now).await), (4, 3, 1), "each once");
    });
}

#[test]
fn what_is_kept_of_an_attempt_is_read_again_and_goes_with_its_answer() {
    check(async |store| {
        use crate::model::{Phase, Timings};
        use crate::store::query::{AttemptFilter, AttemptsOf, Order, Page};
        let Some(queries) = store.queries() else { return };
        let config = store.app(1).await;
        let message = store.publish(store.message(&config, "x"));
        let mut settle = settled(&config, message, Next::Retry { due: store.now + 5_000, attempts: 1 }, store.now);
        let mut timings = Timings::default();
        timings.set(Phase::FirstByte, 250);
        let headers = vec![("server".to_owned(), "one".to_owned())];
        let outcome = &mut settle.attempt.as_mut().expect("an attempt").outcome;
        (outcome.timings, outcome.headers) = (timings, headers.clone());
        let due = store.now + 5_000;
        store.one(Command::Settle(Box::new(settle))).expect("settled");
        let page = Page { after: None, order: Order::Descending, limit: 10 };
        let of = AttemptsOf::Message(message, None);
        let listed = queries.attempts(of, page, AttemptFilter::default()).await.expect("read").rows.remove(0).0;
        assert_eq!((listed.timings, listed.next_due), (Some(timings), Some(due)));
        let one = queries.attempt(message, listed.id).await.expect("read").expect("there");
        assert_eq!((one.timings, one.next_due, one.headers), (Some(timings), Some(due), headers));
        store.change(Change::ExpungeAttempt { message, attempt: listed.id }).expect("expunged");
        let one = queries.attempt(message, listed.id).await.expect("read").expect("there");
        assert_eq!((one.timings, one.headers, one.response), (None, Vec::new(), Bytes::new()));
    });
}
