//! Receiving: a request from outside is verified, told from duplicates, and stored as a message of its
//! source's application; the sender is answered after the commit, never after the delivery.
//!
//! Whatever becomes of it, the source's log says so. The sender of a request that is refused learns
//! nothing of the cause.

mod again;
mod sample;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use posthouse_signature::receive::{Cause, Context, Fetched, Need, Reply, Request, Verdict, Verifier};
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::sync::oneshot;

pub use again::VerifiedAgain;
pub use sample::{Sampled, SampledAs};

use super::fetch::Fetcher;
use super::limited::BodyError;
use super::quota::Bucket;
use super::sign_in::SESSION_COOKIE;
use super::{Gateway, NotAccepted};
use crate::deliver::decode::Coding;
use crate::model::routing::{Route, route};
use crate::model::{
    Awaited, Dedupe, DedupeBy, EndpointAnswer, EndpointKey, Envelope, Id, LogKind, Received, Source, SourceAnswer,
    SourceKey, UnixMs,
};
use crate::store::command::{Change, Command, DedupeKey, Done, Inbound, LogRequest, Publish, Refusal};

/// Sources whose verifiers are kept ready.
const PREPARED_MAX: usize = 10_000;
/// Things that one request may need by URL.
const FETCHES_MAX: usize = 3;
/// Requests that became no message, of one source, that go into its log in a second. What is more is only
/// counted: a flood on one source leaves the journal to others.
const LOGGED_PER_SECOND: u32 = 100;
/// Duplicates of one source that go into its log in a second: no more are kept.
const DUPLICATES_LOGGED_PER_SECOND: u32 = 1_000;
/// A long one counts as one more for each of these bytes.
const LOGGED_UNIT_BYTES: usize = 16 << 10;
/// Fetches of one source under way at once, and how long a request waits for its turn and for what it needs.
const FETCHING_PER_SOURCE: usize = 2;
const FETCH_WAIT: Duration = Duration::from_secs(5);
/// The cause where a certificate or a key set could not be had.
const KEY_UNAVAILABLE: &str = "key_unavailable";
/// Tells these keyed hashes from others.
const SAMENESS: &[u8] = b"dedupe";

/// A request from outside, without its body.
pub struct Arrival<'a> {
    /// The token of the receiving URL.
    pub token: &'a str,
    /// What stands behind it, with its slash; may be empty.
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Who sent it, as far as trusted proxies say.
    pub peer: Option<IpAddr>,
}

/// What a sender is answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    fn of(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
        Self { status, headers: reply.headers, body: reply.body.into() }
    }
}

/// What a request became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Message(Id),
    /// Of this one.
    Duplicate(Id),
    /// Its application is gone.
    Nothing,
}

/// What a request became, and what its sender is answered.
struct Accepted {
    became: Became,
    answer: Answer,
    /// An endpoint's answer goes before, if it comes within so many milliseconds.
    first_answer: Option<(oneshot::Receiver<EndpointAnswer>, u32)>,
}

impl Accepted {
    fn plainly(became: Became, answer: Answer) -> Self {
        Self { became, answer, first_answer: None }
    }

    /// The answer, when it is there.
    async fn answer(self) -> Answer {
        let from_endpoint = match self.first_answer {
            Some((answer, timeout_ms)) => first_answer_within(answer, timeout_ms).await,
            None => None,
        };
        from_endpoint.unwrap_or(self.answer)
    }
}

/// Verifiers of sources, and how full their buckets are. One a process.
pub struct Receiving {
    prepared: Cache<SourceKey, Arc<Prepared>>,
    /// They outlive changes of their sources.
    allowances: Cache<SourceKey, Arc<Allowance>>,
    fetcher: Arc<dyn Fetcher>,
    /// Held while a body is decoded, so that there is one decoder's memory and not one a core.
    decoding: Mutex<()>,
}

struct Prepared {
    source: Arc<Source>,
    verifier: Verifier,
    allowance: Arc<Allowance>,
}

