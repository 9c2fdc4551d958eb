//! The bench against a server of twenty lines that keeps nothing and delivers at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::session::{Phase, Session, Setup};
use super::wire::{Connection, request_head};

/// Endpoints by application.
type Endpoints = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// Starts the server on a thread of its own, which ends with the test's process. Every
/// `lose_every`-th message is acknowledged and forgotten, every `double_every`-th sent twice.
fn fake_server(lose_every: u64, double_every: u64) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = super::machine::loop_runtime().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let endpoints = Endpoints::default();
            let count = Arc::new(std::sync::atomic::AtomicU64::new(1));
            while let Ok((stream, _)) = listener.accept().await {
                let (endpoints, count) = (Arc::clone(&endpoints), Arc::clone(&count));
                tokio::spawn(async move { serve(stream, &endpoints, &count, lose_every, double_every).await });
            }
        });
    });
    address
}

async fn serve(
    mut stream: TcpStream,
    endpoints: &Endpoints,
    count: &std::sync::atomic::AtomicU64,
    lose_every: u64,
    double_every: u64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    let mut filled = 0;
    let mut sinks: HashMap<String, Connection> = HashMap::new();
    loop {
        let head = loop {
            match request_head(&buffer[..filled])? {
                Some(head) if head.head_bytes + head.body_bytes <= filled => break head,
                _ => {}
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        };
        let text = String::from_utf8_lossy(&buffer[..filled]).into_owned();
        filled = 0;
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = &text[head.head_bytes..];
        let uid = path.split('/').nth(4).unwrap_or_default().to_owned();
        if !text.contains("authorization: Bearer secret\r\n") {
            stream.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n").await?;
        } else if path.contains("/msg") {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}").await?;
            let nth = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let urls = endpoints.lock().unwrap().get(&uid).cloned().unwrap_or_default();
            let at = body.find("\"payload\":").unwrap() + 10;
            let payload = &body[at..body.len() - 1];
            let times = u64::from(!nth.is_multiple_of(lose_every)) + u64::from(nth.is_multiple_of(double_every));
            for url in urls {
                for _ in 0..times {
                    deliver(&mut sinks, &url, payload).await?;
                }
            }
        } else {
            if path.ends_with("/endpoint") {
                let url = body.split('"').nth(3).unwrap().to_owned();
                endpoints.lock().unwrap().entry(uid).or_default().push(url);
            }
            stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}").await?;
        }
    }
}

async fn deliver(sinks: &mut HashMap<String, Connection>, url: &str, payload: &str) -> std::io::Result<()> {
    let (authority, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    if path.starts_with("h/") {
        return Ok(());
    }
    if !sinks.contains_key(authority) {
        let sink = Connection::open(authority.parse().unwrap()).await?;
        sinks.insert(authority.to_owned(), sink);
    }
    let request = format!("POST /{path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{payload}", payload.len());
    sinks.get_mut(authority).unwrap().call(request.as_bytes()).await?;
    Ok(())
}

fn setup(server: SocketAddr) -> Setup {
    Setup {
        url: format!("http://{server}"),
        also: Vec::new(),
        key: "secret".to_owned(),
        applications: 20,
        fan_out: 2,
        failing_percent: 10,
        hanging: 3,
        payload_bytes: 300,
        idempotency_key: true,
        stripe_source: false,
        sink_listen: "127.0.0.1:0".parse().unwrap(),
        sink_delay: Duration::ZERO,
        threads: 1,
        server_pid: Some(std::process::id()),
        data_dir: None,
    }
}

fn phase(messages: Option<u64>, rate: Option<u32>, duration: Duration) -> Phase {
    Phase {
        name: "test".to_owned(),
        connections: 8,
        connections_max: 16,
        duration,
        messages,
        rate,
        drain_timeout: Duration::from_secs(2),
    }
}

#[test]
fn a_closed_loop_accounts_for_every_message() {
    let session = Session::open(setup(fake_server(u64::MAX, u64::MAX))).unwrap();
    session.fill_hanging(5).unwrap();
    let long = Duration::from_secs(30);
    let report = session.measure(&phase(Some(2_000), None, long)).unwrap();
    assert_eq!(report.acknowledged, 2_000);
    assert_eq!((report.lost, report.duplicates, report.astray), (0, 0, 0));
    assert_eq!(report.delivered + report.failing_first_attempts, 4_000);
    assert!(report.failing_first_attempts > 200, "{}", report.failing_first_attempts);
    assert_eq!(report.end_to_end.count, report.delivered);
    assert!(report.drain_s.is_some() && report.server.is_some());
    assert!(report.table().contains("lost"));
    let columns = |line: &str| line.matches('|').count();
    let head = super::report::Report::MARKDOWN_HEAD.lines().next().unwrap().to_owned();
    assert_eq!(columns(&head), columns(&report.markdown_row()));
}

#[test]
fn what_is_lost_and_what_comes_twice_is_found() {
    let mut setup = setup(fake_server(100, 250));
    setup.failing_percent = 0;
    let session = Session::open(setup).unwrap();
    let report = session.measure(&phase(Some(1_000), None, Duration::from_secs(30))).unwrap();
    // The 500th and 1,000th are neither: forgotten and sent "twice" is once.
    assert_eq!((report.lost, report.duplicates), (8 * 2, 2 * 2));
    assert!(report.drain_s.is_none());
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let session = Session::open(setup(fake_server(u64::MAX, u64::MAX))).unwrap();
    let report = session.measure(&phase(None, Some(500), Duration::from_secs(2))).unwrap();
    assert!((990..=1_000).contains(&report.acknowledged), "{}", report.acknowledged);
    assert!(report.connections_opened <= 16);
    assert_eq!(report.lost, 0);
}

#[test]
fn a_wrong_key_is_told_at_once() {
    let mut setup = setup(fake_server(u64::MAX, u64::MAX));
    setup.key = "wrong".to_owned();
    let error = format!("{:#}", Session::open(setup).unwrap_err());
    assert!(error.contains("401"), "{error}");
}
