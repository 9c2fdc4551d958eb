//! What is fuzzed: each target takes any bytes, and panics where something is not as it should be.
//!
//! Shared by the targets of cargo-fuzz and by `tests/receive/fuzz.rs`, which runs them over random bytes.

use std::fmt::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use posthouse_signature::receive::{self, Context, Fetched, Request, Verdict, Verifier};
use serde_json::{Map, Value, json};

/// The time of day, in seconds since 1970.
const NOW_S: i64 = 1_760_000_000;
/// A secret in the form of all schemes with a shared one: as text, base64 behind `whsec_`, and hexadecimal.
const SECRETS: [&str; 2] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "9f86d081884c7d659a2feaa0c55ad015"];
/// A public key (RFC 8032, the first test of section 7.1).
const ED25519_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const URL: &str = "https://hooks.example.com/in/abc?x=1";
const SNS_URL: &str = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem";
const PAYPAL_URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-1";
/// Headers of the schemes that [`Verifier::sign`] has none for.
const OTHER_HEADERS: [&str; 24] = [
    "authorization",
    "content-type",
    "paypal-auth-algo",
    "paypal-cert-url",
    "paypal-transmission-id",
    "paypal-transmission-sig",
    "paypal-transmission-time",
    "plaid-verification",
    "signature",
    "telnyx-signature-ed25519",
    "telnyx-timestamp",
    "x-contentful-signature",
    "x-contentful-signed-headers",
    "x-contentful-timestamp",
    "x-hook-secret",
    "x-hubspot-signature",
    "x-mandrill-signature",
    "x-okta-verification-challenge",
    "x-signature-ed25519",
    "x-signature-timestamp",
    "x-twilio-email-event-webhook-signature",
    "x-twilio-email-event-webhook-timestamp",
    "x-twilio-signature",
    "x-twilio-webhooks-signature-settings",
];

/// One document, whatever the URL; or none.
struct Document<'a>(Option<&'a [u8]>);

impl Fetched for Document<'_> {
    fn get(&self, _url: &str) -> Option<&[u8]> {
        self.0
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// All schemes with some configuration that they take, by their names.
static SCHEMES: LazyLock<Vec<(&'static str, Verifier)>> = LazyLock::new(|| {
    let configs = [
        json!({ "secrets": SECRETS }),
        json!({ "signingSecret": SECRETS }),
        json!({ "clientId": SECRETS }),
        json!({ "username": "a", "password": SECRETS }),
        json!({ "publicKey": ED25519_KEY }),
        json!({ "token": SECRETS, "header": "x-token" }),
        json!({ "webhookId": "WH-1" }),
        json!({ "topicArns": "arn:aws:sns:eu-central-1:1:t" }),
        json!({ "jwks": { "keys": [] } }),
        json!({}),
    ];
    let mut names: Vec<&str> = receive::all().flat_map(receive::SourceType::scheme_names).collect();
    names.sort_unstable();
    names.dedup();
    let made = |name| configs.iter().find_map(|config| Verifier::for_scheme(name, object(config.clone())).ok());
    names.into_iter().filter_map(|name| Some((name, made(name)?))).collect()
});

/// The headers that they look at.
static HEADERS: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let (method, headers) = (Method::POST, HeaderMap::new());
    let request = Request { method: &method, url: URL, headers: &headers, body: b"" };
    let signed = SCHEMES.iter().filter_map(|(_, verifier)| verifier.sign(&request, NOW_S * 1_000, "a"));
    let names = signed.flat_map(|signed| signed.headers).map(|(name, _)| name);
    let others = OTHER_HEADERS.iter().map(|name| (*name).to_owned());
    let mut names: Vec<String> = names.map(|name| name.to_ascii_lowercase()).chain(others).collect();
    names.sort_unstable();
    names.dedup();
    // Those that a configuration would name have none here.
    names.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
});

