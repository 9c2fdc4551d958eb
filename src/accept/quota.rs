//! Quotas of keys: requests per second (`limits.requests_per_second_per_key`), so that one tenant
//! cannot fill the journal that all share.
//!
//! A key's allowance is a bucket that holds one second's worth and fills evenly. It is kept as the
//! moment at which the bucket will be full again, in one number a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quick_cache::sync::Cache;

use crate::model::UnixMs;

/// Keys whose buckets are kept. One beyond begins with a full bucket.
const KEYS_MAX: usize = 100_000;
/// What a bucket holds, in microseconds of filling.
const BURST_US: i64 = 1_000_000;

/// One allowance: a number of requests per second, with a burst of one second's worth.
#[derive(Debug)]
pub struct Bucket {
    /// What one request takes, in microseconds of filling.
    request_us: i64,
    full_at_us: AtomicI64,
}

impl Bucket {
    /// A full one.
    pub fn new(requests_per_second: u32) -> Self {
        Self { request_us: BURST_US / i64::from(requests_per_second.max(1)), full_at_us: AtomicI64::new(0) }
    }

    /// Whether there is a request's worth.
    pub fn has_some(&self, now: UnixMs) -> bool {
        let full_at = self.full_at_us.load(Ordering::Relaxed).max(now.saturating_mul(1_000));
        full_at + self.request_us <= now.saturating_mul(1_000) + BURST_US
    }

    /// Takes a request's worth, if it is there.
    pub fn take(&self, now: UnixMs) -> bool {
        self.take_many(now, 1)
    }

    /// Takes so many requests' worth, or a whole second's where that is less, if it is there.
    pub fn take_many(&self, now: UnixMs, requests: usize) -> bool {
        let all_us = i64::try_from(requests).unwrap_or(i64::MAX).saturating_mul(self.request_us).min(BURST_US);
        let now_us = now.saturating_mul(1_000);
        // A clock that was set back costs no more than one bucket.
        self.full_at_us.fetch_min(now_us + BURST_US, Ordering::Relaxed);
        let filled = |full_at: i64| {
            let full_at = full_at.max(now_us) + all_us;
            (full_at <= now_us + BURST_US).then_some(full_at)
        };
        self.full_at_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, filled).is_ok()
    }
}

/// The buckets of all keys. Shared.
pub struct Quotas {
    requests_per_second: u32,
    /// By the key's hash, or what stands for all tokens of an application; `None` where nothing is limited.
    buckets: Option<Cache<[u8; 32], Arc<Bucket>>>,
}

/// The key has used up its allowance. There is room again within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key may not make more requests per second")]
pub struct QuotaExceeded;

impl Quotas {
    /// At most `requests_per_second` for each key; 0 means any number.
    pub fn new(requests_per_second: u32) -> Self {
        Self { requests_per_second, buckets: (requests_per_second > 0).then(|| Cache::new(KEYS_MAX)) }
    }

    /// Counts a request of the key with this hash.
    pub fn spend(&self, key_hash: &[u8; 32], now: UnixMs) -> Result<(), QuotaExceeded> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let full = || Ok::<_, QuotaExceeded>(Arc::new(Bucket::new(self.requests_per_second)));
        let bucket = if let Some(bucket) = buckets.get(key_hash) {
            bucket
        } else {
            buckets.get_or_insert_with(key_hash, full)?
        };
        if bucket.take(now) { Ok(()) } else { Err(QuotaExceeded) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [1; 32];

    fn granted(quotas: &Quotas, key: [u8; 32], now: UnixMs, tries: usize) -> usize {
        (0..tries).filter(|_| quotas.spend(&key, now).is_ok()).count()
    }

    #[test]
    fn what_there_is_can_be_seen_without_taking_it() {
        let bucket = Bucket::new(2);
        let (mut seen, mut taken) = (0, 0);
        for _ in 0..5 {
            seen += u32::from(bucket.has_some(7_000));
            taken += u32::from(bucket.take(7_000));
        }
        assert_eq!((seen, taken), (2, 2));
        assert!(!bucket.has_some(7_499) && bucket.has_some(7_500));
        assert!(!bucket.take_many(7_999, 2) && bucket.take_many(8_000, 2), "two of two");
        assert!(!bucket.take_many(8_999, 100) && bucket.take_many(9_000, 100), "no more than there can be");
    }

    #[test]
    fn a_second_holds_its_number_and_no_more() {
        let quotas = Quotas::new(10);
        assert_eq!(granted(&quotas, KEY, 5_000, 50), 10);
        assert_eq!(granted(&quotas, KEY, 5_099, 50), 0);
        assert_eq!(granted(&quotas, KEY, 5_100, 50), 1);
        assert_eq!(granted(&quotas, KEY, 5_600, 50), 5);
        assert_eq!(granted(&quotas, KEY, 60_000, 50), 10, "what was not used is not saved up");
    }

    #[test]
    fn keys_do_not_share() {
        let quotas = Quotas::new(3);
        assert_eq!(granted(&quotas, KEY, 0, 9), 3);
        assert_eq!(granted(&quotas, [2; 32], 0, 9), 3);
    }

    #[test]
    fn nothing_is_limited_by_nothing() {
        assert_eq!(granted(&Quotas::new(0), KEY, 0, 10_000), 10_000);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_a_second_at_most() {
        let quotas = Quotas::new(2);
        assert_eq!(granted(&quotas, KEY, 9_000_000, 9), 2);
        assert_eq!(granted(&quotas, KEY, 1_000, 9), 0);
        assert_eq!(granted(&quotas, KEY, 2_000, 9), 2);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_two_buckets(per_s in 1_u32..300, steps in proptest::collection::vec(0_i64..80, 1..400)) {
            let quotas = Quotas::new(per_s);
            let (mut now, mut times) = (0, Vec::new());
            for step in steps {
                now += step;
                times.extend(std::iter::repeat_n(now, granted(&quotas, KEY, now, 5)));
            }
            for (at, first) in times.iter().enumerate() {
                let within = times[at..].iter().take_while(|time| **time < first + 1_000).count();
                prop_assert!(within <= 2 * per_s as usize);
            }
        }
    }
}
