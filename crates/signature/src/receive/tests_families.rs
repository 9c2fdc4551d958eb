//! The sample vectors of the schemes that are here, where the file is present: each verdict, and each answer
//! to a challenge.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::asymmetric::{self, Asymmetric};
use super::canonical::{self, Canonical};
use super::certificate::{self, Certificate};
use super::handshake::{self, Handshake};
use super::jwt::{self, Jwt};
use super::{Cause, Context, Failure, Fetched, Reply, Request, Settings};

/// Most bytes of the vector file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a test has fetched.
#[derive(Default)]
pub(super) struct Files(pub(super) HashMap<String, Vec<u8>>);

impl Fetched for Files {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url).map(Vec::as_slice)
    }
}

/// A request that owns its parts.
pub(super) struct Given {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Given {
    pub(super) fn new(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Self { method: method.parse().unwrap(), url: url.to_owned(), headers: map, body: body.to_vec() }
    }

    pub(super) fn post(headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::new("POST", "https://hooks.posthouse.test/in/abc", headers, body)
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }
}

pub(super) fn settings(value: Value) -> Settings {
    let Value::Object(values) = value else { panic!("settings are an object") };
    Settings::new(values)
}

pub(super) fn rejected(cause: Cause) -> Result<(), Failure> {
    Err(Failure::Rejected(cause))
}

/// The family's scheme of a name.
enum Scheme {
    Asymmetric(Asymmetric),
    Canonical(Canonical),
    Certificate(Certificate),
    Jwt(Jwt),
}

fn scheme(name: &str) -> Option<Scheme> {
    Some(match name {
        "standard-webhooks-ed25519" => Scheme::Asymmetric(Asymmetric::StandardWebhooks),
        "discord" => Scheme::Asymmetric(Asymmetric::DISCORD),
        "sendgrid" => Scheme::Asymmetric(Asymmetric::SENDGRID),
        "travis-ci" => Scheme::Asymmetric(Asymmetric::TravisCi),
        "twilio" => Scheme::Canonical(Canonical::Twilio),
        "mandrill" => Scheme::Canonical(Canonical::Mandrill),
        "mailgun" => Scheme::Canonical(Canonical::Mailgun),
        "adyen" => Scheme::Canonical(Canonical::Adyen),
        "braintree" => Scheme::Canonical(Canonical::Braintree),
        "contentful" => Scheme::Canonical(Canonical::Contentful),
        "hubspot-v1" => Scheme::Canonical(Canonical::HubspotV1),
        "hubspot-v2" => Scheme::Canonical(Canonical::HubspotV2),
        "aws-sns" => Scheme::Certificate(Certificate::AwsSns),
        "paypal" => Scheme::Certificate(Certificate::Paypal),
        "plaid" => Scheme::Jwt(Jwt::PLAID),
        "wix" => Scheme::Jwt(Jwt::WIX),
        "google-pubsub" => Scheme::Jwt(Jwt::GOOGLE_PUBSUB),
        "atlassian-connect" => Scheme::Jwt(Jwt::ATLASSIAN_CONNECT),
        "monday" => Scheme::Jwt(Jwt::MONDAY),
        _ => return None,
    })
}

fn handshake_of(name: &str) -> Option<Handshake> {
    Some(match name {
        "asana" => Handshake::Asana,
        "aws-sns" => Handshake::Sns,
        "braintree" => Handshake::Braintree,
        "discord" => Handshake::Discord,
        "dropbox" => Handshake::EchoParameter("challenge"),
        "meta" => Handshake::Meta,
        "microsoft-graph" => Handshake::MicrosoftGraph,
        "monday" => Handshake::Monday,
        "notion" => Handshake::Notion,
        "okta" => Handshake::Okta,
        "slack" => Handshake::Slack,
        "trello" => Handshake::Head,
        "twitch" => Handshake::Twitch,
        "twitter" => Handshake::X,
        "zoom" => Handshake::Zoom,
        _ => return None,
    })
}

fn verify(scheme: &Scheme, settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Failure> {
    match scheme {
        Scheme::Asymmetric(scheme) => asymmetric::verify(scheme, settings, request, context),
        Scheme::Canonical(scheme) => canonical::verify(scheme, settings, request, context),
        Scheme::Certificate(scheme) => certificate::verify(scheme, settings, request, context),
        Scheme::Jwt(scheme) => jwt::verify(scheme, settings, request, context),
    }
}

/// A vector's configuration under the names of our settings.
fn settings_of(vector: &Value) -> Settings {
    let mut values = Map::new();
    let names = [
        ("tolerance_s", "toleranceSeconds"),
        ("notification_url", "notificationUrl"),
        ("trusted_ca_pem", "trustedCaPem"),
        ("jwks", "jwks"),
        ("jwt_keys", "jwks"),
        ("audience", "audience"),
        ("service_account", "serviceAccount"),
        ("verify_token", "verifyToken"),
        ("topic_arns", "topicArns"),
        ("endpoint", "endpoint"),
        ("public_key_id", "publicKeyId"),
    ];
    for (theirs, ours) in names {
        if let Some(value) = vector["config"].get(theirs) {
            values.insert(ours.to_owned(), value.clone());
        }
    }
    let secret = if vector["scheme"] == "paypal" { "webhookId" } else { "secret" };
    for (theirs, ours) in [("secret", secret), ("secrets", secret), ("public_key", "publicKey")] {
        if let Some(value) = vector.get(theirs) {
            values.insert(ours.to_owned(), value.clone());
        }
    }
    Settings::new(values)
}

fn given_of(vector: &Value) -> Given {
    let request = &vector["request"];
    let headers: Vec<(&str, &str)> = request["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let url = vector["config"]["notification_url"].as_str().or(request["url"].as_str()).unwrap();
    let body = STANDARD.decode(request["body_base64"].as_str().unwrap()).unwrap();
    Given::new(request["method"].as_str().unwrap(), url, &headers, &body)
}

fn check_reply(id: &str, reply: &Reply, expected: &Value) {
    assert_eq!(i64::from(reply.status), expected["status"], "{id}");
    for (name, value) in expected["headers"].as_object().unwrap() {
        let given = reply.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!(given, value.as_str(), "{id}: {name}");
    }
    if let Some(body) = expected.get("body") {
        assert_eq!(reply.body, body.as_str().unwrap().as_bytes(), "{id}");
    } else {
        assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap(), expected["body_json"], "{id}");
    }
}

/// Runs one vector; whether it is of a scheme that is here.
fn run(vector: &Value) -> bool {
    let (id, name) = (vector["id"].as_str().unwrap(), vector["scheme"].as_str().unwrap());
    let given = given_of(vector);
    let settings = settings_of(vector);
    let certs = vector["config"]["certs"].as_object().cloned().unwrap_or_default();
    let files = certs.into_iter().map(|(url, pem)| (url, pem.as_str().unwrap().as_bytes().to_vec())).collect();
    let files = Files(files);
    let context = Context {
        now_ms: vector["now_unix"].as_i64().unwrap() * 1_000,
        fetched: &files,
        is_registered: vector["config"]["registered"] == json!(true),
    };
    let answer = handshake_of(name).and_then(|kind| handshake::answer(kind, &settings, &given.request(), &context));
    let verdict = scheme(name).map(|scheme| verify(&scheme, &settings, &given.request(), &context));
    if let Some(expected) = vector["expect"].get("challenge") {
        let reply =
            answer.unwrap_or_else(|| panic!("{id}: no handshake")).unwrap_or_else(|cause| panic!("{id}: {cause}"));
        check_reply(id, &reply, expected);
        let is_verified_here = handshake_of(name).is_some_and(Handshake::needs_verified) && verdict.is_some();
        assert!(!is_verified_here || verdict == Some(Ok(())), "{id}: {verdict:?}");
        return true;
    }
    let Some(verdict) = verdict else { return false };
    assert!(answer.is_none(), "{id}: taken for a handshake");
    let text = match verdict {
        Ok(()) => "valid".to_owned(),
        Err(Failure::Rejected(cause)) => format!("invalid:{cause}"),
        Err(Failure::Needs(need)) => format!("needs {}", need.url),
    };
    assert_eq!(vector["expect"].as_str().unwrap(), text, "{id}");
    true
}

#[test]
fn the_sample_vectors_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = ["../shared/reference/vectors-sample.json", "../../shared/reference/vectors-sample.json"];
    let Some(file) = places.iter().find_map(|place| std::fs::File::open(root.join(place)).ok()) else {
        eprintln!("no sample vectors here: nothing compared");
        return;
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).unwrap();
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    let count = file["vectors"].as_array().unwrap().iter().filter(|vector| run(vector)).count();
    assert_eq!(count, 51, "vectors of the families here");
}
