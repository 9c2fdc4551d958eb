//! Configuration: one file a section, each a plain struct that the rest of the program takes by
//! value.
//!
//! Defaults, then the file (`posthouse.toml`, or the one that is named), then the environment
//! (`POSTHOUSE__SECTION__KEY`), then flags. What is not known is an error, never passed over. The
//! fields' types, bounds and doc comments are the one definition: [`keys`] reads them as a schema,
//! from which come the checks, `docs/configuration.md` and the JSON Schema.
//!
//! Absent on purpose: reloading while running, and any process-wide state: whoever needs a section
//! is given it.

mod cluster;
mod delivery;
mod egress;
mod keys;
mod layers;
mod limits;
mod log;
mod portal;
mod postgres_url;
mod problem;
mod reference;
mod retention;
mod server;
mod storage;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use std::path::{Path, PathBuf};

pub use cluster::Cluster;
pub use delivery::Delivery;
pub use egress::{DnsServer, Egress, NotADnsServer};
pub use layers::{Resolved, read_capped};
pub use limits::Limits;
pub use log::{AttemptLines, Log, LogFormat};
pub use portal::{NotAnOrigin, Portal, WebOrigin};
pub use postgres_url::{NotAPostgresUrl, PostgresUrl};
pub use problem::{ConfigError, Fault, Origin, Problem};
pub use reference::{reference, schema_json};
pub use retention::Retention;
pub use server::Server;
pub use storage::Storage;

/// The configuration of Posthouse.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Posthouse listens, and how long it waits for its clients.
    pub server: Server,
    /// Where messages are kept.
    pub storage: Storage,
    /// Several nodes on one PostgreSQL database. With the embedded store there is one node, and nothing
    /// here counts.
    pub cluster: Cluster,
    /// What Posthouse may connect to, and how it finds it.
    pub egress: Egress,
    /// Who may show the customers' portal, and call the API from a page.
    pub portal: Portal,
    /// Attempts, retries, and what waits in memory for them.
    pub delivery: Delivery,
    /// How long what was accepted is kept.
    pub retention: Retention,
    /// How much of a thing there may be.
    pub limits: Limits,
    /// What is written to standard error, and how.
    pub log: Log,
}

/// Where a configuration comes from, besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file, which must be there. `None`: `posthouse.toml` of the working directory, if there.
    pub file: Option<PathBuf>,
    /// Environment variables; those with other names than ours are passed over.
    pub env: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Overrides,
}

impl Sources {
    /// The process's own environment, with the file and the flags of its command line.
    pub fn of_process(file: Option<PathBuf>, flags: Overrides) -> Self {
        // `std::env::vars` panics at a foreign variable that is not UTF-8.
        let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
        Self { file, env: std::env::vars_os().map(|(name, word)| (text(name), text(word))).collect(), flags }
    }
}

/// The keys that can be given as flags, each as it was typed.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`: `server.listen`.
    pub listen: Option<String>,
    /// `--data-dir`: `storage.data_dir`.
    pub data_dir: Option<String>,
    /// `--database`: `storage.url`.
    pub database: Option<String>,
    /// `--log-format`: `log.format`.
    pub log_format: Option<String>,
}

impl Overrides {
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let words = [&self.listen, &self.data_dir, &self.database, &self.log_format];
        let keys = keys::FLAGS.into_iter().zip(words);
        keys.filter_map(|((key, flag), word)| Some((key, flag, word.as_deref()?)))
    }
}

/// The configuration in force.
pub fn load(sources: Sources) -> Result<Config, ConfigError> {
    resolve(sources).map(|resolved| resolved.config)
}

/// The configuration in force, and where each value comes from.
pub fn resolve(sources: Sources) -> Result<Resolved, ConfigError> {
    layers::resolve(Path::new(""), sources)
}

impl Config {
    /// Values that are well each for itself and do not go together: the key, what it is, and what
    /// it should be.
    fn contradictions(&self) -> Vec<(&'static str, String, String)> {
        let Limits { body_bytes_max, body_bytes_in_memory_max, journal_bytes_max, .. } = self.limits;
        let mut found = Vec::new();
        if self.storage.listen_url.is_some() && self.storage.url.is_none() {
            let expected = "nothing, because storage.url is not given".to_owned();
            found.push(("storage.listen_url", "given".to_owned(), expected));
        }
        for (key, bytes) in [
            ("limits.body_bytes_in_memory_max", body_bytes_in_memory_max),
            ("limits.journal_bytes_max", journal_bytes_max),
        ] {
            if bytes < body_bytes_max {
                let expected = format!("at least limits.body_bytes_max, which is {body_bytes_max}");
                found.push((key, bytes.to_string(), expected));
            }
        }
        found
    }
}
