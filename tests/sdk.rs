//! The official SDKs, unmodified, against the shipped binary: Python, JavaScript and Rust, of each
//! the newest and an older major version, through every operation that they offer.
//!
//! The programs are in `tests/sdk/`, and `.ci/prepare` installs what they need. Each says
//! `proved METHOD PATH` when an operation did all that is expected of it.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::app::TestApp;

/// What the SDKs offer of the operations that are served. Each of them proves every one of these.
const OFFERED: [&str; 67] = [
    "GET /api/v1/health",
    "GET /api/v1/app",
    "POST /api/v1/app",
    "GET /api/v1/app/{app_id}",
    "PUT /api/v1/app/{app_id}",
    "PATCH /api/v1/app/{app_id}",
    "DELETE /api/v1/app/{app_id}",
    "GET /api/v1/event-type",
    "POST /api/v1/event-type",
    "GET /api/v1/event-type/{event_type_name}",
    "PUT /api/v1/event-type/{event_type_name}",
    "PATCH /api/v1/event-type/{event_type_name}",
    "DELETE /api/v1/event-type/{event_type_name}",
    "GET /api/v1/app/{app_id}/endpoint",
    "POST /api/v1/app/{app_id}/endpoint",
    "GET /api/v1/app/{app_id}/endpoint/{endpoint_id}",
    "PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}",
    "PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}",
    "DELETE /api/v1/app/{app_id}/endpoint/{endpoint_id}",
    "GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    "PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    "PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    "GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example",
    "GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
    "GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
    "GET /api/v1/app/{app_id}/msg",
    "POST /api/v1/app/{app_id}/msg",
    "GET /api/v1/app/{app_id}/msg/{msg_id}",
    "DELETE /api/v1/app/{app_id}/msg/{msg_id}/content",
    "GET /api/v1/app/{app_id}/msg/{msg_id}/endpoint",
    "POST /api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
    "GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
    "DELETE /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
    "GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
    "GET /api/v1/app/{app_id}/attempt/msg/{msg_id}",
    "POST /api/v1/auth/app-portal-access/{app_id}",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/app/{app_id}/expire-all",
    "GET /api/v1/background-task",
    "GET /api/v1/background-task/{task_id}",
    "GET /api/v1/operational-webhook/endpoint",
    "POST /api/v1/operational-webhook/endpoint",
    "GET /api/v1/operational-webhook/endpoint/{endpoint_id}",
    "PUT /api/v1/operational-webhook/endpoint/{endpoint_id}",
    "DELETE /api/v1/operational-webhook/endpoint/{endpoint_id}",
    "GET /api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
    "PUT /api/v1/operational-webhook/endpoint/{endpoint_id}/headers",
    "GET /api/v1/operational-webhook/endpoint/{endpoint_id}/secret",
    "POST /api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate",
    "GET /ingest/api/v1/source",
    "POST /ingest/api/v1/source",
    "GET /ingest/api/v1/source/{source_id}",
    "PUT /ingest/api/v1/source/{source_id}",
    "DELETE /ingest/api/v1/source/{source_id}",
    "POST /ingest/api/v1/source/{source_id}/token/rotate",
    "GET /ingest/api/v1/source/{source_id}/endpoint",
    "POST /ingest/api/v1/source/{source_id}/endpoint",
    "GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
    "PUT /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
    "DELETE /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}",
    "GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers",
    "PUT /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers",
    "GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret",
    "POST /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate",
];

/// What the SDKs offer, too: proved by those for Python.
const PROVED_BY_PYTHON: [&str; 5] = [
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
    "POST /api/v1/event-type/import/openapi",
    "POST /api/v1/stats/usage/app",
    "PUT /api/v1/stats/usage/event-types",
];

