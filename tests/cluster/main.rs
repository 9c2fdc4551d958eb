//! Several nodes on one PostgreSQL: what the whole does when a node or the database fails, and what it does
//! when nothing does. The shipped binary, a real database, and a ledger of what was acknowledged and what arrived.
//!
//! Short, or with `POSTHOUSE_SOAK` at the length that the requirements name. Each test prints what it measured.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod configuration;
mod crashes;
mod database;
mod keys;
mod ledger;
mod load;
mod scheduled;
mod sharing;

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

fn is_soak() -> bool {
    std::env::var_os("POSTHOUSE_SOAK").is_some()
}

/// The lease of the nodes.
fn lease() -> Duration {
    Duration::from_secs(if is_soak() { 10 } else { 3 })
}

/// Whoever measures times has the machine for itself.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
