//! Messages whose content was deleted lately: what of them is still in memory, or was being read at
//! that moment, is not sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashSet;

use crate::model::MessageKey;

/// Messages that are remembered. Lanes let go of a message when it is deleted; this is for what was on
/// its way just then, and that many are not deleted in the time that a read takes.
const MESSAGES_MAX: usize = 65_536;

/// The latest of them.
#[derive(Default)]
pub(super) struct Expunged {
    latest: Mutex<Latest>,
    /// So that attempts need no lock while nothing is deleted.
    count: AtomicUsize,
}

#[derive(Default)]
struct Latest {
    known: FxHashSet<MessageKey>,
    in_order: VecDeque<MessageKey>,
}

impl Expunged {
    /// The content of a message was deleted.
    pub(super) fn add(&self, message: MessageKey) {
        let mut latest = self.latest();
        if latest.known.insert(message) {
            latest.in_order.push_back(message);
        }
        if latest.in_order.len() > MESSAGES_MAX
            && let Some(oldest) = latest.in_order.pop_front()
        {
            latest.known.remove(&oldest);
        }
        self.count.store(latest.in_order.len(), Ordering::Release);
    }

    /// Whether the content of a message was deleted lately.
    pub(super) fn holds(&self, message: MessageKey) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.latest().known.contains(&message)
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_no_more() {
        let expunged = Expunged::default();
        let all = MESSAGES_MAX as i64 + 10;
        for key in 0..all {
            assert!(!expunged.holds(MessageKey(key)));
            expunged.add(MessageKey(key));
            assert!(expunged.holds(MessageKey(key)));
        }
        expunged.add(MessageKey(all - 1));
        assert!(!expunged.holds(MessageKey(9)));
        assert!(expunged.holds(MessageKey(10)));
    }
}
