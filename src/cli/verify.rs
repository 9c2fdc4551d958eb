//! `posthouse verify`: judges one captured request, or a file of test vectors, as a source would.
//!
//! Needs neither a server nor a store, and opens no connection: what a scheme has to fetch is given by
//! `--fetched`.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use posthouse_signature::receive::vectors::{self, Outcome};
use posthouse_signature::receive::{self, Context, Fetched, Reply, Request, Verdict, Verifier};
use serde_json::{Map, Value};

use super::EXIT_USAGE;
use super::operate::print;
use crate::model::time::{Clock as _, SystemClock};

/// Most bytes of a body, a key file or a vector file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The name that means standard input.
const STANDARD_INPUT: &str = "-";

/// What a request and its source are, on the command line.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// The source type: see `posthouse sources types`
    #[arg(long = "type", value_name = "TYPE")]
    source_type: Option<String>,
    /// A secret; several while one is being replaced
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// A setting of the type; `K=@FILE` reads it from a file, the same K again makes a list
    // The flag of all commands has this name too, and clap wants one type of both: here it is a setting.
    #[arg(id = "config", long = "config", value_name = "K=V")]
    config: Vec<PathBuf>,
    /// The method
    #[arg(long, default_value = "POST")]
    method: String,
    /// The whole URL, as it is registered at the provider
    #[arg(long, default_value = "https://localhost/")]
    url: String,
    /// A header, as `Name: value`
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// The time of day, in seconds since 1970 or as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// The file that has the body [default: standard input]
    #[arg(value_name = "BODY")]
    body: Option<PathBuf>,
}

/// `posthouse verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// What was fetched, for types whose keys come by URL
    #[arg(long, value_name = "URL=FILE")]
    fetched: Vec<String>,
    /// The source has had its handshake
    #[arg(long)]
    registered: bool,
    /// Run a file of test vectors instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source_type", "secret", "config", "header", "body"])]
    vectors: Option<PathBuf>,
}

/// A request and what judges it, made of the command line.
pub(super) struct Given {
    pub(super) verifier: Verifier,
    pub(super) now_ms: i64,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Given {
    pub(super) fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }
}

/// What was fetched, from files.
struct Files(HashMap<String, Vec<u8>>);

impl Fetched for Files {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url).map(Vec::as_slice)
    }
}

/// 0 for accepted, 1 for refused, 2 for what could not be judged.
pub(super) fn run(args: &VerifyArgs) -> ExitCode {
    let judged = match &args.vectors {
        Some(path) => run_vectors(path),
        None => run_one(args),
    };
    or_usage(judged)
}

/// An error of these commands is one of usage.
pub(super) fn or_usage(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("posthouse: {error:#}");
        ExitCode::from(EXIT_USAGE)
    })
}

fn run_one(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let given = args.request.read()?;
    let mut fetched = HashMap::new();
    for pair in &args.fetched {
        // A file's name has no `=`, a URL may.
        let (url, path) = pair.rsplit_once('=').context("`--fetched` is URL=FILE")?;
        fetched.insert(url.to_owned(), read_file(Path::new(path))?);
    }
    let files = Files(fetched);
    let context = Context { now_ms: given.now_ms, fetched: &files, is_registered: args.registered, explains: true };
    match given.verifier.judge(&given.request(), &context) {
        Verdict::Accepted => {
            let is_verified = given.verifier.is_verifying();
            print(if is_verified { "valid" } else { "accepted; nothing is verified for want of a secret" })?;
            let described = given.verifier.describe(&given.request());
            described.event_id.map_or(Ok(()), |id| print(&format!("event id: {id}")))?;
            described.event_type.map_or(Ok(()), |kind| print(&format!("event type: {kind}")))?;
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Handshake(reply) => print_handshake(&reply).map(|()| ExitCode::SUCCESS),
        Verdict::Rejected(rejection) => {
            print(&format!("invalid: {}", rejection.cause))?;
            rejection.hint.map_or(Ok(()), |hint| print(&format!("hint: {hint}")))?;
            Ok(ExitCode::FAILURE)
        }
        Verdict::Needs(need) => bail!("it takes what is at {0}: give it as --fetched {0}=FILE", need.url),
    }
}

fn print_handshake(reply: &Reply) -> anyhow::Result<()> {
    print(&format!("handshake: answered with status {}", reply.status))?;
    for (name, value) in &reply.headers {
        print(&format!("{name}: {value}"))?;
    }
    let body = String::from_utf8_lossy(&reply.body);
    if body.is_empty() { Ok(()) } else { print(&format!("\n{body}")) }
}

/// Runs a file of vectors: each that does not agree, and the three counts. What cannot be mapped is an error.
fn run_vectors(path: &Path) -> anyhow::Result<ExitCode> {
    let file = read_file(path)?;
    let file: Value = serde_json::from_slice(&file).with_context(|| format!("{} is no JSON", path.display()))?;
    let ran = vectors::run(&file).with_context(|| path.display().to_string())?;
    let (mut agree, mut disagree, mut unsupported) = (0, 0, 0);
    for one in &ran {
        match &one.outcome {
            Outcome::Agrees => agree += 1,
            Outcome::Disagrees { expected, found } => {
                disagree += 1;
                print(&format!("{}: expected {expected}, found {found}", one.id))?;
            }
            Outcome::Unsupported { why } => {
                unsupported += 1;
                print(&format!("{}: unsupported: {why}", one.id))?;
            }
        }
    }
    print(&format!("{agree} agree, {disagree} disagree, {unsupported} unsupported"))?;
    Ok(match (disagree, unsupported) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(EXIT_USAGE),
        _ => ExitCode::FAILURE,
    })
}