fn judge(verifier: &Verifier, url: &str, headers: &HeaderMap, body: &[u8], document: Option<&[u8]>) -> Verdict {
    let request = Request { method: &Method::POST, url, headers, body };
    let document = Document(document);
    let verdict = verifier
        .judge(&request, &Context { now_ms: NOW_S * 1_000, fetched: &document, is_registered: false, explains: true });
    let described = verifier.describe(&request);
    assert!(described.event_id.is_none_or(|id| id.len() <= receive::EVENT_ID_BYTES_MAX));
    assert!(described.event_type.is_none_or(|kind| kind.len() <= receive::EVENT_TYPE_BYTES_MAX));
    verdict
}

/// The first lines of the input, and what is behind them. Lines end with a zero: all else can be in a header.
fn lines<const N: usize>(data: &[u8]) -> ([&[u8]; N], &[u8]) {
    let mut rest = data;
    let lines = std::array::from_fn(|_| {
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        line
    });
    (lines, rest)
}

/// Any headers, URL and body, for every scheme: nobody is taken for the provider without its secret.
pub(super) fn headers(data: &[u8]) {
    let ([first, second, url], body) = lines(data);
    let mut headers = HeaderMap::new();
    for (at, name) in HEADERS.iter().enumerate() {
        if let Ok(value) = HeaderValue::from_bytes(if at % 2 == 0 { first } else { second }) {
            headers.insert(name.clone(), value);
        }
    }
    let url = String::from_utf8_lossy(url);
    for (name, verifier) in SCHEMES.iter() {
        let verdict = judge(verifier, &url, &headers, body, None);
        assert!(verdict != Verdict::Accepted || !verifier.is_verifying(), "{name} accepts {headers:?}");
    }
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02x}");
        text
    })
}

/// Any fields of a form: what Twilio and Mandrill put together from them is what we do, whatever bytes they hold.
pub(super) fn forms(data: &[u8]) {
    let pieces: Vec<&[u8]> = data.split(|byte| *byte == 0).take(100).collect();
    let mut fields: Vec<(&[u8], &[u8])> =
        pieces.chunks(2).map(|pair| (pair[0], pair.get(1).copied().unwrap_or_default())).collect();
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    let body = pairs.join("&");
    let signature = |fields: &[(&[u8], &[u8])]| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRETS[1].as_bytes());
        let text: Vec<u8> =
            fields.iter().fold(URL.as_bytes().to_vec(), |text, (name, value)| [&text[..], name, value].concat());
        STANDARD.encode(hmac::sign(&key, &text))
    };
    let judged = |name: &str, header: &'static str, signature: &str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header, HeaderValue::from_str(signature).expect("base64"));
        let (_, verifier) = SCHEMES.iter().find(|(other, _)| *other == name).expect("a scheme");
        judge(verifier, URL, &headers, body.as_bytes(), None)
    };
    // By name, those of one name as they come.
    fields.sort_by_key(|(name, _)| *name);
    let mandrill = signature(&fields);
    assert_eq!(judged("mandrill", "x-mandrill-signature", &mandrill, &body), Verdict::Accepted, "{body}");
    // By name and value, each pair once.
    fields.sort_unstable();
    fields.dedup();
    let twilio = signature(&fields);
    assert_eq!(judged("twilio", "x-twilio-signature", &twilio, &body), Verdict::Accepted, "{body}");
    // Another field is another signature, and what is no form at all does no harm.
    let other = format!("{body}&%00a=%00b");
    assert_ne!(judged("twilio", "x-twilio-signature", &twilio, &other), Verdict::Accepted, "{other}");
    assert_ne!(judged("mandrill", "x-mandrill-signature", &mandrill, &other), Verdict::Accepted, "{other}");
    for (_, verifier) in SCHEMES.iter() {
        let mut headers = HeaderMap::new();
        for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/json"] {
            headers.insert("content-type", HeaderValue::from_static(kind));
            let _ = judge(verifier, URL, &headers, data, None);
        }
    }
}

