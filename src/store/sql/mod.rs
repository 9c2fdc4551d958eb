//! What both engines share: the configuration, its changes and the lists, over [`db::Db`].
//!
//! The engines keep to themselves what has to be fast or is about their files: the hot path, indexes,
//! retention.

pub(super) mod db;

mod access;
mod app_stats;
mod attempt_count;
mod cancel;
pub(super) mod catalog;
pub(super) mod change;
pub(super) mod core;
pub(super) mod cron;
mod deliveries;
mod endpoint_list;
mod expunge;
mod health;
mod judged;
pub(super) mod lines;
mod lookup;
pub(super) mod purged;
mod query;
pub(super) mod raise;
mod recover;
mod replay;
pub(super) mod reseal;
mod resend;
pub(super) mod rows;
pub(super) mod scan;
mod sealed;
mod search;
pub(super) mod source;
pub(super) mod source_log;
mod standing;
pub(super) mod stats;
mod stumbling;
pub(super) mod task;
pub(super) mod traffic;
mod usage;
