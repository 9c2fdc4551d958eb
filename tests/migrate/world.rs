//! An installation with rows of all kinds, producers that publish to it, and what it says of itself.

use std::collections::HashSet;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::app::{Builder, TestApp, id_of};
use crate::support::http::{Client, Request, Response};
use crate::support::postgres;
use crate::support::receiver::{Received, Receiver};
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};

const PRODUCERS: usize = 8;
/// What a receiver takes for one request: less than the producers make, so that deliveries are pending.
const SLOW: Duration = Duration::from_millis(100);
/// What it takes when it is to hold up whoever waits for attempts under way.
const STUCK: Duration = Duration::from_secs(3);
pub(crate) const SOURCES: &str = "/ingest/api/v1/source";
/// Where links lead, whatever the address of the server is.
const PUBLIC_URL: &str = "https://hooks.example.com";

/// A publish that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) key: String,
    pub(crate) body: Value,
    pub(crate) id: String,
}

#[derive(Default)]
struct Book {
    acknowledged: Mutex<Vec<Sent>>,
    refused: AtomicUsize,
    arrived: Mutex<HashSet<String>>,
    /// What the endpoint that works got last.
    last: Mutex<Option<Received>>,
    stuck: AtomicBool,
    stop: AtomicBool,
}

/// The installation.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) app_id: String,
    /// It works.
    pub(crate) endpoint: String,
    /// It answers 500.
    pub(crate) failing: String,
    pub(crate) source: String,
    /// Its path.
    pub(crate) ingest: String,
    pub(crate) url: String,
    receiver: Receiver,
    book: Arc<Book>,
    producers: Vec<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn builder() -> Builder {
    TestApp::builder()
        .set("delivery.retry_schedule", "1")
        .set("log.attempts", "none")
        .set("server.public_url", PUBLIC_URL)
}

impl World {
    /// Makes it, with a database to go to.
    pub(crate) async fn make() -> Self {
        let book = Arc::<Book>::default();
        let noting = Arc::clone(&book);
        let receiver = Receiver::start_with(move |request| match request.path.as_str() {
            "/fails" => Reply::status(500).with_body("no"),
            path => {
                lock(&noting.arrived).insert(request.message_id().to_owned());
                let pause = match path {
                    "/slow" if noting.stuck.load(SeqCst) => STUCK,
                    "/slow" => SLOW,
                    _ => Duration::ZERO,
                };
                if path == "/works" {
                    *lock(&noting.last) = Some(request);
                }
                Reply::ok().after(pause)
            }
        });
        let receiver = receiver.await;
        let app = builder().start().await;
        let client = &app.client;
        let made = Request::new("POST", "/api/v1/app").header("idempotency-key", "made-once");
        let made = client.send(made.json(&json!({ "name": "Customer", "uid": "customer" }))).await.expect(201);
        let app_id = id_of(&made.json());
        let works = json!({ "headers": { "x-token": "hidden" }, "uid": "works" });
        let endpoint = app.endpoint_with(&app_id, &receiver.url("/works"), works).await;
        let failing = app.endpoint(&app_id, &receiver.url("/fails")).await;
        app.endpoint_with(&app_id, &receiver.url("/off"), json!({ "disabled": true })).await;
        client.post("/api/v1/event-type", json!({ "name": "e", "description": "Something" })).await.expect(201);
        client.post(format!("/api/v1/auth/app-portal-access/{app_id}"), json!({})).await.expect(200);
        let dedupe = json!({ "by": "content", "windowSeconds": 3_600 });
        let source = json!({ "name": "In", "type": "generic-webhook", "config": {}, "dedupe": dedupe });
        let source = client.post(SOURCES, source).await.expect(201).json();
        let ingest = source["ingestUrl"].as_str().expect("a URL").trim_start_matches(PUBLIC_URL).to_owned();
        let url = postgres::shared().create_database();
        let source = id_of(&source);
        let producers = Vec::new();
        let world = Self { app, app_id, endpoint, failing, source, ingest, url, receiver, book, producers };
        world.fill().await;
        world
    }

