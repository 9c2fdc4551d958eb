//! What hostile clients do, each over and over until it is dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::app::TestApp;

/// Between two bytes of what drips.
const DRIP: Duration = Duration::from_millis(500);
/// Between two requests of a client that sends much.
const PACE: Duration = Duration::from_millis(100);
/// What no connection of an attack outlives.
const ATTACK_MAX: Duration = Duration::from_mins(2);
const BODY_BYTES: usize = 1_000_000;

/// One way to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// A connection, and never a word.
    Silence,
    /// A head, byte by byte.
    DripHead,
    /// A body, byte by byte, of an announced length.
    DripBody,
    /// A body, chunk by chunk of a byte each, without an end.
    DripChunks,
    /// Chunks without an end, as fast as it goes.
    EndlessChunks,
    /// Chunks of one byte, as fast as it goes.
    TinyChunks,
    /// A million brackets.
    DeepJson,
    /// Names that meet in one place of the hash tables that are about.
    CollidingKeys,
    /// What says that it is compressed.
    Compressed,
    /// A request, and then what is none.
    PipelinedGarbage,
    /// A key that nobody knows, another each time.
    UnknownKeys,
    /// A receiving URL that nobody has, another each time.
    UnknownSources,
    /// Megabytes of JSON for a source, with a signature by another secret.
    WrongSignatures,
}

