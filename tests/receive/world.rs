//! Sources, their senders and their logs.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::http::{Client, Request, Response};
use crate::support::wait::{SOON, eventually};

/// The secret of the Stripe sources here.
pub(crate) const STRIPE_SECRET: &str = "whsec_a_stripe_secret_is_used_as_it_stands";

/// A source, as its answer says.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) id: String,
    pub(crate) app_id: String,
    /// The path of its receiving URL.
    pub(crate) path: String,
}

impl Source {
    /// Makes a source.
    pub(crate) async fn make(app: &TestApp, source_type: &str, config: Value) -> Self {
        Self::with(app, source_type, config, json!({})).await
    }

    /// Makes a source with further fields.
    pub(crate) async fn with(app: &TestApp, source_type: &str, config: Value, fields: Value) -> Self {
        let mut body = fields;
        body["name"] = json!(format!("From {source_type}"));
        body["type"] = json!(source_type);
        body["config"] = config;
        Self::of(&app.client.post("/ingest/api/v1/source", body).await.expect(201).json())
    }

    /// A Stripe source.
    pub(crate) async fn stripe(app: &TestApp) -> Self {
        Self::make(app, "stripe", json!({ "secret": STRIPE_SECRET })).await
    }

    /// What an answer says of a source.
    pub(crate) fn of(body: &Value) -> Self {
        let app_id = body["appId"].as_str().expect("an application").to_owned();
        Self { id: id_of(body), app_id, path: receiving_path(&body["ingestUrl"]) }
    }

    /// The path of its resource in the API.
    pub(crate) fn resource(&self) -> String {
        format!("/ingest/api/v1/source/{}", self.id)
    }

    /// Its log, newest first.
    pub(crate) async fn log(&self, app: &TestApp) -> Vec<Value> {
        let answer = app.get(format!("{}/log?limit=250", self.resource())).await.expect(200).json();
        answer["data"].as_array().expect("a list").clone()
    }

    /// What its log says last.
    pub(crate) async fn last(&self, app: &TestApp) -> Value {
        self.log(app).await.first().expect("a log that is not empty").clone()
    }

    /// Changes it.
    pub(crate) async fn patch(&self, app: &TestApp, fields: Value) -> Value {
        app.client.patch(self.resource(), fields).await.expect(200).json()
    }

    /// Waits until a message of it has so many attempts on record; how these ended.
    pub(crate) async fn delivered(&self, app: &TestApp, message_id: &str, count: usize) -> Vec<Value> {
        app.wait_for_attempts(&self.app_id, message_id, count, SOON).await
    }

    /// The messages that it has made, newest first.
    pub(crate) async fn messages(&self, app: &TestApp) -> Vec<Value> {
        let answer = app.get(format!("/api/v1/app/{}/msg?limit=250", self.app_id)).await.expect(200).json();
        answer["data"].as_array().expect("a list").clone()
    }

    /// Waits until all its messages have been attempted; how many there are.
    pub(crate) async fn settled(&self, app: &TestApp) -> usize {
        let messages = self.messages(app).await;
        for message in &messages {
            let id = id_of(message);
            eventually("an attempt of each message", SOON, async || {
                (!app.attempts(&self.app_id, &id).await.is_empty()).then_some(())
            })
            .await;
        }
        messages.len()
    }
}

/// The path of a receiving URL.
#[track_caller]
pub(crate) fn receiving_path(url: &Value) -> String {
    let url = url.as_str().unwrap_or_else(|| panic!("a receiving URL: {url}"));
    let at = url.find("/in/").expect("a path that begins with /in/");
    url[at..].to_owned()
}

/// A provider: it has no key of ours.
pub(crate) fn provider(app: &TestApp) -> Client {
    app.client.with_key(None)
}

/// Sends one request as a provider does.
pub(crate) async fn send(app: &TestApp, request: Request) -> Response {
    provider(app).send(request).await
}

/// HMAC-SHA256, computed here anew.
pub(crate) fn hmac_bytes(secret: &str, signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed).as_ref().to_vec()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// HMAC-SHA256 in hex.
pub(crate) fn hmac_hex(secret: &str, signed: &[u8]) -> String {
    hex(&hmac_bytes(secret, signed))
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The value of `Stripe-Signature`.
pub(crate) fn stripe_signature(secret: &str, at_s: i64, body: &[u8]) -> String {
    let mut signed = format!("{at_s}.").into_bytes();
    signed.extend_from_slice(body);
    format!("t={at_s},v1={}", hmac_hex(secret, &signed))
}

/// A request as Stripe sends it now.
pub(crate) fn stripe_request(path: &str, body: &str) -> Request {
    let signature = stripe_signature(STRIPE_SECRET, now_s(), body.as_bytes());
    stripe_unsigned(path, body).header("Stripe-Signature", &signature)
}

/// As [`stripe_request`], without a signature.
pub(crate) fn stripe_unsigned(path: &str, body: &str) -> Request {
    Request::new("POST", path)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .body(body)
}

/// An event as Stripe writes it: with white space and an escaped letter that a second writing would lose.
pub(crate) fn stripe_event(id: &str, event_type: &str) -> String {
    format!(
        "{{\n  \"id\": \"{id}\",\n  \"object\": \"event\",\n  \"type\": \"{event_type}\",\n  \
         \"data\": {{ \"object\": {{ \"amount\": 2000.00, \"name\": \"Zo\\u00eb \u{2603}\" }} }}\n}}"
    )
}