/// What a source may receive, and put into its log.
struct Allowance {
    /// Of `requests_per_second`.
    requests: Option<(u32, Bucket)>,
    logged: Bucket,
    duplicates: Bucket,
    fetching: tokio::sync::Semaphore,
}

impl Receiving {
    /// Fetches certificates and key sets with `fetcher`.
    pub fn new(fetcher: Arc<dyn Fetcher>) -> Self {
        let (prepared, allowances) = (Cache::new(PREPARED_MAX), Cache::new(PREPARED_MAX));
        Self { prepared, allowances, fetcher, decoding: Mutex::new(()) }
    }

    /// What a compressed body says, as far as it has at most `bytes_max`; for reading out of it only: what
    /// is verified, and goes on, are the bytes that came.
    fn plain(&self, request: &Request<'_>, bytes_max: usize) -> Option<Vec<u8>> {
        let coding = Coding::of(request.headers).filter(|_| !request.body.is_empty())?;
        let _alone = self.decoding.lock().unwrap_or_else(PoisonError::into_inner);
        coding.decode(request.body, bytes_max)
    }

    fn allowance(&self, source: &Source) -> Arc<Allowance> {
        let rate = source.spec.requests_per_second;
        let is_same = |found: &Arc<Allowance>| found.requests.as_ref().map(|(rate, _)| *rate) == rate;
        if let Some(found) = self.allowances.get(&source.key()).filter(is_same) {
            return found;
        }
        let requests = rate.map(|rate| (rate, Bucket::new(rate)));
        let allowance = Arc::new(Allowance {
            requests,
            logged: Bucket::new(LOGGED_PER_SECOND),
            duplicates: Bucket::new(DUPLICATES_LOGGED_PER_SECOND),
            fetching: tokio::sync::Semaphore::new(FETCHING_PER_SOURCE),
        });
        self.allowances.insert(source.key(), Arc::clone(&allowance));
        allowance
    }

    fn prepare(&self, source: &Arc<Source>) -> Option<Arc<Prepared>> {
        // Each token of a source has a copy of it.
        let is_same = |found: &Arc<Prepared>| Arc::ptr_eq(&found.source, source) || found.source == *source;
        if let Some(found) = self.prepared.get(&source.key()).filter(is_same) {
            return Some(found);
        }
        let mut config = source.secret.config.clone();
        if let Some(learned) = &source.secret.learned {
            config.insert("secret".into(), Value::String(learned.clone()));
        }
        let verifier = Verifier::new(&source.spec.source_type, config).ok().filter(Verifier::is_receiving)?;
        let prepared = Arc::new(Prepared { source: Arc::clone(source), verifier, allowance: self.allowance(source) });
        self.prepared.insert(source.key(), Arc::clone(&prepared));
        Some(prepared)
    }
}

/// What was fetched for one request.
#[derive(Default)]
struct Found(Vec<Document>);

struct Document {
    url: String,
    bytes: Bytes,
    is_newest: bool,
}

impl Found {
    fn find(&self, url: &str) -> Option<&Document> {
        self.0.iter().find(|document| document.url == url)
    }

    /// In place of an older one.
    fn keep(&mut self, document: Document) {
        self.0.retain(|older| older.url != document.url);
        self.0.push(document);
    }
}

impl Fetched for Found {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.find(url).map(|document| &document.bytes[..])
    }

    fn is_newest(&self, url: &str) -> bool {
        self.find(url).is_some_and(|document| document.is_newest)
    }
}

/// Why a request is refused, and how its sender is told.
struct Refused {
    status: StatusCode,
    cause: &'static str,
    hint: Option<String>,
}

impl Refused {
    fn of(status: StatusCode, cause: &'static str) -> Self {
        Self { status, cause, hint: None }
    }
}

