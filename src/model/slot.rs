//! Slots: what nodes share out among each other. Each endpoint, and each source that ticks, lies in one of
//! them by its key; a node that holds a slot does all the work of what lies there.

/// Slots that there are.
pub const SLOTS: usize = 256;

const WORDS: usize = SLOTS / 64;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u8);

impl Slot {
    /// Its place in an array of all.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The slot of a key: the top 8 bits of the key mixed by the finaliser of `SplitMix64` (Steele, Lea and
/// Flood, 2014, with the constants of Stafford's variant 13).
///
/// Rows of the database name the slot, and versions of the server run side by side on one database:
/// this function may never change.
pub const fn slot_of(key: i64) -> Slot {
    let mut mixed = key as u64;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Slot(((mixed ^ (mixed >> 31)) >> 56) as u8)
}

/// Some of all slots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SlotSet([u64; WORDS]);

impl SlotSet {
    /// None.
    pub const EMPTY: Self = Self([0; WORDS]);
    /// All.
    pub const FULL: Self = Self([u64::MAX; WORDS]);

    /// Adds one; says whether it is new.
    pub const fn insert(&mut self, slot: Slot) -> bool {
        let is_new = !self.contains(slot);
        self.0[slot.index() / 64] |= 1 << (slot.index() % 64);
        is_new
    }

    /// Takes one away; says whether it was there.
    pub const fn remove(&mut self, slot: Slot) -> bool {
        let was_there = self.contains(slot);
        self.0[slot.index() / 64] &= !(1 << (slot.index() % 64));
        was_there
    }

    /// Whether it is among them.
    pub const fn contains(&self, slot: Slot) -> bool {
        self.0[slot.index() / 64] >> (slot.index() % 64) & 1 == 1
    }

    /// Whether the slot of a key is among them.
    pub const fn contains_key(&self, key: i64) -> bool {
        self.contains(slot_of(key))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Whether it is all.
    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }

    /// Them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..=u8::MAX).map(Slot).filter(|slot| self.contains(*slot))
    }

    /// Those of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.each(other, |own, other| own | other)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.each(other, |own, other| own & !other)
    }

    /// Those that are in the other, too.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.each(other, |own, other| own & other)
    }

    fn each(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|i| of(self.0[i], other.0[i])))
    }

    /// As bits, the first slot the lowest of the first byte.
    pub fn to_bits(&self) -> [u8; SLOTS / 8] {
        let mut bits = [0; SLOTS / 8];
        for slot in self.iter() {
            bits[slot.index() / 8] |= 1 << (slot.index() % 8);
        }
        bits
    }

    /// As the database has them: numbers in order.
    pub fn to_numbers(&self) -> Vec<i16> {
        self.iter().map(|slot| i16::from(slot.0)).collect()
    }

    /// What the database has; `None` where a number is no slot.
    pub fn from_numbers(numbers: &[i16]) -> Option<Self> {
        numbers.iter().map(|number| u8::try_from(*number).ok().map(Slot)).collect()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<T: IntoIterator<Item = Slot>>(slots: T) -> Self {
        let mut all = Self::EMPTY;
        for slot in slots {
            all.insert(slot);
        }
        all
    }
}

impl std::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(|slot| slot.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is stored by this function cannot be found by another.
    #[test]
    fn the_slot_of_a_key_is_for_ever() {
        let known =
            [(0, 0), (1, 86), (2, 219), (-1, 180), (1 << 21, 111), (3_690_987_520_000_000, 204), (i64::MAX, 90)];
        for (key, slot) in known {
            assert_eq!(slot_of(key), Slot(slot), "{key}");
        }
    }

    #[test]
    fn keys_that_follow_each_other_spread_evenly() {
        // Keys as they are made: by the millisecond, and by the counter.
        for step in [1, 1 << 21] {
            let mut counts = [0_usize; SLOTS];
            for i in 0..100_000 {
                counts[slot_of(3_690_987_520_000_000 + i * step).index()] += 1;
            }
            // 390 each on average; five standard deviations of chance are 99.
            assert!(counts.iter().all(|count| (292..=489).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn what_is_no_slot_is_no_set() {
        assert_eq!(SlotSet::from_numbers(&[3, 256]), None);
        assert_eq!(SlotSet::from_numbers(&[-1]), None);
        assert_eq!(SlotSet::FULL.to_numbers(), (0..256).collect::<Vec<i16>>());
    }

    proptest! {
        #[test]
        fn a_set_is_what_a_list_of_its_slots_is(a in proptest::collection::btree_set(any::<u8>(), 0..200), b in proptest::collection::btree_set(any::<u8>(), 0..200)) {
            let set = |slots: &std::collections::BTreeSet<u8>| slots.iter().copied().map(Slot).collect::<SlotSet>();
            let numbers = |slots: Vec<u8>| slots.into_iter().map(i16::from).collect::<Vec<_>>();
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!((x.len(), x.is_empty(), x.is_full()), (a.len(), a.is_empty(), a.len() == SLOTS));
            prop_assert_eq!(x.union(&y).to_numbers(), numbers(a.union(&b).copied().collect()));
            prop_assert_eq!(x.difference(&y).to_numbers(), numbers(a.difference(&b).copied().collect()));
            prop_assert_eq!(x.intersection(&y).to_numbers(), numbers(a.intersection(&b).copied().collect()));
            prop_assert_eq!(SlotSet::from_numbers(&x.to_numbers()), Some(x));
            let mut left = x;
            for slot in y.iter() {
                prop_assert_eq!(left.remove(slot), a.contains(&slot.0));
            }
            prop_assert_eq!(left, x.difference(&y));
        }
    }
}
