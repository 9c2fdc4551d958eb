//! The guarded client: the only way out of the process.
//!
//! One call of [`Client::attempt`] is at most one request on the wire. Dropping its future
//! closes the connection.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::classify;
use super::connect::Connector;
use super::decode::Coding;
use super::guard::AddressGuard;
use super::pool::{Conn, Pool, PoolLimits};
use super::resolve::Resolve;
use super::retry_after;
use super::stopwatch::Stopwatch;
use super::target::Target;
use super::tls::{self, TlsSetupError};
use crate::model::awaited::EndpointAnswer;
use crate::model::outcome::{Outcome, OutcomeKind, RetryAfterS};
use crate::model::time::Clock;
use crate::model::trace::{HEADER_BYTES_MAX, HEADERS_MAX, Header, Phase, Timings, is_sensitive};

/// What an answer's head may take, in bytes; at most 100 headers, hyper's own bound (naming it
/// would cost an allocation per answer).
const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;

/// What may come over the wire until there is a head, with all interim answers (1xx) before it.
const BYTES_BEFORE_HEAD_MAX: u64 = 8 * RESPONSE_HEAD_BYTES_MAX as u64;

/// Pieces of a body that are taken: one in chunks of a byte each would cost far more than its bytes.
const BODY_PIECES_MAX: u32 = 4_096;

/// The client's bounds; the names are those of the configuration.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// TCP and TLS together (`delivery.connect_timeout_ms`).
    pub connect_timeout: Duration,
    /// How much of an answer's body is read and kept.
    pub response_bytes_max: usize,
    /// Roots beside the web's, in PEM (`egress.extra_ca_file`).
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Idle connections kept per scheme, host and port.
    pub idle_per_host_max: usize,
    /// Idle connections kept in all.
    pub idle_total_max: usize,
    /// How long a connection may have been idle to be used again: less than the 5 s after which
    /// many servers close.
    pub idle_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            response_bytes_max: 64 * 1024,
            extra_ca_pem: None,
            idle_per_host_max: 128,
            idle_total_max: 4_096,
            idle_timeout: Duration::from_secs(4),
        }
    }
}

/// What one attempt sends.
#[derive(Debug, Clone)]
pub struct OutboundRequest {
    /// Usually `POST`.
    pub method: Method,
    /// Where to.
    pub target: Arc<Target>,
    /// Path and query, where they are not the target's.
    pub path: Option<http::Uri>,
    /// All headers but those that HTTP needs (`host`, `content-length`), which are set here.
    pub headers: HeaderMap,
    /// The bytes, as they are.
    pub body: Bytes,
}

impl OutboundRequest {
    /// A `POST` of `body`.
    pub fn post(target: Arc<Target>, headers: HeaderMap, body: Bytes) -> Self {
        Self { method: Method::POST, target, path: None, headers, body }
    }

    pub(super) fn into_http(self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.unwrap_or_else(|| self.target.path.clone());
        *request.headers_mut() = self.headers;
        let headers = request.headers_mut();
        headers.insert(HOST, self.target.host_header.clone());
        if let Some(basic) = &self.target.basic_auth {
            headers.entry(AUTHORIZATION).or_insert_with(|| basic.clone());
        }
        request
    }
}

/// The guarded client with its idle connections. Share it in an `Arc`.
pub struct Client {
    connector: Connector,
    pool: Pool,
    http: http1::Builder,
    response_bytes_max: usize,
    /// Held while an answer is decoded, so that there is one decoder's memory and not one a core.
    decoding: Mutex<()>,
}

impl Client {
    /// A client whose connections all pass `guard`, for as long as it lives.
    pub fn new(config: &ClientConfig, resolver: Arc<dyn Resolve>, guard: AddressGuard) -> Result<Self, TlsSetupError> {
        let mut http = http1::Builder::new();
        // The buffer's bound alone lets a longer head pass that comes in one read.
        http.max_buf_size(RESPONSE_HEAD_BYTES_MAX);
        http.max_header_size(RESPONSE_HEAD_BYTES_MAX);
        Ok(Self {
            connector: Connector {
                connect_timeout: config.connect_timeout,
                resolver,
                guard,
                tls: tls::connector(config.extra_ca_pem.as_deref())?,
            },
            pool: Pool::new(PoolLimits {
                per_host_max: config.idle_per_host_max,
                total_max: config.idle_total_max,
                idle_timeout: config.idle_timeout,
            }),
            http,
            response_bytes_max: config.response_bytes_max,
            decoding: Mutex::new(()),
        })
    }

