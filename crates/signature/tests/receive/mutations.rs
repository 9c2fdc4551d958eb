//! Random changes of valid requests: none is accepted beyond what its scheme does not sign; and no type
//! panics, whatever comes.
//!
//! `POSTHOUSE_MUTATIONS` sets how many changes are tried (100,000 otherwise).

use crate::support::{AT_MS, BODY, Made, Nothing, SECRET, verifier};
use http::{HeaderName, HeaderValue, Method};
use posthouse_signature::receive::{self, Context, Signed, Verdict, Verifier};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

/// A public key (RFC 8032, the first test of section 7.1).
const ED25519_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
/// Headers of schemes that are not signed for here.
const OTHER_HEADERS: [&str; 20] = [
    "x-signature-ed25519",
    "x-signature-timestamp",
    "telnyx-signature-ed25519",
    "telnyx-timestamp",
    "x-twilio-email-event-webhook-signature",
    "x-twilio-email-event-webhook-timestamp",
    "x-twilio-signature",
    "x-twilio-webhooks-signature-settings",
    "x-mandrill-signature",
    "x-contentful-signature",
    "x-contentful-signed-headers",
    "x-contentful-timestamp",
    "x-hubspot-signature",
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-transmission-sig",
    "paypal-cert-url",
    "plaid-verification",
    "x-hook-secret",
    "x-okta-verification-challenge",
];

/// A preset that can be signed for, with a request that it accepts.
struct Valid {
    name: &'static str,
    verifier: Verifier,
    made: Made,
    signed: Signed,
    /// Whether another body has other headers: not so for tokens.
    is_body_signed: bool,
}

fn all_valid() -> Vec<Valid> {
    let mut names: Vec<&str> = receive::all().flat_map(receive::SourceType::scheme_names).collect();
    names.sort_unstable();
    names.dedup();
    let valid = names.into_iter().filter_map(|name| {
        let verifier = verifier(name, &[SECRET])?;
        let (made, signed) = Made::signed(&verifier, BODY.as_bytes())?;
        let (_, other) = Made::signed(&verifier, b"{}")?;
        Some(Valid { name, verifier, made, is_body_signed: other != signed, signed })
    });
    valid.collect()
}

/// One change of a request.
#[derive(Debug, Clone)]
enum Change {
    /// The bits of a byte of the body.
    Flip(prop::sample::Index, u8),
    /// Bytes put into the body.
    Insert(prop::sample::Index, Vec<u8>),
    /// The body's end.
    Cut(prop::sample::Index),
    /// A byte of a header that the signer made.
    Header(prop::sample::Index, prop::sample::Index, u8),
    /// Text around a header that the signer made.
    Around(prop::sample::Index, String, String),
    /// A byte moved from a timestamp or an id to the body.
    Move(prop::sample::Index),
    /// The URL's end.
    Url(String),
    /// Another method.
    Method(bool),
    /// The time, in seconds.
    Time(i64),
}

fn changes() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), 1..=u8::MAX).prop_map(|(at, bits)| Change::Flip(at, bits)),
        (index(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        index().prop_map(Change::Cut),
        (index(), index(), 0x20_u8..0x7f).prop_map(|(header, at, byte)| Change::Header(header, at, byte)),
        (index(), "[ -~]{0,6}", "[ -~]{0,6}").prop_map(|(header, before, after)| Change::Around(header, before, after)),
        index().prop_map(Change::Move),
        "[a-z0-9=&?/]{1,6}".prop_map(Change::Url),
        any::<bool>().prop_map(Change::Method),
        (-200_000_i64..200_000).prop_map(Change::Time),
    ]
}

/// The request after a change, and the time.
fn changed(valid: &Valid, change: &Change) -> (Made, i64) {
    let mut made = valid.made.clone();
    let mut now_ms = AT_MS;
    let headers = &valid.signed.headers;
    let set = |made: &mut Made, name: &str, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            made.headers.insert(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value);
        }
    };
    match change {
        Change::Flip(at, bits) => {
            let at = at.index(made.body.len());
            made.body[at] ^= bits;
        }
        Change::Insert(at, bytes) => {
            let at = at.index(made.body.len() + 1);
            made.body.splice(at..at, bytes.iter().copied());
        }
        Change::Cut(at) => made.body.truncate(at.index(made.body.len())),
        Change::Header(header, at, byte) if !headers.is_empty() => {
            let (name, value) = &headers[header.index(headers.len())];
            let mut value = value.clone().into_bytes();
            let at = at.index(value.len());
            value[at] = *byte;
            set(&mut made, name, &value);
        }
        Change::Around(header, before, after) if !headers.is_empty() => {
            let (name, value) = &headers[header.index(headers.len())];
            set(&mut made, name, format!("{before}{value}{after}").as_bytes());
        }
        Change::Move(header) if !headers.is_empty() => {
            let (name, value) = &headers[header.index(headers.len())];
            let (rest, last) = value.split_at(value.len() - 1);
            set(&mut made, name, rest.as_bytes());
            made.body.splice(0..0, last.bytes());
        }
        Change::Url(end) => made.url.push_str(end),
        Change::Method(is_put) => made.method = if *is_put { Method::PUT } else { Method::GET },
        Change::Time(seconds) => now_ms += seconds * 1_000,
        Change::Header(..) | Change::Around(..) | Change::Move(..) => {}
    }
    (made, now_ms)
}

