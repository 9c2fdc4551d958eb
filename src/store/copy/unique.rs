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
