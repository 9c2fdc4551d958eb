//! The database fails: nothing is acknowledged that is not stored, and everything resumes by itself.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::cluster::{Cluster, IN_FLIGHT_MAX, node};
use crate::load::Load;
use crate::support::app::TestApp;
use crate::support::postgres::{Mode, Replication, Server};
use crate::support::wait::{SOON, eventually, when};
use crate::{alone, is_soak};

const DRAIN_WITHIN: Duration = Duration::from_mins(1);
const RESUMED_WITHIN: Duration = Duration::from_secs(10);
/// Another server has to be found.
const FAILED_OVER_WITHIN: Duration = Duration::from_secs(30);

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

/// Nothing was acknowledged of what was sent and answered between two moments.
#[track_caller]
fn assert_none_acknowledged(load: &Load, from: Instant, to: Instant) {
    let all = load.ledger.acknowledged();
    let count = all.iter().filter(|answer| answer.sent_at > from && answer.at < to).count();
    assert_eq!(count, 0, "acknowledged while the database took nothing");
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
        assert_none_acknowledged(&load, down, up);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_primary_is_lost_its_synchronous_standby_takes_over() {
    let _alone = alone().await;
    let (primary, standby) = tokio::task::block_in_place(|| {
        let primary = Server::start(&[]);
        let standby = primary.standby(Replication::Synchronous);
        (primary, standby)
    });
    let url = tokio::task::block_in_place(|| primary.create_database());
    let both = url.replace(&authority(&url), &format!("{},{}", authority(&url), authority(&standby.url("any"))));
    let cluster = Cluster::start_at(&primary, url, &both, 3, node()).await;
    let mut load = Load::start(&cluster, 50).await;
    load.run_for(Duration::from_secs(3)).await;
    tokio::task::block_in_place(|| primary.stop(Mode::Immediate));
    let down = Instant::now();
    load.run_for(Duration::from_secs(2)).await;
    let up = Instant::now();
    tokio::task::block_in_place(|| standby.promote());
    let since = Instant::now();
    let (nodes, endpoints) = resumed(&load, 3, since, FAILED_OVER_WITHIN).await;
    assert_none_acknowledged(&load, down, up);
    load.run_for(Duration::from_secs(1)).await;
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    println!(
        "measured: primary lost: promoted after {:?}, all nodes acknowledge {nodes:?} after that, all endpoints \
         receive after {endpoints:?}; {}",
        since - down,
        load.ledger.summary()
    );
    load.ledger.assert_duplicates_at_most(3 * IN_FLIGHT_MAX);
}

/// `host:port` of a URL with a user.
fn authority(url: &str) -> String {
    let (_, rest) = url.split_once('@').expect("a user");
    rest.split_once('/').expect("a database").0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_changes_for_a_while_is_waited_for() {
    let _alone = alone().await;
    let server = tokio::task::block_in_place(|| Server::start(&[]));
    let cluster = Cluster::start(&server, 3, node()).await;
    let mut load = Load::start(&cluster, 50).await;
    load.run_for(Duration::from_secs(2)).await;
    let set = |read_only: &str| {
        cluster.psql(&format!("alter system set default_transaction_read_only = {read_only}"));
        cluster.psql("select pg_reload_conf()");
    };
    set("on");
    let nodes = &cluster.nodes;
    eventually("each node finds out", SOON, async || {
        let mut away = 0;
        for node in nodes {
            away += usize::from(ready(node).await.0 == 503);
        }
        when(away == nodes.len())
    })
    .await;
    let down = Instant::now();
    load.run_for(Duration::from_secs(2)).await;
    let up = Instant::now();
    set("off");
    let since = Instant::now();
    let (nodes, endpoints) = resumed(&load, 3, since, RESUMED_WITHIN).await;
    assert_none_acknowledged(&load, down, up);
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    println!(
        "measured: read only: all nodes acknowledge after {nodes:?}, all endpoints receive after {endpoints:?}; {}",
        load.ledger.summary()
    );
    load.ledger.assert_duplicates_at_most(3 * IN_FLIGHT_MAX);
}

/// The status of the readiness answer, and what it says of replication.
async fn ready(node: &TestApp) -> (u16, String) {
    let answer = node.get("/api/v1/health/ready").await;
    (answer.status, answer.json()["replication"].as_str().expect("a word").to_owned())
}

/// The processes of a server: the first, and those that it has started.
fn processes_of(server: &Server) -> Vec<Pid> {
    let first = server.pid().expect("it runs");
    let path = format!("/proc/{first}/task/{first}/children");
    let children = posthouse::config::read_capped(std::path::Path::new(&path), 1 << 20).expect("its children");
    let all = children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([first.cast_signed()]);
    all.filter_map(Pid::from_raw).collect()
}

fn send(processes: &[Pid], signal: Signal) {
    for process in processes {
        let sent = kill_process(*process, signal);
        assert!(matches!(sent, Ok(()) | Err(Errno::SRCH)), "{sent:?}: some may have ended since they were listed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still_for_some_seconds_costs_nothing() {
    let _alone = alone().await;
    let server = tokio::task::block_in_place(|| Server::start(&[]));
    let cluster = Cluster::start(&server, 3, node()).await;
    let mut load = Load::start(&cluster, 50).await;
    for still_s in if is_soak() { vec![2, 8, 14, 25] } else { vec![2, 7] } {
        load.run_for(Duration::from_secs(2)).await;
        let stopped = processes_of(&server);
        send(&stopped, Signal::STOP);
        let down = Instant::now();
        load.run_for(Duration::from_secs(still_s)).await;
        let up = Instant::now();
        send(&stopped, Signal::CONT);
        let since = Instant::now();
        let (nodes, endpoints) = resumed(&load, 3, since, RESUMED_WITHIN).await;
        assert_none_acknowledged(&load, down, up);
        println!(
            "measured: still for {still_s} s: all nodes acknowledge after {nodes:?}, all endpoints receive after {endpoints:?}"
        );
    }
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    println!("measured: standing still: {}", load.ledger.summary());
    load.ledger.assert_duplicates_at_most(2 * 3 * IN_FLIGHT_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asynchronous_replication_is_said_in_the_readiness_answer() {
    let server = tokio::task::block_in_place(|| Server::start(&[]));
    let cluster = Cluster::start(&server, 1, node()).await;
    let node = &cluster.nodes[0];
    assert_eq!(ready(node).await, (200, "durable".to_owned()));
    let standby = tokio::task::block_in_place(|| server.standby(Replication::Asynchronous));
    eventually("it is said", Duration::from_secs(20), async || {
        when(ready(node).await == (200, "asynchronous".to_owned()))
    })
    .await;
    assert!(node.log_text().contains("a failover may lose what was acknowledged"), "and logged");
    drop(standby);
    eventually("and that it is over", Duration::from_secs(20), async || when(ready(node).await.1 == "durable")).await;
    let app = node.application("replicated").await;
    node.publish(&app, json!({ "eventType": "e", "payload": {} })).await;
}
