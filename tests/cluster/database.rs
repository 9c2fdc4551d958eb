//! The database fails: nothing is acknowledged that is not stored, and everything resumes by itself.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, IN_FLIGHT_MAX, node};
use crate::load::Load;
use crate::support::postgres::{Mode, Server};
use crate::support::wait::{eventually, when};
use crate::{alone, is_soak};

const DRAIN_WITHIN: Duration = Duration::from_mins(1);
const RESUMED_WITHIN: Duration = Duration::from_secs(10);

/// Waits until each node acknowledges again what is sent after `since`, and all endpoints receive; how long
/// the nodes and the endpoints took.
async fn resumed(load: &Load, nodes: usize, since: Instant, within: Duration) -> (Duration, Duration) {
    eventually("each node acknowledges again", within, async || {
        let acknowledged = load.ledger.acknowledged();
        when((0..nodes).all(|node| acknowledged.iter().any(|answer| answer.node == node && answer.sent_at > since)))
    })
    .await;
    let nodes_took = since.elapsed();
    let left = within.saturating_sub(nodes_took);
    eventually("each endpoint receives again", left, async || {
        when(load.ledger.endpoints_reached_since(since) == load.ledger.endpoints())
    })
    .await;
    (nodes_took, since.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_and_comes_back_is_waited_for() {
    let _alone = alone().await;
    let server = tokio::task::block_in_place(|| Server::start(&[]));
    let cluster = Cluster::start(&server, 3, node()).await;
    let mut load = Load::start(&cluster, 50).await;
    let stops = if is_soak() { 5 } else { 2 };
    for stop in 1..=stops {
        load.run_for(Duration::from_secs(if is_soak() { 9 } else { 2 })).await;
        tokio::task::block_in_place(|| server.stop(Mode::Immediate));
        let down = Instant::now();
        load.run_for(Duration::from_secs(if stop % 2 == 1 { 1 } else { 4 })).await;
        let up = Instant::now();
        tokio::task::block_in_place(|| server.start_again());
        let since = Instant::now();
        let (nodes, endpoints) = resumed(&load, 3, since, RESUMED_WITHIN).await;
        let false_ones =
            load.ledger.acknowledged().iter().filter(|answer| answer.sent_at > down && answer.at < up).count();
        assert_eq!(false_ones, 0, "acknowledged while the database was down");
        println!(
            "stop {stop}: down for {:?}; all nodes acknowledge after {nodes:?}, all endpoints receive after \
                  {endpoints:?}",
            since - down
        );
    }
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    println!("{stops} crashes of the database: {}", load.ledger.summary());
    load.ledger.assert_duplicates_at_most(stops * 3 * IN_FLIGHT_MAX);
}
