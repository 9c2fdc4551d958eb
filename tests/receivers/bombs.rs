//! Compressed answers: what is kept is what they say, cut by what they say and by how much denser
//! they are than that; memory does not follow what they promise.

use std::io::Write as _;

use serde_json::json;

use crate::support::memory::{forget_peak, peak_kib, resident_kib};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};
use crate::{assert_in_time, assert_recorded, attempt, start};

/// What is kept of an answer, and for how many bytes each compressed one may stand.
const KEPT: usize = 64 * 1024;
const RATIO_MAX: usize = 100;
const MEMORY_GROWTH_KIB_MAX: u64 = 32 * 1024;
/// Endpoints of each kind, so that they strike together.
const EACH: usize = 20;

/// 100 MiB of `x` in brotli.
const BROTLI: &str = "cbffff3f0024f0e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800\
    baf77ffcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfb3ffeffff012001108705a07bffc7ffff3f\
    002400e2b00074effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77ff9ffff034002200e0b40\
    f7fe07";

fn brotli() -> Vec<u8> {
    let digits = BROTLI.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).expect("text"), 16).expect("hex")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A frame with a window of so many bytes (a power of two, in its logarithm) and so many blocks of
/// 128 KiB of `x`, four bytes each.
fn zstd(window_log: u8, blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_log - 10) << 3];
    for number in 1..=blocks {
        let head = u32::from(number == blocks) | 1 << 1 | (128 * 1024) << 3;
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(b'x');
    }
    frame
}

fn compressed(coding: &str, body: &[u8]) -> Reply {
    Reply::ok().with_header("content-encoding", coding).with_body(body)
}

/// Name, coding and bytes, and how much is to be kept.
fn bombs() -> Vec<(&'static str, &'static str, Vec<u8>, usize)> {
    let (gzip, brotli) = (gzip(&vec![b'x'; 100 << 20]), brotli());
    let dense = brotli.len() * RATIO_MAX;
    vec![
        ("gzip", "gzip", gzip, KEPT),
        // 2 GiB in 64 KiB.
        ("zstd", "zstd", zstd(23, 16_384), KEPT),
        ("brotli", "br", brotli, dense),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bombs_are_kept_up_to_the_cap_and_cost_no_memory() {
    let (app, receiver) = (start().await, Receiver::start().await);
    let app_id = app.application("Bombs").await;
    for (name, coding, bytes, _) in bombs() {
        receiver.on(&format!("/{name}"), [compressed(coding, &bytes)]);
        for _ in 0..EACH {
            app.endpoint_with(&app_id, &receiver.url(&format!("/{name}")), json!({ "channels": [name] })).await;
        }
    }
    let plain = app.application("Plain").await;
    app.endpoint(&plain, &receiver.url("/plain")).await;
    for number in 0..50 {
        app.publish_numbered(&plain, number).await;
    }
    receiver.wait_for("/plain", 50, SOON).await;

    let before = resident_kib(app.pid());
    forget_peak(app.pid());
    let attempts_before = app.metric("posthouse_attempts_total").await;
    let mut sent = Vec::new();
    for (name, _, _, kept) in bombs() {
        let body = json!({ "eventType": "e", "payload": {}, "channels": [name] });
        sent.push((name, kept, app.publish(&app_id, body).await));
    }
    // Nothing is read back meanwhile: that takes memory of its own.
    eventually("all have ended", SOON, async || {
        let ended = app.metric("posthouse_attempts_total").await - attempts_before;
        when(ended >= 3 * EACH as i64 && app.metric("posthouse_attempts_in_flight").await == 0)
    })
    .await;
    let grown = peak_kib(app.pid()).saturating_sub(before);
    for (name, kept, message) in sent {
        for attempt in app.wait_for_attempts(&app_id, &message, EACH, SOON).await {
            let text = attempt["response"].as_str().unwrap_or_default();
            let is_x = text.bytes().all(|byte| byte == b'x');
            assert!(is_x && text.len() == kept, "{name}: {} bytes, {kept} expected", text.len());
            assert_eq!(attempt["status"], 0, "{name}");
            assert_in_time(&attempt);
        }
    }
    println!("{} bombs: {grown} KiB more in memory at the peak", 3 * EACH);
    assert!(grown <= MEMORY_GROWTH_KIB_MAX, "{grown} KiB more in memory at the peak");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_as_it_came() {
    let (app, receiver) = (start().await, Receiver::start().await);
    let text = "The order is not known.\n".repeat(100);
    let packed = gzip(text.as_bytes());
    let twice = gzip(&packed);
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let whole_window = zstd(31, 1);
    for (name, coding, body, kept) in [
        ("right", "gzip", &packed[..], text.clone()),
        ("upper-case", "X-GZIP", &packed, text.clone()),
        ("plain", "gzip", b"plain", "plain".to_owned()),
        ("other", "compress", &packed, lossy(&packed)),
        ("two", "gzip, gzip", &twice, lossy(&twice)),
        ("window-of-2-gib", "zstd", &whole_window, lossy(&whole_window)),
    ] {
        receiver.on(&format!("/{name}"), [compressed(coding, body)]);
        let seen = attempt(&app, &receiver.url(&format!("/{name}"))).await;
        assert_recorded(name, &seen, true, 200, &kept);
    }
    // One that breaks off is a broken answer, and says what it said.
    let half = &packed[..packed.len() - 12];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    receiver.on("/half", [Reply::Raw([head.as_bytes(), half].concat())]);
    let seen = attempt(&app, &receiver.url("/half")).await;
    let kept = seen["response"].as_str().unwrap_or_default().to_owned();
    assert!(kept.starts_with("The order") && text.starts_with(&kept), "{seen}");
    assert_recorded("half", &seen, false, 200, &kept);
}
