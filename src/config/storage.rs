//! `[storage]`: where messages are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::postgres_url::PostgresUrl;

/// Where messages are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The folder of the embedded store, its key file, its lock and its control socket. A relative
    /// one counts from the working directory. It is made at the first start.
    #[schemars(length(min = 1))]
    pub data_dir: PathBuf,

    /// The URL of a PostgreSQL database (version 15 or newer), `postgres://…`, to keep messages there
    /// instead of in the embedded store, for one node or many. Its password is better given by the
    /// file or the environment than by the flag, which other users of the machine can read.
    #[schemars(
        with = "Option<String>",
        length(min = 1),
        example = "postgres://posthouse@db.internal/posthouse",
        extend("writeOnly" = true)
    )]
    pub url: Option<PostgresUrl>,

    /// Where `storage.url` leads to a pooler that lends connections by the transaction (`PgBouncer`):
    /// the URL of the database itself, for the one connection of a node on which it is notified.
    /// Not given: `storage.url`.
    #[schemars(
        with = "Option<String>",
        length(min = 1),
        example = "postgres://posthouse@db.internal:5432/posthouse",
        extend("writeOnly" = true)
    )]
    pub listen_url: Option<PostgresUrl>,

    /// Connections to PostgreSQL that a node opens at most, with the one on which it is notified. Three
    /// nodes with the default fit into the 100 connections that PostgreSQL allows unless told
    /// otherwise.
    #[schemars(range(min = 7, max = 1_000))]
    pub pool_max: usize,

    /// Whether `serve` brings the tables of a PostgreSQL database up to date at start. Off where
    /// that is done by `posthouse migrate up`, as another user of the database; `serve` then refuses
    /// to start on tables that are older than it needs.
    pub migrate: bool,

    /// The file that holds the key with which secrets are encrypted in the store, readable by its
    /// owner only. Not given: `key` in `storage.data_dir`. It belongs in the backup, and beside
    /// it, not in it: without it the secrets in a copy of the store cannot be read.
    #[schemars(example = "/etc/posthouse/key", length(min = 1))]
    pub key_file: Option<PathBuf>,

    /// Bytes of free disk below which nothing more is accepted (503), so that the outcomes of what
    /// was accepted can still be written.
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64))]
    pub disk_reserve_bytes: u64,

    /// Bytes of the embedded store's write-ahead log above which the writer pauses for a
    /// checkpoint. A longer log means fewer pauses and more to read at start.
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub wal_bytes_max: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./posthouse-data"),
            url: None,
            listen_url: None,
            pool_max: 20,
            migrate: true,
            key_file: None,
            disk_reserve_bytes: 256 << 20,
            wal_bytes_max: 64 << 20,
        }
    }
}
