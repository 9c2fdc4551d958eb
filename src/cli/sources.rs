//! `posthouse sources types`: what sources can be made of.

use std::process::ExitCode;

use clap::Subcommand;
use posthouse_signature::receive;

use super::operate::print;

/// Show what sources there can be
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum SourcesCommand {
    /// Print one line a type: its name, how well its scheme is known, what its configuration takes, its title
    Types,
}

impl SourcesCommand {
    /// Runs it, with its answer on standard output.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Types => types(),
        }
    }
}

fn types() -> anyhow::Result<ExitCode> {
    for source_type in receive::all() {
        let schema = receive::config_schema(source_type);
        let names: Vec<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
        let names = if names.is_empty() { "-".to_owned() } else { names.join(",") };
        let confidence = source_type.confidence.as_str();
        print(&format!("{:<26} {confidence:<12} {names:<40} {}", source_type.name, source_type.title))?;
    }
    Ok(ExitCode::SUCCESS)
}