impl RequestArgs {
    /// Makes the request and what judges it.
    pub(super) fn read(&self) -> anyhow::Result<Given> {
        let name = self.source_type.as_deref().context("`--type` is needed: see `posthouse sources types`")?;
        let mut headers = HeaderMap::new();
        for header in &self.header {
            let (name, value) = header.split_once(':').with_context(|| format!("`{header}` is no `Name: value`"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).context("a header's name")?;
            headers.append(name, HeaderValue::from_str(value.trim()).context("a header's value")?);
        }
        Ok(Given {
            verifier: Verifier::new(name, self.settings(name)?)?,
            now_ms: self.now_ms()?,
            method: Method::from_bytes(self.method.to_ascii_uppercase().as_bytes()).context("`--method`")?,
            url: self.url.clone(),
            headers,
            body: self.body()?,
        })
    }

    fn settings(&self, type_name: &str) -> anyhow::Result<Map<String, Value>> {
        let schema = receive::find(type_name).map(receive::config_schema).unwrap_or_default();
        let mut settings = Map::new();
        match self.secret.as_slice() {
            [] => {}
            [one] => drop(settings.insert("secret".to_owned(), one.as_str().into())),
            several => drop(settings.insert("secrets".to_owned(), several.into())),
        }
        for pair in &self.config {
            let pair = pair.to_str().context("`--config` is K=V in UTF-8")?;
            let (name, text) = pair.split_once('=').context("`--config` is K=V")?;
            let text = match text.strip_prefix('@') {
                Some(path) => {
                    let bytes = read_file(Path::new(path))?;
                    String::from_utf8(bytes).with_context(|| format!("{path} is no text"))?.trim_end().to_owned()
                }
                None => text.to_owned(),
            };
            let value = match schema["properties"][name]["type"].as_str() {
                Some("string" | "array") => Value::String(text),
                // Numbers, objects and lists; what is none is left to the check of the configuration.
                _ => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            };
            match settings.get_mut(name) {
                None if schema["properties"][name]["type"] == "array" => {
                    drop(settings.insert(name.to_owned(), Value::Array(vec![value])));
                }
                None => drop(settings.insert(name.to_owned(), value)),
                Some(Value::Array(list)) => list.push(value),
                Some(one) => *one = Value::Array(vec![one.take(), value]),
            }
        }
        Ok(settings)
    }

    fn now_ms(&self) -> anyhow::Result<i64> {
        let Some(text) = &self.now else {
            return Ok(SystemClock.now_ms());
        };
        if let Ok(seconds) = text.parse::<i64>() {
            return seconds.checked_mul(1_000).context("`--now` is too far away");
        }
        let at: jiff::Timestamp = text.parse().context("`--now` is seconds since 1970, or RFC 3339")?;
        Ok(at.as_millisecond())
    }

    fn body(&self) -> anyhow::Result<Vec<u8>> {
        match &self.body {
            Some(path) if path.as_os_str() != STANDARD_INPUT => read_file(path),
            _ => read(std::io::stdin().lock()).context("standard input"),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    read(file).with_context(|| path.display().to_string())
}

fn read(from: impl std::io::Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("larger than {FILE_BYTES_MAX} bytes");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    fn given(args: &[&str]) -> anyhow::Result<Given> {
        match Cli::try_parse_from([&["posthouse", "verify"], args].concat())?.command {
            Command::Verify(args) => args.request.read(),
            other => panic!("another command: {other:?}"),
        }
    }

    #[test]
    fn settings_are_read_as_the_type_has_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let (body, key) = (folder.path().join("body"), folder.path().join("key"));
        std::fs::write(&body, b"{}").expect("written");
        std::fs::write(&key, b"a\n").expect("written");
        let (body, key) = (body.to_str().expect("a path"), format!("secret=@{}", key.display()));
        let stripe = ["--type", "stripe", "--config", &key, "--config", "toleranceSeconds=60", "--now", "1760000000"];
        let read = given(&[&stripe[..], &[body]].concat()).expect("a request");
        assert_eq!((read.now_ms, read.body.as_slice()), (1_760_000_000_000, b"{}".as_slice()));
        let signed = read.verifier.sign(&read.request(), read.now_ms, "id").expect("signed");
        let (_, header) = &signed.headers[0];
        let again = ["--type", "stripe", "--secret", "b", "--secret", "a", "--now", "2025-10-09T08:53:20Z"];
        let header = format!("Stripe-Signature: {header}");
        let again = given(&[&again[..], &["--header", &header, body]].concat()).expect("a request");
        let files = Files(HashMap::new());
        let context = Context { now_ms: again.now_ms, fetched: &files, is_registered: false, explains: true };
        assert_eq!(again.verifier.judge(&again.request(), &context), Verdict::Accepted);
        let basic =
            ["--type", "postmark", "--config", "username=1", "--config", "password=2", "--config", "password=3"];
        assert!(given(&[&basic[..], &[body]].concat()).is_ok(), "digits are a text where a text is wanted");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |args: &[&str], expected: &str| {
            let said = given(args).map(|_| ()).expect_err("refused").to_string();
            assert!(said.contains(expected), "{said}");
        };
        check(&["-"], "--type");
        check(&["--type", "stripe"], "`secret`: is needed");
        check(&["--type", "stripe", "--config", "a"], "K=V");
        check(&["--type", "stripe", "--secret", "a", "--header", "b"], "Name: value");
        check(&["--type", "nothing"], "no source type is named");
        check(&["--type", "vgs", "--secret", "a"], "could not be confirmed");
        check(&["--vectors", "a", "--type", "b"], "cannot be used with");
    }
}
