//! Receiving where something has to be fetched first, or called: key sets, certificates, confirmations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Request;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Value, json};

use super::support::{Answer, TestApi};
use crate::accept::fetch::Fetcher;
use crate::model::{Clock as _, SystemClock};

const KEYS_URL: &str = "https://keys.example/set";
const CERTIFICATE_URL: &str = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem";
const SUBSCRIBE_URL: &str = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
const TOPIC: &str = "arn:aws:sns:eu-central-1:1:t";

/// Providers' hosts, of which each gives one document after another when it is asked again.
#[derive(Default)]
struct Hosts {
    documents: Mutex<HashMap<String, Vec<Bytes>>>,
    /// `fetch`, `renew` or `call`, and the URL.
    asked: Mutex<Vec<String>>,
}

impl Hosts {
    fn note(&self, what: &str, url: &str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{what} {url}"));
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with(documents: &[(&str, &[String])]) -> Arc<Self> {
        let documents = documents.iter().map(|(url, all)| {
            let all = all.iter().map(|text| Bytes::from(text.clone())).collect();
            ((*url).to_owned(), all)
        });
        Arc::new(Self { documents: Mutex::new(documents.collect()), ..Self::default() })
    }
}

#[async_trait]
impl Fetcher for Hosts {
    fn known(&self, _: &str) -> Option<Bytes> {
        None
    }

    async fn fetch(&self, url: &str) -> Option<Bytes> {
        self.note("fetch", url);
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(url)?.first().cloned()
    }

    async fn renew(&self, url: &str) -> Option<Bytes> {
        self.note("renew", url);
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let all = documents.get_mut(url)?;
        if all.len() > 1 {
            all.remove(0);
        }
        all.first().cloned()
    }

    async fn call(&self, url: &str) {
        self.note("call", url);
    }
}

/// Makes a source; the path at which it receives.
async fn source(api: &TestApi, source_type: &str, config: Value) -> (String, String) {
    let body = json!({ "name": "a", "type": source_type, "config": config }).to_string();
    let made = api.call("POST", "//ingest/api/v1/source", body).await.expect(201);
    let url = made["ingestUrl"].as_str().expect("a URL");
    let at = url.find("/in/").expect("a path");
    (url[at..].to_owned(), made["id"].as_str().expect("an id").to_owned())
}

async fn send(api: &TestApi, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let mut request = Request::builder().method("POST").uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request.body(Body::from(body)).expect("a request")).await
}

/// What the log of a source says last.
async fn last(api: &TestApi, source: &str) -> Value {
    let log = api.call("GET", &format!("//ingest/api/v1/source/{source}/log"), "").await.expect(200);
    log["data"][0].clone()
}

/// A signed token with its key's id.
fn token(pair: &Ed25519KeyPair, kid: &str) -> String {
    let exp = SystemClock.now_ms() / 1_000 + 60;
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed =
        format!("{}.{}", part(json!({ "alg": "EdDSA", "kid": kid })), part(json!({ "exp": exp, "aud": "us" })));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

fn key_set(pair: &Ed25519KeyPair, kid: &str) -> String {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x }] }).to_string()
}

#[tokio::test]
async fn a_key_that_is_not_known_has_the_set_fetched_again() {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let (before, after) = (key_set(&pair, "1"), key_set(&pair, "2"));
    let hosts = Hosts::with(&[(KEYS_URL, &[before, after])]);
    let api = TestApi::with_fetcher(Arc::clone(&hosts) as _).await;
    let config = json!({ "algorithm": "EdDSA", "jwksUrl": KEYS_URL, "audience": "us" });
    let (path, id) = source(&api, "generic-jwt", config).await;
    let send = async |kid: &str| {
        let token = token(&pair, kid);
        send(&api, &path, &[("authorization", &token)], format!("{{\"kid\":{kid}}}")).await.status.as_u16()
    };
    let (fetch, renew) = (format!("fetch {KEYS_URL}"), format!("renew {KEYS_URL}"));
    assert_eq!((send("1").await, hosts.asked()), (200, vec![fetch.clone()]), "the key is there");
    assert_eq!((send("2").await, hosts.asked()), (200, vec![fetch.clone(), renew.clone()]), "a new one came");
    assert_eq!((send("2").await, hosts.asked()), (200, vec![fetch.clone()]), "and is known");
    assert_eq!((send("3").await, hosts.asked()), (401, vec![fetch, renew]), "nobody's: asked once a request");
    assert_eq!(last(&api, &id).await["cause"], "unknown_key");
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_not_the_senders_fault() {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let api = TestApi::start().await;
    let config = json!({ "algorithm": "EdDSA", "jwksUrl": KEYS_URL, "audience": "us" });
    let (path, id) = source(&api, "generic-jwt", config).await;
    let token = token(&pair, "1");
    let answer = send(&api, &path, &[("authorization", &token)], "{}".to_owned()).await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (503, true));
    assert_eq!(last(&api, &id).await["cause"], "key_unavailable");
}

/// What SNS sends to confirm a subscription, signed.
fn confirmation(key: &KeyPair, topic: &str) -> Value {
    let mut message = json!({
        "Type": "SubscriptionConfirmation", "MessageId": "1", "Token": "t", "TopicArn": topic, "Message": "confirm",
        "SubscribeURL": SUBSCRIBE_URL, "Timestamp": "2025-10-09T08:53:20.000Z", "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
    });
    let names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
    let lines = names.iter().flat_map(|name| [*name, "\n", message[name].as_str().expect("a text"), "\n"]);
    let signed: String = lines.collect();
    let pair = RsaKeyPair::from_pkcs8(&key.serialize_der()).expect("a key");
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signed");
    message["Signature"] = STANDARD.encode(signature).into();
    message
}

#[tokio::test]
async fn a_subscription_of_sns_is_confirmed_where_it_is_of_our_topic() {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "sns.amazonaws.com");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let hosts = Hosts::with(&[(CERTIFICATE_URL, &[certificate])]);
    let api = TestApi::with_fetcher(Arc::clone(&hosts) as _).await;
    let (path, id) = source(&api, "aws-sns", json!({ "topicArns": [TOPIC] })).await;

    let answer = send(&api, &path, &[], confirmation(&key, TOPIC).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, b"".as_slice()));
    // It is called beside the answer.
    let mut asked = hosts.asked();
    for _ in 0..1_000 {
        if asked.len() > 1 {
            break;
        }
        tokio::task::yield_now().await;
        asked.extend(hosts.asked());
    }
    assert_eq!(asked, [format!("fetch {CERTIFICATE_URL}"), format!("call {SUBSCRIBE_URL}")]);
    assert_eq!(last(&api, &id).await["outcome"], "handshake");

    let other = send(&api, &path, &[], confirmation(&key, "arn:aws:sns:eu-central-1:2:t").to_string()).await;
    assert_eq!((other.status.as_u16(), last(&api, &id).await["cause"].clone()), (401, json!("wrong_recipient")));
    let mut forged = confirmation(&key, TOPIC);
    forged["Message"] = json!("other");
    let forged = send(&api, &path, &[], forged.to_string()).await;
    assert_eq!((forged.status.as_u16(), last(&api, &id).await["cause"].clone()), (401, json!("signature_mismatch")));
    assert!(!hosts.asked().iter().any(|asked| asked.starts_with("call")), "nothing else is confirmed");
    let messages = api.call("GET", &format!("//ingest/api/v1/source/{id}"), "").await.expect(200);
    let app = messages["appId"].as_str().expect("an application");
    assert_eq!(api.get(&format!("/app/{app}/msg")).await.expect(200)["data"], json!([]));
}
