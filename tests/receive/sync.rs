//! Sources whose senders wait for the first answer of one endpoint.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::http::{Request, Response};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::SOON;
use crate::world::{Source, send};

const TWIML: &str = "<?xml version=\"1.0\"?><Response><Message>\u{2603}</Message></Response>";

struct World {
    app: TestApp,
    receiver: Receiver,
    source: Source,
    endpoint: String,
}

impl World {
    /// A source whose senders wait so long for the endpoint at `/sync`; another endpoint is at `/other`.
    async fn start(timeout_ms: u32) -> Self {
        let app = TestApp::builder().set("delivery.retry_schedule", "1,1").start().await;
        let receiver = Receiver::start().await;
        let answer = json!({ "status": 202, "body": "plain" });
        let source = Source::with(&app, "generic-webhook", json!({}), json!({ "answer": answer })).await;
        let endpoint = app.endpoint(&source.app_id, &receiver.url("/sync")).await;
        app.endpoint(&source.app_id, &receiver.url("/other")).await;
        let sync = json!({ "endpointId": endpoint, "timeoutMs": timeout_ms });
        let shown = source.patch(&app, json!({ "sync": sync })).await;
        assert_eq!(shown["sync"], sync);
        Self { app, receiver, source, endpoint }
    }

    async fn send(&self, body: &str) -> Response {
        send(&self.app, Request::new("POST", &self.source.path).body(body)).await
    }

    /// The attempts of the newest message to the endpoint that is waited for.
    async fn attempts(&self, count: usize) -> Vec<Value> {
        let newest = id_of(&self.source.messages(&self.app).await[0]);
        // The other endpoint has one.
        let mut all = self.source.delivered(&self.app, &newest, count + 1).await;
        all.retain(|attempt| attempt["endpointId"] == self.endpoint.as_str());
        assert_eq!(all.len(), count);
        all
    }
}

#[track_caller]
fn assert_plain(answer: &Response) {
    assert_eq!((answer.status, answer.text().as_str()), (202, "plain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_of_the_endpoint_goes_to_the_sender() {
    let world = World::start(5_000).await;
    let long = TWIML.repeat(2_000);
    let reply = Reply::status(201).with_header("content-type", "text/xml").with_header("x-own", "1");
    world.receiver.on("/sync", [reply.clone().with_body(TWIML), reply.with_body(long.clone())]);
    world.receiver.on("/other", [Reply::status(200).with_body("another"), Reply::status(500)]);
    let answer = world.send("first").await.expect(201);
    assert_eq!(answer.text(), TWIML);
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert_eq!(answer.header("x-own"), None, "what else the endpoint says is about its own connection");
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(world.attempts(1).await[0]["response"], TWIML);
    assert_eq!(world.send("second").await.expect(201).text(), long);
    let kept = world.attempts(1).await[0]["response"].as_str().expect("a text").len();
    assert!(kept < long.len(), "{kept} bytes of the answer are on record");
    assert_eq!(world.source.messages(&world.app).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_takes_longer_is_not_waited_for_and_gets_the_message_once() {
    let world = World::start(300).await;
    world.receiver.on("/sync", [Reply::ok().with_body("late").after(Duration::from_millis(1_500))]);
    let began = Instant::now();
    assert_plain(&world.send("x").await);
    let took = began.elapsed();
    assert!((300..1_400).contains(&took.as_millis()), "{took:?}");
    let attempts = world.attempts(1).await;
    assert_eq!((&attempts[0]["response"], &attempts[0]["responseStatusCode"]), (&json!("late"), &json!(200)));
    assert_eq!(world.receiver.count("/sync"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_to_pass_on_is_acknowledged_plainly_and_at_once() {
    let world = World::start(20_000).await;
    let replies = [
        Reply::status(500).with_body("broken"),
        Reply::ok(),
        Reply::Reset,
        Reply::ok(),
        Reply::ok().with_body(vec![b'x'; 300 << 10]),
    ];
    world.receiver.on("/sync", replies);
    let began = Instant::now();
    for (number, attempts) in [2, 2, 1].into_iter().enumerate() {
        assert_plain(&world.send(&number.to_string()).await);
        let ended = world.attempts(attempts).await;
        assert!(ended.iter().any(|attempt| attempt["status"] == 0), "delivered in the end");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_an_endpoint_that_does_not_get_it() {
    let world = World::start(20_000).await;
    let path = format!("/api/v1/app/{}/endpoint/{}", world.source.app_id, world.endpoint);
    let began = Instant::now();
    world.app.client.patch(path.clone(), json!({ "eventTypes": ["another.type"] })).await.expect(200);
    assert_plain(&world.send("1").await);
    world.app.client.patch(path.clone(), json!({ "eventTypes": null, "disabled": true })).await.expect(200);
    assert_plain(&world.send("2").await);
    world.app.client.delete(path).await.expect(204);
    assert_plain(&world.send("3").await);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    world.receiver.wait_for("/other", 3, SOON).await;
    assert_eq!(world.receiver.count("/sync"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_acknowledged_plainly() {
    let world = World::start(5_000).await;
    world.source.patch(&world.app, json!({ "dedupe": { "by": "content" } })).await;
    world.receiver.on("/sync", [Reply::ok().with_body("the answer"), Reply::ok().with_body("another")]);
    assert_eq!(world.send("same").await.expect(200).text(), "the answer");
    assert_plain(&world.send("same").await);
    assert_eq!(world.receiver.count("/sync"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_waited_for_is_refused() {
    let world = World::start(5_000).await;
    let resource = world.source.resource();
    let elsewhere = Source::make(&world.app, "generic-webhook", json!({})).await;
    let theirs = world.app.endpoint(&elsewhere.app_id, &world.receiver.url("/theirs")).await;
    for sync in [
        json!({ "endpointId": "ep_unknown" }),
        json!({ "endpointId": theirs }),
        json!({ "endpointId": world.endpoint, "timeoutMs": 99 }),
        json!({ "endpointId": world.endpoint, "timeoutMs": 20_001 }),
        json!({ "timeoutMs": 1_000 }),
        json!({ "endpointId": world.endpoint, "other": 1 }),
    ] {
        let answer = world.app.client.patch(&resource, json!({ "sync": sync })).await.expect(422);
        assert!(answer.text().contains("\"sync\""), "{sync}: {}", answer.text());
    }
    let body =
        json!({ "name": "n", "type": "generic-webhook", "config": {}, "sync": { "endpointId": world.endpoint } });
    world.app.client.post("/ingest/api/v1/source", body).await.expect(422);
    let shown = world.source.patch(&world.app, json!({ "sync": null })).await;
    assert_eq!(shown.get("sync"), None);
    assert_plain(&world.send("plain now").await);
}
