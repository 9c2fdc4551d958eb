//! Runs a file of test vectors (`posthouse-provider-vectors/1`) against the catalogue.
//!
//! A vector names a scheme, a request, secrets or keys, the time, and the expected verdict or answer.
//! A member that cannot be mapped makes its vector unsupported: nothing is passed over in silence.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use super::catalog::{self, How};
use super::certificate::Certificate;
use super::token::Token;
use super::{Context, Fetched, Reply, Request, Verdict, Verifier};

/// The format that is read.
pub const FORMAT: &str = "posthouse-provider-vectors/1";
/// Most vectors of one file.
const VECTORS_MAX: usize = 100_000;
/// Members that carry no meaning for the verdict.
const WITHOUT_MEANING: [&str; 8] = ["id", "provider", "name", "origin", "official", "verified_by", "notes", "tags"];
/// Members of `config` and the settings that they are.
const CONFIG: [(&str, &str); 10] = [
    ("tolerance_s", "toleranceSeconds"),
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

/// What became of one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The verdict is the expected one.
    Agrees,
    /// It is another.
    Disagrees {
        /// As the file has it.
        expected: String,
        /// As it was found, with the hint if there is one.
        found: String,
    },
    /// The vector cannot be run.
    Unsupported {
        /// Why.
        why: String,
    },
}

/// One vector's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The vector's id, or its place in the file.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Why a file cannot be run at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Its `format` is another.
    #[error("the file's `format` is not {FORMAT}")]
    Format,
    /// It has no list of vectors, or too long a one.
    #[error("the file has no `vectors`: a list of 1 to 100000")]
    Vectors,
}

/// Runs all vectors of a file, in their order.
pub fn run(file: &Value) -> Result<Vec<Ran>, FileError> {
    if file.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(FileError::Format);
    }
    let vectors = file.get("vectors").and_then(Value::as_array).ok_or(FileError::Vectors)?;
    if vectors.is_empty() || vectors.len() > VECTORS_MAX {
        return Err(FileError::Vectors);
    }
    let ran = vectors.iter().enumerate().map(|(at, vector)| {
        let id = vector.get("id").and_then(Value::as_str).map_or_else(|| format!("#{at}"), str::to_owned);
        let outcome = run_one(vector).unwrap_or_else(|why| Outcome::Unsupported { why });
        Ran { id, outcome }
    });
    Ok(ran.collect())
}

/// A vector, taken apart.
struct Vector {
    verifier: Verifier,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    now_ms: i64,
    is_registered: bool,
    certificates: Certificates,
}

/// What stands for the fetch of certificates.
#[derive(Default)]
struct Certificates(HashMap<String, Vec<u8>>);

impl Fetched for Certificates {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url).map(Vec::as_slice)
    }
}

fn run_one(vector: &Value) -> Result<Outcome, String> {
    let members = vector.as_object().ok_or("the vector is no object")?;
    let expected = members.get("expect").ok_or("no `expect`")?;
    let is_checkable = match expected {
        Value::String(text) => text == "valid" || text.strip_prefix("invalid:").is_some_and(is_cause),
        other => other.get("challenge").is_some_and(Value::is_object),
    };
    if !is_checkable {
        return Err(format!("`expect` is not known: {expected}"));
    }
    let read = read(members)?;
    let request = Request { method: &read.method, url: &read.url, headers: &read.headers, body: &read.body };
    let context =
        Context { now_ms: read.now_ms, fetched: &read.certificates, is_registered: read.is_registered, explains: true };
    let verdict = read.verifier.judge(&request, &context);
    Ok(compare(expected, &verdict))
}

fn is_cause(name: &str) -> bool {
    super::Cause::ALL.iter().any(|cause| cause.as_str() == name)
}

fn read(members: &Map<String, Value>) -> Result<Vector, String> {
    let scheme = members.get("scheme").and_then(Value::as_str).ok_or("no `scheme`")?;
    let mut settings = Map::new();
    let mut certificates = Certificates::default();
    let mut registered_url = None;
    let mut is_registered = false;
    for (name, value) in members {
        match name.as_str() {
            "scheme" | "request" | "now_unix" | "expect" => {}
            "secret" | "secrets" => secrets(scheme, value, &mut settings)?,
            "public_key" => drop(settings.insert("publicKey".to_owned(), value.clone())),
            "config" => {
                for (name, value) in value.as_object().ok_or("`config` is no object")? {
                    match name.as_str() {
                        "notification_url" => registered_url = value.as_str().map(str::to_owned),
                        "registered" => is_registered = value.as_bool().ok_or("`registered` is no boolean")?,
                        "certs" => certificates = read_certificates(value)?,
                        other => {
                            let known = CONFIG.iter().find(|(known, _)| *known == other);
                            let (_, setting) = known.ok_or_else(|| format!("`config.{other}` cannot be mapped"))?;
                            settings.insert((*setting).to_owned(), value.clone());
                        }
                    }
                }
            }
            other if WITHOUT_MEANING.contains(&other) => {}
            other => return Err(format!("`{other}` cannot be mapped")),
        }
    }
    let verifier = Verifier::for_scheme(scheme, settings).map_err(|error| error.to_string())?;
    let (method, url, headers, body) = read_request(members.get("request").ok_or("no `request`")?)?;
    let now = members.get("now_unix").and_then(Value::as_f64).ok_or("no `now_unix`")?;
    let (now_ms, url) = ((now * 1_000.0) as i64, registered_url.unwrap_or(url));
    Ok(Vector { verifier, method, url, headers, body, now_ms, is_registered, certificates })
}

