//! Signing and verifying of webhooks.
//!
//! Pure functions: no I/O, no clock and no randomness of their own. Time, key material and
//! bytes are arguments, so that every scheme can be tested with the vectors of its authors.

#![forbid(unsafe_code)]

pub mod receive;
pub mod standard;
