//! The command line: one file a subcommand.

pub mod bench;
pub mod config;
