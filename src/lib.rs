//! Posthouse: a webhook gateway in one binary.

pub mod metrics;
pub mod model;
pub mod store;
