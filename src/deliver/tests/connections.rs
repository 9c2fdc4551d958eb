//! Which connections are opened, used again, and refused.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::support::{Names, PATIENCE, Receiver, attempt, attempt_within, client, client_with, read_request, until};
use crate::deliver::{ClientConfig, OutboundRequest, Target};
use crate::model::outcome::OutcomeKind::{self, Blocked, Closed, Connect, Dns, Success, Timeout, Tls};
use crate::model::time::SystemClock;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again() {
    let (receiver, client) = (Receiver::answering(OK).await, client());
    for _ in 0..50 {
        assert_eq!(attempt(&client, &receiver.url()).await.kind, Success);
        assert_eq!(client.idle_count(), 1);
    }
    assert_eq!(receiver.accepted(), 1);
}

#[tokio::test]
async fn attempts_at_once_have_connections_of_their_own() {
    let (receiver, client) = (Receiver::answering(OK).await, Arc::new(client()));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (client, url) = (Arc::clone(&client), receiver.url());
        running.spawn(async move {
            for _ in 0..50 {
                assert_eq!(attempt(&client, &url).await.kind, Success);
            }
        });
    }
    running.join_all().await;
    assert!(receiver.accepted() <= 16);
    assert_eq!(client.idle_count(), receiver.accepted());
}

#[tokio::test]
async fn connection_close_is_obeyed() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let (receiver, client) = (Receiver::answering(answer).await, client());
        for opened in 1..=3 {
            assert_eq!(attempt(&client, &receiver.url()).await.kind, Success);
            assert_eq!((receiver.accepted(), client.idle_count()), (opened, 0));
        }
    }
}

