//! Posthouse: a webhook gateway in one binary.

pub mod accept;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod deliver;
pub mod dispatch;
pub mod maintain;
pub mod metrics;
pub mod model;
pub mod record;
pub mod store;

#[cfg(test)]
#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "standbys are for the tests of the binary")]
mod test_postgres;
