//! strace: seeing which system calls a server makes in which order, and making them fail or wait.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use posthouse::config::read_capped;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::wait::poll_blocking;

const ATTACH_TIME_MAX: Duration = Duration::from_secs(10);
const TRACE_BYTES_MAX: u64 = 1 << 30;
const SAID_BYTES_MAX: u64 = 1 << 20;

/// Whether strace is there and may trace; says loudly when a test does not run for the lack of it.
pub(crate) fn strace_works(test: &str) -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        eprintln!("\n*** NOT RUN: {test}: strace is missing or not allowed to trace (.ci/prepare installs it) ***\n");
    }
    works
}

/// strace on a running process. Dropping it lets the process go.
#[derive(Debug)]
pub(crate) struct Tracer {
    strace: Child,
    _said: TempDir,
}

impl Tracer {
    /// Attaches to all threads of a process, with these arguments, and waits until it holds them.
    pub(crate) fn attach(pid: u32, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let said = folder.path().join("said");
        let strace = Command::new("strace")
            .args(["-f", "-o"])
            .arg(folder.path().join("trace"))
            .args(arguments)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(File::create(&said).expect("a file"))
            .spawn()
            .expect("strace starts");
        let text = || read_capped(&said, SAID_BYTES_MAX).unwrap_or_default();
        assert!(poll_blocking(ATTACH_TIME_MAX, || text().contains("attached")), "strace attaches: {}", text());
        Self { strace, _said: folder }
    }

    /// From now on each thread's syncs to disk fail: those that strace's `when=` names.
    pub(crate) fn failing_syncs(pid: u32, when: &str) -> Self {
        let inject = format!("inject=fdatasync,fsync:error=EIO:when={when}");
        Self::attach(pid, &["-e", "trace=fdatasync,fsync", "-e", &inject])
    }

    /// Every sync to disk takes so much longer from now on.
    pub(crate) fn slow_syncs(pid: u32, delay: Duration) -> Self {
        let inject = format!("inject=fdatasync,fsync:delay_enter={}", delay.as_micros());
        Self::attach(pid, &["-e", "trace=fdatasync,fsync", "-e", &inject])
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // On SIGTERM strace detaches; killed, it would leave the process stopped.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::TERM);
        poll_blocking(ATTACH_TIME_MAX, || matches!(self.strace.try_wait(), Ok(Some(_)) | Err(_)));
    }
}

/// The command that runs another one traced into `trace`, in place of itself.
pub(crate) fn traced_into(trace: &Path) -> Vec<String> {
    let calls = "trace=fdatasync,fsync,pwrite64,pwritev,write,writev,sendto,sendmsg";
    let mut words: Vec<String> = ["strace", "-D", "-f", "-q", "-y", "-xx", "-s", "65536", "-e", calls, "-o"]
        .iter()
        .map(ToString::to_string)
        .collect();
    words.push(trace.display().to_string());
    words
}

/// One system call of a trace. Its start and its end are places in the order of the trace.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    /// The arguments as strace prints them, the strings in them as they are.
    pub(crate) arguments: Vec<u8>,
    pub(crate) began: usize,
    pub(crate) ended: usize,
    /// What it returned, as text: `= 24`.
    pub(crate) result: String,
}

impl Call {
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        find(&self.arguments, bytes).is_some()
    }

    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync")
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.result == "0"
    }

    /// Whether the file that this is about has a path with this end.
    pub(crate) fn is_on(&self, suffix: &str) -> bool {
        let end = find(&self.arguments, b">").unwrap_or(0);
        self.arguments[..end].ends_with(suffix.as_bytes())
    }

    /// The bytes of the first string.
    pub(crate) fn data(&self) -> &[u8] {
        find(&self.arguments, b"\"").map_or(&[], |at| &self.arguments[at + 1..])
    }
}

/// Where a byte string first stands in another.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Reads a trace written by [`traced_into`], in the order in which the calls began.
pub(crate) fn read_trace(path: &PathBuf) -> Vec<Call> {
    let file = File::open(path).expect("a trace").take(TRACE_BYTES_MAX);
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: HashMap<u32, usize> = HashMap::new();
    for (place, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.expect("a line");
        let Some((thread, rest)) = thread_of(&line) else {
            continue;
        };
        if rest.starts_with(b"<... ") {
            if let Some(call) = unfinished.remove(&thread).map(|at| &mut calls[at]) {
                call.ended = place;
                call.result = result_of(rest);
            }
            continue;
        }
        let Some(open) = find(rest, b"(").filter(|open| rest[..*open].iter().all(u8::is_ascii_alphanumeric)) else {
            continue;
        };
        let is_unfinished = rest.ends_with(b"<unfinished ...>");
        if is_unfinished {
            unfinished.insert(thread, calls.len());
        }
        calls.push(Call {
            thread,
            name: String::from_utf8_lossy(&rest[..open]).into_owned(),
            arguments: unescape(&rest[open + 1..]),
            began: place,
            ended: if is_unfinished { usize::MAX } else { place },
            result: if is_unfinished { String::new() } else { result_of(rest) },
        });
    }
    calls
}

fn thread_of(line: &[u8]) -> Option<(u32, &[u8])> {
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    let thread = std::str::from_utf8(&line[..digits]).ok()?.parse().ok()?;
    Some((thread, line[digits..].trim_ascii_start()))
}

fn result_of(rest: &[u8]) -> String {
    let text = String::from_utf8_lossy(&rest[rest.len().saturating_sub(120)..]).into_owned();
    text.rsplit_once("= ").map_or_else(String::new, |(_, result)| result.trim().to_owned())
}

/// `\x41` is `A`; all else stays as it is.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let hex = text.get(at + 2..at + 4).filter(|_| text[at..].starts_with(b"\\x"));
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(value.unwrap_or(byte));
        at += if value.is_some() { 4 } else { 1 };
    }
    out
}
