//! Posthouse: a webhook gateway in one binary.

pub mod cli;
pub mod config;
pub mod deliver;
pub mod model;