/// Secrets, under the name that the scheme has for them.
fn secrets(scheme: &str, value: &Value, settings: &mut Map<String, Value>) -> Result<(), String> {
    let (_, found) = catalog::find_scheme(scheme).ok_or_else(|| format!("no scheme is named `{scheme}`"))?;
    let setting = match found.how {
        How::Hmac(hmac) => hmac.setting,
        How::Token(token) if token.token == Token::Basic => {
            let all: Vec<&str> = match value {
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            let parts: Vec<(&str, &str)> = all.iter().filter_map(|text| text.split_once(':')).collect();
            let (user, _) = parts.first().ok_or("the secret is no `user:password`")?;
            if parts.len() < all.len() || parts.iter().any(|(other, _)| other != user) {
                return Err("the secrets are not all `user:password` of one user".to_owned());
            }
            settings.insert("username".to_owned(), (*user).into());
            settings.insert("password".to_owned(), parts.iter().map(|(_, password)| *password).collect());
            return Ok(());
        }
        How::Token(token) => token.setting,
        How::Certificate(Certificate::Paypal) => "webhookId",
        _ => "secret",
    };
    settings.insert(setting.to_owned(), value.clone());
    Ok(())
}

fn read_certificates(value: &Value) -> Result<Certificates, String> {
    let certificates = value.as_object().ok_or("`certs` is no object")?;
    let read = certificates.iter().map(|(url, pem)| {
        let pem = pem.as_str().ok_or("a certificate is no text")?;
        Ok((url.clone(), pem.as_bytes().to_vec()))
    });
    read.collect::<Result<_, String>>().map(Certificates)
}

fn read_request(request: &Value) -> Result<(Method, String, HeaderMap, Vec<u8>), String> {
    let request = request.as_object().ok_or("`request` is no object")?;
    let known = ["method", "url", "headers", "body_base64"];
    if let Some(other) = request.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("`request.{other}` cannot be mapped"));
    }
    let text = |name: &str| request.get(name).and_then(Value::as_str).ok_or_else(|| format!("no `request.{name}`"));
    let method = Method::from_bytes(text("method")?.as_bytes()).map_err(|_| "no method")?;
    let mut headers = HeaderMap::new();
    for (name, value) in request.get("headers").and_then(Value::as_object).ok_or("no `request.headers`")? {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header's name"))?;
        let value = value.as_str().ok_or_else(|| format!("the header `{name}` is no text"))?;
        let value = HeaderValue::from_str(value)
            .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
            .map_err(|_| format!("the header `{name}` holds what no header can"))?;
        headers.append(header, value);
    }
    let body = STANDARD.decode(text("body_base64")?).map_err(|_| "`body_base64` is no base64")?;
    Ok((method, text("url")?.to_owned(), headers, body))
}

fn compare(expected: &Value, verdict: &Verdict) -> Outcome {
    let is_right = match (expected, verdict) {
        (Value::String(text), Verdict::Accepted) => text == "valid",
        (Value::String(text), Verdict::Rejected(rejection)) => {
            text.strip_prefix("invalid:") == Some(rejection.cause.as_str())
        }
        (Value::Object(object), Verdict::Handshake(reply)) => {
            object.get("challenge").is_some_and(|challenge| is_answered(challenge, reply))
        }
        _ => false,
    };
    if is_right {
        return Outcome::Agrees;
    }
    let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
    Outcome::Disagrees { expected, found: shown(verdict) }
}

/// A verdict in the words of a vector file.
fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "valid".to_owned(),
        Verdict::Rejected(rejection) => {
            let hint = rejection.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("invalid:{}{hint}", rejection.cause)
        }
        Verdict::Needs(need) => format!("needs {}", need.url),
        Verdict::Handshake(reply) => {
            let body = String::from_utf8_lossy(&reply.body);
            format!("challenge: status {}, headers {:?}, body {body}", reply.status, reply.headers)
        }
    }
}

/// Whether a reply has the status, the body, and all headers that are expected; it may have others.
fn is_answered(challenge: &Value, reply: &Reply) -> bool {
    let has_status = challenge.get("status").and_then(Value::as_u64) == Some(u64::from(reply.status));
    let no_headers = Map::new();
    let headers = challenge.get("headers").and_then(Value::as_object).unwrap_or(&no_headers);
    let has_headers = headers.iter().all(|(name, value)| {
        let given = reply.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        let wanted = value.as_str().unwrap_or_default();
        given.is_some_and(|(_, given)| given == wanted || given.split(';').next() == Some(wanted))
    });
    let has_body = match (challenge.get("body"), challenge.get("body_json")) {
        (Some(body), _) => body.as_str().map(str::as_bytes) == Some(reply.body.as_slice()),
        (None, Some(json)) => serde_json::from_slice::<Value>(&reply.body).is_ok_and(|given| given == *json),
        (None, None) => true,
    };
    has_status && has_headers && has_body
}