/// Answers once, then does something that ends the connection's use.
async fn once(then: &'static [u8], close: bool) -> Receiver {
    Receiver::start("127.0.0.1:0", move |mut tcp| async move {
        read_request(&mut tcp).await?;
        tcp.write_all(OK.as_bytes()).await?;
        tcp.write_all(then).await?;
        if !close {
            // Reads the next request, and goes away without a word.
            read_request(&mut tcp).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_replaced() {
    for then in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
        let (receiver, client) = (once(then, true).await, client());
        for opened in 1..=5 {
            assert_eq!(attempt(&client, &receiver.url()).await.kind, Success);
            assert_eq!(receiver.accepted(), opened);
            until("the close is noticed", || {
                client.sweep(Instant::now());
                client.idle_count() == 0
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_reused_connection_that_dies_is_not_sent_on_again() {
    let (receiver, client) = (once(b"", false).await, client());
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(attempt(&client, &receiver.url()).await.kind);
    }
    assert_eq!(seen, [Success, Closed, Success, Closed]);
    assert_eq!(receiver.accepted(), 2);
}

#[tokio::test]
async fn idle_connections_are_bounded_by_number_and_time() {
    let config = ClientConfig { idle_per_host_max: 2, idle_total_max: 3, ..ClientConfig::default() };
    let client = Arc::new(client_with(&config, Arc::default(), &["127.0.0.0/8"]));
    // A barrier makes the four of each receiver be open at once.
    for wanted in [2, 3, 3] {
        let barrier = Arc::new(tokio::sync::Barrier::new(4));
        let receiver = Receiver::start("127.0.0.1:0", move |mut tcp| {
            let barrier = Arc::clone(&barrier);
            async move {
                read_request(&mut tcp).await?;
                barrier.wait().await;
                tcp.write_all(OK.as_bytes()).await?;
                read_request(&mut tcp).await.map(drop)
            }
        })
        .await;
        let url = receiver.url();
        let all = (0..4).map(|_| attempt(&client, &url));
        for seen in join(all).await {
            assert_eq!(seen, Success);
        }
        assert_eq!(client.idle_count(), wanted);
    }
    client.sweep(Instant::now() + config.idle_timeout);
    assert_eq!(client.idle_count(), 0);
}

async fn join(
    attempts: impl Iterator<Item = impl Future<Output = crate::model::outcome::Outcome>>,
) -> Vec<OutcomeKind> {
    let mut attempts: Vec<_> = attempts.map(Box::pin).collect();
    let mut kinds = Vec::new();
    std::future::poll_fn(|cx| {
        attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
            std::task::Poll::Ready(outcome) => {
                kinds.push(outcome.kind);
                false
            }
            std::task::Poll::Pending => true,
        });
        if attempts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    kinds
}

#[tokio::test]
async fn a_stale_connection_is_not_used_again() {
    let config = ClientConfig { idle_timeout: Duration::ZERO, ..ClientConfig::default() };
    let client = client_with(&config, Arc::default(), &["127.0.0.0/8"]);
    let receiver = Receiver::answering(OK).await;
    for opened in 1..=3 {
        assert_eq!(attempt(&client, &receiver.url()).await.kind, Success);
        assert_eq!(receiver.accepted(), opened);
    }
}

#[tokio::test]
async fn dropping_an_attempt_closes_its_connection() {
    let (told, mut closed) = tokio::sync::mpsc::channel(1);
    let receiver = Receiver::start("127.0.0.1:0", move |mut tcp| {
        let told = told.clone();
        async move {
            read_request(&mut tcp).await?;
            let _ = told.send("request").await;
            assert!(read_request(&mut tcp).await?.is_empty());
            let _ = told.send("closed").await;
            Ok(())
        }
    })
    .await;
    let (client, url) = (client(), receiver.url());
    let running = attempt(&client, &url);
    tokio::select! {
        seen = running => panic!("no answer was given: {seen:?}"),
        event = closed.recv() => assert_eq!(event, Some("request")),
    }
    let event = tokio::time::timeout(PATIENCE, closed.recv()).await;
    assert_eq!(event, Ok(Some("closed")));
    assert_eq!(client.idle_count(), 0);
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let seen = attempt(&client(), &format!("http://{address}/")).await;
    assert_eq!((seen.kind, seen.status), (Connect, 0));
    assert_eq!(attempt(&client(), "http://nowhere.example/").await.kind, Dns);
    let empty = Arc::new(Names::with("empty.example", &[&[]]));
    let client = client_with(&ClientConfig::default(), empty, &[]);
    assert_eq!(attempt(&client, "http://empty.example/").await.kind, Dns);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let receiver = Receiver::answering(OK).await;
    let names = Arc::new(Names::with("two.example", &[&["127.0.0.9", "127.0.0.1"]]));
    let client = client_with(&ClientConfig::default(), names, &["127.0.0.0/8"]);
    let url = format!("http://two.example:{}/", receiver.address.port());
    assert_eq!(attempt(&client, &url).await.kind, Success);
}

#[tokio::test]
async fn forbidden_addresses_are_never_connected_to() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let client = client_with(&ClientConfig::default(), Arc::default(), &[]);
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]", "[::1]", "127.1"] {
        let seen = attempt(&client, &format!("http://{host}:{port}/")).await;
        assert_eq!((seen.kind, seen.status), (Blocked, 0), "{host}");
        assert!(seen.body.is_empty() && seen.retry_after_s.is_none());
    }
    assert_eq!(receiver.accepted(), 0);
}

/// 127.0.0.1 stands for a public address, 127.0.0.2 for one that is forbidden.
#[tokio::test]
async fn a_name_that_flips_never_reaches_the_forbidden_address() {
    let close = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let public = Receiver::answering(close).await;
    let port = public.address.port();
    let forbidden = Receiver::start(&format!("127.0.0.2:{port}"), |_| async { Ok(()) }).await;
    let names = Arc::new(Names::with(
        "flip.example",
        &[
            &["127.0.0.1"],
            &["127.0.0.2"],
            &["127.0.0.1", "127.0.0.2"],
            &["127.0.0.2", "127.0.0.1"],
            &["127.0.0.1", "::ffff:127.0.0.2"],
            &["127.0.0.1", "169.254.169.254"],
            &["127.0.0.1"],
        ],
    ));
    let client = client_with(&ClientConfig::default(), Arc::clone(&names), &["127.0.0.1/32"]);
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(attempt(&client, &format!("http://FLIP.example.:{port}/")).await.kind);
    }
    assert_eq!(seen, [Success, Blocked, Blocked, Blocked, Blocked, Blocked, Success]);
    assert_eq!((public.accepted(), forbidden.accepted()), (2, 0));
    assert_eq!(names.asked("flip.example"), 7, "one look-up an attempt");
}

#[tokio::test]
async fn a_resolver_or_handshake_that_hangs_is_a_time_out() {
    let silent = Receiver::start("127.0.0.1:0", |tcp| async move {
        let _open = tcp;
        std::future::pending().await
    })
    .await;
    let url = format!("https://{}/", silent.address);
    let short = Duration::from_millis(300);
    assert_eq!(attempt_within(&client(), &url, short).await.kind, Timeout);
    let config = ClientConfig { connect_timeout: short, ..ClientConfig::default() };
    let client = client_with(&config, Arc::default(), &["127.0.0.0/8"]);
    let seen = attempt(&client, &url).await;
    assert_eq!(seen.kind, Timeout);
    assert!(u128::from(seen.duration_ms) < PATIENCE.as_millis());
}

/// A CA of the test's own, and a receiver on 127.0.0.1 with a certificate of it.
pub(super) async fn tls_receiver() -> (Receiver, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = CertifiedIssuer::self_signed(params, key).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "tls.example".to_owned()];
    let leaf = CertificateParams::new(names).expect("parameters");
    let leaf = leaf.signed_by(&key, &ca).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a server");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let receiver = Receiver::start("127.0.0.1:0", move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let mut tls = acceptor.accept(tcp).await?;
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            while !read_request(&mut tls).await?.is_empty() {
                tls.write_all(OK.as_bytes()).await?;
            }
            Ok(())
        }
    })
    .await;
    (receiver, ca.pem().into_bytes())
}

