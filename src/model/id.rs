//! Keys and public ids.
//!
//! Inside, everything is known by a 64-bit [`Key`] that sorts by creation: 42 bits of milliseconds
//! since 1970, 9 bits of node number, 12 bits of counter. Outside, by the key and 96 random bits
//! that are kept in the row, written as 27 base62 characters behind a prefix: such an id sorts by
//! creation, needs no index, and cannot be guessed; wrong random bits are "not found".

use serde::{Deserialize, Serialize};
use std::fmt;

use super::time::UnixMs;

/// A key: positive, sorts by creation.
pub type Key = i64;

/// The random part of a public id.
pub type Nonce = [u8; 12];

const COUNTER_BITS: u32 = 12;
const NODE_BITS: u32 = 9;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters behind the prefix: the least n for which 62^n ≥ 2^160.
pub const ID_CHARACTERS: usize = 27;
/// The same of the kinds of id that the contract makes shorter: 62^n ≥ 2^128.
pub const SHORT_ID_CHARACTERS: usize = 22;

/// What an id names; decides its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// `app_…`
    Application,
    /// `ep_…`
    Endpoint,
    /// `msg_…`
    Message,
    /// `atmpt_…`
    Attempt,
    /// `env_…`
    Environment,
    /// `key_…`
    ApiKey,
    /// `qtask_…`
    Task,
    /// `src_…`, with 64 random bits
    Source,
    /// `log…`, with 64 random bits
    SourceLog,
}

impl IdKind {
    /// The text before the characters.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Application => "app_",
            Self::Endpoint => "ep_",
            Self::Message => "msg_",
            Self::Attempt => "atmpt_",
            Self::Environment => "env_",
            Self::ApiKey => "key_",
            Self::Task => "qtask_",
            Self::Source => "src_",
            Self::SourceLog => "log",
        }
    }

    /// Characters behind the prefix.
    pub const fn characters(self) -> usize {
        self.size().0
    }

    /// Characters behind the prefix, and words of 32 bits in them.
    pub(crate) const fn size(self) -> (usize, usize) {
        match self {
            Self::Source | Self::SourceLog => (SHORT_ID_CHARACTERS, 4),
            _ => (ID_CHARACTERS, 5),
        }
    }
}

/// A key with the random bits that prove that the caller was given it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// The key.
    pub key: Key,
    /// The random bits.
    pub nonce: Nonce,
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.key)
    }
}

impl Id {
    /// As a kind of id with 64 random bits has it.
    #[must_use]
    pub const fn short(mut self) -> Self {
        let mut i = 8;
        while i < self.nonce.len() {
            self.nonce[i] = 0;
            i += 1;
        }
        self
    }

    /// The smallest public id of a key: where a list by key begins.
    pub const fn first_of(key: Key) -> Self {
        Self { key, nonce: [0; 12] }
    }

    /// Writes the public form.
    pub fn format(self, kind: IdKind) -> String {
        const CHUNK: u128 = 62_u128.pow(10);
        let (characters, words) = kind.size();
        let mut out = String::with_capacity(kind.prefix().len() + characters);
        out.push_str(kind.prefix());
        let mut digits = [0_u8; ID_CHARACTERS];
        // 160 bits as high (64, the key) and low (96): long division by 62^10 keeps every step in 128 bits.
        let nonce = &self.nonce;
        let word = |i: usize| u32::from_be_bytes([nonce[i], nonce[i + 1], nonce[i + 2], nonce[i + 3]]);
        let key = self.key as u64;
        let mut limbs = [(key >> 32) as u32, key as u32, word(0), word(4), word(8)];
        let mut end = characters;
        while end > 0 {
            let mut remainder: u128 = 0;
            for limb in &mut limbs[..words] {
                let current = (remainder << 32) | u128::from(*limb);
                *limb = (current / CHUNK) as u32;
                remainder = current % CHUNK;
            }
            let mut rest = remainder as u64;
            let start = end.saturating_sub(10);
            for digit in digits[start..end].iter_mut().rev() {
                *digit = ALPHABET[(rest % 62) as usize];
                rest /= 62;
            }
            end = start;
        }
        out.extend(digits[..characters].iter().map(|&d| d as char));
        out
    }

    /// Reads a public id; `None` unless it has exactly the form of its kind.
    pub fn parse(kind: IdKind, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(kind.prefix())?.as_bytes();
        let (characters, words) = kind.size();
        if digits.len() != characters {
            return None;
        }
        let mut limbs = [0_u32; 5];
        for &character in digits {
            let mut carry = u64::from(digit_of(character)?);
            for limb in limbs[..words].iter_mut().rev() {
                let current = u64::from(*limb) * 62 + carry;
                *limb = current as u32;
                carry = current >> 32;
            }
            if carry != 0 {
                return None;
            }
        }
        let key = Key::try_from((u64::from(limbs[0]) << 32) | u64::from(limbs[1])).ok()?;
        let mut nonce = [0; 12];
        for (i, limb) in limbs[2..].iter().enumerate() {
            nonce[i * 4..i * 4 + 4].copy_from_slice(&limb.to_be_bytes());
        }
        Some(Self { key, nonce })
    }
}