    /// Rows of the kinds that publishing makes, and of those that deleting does.
    async fn fill(&self) {
        let (app, app_id) = (&self.app, &self.app_id);
        for body in ["one", "one", "two"] {
            self.send_in(&app.client, body).await.expect(200);
        }
        let first = app.publish(app_id, json!({ "eventType": "e", "payload": {}, "eventId": "first" })).await;
        let expunged = app.publish(app_id, json!({ "eventType": "e", "payload": { "secret": 1 } })).await;
        let later = jiff::Timestamp::now() + Duration::from_hours(24);
        let later = json!({ "eventType": "e", "payload": {}, "tags": ["later"], "deliverAt": later.to_string() });
        app.publish(app_id, later).await;
        for message in [&first, &expunged] {
            // Works once, fails twice.
            app.wait_for_attempts(app_id, message, 3, SOON).await;
        }
        app.client.delete(format!("/api/v1/app/{app_id}/msg/{expunged}/content")).await.expect(204);
        let gone = app.application("Gone").await;
        app.endpoint(&gone, &self.receiver.url("/works")).await;
        app.publish_numbered(&gone, 1).await;
        app.client.delete(format!("/api/v1/app/{gone}")).await.expect(204);
        let recover = format!("/api/v1/app/{app_id}/endpoint/{}/recover", self.failing);
        app.client.post(recover, json!({ "since": "2020-01-01T00:00:00Z" })).await.expect(202);
        app.client.post("/api/v1/event-type/export/openapi", json!({})).await.expect(202);
        eventually("every task has come to its end", SOON, async || {
            let tasks = all_of(&app.client, "/api/v1/background-task").await;
            when(tasks.iter().all(|task| task["status"] == "finished"))
        })
        .await;
        app.endpoint(app_id, &self.receiver.url("/slow")).await;
    }

    /// What somebody sends to the source.
    pub(crate) async fn send_in(&self, client: &Client, body: &str) -> Response {
        client.with_key(None).send(Request::new("POST", self.ingest.clone()).raw_json(json!(body).to_string())).await
    }

    /// Publishes from now on.
    pub(crate) fn start(&mut self) {
        let turn = Arc::new(AtomicUsize::new(0));
        let produce = |number| {
            let (client, app_id) = (self.app.client.clone(), self.app_id.clone());
            tokio::spawn(produce(client, app_id, number, Arc::clone(&turn), Arc::clone(&self.book)))
        };
        self.producers = (0..PRODUCERS).map(produce).collect();
    }

    /// Publishes no more.
    pub(crate) async fn stop(&mut self) {
        self.book.stop.store(true, SeqCst);
        for producer in self.producers.drain(..) {
            producer.await.expect("a producer");
        }
        self.book.stop.store(false, SeqCst);
    }

    /// Waits until so many more were acknowledged.
    pub(crate) async fn goes_on(&self, more: usize) {
        let before = self.acknowledged().len();
        eventually("the load goes on", SOON, async || when(self.acknowledged().len() >= before + more)).await;
    }

    pub(crate) fn acknowledged(&self) -> Vec<Sent> {
        lock(&self.book.acknowledged).clone()
    }

