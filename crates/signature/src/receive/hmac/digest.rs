//! Hashes, and how their values are written.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::super::reading;

/// A hash that providers sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Legacy, and as a keyed hash unbroken.
    Sha1,
    /// The usual one.
    Sha256,
    /// A longer one.
    Sha512,
}

impl Algorithm {
    /// Its name in a configuration.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("sha256", Self::Sha256), ("sha1", Self::Sha1), ("sha512", Self::Sha512)];

    /// The HMAC of these pieces one after the other, which are hashed where they lie.
    pub(crate) fn mac(self, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac_of::<Hmac<Sha1>>(key, pieces),
            Self::Sha256 => mac_of::<Hmac<Sha256>>(key, pieces),
            Self::Sha512 => mac_of::<Hmac<Sha512>>(key, pieces),
        }
    }
}

fn mac_of<M: Mac + KeyInit>(key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    // An HMAC takes a key of any length, so there is always one; nothing is equal to no bytes.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Hexadecimal in lower case.
    Hex,
    /// Hexadecimal in either case.
    HexAnyCase,
    /// Base64 with its padding.
    Base64,
    /// Base64 of URLs, without padding.
    Base64Url,
}

impl Encoding {
    /// Its name in a configuration.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("hex", Self::HexAnyCase), ("base64", Self::Base64), ("base64url", Self::Base64Url)];

    /// Bytes as the provider writes them.
    pub(crate) fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex | Self::HexAnyCase => reading::hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    /// A signature as given, in the case in which [`Encoding::write`] writes.
    pub(crate) fn folded(self, given: &str) -> Cow<'_, str> {
        match self {
            Self::HexAnyCase => Cow::Owned(given.to_ascii_lowercase()),
            Self::Hex | Self::Base64 | Self::Base64Url => Cow::Borrowed(given),
        }
    }
}
