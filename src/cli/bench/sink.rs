//! The receiving end: endpoints that answer, fail or hang, and note what arrived.
//!
//! One connection is one task: read, find the mark, note it, answer. Whatever is noted is noted
//! before the answer goes out, so that what the server counts as delivered is never missing here.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::ledger::{Arrival, Ledger};
use super::machine::{ThreadClock, loop_runtime};
use super::stats::{SinkStats, nanos};
use super::template::read_mark;
use super::wire::{RequestHead, Route, request_head};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 6\r\n\r\nfailed";
const CONNECTIONS_MAX: u32 = 50_000;

/// What every thread of the sink knows.
#[derive(Debug)]
struct Shared {
    ledger: Arc<Ledger>,
    epoch: Instant,
    delay: Duration,
    hang_all: AtomicBool,
    open: AtomicU32,
}

#[derive(Debug)]
struct Thread {
    stats: Arc<Mutex<SinkStats>>,
    clock: ThreadClock,
    stop: Arc<Notify>,
    handle: Option<std::thread::JoinHandle<()>>,
}

/// The sink and its threads; dropping it stops them.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

impl Sink {
    pub(super) fn start(
        listen: SocketAddr,
        threads: u32,
        delay: Duration,
        ledger: Arc<Ledger>,
        epoch: Instant,
    ) -> anyhow::Result<Self> {
        let listener = StdListener::bind(listen).with_context(|| format!("the sink cannot listen on {listen}"))?;
        listener.set_nonblocking(true)?;
        let shared =
            Arc::new(Shared { ledger, epoch, delay, hang_all: AtomicBool::new(false), open: AtomicU32::new(0) });
        let address = listener.local_addr()?;
        let threads =
            (0..threads).map(|_| start_thread(listener.try_clone()?, &shared)).collect::<anyhow::Result<_>>()?;
        Ok(Self { address, shared, threads })
    }

    /// From now on no endpoint answers (or all do again as they should).
    pub(super) fn hang_all(&self, hang: bool) {
        self.shared.hang_all.store(hang, Relaxed);
    }

    pub(super) fn delivered(&self) -> u64 {
        self.threads.iter().map(|t| lock(&t.stats).delivered).sum()
    }

    /// What was seen so far.
    pub(super) fn stats(&self) -> SinkStats {
        let mut sum = SinkStats::new();
        for thread in &self.threads {
            sum.add(&lock(&thread.stats));
        }
        sum
    }

    /// Starts to count anew, for the next phase of a run.
    pub(super) fn reset(&self) {
        for thread in &self.threads {
            *lock(&thread.stats) = SinkStats::new();
        }
    }

    /// CPU time of the sink's threads.
    pub(super) fn cpu(&self) -> Duration {
        self.threads.iter().map(|t| t.clock.cpu()).sum()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.stop.notify_one();
            if let Some(handle) = thread.handle.take() {
                let _ = handle.join();
            }
        }
    }
}

fn lock(stats: &Mutex<SinkStats>) -> std::sync::MutexGuard<'_, SinkStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start_thread(listener: StdListener, shared: &Arc<Shared>) -> anyhow::Result<Thread> {
    let stats = Arc::new(Mutex::new(SinkStats::new()));
    let stop = Arc::new(Notify::new());
    let (clock_tx, clock_rx) = std::sync::mpsc::sync_channel(1);
    let runtime = loop_runtime()?;
    let (shared, thread_stats, thread_stop) = (Arc::clone(shared), Arc::clone(&stats), Arc::clone(&stop));
    let handle = std::thread::Builder::new().name("bench-sink".into()).spawn(move || {
        let _ = clock_tx.send(ThreadClock::of_this_thread());
        runtime.block_on(async {
            tokio::select! {
                () = accept(listener, shared, thread_stats) => {}
                () = thread_stop.notified() => {}
            }
        });
    })?;
    let clock = clock_rx.recv().context("the sink's thread did not start")?;
    Ok(Thread { stats, clock, stop, handle: Some(handle) })
}

async fn accept(listener: StdListener, shared: Arc<Shared>, stats: Arc<Mutex<SinkStats>>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others will close.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if shared.open.fetch_add(1, Relaxed) >= CONNECTIONS_MAX {
            shared.open.fetch_sub(1, Relaxed);
            continue;
        }
        lock(&stats).connections += 1;
        let (shared, stats) = (Arc::clone(&shared), Arc::clone(&stats));
        tokio::spawn(async move {
            let served = serve(stream, &shared, &stats).await;
            if served.is_err_and(|e| e.kind() == io::ErrorKind::InvalidData) {
                lock(&stats).malformed += 1;
            }
            shared.open.fetch_sub(1, Relaxed);
        });
    }
}

/// Serves one connection until the other side closes it.
async fn serve(mut stream: TcpStream, shared: &Shared, stats: &Mutex<SinkStats>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4_096];
    let mut filled = 0;
    loop {
        let head = loop {
            if let Some(head) = request_head(&buffer[..filled])?
                && head.head_bytes + head.body_bytes <= filled
            {
                break head;
            }
            if filled == buffer.len() {
                if filled >= super::wire::BUFFER_BYTES_MAX {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                buffer.resize(filled * 2, 0);
            }
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
        };
        let end = head.head_bytes + head.body_bytes;
        let Some(answer) = note(head, &buffer[head.head_bytes..end], shared, stats) else {
            return hang(stream).await;
        };
        if !shared.delay.is_zero() && matches!(head.route, Route::Endpoint(_)) {
            tokio::time::sleep(shared.delay).await;
        }
        stream.write_all(answer).await?;
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

/// Waits, without a word, until the other side gives up.
async fn hang(mut stream: TcpStream) -> io::Result<()> {
    let mut rest = [0; 256];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Notes one request and says what to answer; `None` is never to answer.
fn note(head: RequestHead, body: &[u8], shared: &Shared, stats: &Mutex<SinkStats>) -> Option<&'static [u8]> {
    let mut stats = lock(stats);
    let hanging = shared.hang_all.load(Relaxed) && head.route != Route::Other;
    if hanging || head.route == Route::Hanging {
        stats.hung += 1;
        return None;
    }
    let Some((seq, sent_ns)) = read_mark(body) else {
        stats.malformed += 1;
        return Some(OK);
    };
    let now_ns = nanos(shared.epoch.elapsed());
    let Route::Endpoint(endpoint) = head.route else {
        // The generator against its own sink: the same work, but nothing to account for.
        stats.deliver(sent_ns, now_ns);
        return Some(OK);
    };
    let failing = shared.ledger.topology.is_failing(endpoint);
    match (shared.ledger.arrive(seq, endpoint), failing) {
        (Arrival::First, false) => stats.deliver(sent_ns, now_ns),
        (Arrival::Again, false) => stats.duplicates += 1,
        (Arrival::First, true) => stats.failing_first += 1,
        (Arrival::Again, true) => stats.failing_again += 1,
        (Arrival::Astray, _) => stats.astray += 1,
    }
    Some(if failing { FAILED } else { OK })
}
