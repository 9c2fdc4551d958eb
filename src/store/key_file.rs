//! The file of the encryption key: 32 bytes as hexadecimal digits, mode 0600. Two lines, the newer key
//! first, while one is being replaced by the other. It is always replaced as a whole.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rand::Rng;

use super::seal::{Sealer, hex};

/// An encryption key.
pub type Key = [u8; 32];

/// Keys that a file may hold.
const KEYS_MAX: usize = 2;
const FILE_BYTES_MAX: u64 = 1024;

/// Where the keys are kept.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys in it, newest first: one, or two while one is being replaced. `None` where there is no
    /// file; an error where it is none of ours.
    pub fn read(&self) -> anyhow::Result<Option<Vec<Key>>> {
        let shown = self.path.display();
        let file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening the key file {shown}")),
        };
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(|| format!("reading the key file {shown}"))?;
        let keys: Option<Vec<Key>> = text.split_whitespace().map(decode_hex).collect();
        match keys {
            Some(keys) if (1..=KEYS_MAX).contains(&keys.len()) => Ok(Some(keys)),
            _ => bail!(
                "the key file {shown} must hold 64 hexadecimal digits, or two lines of them while a key is replaced"
            ),
        }
    }

    /// Replaces what is in the file, durably: newest key first.
    pub fn write(&self, keys: &[Key]) -> anyhow::Result<()> {
        let temporary = super::suffixed(&self.path, ".new");
        let _ = std::fs::remove_file(&temporary);
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            for key in keys {
                writeln!(file, "{}", hex(key))?;
            }
            file.sync_all()?;
            std::fs::rename(&temporary, &self.path)?;
            super::sync_folder_of(&self.path)
        };
        write().with_context(|| format!("writing the key file {}", self.path.display()))
    }

    /// A sealer with the keys of the file; where there is none it is made.
    pub fn sealer(&self) -> anyhow::Result<Sealer> {
        let keys = if let Some(keys) = self.read()? {
            keys
        } else {
            let key = draw();
            self.write(&[key])?;
            vec![key]
        };
        Ok(Sealer::with_keys(&keys[0], &keys[1..]))
    }
}

/// A new key.
pub fn draw() -> Key {
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    key
}

fn decode_hex(text: &str) -> Option<Key> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file() -> (tempfile::TempDir, KeyFile) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = KeyFile::new(folder.path().join("key"));
        (folder, file)
    }

    #[test]
    fn a_file_is_made_once_and_kept_private() {
        let (_folder, file) = file();
        assert_eq!(file.read().expect("no file is no error"), None);
        let sealed = file.sealer().expect("made").seal("t", 1, b"x");
        assert_eq!(file.sealer().expect("read").open("t", 1, &sealed), Ok(b"x".to_vec()));
        let mode = std::fs::metadata(file.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn keys_come_back_newest_first() {
        let (_folder, file) = file();
        for keys in [vec![[1; 32]], vec![[2; 32], [1; 32]], vec![[2; 32]]] {
            file.write(&keys).expect("written");
            assert_eq!(file.read().expect("read"), Some(keys));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (_folder, file) = file();
        let key = "ab".repeat(32);
        for text in [
            String::new(),
            "not a key".into(),
            key[1..].into(),
            format!("+{}", &key[1..]),
            format!("{key}\n{key}\n{key}"),
            format!("{key}\nrubbish"),
        ] {
            std::fs::write(file.path(), &text).expect("written");
            let error = file.read().expect_err("refused").to_string();
            assert!(error.contains("hexadecimal digits"), "{text}: {error}");
        }
    }
}
