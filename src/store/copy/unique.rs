//! Unique keys of messages: PostgreSQL keeps them in a table of their own, the embedded store beside the
//! messages.

use std::collections::HashMap;

use super::columns::{Column, Slice};
use super::tables::{MESSAGE_APP, MESSAGE_EVENT_ID};
use crate::model::id::key_time;
use crate::model::source::DEDUPE_WINDOW_S;
use crate::model::{AppKey, UnixMs};
use crate::store::idempotency::Kind as StoredKind;
use crate::store::postgres::unique::{DEDUPE_KEPT_MS, EVENT_ID_KEPT_MS, Kind, event_hash};

const HOUR_MS: i64 = 3_600_000;

/// What adds them: of messages with the same key the newest has it.
pub(super) const INSERT: &str = "INSERT INTO unique_key (hash, message, fingerprint, expires_hour)
     SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::integer[]) AS new (hash) ORDER BY hash
     ON CONFLICT (hash) DO UPDATE SET message = excluded.message, fingerprint = excluded.fingerprint,
       expires_hour = excluded.expires_hour WHERE unique_key.message < excluded.message";

/// The unique keys of some messages, each once.
#[derive(Default)]
pub(super) struct UniqueKeys {
    pub(super) hashes: Vec<Vec<u8>>,
    pub(super) messages: Vec<i64>,
    pub(super) fingerprints: Vec<Option<Vec<u8>>>,
    pub(super) expiries: Vec<i32>,
}

struct Holder {
    message: i64,
    fingerprint: Option<Vec<u8>>,
    expires_at: UnixMs,
}

impl UniqueKeys {
    /// Of a slice of messages, with their columns `idempotency` and `dedupe`; without those that have expired.
    pub(super) fn of(messages: &Slice, only_in_source: &[Column], now: UnixMs) -> Self {
        let mut holders: HashMap<Vec<u8>, Holder> = HashMap::new();
        let mut add = |kind: Kind, hash: &[u8], fingerprint: Option<&[u8]>, message: i64, kept_ms: i64| {
            let expires_at = key_time(message).saturating_add(kept_ms);
            // An event id is its message's as long as that is there.
            if expires_at > now || kind == Kind::EventId {
                let name: Vec<u8> = std::iter::once(kind as u8).chain(hash.iter().copied().take(16)).collect();
                let fingerprint = fingerprint.map(<[u8]>::to_vec);
                holders.insert(name, Holder { message, fingerprint, expires_at });
            }
        };
        let [keys, apps, event_ids] = [0, MESSAGE_APP, MESSAGE_EVENT_ID].map(|place| &messages.columns[place]);
        for row in 0..messages.rows {
            let (Some(message), Some(app)) = (keys.numbers()[row], apps.numbers()[row]) else { continue };
            if let Some((kind, hash, fingerprint)) = only_in_source[0].bytes()[row].as_deref().and_then(idempotency) {
                add(kind, hash, Some(fingerprint), message, kind.kept_ms());
            }
            if let Some(event_id) = &event_ids.texts()[row] {
                add(Kind::EventId, &event_hash(AppKey(app), event_id), None, message, EVENT_ID_KEPT_MS);
            }
            if let Some(dedupe) = &only_in_source[1].bytes()[row] {
                let window_ms = i64::from(*DEDUPE_WINDOW_S.end()) * 1_000;
                add(Kind::Dedupe, dedupe, None, message, window_ms + DEDUPE_KEPT_MS);
            }
        }
        let mut all = Self::default();
        for (hash, Holder { message, fingerprint, expires_at }) in holders {
            all.hashes.push(hash);
            all.messages.push(message);
            all.fingerprints.push(fingerprint);
            all.expiries.push(i32::try_from(expires_at / HOUR_MS + 1).unwrap_or(i32::MAX));
        }
        all
    }
}

