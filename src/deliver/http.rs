//! An attempt over HTTP: the signed POST.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use posthouse_signature::standard::{SIGNATURES_MAX, SigningKey, sign_all};
use quick_cache::sync::Cache;

use super::{Client, OutboundRequest, Target, forward};
use crate::dispatch::runner::{Deliver, Letter};
use crate::model::{
    AWAITED_BYTES_MAX, Clock, Endpoint, EndpointKey, Outcome, OutcomeKind, SignatureHeaders, SigningSecret, UnixMs,
};

/// Endpoints whose URL, key and headers are kept ready.
const PREPARED_MAX: usize = 100_000;
const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("Posthouse/", env!("CARGO_PKG_VERSION"), " (webhooks)"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Id, timestamp and signature.
type Names = [HeaderName; 3];
const WEBHOOK: Names = [
    HeaderName::from_static("webhook-id"),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
];
const SVIX: Names = [
    HeaderName::from_static("svix-id"),
    HeaderName::from_static("svix-timestamp"),
    HeaderName::from_static("svix-signature"),
];

const OWN: Names = [
    HeaderName::from_static("posthouse-id"),
    HeaderName::from_static("posthouse-timestamp"),
    HeaderName::from_static("posthouse-signature"),
];

/// The sets of names: the first two by the environment's settings, the last where a sender has taken both.
static NAMES: [Names; 3] = [WEBHOOK, SVIX, OWN];

/// Delivers to HTTP endpoints.
pub struct HttpDeliver {
    client: Client,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    prepared: Cache<EndpointKey, Arc<Prepared>>,
}

/// An endpoint as an attempt needs it.
struct Prepared {
    endpoint: Arc<Endpoint>,
    sender: Sender,
}

/// What requests to an endpoint are made of.
struct Sender {
    target: Arc<Target>,
    /// Newest first, each with its end.
    keys: Vec<(SigningKey, Option<UnixMs>)>,
    headers: HeaderMap,
}

impl Sender {
    /// `None` where the endpoint has what was refused when it came in.
    fn of(endpoint: &Endpoint) -> Option<Self> {
        let mut headers = HeaderMap::with_capacity(endpoint.spec.headers.len());
        for (name, value) in &endpoint.spec.headers {
            headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        let key = |secret: &SigningSecret| {
            SigningKey::from_stored(secret.key.expose()).ok().map(|signs| (signs, secret.expires_at))
        };
        let keys = endpoint.secrets.iter().map(key).collect::<Option<Vec<_>>>()?;
        Some(Self { target: Arc::new(Target::parse(&endpoint.spec.url).ok()?), keys, headers })
    }

    /// The request of an attempt that is made at `now`.
    fn request(&self, letter: &Letter<'_>, now: UnixMs) -> Option<OutboundRequest> {
        let headers = headers(self, letter, now)?;
        let mut request = OutboundRequest::post(Arc::clone(&self.target), headers, letter.payload.clone());
        if let Some(received) = letter.received {
            request.method = forward::method(received);
            request.path = forward::path(received, &self.target);
        }
        Some(request)
    }

    /// The keys that sign at `now`.
    fn keys_at(&self, now: UnixMs) -> impl Iterator<Item = &SigningKey> {
        let live = self.keys.iter().filter(move |(_, end)| end.is_none_or(|end| now < end));
        live.map(|(key, _)| key).take(SIGNATURES_MAX)
    }
}

impl HttpDeliver {
    /// Attempts through `client` end within `timeout`.
    pub fn new(client: Client, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { client, timeout, clock, prepared: Cache::new(PREPARED_MAX) }
    }

    /// Closes connections that were idle for too long: to be called about once a second.
    pub fn sweep(&self) {
        self.client.sweep(tokio::time::Instant::now());
    }

    fn prepare(&self, endpoint: &Arc<Endpoint>) -> Option<Arc<Prepared>> {
        if let Some(found) = self.prepared.get(&endpoint.key()).filter(|found| Arc::ptr_eq(&found.endpoint, endpoint)) {
            return Some(found);
        }
        let prepared = Arc::new(Prepared { endpoint: Arc::clone(endpoint), sender: Sender::of(endpoint)? });
        self.prepared.insert(endpoint.key(), Arc::clone(&prepared));
        Some(prepared)
    }
}

#[async_trait]
impl Deliver for HttpDeliver {
    async fn attempt(&self, endpoint: &Arc<Endpoint>, letter: Letter<'_>) -> Outcome {
        let now = self.clock.now_ms();
        let Some(prepared) = self.prepare(endpoint) else {
            return Outcome::without_answer(OutcomeKind::Internal, now, 0);
        };
        let Some(request) = prepared.sender.request(&letter, now) else {
            return Outcome::without_answer(OutcomeKind::Internal, now, 0);
        };
        let outcome = match letter.awaited {
            None => self.client.attempt(request, self.timeout, &*self.clock).await,
            Some(awaited) => {
                let (outcome, answer) = self.client.ask(request, self.timeout, &*self.clock, AWAITED_BYTES_MAX).await;
                awaited.end(answer);
                outcome
            }
        };
        // The moment that is signed: by it the same signature can be made again.
        Outcome { started_at: now, ..outcome }
    }
}

/// The headers that an attempt at `at` is sent with, to an endpoint that is as it is given. `None` if one has a form
/// that HTTP does not allow, which was refused when it came in.
pub fn sent_headers(endpoint: &Endpoint, letter: &Letter<'_>, at: UnixMs) -> Option<HeaderMap> {
    let (mut head, _) = Sender::of(endpoint)?.request(letter, at)?.into_http().into_parts();
    // hyper adds it to all that may have a body.
    if !letter.payload.is_empty() || !matches!(head.method, Method::GET | Method::HEAD) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(letter.payload.len()));
    }
    Some(head.headers)
}

