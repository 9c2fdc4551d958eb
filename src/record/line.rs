//! One canonical line per attempt, with everything an operator asks for.
//!
//! Lines gather in memory and are written by a thread of their own, so that a slow terminal does
//! not slow deliveries; when it cannot keep up, lines are counted and left out, and that is said.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::model::UnixMs;

/// Bytes of lines that may wait to be written.
const BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that are written at once without waiting for more.
const WRITE_AT: usize = 256 * 1024;
/// How long lines gather.
const GATHER: Duration = Duration::from_millis(100);

/// What a line tells.
#[derive(Debug)]
pub struct AttemptLine<'a> {
    /// When the attempt began.
    pub at: UnixMs,
    /// The public id of the message.
    pub message: &'a str,
    /// The public id of the endpoint.
    pub endpoint: String,
    /// The outcome's name.
    pub outcome: &'static str,
    /// The status code, 0 without an answer.
    pub status: u16,
    /// How long it took.
    pub duration_ms: u32,
    /// Which attempt of the schedule this was, from 1; 0 for a resend.
    pub attempt: u16,
    /// Bytes sent as body.
    pub bytes: usize,
    /// Where the delivery goes.
    pub next: &'static str,
    /// When it is tried again, 0 if it is not.
    pub next_at: UnixMs,
}

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Shared>,
    json: bool,
    only_failures: bool,
}

struct Shared {
    buffer: Mutex<Buffer>,
    arrived: Condvar,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    left_out: u64,
    closed: bool,
}

impl Lines {
    /// Starts the writing thread, which ends when it is told to [`Self::close`].
    pub fn start(json: bool, only_failures: bool) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { buffer: Mutex::new(Buffer::default()), arrived: Condvar::new() });
        let writing = Arc::clone(&shared);
        std::thread::Builder::new().name("attempt-lines".into()).spawn(move || write_all(&writing))?;
        Ok(Self { shared, json, only_failures })
    }

    /// Writes one line.
    pub fn write(&self, line: &AttemptLine<'_>) {
        if self.only_failures && line.outcome == "success" {
            return;
        }
        let mut buffer = self.shared.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.bytes.len() > BUFFER_BYTES_MAX {
            buffer.left_out += 1;
            return;
        }
        let before = buffer.bytes.len();
        let AttemptLine { at, message, endpoint, outcome, status, duration_ms, attempt, bytes, next, next_at } = line;
        let out = &mut buffer.bytes;
        // Every value is a number, an id or one of our own words: nothing to escape. Writing to memory cannot fail.
        let _ = if self.json {
            writeln!(
                out,
                r#"{{"at":{at},"attempt_of":"{message}","endpoint":"{endpoint}","outcome":"{outcome}","status":{status},"duration_ms":{duration_ms},"attempt":{attempt},"bytes":{bytes},"next":"{next}","next_at":{next_at}}}"#
            )
        } else {
            writeln!(
                out,
                "attempt message={message} endpoint={endpoint} outcome={outcome} status={status} duration_ms={duration_ms} attempt={attempt} bytes={bytes} next={next} next_at={next_at} at={at}"
            )
        };
        let wanted = before == 0 || (before < WRITE_AT && buffer.bytes.len() >= WRITE_AT);
        drop(buffer);
        if wanted {
            self.shared.arrived.notify_one();
        }
    }

    /// Lets the thread write what it has and end.
    pub fn close(&self) {
        self.shared.buffer.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.arrived.notify_one();
    }
}

fn write_all(shared: &Shared) {
    loop {
        let mut buffer = shared.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        while buffer.bytes.is_empty() && !buffer.closed {
            buffer = shared.arrived.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        let more = |buffer: &mut Buffer| !buffer.closed && buffer.bytes.len() < WRITE_AT;
        (buffer, _) = shared.arrived.wait_timeout_while(buffer, GATHER, more).unwrap_or_else(PoisonError::into_inner);
        let closed = buffer.closed;
        let mut bytes = std::mem::take(&mut buffer.bytes);
        let left_out = std::mem::take(&mut buffer.left_out);
        drop(buffer);
        if left_out > 0 {
            let _ = writeln!(bytes, "attempt lines left out, because standard error is too slow: {left_out}");
        }
        // Nobody can be told that standard error is gone.
        let _ = std::io::stderr().lock().write_all(&bytes);
        if closed {
            return;
        }
    }
}
