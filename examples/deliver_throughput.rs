//! CPU per attempt of the guarded client, measured on the client's own thread.
//!
//! `cargo run --release --example deliver_throughput -- [attempts]`: a keep-alive sink on a
//! thread of its own, then attempts one after the other, and from 64 tasks at once.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use posthouse::deliver::{AddressGuard, Client, ClientConfig, OutboundRequest, Resolve, Target};
use posthouse::model::outcome::OutcomeKind;
use posthouse::model::time::SystemClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct NoDns;

#[async_trait::async_trait]
impl Resolve for NoDns {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

const BODY_BYTES: usize = 500;

fn main() -> anyhow::Result<()> {
    let attempts: u32 = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let sink = start_sink()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let guard = AddressGuard::new(vec!["127.0.0.0/8".parse()?]);
        let client = Arc::new(Client::new(&ClientConfig::default(), Arc::new(NoDns), guard)?);
        let target = Arc::new(Target::parse(&format!("http://{sink}/hook/some-path"))?);
        floor(sink, attempts)?;
        for tasks in [1, 64] {
            let before = (cpu_ns()?, Instant::now());
            let running: Vec<_> = (0..tasks)
                .map(|_| {
                    let (client, target) = (Arc::clone(&client), Arc::clone(&target));
                    tokio::spawn(async move {
                        for _ in 0..attempts / tasks {
                            let outcome = client.attempt(request(&target), Duration::from_secs(15), &SystemClock).await;
                            assert_eq!(outcome.kind, OutcomeKind::Success);
                        }
                    })
                })
                .collect();
            for task in running {
                task.await?;
            }
            let cpu_us = (cpu_ns()? - before.0) as f64 / 1e3 / f64::from(attempts);
            let rate = f64::from(attempts) / before.1.elapsed().as_secs_f64();
            println!("{tasks} at once: {cpu_us:.2} us of CPU an attempt, {rate:.0}/s");
        }
        anyhow::Ok(())
    })
}

fn request(target: &Arc<Target>) -> OutboundRequest {
    let mut headers = HeaderMap::with_capacity(8);
    let fixed = |text| HeaderValue::from_static(text);
    headers.insert("content-type", fixed("application/json"));
    headers.insert("user-agent", fixed("Posthouse/0.1"));
    headers.insert(HeaderName::from_static("webhook-id"), fixed("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"));
    headers.insert(HeaderName::from_static("webhook-timestamp"), fixed("1674087231"));
    let signature = fixed("v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=");
    headers.insert(HeaderName::from_static("webhook-signature"), signature);
    OutboundRequest::post(Arc::clone(target), headers, Bytes::from_static(&[b'x'; BODY_BYTES]))
}

/// What the two system calls of an attempt cost without any HTTP.
fn floor(sink: SocketAddr, attempts: u32) -> anyhow::Result<()> {
    let mut tcp = std::net::TcpStream::connect(sink)?;
    tcp.set_nodelay(true)?;
    let mut bytes = format!("POST / HTTP/1.1\r\ncontent-length: {BODY_BYTES}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + BODY_BYTES, b'x');
    let (before, mut buffer) = (cpu_ns()?, [0; 4096]);
    for _ in 0..attempts {
        tcp.write_all(&bytes)?;
        anyhow::ensure!(tcp.read(&mut buffer)? > 0, "the sink closed");
    }
    let cpu_us = (cpu_ns()? - before) as f64 / 1e3 / f64::from(attempts);
    println!("blocking write and read: {cpu_us:.2} us of CPU");
    Ok(())
}

/// This thread's CPU time, user and system.
fn cpu_ns() -> anyhow::Result<u64> {
    let mut text = [0; 128];
    let read = std::fs::File::open("/proc/thread-self/schedstat")?.read(&mut text)?;
    let first = std::str::from_utf8(&text[..read])?.split(' ').next();
    Ok(first.unwrap_or_default().parse()?)
}

fn start_sink() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("sink".into()).spawn(move || {
        if let Err(error) = run_sink(listener) {
            eprintln!("sink: {error}");
        }
    })?;
    Ok(address)
}

fn run_sink(listener: std::net::TcpListener) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (tcp, _) = listener.accept().await?;
            tokio::spawn(answer(tcp));
        }
    })
}

/// Counts bodies by the one length that is sent; a request may come in pieces.
async fn answer(mut tcp: tokio::net::TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let (mut buffer, mut filled) = ([0; 8192], 0);
    loop {
        filled += tcp.read(&mut buffer[filled..]).await?;
        if filled == 0 {
            return Ok(());
        }
        let head = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n");
        if head.is_some_and(|at| filled >= at + 4 + BODY_BYTES) {
            filled = 0;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok").await?;
        }
    }
}