/// Hostile clients at work. Dropping it stops them.
pub(crate) struct Crowd(#[expect(dead_code, reason = "held until the attack is to end")] JoinSet<()>);

impl Crowd {
    /// So many clients of each kind, on an application that is there.
    pub(crate) fn start(app: &TestApp, app_id: &str, attacks: &[(Attack, usize)]) -> Self {
        Self::at(Victim::new(app.address(), &app.key, app_id), attacks)
    }

    /// The same, beside a source with this receiving path.
    pub(crate) fn start_at_source(app: &TestApp, path: &str, attacks: &[(Attack, usize)]) -> Self {
        let mut victim = Victim::new(app.address(), &app.key, "none");
        path.clone_into(&mut victim.receiving);
        Self::at(victim, attacks)
    }

    fn at(victim: Victim, attacks: &[(Attack, usize)]) -> Self {
        let victim = Arc::new(victim);
        let mut clients = JoinSet::new();
        for &(attack, count) in attacks {
            for number in 0..count {
                let victim = Arc::clone(&victim);
                clients.spawn(async move {
                    let work = async {
                        loop {
                            // However it ends, he comes again.
                            let _ = victim.suffer(attack, number).await;
                            tokio::time::sleep(PACE).await;
                        }
                    };
                    let _ = tokio::time::timeout(ATTACK_MAX, work).await;
                });
            }
        }
        Self(clients)
    }
}

struct Victim {
    address: SocketAddr,
    publish: String,
    receiving: String,
    deep: Vec<u8>,
    colliding: Vec<u8>,
}

impl Victim {
    fn new(address: SocketAddr, key: &str, app_id: &str) -> Self {
        let publish = format!(
            "POST /api/v1/app/{app_id}/msg HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\n"
        );
        let receiving = String::new();
        Self { address, publish, receiving, deep: deep_json(BODY_BYTES), colliding: colliding_keys(BODY_BYTES) }
    }

    async fn suffer(&self, attack: Attack, number: usize) -> io::Result<()> {
        let mut tcp = TcpStream::connect(self.address).await?;
        let head = self.publish.as_bytes();
        match attack {
            Attack::Silence => until_closed(&mut tcp).await,
            Attack::DripHead => drip(&mut tcp, head).await,
            Attack::DripBody => {
                tcp.write_all(&[head, b"content-length: 900000\r\n\r\n{"].concat()).await?;
                drip(&mut tcp, b" ").await
            }
            Attack::DripChunks => {
                tcp.write_all(&[head, b"transfer-encoding: chunked\r\n\r\n"].concat()).await?;
                drip_parts(&mut tcp, b"1\r\n \r\n").await
            }
            Attack::EndlessChunks => {
                tcp.write_all(&[head, b"transfer-encoding: chunked\r\n\r\n"].concat()).await?;
                let chunk = [b"4000\r\n", &[b' '; 0x4000][..], b"\r\n"].concat();
                flood(&mut tcp, &chunk).await
            }
            Attack::TinyChunks => {
                tcp.write_all(&[head, b"transfer-encoding: chunked\r\n\r\n"].concat()).await?;
                flood(&mut tcp, &b"1\r\n \r\n".repeat(1_000)).await
            }
            Attack::DeepJson => ask(&mut tcp, head, &self.deep).await,
            Attack::CollidingKeys => ask(&mut tcp, head, &self.colliding).await,
            Attack::Compressed => {
                ask(&mut tcp, &[head, b"content-encoding: gzip\r\n"].concat(), &vec![0x1f; 100_000]).await
            }
            Attack::PipelinedGarbage => {
                let first = b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n";
                tcp.write_all(&[&first[..], &vec![0xff; 60_000]].concat()).await?;
                until_closed(&mut tcp).await
            }
            Attack::UnknownKeys => {
                let at = jiff::Timestamp::now().as_nanosecond();
                let request =
                    format!("GET /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk_{number}_{at}\r\n");
                ask(&mut tcp, request.as_bytes(), b"").await
            }
            Attack::UnknownSources => {
                let at = jiff::Timestamp::now().as_nanosecond();
                let token = format!("{number:013}{at:019}");
                let request = format!("POST /in/{token} HTTP/1.1\r\nhost: x\r\n");
                ask(&mut tcp, request.as_bytes(), b"{}").await
            }
            Attack::WrongSignatures => {
                let now_s = jiff::Timestamp::now().as_second();
                let signature = "0".repeat(64);
                let request = format!(
                    "POST {} HTTP/1.1\r\nhost: x\r\nstripe-signature: t={now_s},v1={signature}\r\n",
                    self.receiving
                );
                ask(&mut tcp, request.as_bytes(), &self.colliding).await
            }
        }
    }
}

/// A request and its answer, up to the first bytes of it.
async fn ask(tcp: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let length = format!("content-length: {}\r\n\r\n", body.len());
    tcp.write_all(&[head, length.as_bytes(), body].concat()).await?;
    tcp.read(&mut [0; 4096]).await.map(|_| ())
}

async fn drip(tcp: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes.iter().cycle() {
        tokio::time::sleep(DRIP).await;
        tcp.write_all(&[*byte]).await?;
    }
    Ok(())
}

async fn drip_parts(tcp: &mut TcpStream, part: &[u8]) -> io::Result<()> {
    loop {
        tokio::time::sleep(DRIP).await;
        tcp.write_all(part).await?;
    }
}

/// As fast as it goes, until the other side has enough.
async fn flood(tcp: &mut TcpStream, again: &[u8]) -> io::Result<()> {
    loop {
        tcp.write_all(again).await?;
    }
}

async fn until_closed(tcp: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 4096];
    while tcp.read(&mut rest).await? > 0 {}
    Ok(())
}

pub(crate) fn deep_json(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"eventType":"e","payload":"#.to_vec();
    body.extend(br#"{"a":["#.repeat((bytes - body.len()) / 6));
    body
}

/// Names of one sum of bytes, one length and one multiplicative hash (31 and 33): "Aa" and "BB" meet
/// for 31, and so do all rows of them.
pub(crate) fn colliding_keys(bytes: usize) -> Vec<u8> {
    const PAIRS: u32 = 16;
    let mut body = br#"{"eventType":"e","payload":{"#.to_vec();
    for number in 0_u32.. {
        let name: String = (0..PAIRS).map(|bit| if number >> bit & 1 == 0 { "Aa" } else { "BB" }).collect();
        if body.len() + name.len() + 8 > bytes {
            break;
        }
        let comma = if number == 0 { "" } else { "," };
        body.extend_from_slice(format!("{comma}\"{name}\":1").as_bytes());
    }
    body.extend_from_slice(b"}}");
    body
}