/// Whether a header of this name holds a signature of ours.
pub fn is_own_signature(name: &HeaderName) -> bool {
    NAMES.iter().any(|[_, _, signature]| signature == name)
}

/// The headers of an attempt that is made now. `None` if one has a form that HTTP does not allow,
/// which was refused when it came in.
fn headers(sender: &Sender, letter: &Letter<'_>, now: UnixMs) -> Option<HeaderMap> {
    let unix_seconds = now / 1000;
    let signature = sign_all(sender.keys_at(now), letter.id, unix_seconds, letter.payload);
    let mut headers = HeaderMap::with_capacity(8 + sender.headers.len());
    if let Some(received) = letter.received {
        // What came without a content type goes on without one.
        forward::add_headers(&mut headers, received, &sender.target);
    } else {
        let content_type = letter.content_type.map_or(Ok(JSON), HeaderValue::try_from).ok()?;
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.entry(USER_AGENT).or_insert(USER_AGENT_VALUE);
    for (name, value) in &sender.headers {
        headers.insert(name.clone(), value.clone());
    }
    let values = [
        HeaderValue::try_from(letter.id).ok()?,
        HeaderValue::from(unix_seconds),
        HeaderValue::try_from(signature).ok()?,
    ];
    let names: &[Names] = match letter.signature_headers {
        SignatureHeaders::Webhook => &NAMES[..1],
        SignatureHeaders::Svix => &NAMES[1..2],
        SignatureHeaders::Both => &NAMES[..2],
    };
    // The sender's own signature stays as it is, so that it can be verified again.
    let is_taken = |names: &Names| names.iter().any(|name| headers.contains_key(name));
    let names = match letter.received {
        Some(_) if names.iter().any(is_taken) => {
            let free = NAMES.iter().find(|names| !is_taken(names));
            free.map_or(&[][..], std::slice::from_ref)
        }
        _ => names,
    };
    for names in names {
        for (name, value) in names.iter().zip(&values) {
            headers.insert(name.clone(), value.clone());
        }
    }
    Some(headers)
}
