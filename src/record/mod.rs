//! From an outcome to what happens next: the retry policy, and the line that tells of it.

pub mod line;
pub mod transition;

pub use transition::{Verdict, transition};
