//! When keys were last used: kept in memory, and written once a minute at most for each. What a crash
//! loses of it is less than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;

use super::Gateway;
use crate::model::{Key, UnixMs};
use crate::store::command::{AccessChange, Change};

/// Keys whose use is kept. Of one beyond, what was not written yet is lost.
const KEYS_MAX: usize = 10_000;
/// Keys that one change writes.
const WRITTEN_AT_ONCE: usize = 1_000;
/// How often what is new is written.
const EVERY: Duration = Duration::from_mins(1);

/// The last use of each key. Shared.
pub struct KeyUse {
    keys: Cache<Key, Arc<Used>>,
}

struct Used {
    last: AtomicI64,
    written: AtomicI64,
}

impl Default for KeyUse {
    fn default() -> Self {
        Self { keys: Cache::new(KEYS_MAX) }
    }
}

impl KeyUse {
    /// The key of this key was used.
    pub fn note(&self, key: Key, now: UnixMs) {
        if let Some(used) = self.keys.get(&key) {
            used.last.store(now, Ordering::Relaxed);
        } else {
            self.keys.insert(key, Arc::new(Used { last: AtomicI64::new(now), written: AtomicI64::new(0) }));
        }
    }

    /// When the key was last used, as far as that is known here.
    pub fn last(&self, key: Key) -> Option<UnixMs> {
        self.keys.get(&key).map(|used| used.last.load(Ordering::Relaxed))
    }

    /// Some of those that were used since they were written; they count as written.
    fn take(&self) -> Vec<(Key, UnixMs)> {
        let mut taken = Vec::new();
        for (key, used) in self.keys.iter() {
            let last = used.last.load(Ordering::Relaxed);
            if used.written.swap(last, Ordering::Relaxed) != last {
                taken.push((key, last));
            }
            if taken.len() == WRITTEN_AT_ONCE {
                break;
            }
        }
        taken
    }

    /// Stores what is new, as far as the store takes it: what it refuses is written when the key is
    /// used the next time.
    pub async fn write(&self, gateway: &Gateway) {
        for _ in 0..KEYS_MAX.div_ceil(WRITTEN_AT_ONCE) {
            let used = self.take();
            if used.is_empty() {
                return;
            }
            if let Err(error) = gateway.change(Change::Access(AccessChange::NoteKeyUse { used }), None).await {
                tracing::debug!(%error, "when keys were last used was not stored");
                return;
            }
        }
    }
}

/// Writes the use of keys, for ever.
pub async fn run(gateway: Arc<Gateway>) -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        gateway.key_use.write(&gateway).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once() {
        let uses = KeyUse::default();
        uses.note(1, 10);
        uses.note(1, 20);
        uses.note(2, 15);
        let mut taken = uses.take();
        taken.sort_unstable();
        assert_eq!(taken, [(1, 20), (2, 15)]);
        assert_eq!(uses.take(), []);
        uses.note(2, 30);
        assert_eq!(uses.take(), [(2, 30)]);
        assert_eq!((uses.last(1), uses.last(3)), (Some(20), None));
    }

    #[test]
    fn many_are_written_in_parts() {
        let uses = KeyUse::default();
        (0..2_500).for_each(|key| uses.note(key, 5));
        let parts: Vec<usize> = std::iter::from_fn(|| Some(uses.take().len()).filter(|len| *len > 0)).collect();
        assert_eq!(parts, [1_000, 1_000, 500]);
    }
}
