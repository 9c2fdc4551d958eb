//! The data folder: one process at a time, its key, its socket, its room.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::config::{Storage, read_capped};
use crate::store::key_file::KeyFile;
use crate::store::seal::Sealer;

/// Bytes of the file that has the name of this node.
const NODE_NAME_BYTES_MAX: u64 = 128;
/// The embedded store's file.
const STORE_FILE: &str = "posthouse.db";
/// What says that the store of a data folder was moved to a database, and to which.
pub(super) const MOVED: &str = "moved";
const MOVED_BYTES_MAX: u64 = 64 * 1024;
/// The longest path that a Unix socket can have, less some room.
const SOCKET_PATH_MAX: usize = 100;

/// Another process has the data folder.
#[derive(Debug, thiserror::Error)]
#[error("the data folder {folder} is in use by another Posthouse (process {holder})")]
pub(super) struct InUse {
    folder: String,
    holder: String,
}

/// A locked data folder.
pub(super) struct Folder {
    path: PathBuf,
    key_file: KeyFile,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    pub(super) fn lock(storage: &Storage) -> anyhow::Result<Self> {
        let path = storage.data_dir.clone();
        let shown = path.display();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(|| format!("making {shown}"))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("opening {shown}/lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.take(32).read_to_string(&mut holder)?;
                return Err(InUse { folder: shown.to_string(), holder: holder.trim().to_owned() }.into());
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {shown}/lock"));
            }
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        let key_file = key_file_of(storage);
        Ok(Self { path, key_file, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The encryption key; made at the first start, and only then.
    pub(super) fn sealer(&self) -> anyhow::Result<Sealer> {
        if has_store(&self.path) && !self.key_file.path().exists() {
            bail!(
                "the key file {} is missing, and the store cannot be opened without it: put it back from your backup",
                self.key_file.path().display()
            );
        }
        self.key_file.sealer()
    }

    /// The name of this node: as configured, or a random one that is kept in the folder.
    pub(super) fn node_name(&self, configured: Option<&str>) -> anyhow::Result<String> {
        if let Some(name) = configured {
            return Ok(name.to_owned());
        }
        let file = self.path.join("node-name");
        if let Ok(kept) = crate::config::read_capped(&file, NODE_NAME_BYTES_MAX)
            && !kept.trim().is_empty()
        {
            return Ok(kept.trim().to_owned());
        }
        let name = format!("node-{}", crate::store::seal::hex(&crate::store::key_file::draw()[..6]));
        std::fs::write(&file, &name).with_context(|| format!("writing {}", file.display()))?;
        Ok(name)
    }

    /// Refuses a store that is in a database now: its deliveries would be made a second time.
    pub(super) fn check_not_moved(&self) -> anyhow::Result<()> {
        let file = self.path.join(MOVED);
        match read_capped(&file, MOVED_BYTES_MAX) {
            Ok(to) => bail!(
                "the store in {} was moved to {}: start with --database; or, to use the old store after all, take {} away",
                self.path.display(),
                to.trim(),
                file.display()
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    pub(super) fn key_file(&self) -> &KeyFile {
        &self.key_file
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket_of(&self.path)
    }

    /// Takes the socket away; the lock goes with the process.
    pub(super) fn close(&self) {
        let _ = std::fs::remove_file(self.socket());
    }
}

/// Where the encryption key is: as configured, or in the data folder.
pub(super) fn key_file_of(storage: &Storage) -> KeyFile {
    KeyFile::new(storage.key_file.clone().unwrap_or_else(|| storage.data_dir.join("key")))
}

/// Where the control socket of a data folder is: inside, or, where that path is too long for a
/// socket, under the system's folder for temporary files.
pub(super) fn socket_of(folder: &Path) -> PathBuf {
    let inside = folder.join("control.sock");
    if inside.as_os_str().len() <= SOCKET_PATH_MAX {
        return inside;
    }
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let digest = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let name = crate::store::seal::hex(&digest[..12]);
    std::env::temp_dir().join(format!("posthouse-{name}.sock"))
}

/// Whether a folder holds a store.
pub(super) fn has_store(folder: &Path) -> bool {
    folder.join(STORE_FILE).exists()
}

/// Whether a file is there and belongs to us or to root: the socket may be in a folder that others
/// can write to.
pub(super) fn is_ours(file: &Path) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(file).is_ok_and(|found| found.uid() == ours || found.uid() == 0)
}

/// Refuses root in the data folder of another user: what root makes there, the server, which runs as that
/// user, could not open.
pub(super) fn check_owner(folder: &Path) -> anyhow::Result<()> {
    let Ok(found) = std::fs::metadata(folder) else { return Ok(()) };
    if rustix::process::geteuid().is_root() && found.uid() != 0 {
        bail!(
            "{} belongs to user {}, and root would leave files in it that this user cannot open: run it as that user \
             (`sudo -u posthouse …`)",
            folder.display(),
            found.uid()
        );
    }
    Ok(())
}

/// Bytes that an ordinary process may still write to the disk of a folder.
pub(super) fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
