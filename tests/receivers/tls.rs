//! Receivers that misbehave before a request can be sent: in TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::TestApp;
use crate::support::names::NameServer;
use crate::support::tls::Authority;
use crate::{DEADLINE, assert_recorded, attempt, start};

/// What a receiver does with each connection, after the first bytes came.
type Deed = fn(TcpStream) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Listens until the runtime ends; the URL.
async fn doing(deed: Deed) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut hello = [0; 4096];
                match tcp.read(&mut hello).await? {
                    0 => Ok(()),
                    _ => deed(tcp).await,
                }
            });
        }
    });
    format!("https://{address}/hook")
}

/// A record of a handshake: the hello of a server that speaks this version and nothing newer.
fn server_hello(version: u8) -> Vec<u8> {
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0x00, 0x2f, 0]);
    let mut record = vec![22, 3, version, 0, hello.len() as u8 + 4, 2, 0, 0, hello.len() as u8];
    record.extend(hello);
    record
}

async fn hang(mut tcp: TcpStream) -> io::Result<()> {
    while tcp.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// What is done, and what is on record.
fn deeds() -> Vec<(&'static str, Deed, &'static str)> {
    vec![
        ("ssl-3", |tcp| Box::pin(say(tcp, server_hello(0))), "tls_failed"),
        ("tls-1.0", |tcp| Box::pin(say(tcp, server_hello(1))), "tls_failed"),
        ("tls-1.1", |tcp| Box::pin(say(tcp, server_hello(2))), "tls_failed"),
        ("old-cipher-of-1.2", |tcp| Box::pin(say(tcp, server_hello(3))), "tls_failed"),
        ("alert", |tcp| Box::pin(say(tcp, vec![21, 3, 3, 0, 2, 2, 70])), "tls_failed"),
        (
            "plain-http",
            |tcp| Box::pin(say(tcp, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())),
            "tls_failed",
        ),
        ("garbage", |tcp| Box::pin(say(tcp, vec![0xff; 300])), "tls_failed"),
        ("close", |_| Box::pin(async { Ok(()) }), "tls_failed"),
        ("reset", |tcp| Box::pin(async move { tcp.set_zero_linger() }), "tls_failed"),
        ("silence", |tcp| Box::pin(hang(tcp)), "timeout"),
        ("drip", |tcp| Box::pin(drip(tcp)), "timeout"),
        ("endless-handshake", |tcp| Box::pin(endless(tcp)), "tls_failed"),
    ]
}

async fn say(mut tcp: TcpStream, bytes: Vec<u8>) -> io::Result<()> {
    tcp.write_all(&bytes).await?;
    hang(tcp).await
}

async fn drip(mut tcp: TcpStream) -> io::Result<()> {
    let hello = server_hello(3);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    for byte in hello.iter().cycle() {
        tick.tick().await;
        tcp.write_all(&[*byte]).await?;
    }
    Ok(())
}

/// One message of 16 MiB in records that never end.
async fn endless(mut tcp: TcpStream) -> io::Result<()> {
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.extend([2, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    loop {
        tcp.write_all(&record).await?;
        record[5..9].fill(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_goes_wrong_is_a_failed_attempt() {
    let app = start().await;
    for (name, deed, response) in deeds() {
        let url = doing(deed).await;
        assert_recorded(name, &attempt(&app, &url).await, false, 0, response);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_proves_nothing_is_refused() {
    let (known, unknown) = (Authority::make(), Authority::make());
    let names = NameServer::start(&[("good.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])]).await;
    let ca_file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    std::fs::write(ca_file.path(), known.pem()).expect("written");
    let how = TestApp::builder().set("delivery.attempt_timeout_ms", DEADLINE.as_millis());
    let how = how.set("egress.dns_servers", names.address).set("delivery.retry_schedule", "600");
    let app = how.set("egress.extra_ca_file", ca_file.path().display()).start().await;

    let good = known.receiver("good.test", false).await.port();
    let expired = known.receiver("good.test", true).await.port();
    let stranger = unknown.receiver("good.test", false).await.port();
    assert_recorded("good", &attempt(&app, &format!("https://good.test:{good}/")).await, true, 200, "ok");
    for (what, url) in [
        ("expired", format!("https://good.test:{expired}/")),
        ("of an authority that nobody knows", format!("https://good.test:{stranger}/")),
        ("for another name", format!("https://other.test:{good}/")),
        ("for a name, reached by address", format!("https://127.0.0.1:{good}/")),
    ] {
        assert_recorded(what, &attempt(&app, &url).await, false, 0, "tls_failed");
    }
}
