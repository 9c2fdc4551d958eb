//! What providers send, against the shipped binary: verified, answered, told from duplicates, kept and
//! passed on.

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod cron;
mod dedupe;
mod github;
mod handshakes;
mod other_handshakes;
mod refused;
mod requests;
mod sources;
mod story;
mod sync;
mod world;
