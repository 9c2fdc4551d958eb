//! Which idempotency keys and event ids were seen, without a random write on the hot path.
//!
//! The newest entries are in a hash in memory, over rows that were appended anyway (the message
//! carries its key). When a generation is full it is sorted and written as one run, a share in each
//! following commit, with a Bloom filter over it; a look-up that no filter rules out goes to the
//! disk. Hashes are keyed, so nobody can choose keys that collide.
//!
//! This is the part without a disk: [`Generations`] and [`Filter`]. The engine writes the runs.

use rustc_hash::FxHashMap;

use crate::model::UnixMs;

/// Entries of a generation: two of these are the most that memory holds of each kind.
pub const GENERATION: usize = 250_000;
/// Messages after which a generation goes to the disk even if it is not full: at start no more than
/// about two times as many are read back.
const SPAN: usize = 500_000;
/// Bits of filter per entry: about one look-up in a hundred goes to the disk in vain.
const FILTER_BITS: usize = 10;
const FILTER_HASHES: u64 = 7;

/// What an entry is: decides how long it counts, and keeps runs of one lifetime together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A key that a user chose: 24 h.
    Chosen,
    /// An SDK's own key for its retries: 1 h.
    Automatic,
    /// An event id: as long as its message is stored.
    EventId,
}

impl Kind {
    /// All kinds, by stored code.
    pub const ALL: [Self; 3] = [Self::Chosen, Self::Automatic, Self::EventId];

    /// How long an entry counts, in milliseconds; `None` while its message is there.
    pub const fn lifetime_ms(self) -> Option<UnixMs> {
        match self {
            Self::Chosen => Some(24 * 3_600_000),
            Self::Automatic => Some(3_600_000),
            Self::EventId => None,
        }
    }
}

/// An entry of a run: hash and the message that it belongs to.
pub type Entry = (i64, i64);

/// The entries of one kind that are in memory.
#[derive(Default)]
pub struct Generations {
    newest: FxHashMap<i64, i64>,
    added: Vec<Entry>,
    spilling: Option<Spill>,
    mark: Mark,
    /// Messages since the first of `added`.
    span: usize,
}

/// A generation on its way to the disk.
pub struct Spill {
    /// By hash.
    pub sorted: Vec<Entry>,
    /// How many are written.
    pub done: usize,
    oldest: i64,
}

#[derive(Default, Clone, Copy)]
struct Mark {
    added: usize,
    done: usize,
}

impl Generations {
    /// The message of a hash, if it is in memory.
    pub fn find(&self, hash: i64) -> Option<i64> {
        self.newest.get(&hash).copied().or_else(|| {
            let sorted = &self.spilling.as_ref()?.sorted;
            sorted.binary_search_by_key(&hash, |entry| entry.0).ok().map(|i| sorted[i].1)
        })
    }

    /// Remembers an entry. One that is there is replaced: its message is gone, or its time is over.
    pub fn insert(&mut self, hash: i64, message: i64) {
        self.newest.insert(hash, message);
        self.added.push((hash, message));
    }

    /// A message was stored, whether or not it has an entry here.
    pub fn passed(&mut self) {
        if !self.added.is_empty() {
            self.span += 1;
        }
    }

    /// The oldest message with an entry that is not yet in a run.
    pub fn oldest(&self) -> Option<i64> {
        self.spilling.as_ref().map(|spill| spill.oldest).or_else(|| self.added.first().map(|entry| entry.1))
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        self.mark = Mark { added: self.added.len(), done: self.spilling.as_ref().map_or(0, |s| s.done) };
    }

    /// The transaction was rolled back: what it added goes.
    pub fn rollback(&mut self) {
        for (hash, message) in self.added.drain(self.mark.added..) {
            if self.newest.get(&hash) == Some(&message) {
                self.newest.remove(&hash);
            }
        }
        if let Some(spill) = &mut self.spilling {
            spill.done = self.mark.done.min(spill.done);
        }
    }

    /// Takes a full generation as the next spill. Call it before a transaction begins.
    pub fn cut(&mut self) {
        if self.spilling.is_some() || (self.added.len() < GENERATION && self.span < SPAN) {
            return;
        }
        let Some(&(_, oldest)) = self.added.first() else { return };
        self.newest = FxHashMap::default();
        self.span = 0;
        let mut sorted = std::mem::take(&mut self.added);
        sorted.sort_unstable();
        // Of two entries of one hash the newer message counts.
        sorted.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = kept.1.max(later.1);
            }
            same
        });
        self.spilling = Some(Spill { sorted, done: 0, oldest });
    }

    /// The generation that is being written.
    pub fn spilling(&mut self) -> Option<&mut Spill> {
        self.spilling.as_mut()
    }

    /// The transaction that wrote the last entries of the spill was committed.
    pub fn spilled(&mut self) {
        self.spilling = None;
    }
}

/// A Bloom filter over the hashes of one run.
pub struct Filter(Vec<u8>);

impl Filter {
    /// Over these entries.
    pub fn over(entries: &[Entry]) -> Self {
        let mut filter = Self(vec![0; (entries.len() * FILTER_BITS).div_ceil(8).max(8)]);
        for &(hash, _) in entries {
            for bit in filter.places(hash) {
                filter.0[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }

    /// As it was stored.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// To be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// False only if the hash is certainly not in the run.
    pub fn may_hold(&self, hash: i64) -> bool {
        self.0.is_empty() || self.places(hash).into_iter().all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn places(&self, hash: i64) -> [usize; FILTER_HASHES as usize] {
        let bits = (self.0.len() * 8) as u64;
        let step = ((hash as u64) >> 32) | 1;
        std::array::from_fn(|i| ((hash as u64).wrapping_add(step.wrapping_mul(i as u64)) % bits) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(i: i64) -> i64 {
        i.wrapping_mul(-7_046_029_254_386_353_131)
    }

    #[test]
    fn a_filter_knows_its_own_and_few_others() {
        let entries: Vec<_> = (0..10_000).map(|i| (hash(i), i)).collect();
        let filter = Filter::from_bytes(Filter::over(&entries).as_bytes().to_vec());
        assert!(entries.iter().all(|entry| filter.may_hold(entry.0)));
        let wrong = (10_000..110_000).filter(|&i| filter.may_hold(hash(i))).count();
        assert!(wrong < 3_000, "{wrong} of 100,000");
    }

    #[test]
    fn entries_are_found_in_both_generations_and_gone_after_a_rollback() {
        let mut generations = Generations::default();
        for i in 0..GENERATION as i64 {
            generations.insert(hash(i), i);
        }
        generations.cut();
        generations.begin();
        generations.insert(hash(-1), 1);
        assert_eq!(generations.find(hash(-1)), Some(1));
        assert_eq!(generations.find(hash(5)), Some(5));
        generations.rollback();
        assert_eq!(generations.find(hash(-1)), None);
        assert_eq!(generations.spilling().map(|s| s.sorted.len()), Some(GENERATION));
    }
}