    /// The rules that this client's connections pass.
    pub fn guard(&self) -> &AddressGuard {
        &self.connector.guard
    }

    /// Closes idle connections that are too old or were closed by their peers. To be called
    /// every second or so; without it they are closed only when their destination is due again.
    pub fn sweep(&self, now: Instant) {
        self.pool.sweep(now);
    }

    /// How many connections are idle now.
    pub fn idle_count(&self) -> usize {
        self.pool.idle_count()
    }

    /// Sends one request, once, and says what it came to. `timeout` covers everything: DNS,
    /// connecting, TLS, the request, the answer's head and its body.
    ///
    /// An attempt that fails after the answer's head came keeps its status and what was read. A
    /// compressed body is kept as what it says, if that can be told.
    pub async fn attempt(&self, request: OutboundRequest, timeout: Duration, clock: &dyn Clock) -> Outcome {
        self.send(request, timeout, clock, self.response_bytes_max, false).await.0
    }

    /// As [`Self::attempt`], with the whole answer where it is 2xx and has fewer than `bytes_max` bytes; the
    /// outcome keeps no more of it than it does of any other.
    pub async fn ask(
        &self,
        request: OutboundRequest,
        timeout: Duration,
        clock: &dyn Clock,
        bytes_max: usize,
    ) -> (Outcome, Option<EndpointAnswer>) {
        let (mut outcome, answer) = self.send(request, timeout, clock, bytes_max, true).await;
        let body = outcome.body.clone();
        if body.len() > self.response_bytes_max {
            // A slice would keep all of it in memory.
            outcome.body = Bytes::copy_from_slice(&body[..self.response_bytes_max]);
        }
        // What is compressed would have to be passed on with its coding, which nobody asked for.
        let is_passed_on = outcome.is_success() && answer.is_whole && !answer.is_coded && body.len() < bytes_max;
        let whole =
            is_passed_on.then_some(EndpointAnswer { status: answer.status, content_type: answer.content_type, body });
        (outcome, whole)
    }

    async fn send(
        &self,
        request: OutboundRequest,
        timeout: Duration,
        clock: &dyn Clock,
        bytes_max: usize,
        is_asked_for: bool,
    ) -> (Outcome, Answer) {
        let started_at = clock.now_ms();
        let began = Instant::now();
        let mut answer = Answer { is_asked_for, ..Answer::default() };
        let run = self.run(request, began, clock, &mut answer, bytes_max);
        // Without tokio's budget of operations per task, which would be handed to wakers that
        // do nothing (see `exchange`); an attempt's own work is bounded by its caps.
        let run = tokio::task::unconstrained(timeout_at(began + timeout, run));
        let kind = match run.await {
            Ok(Ok(())) if answer.status.is_success() => OutcomeKind::Success,
            Ok(Ok(())) => OutcomeKind::Status,
            Ok(Err(kind)) => kind,
            Err(_) => OutcomeKind::Timeout,
        };
        let outcome = Outcome {
            kind,
            status: if answer.came { answer.status.as_u16() } else { 0 },
            retry_after_s: answer.retry_after_s,
            body: Bytes::from(self.readable(answer.coding, std::mem::take(&mut answer.body), bytes_max)),
            started_at,
            duration_ms: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
            // Of an address that may not be delivered to nothing more is told.
            timings: if kind == OutcomeKind::Blocked { Timings::default() } else { answer.stopwatch.read() },
            headers: if kind == OutcomeKind::Success { Vec::new() } else { kept(&answer.headers) },
        };
        (outcome, answer)
    }

    async fn run(
        &self,
        request: OutboundRequest,
        now: Instant,
        clock: &dyn Clock,
        answer: &mut Answer,
        bytes_max: usize,
    ) -> Result<(), OutcomeKind> {
        let key = Arc::clone(&request.target.key);
        let mut conn = match self.pool.take(&key, now) {
            Some(conn) => conn,
            None => self.connect(&request.target, &mut answer.stopwatch).await?,
        };
        answer.stopwatch.enter(Phase::FirstByte);
        let incoming = exchange(&mut conn, request.into_http()).await?;
        answer.stopwatch.enter(Phase::Body);
        answer.read_head(&incoming, clock);
        let (head, mut body) = incoming.into_parts();
        answer.headers = head.headers;
        answer.is_whole = read_body(&mut conn, &mut body, &mut answer.body, bytes_max).await?;
        if answer.is_whole {
            drop(body);
            self.pool.put(&key, conn, Instant::now());
        }
        Ok(())
    }

