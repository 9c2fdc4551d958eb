//! A raw HTTP/1.1 server that records what it is sent and answers by a script.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::reply::Reply;
use super::wait::eventually;

const HEADERS_MAX: usize = 64;
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// Milliseconds since 1970, to be compared with what the API says.
    pub(crate) at_unix_ms: i64,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The message that this is about.
    pub(crate) fn message_id(&self) -> &str {
        self.header("webhook-id").expect("a webhook-id")
    }
}

type Handler = dyn Fn(Received) -> Reply + Send + Sync;

/// The server. Dropping it closes everything.
pub(crate) struct Receiver {
    address: SocketAddr,
    script: Arc<Script>,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

/// What was received, and what is answered.
#[derive(Default)]
struct Script {
    received: Mutex<Vec<Received>>,
    replies: Mutex<HashMap<String, VecDeque<Reply>>>,
}

impl Script {
    /// The next answer of a path; the last one stays. Without a script: 200.
    fn next(&self, path: &str) -> Reply {
        let mut replies = lock(&self.replies);
        match replies.get_mut(path) {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap_or_else(Reply::ok),
            Some(queue) => queue.front().cloned().unwrap_or_else(Reply::ok),
            None => Reply::ok(),
        }
    }
}

impl Receiver {
    /// Records every request; answers 200 unless [`Self::on`] says otherwise.
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Script::default());
        let recording = Arc::clone(&script);
        let handler = move |received: Received| {
            let reply = recording.next(&received.path);
            lock(&recording.received).push(received);
            reply
        };
        Self::listen(0, Arc::new(handler), script).await
    }

    /// Hands every request to `handler` and keeps nothing: for loads.
    pub(crate) async fn start_with(handler: impl Fn(Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(0, handler).await
    }

    /// As [`Self::start_with`], at a port that was in use before.
    pub(crate) async fn start_at(port: u16, handler: impl Fn(Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(port, Arc::new(handler), Arc::default()).await
    }

    async fn listen(port: u16, handler: Arc<Handler>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        counter.fetch_add(1, SeqCst);
                        open.spawn(serve(stream, Arc::clone(&handler)));
                    }
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Self { address, script, connections, accepting: accepting.abort_handle() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The answers to the requests to a path from now on, in order; the last one is for all that follow.
    pub(crate) fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.script.replies).insert(path.to_owned(), replies.into_iter().collect());
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// What a path received so far, in order.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        lock(&self.script.received).iter().filter(|r| r.path == path).cloned().collect()
    }

    /// How often a path received anything.
    pub(crate) fn count(&self, path: &str) -> usize {
        lock(&self.script.received).iter().filter(|r| r.path == path).count()
    }

    /// Waits until a path has received at least so many requests; all that it has.
    pub(crate) async fn wait_for(&self, path: &str, count: usize, within: Duration) -> Vec<Received> {
        let what = format!("{count} requests to {path}");
        let received = eventually(&what, within, async || {
            let received = self.received(path);
            (received.len() >= count).then_some(received)
        });
        received.await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let (received, used) = loop {
            if let Some(request) = parse(&buffer) {
                break request;
            }
            if buffer.len() > REQUEST_BYTES_MAX || !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        };
        buffer.drain(..used);
        if !handler(received).act(&mut stream).await {
            return;
        }
    }
}

/// A whole request at the start of a buffer, and its length. What is no request never ends.
fn parse(buffer: &[u8]) -> Option<(Received, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = request.parse(buffer) else {
        return None;
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<_> = request.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let body = buffer.get(head..head + length)?.to_vec();
    let received = Received {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        headers,
        body,
        at: Instant::now(),
        at_unix_ms: jiff::Timestamp::now().as_millisecond(),
    };
    Some((received, head + length))
}
