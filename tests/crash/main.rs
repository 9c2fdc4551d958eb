//! `kill -9` at random moments under load: nothing acknowledged is lost, nothing is invented, every
//! body is what was sent, and duplicates are bounded by what was in flight.
//!
//! Five kills, or 100 with `POSTHOUSE_SOAK`.

#[path = "../support/mod.rs"]
mod support;

mod ledger;
mod load;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use ledger::Ledger;
use load::{Load, Topology};
use support::app::{TestApp, id_of};
use support::store::{assert_sound_copy, assert_store_sound};
use support::wait::{eventually, when};

/// Small, so that the bound on duplicates says something.
const IN_FLIGHT_MAX: u64 = 256;
const PRODUCERS: usize = 64;
/// Ready again after a kill: T01 of the reliability reference.
const READY_WITHIN: Duration = Duration::from_secs(3);
const DRAIN_WITHIN: Duration = Duration::from_mins(1);

fn kills() -> u64 {
    if std::env::var_os("POSTHOUSE_SOAK").is_some() { 100 } else { 5 }
}

/// From `POSTHOUSE_SEED`, to repeat a run, or a new one.
fn seed() -> u64 {
    let given = std::env::var("POSTHOUSE_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(rand::random)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing() {
    let seed = seed();
    println!("seed {seed} (POSTHOUSE_SEED repeats it)");
    let mut random = StdRng::seed_from_u64(seed);
    // Failing ones are tried again for longer than any run, and soon enough to be done at its end.
    let schedule = vec!["2"; 50].join(",");
    let how = TestApp::builder()
        .set("delivery.retry_schedule", schedule)
        .set("delivery.attempts_in_flight_max", IN_FLIGHT_MAX)
        .set("log.attempts", "none");
    let mut app = how.ready_within(READY_WITHIN).start().await;
    let ledger = Arc::new(Ledger::default());
    let sink = load::start_sink(Arc::clone(&ledger)).await;
    let topology = Arc::new(Topology::make(&app, &sink).await);
    let load = Load::start(PRODUCERS, &topology, &ledger, &app);

    let mut starts_killed = 0;
    for kill in 1..=kills() {
        let moment = Duration::from_millis(random.random_range(50..1500));
        let before = ledger.acknowledged_count();
        load.run_for(moment).await;
        app.kill9();
        let accepted = ledger.acknowledged_count() - before;
        assert_sound_copy(&app.data_dir);
        if kill % 4 == 0 {
            // And once more while it reads what the first kill left.
            app.kill_while_starting(Duration::from_millis(random.random_range(1..100)));
            starts_killed += 1;
        }
        let began = Instant::now();
        app.restart().await;
        println!("kill {kill} after {moment:?}: {accepted} accepted; ready in {:?}", began.elapsed());
        load.go_on(&app);
    }
    load.run_for(Duration::from_millis(200)).await;
    load.stop().await;
    assert!(ledger.acknowledged_count() > 100 * kills(), "{}: it was no load", ledger.summary());

    // From now on every receiver is well: all that was acknowledged arrives.
    ledger.mend();
    ledger.assert_delivered(DRAIN_WITHIN).await;
    ledger.assert_nothing_invented();
    ledger.assert_duplicates_at_most((kills() + starts_killed) * IN_FLIGHT_MAX);
    assert_lists_are_complete(&app, &topology, &ledger).await;
    assert_attempts_are_complete(&app, &topology, &ledger).await;
    println!("{}", ledger.summary());

    let status = app.sigterm(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}");
    assert_store_sound(&app.data_dir);
    // What is delivered stays delivered: the last start finds nothing to do.
    let deliveries = ledger.delivery_count();
    app.restart().await;
    let fence = topology.first_application().to_owned();
    let last = app.publish(&fence, json!({ "eventType": "e", "payload": ledger::fence_payload() })).await;
    eventually("the fence arrives", Duration::from_secs(10), async || when(ledger.has_fence(&last))).await;
    assert_eq!(ledger.delivery_count(), deliveries, "nothing is sent again after a proper stop");
}

/// The list of each application's messages, page by page, is what was acknowledged for it, and
/// beyond that at most what was sent without an answer.
async fn assert_lists_are_complete(app: &TestApp, topology: &Topology, ledger: &Ledger) {
    for application in topology.applications() {
        let rows = whole_list(app, &format!("/api/v1/app/{application}/msg")).await;
        let listed: Vec<(String, Value)> = rows.iter().map(|row| (id_of(row), row["payload"].clone())).collect();
        assert!(listed.is_sorted_by(|a, b| a.0 > b.0), "newest first, and none twice");
        ledger.assert_list(application, &listed);
    }
}

/// The lists of attempts hold a success for each delivery, by endpoint and by message.
async fn assert_attempts_are_complete(app: &TestApp, topology: &Topology, ledger: &Ledger) {
    for (number, application, endpoint) in topology.endpoints() {
        let acknowledged = ledger.acknowledged_of(number);
        // The outcomes of the last attempts are written a moment after they arrived.
        let by_endpoint = eventually("a success of each message", Duration::from_secs(10), async || {
            let attempts = whole_list(app, &format!("/api/v1/app/{application}/attempt/endpoint/{endpoint}")).await;
            let done: HashSet<&str> =
                attempts.iter().filter(|a| a["status"] == 0).filter_map(|a| a["msgId"].as_str()).collect();
            let all = acknowledged.iter().all(|id| done.contains(id.as_str()));
            all.then_some(attempts)
        });
        let by_endpoint = by_endpoint.await;
        let distinct: HashSet<String> = by_endpoint.iter().map(id_of).collect();
        assert_eq!(distinct.len(), by_endpoint.len(), "no attempt is listed twice");
        for message in acknowledged.iter().take(3) {
            let path = format!("/api/v1/app/{application}/attempt/msg/{message}?endpoint_id={endpoint}");
            let by_message: Vec<String> = whole_list(app, &path).await.iter().map(id_of).collect();
            let same: Vec<String> = by_endpoint.iter().filter(|a| a["msgId"] == json!(message)).map(id_of).collect();
            assert_eq!(by_message, same, "the same attempts by message and by endpoint");
        }
    }
}

/// All rows of a list, page by page.
async fn whole_list(app: &TestApp, path: &str) -> Vec<Value> {
    let (mut rows, mut iterator) = (Vec::new(), String::new());
    let first = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = app.get(format!("{path}{first}limit=250{iterator}")).await.expect(200).json();
        rows.extend(page["data"].as_array().expect("data").iter().cloned());
        if page["done"] == true {
            return rows;
        }
        iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
    }
}
