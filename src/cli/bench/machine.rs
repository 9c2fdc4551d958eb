//! The machine under the run: its disk, its processors, its processes.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::stats::{Latencies, Quantiles, nanos};
use crate::model::Clock;

/// `USER_HZ`: the unit of times in `/proc/PID/stat`, 100 on every Linux we run on.
const TICKS_PER_SECOND: u64 = 100;
const PROC_BYTES_MAX: u64 = 64 * 1_024;
const SYNC_ROUNDS: usize = 200;
const SYNC_BYTES: usize = 16 * 1_024;
const FILES_MAX: usize = 100_000;

/// One thread, many connections: poll the sockets rarely, serve many events each time.
pub(super) fn loop_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(256)
        .build()
        .context("cannot start a runtime")
}

/// Waits, on any thread, without a runtime: for loops that look at a condition until a deadline.
pub(super) fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        std::thread::park_timeout(left);
    }
}

fn read_proc(path: impl AsRef<Path>) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(PROC_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Where a thread's CPU time can be read from any other.
#[derive(Debug, Clone)]
pub(super) struct ThreadClock(PathBuf);

impl ThreadClock {
    pub(super) fn of_this_thread() -> Self {
        let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        Self(Path::new("/proc").join(thread).join("schedstat"))
    }

    pub(super) fn cpu(&self) -> Duration {
        let text = read_proc(&self.0).unwrap_or_default();
        let ns = text.split(' ').next().and_then(|n| n.parse().ok());
        Duration::from_nanos(ns.unwrap_or(0))
    }
}

/// CPU and memory of a process.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct ProcessUse {
    pub(super) cpu_s: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_peak_bytes: u64,
}

impl ProcessUse {
    /// `None` when there is no such process.
    pub(super) fn of(process: &str) -> Option<Self> {
        let stat = read_proc(format!("/proc/{process}/stat"))?;
        // The name, in brackets, may hold blanks; user and system time are fields 14 and 15.
        let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let cpu_ticks = ticks()? + ticks()?;
        let status = read_proc(format!("/proc/{process}/status"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Some(Self {
            cpu_s: cpu_ticks as f64 / TICKS_PER_SECOND as f64,
            rss_bytes: kib("VmRSS:") * 1_024,
            rss_peak_bytes: kib("VmHWM:") * 1_024,
        })
    }
}

/// 200 times: append 16 KiB, `fdatasync`.
pub(super) fn measure_fdatasync(dir: &Path) -> anyhow::Result<Quantiles> {
    let path = dir.join(format!(".posthouse-bench-{}.tmp", std::process::id()));
    let measured = fdatasync_rounds(&path);
    let _ = std::fs::remove_file(&path);
    measured.with_context(|| format!("cannot measure the disk under {}", dir.display()))
}

fn fdatasync_rounds(path: &Path) -> std::io::Result<Quantiles> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let block = vec![0x5a; SYNC_BYTES];
    let mut latencies = Latencies::new();
    for _ in 0..SYNC_ROUNDS {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.record(nanos(start.elapsed()));
    }
    Ok(latencies.quantiles())
}

/// Bytes of all files under `dir` (at most 100,000 of them).
pub(super) fn folder_bytes(dir: &Path) -> u64 {
    let mut folders = vec![dir.to_path_buf()];
    let (mut bytes, mut files) = (0, 0);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            files += 1;
            if files > FILES_MAX {
                return bytes;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The date and time of day, UTC, to the second.
pub(super) fn date() -> String {
    let now = jiff::Timestamp::from_millisecond(crate::model::SystemClock.now_ms());
    now.map_or_else(|_| "unknown".to_owned(), |t| t.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let used = ProcessUse::of("self").unwrap();
        assert!(used.rss_bytes > 0 && used.rss_peak_bytes >= used.rss_bytes);
        assert!(ProcessUse::of("0").is_none());
    }

    #[test]
    fn a_folder_is_measured_with_its_folders() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), [0; 70]).unwrap();
        std::fs::write(dir.path().join("c"), [0; 30]).unwrap();
        assert_eq!(folder_bytes(dir.path()), 100);
        assert_eq!(measure_fdatasync(dir.path()).unwrap().count, 200);
        assert_eq!(folder_bytes(dir.path()), 100);
    }
}
