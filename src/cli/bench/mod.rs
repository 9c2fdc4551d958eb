//! `posthouse bench`: load, sink and report in one command, all on this machine.
//!
//! ```text
//! load (closed or open loop) ──POST …/msg──► server ──POST /e/<n>──► sink
//!        │ acknowledged, when                                          │ arrived, when
//!        └───────────────────────────► ledger ◄───────────────────────┘
//! ```
//!
//! Every payload carries a sequence number and the moment it was due on a clock that load and
//! sink share, so that one process knows latency end to end, and what was lost or came twice.
//! Load and sink speak HTTP/1.1 by hand: they share the processors with what they measure.
//! Everything is bounded in count and time, and nothing but loopback is spoken to.

mod args;
mod ledger;
mod load;
mod machine;
mod pace;
mod report;
mod run;
mod scenarios;
mod server;
mod session;
mod sink;
mod stats;
mod suite;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod wire;

pub use args::{BenchArgs, BenchCommand, RunArgs, SuiteArgs};

/// Runs the bench that was asked for. Blocks; its threads bring their own runtimes, so it may be
/// called from inside of one.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        Some(BenchCommand::Suite(suite)) => suite::run(&suite),
        None => run::run(&args.run),
    }
}