/// Any header and claims of a token that is signed right, and any text in its place: no claim that is not
/// there or not in time is accepted.
pub(super) fn tokens(data: &[u8]) {
    let ([header, claims, text], keys) = lines(data);
    let config = json!({ "algorithm": "HS256", "secret": SECRETS[1], "audience": "us", "header": "x-token" });
    let shared = Verifier::for_scheme("generic-jwt", object(config)).expect("a scheme");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRETS[1].as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    let token = format!("{signed}.{signature}");
    let mut headers = HeaderMap::new();
    headers.insert("x-token", HeaderValue::from_str(&token).expect("a token"));
    if judge(&shared, URL, &headers, b"{}", None) == Verdict::Accepted {
        let header: Value = serde_json::from_slice(header).expect("a header");
        let claims: Value = serde_json::from_slice(claims).expect("claims");
        let is_meant = claims["aud"] == "us" || claims["aud"].as_array().is_some_and(|all| all.contains(&json!("us")));
        let is_in_time = claims["exp"].as_f64().is_some_and(|exp| exp + 60.0 >= NOW_S as f64);
        assert!(header["alg"] == "HS256" && is_meant && is_in_time, "{header} {claims}");
    }
    let unsigned = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(text));
    for token in [unsigned, String::from_utf8_lossy(text).into_owned()] {
        let Ok(value) = HeaderValue::from_str(&token) else { continue };
        let mut headers = HeaderMap::new();
        headers.insert("x-token", value.clone());
        headers.insert("plaid-verification", value);
        for word in ["Bearer", "JWT"] {
            headers.insert("authorization", HeaderValue::from_str(&format!("{word} {token}")).expect("a value"));
            for name in ["generic-jwt", "plaid", "google-pubsub", "atlassian-connect", "monday", "wix"] {
                let (_, verifier) = SCHEMES.iter().find(|(other, _)| *other == name).expect("a scheme");
                let verdict = judge(verifier, URL, &headers, token.as_bytes(), Some(keys));
                assert_ne!(verdict, Verdict::Accepted, "{name}: {token}");
            }
        }
    }
}

/// Any certificate behind a URL of the provider, and any trusted one: nothing is accepted, and no key is believed.
pub(super) fn certificates(data: &[u8]) {
    let Some((parts, rest)) = data.split_first() else { return };
    // The first byte says where the second document begins.
    let (der, file) = rest.split_at(rest.len() * usize::from(*parts) / 256);
    let signature = &rest[rest.len().saturating_sub(256)..];
    let pem = |der: &[u8]| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der)).into_bytes()
    };
    let signature = STANDARD.encode(signature);
    let sns = json!({
        "Type": "Notification", "Message": "", "MessageId": "1", "Timestamp": "2025-10-09T08:53:20Z",
        "TopicArn": "arn:aws:sns:eu-central-1:1:t", "SignatureVersion": "2", "SigningCertURL": SNS_URL,
        "Signature": signature,
    });
    let mut paypal = HeaderMap::new();
    paypal.insert("paypal-auth-algo", HeaderValue::from_static("SHA256withRSA"));
    paypal.insert("paypal-cert-url", HeaderValue::from_static(PAYPAL_URL));
    paypal.insert("paypal-transmission-id", HeaderValue::from_static("1"));
    paypal.insert("paypal-transmission-time", HeaderValue::from_static("2025-10-09T08:53:20Z"));
    paypal.insert("paypal-transmission-sig", HeaderValue::from_str(&signature).expect("base64"));
    let trusted = String::from_utf8_lossy(&pem(der)).into_owned();
    for own in [json!({}), json!({ "trustedCaPem": trusted })] {
        let with = |name: &str, more: Value| {
            let mut config = object(own.clone());
            config.extend(object(more));
            Verifier::for_scheme(name, config).expect("a scheme")
        };
        let of_sns = with("aws-sns", json!({ "topicArns": "arn:aws:sns:eu-central-1:1:t" }));
        let of_paypal = with("paypal", json!({ "webhookId": "WH-1" }));
        for document in [pem(der), pem(file), file.to_vec(), [pem(file), pem(der)].concat()] {
            let body = sns.to_string();
            let verdict = judge(&of_sns, URL, &HeaderMap::new(), body.as_bytes(), Some(&document));
            assert_ne!(verdict, Verdict::Accepted, "SNS");
            let verdict = judge(&of_paypal, URL, &paypal, file, Some(&document));
            assert_ne!(verdict, Verdict::Accepted, "PayPal");
        }
    }
}
