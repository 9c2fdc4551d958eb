//! The shipped binary as a process, on a data folder of its own, and with it a database where the store
//! is PostgreSQL.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use posthouse::config::read_capped;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::engine;
use super::http::{Client, Request, Response};
use super::wait::{eventually, poll_blocking};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_posthouse");
/// A start, also of a store with a long log to read, on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(20);
const LOG_BYTES_MAX: u64 = 256 << 20;

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    settings: Vec<(String, String)>,
    wrapper: Vec<String>,
    ready_within: Duration,
}

impl Builder {
    /// Sets `POSTHOUSE__SECTION__KEY` by its short name: `delivery.retry_schedule`.
    pub(crate) fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        let (section, name) = key.split_once('.').expect("section.key");
        let variable = format!("POSTHOUSE__{}__{}", section.to_uppercase(), name.to_uppercase());
        self.settings.retain(|(existing, _)| *existing != variable);
        self.settings.push((variable, value.to_string()));
        self
    }

    /// Takes back the permission to deliver to this machine.
    pub(crate) fn guarded(mut self) -> Self {
        self.settings.retain(|(name, _)| name != "POSTHOUSE__EGRESS__ALLOW_NETWORKS");
        self
    }

    /// Runs the server by another command, which must replace itself with it.
    pub(crate) fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_within = limit;
        self
    }

    /// Starts the server on a new data folder and makes a key.
    pub(crate) async fn start(self) -> TestApp {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let data_dir = folder.path().join("data");
        self.start_in(folder, data_dir).await
    }

    /// Starts the server on this data folder, which is inside `folder`.
    pub(crate) async fn start_in(self, folder: TempDir, data_dir: PathBuf) -> TestApp {
        self.start_seen(folder, data_dir, |_, data_dir| data_dir.to_owned()).await
    }

    /// Starts a server that is wrapped in a command with mounts of its own, below which the data
    /// folder lies: from outside it is seen through `/proc`. It cannot be started again.
    pub(crate) async fn start_on_own_mount(self, folder: TempDir, data_dir: PathBuf) -> TestApp {
        let through_proc = |pid: u32, data_dir: &Path| {
            let below_root = data_dir.strip_prefix("/").expect("an absolute path");
            Path::new("/proc").join(pid.to_string()).join("root").join(below_root)
        };
        self.start_seen(folder, data_dir, through_proc).await
    }

    async fn start_seen(self, folder: TempDir, data_dir: PathBuf, seen: fn(u32, &Path) -> PathBuf) -> TestApp {
        let log = folder.path().join("stderr.log");
        let nowhere = Client::new(SocketAddr::from(([127, 0, 0, 1], 1)), None);
        let mut app = TestApp { how: self, folder, data_dir, log, child: None, key: String::new(), client: nowhere };
        app.launch().await;
        let seen_as = seen(app.pid(), &app.data_dir);
        engine::is_also(&app.data_dir, seen_as.clone());
        app.data_dir = seen_as;
        app.key = app.create_key();
        app.client = app.client.with_key(Some(&app.key));
        app
    }
}

/// A running server. Dropping it kills it, and fails the test if it has panicked.
#[derive(Debug)]
pub(crate) struct TestApp {
    how: Builder,
    pub(crate) folder: TempDir,
    pub(crate) data_dir: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    pub(crate) key: String,
    pub(crate) client: Client,
}

impl TestApp {
    /// A server that may deliver to this machine.
    pub(crate) fn builder() -> Builder {
        let how = Builder { settings: Vec::new(), wrapper: Vec::new(), ready_within: START_TIME_MAX };
        how.set("egress.allow_networks", "127.0.0.0/8,::1/128")
    }

    /// A server with the defaults.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server that tries failed deliveries again every second, thrice.
    pub(crate) async fn start_retrying() -> Self {
        Self::builder().set("delivery.retry_schedule", "1,1,1").start().await
    }

    fn spawn(&mut self) {
        let stderr = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut words = self.how.wrapper.clone();
        words.extend([BINARY, "serve", "--listen", "127.0.0.1:0"].map(str::to_owned));
        let child = command(&words[0], &self.how.settings)
            .args(&words[1..])
            .args(engine::flags(&self.data_dir))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", words[0]));
        self.child = Some(child);
    }

