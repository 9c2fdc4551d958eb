//! A small HTTP/1.1 client: keep-alive, one request at a time on a connection, every byte as given.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 << 20;
const HEADERS_MAX: usize = 64;
/// The server closes what is idle for longer; using it then would be a race.
const IDLE_TIME_MAX: Duration = Duration::from_secs(2);
const IDLE_CONNECTIONS_MAX: usize = 64;
/// The content type of a stream of events.
const EVENTS: &str = "text/event-stream";

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// The answer, if it has this status; fails the test otherwise.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "answered {} {}", self.status, self.text());
        self
    }

    /// The answer is an error of ours with this status; its code.
    #[track_caller]
    pub(crate) fn error(self, status: u16) -> String {
        let body = self.expect(status).json();
        assert!(body["detail"].is_string(), "an error says what it is about: {body}");
        body["code"].as_str().unwrap_or_else(|| panic!("an error has a code: {body}")).to_owned()
    }

    /// The answer is a refusal of a field; checks its shape and that `loc` names the field.
    #[track_caller]
    pub(crate) fn refuses(self, field: &str) -> Self {
        let body = self.clone().expect(422).json();
        let details = body["detail"].as_array().unwrap_or_else(|| panic!("a list of details: {body}"));
        for detail in details {
            assert!(detail["loc"].is_array() && detail["msg"].is_string() && detail["type"].is_string(), "{body}");
        }
        let named = details.iter().any(|d| d["loc"].as_array().is_some_and(|loc| loc.iter().any(|part| part == field)));
        assert!(named, "`loc` names {field}: {body}");
        self
    }
}

/// One connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    last_use: Instant,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), last_use: Instant::now() })
    }

    fn is_fresh(&self) -> bool {
        self.last_use.elapsed() < IDLE_TIME_MAX
            && matches!(self.stream.try_read(&mut [0; 1]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes bytes as they are and reads one answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        let answer = tokio::time::timeout(REQUEST_TIME_MAX, async {
            // What refuses a request may answer and close before it has read all of it.
            let written = self.stream.write_all(request).await;
            match self.read_answer().await {
                Ok(answer) => Ok(answer),
                Err(error) => Err(written.err().unwrap_or(error)),
            }
        });
        let answer = answer.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.last_use = Instant::now();
        Ok(answer)
    }

    async fn read_answer(&mut self) -> io::Result<Response> {
        self.buffer.clear();
        loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                return self.read_body(head).await;
            }
            self.fill().await?;
        }
    }

    async fn read_body(&mut self, head: Head) -> io::Result<Response> {
        let body = match head.framing {
            Framing::Length(length) => {
                while self.buffer.len() < head.bytes + length {
                    self.fill().await?;
                }
                self.buffer[head.bytes..head.bytes + length].to_vec()
            }
            Framing::Chunked => loop {
                if let Some(body) = unchunk(&self.buffer[head.bytes..])? {
                    break body;
                }
                self.fill().await?;
            },
            Framing::UntilClosed => {
                while self.fill().await.is_ok() {}
                self.buffer.split_off(head.bytes)
            }
            Framing::Events => Vec::new(),
        };
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.buffer.len() > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
    /// A stream of events has no end: its head is all that is read, and the connection serves nothing else.
    Events,
}

#[derive(Debug)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    bytes: usize,
    framing: Framing,
}

impl Head {
    fn parse(buffer: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, format!("{e}"));
        let httparse::Status::Complete(bytes) = answer.parse(buffer).map_err(invalid)? else {
            return Ok(None);
        };
        let status = answer.code.unwrap_or_default();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers: Vec<_> = answer.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect();
        let find = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let framing = match (status, find("content-length").and_then(|v| v.parse().ok()), find("transfer-encoding")) {
            (204 | 304, _, _) => Framing::Length(0),
            _ if find("content-type") == Some(EVENTS) => Framing::Events,
            (_, Some(length), _) => Framing::Length(length),
            (_, None, Some(_)) => Framing::Chunked,
            (_, None, None) => Framing::UntilClosed,
        };
        Ok(Some(Self { status, headers, bytes, framing }))
    }
}

/// The body of a chunked answer, once it is there to its end.
fn unchunk(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let httparse::Status::Complete((head, size)) = size else {
            return Ok(None);
        };
        let Some(chunk) = rest.get(head..head + size as usize + 2) else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&chunk[..size as usize]);
        rest = &rest[head + size as usize + 2..];
    }
}

/// A request as text and bytes. Nothing is added but `host`, `content-length` and the key.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw_json(body.to_string())
    }

    pub(crate) fn raw_json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn to_bytes(&self, key: Option<&str>) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.path), "host: posthouse.test".to_owned()];
        lines.extend(key.map(|key| format!("authorization: Bearer {key}")));
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.extend(self.body.as_ref().map(|body| format!("content-length: {}", body.len())));
        let mut bytes = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// A client with a pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    key: Option<String>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: Option<String>) -> Self {
        Self { address, key, idle: Arc::default() }
    }

    /// The same server, by another key or none.
    pub(crate) fn with_key(&self, key: Option<&str>) -> Self {
        Self::new(self.address, key.map(str::to_owned))
    }

    /// Sends one request; `Err` when no whole answer came.
    pub(crate) async fn try_send(&self, request: &Request) -> io::Result<Response> {
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let answer = connection.exchange(&request.to_bytes(self.key.as_deref())).await?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || answer.header("content-type") == Some(EVENTS);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !closes && idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        drop(idle);
        Ok(answer)
    }

    /// Sends one request; fails the test when no answer came.
    pub(crate) async fn send(&self, request: Request) -> Response {
        let answer = self.try_send(&request).await;
        answer.unwrap_or_else(|e| panic!("{} {}: {e}", request.method, request.path))
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.is_fresh() {
                return Some(connection);
            }
        }
        None
    }

    pub(crate) async fn get(&self, path: impl Into<String>) -> Response {
        self.send(Request::new("GET", path)).await
    }

    pub(crate) async fn delete(&self, path: impl Into<String>) -> Response {
        self.send(Request::new("DELETE", path)).await
    }

    pub(crate) async fn post(&self, path: impl Into<String>, body: Value) -> Response {
        self.send(Request::new("POST", path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: impl Into<String>, body: Value) -> Response {
        self.send(Request::new("PUT", path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: impl Into<String>, body: Value) -> Response {
        self.send(Request::new("PATCH", path).json(&body)).await
    }
}