    /// Whether attempts are to take long.
    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.book.stuck.store(stuck, SeqCst);
    }

    /// What the endpoint that works got last.
    pub(crate) fn last(&self) -> Option<Received> {
        lock(&self.book.last).clone()
    }

    /// Answers 503 so far.
    pub(crate) fn refused(&self) -> usize {
        self.book.refused.load(SeqCst)
    }

    /// Waits until all that was acknowledged has arrived somewhere.
    pub(crate) async fn all_arrive(&self) {
        eventually("all that was acknowledged arrives", Duration::from_mins(1), async || {
            let arrived = lock(&self.book.arrived);
            when(lock(&self.book.acknowledged).iter().all(|sent| arrived.contains(&sent.id)))
        })
        .await;
    }

    /// Copies it.
    pub(crate) fn copy(&self, more: &[&str]) -> Output {
        let words: Vec<&str> = ["migrate", "copy", "--to", &self.url].into_iter().chain(more.iter().copied()).collect();
        tokio::task::block_in_place(|| self.app.cli(&words))
    }

    /// A server on the database, with a folder of its own.
    pub(crate) async fn start_new(&self) -> TestApp {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let data_dir = folder.path().join("data");
        let key_file = self.app.data_dir.join("key");
        builder()
            .set("storage.url", &self.url)
            .set("storage.key_file", key_file.display())
            .start_in(folder, data_dir)
            .await
    }

    /// What it says of itself, by paths of the API whose answers do not change while it delivers: lists to
    /// their ends, since where their pages end is a matter of time.
    pub(crate) async fn says(&self, client: &Client) -> Vec<(String, Value)> {
        let (app, source) = (format!("/api/v1/app/{}", self.app_id), format!("{SOURCES}/{}", self.source));
        let mut lists: Vec<String> =
            ["/api/v1/app", "/api/v1/event-type", "/api/v1/background-task", "/ingest/api/v1/source"]
                .map(str::to_owned)
                .to_vec();
        lists.extend([
            format!("{app}/endpoint"),
            format!("{app}/msg"),
            format!("{app}/msg?tag=later"),
            format!("{source}/log"),
        ]);
        let mut said = Vec::new();
        for path in lists {
            let rows = all_of(client, &path).await;
            said.push((path, Value::from(rows)));
        }
        let mut single = vec![
            "/api/v1/management/environment-settings".to_owned(),
            format!("{app}/endpoint/{}/secret", self.endpoint),
            format!("{app}/endpoint/{}/headers", self.endpoint),
        ];
        single.extend(self.acknowledged().first().map(|sent| format!("{app}/msg/{}", sent.id)));
        for path in single {
            let answer = client.get(path.as_str()).await.expect(200).json();
            said.push((path, answer));
        }
        said
    }

    /// Removes the database.
    pub(crate) fn end(self) {
        postgres::shared().drop_database(&self.url);
    }

    /// What `psql` says of its database.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let name = self.url.rsplit('/').next().expect("a name").to_owned();
        postgres::shared().psql(&name, sql)
    }
}

/// The rows of a list, from all its pages.
pub(crate) async fn all_of(client: &Client, path: &str) -> Vec<Value> {
    let begins = if path.contains('?') { '&' } else { '?' };
    let (mut rows, mut iterator) = (Vec::new(), String::new());
    loop {
        let page = client.get(format!("{path}{begins}limit=250{iterator}")).await.expect(200).json();
        rows.extend(page["data"].as_array().expect("a list").iter().cloned());
        if page["done"] == true {
            return rows;
        }
        iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
    }
}

pub(crate) fn request(app_id: &str, sent: &Sent) -> Request {
    let request = Request::new("POST", format!("/api/v1/app/{app_id}/msg"));
    request.header("idempotency-key", &sent.key).json(&sent.body)
}

/// Publishes until told to stop, or refused.
async fn produce(client: Client, app_id: String, number: usize, turn: Arc<AtomicUsize>, book: Arc<Book>) {
    while !book.stop.load(SeqCst) {
        let key = format!("{number}-{}", turn.fetch_add(1, SeqCst));
        let body = json!({ "eventType": "e", "payload": { "key": key }, "eventId": key });
        let mut sent = Sent { key, body, id: String::new() };
        let answer = client.send(request(&app_id, &sent)).await;
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{}", answer.text());
            book.refused.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        assert_eq!(answer.status, 202, "{}", answer.text());
        sent.id = id_of(&answer.json());
        lock(&book.acknowledged).push(sent);
    }
}

#[track_caller]
pub(crate) fn assert_done(output: &Output) -> String {
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{error}");
    said.into_owned()
}

#[track_caller]
pub(crate) fn assert_refused(output: &Output, why: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(why), "{why}: {error}");
}
