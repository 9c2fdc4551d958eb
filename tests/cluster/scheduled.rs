//! What is due at a time, asked for at a node that does not hold the endpoint, or made by the server itself.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::cluster::{Cluster, node};
use crate::support::postgres::shared;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, join_all, when};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_of_an_endpoint_holds_over_all_nodes() {
    const RATE: usize = 5;
    const MESSAGES: usize = 18;
    let (cluster, sink) = (Cluster::three().await, Receiver::start().await);
    let app = cluster.nodes[0].application("rate").await;
    cluster.nodes[0].endpoint_with(&app, &sink.url("/slow"), json!({ "throttleRate": RATE })).await;
    join_all(cluster.nodes.iter().map(async |node| {
        for number in 0..MESSAGES / 3 {
            node.publish_numbered(&app, number).await;
        }
    }))
    .await;
    let slow = sink.wait_for("/slow", MESSAGES, SOON).await;
    // A burst of one second's worth, then the rate; a little is granted to the clocks of two processes.
    let took = slow[MESSAGES - 1].at - slow[0].at;
    println!("{MESSAGES} at {RATE}/s with a burst of {RATE}, from three nodes: {took:?}");
    assert!(took >= Duration::from_millis(2_500), "{took:?} for {MESSAGES} at {RATE}/s with a burst of {RATE}");
    assert!(took < Duration::from_millis(4_900), "{took:?}: slower than asked for");
    let crowded = slow.windows(2 * RATE + 1).any(|w| w[2 * RATE].at - w[0].at < Duration::from_millis(950));
    assert!(!crowded, "more than {} in a second", 2 * RATE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_and_a_recovery_may_be_asked_for_at_any_node() {
    let how = node().set("delivery.retry_schedule", "");
    let mut cluster = Cluster::start(shared(), 3, how).await;
    cluster.is_shared = true;
    let sink = Receiver::start().await;
    for (turn, node) in cluster.nodes.iter().enumerate() {
        let app = node.application(&format!("again-{turn}")).await;
        let path = format!("/again/{turn}");
        let endpoint = node.endpoint(&app, &sink.url(&path)).await;
        let message = node.publish_numbered(&app, 0).await;
        sink.wait_for(&path, 1, SOON).await;
        for (asked, other) in cluster.nodes.iter().enumerate() {
            // One that is asked for while another is in flight ends with that one.
            other.wait_for_attempts(&app, &message, asked + 1, SOON).await;
            other.resend(&app, &message, &endpoint).await;
            sink.wait_for(&path, asked + 2, SOON).await;
        }
        // It fails for good; then all is well.
        sink.on(&path, [Reply::status(500)]);
        let mut failed = HashSet::new();
        for number in 1..=10 {
            failed.insert(node.publish_numbered(&app, number).await);
        }
        let failing = sink.wait_for(&path, 14, SOON).await.len();
        eventually("the failures are on record", SOON, async || {
            when(cluster.psql("select count(*) from parked") == "10")
        })
        .await;
        sink.on(&path, [Reply::ok()]);
        let recover = format!("/api/v1/app/{app}/endpoint/{endpoint}/recover");
        let asked = &cluster.nodes[(turn + 1) % 3];
        asked.client.post(recover, json!({ "since": "2020-01-01T00:00:00Z" })).await.expect(202);
        let recovered = sink.wait_for(&path, failing + 10, SOON).await;
        let again: HashSet<_> = recovered[failing..].iter().map(|request| request.message_id().to_owned()).collect();
        assert_eq!(again, failed, "each of what had failed, once");
        eventually("nothing is left", SOON, async || when(cluster.psql("select count(*) from parked") == "0")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_line_at_one_node_may_be_cancelled_at_any() {
    const MESSAGES: usize = 30;
    let (cluster, sink) = (Cluster::three().await, Receiver::start().await);
    for (turn, node) in cluster.nodes.iter().enumerate() {
        let app = node.application(&format!("cancel-{turn}")).await;
        let path = format!("/cancel/{turn}");
        let endpoint = node.endpoint_with(&app, &sink.url(&path), json!({ "throttleRate": 1 })).await;
        for number in 0..MESSAGES {
            node.publish_numbered(&app, number).await;
        }
        sink.wait_for(&path, 1, SOON).await;
        let cancel = format!("/api/v1/app/{app}/endpoint/{endpoint}/cancel-msgs");
        let asked = &cluster.nodes[(turn + 1) % 3];
        asked.client.post(cancel, json!({ "createdBefore": "2100-01-01T00:00:00Z" })).await.expect(204);
        eventually("nothing is in line", SOON, async || {
            when(cluster.psql("select (select count(*) from pending) + (select count(*) from waiting)") == "0")
        })
        .await;
        let before = sink.received(&path).len();
        let last = node.publish_numbered(&app, MESSAGES).await;
        eventually("the next message arrives", SOON, async || {
            when(sink.received(&path).iter().any(|request| request.message_id() == last))
        })
        .await;
        // What was in flight may have arrived; nothing that the lane had in memory has.
        let arrived = sink.received(&path).len();
        assert!(arrived <= before + 2 && before < MESSAGES, "{before}, then {arrived}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_later_arrives_in_time_wherever_it_was_accepted() {
    let (cluster, sink) = (Cluster::three().await, Receiver::start().await);
    let mut due = Vec::new();
    for turn in 0..9 {
        let node = &cluster.nodes[turn % 3];
        let app = node.application(&format!("later-{turn}")).await;
        node.endpoint(&app, &sink.url(&format!("/later/{turn}"))).await;
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
        let message = json!({ "eventType": "e", "payload": {}, "deliverAt": at.to_string() });
        cluster.nodes[(turn + 1) % 3].publish(&app, message).await;
        due.push(at.as_millisecond());
    }
    let mut latest = 0;
    for (turn, due) in due.into_iter().enumerate() {
        let arrived = sink.wait_for(&format!("/later/{turn}"), 1, SOON).await.remove(0);
        let late_ms = arrived.at_unix_ms - due;
        assert!((0..2_000).contains(&late_ms), "{late_ms} ms late");
        latest = latest.max(late_ms);
    }
    println!("for later, accepted elsewhere: at most {latest} ms late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_ticks_once_among_three_nodes() {
    const SOURCES: usize = 12;
    let (mut cluster, sink) = (Cluster::three().await, Receiver::start().await);
    let app = cluster.nodes[0].application("ticks").await;
    cluster.nodes[0].endpoint(&app, &sink.url("/ticks")).await;
    for number in 0..SOURCES {
        let config = json!({ "schedule": "0 0 1 1 *", "payload": json!({ "is": number }).to_string() });
        let source = json!({ "name": "Ticks", "type": "cron", "appId": app, "config": config });
        cluster.nodes[number % 3].client.post("/ingest/api/v1/source", source).await.expect(201);
    }
    for node in &mut cluster.nodes {
        node.kill9();
    }
    // While nobody runs: all have missed some years, of which the newest tick is made up for.
    cluster.psql("update source set last_tick = last_tick - 3 * 365 * 86400000::bigint");
    join_all(cluster.nodes.iter_mut().map(async |node| node.restart().await)).await;
    sink.wait_for("/ticks", SOURCES, SOON).await;
    cluster.shared_evenly_by(3).await;
    // What is in flight at a kill would be sent again.
    eventually("all are on record", SOON, async || when(cluster.psql("select count(*) from pending") == "0")).await;
    // One more time that all are asked.
    join_all(cluster.nodes.iter_mut().map(async |node| node.restart().await)).await;
    cluster.shared_evenly_by(3).await;
    let probe = cluster.nodes[0].publish_numbered(&app, 0).await;
    eventually("a message after it", SOON, async || {
        when(sink.received("/ticks").iter().any(|request| request.message_id() == probe))
    })
    .await;
    let of_ticks: Vec<_> = sink.received("/ticks").into_iter().filter(|r| r.message_id() != probe).collect();
    let payloads: HashSet<_> = of_ticks.iter().map(|request| request.body.clone()).collect();
    assert_eq!((of_ticks.len(), payloads.len()), (SOURCES, SOURCES), "each ticks once");
    assert_eq!(cluster.psql("select count(*) from message"), (SOURCES + 1).to_string());
}
