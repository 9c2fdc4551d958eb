//! How long things are kept, what goes when it is deleted, and what is sent again: the shipped binary.

#[path = "../support/mod.rs"]
mod support;

mod deletion;
mod expiry;
mod recovery;
mod replays;
