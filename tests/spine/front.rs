//! The front door: keys, paths, limits, the commands beside the server, and what it tells of itself.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::app::{TestApp, cli};
use crate::support::engine::is_about_the_embedded_store;
use crate::support::http::{Connection, Request};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::store::assert_sound;
use crate::support::wait::{SOON, eventually, when};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_key_nothing_is_answered() {
    let app = TestApp::start().await;
    let app_id = app.application("Keys").await;
    let paths = [
        ("GET", "/api/v1/app".to_owned()),
        ("GET", format!("/api/v1/app/{app_id}")),
        ("DELETE", format!("/api/v1/app/{app_id}")),
        ("GET", format!("/api/v1/app/{app_id}/msg")),
        ("POST", format!("/api/v1/app/{app_id}/msg")),
        ("GET", "/api/v1/event-type".to_owned()),
        ("GET", "/metrics".to_owned()),
    ];
    let revoked = app.create_key();
    let listed = app.cli(&["key", "list", "--json"]);
    let keys: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(&revoked), "a key is shown once");
    let id = keys.as_array().and_then(|keys| keys.last()?["id"].as_str()).expect("an id").to_owned();
    app.client.with_key(Some(&revoked)).get("/api/v1/app").await.expect(200);
    assert!(app.cli(&["key", "revoke", &id]).status.success());

    let wrong = format!("{}x", app.key);
    for key in [None, Some(""), Some("wrong"), Some(wrong.as_str()), Some(revoked.as_str())] {
        let client = app.client.with_key(key);
        for (method, path) in &paths {
            let answer = client.send(Request::new(method, path.as_str())).await;
            assert_eq!(answer.status, 401, "{method} {path} with {key:?}: {}", answer.text());
            answer.error(401);
        }
    }
    for scheme in ["Basic", "bearer-ish", ""] {
        let request = Request::new("GET", "/api/v1/app").header("authorization", &format!("{scheme} {}", app.key));
        app.client.with_key(None).send(request).await.error(401);
    }
    app.get(format!("/api/v1/app/{app_id}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_sees_nothing_of_another() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Mine").await;
    app.endpoint(&app_id, &receiver.url("/mine")).await;
    let message = app.publish_numbered(&app_id, 1).await;
    assert!(app.cli(&["environment", "create", "other"]).status.success());
    let made = app.cli(&["key", "create", "--environment", "other"]);
    let key = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let other = app.client.with_key(Some(&key));
    other.get(format!("/api/v1/app/{app_id}")).await.error(404);
    other.get(format!("/api/v1/app/{app_id}/msg/{message}")).await.error(404);
    other.delete(format!("/api/v1/app/{app_id}")).await.error(404);
    let listed = other.get("/api/v1/app").await.expect(200).json();
    assert_eq!(listed["data"], json!([]));
    // The same uid in both is two applications.
    app.client.post("/api/v1/app", json!({ "name": "A", "uid": "same" })).await.expect(201);
    other.post("/api/v1/app", json!({ "name": "B", "uid": "same" })).await.expect(201);
    assert_eq!(other.get("/api/v1/app/same").await.expect(200).json()["name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_methods_and_hosted_operations_have_their_own_codes() {
    let app = TestApp::start().await;
    let app_id = app.application("Paths").await;
    let not_found = app.get("/api/v1/nothing/here").await.error(404);
    assert_eq!(not_found, app.get("/nothing").await.error(404));
    app.get("/api/v1/app/app_000000000000000000000000000").await.error(404);
    app.get(format!("/api/v1/app/{app_id}/msg/msg_000000000000000000000000000")).await.error(404);
    let method = app.client.send(Request::new("PATCH", "/api/v1/app").json(&json!({}))).await.error(405);
    let hosted = app.get(format!("/api/v1/app/{app_id}/integration")).await.error(501);
    assert!(not_found != method && method != hosted && not_found != hosted);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_alive_from_ready() {
    let app = TestApp::start().await;
    let anonymous = app.client.with_key(None);
    anonymous.get("/api/v1/health").await.expect(204);
    let ready = anonymous.get("/api/v1/health/ready").await.expect(200).json();
    assert!(ready.is_object(), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused_and_never_a_500() {
    let app = TestApp::start().await;
    let app_id = app.application("Limits").await;
    let message = |payload: &str| format!(r#"{{"eventType":"e","payload":{payload}}}"#);
    let long = message(&format!(r#"{{"long":"{}"}}"#, "x".repeat(1 << 20)));
    app.publish_raw(&app_id, long).await.error(413);
    let deep = |levels: usize| message(&format!(r#"{{"d":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)));
    app.publish_raw(&app_id, deep(100)).await.expect(202);
    for levels in [129, 10_000, 200_000] {
        let status = app.publish_raw(&app_id, deep(levels)).await.status;
        assert!(matches!(status, 400 | 422), "{levels} levels: {status}");
    }
    let no_json: [&[u8]; 10] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xef\xbb\xbf{}",
        b"{\"eventType\":\"e\",\"payload\":{}}x",
        b"\0",
        b"{\"a\":\"\x01\"}",
        b"\xff",
        b"{\"eventType\":\"e\",\"payload\":{\"x\":\"\xff\xfe\"}}",
    ];
    for body in no_json {
        let status = app.publish_raw(&app_id, body).await.status;
        assert!(matches!(status, 400 | 422), "{body:?}: {status}");
    }
    for (body, field) in [
        (json!({ "payload": {} }), "eventType"),
        (json!({ "eventType": "has space", "payload": {} }), "eventType"),
        (json!({ "eventType": "x".repeat(257), "payload": {} }), "eventType"),
        (json!({ "eventType": "e" }), "payload"),
        (json!({ "eventType": "e", "payload": [] }), "payload"),
        (json!({ "eventType": "e", "payload": {}, "channels": ["a b"] }), "channels"),
        (json!({ "eventType": "e", "payload": {}, "channels": [] }), "channels"),
        (
            json!({ "eventType": "e", "payload": {}, "channels": ["1","2","3","4","5","6","7","8","9","10","11"] }),
            "channels",
        ),
        (json!({ "eventType": "e", "payload": {}, "tags": ["1","2","3","4","5","6"] }), "tags"),
        (json!({ "eventType": "e", "payload": {}, "eventId": "" }), "eventId"),
        (json!({ "eventType": "e", "payload": {}, "payloadRetentionPeriod": 91 }), "payloadRetentionPeriod"),
    ] {
        app.client.post(format!("/api/v1/app/{app_id}/msg"), body).await.refuses(field);
    }
    let path = format!("/api/v1/app/{app_id}/endpoint");
    for (fields, field) in [
        (json!({ "throttleRate": 0 }), "throttleRate"),
        (json!({ "throttleRate": 65_536 }), "throttleRate"),
        (json!({ "throttleRate": "fast" }), "throttleRate"),
        (json!({ "eventTypes": [] }), "eventTypes"),
        (json!({ "uid": "a/b" }), "uid"),
        (json!({ "uid": "ep_000000000000000000000000000" }), "uid"),
        (json!({ "secret": "short" }), "secret"),
        (json!({ "metadata": { "a": 1 } }), "metadata"),
        (json!({ "headers": { "host": "x" } }), "headers"),
        (json!({ "headers": { "webhook-id": "x" } }), "headers"),
        (json!({ "headers": { "svix-id": "x" } }), "headers"),
        (json!({ "headers": { "Proxy-Authorization": "x" } }), "headers"),
        (json!({ "headers": { "x-ok": "a\r\nx-smuggled: 1" } }), "headers"),
    ] {
        let mut body = fields;
        body["url"] = json!("https://example.com/");
        app.client.post(&path, body).await.refuses(field);
    }
    app.client.post("/api/v1/app", json!({ "name": "" })).await.refuses("name");
    app.client.post("/api/v1/app", json!({ "name": "x", "throttleRate": 0 })).await.refuses("throttleRate");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_request_ends_its_connection() {
    let app = TestApp::start().await;
    let app_id = app.application("Smuggle").await;
    let body = r#"{"eventType":"e","payload":{}}"#;
    let head = format!(
        "POST /api/v1/app/{app_id}/msg HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        app.key
    );
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for both in [
        format!("{head}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}", chunked.len()),
        format!("{head}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n{chunked}"),
        format!("{head}content-length: 3\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
    ] {
        let mut connection = Connection::open(app.address()).await.expect("a connection");
        let answer = connection.exchange(both.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 400, "{} {}", answer.status, answer.text());
        connection
            .exchange(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .expect_err("the connection is over");
    }
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    assert_eq!(listed["data"], json!([]));
    // Chunked alone is a body like any other.
    let mut connection = Connection::open(app.address()).await.expect("a connection");
    let answer = connection.exchange(format!("{head}transfer-encoding: chunked\r\n\r\n{chunked}").as_bytes()).await;
    answer.expect("an answer").expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_come_to_the_point_is_cut_off() {
    let how = TestApp::builder().set("server.head_timeout_ms", 500).set("server.body_timeout_ms", 500);
    let app = how.start().await;
    let app_id = app.application("Slow").await;
    let head = format!(
        "POST /api/v1/app/{app_id}/msg HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100000\r\n\r\n{{",
        app.key
    );
    for beginning in ["GET /api/v1/health HTTP/1.1\r\nhost:".to_owned(), head] {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = TcpStream::connect(app.address()).await.expect("a connection");
        stream.write_all(beginning.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        ended.expect("the server ends it").ok();
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    app.get("/api/v1/app").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_on_the_same_data_folder_is_refused() {
    let app = TestApp::start().await;
    let output = cli(&app.data_dir, &["serve", "--listen", "127.0.0.1:0"], &[]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("in use") && error.contains(&app.data_dir.display().to_string()), "{error}");
    assert!(error.lines().count() <= 3, "a message, not a stack trace: {error}");
    app.get("/api/v1/app").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_whether_the_server_runs_or_not() {
    let (mut app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/down", [Reply::status(500)]);
    let app_id = app.application("Commands").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/down")).await;
    app.publish(&app_id, json!({ "eventType": "e", "payload": {}, "deliverAt": crate::story::in_seconds(3600) })).await;
    for running in [true, false] {
        let shape = app.cli(&["queue", "shape"]);
        let text = String::from_utf8_lossy(&shape.stdout).into_owned();
        let error = String::from_utf8_lossy(&shape.stderr);
        assert!(shape.status.success() && text.contains(&endpoint), "running: {running}: {text}{error}");
        let key = app.create_key();
        if running {
            app.client.with_key(Some(&key)).get("/api/v1/app").await.expect(200);
            assert!(app.sigterm(SOON).await.success());
        }
    }
    app.restart().await;
    app.get(format!("/api/v1/app/{app_id}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_whether_the_server_runs_or_not() {
    if is_about_the_embedded_store("backup") {
        return;
    }
    let mut app = TestApp::start().await;
    for running in [true, false] {
        let file = app.folder.path().join(format!("backup-{running}.db"));
        let backup = app.cli(&["backup", &file.display().to_string()]);
        assert!(backup.status.success(), "running: {running}: {}", String::from_utf8_lossy(&backup.stderr));
        assert_sound(&file);
        if running {
            assert!(app.sigterm(SOON).await.success());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_holds_what_was_acknowledged_before_it() {
    if is_about_the_embedded_store("backup") {
        return;
    }
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Backup").await;
    app.endpoint(&app_id, &receiver.url("/b")).await;
    let mut before = Vec::new();
    for number in 0..50 {
        before.push(app.publish_numbered(&app_id, number).await);
    }
    let load = {
        let (client, app_id) = (app.client.clone(), app_id.clone());
        tokio::spawn(async move {
            for number in 0..200 {
                let body = json!({ "eventType": "e", "payload": { "number": number } });
                client.post(format!("/api/v1/app/{app_id}/msg"), body).await.expect(202);
            }
        })
    };
    let file = app.folder.path().join("backup.db");
    let backup = app.cli(&["backup", &file.display().to_string()]);
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    load.await.expect("the load goes on");

    // Restored as the README says: the copy as the database, the key file beside it.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir).expect("a folder");
    let database = crate::support::store::database(&app.data_dir);
    std::fs::copy(&file, data_dir.join(database.file_name().expect("a name"))).expect("a copy");
    std::fs::copy(app.data_dir.join("key"), data_dir.join("key")).expect("a copy");
    let restored = TestApp::builder().start_in(folder, data_dir).await;
    for message in &before {
        restored.get(format!("/api/v1/app/{app_id}/msg/{message}")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    receiver.on("/bad", [Reply::status(500)]);
    let app_id = app.application("Metrics").await;
    app.endpoint(&app_id, &receiver.url("/good")).await;
    app.endpoint(&app_id, &receiver.url("/bad")).await;
    for number in 0..5 {
        app.publish_numbered(&app_id, number).await;
    }
    eventually("ten attempts are counted", SOON, async || when(app.metric("posthouse_attempts_total").await >= 10))
        .await;
    let text = app.get("/metrics").await.expect(200).text();
    assert!(text.contains(r#"posthouse_attempts_total{outcome="success"} 5"#), "{text}");
    assert_eq!(app.metric("posthouse_messages_accepted_total").await, 5);
    for name in [
        "posthouse_attempt_duration_seconds_bucket",
        "posthouse_accept_to_commit_seconds_bucket",
        "posthouse_commit_to_attempt_seconds_bucket",
        "posthouse_queue_depth",
        "posthouse_lanes{state=",
        "posthouse_journal_commit_seconds_bucket",
        "posthouse_journal_batch_size_bucket",
        "posthouse_oldest_due_seconds",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    assert!(!text.contains("ep_") && !text.contains("app_"), "no label per endpoint");
    let lines = eventually("a line per attempt", SOON, async || {
        let log = app.log_text();
        (log.lines().filter(|line| line.contains("outcome=")).count() >= 10).then_some(log)
    });
    assert!(!lines.await.contains(&app.key), "no key in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_not_to_be_cached_or_sniffed() {
    let app = TestApp::start().await;
    let app_id = app.application("Headers").await;
    for path in ["/api/v1/app".to_owned(), format!("/api/v1/app/{app_id}"), "/api/v1/nothing".to_owned()] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}
