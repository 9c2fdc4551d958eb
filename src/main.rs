//! The `posthouse` command. Temporary wiring: `bench` alone.

use clap::Parser;

#[derive(Debug, Parser)]
enum Command {
    Bench(Box<posthouse::cli::bench::BenchArgs>),
}

fn main() -> anyhow::Result<()> {
    let Command::Bench(args) = Command::parse();
    posthouse::cli::bench::run(*args)
}
