//! What is changed at one node holds at all of them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::{Cluster, node};
use crate::lease;
use crate::support::app::TestApp;
use crate::support::postgres::shared;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::signature::assert_signed;
use crate::support::wait::{SOON, eventually, join_all, when};

/// When a change has to hold on every node.
const HOLDS_WITHIN: Duration = Duration::from_secs(1);
/// The same where what nodes tell each other is lost.
const HOLDS_UNTOLD_WITHIN: Duration = Duration::from_secs(15);
/// Nobody listens there.
const NOWHERE: &str = "postgres://postgres@127.0.0.1:1/nowhere";
/// Changes are made at each node in turn, for endpoints in other slots.
const ROUNDS: usize = 6;

/// A cluster and its receiver, and how long a change may take.
struct World {
    cluster: Cluster<'static>,
    sink: Receiver,
    holds_within: Duration,
    /// How often an endpoint is made in a round.
    repeated: usize,
}

impl World {
    async fn told() -> Self {
        let how = node().set("delivery.retry_schedule", ["1"; 50].join(","));
        let mut cluster = Cluster::start(shared(), 3, how).await;
        cluster.is_shared = true;
        Self { cluster, sink: Receiver::start().await, holds_within: HOLDS_WITHIN, repeated: 3 }
    }

    /// What one node tells, no other hears.
    async fn untold() -> Self {
        let how = node().set("delivery.retry_schedule", ["1"; 50].join(",")).set("storage.listen_url", NOWHERE);
        let mut cluster = Cluster::start(shared(), 3, how).await;
        cluster.is_shared = true;
        Self {
            cluster,
            sink: Receiver::start().await,
            holds_within: HOLDS_UNTOLD_WITHIN.min(lease() * 3 / 2),
            repeated: 1,
        }
    }

    /// The node at which a round changes something, and the one at which it looks what that does.
    fn two(&self, round: usize) -> (&TestApp, &TestApp) {
        let nodes = &self.cluster.nodes;
        (&nodes[round % nodes.len()], &nodes[(round + 1 + round / nodes.len()) % nodes.len()])
    }

