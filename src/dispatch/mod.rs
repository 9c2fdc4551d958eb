//! When deliveries go, and how many: lanes, windows, breakers, rates and fair turns.

pub mod fresh;
pub mod lane;
pub mod scheduler;
