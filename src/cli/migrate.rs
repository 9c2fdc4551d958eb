//! `posthouse migrate`: the tables of a database, and the way from the embedded store to it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::config::ConfigFlags;
use super::operate::print;
use crate::app::moving;
use crate::config::{Config, PostgresUrl};
use crate::store::postgres::{self, MigrationStatus, PgOptions};

/// `posthouse migrate`.
#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// Say how far the tables are; exit code 1 where they are not up to date
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the tables up to date
    Up,
    /// Move an installation from the embedded store into an empty database, while it is served or not
    Copy(CopyArgs),
}

/// `posthouse migrate copy`.
#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// The data folder of the embedded store [default: the configured one]
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// The URL of the database [default: the configured one]
    #[arg(long, value_name = "URL")]
    to: Option<PostgresUrl>,
    /// Where an earlier copy was not finished: throw away what it has copied
    #[arg(long)]
    anew: bool,
}

pub(super) fn run(command: MigrateCommand, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let config = crate::config::load(flags.sources())?;
    match command {
        MigrateCommand::Status { json } => status(&config, json),
        MigrateCommand::Up => up(&config),
        MigrateCommand::Copy(args) => copy(config, args),
    }
}

/// The database of the configuration; `None` with the embedded store.
fn database(config: &Config) -> anyhow::Result<Option<PgOptions>> {
    config.storage.url.as_ref().map(|url| moving::options(config, url)).transpose()
}

fn say_embedded() -> anyhow::Result<ExitCode> {
    print("the embedded store is brought up to date by `posthouse serve` at its start")?;
    Ok(ExitCode::SUCCESS)
}

fn status(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let Some(options) = database(config)? else { return say_embedded() };
    let MigrationStatus { applied, known } = postgres::status(&options)?;
    if json {
        print(&serde_json::json!({ "applied": applied, "known": known }).to_string())?;
    } else {
        print(&format!("applied {applied}, known {known}"))?;
    }
    Ok(if applied == known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn up(config: &Config) -> anyhow::Result<ExitCode> {
    let Some(options) = database(config)? else { return say_embedded() };
    let before = postgres::status(&options)?;
    postgres::migrate(&options, true)?;
    let after = postgres::status(&options)?;
    print(&format!("{} migrations applied, {} in all", after.applied - before.applied, after.applied))?;
    Ok(ExitCode::SUCCESS)
}

fn copy(mut config: Config, args: CopyArgs) -> anyhow::Result<ExitCode> {
    let Some(url) = args.to.or_else(|| config.storage.url.clone()) else {
        bail!("to which database? Name it with --to, or in storage.url");
    };
    if let Some(from) = args.from {
        config.storage.data_dir = from;
    }
    let moved = moving::copy(&config, &url, args.anew, &mut |line| eprintln!("{line}"))
        .with_context(|| format!("copying {} to {url}", config.storage.data_dir.display()))?;
    for table in &moved.copied {
        print(&format!("{:<20} {:>12}", table.table, table.rows))?;
    }
    print(&format!("{url} holds all of it, row for row; the old server accepts nothing any more: stop it"))?;
    print(&format!(
        "start the new ones with storage.url and storage.key_file = {:?}, or a copy of that file on each node",
        moved.key_file.display().to_string()
    ))?;
    Ok(ExitCode::SUCCESS)
}