impl Gateway {
    /// Takes a request in; the answer comes after the commit.
    pub async fn receive(
        &self,
        arrival: Arrival<'_>,
        body: impl Future<Output = Result<Bytes, BodyError>> + Send,
    ) -> Result<Answer, NotAccepted> {
        self.admission.check().map_err(NotAccepted::Closed)?;
        if [Method::CONNECT, Method::TRACE].contains(arrival.method) {
            return Ok(Answer::empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        let now = self.clock.now_ms();
        let Some(prepared) = self.prepared(arrival.token, now).await? else {
            return Ok(Answer::empty(StatusCode::NOT_FOUND));
        };
        let received = Arc::new(prepared.head_of(&arrival));
        if let Err(refused) = prepared.admits(&arrival, now) {
            return self.refuse(&prepared, received, Bytes::new(), refused).await;
        }
        let body = match body.await {
            Ok(body) => body,
            Err(error) => return self.refuse(&prepared, received, Bytes::new(), error.into()).await,
        };
        // The body may have taken long: what counts is the source as it is now.
        let now = self.clock.now_ms();
        let before = prepared;
        let Some(prepared) = self.prepared(arrival.token, now).await? else {
            return Ok(Answer::empty(StatusCode::NOT_FOUND));
        };
        let is_same = Arc::ptr_eq(&before, &prepared);
        if !is_same && let Err(refused) = prepared.allows(arrival.peer) {
            return self.refuse(&prepared, received, body, refused).await;
        }
        let received = if is_same { received } else { Arc::new(prepared.head_of(&arrival)) };
        let url = self.url_of(&arrival);
        let request = Request { method: arrival.method, url: &url, headers: arrival.headers, body: &body };
        // A hint that goes into no log is not looked for.
        let explains = prepared.allowance.logged.has_some(now);
        match self.judge(&prepared, &request, now, explains).await {
            Verdict::Accepted => {
                let accepted = self.accept(&prepared, &request, received, &body, None).await?;
                // Waiting for an endpoint needs nothing of the request.
                drop(body);
                Ok(accepted.answer().await)
            }
            Verdict::Handshake(reply) => self.shake(&prepared, received, &body, reply).await,
            Verdict::Rejected(rejection) => {
                let hint = rejection.hint;
                let refused = Refused { status: StatusCode::UNAUTHORIZED, cause: rejection.cause.as_str(), hint };
                self.refuse(&prepared, received, body.clone(), refused).await
            }
            Verdict::Needs(_) => {
                let hint = Some("the provider's certificate or keys could not be fetched".to_owned());
                let refused = Refused { status: StatusCode::SERVICE_UNAVAILABLE, cause: KEY_UNAVAILABLE, hint };
                self.refuse(&prepared, received, body.clone(), refused).await
            }
        }
    }

    /// The source that a token opens now, if it receives.
    async fn prepared(&self, token: &str, now: UnixMs) -> Result<Option<Arc<Prepared>>, NotAccepted> {
        let source = self.snapshots.source(&*self.queries, token, now).await?;
        Ok(source.and_then(|source| self.receiving.prepare(&source)))
    }

    /// Where a source receives.
    pub fn receiving_url(&self, token: &str) -> String {
        format!("{}/in/{token}", self.public_url())
    }

    /// What senders of a source's messages are answered.
    pub fn status_of(&self, source: Source) -> StatusCode {
        self.receiving.prepare(&Arc::new(source)).map_or(StatusCode::OK, |prepared| prepared.answer().status)
    }

    /// What schemes that sign the URL are verified with, where the source's configuration has no other.
    fn url_of(&self, arrival: &Arrival<'_>) -> String {
        let mut url = self.receiving_url(arrival.token);
        url.push_str(arrival.path);
        if let Some(query) = arrival.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }

    /// Judges; what is needed by URL is fetched in between.
    async fn judge(&self, prepared: &Prepared, request: &Request<'_>, at: UnixMs, explains: bool) -> Verdict {
        let mut found = Found::default();
        let is_registered = prepared.source.has_secret();
        loop {
            let verdict = {
                let context = Context { now_ms: at, fetched: &found, is_registered, explains };
                prepared.verifier.judge(request, &context)
            };
            let Verdict::Needs(need) = verdict else { return verdict };
            // What is outdated is asked for once, and then is the newest.
            if !need.is_outdated && found.0.len() == FETCHES_MAX {
                return Verdict::Needs(need);
            }
            let Some(bytes) = self.fetch(prepared, &need).await else { return Verdict::Needs(need) };
            found.keep(Document { url: need.url, bytes, is_newest: need.is_outdated });
        }
    }

    /// What is needed by URL. What strangers send to one source may keep that one waiting, and no other.
    async fn fetch(&self, prepared: &Prepared, need: &Need) -> Option<Bytes> {
        let fetcher = &self.receiving.fetcher;
        if !need.is_outdated
            && let Some(bytes) = fetcher.known(&need.url)
        {
            return Some(bytes);
        }
        let fetch = async {
            let _one = prepared.allowance.fetching.acquire().await.ok()?;
            if need.is_outdated { fetcher.renew(&need.url).await } else { fetcher.fetch(&need.url).await }
        };
        tokio::time::timeout(FETCH_WAIT, fetch).await.ok().flatten()
    }

    /// A message: stored, or known.
    async fn accept(
        &self,
        prepared: &Prepared,
        request: &Request<'_>,
        received: Arc<Received>,
        body: &Bytes,
        instead_of: Option<Id>,
    ) -> Result<Accepted, NotAccepted> {
        let source = &prepared.source;
        let plain = self.receiving.plain(request, self.limits.body_bytes_max);
        let readable = Request { body: plain.as_deref().unwrap_or(request.body), ..*request };
        let described = prepared.verifier.describe(&readable);
        let dedupe = self.dedupe_key(source, body, &readable, described.event_id.as_deref());
        drop(plain);
        let now = self.clock.now_ms();
        let answer = prepared.answer();
        let Some(config) = self.snapshots.app(source.app).await? else {
            return Ok(Accepted::plainly(Became::Nothing, Answer::empty(StatusCode::NOT_FOUND)));
        };
        let envelope = Envelope {
            event_type: described.event_type.unwrap_or_else(|| source.spec.source_type.clone()),
            content_type: Some(content_type(request.headers)),
            ..Envelope::default()
        };
        let routes = route(&config, &envelope.event_type, &envelope.channels);
        let (awaited, first_answer) = awaited(source, &routes, instead_of).unzip();
        let publish = Publish {
            routes,
            config,
            only: None,
            envelope,
            payload: Bytes::copy_from_slice(body),
            payload_days: self.retention.payload_days,
            idempotency: None,
            inbound: Some(Box::new(Inbound {
                source: source.key(),
                received,
                dedupe,
                status: answer.status.as_u16(),
                awaited: awaited.map(Arc::new),
                instead_of,
                is_logged: prepared.allowance.duplicates.has_some(now),
                tick: None,
            })),
            at: now,
        };
        let _pass = self.admission.enter().map_err(NotAccepted::Closed)?;
        match self.journal.commit(Command::Publish(Box::new(publish))).await?? {
            Done::Published(published) => {
                self.metrics.messages_accepted.inc();
                let first_answer = first_answer.zip(source.spec.sync.map(|sync| sync.timeout_ms));
                Ok(Accepted { became: Became::Message(published.id), answer, first_answer })
            }
            Done::Duplicate(first) => {
                self.metrics.requests_duplicate.inc();
                prepared.allowance.duplicates.take(now);
                Ok(Accepted::plainly(Became::Duplicate(first), answer))
            }
            _ => Err(Refusal::Failed.into()),
        }
    }

    /// A handshake: what it brings is kept before it is answered.
    async fn shake(
        &self,
        prepared: &Prepared,
        received: Arc<Received>,
        body: &Bytes,
        mut reply: Reply,
    ) -> Result<Answer, NotAccepted> {
        let source = prepared.source.key();
        if let Some(key) = reply.learned.take() {
            match self.change(Change::LearnSourceKey { source, key }, None).await {
                Ok(_) => {}
                Err(NotAccepted::Refused(Refusal::HasKey)) => {
                    let refused = Refused::of(StatusCode::UNAUTHORIZED, Cause::UnexpectedHandshake.as_str());
                    return self.refuse(prepared, received, body.clone(), refused).await;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(url) = reply.confirm.take() {
            let fetcher = Arc::clone(&self.receiving.fetcher);
            // What comes of it shows in what the provider sends next.
            tokio::spawn(async move { fetcher.call(&url).await });
        }
        let answer = Answer::of(reply);
        let log = LogRequest {
            source,
            kind: LogKind::Handshake,
            status: answer.status.as_u16(),
            cause: None,
            hint: None,
            received,
            body: logged_body(body),
        };
        self.log(prepared, log).await?;
        Ok(answer)
    }

    async fn refuse(
        &self,
        prepared: &Prepared,
        received: Arc<Received>,
        body: Bytes,
        refused: Refused,
    ) -> Result<Answer, NotAccepted> {
        let log = LogRequest {
            source: prepared.source.key(),
            kind: LogKind::Rejected,
            status: refused.status.as_u16(),
            cause: Some(refused.cause.to_owned()),
            hint: refused.hint,
            received,
            body: logged_body(&body),
        };
        self.metrics.requests_rejected.inc();
        // Too many are counted only: each entry would push out one that says more.
        if refused.status != StatusCode::TOO_MANY_REQUESTS {
            self.log(prepared, log).await?;
        }
        let mut answer = Answer::empty(refused.status);
        if refused.status == StatusCode::TOO_MANY_REQUESTS || refused.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers.push(("retry-after", "1".to_owned()));
        }
        Ok(answer)
    }

    async fn log(&self, prepared: &Prepared, request: LogRequest) -> Result<(), NotAccepted> {
        let units = 1 + request.weight() / LOGGED_UNIT_BYTES;
        if !prepared.allowance.logged.take_many(self.clock.now_ms(), units) {
            return Ok(());
        }
        match self.change(Change::LogRequest(Box::new(request)), None).await {
            // The source has just gone.
            Ok(_) | Err(NotAccepted::Refused(Refusal::NotFound)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a request is told from others by; `None` where nothing is. `readable` may be cut where it is long,
    /// so that all of the content is the body as it came.
    fn dedupe_key(
        &self,
        source: &Source,
        body: &[u8],
        readable: &Request<'_>,
        event_id: Option<&str>,
    ) -> Option<DedupeKey> {
        let Dedupe { by, window_s } = &source.spec.dedupe;
        let key = source.id.key.to_be_bytes();
        let hash = match by {
            DedupeBy::Off => return None,
            DedupeBy::Provider => self.sealer.keyed_hash(&[SAMENESS, &key, b"id", event_id?.as_bytes()]),
            DedupeBy::Content => self.sealer.keyed_hash(&[SAMENESS, &key, b"content", body]),
            DedupeBy::Fields(places) => {
                let values = fields(places, readable)?;
                let parts: Vec<&[u8]> =
                    [SAMENESS, &key, b"fields"].into_iter().chain(values.iter().map(Vec::as_slice)).collect();
                self.sealer.keyed_hash(&parts)
            }
        };
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        Some(DedupeKey { hash: short, window_ms: i64::from(*window_s) * 1_000 })
    }
}

impl Prepared {
    /// Whether this sender may send now.
    fn admits(&self, arrival: &Arrival<'_>, now: UnixMs) -> Result<(), Refused> {
        self.allows(arrival.peer)?;
        if self.allowance.requests.as_ref().is_some_and(|(_, bucket)| !bucket.take(now)) {
            return Err(Refused::of(StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
        }
        Ok(())
    }

    /// Whether a sender may send from where it is.
    fn allows(&self, peer: Option<IpAddr>) -> Result<(), Refused> {
        let networks = &self.source.spec.allowed_networks;
        let is_allowed = |peer: IpAddr| networks.iter().any(|network| network.contains(&peer.to_canonical()));
        if networks.is_empty() || peer.is_some_and(is_allowed) {
            Ok(())
        } else {
            Err(Refused::of(StatusCode::FORBIDDEN, "address_not_allowed"))
        }
    }

    /// The sender signs by Standard Webhooks or Svix itself. What is not verified may be anybody's.
    fn is_standard(&self) -> bool {
        self.verifier.source_type().is_standard() || !self.verifier.is_verifying()
    }

    /// Everything of a request but its body, as it is kept. A browser that is signed in to this server sends
    /// its session along where somebody opens a receiving URL in it: that is nobody's to keep. Nor is what tells samples
    /// apart, which nobody but this server says.
    fn head_of(&self, arrival: &Arrival<'_>) -> Received {
        let text = |value: &http::HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        let is_session = |name: &http::HeaderName, value: &http::HeaderValue| {
            let session = SESSION_COOKIE.as_bytes();
            name == http::header::COOKIE && value.as_bytes().windows(session.len()).any(|bytes| bytes == session)
        };
        let kept =
            arrival.headers.iter().filter(|(name, value)| !is_session(name, value) && name.as_str() != sample::MARK);
        Received {
            method: arrival.method.as_str().to_owned(),
            path: arrival.path.to_owned(),
            query: arrival.query.map(str::to_owned),
            forward_path: self.source.spec.forward_path,
            is_standard: self.is_standard(),
            headers: kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        }
    }

    /// What the sender of a message is answered: the source's own answer, or the provider's expectation.
    fn answer(&self) -> Answer {
        match &self.source.spec.answer {
            None => Answer::of(self.verifier.answer()),
            Some(SourceAnswer { status, content_type, body }) => Answer {
                status: StatusCode::from_u16(*status).unwrap_or(StatusCode::OK),
                headers: vec![("content-type", content_type.clone())],
                body: Bytes::copy_from_slice(body.as_bytes()),
            },
        }
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        let (status, cause) = match error {
            BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            BodyError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too_busy"),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "body_broken"),
        };
        Self { status, cause, hint: Some(error.to_string()) }
    }
}

/// Who waits for an endpoint's answer to a message of this source, if that endpoint gets it at once.
fn awaited(
    source: &Source,
    routes: &[Route],
    instead_of: Option<Id>,
) -> Option<(Awaited, oneshot::Receiver<EndpointAnswer>)> {
    let endpoint = EndpointKey(source.spec.sync?.endpoint.key);
    let is_sent = routes.iter().any(|route| route.endpoint == endpoint && !route.held);
    (is_sent && instead_of.is_none()).then(|| Awaited::new(endpoint))
}

/// The endpoint's answer for the sender; `None` where there is none in time, or none to pass on.
async fn first_answer_within(answer: oneshot::Receiver<EndpointAnswer>, timeout_ms: u32) -> Option<Answer> {
    let answer = tokio::time::timeout(Duration::from_millis(timeout_ms.into()), answer).await.ok()?.ok()?;
    let content_type = answer.content_type.and_then(|value| value.to_str().ok().map(str::to_owned));
    Some(Answer {
        status: answer.status,
        headers: content_type.map(|value| ("content-type", value)).into_iter().collect(),
        body: answer.body,
    })
}

/// The media type as it was said; what says none is bytes.
fn content_type(headers: &HeaderMap) -> String {
    let said = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.unwrap_or("application/octet-stream").to_owned()
}

/// A slice of the connection's buffer would keep all of that buffer in memory.
fn logged_body(body: &Bytes) -> Bytes {
    Bytes::copy_from_slice(body)
}

/// The values at these places; `None` where none of them is there.
fn fields(places: &[String], request: &Request<'_>) -> Option<Vec<Vec<u8>>> {
    let in_body = places.iter().any(|place| !place.starts_with("header:"));
    let json: Option<Value> = if in_body { serde_json::from_slice(request.body).ok() } else { None };
    let value = |place: &String| match place.strip_prefix("header:") {
        Some(name) => request.headers.get(name).map(|value| value.as_bytes().to_vec()),
        None => json.as_ref()?.pointer(place).map(|value| value.to_string().into_bytes()),
    };
    let values: Vec<Option<Vec<u8>>> = places.iter().map(value).collect();
    // Which of them are there counts too.
    let told = |value: Option<Vec<u8>>| value.map_or_else(|| vec![0], |value| [&[1], &value[..]].concat());
    values.iter().any(Option::is_some).then(|| values.into_iter().map(told).collect())
}
