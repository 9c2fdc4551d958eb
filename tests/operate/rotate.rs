//! `posthouse key-file rotate`: under load, and killed in the middle.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use posthouse::config::read_capped;
use serde_json::json;

use crate::load::Load;
use crate::support::app::{TestApp, cli};
use crate::support::http::Request;
use crate::support::wait::{SOON, eventually, poll_blocking, when};

/// More than a few slices of sealed values.
const IDLE_ENDPOINTS: usize = 900;
/// A kill may come before the first slice or after the last: then it is tried again.
const KILLS_MAX: usize = 20;

fn keys(data_dir: &Path) -> Vec<String> {
    let text = read_capped(&data_dir.join("key"), 1024).expect("a key file");
    text.lines().map(str::to_owned).collect()
}

fn rotate(data_dir: &Path) -> Output {
    cli(data_dir, &["key-file", "rotate", "--json"], &[])
}

#[track_caller]
fn assert_rotated(output: &Output, continued: bool) {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(answer["continued"], continued, "{answer}");
}

/// An application with endpoints to which nothing is sent; its id and theirs.
async fn idle_endpoints(app: &TestApp, count: usize) -> (String, Vec<String>) {
    let app_id = app.application("Idle").await;
    let mut endpoints = Vec::new();
    for _ in 0..count {
        endpoints.push(app.endpoint(&app_id, "https://example.com/idle").await);
    }
    (app_id, endpoints)
}

async fn secrets(app: &TestApp, app_id: &str, endpoints: &[String]) -> Vec<String> {
    let mut secrets = Vec::new();
    for endpoint in endpoints {
        secrets.push(app.secret(app_id, endpoint).await);
    }
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_under_load_and_nothing_is_lost() {
    let mut app = TestApp::builder().set("log.attempts", "none").start().await;
    let (idle, endpoints) = idle_endpoints(&app, IDLE_ENDPOINTS).await;
    let before = secrets(&app, &idle, &endpoints).await;
    let made =
        Request::new("POST", "/api/v1/app").header("idempotency-key", "one-app").json(&json!({ "name": "Once" }));
    let first = app.client.send(made.clone()).await.expect(201).json();
    let mut load = Load::prepare(&app).await;
    load.start(&app);
    load.goes_on(200).await;

    let mut seen = keys(&app.data_dir);
    let data_dir = app.data_dir.clone();
    for _ in 0..2 {
        let folder = data_dir.clone();
        let output = tokio::task::spawn_blocking(move || rotate(&folder)).await.expect("ended");
        assert_rotated(&output, false);
        let now = keys(&data_dir);
        assert_eq!(now.len(), 1, "the key that was replaced is gone");
        assert!(!seen.contains(&now[0]), "the key is new");
        seen.extend(now);
        load.goes_on(200).await;
    }
    let file = std::fs::metadata(data_dir.join("key")).expect("a key file");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    load.stop().await;

    let sent = load.acknowledged();
    load.arrive(&sent).await;
    let (oldest, newest) = (&sent[..100], &sent[sent.len() - 100..]);
    for _ in 0..2 {
        load.assert_known(&app, oldest).await;
        load.assert_known(&app, newest).await;
        assert_eq!(app.client.send(made.clone()).await.expect(201).json(), first);
        assert_eq!(secrets(&app, &idle, &endpoints).await, before);
        // And once more by a process that has the new key only.
        app.restart().await;
    }

    let status = app.sigterm(SOON).await;
    assert!(status.success(), "{status}");
    let new = seen.pop().expect("the key in use");
    for replaced in &seen {
        std::fs::write(data_dir.join("key"), format!("{replaced}\n")).expect("written");
        let refused = app.cli(&["queue", "shape"]);
        assert!(!refused.status.success(), "a key that was replaced opens nothing");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("does not open this store"), "{refused:?}");
    }
    std::fs::write(data_dir.join("key"), format!("{new}\n")).expect("written");
    app.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_goes_on() {
    let mut app = TestApp::builder().set("log.attempts", "none").start().await;
    let (idle, endpoints) = idle_endpoints(&app, IDLE_ENDPOINTS).await;
    let before = secrets(&app, &idle, &endpoints).await;
    let mut load = Load::prepare(&app).await;
    let original = keys(&app.data_dir);

    // The next start goes on by itself.
    let both = killed_in_the_middle(&mut app, &mut load).await;
    app.restart().await;
    let data_dir = app.data_dir.clone();
    eventually("the rotation comes to its end", SOON, async || when(keys(&data_dir).len() == 1)).await;
    assert_eq!(keys(&data_dir), both[..1], "the key that was drawn before the kill stays");
    assert_eq!(secrets(&app, &idle, &endpoints).await, before);

    // So does the command, with no server.
    let both = killed_in_the_middle(&mut app, &mut load).await;
    assert_rotated(&rotate(&data_dir), true);
    assert_eq!(keys(&data_dir), both[..1]);
    assert!(!original.contains(&both[0]));
    app.restart().await;
    assert_eq!(secrets(&app, &idle, &endpoints).await, before);

    let sent = load.acknowledged();
    assert!(!sent.is_empty());
    load.arrive(&sent).await;
    load.assert_known(&app, &sent[..20.min(sent.len())]).await;
}

/// Starts a rotation under load and kills the server once both keys are in the file; these.
async fn killed_in_the_middle(app: &mut TestApp, load: &mut Load) -> Vec<String> {
    for _ in 0..KILLS_MAX {
        load.start(app);
        load.goes_on(20).await;
        let data_dir = app.data_dir.clone();
        let before = keys(&data_dir);
        let rotating = tokio::task::spawn_blocking({
            let data_dir = data_dir.clone();
            move || rotate(&data_dir)
        });
        let waiting = tokio::task::spawn_blocking(move || has_begun(&data_dir, &before));
        waiting.await.expect("looked");
        app.kill9();
        load.stop().await;
        // Its server is gone, or it was done.
        rotating.await.expect("ended");
        let found = keys(&app.data_dir);
        if found.len() == 2 {
            return found;
        }
        app.restart().await;
    }
    panic!("no kill came in the middle");
}

/// Both keys are in the file, or it was so quick that only the new one is.
fn has_begun(data_dir: &Path, before: &[String]) {
    assert!(poll_blocking(Duration::from_secs(20), || data_dir.join("key.new").exists() || keys(data_dir) != before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_was_changed_by_hand_is_not_written_over() {
    let mut app = TestApp::start().await;
    let own = keys(&app.data_dir);
    let file = app.data_dir.join("key");
    let other = "ab".repeat(32);
    std::fs::write(&file, format!("{other}\n")).expect("written");
    let refused = app.cli(&["key-file", "rotate"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not the one that was read at start"), "{refused:?}");
    assert_eq!(keys(&app.data_dir), [other]);
    std::fs::write(&file, format!("{}\n", own[0])).expect("written");
    assert_rotated(&app.cli(&["key-file", "rotate", "--json"]), false);
    app.restart().await;
}
