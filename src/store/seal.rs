//! Sealing of secrets at rest: AES-256-GCM, the row's key as associated data.
//!
//! Sealed form: version byte, key id (4 bytes: the first of the key's SHA-256), nonce (12 bytes), ciphertext with tag.
//! While a key is being replaced two open and the newer one seals. Values are sealed on the writer's
//! thread: what it commits after [`Sealer::replace_keys`] is sealed with the new key. The keys' file is
//! [`super::key_file`]'s.

use std::sync::{PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rand::Rng;
use sha2::{Digest, Sha256};

use super::key_file::Key;

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + 12;

/// Why a sealed value cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed with another key than ours.
    #[error("sealed with another key")]
    OtherKey,
    /// Not of our form, altered, or moved from another row.
    #[error("the sealed value is damaged")]
    Damaged,
}

/// Seals with the newest key, opens with any that it has.
pub struct Sealer {
    ring: RwLock<Ring>,
}

struct Ring {
    /// Newest first.
    keys: Vec<SealKey>,
    /// Keys the hashes of idempotency keys. It stays when the encryption key is replaced, so that what
    /// was said before is known afterwards.
    mac_key: Key,
}

struct SealKey {
    key: LessSafeKey,
    id: [u8; 4],
}

impl SealKey {
    fn new(key: &Key) -> Self {
        #[expect(clippy::expect_used, reason = "32 bytes are always a key of AES-256")]
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes");
        Self { key: LessSafeKey::new(unbound), id: id_of(key) }
    }
}

fn id_of(key: &Key) -> [u8; 4] {
    let digest = Sha256::digest(key);
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The hash key of a sealer that no store has given one.
fn derived_mac_key(key: &Key) -> Key {
    let mut mac = Sha256::new();
    mac.update(b"posthouse idempotency");
    mac.update(key);
    mac.finalize().into()
}

impl Sealer {
    /// A sealer with one key.
    pub fn new(key: &Key) -> Self {
        Self::with_keys(key, &[])
    }

    /// A sealer that seals with `newest` and opens with `older` ones too. Until a store says otherwise
    /// ([`Sealer::set_mac_key`]), hashes are keyed by the oldest of them.
    pub fn with_keys(newest: &Key, older: &[Key]) -> Self {
        let keys = std::iter::once(newest).chain(older).map(SealKey::new).collect();
        let mac_key = derived_mac_key(older.last().unwrap_or(newest));
        Self { ring: RwLock::new(Ring { keys, mac_key }) }
    }

    fn ring(&self) -> std::sync::RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on seals with `newest`, and opens with `older` ones too.
    pub fn replace_keys(&self, newest: &Key, older: &[Key]) {
        let keys = std::iter::once(newest).chain(older).map(SealKey::new).collect();
        self.ring.write().unwrap_or_else(PoisonError::into_inner).keys = keys;
    }

    /// Whether this is the key that seals now.
    pub fn seals_with(&self, key: &Key) -> bool {
        self.ring().keys[0].id == id_of(key)
    }

    /// The key of the hashes, for the store to keep (sealed).
    pub fn mac_key(&self) -> Key {
        self.ring().mac_key
    }

    /// Takes the key of the hashes that the store kept.
    pub fn set_mac_key(&self, mac_key: Key) {
        self.ring.write().unwrap_or_else(PoisonError::into_inner).mac_key = mac_key;
    }

    /// Seals `plain` for the row `row` of `table`.
    pub fn seal(&self, table: &str, row: i64, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        rand::rng().fill_bytes(&mut nonce);
        let ring = self.ring();
        let newest = &ring.keys[0];
        let mut out = Vec::with_capacity(HEADER + plain.len() + 16);
        out.push(VERSION);
        out.extend_from_slice(&newest.id);
        out.extend_from_slice(&nonce);
        let mut sealed = plain.to_vec();
        #[expect(clippy::expect_used, reason = "fails only beyond 64 GiB")]
        newest
            .key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad(table, row)), &mut sealed)
            .expect("sealing a short value");
        out.append(&mut sealed);
        out
    }

    /// Opens what was sealed for the row `row` of `table`.
    pub fn open(&self, table: &str, row: i64, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let id = key_id(sealed)?;
        let nonce: [u8; 12] = sealed[5..HEADER].try_into().map_err(|_| SealError::Damaged)?;
        let ring = self.ring();
        let key = ring.keys.iter().find(|key| key.id == id).ok_or(SealError::OtherKey)?;
        let mut body = sealed[HEADER..].to_vec();
        let plain = key
            .key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad(table, row)), &mut body)
            .map_err(|_| SealError::Damaged)?;
        Ok(plain.to_vec())
    }

    /// The value sealed with the newest key; `None` if it is already.
    pub fn reseal(&self, table: &str, row: i64, sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if key_id(sealed)? == self.ring().keys[0].id {
            return Ok(None);
        }
        let plain = self.open(table, row, sealed)?;
        Ok(Some(self.seal(table, row, &plain)))
    }

    /// Whether this was sealed with a key that we have. What is damaged was sealed with none.
    pub fn has_key_of(&self, sealed: &[u8]) -> bool {
        key_id(sealed).is_ok_and(|id| self.ring().keys.iter().any(|key| key.id == id))
    }

    /// A keyed hash: nobody without the key can choose texts that collide.
    pub fn keyed_hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.mac_key());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn key_id(sealed: &[u8]) -> Result<[u8; 4], SealError> {
    if sealed.len() < HEADER || sealed[0] != VERSION {
        return Err(SealError::Damaged);
    }
    Ok([sealed[1], sealed[2], sealed[3], sealed[4]])
}

