//! A name server of the tests' own, which answers what a script says: also two things, or one thing
//! now and another later.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

const HEADER_BYTES: usize = 12;
const PACKET_BYTES_MAX: usize = 1500;
const TYPE_A: u16 = 1;
/// What a name that is never answered is called.
const SILENT: &str = "silent.test";

/// Answers to each question for a name, one after the other; the last one stays.
type Answers = HashMap<String, Vec<Vec<Ipv4Addr>>>;

/// The name server. Dropping it ends it.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    answering: AbortHandle,
}

impl NameServer {
    /// Answers by `script`; other names do not exist.
    pub(crate) async fn start(script: &[(&str, &[&[&str]])]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().expect("an IPv4 address")).collect();
        let answers: Answers =
            script.iter().map(|(name, lists)| ((*name).to_owned(), lists.iter().map(parse).collect())).collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counting = Arc::clone(&asked);
        let answering = tokio::spawn(async move {
            let mut packet = [0; PACKET_BYTES_MAX];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
                if let Some(answer) = answer(&packet[..length], &answers, &counting) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Self { address, asked, answering: answering.abort_handle() }
    }

    /// How often the addresses of a name were asked for.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(0)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

/// The answer to a query; `None` where none is given.
fn answer(query: &[u8], answers: &Answers, asked: &Mutex<HashMap<String, usize>>) -> Option<Vec<u8>> {
    let (name, question_end) = question(query)?;
    if name == SILENT {
        return None;
    }
    let kind = u16::from_be_bytes([query[question_end - 4], query[question_end - 3]]);
    let known = answers.get(&name);
    let addresses = match known {
        Some(lists) if kind == TYPE_A => {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            let count = asked.entry(name).or_default();
            *count += 1;
            lists[(*count - 1).min(lists.len() - 1)].as_slice()
        }
        _ => &[],
    };
    let no_such_name = u8::from(known.is_none()) * 3;
    let mut packet = query[..2].to_vec();
    packet.extend([0x81, 0x80 | no_such_name, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    packet.extend(&query[HEADER_BYTES..question_end]);
    for address in addresses {
        // The name of the question, type A, class IN, no time to live, four bytes.
        packet.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        packet.extend(address.octets());
    }
    Some(packet)
}

/// The name that is asked for, and where the question ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (HEADER_BYTES, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            return (query.len() >= at + 5).then(|| (labels.join(".").to_lowercase(), at + 5));
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
}
