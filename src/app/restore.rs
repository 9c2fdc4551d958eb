//! Putting a backup in place: in a data folder that no process uses, with the key that opens it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use super::folder::{Folder, check_owner, key_file_of};
use crate::config::Config;
use crate::store::sqlite::{self, SqliteOptions};

/// What was put in place.
pub struct Restored {
    /// The data folder.
    pub folder: PathBuf,
    /// The store that was there before.
    pub replaced: Option<PathBuf>,
}

/// Puts the backup `file` in the configured data folder. Refuses a folder that is in use, one without
/// the key file, and, unless told to replace it, one that has a store.
pub fn restore(config: &Config, file: &Path, replace: bool) -> anyhow::Result<Restored> {
    check_owner(&config.storage.data_dir)?;
    let folder = Folder::lock(&config.storage)?;
    let key_file = key_file_of(&config.storage);
    if !key_file.path().exists() {
        bail!(
            "the key file {} is missing: put the one there that was in use when the backup was made",
            key_file.path().display()
        );
    }
    let options = SqliteOptions {
        folder: folder.path().to_owned(),
        wal_bytes_max: config.storage.wal_bytes_max,
        sealer: Arc::new(key_file.sealer()?),
    };
    let replaced = sqlite::restore(&options, file, replace)?;
    Ok(Restored { folder: options.folder, replaced })
}
