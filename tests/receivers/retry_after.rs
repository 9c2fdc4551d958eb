//! `Retry-After` in forms that no text can hold: what makes no sense leaves the schedule alone.

use std::time::Duration;

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, join_all};

/// Header lines, and the seconds that they ask for, if any.
fn cases() -> Vec<(&'static [u8], u64)> {
    vec![
        (b"retry-after: \xff\xfe", 0),
        (b"retry-after: caf\xe9", 0),
        (b"retry-after:", 0),
        (b"retry-after: 3, 60", 0),
        (b"retry-after: 3;", 0),
        (b"retry-after: 0x3", 0),
        (b"retry-after: \"60\"", 0),
        (b"retry-after: +60", 0),
        (b"retry-after: 60.0", 0),
        (b"retry-after: 6_0", 0),
        (b"retry-after: \xd9\xa3", 0),
        (b"retry-after: 2592001", 0),
        (b"retry-after: 18446744073709551619", 0),
        (b"retry-after: 99999999999999999999999999999999999999999999999999999999", 0),
        (b"retry-after: Fri, 31 Feb 2031 00:00:00 GMT", 0),
        (b"retry-after: 9999-12-31T23:59:59Z", 0),
        (b"x-retry-after: 60", 0),
        (b"retry-after: 3", 3),
        (b"Retry-AFTER:\t3\t", 3),
        (b"retry-after: 0003", 3),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_makes_sense_delays_a_retry() {
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    let cases: Vec<_> = cases().into_iter().enumerate().collect();
    let gaps = cases.iter().map(async |(number, (line, wanted_s))| {
        let path = format!("/{number}");
        let head = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n";
        receiver.on(&path, [Reply::Raw([head, *line, b"\r\n\r\n"].concat()), Reply::ok()]);
        let app_id = app.application(&path).await;
        app.endpoint(&app_id, &receiver.url(&path)).await;
        app.publish_numbered(&app_id, 1).await;
        let arrived = receiver.wait_for(&path, 2, SOON).await;
        let gap = arrived[1].at - arrived[0].at;
        let line = String::from_utf8_lossy(line);
        let least = Duration::from_millis(wanted_s.max(&1) * 1_000 - 100);
        assert!(gap >= least && gap < least * 6 / 5 + Duration::from_millis(1_300), "{line}: {gap:?}");
    });
    join_all(gaps).await;
}
