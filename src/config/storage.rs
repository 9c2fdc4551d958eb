//! `[storage]`: where messages are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where messages are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The folder of the embedded store, its key file, its lock and its control socket. A relative
    /// one counts from the working directory. It is made at the first start.
    #[schemars(length(min = 1))]
    pub data_dir: PathBuf,

    /// A PostgreSQL URL, `postgres://…`, to keep messages there instead of in the embedded store.
    /// PostgreSQL is not in this version: giving a URL is an error.
    #[schemars(example = "postgres://posthouse@db.internal/posthouse", extend("writeOnly" = true))]
    pub url: Option<String>,

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
            key_file: None,
            disk_reserve_bytes: 256 << 20,
            wal_bytes_max: 64 << 20,
        }
    }
}
