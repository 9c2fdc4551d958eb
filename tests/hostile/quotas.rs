//! Quotas of keys and of addresses.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::http::Connection;
use crate::support::wait::{SOON, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_requests_per_second_and_others_have_theirs() {
    let app = TestApp::builder().set("limits.requests_per_second_per_key", 5).start().await;
    let other = app.client.with_key(Some(&app.create_key()));
    let unknown = app.client.with_key(Some("sk_nobody"));
    let began = Instant::now();
    let (mut granted, mut refused) = (0, 0);
    for _ in 0..40 {
        let answer = app.get("/api/v1/app").await;
        if answer.status == 200 {
            granted += 1;
        } else {
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.error(429), "rate_limited");
            refused += 1;
        }
        unknown.get("/api/v1/app").await.expect(401);
        app.client.with_key(None).get("/api/v1/health").await.expect(204);
    }
    let most = 5 + 5 * (began.elapsed().as_millis() as usize).div_ceil(1_000);
    assert!((5..=most).contains(&granted) && refused > 0, "{granted} granted, {refused} refused");
    other.get("/api/v1/app").await.expect(200);
    let waiting = Instant::now();
    eventually("it may again", SOON, async || (app.get("/api/v1/app").await.status == 200).then_some(())).await;
    assert!(waiting.elapsed() <= Duration::from_secs(2), "{:?}, though it was told 1 s", waiting.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_limited_unless_it_is_configured() {
    let app = TestApp::start().await;
    for _ in 0..500 {
        app.get("/api/v1/app").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_connections() {
    const GET: &[u8] = b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n";
    let app = TestApp::builder().set("limits.connections_per_address", 4).start().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut connection = Connection::open(app.address()).await.expect("a connection");
        connection.exchange(GET).await.expect("an answer").expect(204);
        open.push(connection);
    }
    for _ in 0..3 {
        let mut tcp = TcpStream::connect(app.address()).await.expect("the kernel takes it");
        let read = tokio::time::timeout(SOON, tcp.read(&mut [0; 16])).await.expect("it is closed");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    for connection in &mut open {
        connection.exchange(GET).await.expect("those that are open stay").expect(204);
    }
    open.pop();
    eventually("there is a place again", SOON, async || {
        let mut connection = Connection::open(app.address()).await.ok()?;
        connection.exchange(GET).await.ok().filter(|answer| answer.status == 204)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tokens_of_an_application_are_one() {
    let app = TestApp::builder().set("limits.requests_per_second_per_key", 5).start().await;
    let made = app.application("Customer").await;
    let path = format!("/api/v1/auth/app-portal-access/{made}");
    let mut tokens = Vec::new();
    for _ in 0..4 {
        let link = eventually("a token", SOON, async || {
            let answer = app.client.post(&path, serde_json::json!({})).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        tokens.push(app.client.with_key(link["token"].as_str()));
    }
    let (began, mut granted) = (Instant::now(), 0);
    for round in 0..40 {
        let answer = tokens[round % tokens.len()].get(format!("/api/v1/app/{made}")).await;
        granted += usize::from(answer.status == 200);
    }
    let most = 5 + 5 * (began.elapsed().as_millis() as usize).div_ceil(1_000);
    assert!((5..=most).contains(&granted), "{granted} granted");
}
