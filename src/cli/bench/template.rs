//! Requests rendered once; of each message only a few bytes are patched in place.

use std::sync::Arc;

use aws_lc_rs::hmac;

use super::ledger::{Topology, mix};
use crate::model::{Clock as _, SystemClock};

/// Begins every payload; what follows are the sequence number and the time it was sent.
const MARK: &[u8] = b"\"bench\":\"";
const DIGITS: usize = 16;
const MARK_BYTES: usize = DIGITS + 1 + DIGITS;
const APPLICATION_DIGITS: usize = 6;
const KEY_BYTES: usize = 36;
/// What the Stripe sources of a bench verify by.
pub(super) const STRIPE_SECRET: &str = "whsec_bench";
/// Ten digits suffice until the year 2286.
const TIME_DIGITS: usize = 10;
const SIGNATURE_DIGITS: usize = 64;

/// A publish request with holes for the application, the key, the number and the time; or one as Stripe
/// sends it.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    application_at: usize,
    stripe: Option<Stripe>,
    key_at: Option<usize>,
    mark_at: usize,
    seed: u64,
}

impl Template {
    pub(super) fn new(
        authority: &str,
        key: &str,
        topology: &Topology,
        payload_bytes: usize,
        idempotency: bool,
    ) -> Self {
        let payload = payload(payload_bytes);
        let body = format!(r#"{{"eventType":"bench.event","payload":{payload}}}"#);
        let mut text = format!("POST /api/v1/app/{}", topology.uid(0));
        let application_at = text.len() - APPLICATION_DIGITS;
        text += "/msg?with_content=false HTTP/1.1\r\nhost: ";
        text += authority;
        text += "\r\nauthorization: Bearer ";
        text += key;
        text += "\r\ncontent-type: application/json\r\n";
        let mut key_at = None;
        if idempotency {
            text += "idempotency-key: auto_";
            key_at = Some(text.len());
            text += "00000000-0000-4000-8000-000000000000\r\n";
        }
        text += "content-length: ";
        text += &body.len().to_string();
        text += "\r\n\r\n";
        text += &body;
        let bytes = text.into_bytes();
        let mark_at = find(&bytes, MARK).expect("the payload has the mark") + MARK.len();
        Self { bytes, application_at, stripe: None, key_at, mark_at, seed: topology.seed }
    }

    /// A request as Stripe sends it; all of `paths`, one an application, are of one length.
    pub(super) fn of_stripe(authority: &str, paths: Arc<[String]>, payload_bytes: usize) -> Self {
        let event = r#","id":"evt_0000000000000000","type":"bench.event"}"#;
        let mut body = payload(payload_bytes.saturating_sub(event.len() - 1));
        body.pop();
        body += event;
        let mut text = format!("POST {} HTTP/1.1\r\nhost: {authority}\r\n", paths[0]);
        text += "content-type: application/json; charset=utf-8\r\nuser-agent: Stripe/1.0 (bench)\r\n";
        text += "stripe-signature: t=";
        let time_at = text.len();
        text += &"0".repeat(TIME_DIGITS);
        text += ",v1=";
        let signature_at = text.len();
        text += &"0".repeat(SIGNATURE_DIGITS);
        text += "\r\ncontent-length: ";
        text += &body.len().to_string();
        text += "\r\n\r\n";
        let body_at = text.len();
        text += &body;
        let bytes = text.into_bytes();
        let mark_at = find(&bytes, MARK).expect("the payload has the mark") + MARK.len();
        let id_at = find(&bytes, b"evt_").expect("the event has an id") + 4;
        let key = hmac::Key::new(hmac::HMAC_SHA256, STRIPE_SECRET.as_bytes());
        let stripe = Stripe { paths, key, time_at, signature_at, body_at, id_at };
        Self { bytes, application_at: 0, stripe: Some(stripe), key_at: None, mark_at, seed: 0 }
    }

    /// The request for one message.
    pub(super) fn patch(&mut self, application: u32, seq: u64, sent_ns: u64) -> &[u8] {
        let mark = &mut self.bytes[self.mark_at..self.mark_at + MARK_BYTES];
        write_decimal(&mut mark[..DIGITS], seq);
        write_decimal(&mut mark[DIGITS + 1..], sent_ns);
        if let Some(stripe) = &self.stripe {
            stripe.patch(&mut self.bytes, application, seq);
            return &self.bytes;
        }
        let at = self.application_at;
        write_decimal(&mut self.bytes[at..at + APPLICATION_DIGITS], u64::from(application));
        if let Some(at) = self.key_at {
            write_key(&mut self.bytes[at..at + KEY_BYTES], self.seed, seq);
        }
        &self.bytes
    }
}

/// What is signed, and where its parts are.
#[derive(Debug, Clone)]
struct Stripe {
    /// Of each application.
    paths: Arc<[String]>,
    key: hmac::Key,
    time_at: usize,
    signature_at: usize,
    body_at: usize,
    id_at: usize,
}

impl Stripe {
    fn patch(&self, bytes: &mut [u8], application: u32, seq: u64) {
        let path = self.paths[application as usize].as_bytes();
        bytes[PATH_AT..PATH_AT + path.len()].copy_from_slice(path);
        write_decimal(&mut bytes[self.id_at..self.id_at + DIGITS], seq);
        let now_s = SystemClock.now_ms() / 1_000;
        write_decimal(&mut bytes[self.time_at..self.time_at + TIME_DIGITS], now_s as u64);
        let mut signing = hmac::Context::with_key(&self.key);
        signing.update(&bytes[self.time_at..self.time_at + TIME_DIGITS]);
        signing.update(b".");
        signing.update(&bytes[self.body_at..]);
        let hex = &mut bytes[self.signature_at..self.signature_at + SIGNATURE_DIGITS];
        for (digits, byte) in hex.chunks_exact_mut(2).zip(signing.sign().as_ref()) {
            digits.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Where a request's path begins.
const PATH_AT: usize = "POST ".len();
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A JSON object of `bytes` bytes (or the least that holds the mark).
fn payload(bytes: usize) -> String {
    let frame = format!(r#"{{"bench":"{:016}.{:016}","pad":""}}"#, 0, 0);
    let words = "the post rides from house to house and changes horses there ";
    let pad: String = words.chars().cycle().take(bytes.saturating_sub(frame.len())).collect();
    format!("{}{pad}\"}}", &frame[..frame.len() - 2])
}

/// The sequence number and the time in a payload.
pub(super) fn read_mark(body: &[u8]) -> Option<(u64, u64)> {
    // As published the mark stands right after the brace; a server may have moved it.
    let at = if body.get(1..=MARK.len()) == Some(MARK) { 1 } else { find(body, MARK)? };
    let mark = body.get(at + MARK.len()..)?.get(..MARK_BYTES)?;
    if mark[DIGITS] != b'.' {
        return None;
    }
    Some((read_decimal(&mark[..DIGITS])?, read_decimal(&mark[DIGITS + 1..])?))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn write_decimal(into: &mut [u8], mut value: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn read_decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

/// Hex digits of a hash of the number, in the places that a version 4 UUID leaves free.
fn write_key(into: &mut [u8], seed: u64, seq: u64) {
    let (mut high, mut low) = (mix(seed ^ seq), mix(seed.rotate_left(32) ^ !seq));
    for (nth, byte) in into.iter_mut().enumerate() {
        if matches!(nth, 8 | 13 | 14 | 18 | 19 | 23) {
            continue;
        }
        let word = if nth < 18 { &mut high } else { &mut low };
        *byte = HEX[(*word & 15) as usize];
        *word >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology { token: "abc".into(), seed: 1, applications: 10, fan_out: 1, failing_percent: 0, hanging: 0 }
    }

    #[test]
    fn a_payload_has_the_size_asked_for() {
        assert_eq!(payload(500).len(), 500);
        assert_eq!(payload(1).len(), 54);
        serde_json::from_str::<serde_json::Value>(&payload(77)).unwrap();
    }

    #[test]
    fn a_patched_request_reads_back() {
        let mut template = Template::new("127.0.0.1:1", "k", &topology(), 200, true);
        let first = template.patch(7, 42, 123_456_789).to_vec();
        let text = String::from_utf8(first.clone()).unwrap();
        assert!(text.starts_with("POST /api/v1/app/bench-abc-000007/msg?with_content=false HTTP/1.1"));
        let body = text.split("\r\n\r\n").nth(1).unwrap();
        assert!(text.contains(&format!("content-length: {}\r\n", body.len())));
        assert_eq!(read_mark(body.as_bytes()), Some((42, 123_456_789)));
        let second = String::from_utf8(template.patch(7, 43, 1).to_vec()).unwrap();
        let key = |t: &str| t.split("auto_").nth(1).unwrap()[..36].to_owned();
        assert_ne!(key(&text), key(&second));
        assert_eq!(key(&text).split('-').count(), 5);
    }

    #[test]
    fn a_mark_is_found_where_the_server_moved_it() {
        let body = br#"{"a":1,"bench":"0000000000000005.0000000000000009"}"#;
        assert_eq!(read_mark(body), Some((5, 9)));
        assert_eq!(read_mark(br#"{"bench":"5.9"}"#), None);
        assert_eq!(read_mark(b""), None);
    }

    #[test]
    fn what_stripe_would_send_is_verified() {
        use posthouse_signature::receive::{Context, Fetched, Request, Verdict, Verifier};

        struct Nothing;
        impl Fetched for Nothing {
            fn get(&self, _: &str) -> Option<&[u8]> {
                None
            }
        }

        let paths: Vec<String> = vec!["/in/aaaa".into(), "/in/bbbb".into()];
        let mut template = Template::of_stripe("127.0.0.1:1", paths.into(), 300);
        let text = String::from_utf8(template.patch(1, 42, 7).to_vec()).unwrap();
        assert!(text.starts_with("POST /in/bbbb HTTP/1.1\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!((body.len(), read_mark(body.as_bytes())), (300, Some((42, 7))));
        let value = |name: &str| head.split(&format!("{name}: ")).nth(1).unwrap().lines().next().unwrap();
        assert_eq!(value("content-length"), "300");
        let signature = value("stripe-signature");
        let headers = http::HeaderMap::from_iter([("stripe-signature".parse().unwrap(), signature.parse().unwrap())]);
        let config = serde_json::json!({ "secret": STRIPE_SECRET }).as_object().unwrap().clone();
        let verifier = Verifier::new("stripe", config).unwrap();
        let request = Request { method: &http::Method::POST, url: "", headers: &headers, body: body.as_bytes() };
        let signed_at: i64 = signature[2..2 + TIME_DIGITS].parse().unwrap();
        let context = Context { now_ms: signed_at * 1_000, fetched: &Nothing, is_registered: true, explains: true };
        assert_eq!(verifier.judge(&request, &context), Verdict::Accepted);
        assert_eq!(verifier.describe(&request).event_id.as_deref(), Some("evt_0000000000000042"));
    }
}
