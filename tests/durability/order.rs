//! The order of system calls, seen by strace.

use std::collections::HashMap;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::trace::{Call, find, read_trace, strace_works, traced_into};
use crate::support::wait::SOON;

const MESSAGES: usize = 200;
const CONNECTIONS: usize = 8;
/// The header of a frame of the write-ahead log; bytes 4 to 8 are not zero in the last of a commit.
const FRAME_HEADER_BYTES: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn a_2xx_and_a_delivery_leave_only_after_the_fsync_of_their_commit() {
    if !strace_works("the order of fsync and answer") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let trace = folder.path().join("trace");
    let wrapper = traced_into(&trace);
    let words: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let mut app = TestApp::builder().wrapped(&words).start().await;
    let receiver = Receiver::start().await;
    let app_id = app.application("Order").await;
    app.endpoint(&app_id, &receiver.url("/order")).await;

    let markers: Vec<String> = (0..MESSAGES).map(|number| format!("marker{number:06}q")).collect();
    let tasks: Vec<_> = markers
        .chunks(MESSAGES.div_ceil(CONNECTIONS))
        .map(|share| {
            let (client, share, path) = (app.client.clone(), share.to_vec(), format!("/api/v1/app/{app_id}/msg"));
            tokio::spawn(async move {
                for marker in share {
                    let body = json!({ "eventType": "e", "payload": { "m": marker, "pad": "x".repeat(200) } });
                    client.post(&path, body).await.expect(202);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("all are accepted");
    }
    receiver.wait_for("/order", MESSAGES, SOON).await;
    assert!(app.sigterm(SOON * 2).await.success());

    let calls = read_trace(&trace);
    let proofs = prove(&calls, &markers);
    println!("{} system calls, {} commits", calls.len(), proofs);
}

/// Fails the test unless every answer and every delivery comes after the sync of its commit.
/// Returns how many commits there were.
fn prove(calls: &[Call], markers: &[String]) -> usize {
    let log: Vec<&Call> = calls.iter().filter(|call| call.is_on("-wal")).collect();
    assert!(!log.is_empty(), "the write-ahead log is written");
    let mut commits = std::collections::HashSet::new();
    let mut answers: HashMap<&str, &Call> = HashMap::new();
    let mut deliveries: HashMap<&str, &Call> = HashMap::new();
    for call in calls.iter().filter(|call| !call.is_on("-wal") && !call.is_sync()) {
        let is_answer = call.holds(b"HTTP/1.1 202");
        if is_answer || call.holds(b"POST /order") {
            for marker in markers.iter().filter(|marker| call.holds(marker.as_bytes())) {
                let first = if is_answer { &mut answers } else { &mut deliveries };
                first.entry(marker.as_str()).or_insert(call);
            }
        }
    }
    for marker in markers {
        // The first time that the message is written to the log …
        let written = log.iter().position(|call| call.name.starts_with("pwrite") && call.holds(marker.as_bytes()));
        let written = written.unwrap_or_else(|| panic!("{marker} is not in the log"));
        let thread = log[written].thread;
        // … the end of that commit, by the same thread …
        let commit = (written.saturating_sub(1)..log.len())
            .find(|at| log[*at].thread == thread && ends_commit(log[*at]))
            .unwrap_or_else(|| panic!("{marker}: its commit has no end"));
        // … and the sync that began after the last of its pages, and went well.
        let synced = log[commit..].iter().find(|call| call.thread == thread && call.is_sync());
        let synced = synced.unwrap_or_else(|| panic!("{marker}: its commit is not synced"));
        assert!(synced.succeeded(), "{marker}: {}", synced.result);
        assert!(synced.began > log[commit].ended && synced.began > log[written].ended);
        commits.insert(synced.began);

        let answer = answers.get(marker.as_str()).unwrap_or_else(|| panic!("{marker}: no answer is seen"));
        assert!(answer.began > synced.ended, "{marker}: the 202 left at {}, synced at {}", answer.began, synced.ended);
        let delivery = deliveries.get(marker.as_str()).unwrap_or_else(|| panic!("{marker}: no delivery is seen"));
        assert!(delivery.began > synced.ended, "{marker}: delivered at {}, synced at {}", delivery.began, synced.ended);
    }
    commits.len()
}

/// Whether this writes the header of the last frame of a commit.
fn ends_commit(call: &Call) -> bool {
    let data = call.data();
    let length = find(&call.arguments, b"\", 24, ").is_some();
    call.name == "pwrite64" && length && data.len() > FRAME_HEADER_BYTES && data[4..8] != [0; 4]
}
