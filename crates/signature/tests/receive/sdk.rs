//! The providers' own published libraries, by which requests are signed and judged beside ours: they agree on
//! every request, or the difference is listed with its reason.
//!
//! `.ci/prepare` installs the libraries (`tests/sdk`); one process of Node answers all questions of a test.

mod bodies;
mod keyed;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use posthouse_signature::receive::Verifier;
use serde_json::{Map, Value, json};

use crate::support::{AT_MS, Made};

/// Most bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Where a library judges otherwise than we do: the library, the case, and why that is right.
const DIFFERENCES: [(&str, &str, &str); 6] = [
    ("github", "empty", "the library does not take an empty body, as GitHub sends none"),
    ("sanity", "empty", "the library does not take an empty body"),
    ("shopify", "empty", "the library does not take an empty body"),
    ("telnyx", "in the future", "the library looks at the past only; its successors look both ways"),
    ("paddle", "several, first", "the library looks at the last signature only"),
    ("slack", "in the future", "the library looks at the past only; that for Python looks both ways"),
];

/// One process of Node, which ends with its input.
struct Node {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// All tests ask the same: it takes seconds to load so many libraries.
static NODE: LazyLock<Mutex<Node>> = LazyLock::new(|| Mutex::new(Node::start()));

impl Node {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
        let installed = folder.join("node_modules/lock.installed");
        assert!(installed.exists(), "{} is missing: `make test` installs it (.ci/prepare)", installed.display());
        let mut process = Command::new("node")
            .arg(folder.join("ask.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let answers = BufReader::new(process.stdout.take().expect("its output"));
        Self { questions: process.stdin.take().expect("its input"), answers, process }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("asked");
        let mut line = String::new();
        (&mut self.answers).take(ANSWER_BYTES_MAX).read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{question}: {error}: {line:?}, {:?}", self.process.try_wait());
        })
    }
}

/// The libraries, and what a test has found.
#[derive(Default)]
pub(crate) struct Libraries {
    /// Places in [`DIFFERENCES`] that were come upon.
    differences: Vec<usize>,
    /// Those that are not listed.
    disagreements: Vec<String>,
}

/// A request, what a source is configured with, and what else a library is told.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) made: Made,
    pub(crate) config: Value,
    /// Beside the request: `secret`, and what single libraries need.
    pub(crate) asked: Value,
    pub(crate) now_ms: i64,
}

impl Libraries {
    /// Asks one question.
    fn ask(of: &str, op: &str, case: &Case) -> Value {
        let header = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
        let headers = case.made.headers.iter().map(|(name, value)| (name.as_str().to_owned(), header(value)));
        let mut question = json!({
            "of": of,
            "op": op,
            "now_ms": case.now_ms,
            "id": "msg_1",
            "method": case.made.method.as_str(),
            "url": case.made.url,
            "headers": headers.collect::<Map<_, _>>(),
            "body": STANDARD.encode(&case.made.body),
            "config": case.config,
        });
        for (name, value) in case.asked.as_object().expect("an object") {
            question[name] = value.clone();
        }
        NODE.lock().unwrap_or_else(PoisonError::into_inner).ask(&question)
    }

    /// What a library adds to a request; `None` where it has nothing to sign with. It may name the configuration
    /// that goes with its keys, and one that does not.
    pub(crate) fn sign(of: &str, case: &mut Case) -> Option<Value> {
        let answer = Self::ask(of, "sign", case);
        let headers = answer.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, value) in &headers {
            case.made.set(name, value.as_str().expect("a text"));
        }
        if let Some(url) = answer.get("url").and_then(Value::as_str) {
            url.clone_into(&mut case.made.url);
        }
        if let Some(body) = answer.get("body").and_then(Value::as_str) {
            case.made.body = STANDARD.decode(body).expect("base64");
        }
        if let Some(config) = answer.get("config") {
            case.config = config.clone();
        }
        (!answer.is_null()).then_some(answer)
    }

    /// Judges a case, and has its library judge it if that verifies; [`Self::finish`] tells.
    pub(crate) fn check(&mut self, of: &str, name: &str, judged: &Case, is_valid: bool) {
        let cause = judged.made.cause(&verifier(of, &judged.config), judged.now_ms);
        if cause.is_none() != is_valid {
            self.disagreements.push(format!("{of}, {name}: expected {is_valid}, we say {cause:?}"));
        }
        if bodies::ONLY_SIGNING.contains(&of) {
            return;
        }
        let answer = Self::ask(of, "verify", judged);
        let is_same = answer["is_genuine"] == is_valid;
        let listed = DIFFERENCES.iter().position(|(other, its, _)| *other == of && *its == name);
        if !is_same && listed.is_none() {
            self.disagreements.push(format!("{of}, {name}: expected {is_valid}, the library says {answer}"));
        }
        self.differences.extend(listed.filter(|_| !is_same));
    }

    /// All agreed, and each difference that is listed for these libraries was come upon.
    pub(crate) fn finish(&self, of: &[&str]) {
        assert!(self.disagreements.is_empty(), "{:#?}", self.disagreements);
        for (place, (library, name, why)) in DIFFERENCES.iter().enumerate() {
            let is_found = self.differences.contains(&place) || !of.contains(library);
            assert!(is_found, "{library} does not differ in `{name}` any more: {why}");
        }
    }
}

/// A source of a library's type.
pub(crate) fn verifier(of: &str, config: &Value) -> Verifier {
    let config = config.as_object().expect("an object").clone();
    Verifier::new(of, config).unwrap_or_else(|error| panic!("{of}: {error}"))
}

impl Case {
    /// A request that is not signed yet.
    pub(crate) fn new(body: &[u8], config: Value, asked: Value) -> Self {
        Self { made: Made::new(body), config, asked, now_ms: AT_MS }
    }

    /// The same with a change of the request.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Made)) -> Self {
        let mut case = self.clone();
        change(&mut case.made);
        case
    }

    /// The same, so many seconds later.
    pub(crate) fn later(&self, seconds: i64) -> Self {
        Self { now_ms: self.now_ms + seconds * 1_000, ..self.clone() }
    }

    /// The same for a source with another configuration, and a library with another secret.
    pub(crate) fn configured(&self, config: Value, asked: Value) -> Self {
        Self { config, asked, ..self.clone() }
    }
}
