//! A gateway over a store of its own, and calls of its router.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower_service::Service;

use super::described::judge;
use super::engine::{Engine, Kept, engine};
use crate::accept::fetch::Fetcher;
use crate::accept::key_use::KeyUse;
use crate::accept::limited::BodyBudget;
use crate::accept::quota::Quotas;
use crate::accept::receive::Receiving;
use crate::accept::trying::Trying;
use crate::accept::{Admission, Gateway};
use crate::api::query::asked;
use crate::api::router;
use crate::config::{Delivery, Limits, Portal, Retention, Server};
use crate::deliver::AddressGuard;
use crate::dispatch::runner::{Deliver, Letter};
use crate::metrics::Metrics;
use crate::model::{
    AppConfig, Clock, Endpoint, EndpointKey, EnvKey, Envelope, EnvironmentKind, Id, IdKind, MessageKey, Next, Outcome,
    OutcomeKind, Scope, Scopes, SlotSet, SystemClock, Taken, Timings, Trigger,
};
use crate::store::command::{
    AccessChange, AttemptRecord, Change, ChangeRequest, Changed, Command, Done, Raised, Reply, Settle,
};
use crate::store::journal::{Journal, JournalLimits, Observer};
use crate::store::maintenance::{Maintained, Maintenance, Work};
use crate::store::seal::Sealer;
use crate::store::snapshots::Snapshots;

/// The key of the first environment.
pub(super) const KEY: &str = "test_key";

/// Follows changes as dispatch does, and delivers nothing.
struct Follow(Arc<Snapshots>);

/// Nothing is behind any URL.
struct NoNetwork;

#[async_trait::async_trait]
impl Fetcher for NoNetwork {
    fn known(&self, _: &str) -> Option<Bytes> {
        None
    }

    async fn fetch(&self, _: &str) -> Option<Bytes> {
        None
    }

    async fn renew(&self, _: &str) -> Option<Bytes> {
        None
    }

    async fn call(&self, _: &str) {}
}

/// Answers with what it is sent: the URL, the id, the secrets, headers and body. A URL with `busy` answers 503.
struct Echo;

#[async_trait::async_trait]
impl Deliver for Echo {
    async fn attempt(&self, endpoint: &Arc<Endpoint>, letter: Letter<'_>) -> Outcome {
        let headers = &endpoint.spec.headers;
        let body = format!("{} {} {headers:?} ", endpoint.spec.url, letter.id);
        let body = [body.as_bytes(), letter.payload].concat();
        let busy = endpoint.spec.url.contains("busy");
        let (kind, status) = if busy { (OutcomeKind::Status, 503) } else { (OutcomeKind::Success, 200) };
        Outcome { body: body.into(), ..Outcome { kind, status, ..answered(200, b"") } }
    }
}

impl Observer for Follow {
    fn forming(&self, _: &mut [Command]) {}

    fn committed(&self, _: Vec<Command>, replies: &[Reply], _: Vec<Raised>) {
        for reply in replies {
            if let Ok(Done::Changed(changed)) = reply {
                self.0.changed(changed);
            }
        }
    }

    fn lost_outcome(&self, _: Command) {}
}

/// A server without sockets.
pub(super) struct TestApi {
    pub(super) gateway: Arc<Gateway>,
    /// The store.
    router: Router,
    writer: Option<std::thread::JoinHandle<()>>,
    env: EnvKey,
    pub(super) kept: Kept,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Its status, and its JSON: what most tests look at.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The code of an error.
    #[track_caller]
    pub(super) fn expect_code(self, status: u16, code: &str) {
        let json = self.expect(status);
        assert_eq!(json["code"], code, "{json}");
        assert!(json["detail"].is_string(), "{json}");
    }

    /// The one place at which a request is wrong.
    #[track_caller]
    pub(super) fn expect_invalid(self, loc: &[&str]) {
        let json = self.expect(422);
        assert_eq!(json["detail"][0]["loc"], serde_json::json!(loc), "{json}");
        assert!(json["detail"][0]["msg"].is_string() && json["detail"][0]["type"].is_string(), "{json}");
        assert_eq!(json["detail"][1], Value::Null, "{json}");
    }
}

impl TestApi {
    pub(super) async fn start() -> Self {
        Self::with_fetcher(Arc::new(NoNetwork)).await
    }

    /// With what is behind URLs.
    pub(super) async fn with_fetcher(fetcher: Arc<dyn Fetcher>) -> Self {
        Self::with(fetcher, Server::default(), Portal::default(), Limits::default()).await
    }

    /// Reached at a URL, with pages elsewhere that may call.
    pub(super) async fn at(public_url: &str, allowed: &[&str]) -> Self {
        let server = Server { public_url: Some(public_url.to_owned()), ..Server::default() };
        let allowed_origins = allowed.iter().map(|origin| origin.parse().expect("an origin")).collect();
        Self::with(Arc::new(NoNetwork), server, Portal { allowed_origins }, Limits::default()).await
    }

