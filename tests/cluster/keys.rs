//! One idempotency key, one event id, at three nodes at once.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::is_soak;
use crate::support::app::id_of;
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;

const AT_ONCE: usize = 50;

/// Posts the same many times at once, in turn at each node; status and body of each answer.
async fn post_at_once(cluster: &Cluster<'_>, app: &str, message: &Value, key: Option<&str>) -> Vec<(u16, Value)> {
    let mut posting = JoinSet::new();
    for turn in 0..AT_ONCE {
        let client = cluster.nodes[turn % cluster.nodes.len()].client.with_key(Some(&cluster.nodes[0].key));
        let request = Request::new("POST", format!("/api/v1/app/{app}/msg")).json(message);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        posting.spawn(async move {
            let answer = client.send(request).await;
            (answer.status, answer.json())
        });
    }
    posting.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_three_nodes_at_once_is_one_message() {
    let (cluster, sink) = (Cluster::three().await, Receiver::start().await);
    let app = cluster.nodes[0].application("keys").await;
    cluster.nodes[0].endpoint(&app, &sink.url("/keys")).await;
    let keys = if is_soak() { 200 } else { 20 };
    let mut ids = HashSet::new();
    for number in 0..keys {
        let message = json!({ "eventType": "e", "payload": { "number": number } });
        let answers = post_at_once(&cluster, &app, &message, Some(&format!("key-{number}"))).await;
        assert!(answers.iter().all(|(status, _)| *status == 202), "{number}: {answers:?}");
        let same: HashSet<String> = answers.iter().map(|(_, body)| id_of(body)).collect();
        assert_eq!(same.len(), 1, "{number}: {same:?}");
        ids.extend(same);
    }
    assert_eq!(ids.len(), keys);
    let received = sink.wait_for("/keys", keys, SOON).await;
    assert_eq!(received.iter().map(|request| request.message_id().to_owned()).collect::<HashSet<_>>(), ids);
    assert_eq!(sink.count("/keys"), keys);
    assert_eq!(cluster.psql("select count(*) from message"), keys.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_id_at_three_nodes_at_once_is_accepted_once() {
    let (cluster, sink) = (Cluster::three().await, Receiver::start().await);
    let app = cluster.nodes[0].application("events").await;
    cluster.nodes[0].endpoint(&app, &sink.url("/events")).await;
    for number in 0..5 {
        let message = json!({ "eventType": "e", "eventId": format!("event-{number}"), "payload": {} });
        let answers = post_at_once(&cluster, &app, &message, None).await;
        let of = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
        assert_eq!((of(202), of(409)), (1, AT_ONCE - 1), "{answers:?}");
    }
    sink.wait_for("/events", 5, SOON).await;
    assert_eq!(cluster.psql("select count(*) from message"), "5");
}
