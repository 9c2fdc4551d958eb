//! A request that a scheme's own signer makes, and how a source judges it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use posthouse_signature::receive::{Cause, Context, Fetched, Request, Signed, Verdict, Verifier};
use serde_json::{Map, Value, json};

/// When all requests of the tests are signed.
pub(crate) const AT_MS: i64 = 1_760_000_000_000;
/// The window that tests set, in seconds.
pub(crate) const TOLERANCE_S: i64 = 60;
/// A secret that has the form of most schemes: as text, and as `whsec_` with base64.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Another.
pub(crate) const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// A body with blanks, escapes and a number that re-serialising would write in another way.
pub(crate) const BODY: &str =
    r#"{ "id": "evt_1", "type": "a.b",  "amount": 1.0, "text": "caf\u00e9 é", "webhookTimestamp": 1760000000000 }"#;

/// Nothing was fetched.
pub(crate) struct Nothing;

impl Fetched for Nothing {
    fn get(&self, _url: &str) -> Option<&[u8]> {
        None
    }
}

/// A request whose parts can be changed.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// What is behind URLs.
    pub(crate) fetched: Vec<(String, Vec<u8>)>,
}

impl Fetched for Made {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.fetched.iter().find(|(known, _)| known == url).map(|(_, bytes)| bytes.as_slice())
    }
}

impl Made {
    pub(crate) fn new(body: &[u8]) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Self {
            method: Method::POST,
            url: "https://hooks.example.com/in/abc?x=1".to_owned(),
            headers,
            body: body.into(),
            fetched: Vec::new(),
        }
    }

    /// Signed by a verifier's own scheme at [`AT_MS`]. `None` where it cannot sign.
    pub(crate) fn signed(verifier: &Verifier, body: &[u8]) -> Option<(Self, Signed)> {
        let mut made = Self::new(body);
        let signed = verifier.sign(&made.request(), AT_MS, "msg_1")?;
        for (name, value) in &signed.headers {
            made.set(name, value);
        }
        if let Some((name, value)) = &signed.query {
            made.url = format!("{}&{name}={value}", made.url);
        }
        Some((made, signed))
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header's value"));
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    pub(crate) fn judged(&self, verifier: &Verifier, now_ms: i64) -> Verdict {
        verifier.judge(&self.request(), &Context { now_ms, fetched: self, is_registered: true, explains: true })
    }

    /// The cause of a refusal; `None` if it was accepted.
    pub(crate) fn cause(&self, verifier: &Verifier, now_ms: i64) -> Option<Cause> {
        match self.judged(verifier, now_ms) {
            Verdict::Accepted => None,
            Verdict::Rejected(rejection) => Some(rejection.cause),
            other => panic!("neither accepted nor refused: {other:?}"),
        }
    }
}

/// A configuration of a scheme with these secrets.
pub(crate) fn config(scheme: &str, secrets: &[&str]) -> Map<String, Value> {
    let fields = match scheme {
        "gitlab-signing" => json!({ "signingSecret": secrets }),
        "adobe-sign" => json!({ "clientId": secrets }),
        "generic-token" => json!({ "token": secrets, "header": "x-token" }),
        "generic-hmac" => json!({ "secrets": secrets, "header": "x-signature" }),
        "generic-basic" | "postmark" | "chargebee" | "pipedrive" => json!({ "username": "us:er", "password": secrets }),
        "adyen-platform" => json!({ "secrets": secrets.iter().map(|secret| hex(secret)).collect::<Vec<_>>() }),
        "airtable" => {
            json!({ "secrets": secrets.iter().map(|secret| secret.replace("whsec_", "")).collect::<Vec<_>>() })
        }
        _ => json!({ "secrets": secrets }),
    };
    fields.as_object().expect("an object").clone()
}

/// The hexadecimal digits of a text.
pub(crate) fn hex(text: &str) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("a digit");
    text.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A verifier for one scheme with these secrets, and with the window of the tests where it takes one.
pub(crate) fn verifier(scheme: &str, secrets: &[&str]) -> Option<Verifier> {
    let config = config(scheme, secrets);
    let windowed = |name: &str| {
        let mut config = config.clone();
        config.insert(name.to_owned(), TOLERANCE_S.into());
        Verifier::for_scheme(scheme, config).ok()
    };
    windowed("toleranceSeconds")
        .or_else(|| windowed("timestampGraceSeconds"))
        .or_else(|| Verifier::for_scheme(scheme, config.clone()).ok())
}