    /// Where a key may make that many requests a second.
    pub(super) async fn with_quota(requests_per_second: u32) -> Self {
        let limits = Limits { requests_per_second_per_key: requests_per_second, ..Limits::default() };
        Self::with(Arc::new(NoNetwork), Server::default(), Portal::default(), limits).await
    }

    async fn with(fetcher: Arc<dyn Fetcher>, server: Server, portal: Portal, limits: Limits) -> Self {
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let Engine { reader, queries, open_writer, kept } = engine(&sealer);
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
        let bounds = JournalLimits { rows_max: limits.journal_rows_max, bytes_max: limits.journal_bytes_max };
        let (journal, task) = Journal::new(bounds, Arc::clone(&metrics), Arc::clone(&clock));
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&reader), 1_000));
        let observer = Follow(Arc::clone(&snapshots));
        let writer = std::thread::spawn(move || {
            let mut writer = open_writer();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(task.run(&mut *writer, &observer));
        });
        let gateway = Arc::new(Gateway {
            admission: Arc::new(Admission::new(journal.health())),
            journal,
            reader,
            queries,
            snapshots,
            sealer,
            guard: AddressGuard::new(Vec::new()),
            clock,
            metrics,
            body_budget: BodyBudget::new(
                limits.body_bytes_in_memory_max,
                limits.body_bytes_max,
                Duration::from_millis(server.body_timeout_ms),
            ),
            quotas: Quotas::new(limits.requests_per_second_per_key),
            receiving: Receiving::new(fetcher),
            trying: Trying::new(Arc::new(Echo)),
            limits,
            server,
            listening: std::sync::OnceLock::new(),
            streams: Arc::new(tokio::sync::Semaphore::new(crate::api::STREAMS_MAX)),
            https_only: false,
            delivery: Delivery::default(),
            portal,
            key_use: KeyUse::default(),
            lanes: Arc::default(),
            started_at: SystemClock.now_ms(),
            retention: Retention::default(),
        });
        let (router, env) = (router(Arc::clone(&gateway)), EnvKey(0));
        let mut api = Self { router, gateway, writer: Some(writer), env, kept };
        api.env = api.environment("test", KEY).await;
        api
    }

    /// Another environment with a key.
    pub(super) async fn environment(&self, name: &str, key: &str) -> EnvKey {
        let Changed::Environment(made) = self
            .change(Change::Access(AccessChange::CreateEnvironment {
                name: name.into(),
                kind: EnvironmentKind::Production,
            }))
            .await
        else {
            panic!("no environment")
        };
        let (env, hash) = (EnvKey(made.id.key), Sha256::digest(key).into());
        let (name, scopes, hint) = ("key".into(), Scopes::FULL, "_key".into());
        self.change(Change::Access(AccessChange::CreateApiKey { env, name, hash, scopes, hint })).await;
        env
    }

    /// Another key of the first environment; its id.
    pub(super) async fn key(&self, key: &str, scopes: &[Scope]) -> Id {
        let (name, hint) = (key.into(), "_key".into());
        let (hash, scopes) = (Sha256::digest(key).into(), Scopes::of(scopes.iter().copied()));
        let made =
            self.change(Change::Access(AccessChange::CreateApiKey { env: self.env, name, hash, scopes, hint })).await;
        let Changed::ApiKey(made) = made else { panic!("{made:?}") };
        made.id
    }

    /// The token of a link of `posthouse login`.
    pub(super) async fn one_time_token(&self) -> String {
        let link = self.gateway.sign_in_link(self.env).await.expect("a link");
        link.split_once("#token=").expect("a token in the fragment").1.to_owned()
    }

    /// An application as it is held in memory.
    pub(super) async fn app(&self, name: &str) -> Arc<AppConfig> {
        let found = self.gateway.snapshots.app_named(self.env, name).await;
        found.expect("a read").expect("an application")
    }

    pub(super) async fn change(&self, change: Change) -> Changed {
        let request = ChangeRequest { at: self.gateway.clock.now_ms(), idempotency: None, change };
        match self.gateway.journal.commit(Command::Change(Box::new(request))).await {
            Ok(Ok(Done::Changed(changed))) => *changed,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        asked::take();
        let answer = self.router.clone().call(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answer.into_parts();
        let is_stream = parts.headers.get("content-type").is_some_and(|of| of == "text/event-stream");
        let body = if is_stream {
            // It goes on until its client has gone.
            first_of(body).await
        } else {
            self.gateway.body_budget.read(body).await.expect("a body")
        };
        assert_eq!(parts.headers["x-content-type-options"], "nosniff");
        let may_be_kept = path.starts_with("/jwks/") && parts.status.is_success();
        // A provider's request is answered as it expects, and by no cache.
        let is_providers = path.starts_with("/in/");
        let is_web_app = path == "/" || path.starts_with("/portal");
        assert!(may_be_kept || is_providers || is_web_app || parts.headers["cache-control"] == "no-store");
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        judge(&method, &path, &answer, &asked::take());
        answer
    }

    /// The events of a stream, as they come.
    pub(super) async fn stream(&self, path: &str, authorization: &str) -> Stream {
        let request = Request::builder().uri(format!("/api/v1{path}")).header("authorization", authorization);
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.router.clone().call(request).await.unwrap_or_else(|never| match never {});
        assert_eq!(answer.status(), 200);
        Stream { body: answer.into_body() }
    }

    /// A call with the key. The path is put behind `/api/v1` unless it begins with two slashes.
    pub(super) async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub(super) async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let path = path
            .strip_prefix('/')
            .filter(|rest| rest.starts_with('/'))
            .map_or_else(|| format!("/api/v1{path}"), str::to_owned);
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).expect("a request")).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, body.to_owned()).await
    }

    /// Publishes messages as fast as the journal takes them.
    pub(super) async fn fill(&self, app: &str, messages: usize, payload: impl Fn(usize) -> String) {
        let config = self.app(app).await;
        let numbers: Vec<usize> = (0..messages).collect();
        for numbers in numbers.chunks(1_000) {
            let published = numbers.iter().map(|&i| {
                let envelope = Envelope { event_type: "filled".into(), ..Envelope::default() };
                self.gateway.publish(Arc::clone(&config), envelope, payload(i).into(), None, None)
            });
            for accepted in futures_util::future::join_all(published).await {
                assert!(accepted.is_ok(), "a message was not taken");
            }
        }
    }

    /// Does all that background tasks have to do, `rows` at a time.
    pub(super) async fn run_tasks(&self, rows: usize) -> Vec<Maintained> {
        let mut all = Vec::new();
        loop {
            let work = Work::RunTasks { slots: SlotSet::FULL };
            let slice = Maintenance { at: self.gateway.clock.now_ms(), work, rows };
            match self.gateway.journal.commit(Command::Maintain(slice)).await {
                Ok(Ok(Done::Maintained(done))) if done.more => all.push(*done),
                Ok(Ok(Done::Maintained(_))) => return all,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Records an attempt of a pending delivery, after which no other follows.
    pub(super) async fn attempt(&self, app: &str, endpoint: &Value, message: &Value, outcome: Outcome) {
        let next = if outcome.is_success() { Next::Done } else { Next::Park(crate::model::Parked::Failed) };
        self.attempt_then(app, endpoint, message, outcome, next).await;
    }

    /// Records an attempt of a pending delivery, and what follows.
    pub(super) async fn attempt_then(
        &self,
        app: &str,
        endpoint: &Value,
        message: &Value,
        outcome: Outcome,
        next: Next,
    ) {
        let key = |kind, value: &Value| Id::parse(kind, value["id"].as_str().unwrap_or_default()).expect("an id").key;
        let endpoint = EndpointKey(key(IdKind::Endpoint, endpoint));
        let config = self.app(app).await;
        let url_id = config.endpoint(endpoint).expect("an endpoint").url_id;
        let settle = Settle {
            app: config.app.key(),
            endpoint,
            message: MessageKey(key(IdKind::Message, message)),
            taken: Taken::Pending,
            trigger: Trigger::Scheduled,
            tenure: 0,
            attempt: Some(AttemptRecord { outcome, url_id }),
            next,
            health: None,
            tell: None,
            at: self.gateway.clock.now_ms(),
        };
        let reply = self.gateway.journal.commit(Command::Settle(Box::new(settle))).await;
        assert!(matches!(reply, Ok(Ok(Done::Settled(_)))), "{reply:?}");
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.gateway.journal.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
    }
}

/// An open stream of events.
pub(super) struct Stream {
    body: Body,
}

impl Stream {
    /// The data of the next event; `None` where the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Value> {
        use http_body_util::BodyExt;
        let waited = Duration::from_secs(20);
        loop {
            let frame = tokio::time::timeout(waited, self.body.frame()).await.expect("an event in time");
            let bytes = frame?.expect("a frame").into_data().expect("data");
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            if let Some(lines) = text.strip_prefix("event: page\n") {
                let data: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                return Some(serde_json::from_str(&data.join("\n")).expect("JSON"));
            }
        }
    }
}

/// The first piece of a body.
async fn first_of(mut body: Body) -> Bytes {
    use http_body_util::BodyExt;
    let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await.expect("a frame in time");
    frame.expect("a frame").expect("a frame").into_data().expect("data")
}

/// An answer of a receiver.
pub(super) fn answered(status: u16, body: &'static [u8]) -> Outcome {
    Outcome {
        kind: if (200..300).contains(&status) { OutcomeKind::Success } else { OutcomeKind::Status },
        status,
        retry_after_s: None,
        body: Bytes::from_static(body),
        started_at: SystemClock.now_ms(),
        duration_ms: 12,
        timings: Timings::default(),
        headers: Vec::new(),
    }
}
