//! Replays and cancelling as their users see them.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{eventually, when};

const MESSAGES: usize = 60;
const LONG: Duration = Duration::from_secs(30);

struct World {
    app: TestApp,
    receiver: Receiver,
    path: String,
    app_id: String,
}

impl World {
    /// Publishes messages that fail, and wait for an hour.
    async fn publish(&self, so_far: usize) {
        self.receiver.on("/hook", [Reply::status(500)]);
        for number in 0..MESSAGES {
            self.app.publish_numbered(&self.app_id, number).await;
        }
        self.receiver.wait_for("/hook", so_far + MESSAGES, LONG).await;
        self.stand(3, MESSAGES).await;
    }

    /// Waits until so many deliveries stand so.
    async fn stand(&self, status: u8, count: usize) {
        let path = format!("{}/msg?limit=250&status={status}", self.path);
        eventually("the deliveries stand so", LONG, async || {
            let list = self.app.get(path.as_str()).await.expect(200).json();
            when(list["data"].as_array().is_some_and(|rows| rows.len() == count))
        })
        .await;
    }

    /// Replays, and waits until the task has ended; how many were sent.
    async fn replay(&self, filter: Value) -> Value {
        let path = format!("{}/bulk-replay", self.path);
        let task = self.app.client.post(path, filter).await.expect(202).json();
        let path = format!("/api/v1/background-task/{}", task["id"].as_str().expect("an id"));
        let shown = eventually("the task ends", LONG, async || {
            let shown = self.app.get(path.as_str()).await.expect(200).json();
            (shown["status"] != "running").then_some(shown)
        });
        shown.await["progress"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_replayed_at_once_and_what_is_cancelled_is_not_sent_until_it_is_asked_for() {
    let receiver = Receiver::start().await;
    let app = TestApp::builder().set("delivery.retry_schedule", "3600").start().await;
    let app_id = app.application("Replays").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/hook")).await;
    let path = format!("/api/v1/app/{app_id}/endpoint/{endpoint}");
    let mut world = World { app, receiver, path, app_id };
    let since = "2020-01-01T00:00:00Z";

    world.publish(0).await;
    world.receiver.on("/hook", [Reply::status(200)]);
    let all = json!({ "done": MESSAGES, "total": MESSAGES });
    assert_eq!(world.replay(json!({ "since": since, "statusCodeClass": 500 })).await, all);
    world.receiver.wait_for("/hook", 2 * MESSAGES, LONG).await;
    world.stand(0, MESSAGES).await;
    let mut times: HashMap<String, usize> = HashMap::new();
    for request in world.receiver.received("/hook") {
        *times.entry(request.message_id().to_owned()).or_default() += 1;
    }
    assert_eq!(times.len(), MESSAGES);
    assert!(times.values().all(|times| *times == 2), "once by itself, and once by the replay");

    world.publish(2 * MESSAGES).await;
    let cancel = json!({ "createdBefore": "2100-01-01T00:00:00Z" });
    world.app.client.post(format!("{}/cancel-msgs", world.path), cancel).await.expect(204);
    world.stand(4, MESSAGES).await;
    world.app.restart().await;
    world.receiver.on("/hook", [Reply::status(200)]);
    assert_eq!(world.replay(json!({ "since": since, "status": 3 })).await["done"], 0, "nothing waits any more");
    assert_eq!(world.receiver.received("/hook").len(), 3 * MESSAGES);
    assert_eq!(world.replay(json!({ "since": since, "status": 4 })).await, all);
    world.receiver.wait_for("/hook", 4 * MESSAGES, LONG).await;
    world.stand(0, 2 * MESSAGES).await;
}
