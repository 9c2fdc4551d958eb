//! Disks that fail, fill up or crawl.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crate::producers::{Producers, assert_all_there};
use crate::support::app::TestApp;
use crate::support::http::Response;
use crate::support::receiver::Receiver;
use crate::support::store::{assert_sound, database};
use crate::support::trace::{Tracer, strace_works};
use crate::support::wait::{SOON, eventually, when};

/// How soon a failing disk is admitted to, and a mended one found.
const ADMITTED_WITHIN: Duration = Duration::from_secs(1);
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);
/// strace itself takes its time to stop every thread.
const TRACER_GRACE: Duration = Duration::from_secs(1);

/// How much longer a sync takes on a slow disk.
const DELAY: Duration = Duration::from_millis(500);
/// How long an answer to what was synced may take to leave.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

#[track_caller]
fn assert_clear(refused: &[Response]) {
    for answer in refused {
        answer.clone().error(503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_fsync_nothing_is_acknowledged_and_nothing_stored_is_lost() {
    if !strace_works("a failing fsync") {
        return;
    }
    let (mut app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    let app_id = app.application("Eio").await;
    app.endpoint(&app_id, &receiver.url("/eio")).await;
    let mut acknowledged = Vec::new();
    // For good; once, at the first sync (the next one works, and must not be believed); once, later.
    for (round, failing) in ["1+", "1", "1", "4", "9"].into_iter().enumerate() {
        let producers = Producers::start(&app, &app_id, 16, 300);
        let notes = std::sync::Arc::clone(&producers.notes);
        eventually("the load runs", SOON, async || when(notes.count() > 50 * (round + 1))).await;

        let tracer = Tracer::failing_syncs(app.pid(), failing);
        let attached = Instant::now();
        eventually("it ends, or says that it is not ready", ADMITTED_WITHIN + TRACER_GRACE, async || {
            if let Some(status) = app.ended() {
                assert!(!status.success(), "a failed disk is no success: {status}");
                return Some(());
            }
            let ready = app.client.try_send(&crate::support::http::Request::new("GET", "/api/v1/health/ready")).await;
            when(ready.is_ok_and(|answer| answer.status == 503))
        })
        .await;
        // What was synced before may still have been on its way; after that nothing is acknowledged,
        // also not when the next sync works.
        let failed = Instant::now();
        drop(tracer);
        // The load goes on for longer than that.
        eventually("answers on their way have come", SOON, async || when(failed.elapsed() > 2 * ON_ITS_WAY)).await;
        let notes = producers.stop().await;
        let from = if failing.starts_with('1') { attached + ON_ITS_WAY } else { failed + ON_ITS_WAY };
        assert_eq!(notes.acknowledged_after(from), 0, "acknowledged after the disk had failed ({failing})");
        println!(
            "failing {failing}: {} acknowledged, {} refused, {} broken, {:?} from attaching to the end",
            notes.count(),
            notes.refused().len(),
            notes.broken.load(SeqCst),
            failed - attached
        );
        assert_clear(&notes.refused());
        acknowledged.extend(notes.acknowledged());
        app.restart().await;
        assert_all_there(&app, &app_id, &acknowledged).await;
    }
    eventually("all that was acknowledged is delivered", SOON, async || {
        let arrived = receiver.received("/eio");
        let arrived: std::collections::HashSet<_> = arrived.iter().map(|r| r.message_id().to_owned()).collect();
        when(acknowledged.iter().all(|id| arrived.contains(id)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_fsync_delays_answers_and_makes_none_false() {
    if !strace_works("a slow fsync") {
        return;
    }
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Slow").await;
    app.endpoint(&app_id, &receiver.url("/slow")).await;
    app.publish_numbered(&app_id, 0).await;
    let tracer = Tracer::slow_syncs(app.pid(), DELAY);
    let mut sent = Vec::new();
    for number in 1..=3 {
        let began = Instant::now();
        sent.push(app.publish_numbered(&app_id, number).await);
        assert!(began.elapsed() >= DELAY, "answered after {:?}, before its sync could end", began.elapsed());
        // The server is not stuck meanwhile: what needs no sync answers at once.
        let began = Instant::now();
        app.get("/api/v1/health").await.expect(204);
        app.get(format!("/api/v1/app/{app_id}")).await.expect(200);
        assert!(began.elapsed() < DELAY, "reading took {:?}", began.elapsed());
    }
    app.kill9();
    drop(tracer);
    app.restart().await;
    assert_all_there(&app, &app_id, &sent).await;
    eventually("all are delivered", SOON, async || {
        let arrived = receiver.received("/slow");
        when(sent.iter().all(|id| arrived.iter().any(|r| r.message_id() == id)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_is_answered_503_with_a_time_to_come_back() {
    if !strace_works("a full journal") {
        return;
    }
    let how = TestApp::builder().set("limits.journal_rows_max", 100);
    let (app, receiver) = (how.start().await, Receiver::start().await);
    let app_id = app.application("Full").await;
    app.endpoint(&app_id, &receiver.url("/full")).await;
    let tracer = Tracer::slow_syncs(app.pid(), DELAY);
    let producers = Producers::start(&app, &app_id, 400, 100);
    let notes = std::sync::Arc::clone(&producers.notes);
    eventually("the journal is full", SOON, async || when(notes.refused().len() >= 20)).await;
    drop(tracer);
    let notes = producers.stop().await;
    for answer in notes.refused() {
        let seconds = answer.header("retry-after").and_then(|value| value.parse::<u32>().ok());
        assert!(seconds.is_some_and(|s| s >= 1), "a Retry-After in seconds: {:?}", answer.headers);
        answer.error(503);
    }
    assert!(notes.count() > 0);
    assert_all_there(&app, &app_id, &notes.acknowledged()).await;
    app.publish_numbered(&app_id, 1).await;
}

/// A server whose data folder is on a small disk of its own; `None`, said loudly, where this
/// machine allows no such thing.
async fn start_on_small_disk(mebibytes: u32, reserve_mebibytes: u32) -> Option<(TestApp, PathBuf)> {
    let mounts = std::process::Command::new("unshare").args(["-m", "true"]).status();
    if !mounts.is_ok_and(|status| status.success()) {
        eprintln!("\n*** NOT RUN: a full disk: `unshare -m` is not allowed here ***\n");
        return None;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let script = format!("mount -t tmpfs -o size={mebibytes}m none '{}' && exec \"$0\" \"$@\"", disk.display());
    let reserve = u64::from(reserve_mebibytes) << 20;
    let how = TestApp::builder()
        .set("storage.disk_reserve_bytes", reserve)
        .set("storage.wal_bytes_max", 1 << 20)
        .set("delivery.retry_schedule", "1,1,1")
        .wrapped(&["unshare", "-m", "sh", "-c", &script]);
    let app = how.start_on_own_mount(folder, disk.join("data")).await;
    let seen = PathBuf::from(format!("/proc/{}/root", app.pid())).join(disk.strip_prefix("/").expect("absolute"));
    Some((app, seen))
}

/// Fills a disk to its last byte; deleting the file makes room again.
fn fill(disk: &std::path::Path) -> PathBuf {
    use std::io::Write as _;
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    filler
}

async fn survives_a_full_disk(mut app: TestApp, disk: PathBuf) {
    let receiver = Receiver::start().await;
    let app_id = app.application("Disk").await;
    app.endpoint(&app_id, &receiver.url("/disk")).await;
    let producers = Producers::start(&app, &app_id, 8, 300);
    let notes = std::sync::Arc::clone(&producers.notes);
    eventually("the load runs", SOON, async || when(notes.count() > 50)).await;

    let filler = fill(&disk);
    let full = Instant::now();
    eventually("refusals with a code", ADMITTED_WITHIN + TRACER_GRACE, async || when(!notes.refused().is_empty()))
        .await;
    // What was accepted before the refusals is whole; reading goes on.
    eventually("nothing is accepted for a while", SOON, async || {
        let quiet = Instant::now().checked_sub(Duration::from_millis(500)).expect("a time");
        when(quiet > full && notes.acknowledged_after(quiet) == 0)
    })
    .await;
    app.get("/api/v1/health").await.expect(204);
    app.get(format!("/api/v1/app/{app_id}")).await.expect(200);
    assert_eq!(app.get("/api/v1/health/ready").await.status, 503);
    assert!(app.ended().is_none(), "it waits for room, it does not end");
    assert_clear(&notes.refused());

    std::fs::remove_file(filler).expect("room again");
    let mended = Instant::now();
    eventually("it accepts again by itself", RECOVERED_WITHIN, async || when(notes.acknowledged_after(mended) > 20))
        .await;
    let notes = producers.stop().await;
    assert_eq!(notes.broken.load(SeqCst), 0, "no connection was broken");
    assert_all_there(&app, &app_id, &notes.acknowledged()).await;
    eventually("all that was acknowledged is delivered", SOON, async || {
        let arrived = receiver.received("/disk");
        let arrived: std::collections::HashSet<_> = arrived.iter().map(|r| r.message_id().to_owned()).collect();
        when(notes.acknowledged().iter().all(|id| arrived.contains(id)))
    })
    .await;
    println!("{} acknowledged, {} refused", notes.count(), notes.refused().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_clearly_and_recovers_by_itself() {
    if let Some((app, disk)) = start_on_small_disk(32, 0).await {
        survives_a_full_disk(app, disk).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_stops_before_the_disk_is_full() {
    if let Some((app, disk)) = start_on_small_disk(64, 16).await {
        survives_a_full_disk(app, disk).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_room_loses_nothing() {
    if !strace_works("writes without room") {
        return;
    }
    let (mut app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    let app_id = app.application("Enospc").await;
    app.endpoint(&app_id, &receiver.url("/enospc")).await;
    let producers = Producers::start(&app, &app_id, 8, 300);
    let notes = std::sync::Arc::clone(&producers.notes);
    eventually("the load runs", SOON, async || when(notes.count() > 50)).await;
    let tracer = Tracer::attach(app.pid(), &["-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC"]);
    eventually("refusals", ADMITTED_WITHIN + TRACER_GRACE, async || when(notes.refused().len() > 10)).await;
    let attached = Instant::now();
    eventually("refusals go on", SOON, async || when(attached.elapsed() > Duration::from_millis(500))).await;
    assert_eq!(notes.acknowledged_after(attached), 0, "nothing can be stored, nothing is acknowledged");
    drop(tracer);
    let mended = Instant::now();
    eventually("it accepts again by itself", RECOVERED_WITHIN, async || when(notes.acknowledged_after(mended) > 20))
        .await;
    let notes = producers.stop().await;
    assert_clear(&notes.refused());
    assert_all_there(&app, &app_id, &notes.acknowledged()).await;
    assert!(app.sigterm(SOON).await.success());
    assert_sound(&database(&app.data_dir));
}