#[tokio::test]
async fn certificates_are_verified() {
    let (receiver, ca) = tls_receiver().await;
    let port = receiver.address.port();
    let url = format!("https://127.0.0.1:{port}/");
    assert_eq!(attempt(&client(), &url).await.kind, Tls);
    let config = ClientConfig { extra_ca_pem: Some(ca), ..ClientConfig::default() };
    let here: &[&str] = &["127.0.0.1"];
    for (name, kind) in [("tls.example", Success), ("other.example", Tls)] {
        let names = Arc::new(Names::with(name, &[here]));
        let client = client_with(&config, names, &["127.0.0.0/8"]);
        assert_eq!(attempt(&client, &format!("https://{name}:{port}/")).await.kind, kind);
    }
    let client = client_with(&config, Arc::default(), &["127.0.0.0/8"]);
    let before = receiver.accepted();
    for _ in 0..3 {
        let seen = attempt(&client, &url).await;
        assert_eq!((seen.kind, &seen.body[..]), (Success, &b"ok"[..]));
    }
    assert_eq!(receiver.accepted(), before + 1);
    let plain = attempt(&client, &format!("http://127.0.0.1:{port}/")).await;
    assert!(plain.kind.is_unreachable(), "{plain:?}");
    let not_tls = Receiver::start("127.0.0.1:0", |mut tcp| async move { tcp.write_all(OK.as_bytes()).await }).await;
    let seen = attempt(&client, &format!("https://{}/", not_tls.address)).await;
    assert_eq!(seen.kind, Tls);
}

#[tokio::test]
async fn large_requests_arrive_whole() {
    let (receiver, ca) = tls_receiver().await;
    let config = ClientConfig { extra_ca_pem: Some(ca), ..ClientConfig::default() };
    let plain = Receiver::answering(OK).await;
    let client = client_with(&config, Arc::default(), &["127.0.0.0/8"]);
    for url in [plain.url(), format!("https://{}/", receiver.address)] {
        for size in [0, 1, 100_000, 2_000_000] {
            let target = Arc::new(Target::parse(&url).expect("a destination"));
            let request = OutboundRequest::post(target, HeaderMap::new(), vec![b'x'; size].into());
            let seen = client.attempt(request, PATIENCE, &SystemClock).await;
            assert_eq!(seen.kind, Success, "{url} {size}");
        }
    }
    assert_eq!((plain.accepted(), receiver.accepted()), (1, 1));
}

#[test]
fn the_warning_of_few_open_files_is_for_fewer_than_the_defaults_may_take() {
    let config = crate::config::Config::default();
    let clients = config.server.connections_max;
    let receivers = config.delivery.attempts_in_flight_max + ClientConfig::default().idle_total_max;
    assert!(config.limits.open_files_warn_below > (clients + receivers) as u64, "{clients} and {receivers}");
}