/// Whether what is accepted has all that is signed as it was: the body, unless a token is all there is; and
/// the text of each header that the signer made, except what a frame has around it.
fn is_within_what_is_signed(valid: &Valid, made: &Made) -> bool {
    let has_body = !valid.is_body_signed || made.body == valid.made.body;
    let has_headers = valid.signed.headers.iter().all(|(name, value)| {
        let given = made.headers.get(name.as_str()).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let given = given.unwrap_or_default().to_ascii_lowercase();
        let framed = ["v1,", "v1=", "h1=", "sig1=", "signature="];
        let is_list = framed.iter().any(|key| value.contains(key));
        // In a list the signature may stand among others; elsewhere it stands alone. A scheme word, and the
        // digits of some, may have either case.
        let signature = value.rsplit([',', '=', ';']).find(|part| !part.is_empty()).unwrap_or(value);
        let signature = signature.to_ascii_lowercase();
        if is_list { given.contains(&signature) } else { given.trim() == value.to_ascii_lowercase() }
    });
    has_body && has_headers
}

#[test]
fn no_changed_request_is_accepted_beyond_what_is_unsigned() {
    let all = all_valid();
    assert!(all.len() >= 60, "{} presets", all.len());
    let cases = std::env::var("POSTHOUSE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (any::<prop::sample::Index>(), changes());
    let ran = runner.run(&strategy, |(at, change)| {
        let valid = at.get(&all);
        let (made, now_ms) = changed(valid, &change);
        let context = Context { now_ms, fetched: &Nothing, is_registered: true, explains: true };
        if valid.verifier.judge(&made.request(), &context) == Verdict::Accepted {
            prop_assert!(is_within_what_is_signed(valid, &made), "{} accepted {made:?}", valid.name);
        }
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn nothing_panics_whatever_comes() {
    let mut names: Vec<&str> = receive::all().flat_map(receive::SourceType::scheme_names).collect();
    names.sort_unstable();
    names.dedup();
    let with_key = |name: &str| {
        let key = if name == "discord" { json!({ "publicKey": ED25519_KEY }) } else { json!({}) };
        Verifier::for_scheme(name, key.as_object().cloned()?).ok()
    };
    let verifiers: Vec<Verifier> =
        names.iter().filter_map(|name| verifier(name, &[SECRET]).or_else(|| with_key(name))).collect();
    assert!(verifiers.len() >= 90, "{} schemes", verifiers.len());
    let signed = all_valid().into_iter().flat_map(|valid| valid.signed.headers).map(|(name, _)| name);
    let headers: Vec<String> = signed.chain(OTHER_HEADERS.iter().map(|name| (*name).to_owned())).collect();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let value =
        prop_oneof!["[ -~]{0,40}", "(t|ts|time)=[0-9]{1,20},(v1|h1|sig1)=[a-f0-9]{1,70}", "(Basic|Bearer|JWT) .{0,30}"];
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[\\[{\"a:,1\\]}=&%]{0,80}".prop_map(String::into_bytes),
    ];
    let ran = runner.run(
        &(prop::collection::vec(value, 4), body, any::<i64>(), "[ -~]{0,60}"),
        |(values, body, now_ms, url)| {
            let mut made = Made::new(&body);
            made.url = url;
            for (at, name) in headers.iter().enumerate() {
                if let Ok(value) = HeaderValue::from_bytes(values[at % values.len()].as_bytes()) {
                    made.headers.insert(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value);
                }
            }
            let context = Context { now_ms, fetched: &Nothing, is_registered: false, explains: true };
            for verifier in &verifiers {
                let _ = verifier.judge(&made.request(), &context);
                let described = verifier.describe(&made.request());
                prop_assert!(described.event_id.is_none_or(|id| id.len() <= receive::EVENT_ID_BYTES_MAX));
                prop_assert!(described.event_type.is_none_or(|kind| kind.len() <= receive::EVENT_TYPE_BYTES_MAX));
            }
            Ok(())
        },
    );
    ran.unwrap_or_else(|error| panic!("{error}"));
}
