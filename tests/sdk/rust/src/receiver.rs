//! A receiver of webhooks on this machine.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const WAIT_TIME: Duration = Duration::from_secs(15);
pub(crate) const ANSWER: &str = "thanks";
const BODY_BYTES_MAX: usize = 1 << 20;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// A header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Debug, Default)]
struct State {
    received: Mutex<Vec<Received>>,
    statuses: Mutex<HashMap<String, VecDeque<u16>>>,
    count: watch::Sender<usize>,
}

/// Records what it is sent; answers by a path's list of statuses, then 200.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What the next requests to a path are answered.
    pub(crate) fn answer(&self, path: &str, statuses: &[u16]) {
        let mut all = self.state.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(path.to_owned(), statuses.iter().copied().collect());
    }

    /// Waits for as many requests to a path, of one message if it is named; the last of them.
    pub(crate) async fn wait(&self, path: &str, message: Option<&str>, count: usize) -> Received {
        let found = || {
            let all = self.state.received.lock().unwrap_or_else(PoisonError::into_inner);
            let meant =
                |row: &&Received| row.path == path && message.is_none_or(|id| row.header("webhook-id") == Some(id));
            all.iter().filter(meant).nth(count - 1).cloned()
        };
        let mut changes = self.state.count.subscribe();
        let arrival = async { changes.wait_for(|_| found().is_some()).await.map(|_| found()) };
        let arrived = tokio::time::timeout(WAIT_TIME, arrival).await;
        let arrived = arrived.unwrap_or_else(|_| panic!("{path}: no {count} requests of {message:?}"));
        arrived.expect("the receiver runs").expect("what was found")
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let mut stream = BufStream::new(stream);
            while let Ok(Some(received)) = read(&mut stream).await {
                if answer(&mut stream, &state, received).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// The next request; `None` at the end of the connection.
async fn read(stream: &mut BufStream<TcpStream>) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        headers.append(name, HeaderValue::from_str(value).map_err(io::Error::other)?);
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.filter(|length| *length <= BODY_BYTES_MAX).ok_or_else(|| io::Error::other("no length"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Received { path, headers, body }))
}

async fn answer(stream: &mut BufStream<TcpStream>, state: &State, received: Received) -> io::Result<()> {
    let next = {
        let mut all = state.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(&received.path).and_then(VecDeque::pop_front)
    };
    let status = next.unwrap_or(200);
    state.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    state.count.send_modify(|count| *count += 1);
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}
