//! `posthouse config check|show|schema`, and the flags by which every command finds its
//! configuration.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{self, ConfigError, Overrides, Resolved, Sources};

/// The flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigFlags {
    /// The configuration file [default: posthouse.toml, if there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The folder of the embedded store
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<String>,

    /// The URL of a PostgreSQL database, instead of the embedded store
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
}

impl ConfigFlags {
    /// Where the configuration comes from, by these flags and the process's environment. A command
    /// with flags of its own sets them in `flags` of what it is given.
    pub fn sources(&self) -> Sources {
        let flags =
            Overrides { data_dir: self.data_dir.clone(), database: self.database.clone(), ..Overrides::default() };
        Sources::of_process(self.config.clone(), flags)
    }
}

/// Check, show or describe the configuration
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Read the configuration and say what is wrong with it
    Check,
    /// Print the configuration in force and where each value comes from
    Show,
    /// Print the JSON Schema of the configuration file
    Schema,
}

impl ConfigCommand {
    /// Runs it, with its answer on standard output.
    pub fn run(self, flags: &ConfigFlags) -> anyhow::Result<()> {
        let answer = self.answer(flags.sources())?;
        Ok(io::stdout().lock().write_all(answer.as_bytes())?)
    }

    fn answer(self, sources: Sources) -> Result<String, ConfigError> {
        Ok(match self {
            Self::Check => valid(&config::resolve(sources)?),
            Self::Show => config::resolve(sources)?.show(),
            Self::Schema => config::schema_json(),
        })
    }
}

fn valid(resolved: &Resolved) -> String {
    let given = resolved.origins.len();
    match &resolved.file {
        Some(path) => format!("{} is valid; {given} keys are given\n", path.display()),
        None => format!("the configuration is valid; no file, {given} keys are given\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_show_prints_is_a_configuration_file_that_says_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sources = Sources {
            file: Some(folder.path().join("a.toml")),
            env: vec![("POSTHOUSE__EGRESS__ALLOW_NETWORKS".into(), "127.0.0.0/8,::1/128".into())],
            ..Sources::default()
        };
        std::fs::write(folder.path().join("a.toml"), "[log]\nformat = 'json'\n").expect("written");
        let shown = ConfigCommand::Show.answer(sources).expect("valid");
        assert!(shown.contains("format = \"json\" # "), "{shown}");
        let variable = "[\"127.0.0.0/8\", \"::1/128\"] # environment variable POSTHOUSE__EGRESS";
        assert!(shown.contains(variable), "{shown}");

        let again = folder.path().join("b.toml");
        std::fs::write(&again, &shown).expect("written");
        sources = Sources { file: Some(again.clone()), ..Sources::default() };
        let read = config::load(sources).expect("what was shown can be read");
        assert_eq!(read.egress.allow_networks.len(), 2);
        assert_eq!(read.log.format, config::LogFormat::Json);
    }

    #[test]
    fn check_names_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("posthouse.toml");
        std::fs::write(&path, "server.listen = '127.0.0.1:0'\n").expect("written");
        let sources = Sources { file: Some(path.clone()), ..Sources::default() };
        let answer = ConfigCommand::Check.answer(sources).expect("valid");
        assert_eq!(answer, format!("{} is valid; 1 keys are given\n", path.display()));
    }
}