    async fn launch(&mut self) {
        let before = self.log_text().len();
        self.spawn();
        let address = eventually("the server says where it listens", self.how.ready_within, async || {
            let log = self.log_text();
            let status = self.child.as_mut().expect("a child").try_wait().expect("a status");
            assert!(status.is_none(), "the server did not start ({status:?}): {}", &log[before..]);
            address_in(&log[before..])
        });
        let address = address.await;
        self.client = Client::new(address, Some(self.key.clone()));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.client.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// All that the server wrote to standard error so far.
    pub(crate) fn log_text(&self) -> String {
        read_capped(&self.log, LOG_BYTES_MAX).unwrap_or_default()
    }

    /// Runs another command of the binary on this server's data folder.
    pub(crate) fn cli(&self, words: &[&str]) -> Output {
        cli(&self.data_dir, words, &self.how.settings)
    }

    pub(crate) fn create_key(&self) -> String {
        let output = self.cli(&["key", "create"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "key create: {error}");
        let key = String::from_utf8(output.stdout).expect("text").trim().to_owned();
        assert!(!key.is_empty() && !key.contains(char::is_whitespace), "a key and nothing else: {key:?}");
        key
    }

    /// SIGKILL: what a crash does.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts, and kills before the start is over, or soon after.
    pub(crate) fn kill_while_starting(&mut self, after: Duration) {
        self.kill9();
        self.spawn();
        poll_blocking(after, || false);
        self.kill9();
    }

    /// SIGTERM; does not wait.
    pub(crate) fn ask_to_stop(&self) {
        let child = self.child.as_ref().expect("a running server");
        kill_process(Pid::from_child(child), Signal::TERM).expect("a signal");
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn sigterm(&mut self, within: Duration) -> ExitStatus {
        self.ask_to_stop();
        self.exit(within).await
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn exit(&mut self, within: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("a running server");
        let status = eventually("the server ends", within, async || child.try_wait().expect("a status"));
        let status = status.await;
        self.child = None;
        status
    }

    /// How the server ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("a status"))
    }

    /// Starts again on the same data folder, at another port.
    pub(crate) async fn restart(&mut self) {
        self.kill9();
        self.launch().await;
    }

    /// As [`Self::restart`], started another way from now on.
    pub(crate) async fn restart_as(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.how = change(self.how.clone());
        self.restart().await;
    }

    pub(crate) async fn get(&self, path: impl Into<String>) -> Response {
        self.client.get(path).await
    }

    /// Makes an application; its id.
    pub(crate) async fn application(&self, name: &str) -> String {
        let answer = self.client.post("/api/v1/app", json!({ "name": name })).await.expect(201);
        id_of(&answer.json())
    }

    /// Makes an endpoint; its id.
    pub(crate) async fn endpoint(&self, app_id: &str, url: &str) -> String {
        self.endpoint_with(app_id, url, json!({})).await
    }

    /// Makes an endpoint with further fields; its id.
    pub(crate) async fn endpoint_with(&self, app_id: &str, url: &str, fields: Value) -> String {
        let mut body = fields;
        body["url"] = json!(url);
        id_of(&self.client.post(format!("/api/v1/app/{app_id}/endpoint"), body).await.expect(201).json())
    }

    /// The secret that an endpoint's messages are signed with.
    pub(crate) async fn secret(&self, app_id: &str, endpoint_id: &str) -> String {
        let answer = self.get(format!("/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret")).await.expect(200);
        answer.json()["key"].as_str().expect("a key").to_owned()
    }

    pub(crate) async fn patch_endpoint(&self, app_id: &str, endpoint_id: &str, fields: Value) -> Value {
        self.client.patch(format!("/api/v1/app/{app_id}/endpoint/{endpoint_id}"), fields).await.expect(200).json()
    }

    /// Publishes a message; its id.
    pub(crate) async fn publish(&self, app_id: &str, message: Value) -> String {
        id_of(&self.client.post(format!("/api/v1/app/{app_id}/msg"), message).await.expect(202).json())
    }

    /// Publishes a message that says nothing but its number; its id.
    pub(crate) async fn publish_numbered(&self, app_id: &str, number: usize) -> String {
        self.publish(app_id, json!({ "eventType": "test.event", "payload": { "number": number } })).await
    }

    pub(crate) async fn publish_raw(&self, app_id: &str, body: impl Into<Vec<u8>>) -> Response {
        self.client.send(Request::new("POST", format!("/api/v1/app/{app_id}/msg")).raw_json(body)).await
    }

    pub(crate) async fn resend(&self, app_id: &str, message_id: &str, endpoint_id: &str) {
        let path = format!("/api/v1/app/{app_id}/msg/{message_id}/endpoint/{endpoint_id}/resend");
        self.client.post(path, json!({})).await.expect(202);
    }

    /// The attempts of a message, oldest first.
    pub(crate) async fn attempts(&self, app_id: &str, message_id: &str) -> Vec<Value> {
        let answer = self.get(format!("/api/v1/app/{app_id}/attempt/msg/{message_id}")).await.expect(200);
        let mut attempts = answer.json()["data"].as_array().expect("a list").clone();
        attempts.reverse();
        attempts
    }

    /// Waits until a message has so many attempts on record; these, oldest first.
    pub(crate) async fn wait_for_attempts(
        &self,
        app_id: &str,
        message_id: &str,
        count: usize,
        within: Duration,
    ) -> Vec<Value> {
        let what = format!("{count} attempts of {message_id} on record");
        let attempts = eventually(&what, within, async || {
            let attempts = self.attempts(app_id, message_id).await;
            (attempts.len() >= count).then_some(attempts)
        });
        let attempts = attempts.await;
        assert_eq!(attempts.len(), count, "{attempts:#?}");
        attempts
    }

    /// The value of a metric in whole numbers (or the sum over its labels), 0 where it is not there.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let text = self.get("/metrics").await.expect(200).text();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap_or(0.0))
        });
        values.sum::<f64>().round() as i64
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill9();
        engine::remove_databases(self.folder.path());
        let log = self.log_text();
        if std::thread::panicking() {
            let from = log.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
            eprintln!("--- the end of the server's log ---\n{}", &log[from..]);
        } else {
            let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
            assert!(panics.is_empty(), "the server panicked: {panics:?}");
        }
    }
}

/// The `id` of what was made.
#[track_caller]
pub(crate) fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("an id: {body}")).to_owned()
}

/// Runs a command of the binary on a data folder, and waits for it.
pub(crate) fn cli(data_dir: &Path, words: &[&str], settings: &[(String, String)]) -> Output {
    let mut child = command(BINARY, settings)
        .args(words)
        .args(engine::flags(data_dir))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let ended = poll_blocking(START_TIME_MAX, || child.try_wait().expect("a status").is_some());
    if !ended {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("output");
    assert!(ended, "`{}` did not end: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    output
}

/// A command that sees none of the configuration of whoever runs the tests.
fn command(program: &str, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("POSTHOUSE")) {
        command.env_remove(name);
    }
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on http://")?;
    let (address, _) = rest.split_once(|c: char| c.is_whitespace())?;
    address.trim_end_matches('/').parse().ok()
}
