//! A receiver that does what a test tells it to, connection by connection.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::deliver::{AddressGuard, Client, ClientConfig, OutboundRequest, Resolve, Target};
use crate::model::outcome::Outcome;
use crate::model::time::SystemClock;

/// Nothing in these tests takes longer unless it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Hands every accepted connection to `serve`.
    pub(super) async fn start<F, S>(at: &str, serve: S) -> Self
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(at).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                // A client that went away is no failure of the receiver's.
                tokio::spawn(serve(tcp));
            }
        });
        Self { address, accepted, task }
    }

    /// Answers every request with the same bytes, and keeps the connection.
    pub(super) async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::start("127.0.0.1:0", move |mut tcp| {
            let answer = answer.clone();
            async move {
                while !read_request(&mut tcp).await?.is_empty() {
                    tcp.write_all(&answer).await?;
                }
                Ok(())
            }
        })
        .await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// One request, head and body; empty when the peer closed.
pub(super) async fn read_request(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if io.read_buf(&mut bytes).await? == 0 {
            return Ok(Vec::new());
        }
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |l| l.parse().expect("a length"));
        if bytes.len() >= end + 4 + length {
            return Ok(bytes);
        }
    }
}

/// Names to scripted answers: each look-up takes the next, the last one stays.
#[derive(Default)]
pub(super) struct Names {
    answers: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: Mutex<HashMap<String, usize>>,
}

impl Names {
    pub(super) fn with(name: &'static str, answers: &[&[&str]]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|a| a.parse().expect("an address")).collect();
        let answers = answers.iter().map(parse).collect();
        Self { answers: HashMap::from([(name, answers)]), ..Self::default() }
    }

    pub(super) fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().expect("not poisoned");
        asked.get(name).copied().unwrap_or(0)
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let nth = {
            let mut asked = self.asked.lock().expect("not poisoned");
            let count = asked.entry(host.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        let answers = self.answers.get(host).ok_or(io::ErrorKind::NotFound)?;
        Ok(answers[nth.min(answers.len() - 1)].clone())
    }
}

pub(super) fn client_with(config: &ClientConfig, names: Arc<Names>, allow: &[&str]) -> Client {
    let allow = allow.iter().map(|n| n.parse().expect("a network")).collect();
    Client::new(config, names, AddressGuard::new(allow)).expect("a client")
}

pub(super) fn client() -> Client {
    client_with(&ClientConfig::default(), Arc::default(), &["127.0.0.0/8"])
}

pub(super) async fn attempt(client: &Client, url: &str) -> Outcome {
    attempt_within(client, url, PATIENCE).await
}

/// One attempt, which has to end by its own deadline.
pub(super) async fn attempt_within(client: &Client, url: &str, deadline: Duration) -> Outcome {
    let target = Arc::new(Target::parse(url).expect("a destination"));
    let request = OutboundRequest::post(target, HeaderMap::new(), Bytes::from_static(b"{}"));
    let attempt = client.attempt(request, deadline, &SystemClock);
    timeout(2 * PATIENCE, attempt).await.expect("an attempt ends by its deadline")
}

/// Lets the others run until `condition` holds.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
