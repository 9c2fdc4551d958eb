//! The command line: one file a subcommand.

pub mod bench;
pub mod config;
mod migrate;
mod operate;
mod restore;
mod serve;
mod sign;
mod sources;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use config::{ConfigCommand, ConfigFlags};
use operate::{EnvironmentCommand, KeyCommand, KeyFileCommand, QueueCommand};

/// The input or the configuration is wrong.
const EXIT_USAGE: u8 = 2;

/// A webhook gateway in one binary: accepts, keeps, delivers.
#[derive(Debug, Parser)]
#[command(name = "posthouse", version)]
struct Cli {
    #[command(flatten)]
    flags: ConfigFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Make and list environments
    #[command(subcommand)]
    Environment(EnvironmentCommand),
    /// Make, list and revoke environment keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a link that signs you in to the dashboard, once, within 15 minutes
    Login(operate::LoginArgs),
    /// Replace the encryption key
    #[command(subcommand)]
    KeyFile(KeyFileCommand),
    /// Copy the store to a file, while it is served or not
    Backup(operate::BackupArgs),
    /// Put a backup in place, while the store is not served
    Restore(restore::RestoreArgs),
    /// Bring the tables of a database up to date, and move to it from the embedded store
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Say whether the server runs and takes messages, by its exit code
    Health,
    /// Show what waits
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Check, show or describe the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Judge a captured request, or a file of test vectors, as a source would
    Verify(Box<verify::VerifyArgs>),
    /// Print the headers that make a body a request of a source type
    Sign(Box<sign::SignArgs>),
    /// Show what sources there can be
    #[command(subcommand)]
    Sources(sources::SourcesCommand),
    /// Measure a running Posthouse
    Bench(Box<bench::BenchArgs>),
}

/// Parses the command line, runs the command, and maps errors to exit codes.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(args) => serve::run(args, &cli.flags),
        Command::Environment(command) => operate::environment(command, &cli.flags),
        Command::Key(command) => operate::key(command, &cli.flags),
        Command::Login(args) => operate::login(&args, &cli.flags),
        Command::KeyFile(command) => operate::key_file(&command, &cli.flags),
        Command::Backup(args) => operate::backup(&args, &cli.flags),
        Command::Restore(args) => restore::run(&args, &cli.flags),
        Command::Migrate(command) => migrate::run(command, &cli.flags),
        Command::Health => operate::health(&cli.flags),
        Command::Queue(command) => operate::queue(&command, &cli.flags),
        Command::Config(command) => command.run(&cli.flags).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => Ok(verify::run(&args)),
        Command::Sign(args) => Ok(sign::run(&args)),
        Command::Sources(command) => command.run(),
        Command::Bench(args) => bench::run(*args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        // Display only: a stack trace tells an operator nothing.
        eprintln!("posthouse: {error:#}");
        if error.is::<crate::config::ConfigError>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
    })
}
