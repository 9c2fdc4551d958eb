//! When deliveries go, and how many: lanes, windows, breakers, rates and fair turns.
//!
//! [`lane`] and [`scheduler`] decide and are pure; [`runner`] starts attempts and follows the journal;
//! [`ownership`] says which endpoints are this process's.

pub mod book;
mod expunged;
mod failing;
pub mod fresh;
pub mod lane;
pub mod ownership;
pub mod runner;
pub mod scheduler;
