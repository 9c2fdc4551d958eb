//! `posthouse environment|key|key-file|backup|queue`: through the running server, or straight on the store.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::config::ConfigFlags;
use crate::app::control::{self, Request};
use crate::model::Scope;
use crate::store::query::QueueRow;

/// `posthouse environment`.
#[derive(Debug, Subcommand)]
pub(super) enum EnvironmentCommand {
    /// Make an environment
    Create {
        /// Its unique name
        name: String,
    },
    /// List environments
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `posthouse key`.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key, and print it: the only time that it is shown
    Create {
        /// The environment that it opens [default: default]
        #[arg(long)]
        environment: Option<String>,
        /// What it is called
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// What it may do: full, read, publish, operator (several with commas) [default: full]
        #[arg(long, value_delimiter = ',', value_parser = Scope::ALL.map(Scope::as_str))]
        scope: Vec<String>,
        /// As JSON, with its id
        #[arg(long)]
        json: bool,
    },
    /// List keys
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: it opens nothing from now on
    Revoke {
        /// Its id (key_…)
        id: String,
    },
}

/// `posthouse login`.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `posthouse key-file`.
#[derive(Debug, Subcommand)]
pub(super) enum KeyFileCommand {
    /// Replace the encryption key, while the store is served or not
    Rotate {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `posthouse backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where to; overwritten
    file: PathBuf,
}

/// `posthouse queue`.
#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// What waits, by age and endpoint
    Shape {
        /// How many endpoints to show, those with most first
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

fn call(flags: &ConfigFlags, request: &Request) -> anyhow::Result<Value> {
    let config = crate::config::load(flags.sources())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let answer = runtime.block_on(control::call(config, request));
    runtime.shutdown_background();
    answer
}

pub(super) fn print(line: &str) -> anyhow::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{line}").context("writing to standard output")
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or("-")
}

fn rows(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn environment(command: EnvironmentCommand, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    match command {
        EnvironmentCommand::Create { name } => {
            let made = call(flags, &Request::CreateEnvironment { name })?;
            print(text(&made, "id"))?;
        }
        EnvironmentCommand::List { json } => {
            let answer = call(flags, &Request::ListEnvironments)?;
            if json {
                print(&answer.to_string())?;
            } else {
                for row in rows(&answer) {
                    print(&format!("{}  {}", text(row, "id"), text(row, "name")))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn key(command: KeyCommand, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Create { environment, name, scope: scopes, json } => {
            let made = call(flags, &Request::CreateKey { environment, name, scopes })?;
            if json { print(&made.to_string())? } else { print(text(&made, "key"))? }
        }
        KeyCommand::List { json } => {
            let answer = call(flags, &Request::ListKeys)?;
            if json {
                print(&answer.to_string())?;
            } else {
                for row in rows(&answer) {
                    let state = if row["revokedAt"].is_null() { "valid" } else { "revoked" };
                    let (id, name, created) = (text(row, "id"), text(row, "name"), text(row, "createdAt"));
                    let scopes: Vec<&str> = rows(&row["scopes"]).iter().filter_map(Value::as_str).collect();
                    print(&format!("{id}  {state:<7}  {created}  {:<8}  {name}", scopes.join(",")))?;
                }
            }
        }
        KeyCommand::Revoke { id } => {
            let revoked = call(flags, &Request::RevokeKey { id })?;
            print(&format!("{} is revoked", text(&revoked, "id")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn login(args: &LoginArgs, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let answer = call(flags, &Request::SignIn)?;
    if args.json {
        print(&answer.to_string())?;
    } else {
        print(text(&answer, "url"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn key_file(command: &KeyFileCommand, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let KeyFileCommand::Rotate { json } = command;
    let answer = call(flags, &Request::RotateKeyFile)?;
    if *json {
        print(&answer.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let begun = if answer["continued"] == true { "the rotation that was begun is done" } else { "a new key is in use" };
    print(&format!("{begun}; {} values were sealed anew", answer["resealed"]))?;
    print("backups made until now open with the replaced key only: make a new one")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn backup(args: &BackupArgs, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let file = std::path::absolute(&args.file)?;
    call(flags, &Request::Backup { file: file.clone() })?;
    print(&format!("{} holds the store; keep the key file beside it", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn health(flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let answer = call(flags, &Request::Health)?;
    let accepting = answer["accepting"] == true;
    print(if accepting { "accepting" } else { "not accepting" })?;
    Ok(if accepting { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn queue(command: &QueueCommand, flags: &ConfigFlags) -> anyhow::Result<ExitCode> {
    let QueueCommand::Shape { limit, json } = command;
    let answer = call(flags, &Request::QueueShape { limit: usize::from(*limit) })?;
    if *json {
        print(&answer.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let shape: Vec<QueueRow> = serde_json::from_value(answer)?;
    print(&format!(
        "{:<30} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}  URL",
        "ENDPOINT", "<10s", "<1min", "<10min", "<1h", "<6h", "<1d", "older", "failed", "held"
    ))?;
    for QueueRow { endpoint, url, by_age: age, failed, held } in &shape {
        print(&format!(
            "{endpoint:<30} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {failed:>8} {held:>8}  {url}",
            age[0], age[1], age[2], age[3], age[4], age[5], age[6]
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