fn digit_of(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'A'..=b'Z' => Some(character - b'A' + 10),
        b'a'..=b'z' => Some(character - b'a' + 36),
        _ => None,
    }
}

/// The number of the node that made a key.
pub const fn key_node(key: Key) -> u16 {
    ((key >> COUNTER_BITS) & ((1 << NODE_BITS) - 1)) as u16
}

/// The time that a key was made at, as far as its clock could be trusted.
pub const fn key_time(key: Key) -> UnixMs {
    key >> (COUNTER_BITS + NODE_BITS)
}

/// The smallest key that a moment can have: bounds of ranges by time.
pub const fn first_key_at(at: UnixMs) -> Key {
    const LAST: i64 = (1 << 42) - 1;
    let at = if at < 0 { 0 } else { at };
    let at = if at > LAST { LAST } else { at };
    at << (COUNTER_BITS + NODE_BITS)
}

/// Gives keys, always above the highest that went before, whatever the clock does.
#[derive(Debug, Clone)]
pub struct KeyMaker {
    node: i64,
    last: Key,
}

impl KeyMaker {
    /// Keys of node `node` (0 to 511), above `highest`, the highest that is stored.
    pub fn new(node: u16, highest: Key) -> Self {
        Self { node: i64::from(node) & ((1 << NODE_BITS) - 1), last: highest }
    }

    /// The next key. When 4,096 keys of a millisecond are used up, or the clock went back, it
    /// counts on from the last one.
    pub fn next_key(&mut self, now: UnixMs) -> Key {
        let first = first_key_at(now) | (self.node << COUNTER_BITS);
        self.last = if first > self.last {
            first
        } else if (self.last + 1) & ((1 << COUNTER_BITS) - 1) == 0 {
            first_key_at(key_time(self.last) + 1) | (self.node << COUNTER_BITS)
        } else {
            self.last + 1
        };
        self.last
    }

    /// The highest key given so far.
    pub const fn last(&self) -> Key {
        self.last
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub Key);
    )*};
}

keys! {
    /// The key of an environment.
    EnvKey,
    /// The key of an application.
    AppKey,
    /// The key of an endpoint.
    EndpointKey,
    /// The key of a message.
    MessageKey,
    /// The key of an attempt.
    AttemptKey
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back_and_sorts_like_its_key(a in 0..i64::MAX, b in 0..i64::MAX, n in any::<Nonce>(), m in any::<Nonce>()) {
            let (x, y) = (Id { key: a, nonce: n }, Id { key: b, nonce: m });
            let (tx, ty) = (x.format(IdKind::Message), y.format(IdKind::Message));
            prop_assert_eq!(tx.len(), 31);
            prop_assert_eq!(Id::parse(IdKind::Message, &tx), Some(x));
            prop_assert_eq!(Id::parse(IdKind::Endpoint, &tx), None);
            prop_assert_eq!(x.cmp(&y), tx.cmp(&ty));
            let (x, y) = (x.short(), y.short());
            let (tx, ty) = (x.format(IdKind::Source), y.format(IdKind::Source));
            prop_assert_eq!(tx.len(), 26);
            prop_assert_eq!(Id::parse(IdKind::Source, &tx), Some(x));
            prop_assert_eq!(x.cmp(&y), tx.cmp(&ty));
        }

        #[test]
        fn keys_rise_whatever_the_clock_does(times in proptest::collection::vec(0_i64..1 << 41, 1..200)) {
            let mut maker = KeyMaker::new(3, 17);
            let mut last = 17;
            for at in times {
                for _ in 0..40 {
                    let key = maker.next_key(at);
                    prop_assert!(key > last);
                    last = key;
                }
            }
        }
    }

    #[test]
    fn more_than_a_milliseconds_keys_count_on() {
        let mut maker = KeyMaker::new(5, 0);
        let keys: Vec<_> = (0..10_000).map(|_| maker.next_key(1_000)).collect();
        assert!(keys.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(key_time(keys[0]), 1_000);
        assert_eq!(key_time(keys[9_999]), 1_002);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "msg_", "msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz", "msg_00000000000000000000000000!", "msg_0000"] {
            assert_eq!(Id::parse(IdKind::Message, text), None, "{text}");
        }
    }
}
