//! Replacing the encryption key while the store is in use.
//!
//! ```text
//!  key file: old ─► new, old ─► all that is sealed is sealed anew, slice by slice ─► new
//! ```
//!
//! Each step is durable before the next begins, so a crash leaves either one key that opens everything,
//! or both; with both, the next start of the server goes on, or the command when it is run again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::Mutex;

use crate::accept::{ChangeAccepted, Gateway, NotAccepted};
use crate::store::command::{Change, Changed, Refusal, ResealPlace, Resealed};
use crate::store::journal::NotTaken;
use crate::store::key_file::{self, Key, KeyFile};

/// Looks through all sealed values: the first finds them, the last finds none. More than two are
/// needed only if something seals with a key that was replaced.
const PASSES_MAX: usize = 4;
/// How often a slice is handed in again that a full journal refused, and the pause before.
const TRIES_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Replaces the encryption key; one at a time.
pub(super) struct Rotation {
    file: KeyFile,
    running: Mutex<()>,
}

/// What became of a rotation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotated {
    /// Values that were sealed anew.
    pub(super) resealed: u64,
    /// No new key was drawn: an interrupted rotation was brought to its end.
    pub(super) continued: bool,
}

impl Rotation {
    pub(super) fn new(file: KeyFile) -> Self {
        Self { file, running: Mutex::new(()) }
    }

    /// Draws a new key and has it replace the one in use; or brings to its end what was begun before,
    /// by this process or by one that is gone.
    pub(super) async fn rotate(&self, gateway: &Gateway) -> anyhow::Result<Rotated> {
        let Ok(_alone) = self.running.try_lock() else {
            let _ended = self.running.lock().await;
            return match self.read().await?.as_slice() {
                [_] => Ok(Rotated { resealed: 0, continued: true }),
                _ => bail!("the rotation that was under way did not come to its end; the log says why"),
            };
        };
        match self.read().await?.as_slice() {
            [old] => {
                self.check_in_use(gateway, old)?;
                let new = key_file::draw();
                self.write(vec![new, *old]).await?;
                gateway.sealer.replace_keys(&new, &[*old]);
                tracing::info!("a new encryption key is in use; sealed values follow");
                self.reseal_all(gateway, new).await.map(|resealed| Rotated { resealed, continued: false })
            }
            [new, ..] => {
                self.check_in_use(gateway, new)?;
                self.reseal_all(gateway, *new).await.map(|resealed| Rotated { resealed, continued: true })
            }
            [] => bail!("the key file {} is gone", self.file.path().display()),
        }
    }

    /// Brings to its end a rotation that a process before this one began. Logs how it went.
    pub(super) async fn go_on(self: Arc<Self>, gateway: Arc<Gateway>) {
        match self.read().await {
            Ok(keys) if keys.len() > 1 => {}
            _ => return,
        }
        tracing::info!("the key file holds two keys: their rotation goes on");
        match self.rotate(&gateway).await {
            Ok(rotated) => tracing::info!(resealed = rotated.resealed, "the encryption key is replaced"),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the encryption key is not replaced yet; `posthouse key-file rotate` tries again"
            ),
        }
    }

    /// A file that was changed by hand under a running server must not be written over: what it held
    /// may be the only key that opens what is sealed.
    fn check_in_use(&self, gateway: &Gateway, key: &Key) -> anyhow::Result<()> {
        if gateway.sealer.seals_with(key) {
            return Ok(());
        }
        bail!("the key file {} is not the one that was read at start: put that one back", self.file.path().display())
    }

    /// Seals everything anew; then the key that was replaced leaves the file. In memory it stays for
    /// queries that began before, until the process ends.
    async fn reseal_all(&self, gateway: &Gateway, new: Key) -> anyhow::Result<u64> {
        let mut resealed = 0;
        for _ in 0..PASSES_MAX {
            let pass = pass(gateway).await?;
            resealed += pass.resealed;
            if pass.unreadable > 0 {
                bail!(
                    "{} sealed values cannot be opened (the log names them): both keys stay in the key file",
                    pass.unreadable
                );
            }
            if pass.resealed == 0 {
                self.write(vec![new]).await?;
                return Ok(resealed);
            }
        }
        bail!("values are still being sealed with the key that is replaced: both keys stay in the key file")
    }

    async fn read(&self) -> anyhow::Result<Vec<Key>> {
        let file = self.file.clone();
        let keys = tokio::task::spawn_blocking(move || file.read()).await??;
        keys.with_context(|| format!("the key file {} is gone", self.file.path().display()))
    }

    async fn write(&self, keys: Vec<Key>) -> anyhow::Result<()> {
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || file.write(&keys)).await?
    }
}

/// One look at all sealed values, a slice a commit, among what else is committed.
async fn pass(gateway: &Gateway) -> anyhow::Result<Resealed> {
    let mut whole = Resealed { next: Some(ResealPlace::START), ..Resealed::default() };
    while let Some(from) = whole.next {
        let slice = slice(gateway, from).await.context("sealing anew")?;
        whole.resealed += slice.resealed;
        whole.unreadable += slice.unreadable;
        whole.next = slice.next;
    }
    Ok(whole)
}

async fn slice(gateway: &Gateway, from: ResealPlace) -> anyhow::Result<Resealed> {
    for _ in 1..TRIES_MAX {
        match gateway.change(Change::Reseal { from }, None).await {
            Ok(ChangeAccepted::New(changed)) => match *changed {
                Changed::Resealed(done) => return Ok(done),
                _ => bail!("unexpected answer"),
            },
            Ok(ChangeAccepted::Repeated(..)) => bail!("unexpected answer"),
            Err(NotAccepted::NotTaken(NotTaken::Full) | NotAccepted::Refused(Refusal::Full)) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the store has no room")
}