fn aad(table: &str, row: i64) -> Vec<u8> {
    let mut aad = table.as_bytes().to_vec();
    aad.push(0);
    aad.extend_from_slice(&row.to_be_bytes());
    aad
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_row_and_with_its_key() {
        let (ours, theirs) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let sealed = ours.seal("endpoint", 7, b"secret");
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        assert_eq!(ours.open("endpoint", 7, &sealed), Ok(b"secret".to_vec()));
        assert_eq!(ours.open("endpoint", 8, &sealed), Err(SealError::Damaged));
        assert_eq!(ours.open("source", 7, &sealed), Err(SealError::Damaged));
        assert_eq!(theirs.open("endpoint", 7, &sealed), Err(SealError::OtherKey));
        for i in 5..sealed.len() {
            let mut altered = sealed.clone();
            altered[i] ^= 1;
            assert_eq!(ours.open("endpoint", 7, &altered), Err(SealError::Damaged), "byte {i}");
        }
    }

    #[test]
    fn a_replaced_key_opens_and_the_new_one_seals() {
        let sealer = Sealer::new(&[1; 32]);
        let (before, hash) = (sealer.seal("endpoint", 7, b"secret"), sealer.keyed_hash(&[b"key"]));
        assert_eq!(sealer.reseal("endpoint", 7, &before), Ok(None));
        sealer.replace_keys(&[2; 32], &[[1; 32]]);
        assert!(sealer.seals_with(&[2; 32]) && !sealer.seals_with(&[1; 32]));
        assert_eq!(sealer.open("endpoint", 7, &before), Ok(b"secret".to_vec()));
        let after = sealer.reseal("endpoint", 7, &before).expect("opened").expect("sealed anew");
        assert_eq!(sealer.reseal("endpoint", 8, &before), Err(SealError::Damaged));
        assert_eq!(sealer.reseal("endpoint", 7, &after), Ok(None));
        sealer.replace_keys(&[2; 32], &[]);
        assert_eq!(sealer.open("endpoint", 7, &after), Ok(b"secret".to_vec()));
        assert_eq!(sealer.open("endpoint", 7, &before), Err(SealError::OtherKey));
        assert!(sealer.has_key_of(&after) && !sealer.has_key_of(&before) && !sealer.has_key_of(b"short"));
        assert_eq!(sealer.keyed_hash(&[b"key"]), hash, "what was said before is still known");
    }
}