/// What is served and no SDK offers, with the reason. The tests of these are elsewhere.
const NOT_OFFERED: &[(&str, &str)] = &[
    ("GET /api/v1/app/stats/count-active", "of the hosted service's own pages"),
    ("GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}/count", "of the hosted service's own pages"),
    ("GET /api/v1/app/{app_id}/events", "of the hosted service's own pages"),
    ("GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/headers", "of the hosted service's own pages"),
    ("GET /api/v1/app/{app_id}/stats/attempts", "of the hosted service's own pages"),
    ("GET /api/v1/events", "of the hosted service's own pages"),
    ("GET /api/v1/stats/app/{app_id}/attempt", "of the hosted service's own pages"),
    ("GET /api/v1/stats/endpoint/count", "of the hosted service's own pages"),
    ("POST /api/v1/app/{app_id}/msg/search", "of the hosted service's own pages"),
    ("GET /api/v1/app/{app_id}/message", "ours: messages with where they stand"),
    ("GET /api/v1/app/{app_id}/message/live", "ours: the same, as they come"),
    ("GET /api/v1/message", "ours: messages with where they stand"),
    ("GET /api/v1/message/live", "ours: the same, as they come"),
    ("GET /api/v1/endpoint", "ours: endpoints of all applications"),
    ("GET /api/v1/lookup/{id}", "ours: what an id names"),
    ("GET /api/v1/overview", "ours, for pages"),
    ("GET /api/v1/system", "ours, for pages"),
    ("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/cancel-msgs", "of the hosted service's own pages"),
    ("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt", "of the hosted service's own pages"),
    ("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover/count", "ours, before a recovery"),
    ("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing/count", "ours, before a replay"),
    ("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay/count", "ours, before a replay"),
    ("POST /api/v1/app/{app_id}/msg/{msg_id}/resend-failed", "ours, for pages"),
    ("POST /api/v1/app/{app_id}/msg/{msg_id}/try", "ours, for pages"),
    ("POST /api/v1/event-type/export/openapi", "of the hosted service's own pages"),
    ("GET /api/v1/event-type/export/openapi", "ours, without a task"),
    ("POST /ingest/api/v1/source/{source_id}/sample", "ours, to try a source out"),
    ("GET /api/v1/app/{app_id}/msg/{msg_id}/raw", "the SDKs read messages as JSON"),
    ("GET /api/v1/event-type/{event_type_name}/retry-schedule", "of the hosted service's own pages"),
    ("PUT /api/v1/event-type/{event_type_name}/retry-schedule", "of the hosted service's own pages"),
    ("GET /api/v1/management/environment-settings", "of the hosted service's own pages"),
    ("PUT /api/v1/management/environment-settings", "of the hosted service's own pages"),
    ("PATCH /api/v1/management/environment-settings", "of the hosted service's own pages"),
    ("GET /api/v1/environment/settings", "of the hosted service's own pages"),
    ("POST /api/v1/auth/session", "ours, for browsers"),
    ("GET /api/v1/auth/session", "ours, for browsers"),
    ("DELETE /api/v1/auth/session", "ours, for browsers"),
    ("POST /api/v1/auth/one-time-token", "of the hosted service's own pages"),
    ("GET /api/v1/auth/whoami", "of the hosted service's own pages"),
    ("GET /api/v1/management/environment", "of the hosted service's own pages"),
    ("POST /api/v1/management/environment", "of the hosted service's own pages"),
    ("GET /api/v1/management/environment/{env_id}", "of the hosted service's own pages"),
    ("PUT /api/v1/management/environment/{env_id}", "of the hosted service's own pages"),
    ("DELETE /api/v1/management/environment/{env_id}", "of the hosted service's own pages"),
    ("GET /api/v1/management/authentication/{env_id}/api-token", "of the hosted service's own pages"),
    ("POST /api/v1/management/authentication/{env_id}/api-token", "of the hosted service's own pages"),
    ("GET /api/v1/management/authentication/{env_id}/api-token/{key_id}", "of the hosted service's own pages"),
    ("PUT /api/v1/management/authentication/{env_id}/api-token/{key_id}", "of the hosted service's own pages"),
    ("PATCH /api/v1/management/authentication/{env_id}/api-token/{key_id}", "of the hosted service's own pages"),
    ("POST /api/v1/management/authentication/{env_id}/api-token/{key_id}/expire", "of the hosted service's own pages"),
    ("PATCH /ingest/api/v1/source/{source_id}", "ours, as for the other resources"),
    ("GET /ingest/api/v1/source/{source_id}/log", "of the hosted service's own pages"),
    ("POST /ingest/api/v1/source/{source_id}/log/verify-again", "ours, after a mistake in the configuration"),
    ("GET /ingest/api/v1/source-type", "ours, for pages that make sources"),
    ("GET /api/v1/health/ping", "for load balancers"),
    ("GET /api/v1/health/ready", "ours, for load balancers"),
    ("GET /metrics", "ours, for Prometheus"),
    ("GET /jwks/{endpoint_id}", "ours, for receivers"),
    ("GET /openapi.json", "ours, for tools"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `.ci/prepare` puts in place.
fn prepared(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: `make test` installs it (.ci/prepare)", path.display());
    path
}

/// The Python of an environment in the repository, or another that has the same SDK.
fn python(variable: &str, environment: &str) -> Command {
    let given = std::env::var_os(variable).map(PathBuf::from);
    Command::new(prepared(given.unwrap_or_else(|| root().join(environment).join("bin/python"))))
}

fn python_newest() -> Command {
    python("POSTHOUSE_TEST_PYTHON", ".venv")
}

fn python_older() -> Command {
    python("POSTHOUSE_TEST_PYTHON_OLDER", ".venv-older")
}

fn node() -> Command {
    prepared(root().join("tests/sdk/js/node_modules/lock.installed"));
    Command::new("node")
}

/// The program with the Rust SDKs, built if its sources have changed: in a folder of its own, and as a
/// package of its own, so that the server's dependencies are not theirs.
fn rust() -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder").join("sdk-rust");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(root().join("tests/sdk/rust/Cargo.toml"));
    let output = build.arg("--target-dir").arg(&target).output().expect("cargo starts");
    assert!(output.status.success(), "building tests/sdk/rust: {}", String::from_utf8_lossy(&output.stderr));
    Command::new(target.join("debug/sdk-drive"))
}

/// What a program says, which must end well.
fn said(app: &TestApp, mut command: Command) -> String {
    let output = command.env("POSTHOUSE_URL", app.url()).env("POSTHOUSE_KEY", &app.key).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{out}\n{err}");
    out.into_owned()
}

/// Runs a program on a server of its own, and checks that it is the version that is meant and that it
/// proved every operation.
async fn drives_everything(version: &str, command: Command, besides: &[&str]) {
    let app = TestApp::builder().set("delivery.retry_schedule", "1").start().await;
    let said = said(&app, command);
    assert_eq!(said.lines().next(), Some(&*format!("svix {version}")), "the version that was driven");
    assert_eq!(said.lines().last(), Some("all well"));
    let proved: BTreeSet<&str> = said.lines().filter_map(|line| line.strip_prefix("proved ")).collect();
    let offered = OFFERED.iter().chain(besides).copied();
    assert_eq!(proved, offered.collect::<BTreeSet<&str>>(), "what svix {version} proved, and what it should");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_python_sdk_drives_every_operation() {
    let mut command = python_newest();
    command.arg(root().join("tests/sdk/python/drive.py"));
    drives_everything("2.9.1", command, &PROVED_BY_PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_python_sdk_drives_every_operation() {
    let mut command = python_older();
    command.arg(root().join("tests/sdk/python/drive.py"));
    drives_everything("1.99.1", command, &PROVED_BY_PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_javascript_sdk_drives_every_operation() {
    let mut command = node();
    command.arg(root().join("tests/sdk/js/drive.mjs")).arg("svix");
    drives_everything("2.5.0", command, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_javascript_sdk_drives_every_operation() {
    let mut command = node();
    command.arg(root().join("tests/sdk/js/drive.mjs")).arg("svix-older");
    drives_everything("1.99.1", command, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_rust_sdk_drives_every_operation() {
    let mut command = rust();
    command.arg("newest");
    drives_everything("2.9.1", command, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_rust_sdk_drives_every_operation() {
    let mut command = rust();
    command.arg("older");
    drives_everything("1.99.1", command, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_is_described_is_proved_or_has_a_reason() {
    let app = TestApp::start().await;
    let described = app.client.get("/openapi.json").await.expect(200).json();
    let paths = described["paths"].as_object().expect("paths");
    let methods = |item: &Value| -> Vec<String> {
        let names = item.as_object().expect("operations").keys();
        let methods = ["get", "put", "post", "patch", "delete"];
        names.filter(|name| methods.contains(&name.as_str())).map(|name| name.to_uppercase()).collect()
    };
    let served: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| methods(item).into_iter().map(move |method| format!("{method} {path}")))
        .collect();
    let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
    let known: BTreeSet<&str> = OFFERED
        .into_iter()
        .chain(PROVED_BY_PYTHON)
        .chain(NOT_OFFERED.iter().map(|(operation, _)| *operation))
        .collect();
    let none = Vec::<&&str>::new();
    assert_eq!(served.difference(&known).collect::<Vec<_>>(), none, "described, and neither offered nor with a reason");
    assert_eq!(known.difference(&served).collect::<Vec<_>>(), none, "known here, and not described");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_works_as_it_stands() {
    let app = TestApp::start().await;
    let mut command = python_newest();
    command.arg(root().join("examples/quickstart.py"));
    let said = said(&app, command);
    assert!(said.contains("the signature holds"), "{said}");
}
