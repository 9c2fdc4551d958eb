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

/// A trace in which message 0 is written, committed, synced, answered and delivered, in the order given.
fn made_up(order: [&str; 5]) -> Vec<Call> {
    let line = |step: &str| match step {
        "page" => {
            r#"7 pwrite64(5</d/x.db-wal>, "\x00\x00\x00\x01\x00\x00\x00\x00\x58\xd2\xde\xb6\x69\x99\xd9\x06\x9b\xda\xd6\x57\x0a\xe6\x71\x1d", 24, 32) = 24
7 pwrite64(5</d/x.db-wal>, "marker000000q", 4096, 56) = 4096"#
        }
        "commit" => {
            r#"7 pwrite64(5</d/x.db-wal>, "\x00\x00\x00\x02\x00\x00\x00\x02\x58\xd2\xde\xb6\x69\x99\xd9\x06\x9b\xda\xd6\x57\x0a\xe6\x71\x1d", 24, 4152) = 24"#
        }
        "sync" => {
            "7 fdatasync(5</d/x.db-wal> <unfinished ...>\n8 write(3<pipe:[1]>, \"x\", 1) = 1\n7 <... fdatasync resumed>) = 0"
        }
        "answer" => {
            r#"8 writev(9<socket:[1]>, [{iov_base="HTTP/1.1 202 Accepted", iov_len=21}, {iov_base="marker000000q", iov_len=13}], 2) = 34"#
        }
        "delivery" => r#"9 sendto(10<socket:[2]>, "POST /order HTTP/1.1 marker000000q", 34, 0, NULL, 0) = 34"#,
        other => panic!("{other}"),
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let trace = folder.path().join("trace");
    std::fs::write(&trace, order.map(line).join("\n")).expect("a trace");
    read_trace(&trace)
}

fn prove_made_up(order: [&str; 5]) -> usize {
    prove(&made_up(order), &["marker000000q".to_owned()])
}

#[test]
fn a_trace_in_order_is_a_proof() {
    assert_eq!(prove_made_up(["page", "commit", "sync", "answer", "delivery"]), 1);
}

#[test]
#[should_panic(expected = "the 202 left")]
fn an_answer_before_the_sync_is_found() {
    prove_made_up(["page", "commit", "answer", "sync", "delivery"]);
}

#[test]
#[should_panic(expected = "delivered at")]
fn a_delivery_before_the_sync_is_found() {
    prove_made_up(["page", "commit", "delivery", "sync", "answer"]);
}

#[test]
#[should_panic(expected = "its commit is not synced")]
fn a_sync_before_the_end_of_the_commit_is_none() {
    prove_made_up(["page", "sync", "commit", "answer", "delivery"]);
}