/// An idempotency key as the embedded store has it: kind (1 byte), hash (16), fingerprint (8).
fn idempotency(stored: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let kind = match StoredKind::ALL.get(usize::from(*stored.first()?))? {
        StoredKind::Chosen => Kind::Chosen,
        StoredKind::Automatic => Kind::Automatic,
        StoredKind::EventId => return None,
    };
    Some((kind, stored.get(1..17)?, stored.get(17..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::first_key_at;
    use crate::store::copy::tables::GROWING;

    const NOW: UnixMs = 1_800_000_000_000;

    /// A message of an age, with what tells it from others.
    type Message<'a> = (i64, Option<Vec<u8>>, Option<&'a str>, Option<Vec<u8>>);

    fn of(messages: &[Message<'_>]) -> UniqueKeys {
        let mut slice =
            Slice { columns: GROWING[0].columns.iter().map(|_| Column::Int8(Vec::new())).collect(), rows: 0 };
        let key = |age_ms: &i64| Some(first_key_at(NOW - age_ms));
        slice.columns[0] = Column::Int8(messages.iter().map(|(age_ms, ..)| key(age_ms)).collect());
        slice.columns[MESSAGE_APP] = Column::Int8(messages.iter().map(|_| Some(7)).collect());
        let event_ids = messages.iter().map(|(_, _, event_id, _)| event_id.map(str::to_owned)).collect();
        slice.columns[MESSAGE_EVENT_ID] = Column::Text(event_ids);
        slice.rows = messages.len();
        let keys = Column::Bytes(messages.iter().map(|(_, key, ..)| key.clone()).collect());
        let dedupes = Column::Bytes(messages.iter().map(|(.., dedupe)| dedupe.clone()).collect());
        UniqueKeys::of(&slice, &[keys, dedupes], NOW)
    }

    fn stored(kind: StoredKind, hash: u8) -> Vec<u8> {
        std::iter::once(kind as u8).chain([hash; 16]).chain([9; 8]).collect()
    }

    #[test]
    fn what_has_expired_is_left_behind() {
        let kept = |message: Message<'_>| of(&[message]).hashes.len();
        assert_eq!(kept((23 * HOUR_MS, Some(stored(StoredKind::Chosen, 1)), None, None)), 1);
        assert_eq!(kept((25 * HOUR_MS, Some(stored(StoredKind::Chosen, 1)), None, None)), 0);
        assert_eq!(kept((HOUR_MS / 2, Some(stored(StoredKind::Automatic, 1)), None, None)), 1);
        assert_eq!(kept((2 * HOUR_MS, Some(stored(StoredKind::Automatic, 1)), None, None)), 0);
        assert_eq!(kept((24 * 365 * HOUR_MS, None, Some("event"), None)), 1, "as long as its message is there");
        assert_eq!(kept((7 * 24 * HOUR_MS, None, None, Some(vec![1; 16]))), 1);
        assert_eq!(kept((9 * 24 * HOUR_MS, None, None, Some(vec![1; 16]))), 0);
    }

    #[test]
    fn the_newest_message_has_the_key() {
        let all = of(&[
            (3_000, Some(stored(StoredKind::Chosen, 1)), None, None),
            (2_000, Some(stored(StoredKind::Automatic, 1)), None, None),
            (1_000, Some(stored(StoredKind::Chosen, 1)), None, None),
        ]);
        let mut found: Vec<(u8, i64, Option<Vec<u8>>)> = all
            .hashes
            .iter()
            .zip(all.messages)
            .zip(all.fingerprints)
            .map(|((hash, message), fingerprint)| (hash[0], NOW - key_time(message), fingerprint))
            .collect();
        found.sort();
        let print = Some(vec![9; 8]);
        assert_eq!(found, [(Kind::Chosen as u8, 1_000, print.clone()), (Kind::Automatic as u8, 2_000, print)]);
        assert!(all.hashes.iter().all(|hash| hash.len() == 17 && hash[1..] == [1; 16]));
    }
}
