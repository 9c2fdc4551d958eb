//! Where the time of an attempt goes, and which headers of an answer are kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::connections::tls_receiver;
use super::support::{Names, Receiver, attempt, attempt_within, client, client_with, read_request};
use crate::deliver::ClientConfig;
use crate::model::outcome::Outcome;
use crate::model::outcome::OutcomeKind::{Connect, Dns, Success, Timeout};
use crate::model::trace::{HEADER_BYTES_MAX, HEADERS_MAX, Phase};

const PHASES: [Phase; 5] = [Phase::Dns, Phase::Connect, Phase::Tls, Phase::FirstByte, Phase::Body];
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-one: 1\r\n\r\nok";

/// Which parts were measured.
fn measured(outcome: &Outcome) -> [bool; 5] {
    PHASES.map(|phase| outcome.timings.of(phase).is_some())
}

#[tokio::test]
async fn what_was_not_done_is_not_measured() {
    let receiver = Receiver::answering(OK).await;
    let plain = client();
    let seen = attempt(&plain, &receiver.url()).await;
    assert_eq!((seen.kind, measured(&seen)), (Success, [false, true, false, true, true]), "no name, no TLS");
    let seen = attempt(&plain, &receiver.url()).await;
    assert_eq!(measured(&seen), [false, false, false, true, true], "on the same connection");

    let (receiver, ca) = tls_receiver().await;
    let config = ClientConfig { extra_ca_pem: Some(ca), ..ClientConfig::default() };
    let here: &[&str] = &["127.0.0.1"];
    let tls = client_with(&config, Arc::new(Names::with("tls.example", &[here])), &["127.0.0.0/8"]);
    let seen = attempt(&tls, &format!("https://tls.example:{}/", receiver.address.port())).await;
    assert_eq!((seen.kind, measured(&seen)), (Success, [true; 5]));
    let seen = attempt(&tls, "https://other.example/").await;
    assert_eq!((seen.kind, measured(&seen)), (Dns, [true, false, false, false, false]));
    let seen = attempt(&tls, "http://127.0.0.1:1/").await;
    assert_eq!((seen.kind, measured(&seen)), (Connect, [false, true, false, false, false]));
}

#[tokio::test]
async fn a_deadline_is_told_by_the_part_that_it_struck_in() {
    let silent = Receiver::start("127.0.0.1:0", |mut tcp| async move {
        read_request(&mut tcp).await?;
        std::future::pending().await
    })
    .await;
    let seen = attempt_within(&client(), &silent.url(), Duration::from_millis(200)).await;
    assert_eq!((seen.kind, measured(&seen)), (Timeout, [false, true, false, true, false]));
    assert!(seen.timings.of(Phase::FirstByte) >= Some(150), "{:?}", seen.timings);
}

#[tokio::test]
async fn headers_are_kept_of_failures_within_their_bounds() {
    let success = Receiver::answering(OK).await;
    assert_eq!(attempt(&client(), &success.url()).await.headers, []);
    let failed =
        "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nserver: <script>\r\nset-cookie: hidden\r\nx-bytes: \u{e9}\r\n\r\n";
    let failed = Receiver::answering(failed).await;
    let kept = attempt(&client(), &failed.url()).await.headers;
    for (name, value) in [("server", "<script>"), ("set-cookie", ""), ("x-bytes", "\u{e9}")] {
        assert!(kept.contains(&(name.to_owned(), value.to_owned())), "{name}: {kept:?}");
    }
    let long = "v".repeat(1_500);
    let many = (0..90).map(|number| format!("x-{number}: 1")).collect::<Vec<_>>().join("\r\n") + "\r\n";
    for head in [many, format!("x-long: {long}\r\nx-longer: {long}\r\nx-short: 1\r\n")] {
        let receiver = Receiver::answering(format!("HTTP/1.1 404 No\r\ncontent-length: 0\r\n{head}\r\n")).await;
        let kept = attempt(&client(), &receiver.url()).await.headers;
        let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((1..=HEADERS_MAX).contains(&kept.len()) && bytes <= HEADER_BYTES_MAX, "{} {bytes}", kept.len());
    }
}

#[tokio::test]
async fn a_success_whose_body_breaks_off_is_a_failure_with_headers() {
    let receiver = Receiver::start("127.0.0.1:0", |mut tcp| async move {
        read_request(&mut tcp).await?;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-one: 1\r\n\r\nhalf").await
    })
    .await;
    let seen = attempt(&client(), &receiver.url()).await;
    assert!(!seen.is_success() && seen.headers.contains(&("x-one".to_owned(), "1".to_owned())), "{seen:?}");
}