    /// How long a message may take to an endpoint of another node.
    fn arrives_within(&self) -> Duration {
        if self.holds_within == HOLDS_WITHIN { SOON } else { HOLDS_UNTOLD_WITHIN }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_at_one_node_holds_on_all_within_a_second() {
    everything(&World::told().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_holds_on_all_also_where_nobody_is_told() {
    everything(&World::untold().await).await;
}

async fn everything(world: &World) {
    revoked(world).await;
    signed_out(world).await;
    join_all((0..ROUNDS).map(async |round| {
        tokio::join!(made(world, round), disabled(world, round), rotated(world, round));
    }))
    .await;
}

/// An endpoint gets what is posted at another node right after it was made.
async fn made(world: &World, round: usize) {
    let (here, there) = world.two(round);
    let app = here.application(&format!("made-{round}")).await;
    let path = format!("/made/{round}");
    let mut longest = Duration::ZERO;
    for number in 1..=world.repeated {
        here.endpoint(&app, &world.sink.url(&path)).await;
        let posted = Instant::now();
        there.publish_numbered(&app, number).await;
        // One delivery for each endpoint that there is by now.
        world.sink.wait_for(&path, number * (number + 1) / 2, world.arrives_within()).await;
        longest = longest.max(posted.elapsed());
    }
    println!("measured: made at one node, posted at another: arrives within {longest:?}");
}

/// Nothing is sent to an endpoint that was disabled at another node, and all is that is posted once it is enabled.
async fn disabled(world: &World, round: usize) {
    let (here, there) = world.two(round);
    let app = here.application(&format!("disabled-{round}")).await;
    let (path, fence) = (format!("/disabled/{round}"), format!("/fence/{round}"));
    world.sink.on(&path, [Reply::status(500)]);
    let endpoint = here.endpoint(&app, &world.sink.url(&path)).await;
    here.endpoint(&app, &world.sink.url(&fence)).await;
    there.publish_numbered(&app, 0).await;
    world.sink.wait_for(&path, 2, world.arrives_within()).await;
    here.patch_endpoint(&app, &endpoint, json!({ "disabled": true })).await;
    // What is posted from now on is routed by what was answered, at each node.
    for node in &world.cluster.nodes {
        node.publish_numbered(&app, 1).await;
    }
    tokio::time::sleep(world.holds_within).await;
    let (before, since) = (world.sink.count(&path), Instant::now());
    let posted_after = |number: usize| {
        world.sink.received(&path).iter().any(|request| request.body.ends_with(format!("{number}}}").as_bytes()))
    };
    assert!(!posted_after(1), "what was posted after the disabling is not sent");
    for node in &world.cluster.nodes {
        node.publish_numbered(&app, 2).await;
    }
    world.sink.wait_for(&fence, 7, world.arrives_within()).await;
    // Longer than the pause between two attempts.
    tokio::time::sleep(Duration::from_millis(1_500).saturating_sub(since.elapsed())).await;
    assert_eq!(world.sink.count(&path), before, "an endpoint that was disabled {:?} ago", since.elapsed());
    world.sink.on(&path, [Reply::ok()]);
    here.patch_endpoint(&app, &endpoint, json!({ "disabled": false })).await;
    let last = there.publish_numbered(&app, 3).await;
    let what = "what is posted after the enabling arrives";
    eventually(what, world.arrives_within(), async || {
        when(world.sink.received(&path).iter().any(|request| request.message_id() == last))
    })
    .await;
}

/// A secret that was rotated at one node signs what is posted at another right after.
async fn rotated(world: &World, round: usize) {
    let (here, there) = world.two(round);
    let app = here.application(&format!("rotated-{round}")).await;
    let path = format!("/rotated/{round}");
    let endpoint = here.endpoint(&app, &world.sink.url(&path)).await;
    there.publish_numbered(&app, 0).await;
    world.sink.wait_for(&path, 1, world.arrives_within()).await;
    let rotate = format!("/api/v1/app/{app}/endpoint/{endpoint}/secret/rotate");
    let drawn = here.client.post(rotate, json!({ "gracePeriodSeconds": 0 })).await.expect(200).json();
    let message = there.publish_numbered(&app, 1).await;
    let arrived = world.sink.wait_for(&path, 2, world.arrives_within()).await.remove(1);
    assert_signed(&arrived, drawn["key"].as_str().expect("a key"), &message);
}

/// A key that is revoked at one node is refused at all.
async fn revoked(world: &World) {
    for round in 0..3 {
        let (here, _) = world.two(round);
        let output = here.cli(&["key", "create", "--json"]);
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let key = made["key"].as_str().expect("a key");
        let clients: Vec<_> = world.cluster.nodes.iter().map(|node| node.client.with_key(Some(key))).collect();
        for client in &clients {
            client.get("/api/v1/app").await.expect(200);
        }
        let output = here.cli(&["key", "revoke", made["id"].as_str().expect("an id")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let revoked_at = Instant::now();
        for client in &clients {
            eventually("the key is refused", world.holds_within, async || {
                when(client.get("/api/v1/app").await.status == 401)
            })
            .await;
        }
        println!("a revoked key is refused on all nodes after {:?}", revoked_at.elapsed());
    }
}

/// A session that was signed out at one node, or whose key was revoked there, is refused at all; and a
/// one-time token works once, whichever nodes it is shown to at once.
async fn signed_out(world: &World) {
    for round in 0..3 {
        let (here, there) = world.two(round);
        let output = here.cli(&["login", "--json"]);
        let link: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let token = link["url"].as_str().and_then(|url| url.split_once("#token=")).expect("a token").1;
        let body = json!({ "oneTimeToken": token });
        let exchange =
            async |node: &TestApp| node.client.with_key(None).post("/api/v1/auth/one-time-token", body.clone()).await;
        let (one, other) = tokio::join!(exchange(here), exchange(there));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
        let won = if one.status == 200 { one } else { other };
        let session = won.json()["token"].as_str().expect("a session").to_owned();
        let clients: Vec<_> = world.cluster.nodes.iter().map(|node| node.client.with_key(Some(&session))).collect();
        for client in &clients {
            client.get("/api/v1/app").await.expect(200);
        }
        here.client.with_key(Some(&session)).delete("/api/v1/auth/session").await.expect(204);
        for client in &clients {
            eventually("the session is refused", world.holds_within, async || {
                when(client.get("/api/v1/app").await.status == 401)
            })
            .await;
        }
    }
}
