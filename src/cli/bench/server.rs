//! A server that the suite starts itself, on a data folder of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::machine::{ProcessUse, pause};

const START_TIME_MAX: Duration = Duration::from_mins(2);
const STOP_TIME_MAX: Duration = Duration::from_mins(1);
const KEY_TIME_MAX: Duration = Duration::from_secs(30);
const LINE_BYTES_MAX: u64 = 64 * 1_024;
const POLL: Duration = Duration::from_millis(10);

/// A running server; dropping it kills it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    /// From the start of the process to `listening on`.
    pub(super) ready: Duration,
    pub(super) started: Instant,
    binary: PathBuf,
    data_dir: PathBuf,
}

impl Server {
    /// Starts the server and waits until it listens. Its standard error goes on into `log`.
    pub(super) fn start(binary: &Path, data_dir: &Path, log: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .env("POSTHOUSE__EGRESS__ALLOW_NETWORKS", "127.0.0.0/8")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stderr = child.stderr.take().context("the server has no standard error")?;
        let file = File::options().create(true).append(true).open(log)?;
        let (listening, wait) = channel();
        std::thread::Builder::new()
            .name("bench-stderr".into())
            .spawn(move || drain_stderr(stderr, file, &listening))?;
        let Ok((url, at)) = wait.recv_timeout(START_TIME_MAX) else {
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("the server never said `listening on`; see {}", log.display());
        };
        Ok(Self {
            child,
            url,
            ready: at.saturating_duration_since(started),
            started,
            binary: binary.to_path_buf(),
            data_dir: data_dir.to_path_buf(),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn process_use(&self) -> ProcessUse {
        ProcessUse::of(&self.pid().to_string()).unwrap_or_default()
    }

    /// A key of this server, by `key create`.
    pub(super) fn create_key(&self) -> anyhow::Result<String> {
        let mut child = Command::new(&self.binary)
            .args(["key", "create", "--data-dir"])
            .arg(&self.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let status = wait(&mut child, KEY_TIME_MAX)?;
        let mut key = String::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LINE_BYTES_MAX).read_to_string(&mut key)?;
        }
        let key = key.trim().to_owned();
        anyhow::ensure!(status && !key.is_empty(), "`key create` gave no key");
        Ok(key)
    }

    /// SIGTERM, and waits until it has drained.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        anyhow::ensure!(wait(&mut self.child, STOP_TIME_MAX)?, "the server did not exit with 0");
        Ok(())
    }

    /// SIGKILL, as a crash does it.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child, kills it when it is late; true when it exited with 0.
fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        pause(POLL);
    }
    child.kill()?;
    child.wait()?;
    anyhow::bail!("a process did not end within {} s", limit.as_secs())
}

/// Copies standard error to the log until its end, and reports the address once.
fn drain_stderr(stderr: impl std::io::Read, mut log: File, listening: &Sender<(String, Instant)>) {
    let mut reader = BufReader::new(stderr);
    let mut told = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let _ = log.write_all(&line);
        if !told && let Some(url) = listening_url(&String::from_utf8_lossy(&line)) {
            told = listening.send((url, Instant::now())).is_ok();
        }
    }
}

fn listening_url(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let url = rest.split_whitespace().next()?;
    url.starts_with("http://").then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_line() {
        let url = Some("http://127.0.0.1:41000".to_owned());
        assert_eq!(listening_url("listening on http://127.0.0.1:41000\n"), url);
        assert_eq!(listening_url("2026 INFO listening on http://127.0.0.1:41000 pid=1"), url);
        assert_eq!(listening_url("opening the store"), None);
    }
}
