//! From an outcome to what happens next: the retry policy, the endpoint's health, and the line that
//! tells of it.

pub mod health;
pub mod line;
pub mod transition;

pub use transition::{Verdict, transition};
