//! Sealing of secrets at rest: AES-256-GCM, the row's key as associated data.
//!
//! Sealed form: version byte, key id (4 bytes: the first of the key's SHA-256), nonce (12 bytes), ciphertext with tag. The key is
//! 32 bytes in a file of mode 0600, as hex.

use std::io::{Read, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rand::Rng;
use sha2::{Digest, Sha256};

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

/// Seals and opens secrets with one key.
pub struct Sealer {
    key: LessSafeKey,
    id: [u8; 4],
    mac_key: [u8; 32],
}

impl Sealer {
    /// A sealer with this key.
    pub fn new(key: &[u8; 32]) -> Self {
        let digest = Sha256::digest(key);
        let mut mac = Sha256::new();
        mac.update(b"posthouse idempotency");
        mac.update(key);
        #[expect(clippy::expect_used, reason = "32 bytes are always a key of AES-256")]
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes");
        Self {
            key: LessSafeKey::new(unbound),
            id: [digest[0], digest[1], digest[2], digest[3]],
            mac_key: mac.finalize().into(),
        }
    }

    /// Reads the key file, or makes one (0600) where there is none.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        use std::os::unix::fs::OpenOptionsExt;
        let shown = path.display();
        match std::fs::File::open(path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(1024).read_to_string(&mut text).with_context(|| format!("reading the key file {shown}"))?;
                let key = decode_hex(text.trim())
                    .with_context(|| format!("the key file {shown} must hold 64 hexadecimal digits"))?;
                Ok(Self::new(&key))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                rand::rng().fill_bytes(&mut key);
                let temporary = super::suffixed(path, ".new");
                let _ = std::fs::remove_file(&temporary);
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&temporary)
                    .with_context(|| format!("making the key file {shown}"))?;
                writeln!(file, "{}", hex(&key))?;
                file.sync_all()?;
                std::fs::rename(&temporary, path)?;
                if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                    std::fs::File::open(folder)?.sync_all()?;
                }
                Ok(Self::new(&key))
            }
            Err(error) => Err(error).with_context(|| format!("opening the key file {shown}")),
        }
    }

    /// Seals `plain` for the row `row` of `table`.
    pub fn seal(&self, table: &str, row: i64, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        rand::rng().fill_bytes(&mut nonce);
        let mut out = Vec::with_capacity(HEADER + plain.len() + 16);
        out.push(VERSION);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&nonce);
        let mut sealed = plain.to_vec();
        #[expect(clippy::expect_used, reason = "fails only beyond 64 GiB")]
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad(table, row)), &mut sealed)
            .expect("sealing a short value");
        out.append(&mut sealed);
        out
    }

    /// Opens what was sealed for the row `row` of `table`.
    pub fn open(&self, table: &str, row: i64, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() < HEADER || sealed[0] != VERSION {
            return Err(SealError::Damaged);
        }
        if sealed[1..5] != self.id {
            return Err(SealError::OtherKey);
        }
        let nonce: [u8; 12] = sealed[5..HEADER].try_into().map_err(|_| SealError::Damaged)?;
        let mut body = sealed[HEADER..].to_vec();
        let plain = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad(table, row)), &mut body)
            .map_err(|_| SealError::Damaged)?;
        Ok(plain.to_vec())
    }

    /// A keyed hash: nobody without the key can choose texts that collide.
    pub fn keyed_hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.mac_key);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
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

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
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
}