    /// The body without its compression; as it came, where it has none or cannot be read.
    fn readable(&self, coding: Option<Coding>, body: Vec<u8>, bytes_max: usize) -> Vec<u8> {
        let Some(coding) = coding.filter(|_| !body.is_empty()) else { return body };
        let _alone = self.decoding.lock().unwrap_or_else(PoisonError::into_inner);
        coding.decode(&body, bytes_max).unwrap_or(body)
    }

    async fn connect(&self, target: &Target, stopwatch: &mut Stopwatch) -> Result<Box<Conn>, OutcomeKind> {
        let stream = self.connector.connect(&target.key, stopwatch).await?;
        let meter = stream.meter();
        let handshake = self.http.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|e| classify::exchange_error(&e))?;
        Ok(Box::new(Conn::new(sender, connection, meter, Instant::now())))
    }
}

/// What has come back so far; it outlives a deadline that strikes in the middle.
#[derive(Default)]
struct Answer {
    came: bool,
    /// Somebody waits for all of it: what of its head goes with it is kept.
    is_asked_for: bool,
    status: StatusCode,
    retry_after_s: Option<RetryAfterS>,
    coding: Option<Coding>,
    content_type: Option<HeaderValue>,
    body: Vec<u8>,
    is_whole: bool,
    is_coded: bool,
    headers: HeaderMap,
    stopwatch: Stopwatch,
}

impl Answer {
    fn read_head<B>(&mut self, response: &http::Response<B>, clock: &dyn Clock) {
        self.came = true;
        self.status = response.status();
        self.coding = Coding::of(response.headers());
        if self.is_asked_for {
            self.is_coded = response.headers().contains_key(CONTENT_ENCODING);
            self.content_type = response.headers().get(CONTENT_TYPE).cloned();
        }
        let overloaded = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if overloaded.contains(&self.status) {
            let header = response.headers().get(RETRY_AFTER);
            self.retry_after_s = header.and_then(|value| retry_after::parse(value, clock));
        }
    }
}

/// What is kept of an answer's headers: the first of them, within the bounds. They are hostile text; of sensitive
/// ones the names alone are kept.
fn kept(headers: &HeaderMap) -> Vec<Header> {
    let mut room = HEADER_BYTES_MAX;
    let mut found = Vec::new();
    for (name, value) in headers.iter().take(HEADERS_MAX) {
        let name = name.as_str();
        let value = if is_sensitive(name) { "".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        let Some(left) = room.checked_sub(name.len() + value.len()) else { continue };
        room = left;
        found.push((name.to_owned(), value.into_owned()));
    }
    found
}

/// Sends the request and waits for the answer's head.
///
/// hyper's channels between its handle and its I/O get a waker that does nothing: the I/O is
/// driven right here with the task's own, and nothing else ever fills these channels.
async fn exchange(conn: &mut Conn, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, OutcomeKind> {
    let read_before = conn.bytes_read();
    let mut response = pin!(conn.sender.send_request(request));
    std::future::poll_fn(|cx| {
        let over = conn.drive(cx);
        match response.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|e| classify::exchange_error(&e))),
            Poll::Pending if over => Poll::Ready(Err(OutcomeKind::Closed)),
            Poll::Pending if conn.bytes_read() - read_before > BYTES_BEFORE_HEAD_MAX => {
                Poll::Ready(Err(OutcomeKind::Protocol))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads the body into `kept`, up to `bytes_max` and `BODY_PIECES_MAX`. `true` when it was read to its end; `false`
/// when there is more, and the connection has to be closed.
async fn read_body(
    conn: &mut Conn,
    body: &mut Incoming,
    kept: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<bool, OutcomeKind> {
    let mut pieces = 0;
    std::future::poll_fn(|cx| {
        // Takes what is there, does I/O, looks again, until neither brings anything.
        let (mut driven, mut over) = (false, false);
        loop {
            let mut noop = Context::from_waker(Waker::noop());
            match Pin::new(&mut *body).poll_frame(&mut noop) {
                Poll::Ready(None) => return Poll::Ready(Ok(true)),
                Poll::Ready(Some(Err(e))) => {
                    return Poll::Ready(Err(classify::exchange_error(&e)));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.data_ref().map_or(&[][..], |data| data);
                    let room = bytes_max - kept.len();
                    kept.extend_from_slice(&data[..data.len().min(room)]);
                    pieces += 1;
                    if data.len() > room || pieces > BODY_PIECES_MAX {
                        return Poll::Ready(Ok(false));
                    }
                    driven = false;
                }
                Poll::Pending if !driven => {
                    over = conn.drive(cx);
                    driven = true;
                }
                Poll::Pending if over => return Poll::Ready(Err(OutcomeKind::Closed)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
