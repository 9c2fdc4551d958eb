//! Nothing fails: everything is delivered once, by nodes that share the work, and one that leaves is not missed.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::load::Load;
use crate::support::wait::{SOON, eventually, when};
use crate::{alone, is_soak, lease};

const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// What a planned stop may cost an endpoint: far less than a lease.
const HAND_OVER_GAP_MAX: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_share_the_slots_and_deliver_everything_once() {
    let _alone = alone().await;
    let cluster = Cluster::three().await;
    assert_eq!(cluster.shares(), [85, 85, 86]);
    eventually("each node knows its share", SOON, async || {
        let mut held = 0;
        for node in &cluster.nodes {
            held += node.metric("posthouse_slots_held").await;
        }
        when(held == 256)
    })
    .await;
    assert_eq!(cluster.psql("select count(*) from environment"), "1", "three that start at once make one environment");
    let mut load = Load::start(&cluster, if is_soak() { 200 } else { 50 }).await;
    load.run_for(Duration::from_secs(if is_soak() { 60 } else { 5 })).await;
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    load.ledger.assert_duplicates_at_most(0);
    let by_node: Vec<usize> =
        (0..3).map(|node| load.ledger.acknowledged().iter().filter(|answer| answer.node == node).count()).collect();
    assert!(by_node.iter().all(|count| *count > 100), "each takes its part: {by_node:?}");
    let longest = load.ledger.longest_wait();
    println!("three nodes: {}; by node {by_node:?}", load.ledger.summary());
    assert!(longest < Duration::from_secs(2), "a message of another node waits for {longest:?}");
    eventually("all outcomes are on record", SOON, async || when(cluster.psql("select count(*) from pending") == "0"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_properly_hands_over_and_is_not_missed() {
    let _alone = alone().await;
    let mut cluster = Cluster::three().await;
    let mut load = Load::start(&cluster, 50).await;
    load.run_for(Duration::from_secs(1)).await;
    let stops = if is_soak() { 6 } else { 2 };
    for stop in 0..stops {
        let running = Instant::now();
        load.run_for(Duration::from_secs(1)).await;
        let (node, began) = (stop % 3, Instant::now());
        // As a load balancer does that knows of it.
        load.without(node);
        let status = cluster.nodes[node].sigterm(Duration::from_secs(30)).await;
        assert!(status.success(), "{status}");
        let stopped = began.elapsed();
        let shares = cluster.shares();
        assert!(shares == [128, 128], "its slots are others' at its end: {shares:?}");
        load.run_for(Duration::from_secs(1)).await;
        let gap = load.ledger.longest_gap(running, Instant::now());
        println!("stop {stop}: {stopped:?}, longest pause of an endpoint {gap:?}");
        assert!(gap < HAND_OVER_GAP_MAX, "an endpoint got nothing for {gap:?}");
        cluster.nodes[node].restart().await;
        load.with(node, &cluster.nodes[node]);
        cluster.shared_evenly_by(3).await;
        load.run_for(lease() / 2).await;
    }
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    load.ledger.assert_duplicates_at_most(0);
    println!("stopped properly: {}", load.ledger.summary());
}
