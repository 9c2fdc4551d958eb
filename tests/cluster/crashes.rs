//! Nodes that crash, and one that sleeps: others take over, and nothing is lost.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Cluster, IN_FLIGHT_MAX};
use crate::load::Load;
use crate::support::app::TestApp;
use crate::support::wait::{SOON, eventually, when};
use crate::{alone, is_soak, lease};

const DRAIN_WITHIN: Duration = Duration::from_mins(1);
const KILL_EVERY: Duration = Duration::from_secs(5);
/// An endpoint waits at most this much longer than the lease of who is gone.
const TAKE_OVER_MAX: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_one_node_after_another_loses_nothing() {
    let _alone = alone().await;
    let mut cluster = Cluster::three().await;
    let mut load = Load::start(&cluster, 50).await;
    let kills = if is_soak() { 12 } else { 2 };
    for kill in 1..=kills {
        load.run_for(if is_soak() { KILL_EVERY } else { KILL_EVERY / 2 }).await;
        let node = kill % 3;
        cluster.nodes[node].kill9();
        // Every fourth, and the last, does not come back before others have taken over.
        let is_long = kill.is_multiple_of(4) || kill == kills;
        if is_long {
            cluster.shared_evenly_by(2).await;
        }
        cluster.nodes[node].restart().await;
        load.with(node, &cluster.nodes[node]);
    }
    cluster.shared_evenly_by(3).await;
    load.run_for(Duration::from_secs(1)).await;
    let gap = load.ledger.longest_gap(load.began, Instant::now());
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    println!("{kills} kills: {}; longest pause of an endpoint {gap:?}", load.ledger.summary());
    load.ledger.assert_duplicates_at_most(kills as u64 * IN_FLIGHT_MAX);
    assert!(gap <= lease() + TAKE_OVER_MAX, "an endpoint got nothing for {gap:?}");
}

fn signal(node: &TestApp, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(node.pid()).expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("a signal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sleeps_for_three_leases_is_fenced_when_it_wakes_up() {
    let _alone = alone().await;
    let cluster = Cluster::three().await;
    let mut load = Load::start(&cluster, 50).await;
    load.run_for(Duration::from_secs(2)).await;
    let sleeper = &cluster.nodes[1];
    let epoch = || cluster.psql("select epoch from node where name = 'node-1'");
    let before = epoch();
    signal(sleeper, Signal::STOP);
    load.without(1);
    let asleep = Instant::now();
    cluster.shared_evenly_by(2).await;
    let taken_over = asleep.elapsed();
    assert_ne!(epoch(), before, "who takes over fences the sleeper");
    load.run_for((lease() * 3).saturating_sub(asleep.elapsed())).await;
    let gap = load.ledger.longest_gap(asleep, Instant::now());
    signal(sleeper, Signal::CONT);
    let awake = Instant::now();
    eventually("it finds that it was fenced", SOON, async || when(sleeper.log_text().contains("it joins again"))).await;
    load.with(1, sleeper);
    cluster.shared_evenly_by(3).await;
    let back = awake.elapsed();
    load.run_for(Duration::from_secs(1)).await;
    load.stop().await;
    load.ledger.assert_delivered(DRAIN_WITHIN).await;
    println!(
        "asleep: taken over after {taken_over:?}, longest pause of an endpoint {gap:?}, its share again {back:?} after \
         waking up; {}",
        load.ledger.summary()
    );
    load.ledger.assert_duplicates_at_most(IN_FLIGHT_MAX);
    assert!(gap <= lease() + TAKE_OVER_MAX, "an endpoint got nothing for {gap:?}");
    let answered = load.ledger.acknowledged().iter().filter(|answer| answer.node == 1 && answer.at > awake).count();
    assert!(answered > 0, "it takes messages again");
}
