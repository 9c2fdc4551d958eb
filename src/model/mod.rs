//! The words of the gateway as types. Pure: no I/O, no clock, no randomness of its own.

pub mod outcome;
pub mod time;

pub use outcome::{Outcome, OutcomeKind};
pub use time::{Clock, SystemClock, UnixMs};
