//! `posthouse serve`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use super::config::ConfigFlags;
use crate::app::{App, Ended};
use crate::config::{Config, LogFormat};

/// The disk failed (`EX_IOERR` of sysexits.h).
const EXIT_DISK: u8 = 74;

/// How the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The address to listen on; port 0 picks one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
}

pub(super) fn run(args: ServeArgs, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let mut sources = flags.sources();
    sources.flags.listen = args.listen;
    sources.flags.log_format = args.log_format.map(|format| match format {
        Format::Text => "text".to_owned(),
        Format::Json => "json".to_owned(),
    });
    let config = crate::config::load(sources)?;
    start_log(&config);
    raise_open_files(config.limits.open_files_warn_below);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async { App::open(config).await?.serve().await })?;
    runtime.shutdown_background();
    Ok(match ended {
        Ended::Drained => ExitCode::SUCCESS,
        Ended::DiskFailed => ExitCode::from(EXIT_DISK),
    })
}

fn start_log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match config.log.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Each connection and each attempt takes a descriptor: takes all that the system allows, and says
/// so when that is little.
fn raise_open_files(enough: u64) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let raised = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    if let Some(raised) = raised.filter(|raised| *raised < enough) {
        tracing::warn!(
            open_files = raised,
            "the limit of open files is low: many connections at once will be refused (raise it with ulimit -n or LimitNOFILE)"
        );
    }
}
