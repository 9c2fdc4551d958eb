//! `posthouse restore`: what was acknowledged before a backup is there after it, and what is no sound
//! backup is refused with its reason.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use rusqlite::Connection;

use crate::load::Load;
use crate::support::app::{TestApp, cli};
use crate::support::store::assert_sound;
use crate::support::wait::SOON;

fn restore(data_dir: &Path, words: &[&str]) -> Output {
    let words: Vec<&str> = std::iter::once("restore").chain(words.iter().copied()).collect();
    cli(data_dir, &words, &[])
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[track_caller]
fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn assert_refused(output: &Output, why: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(why), "{why}: {error}");
}

/// A data folder that holds a key file and nothing else.
fn new_folder(folder: &Path, name: &str, key_of: &Path) -> PathBuf {
    let data_dir = folder.join(name);
    std::fs::create_dir(&data_dir).expect("made");
    std::fs::copy(key_of.join("key"), data_dir.join("key")).expect("copied");
    data_dir
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_backup_is_there_after_it() {
    let how = TestApp::builder().set("delivery.retry_schedule", ["1"; 50].join(",")).set("log.attempts", "none");
    let mut app = how.clone().start().await;
    let mut load = Load::prepare(&app).await;
    let secret = app.secret(&load.app_id, &load.endpoint_id).await;
    // Part of it is delivered, part is waiting for a retry when the backup is made.
    load.start(&app);
    load.goes_on(100).await;
    load.set_ill(true);
    load.goes_on(100).await;
    let before = load.acknowledged();
    let backup = app.folder.path().join("backup.db");
    let (data_dir, target) = (app.data_dir.clone(), backup.clone());
    let made = tokio::task::spawn_blocking(move || cli(&data_dir, &["backup", text(&target)], &[]));
    assert_done(&made.await.expect("ended"));
    load.stop().await;
    assert!(app.sigterm(SOON * 3).await.success());

    let data_dir = new_folder(app.folder.path(), "restored", &app.data_dir);
    assert_done(&restore(&data_dir, &[text(&backup)]));
    let store = std::fs::metadata(data_dir.join("posthouse.db")).expect("a store");
    assert_eq!(store.permissions().mode() & 0o777, 0o600);
    load.set_ill(false);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let restored = how.start_in(folder, data_dir).await;
    load.arrive(&before).await;
    load.assert_known(&restored, &before[..50]).await;
    assert_eq!(restored.secret(&load.app_id, &load.endpoint_id).await, secret);
    let key = restored.client.clone().with_key(Some(&app.key));
    key.get(format!("/api/v1/app/{}", load.app_id)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_replaced_only_when_told_to_and_kept_aside() {
    let mut app = TestApp::start().await;
    let kept = app.application("Kept").await;
    let backup = app.folder.path().join("backup.db");
    assert_done(&app.cli(&["backup", text(&backup)]));
    let later = app.application("Later").await;
    assert_refused(&restore(&app.data_dir, &[text(&backup), "--replace"]), "is in use by another Posthouse");
    app.kill9();
    assert_refused(&restore(&app.data_dir, &[text(&backup)]), "--replace puts it aside");
    for number in 1..=2 {
        assert_done(&restore(&app.data_dir, &[text(&backup), "--replace"]));
        assert!(app.data_dir.join(format!("posthouse.db.replaced-{number}")).exists());
    }
    // What was only in the log of the store that was killed went aside with it.
    let aside = app.data_dir.join("posthouse.db.replaced-1");
    assert_sound(&aside);
    let applications = Connection::open(&aside).expect("opens");
    let count: i64 = applications
        .query_row("SELECT count(*) FROM application WHERE kind = 0", [], |row| row.get(0))
        .expect("counted");
    assert_eq!(count, 2);
    app.restart().await;
    app.get(format!("/api/v1/app/{kept}")).await.expect(200);
    app.get(format!("/api/v1/app/{later}")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sound_backup_of_this_key_is_refused() {
    let app = TestApp::start().await;
    let app_id = app.application("Some").await;
    app.endpoint(&app_id, "https://example.com/hook").await;
    let folder = app.folder.path();
    let backup = folder.join("backup.db");
    assert_done(&app.cli(&["backup", text(&backup)]));
    let data_dir = new_folder(folder, "new", &app.data_dir);
    let altered = |name: &str, alter: &dyn Fn(&Path)| {
        let file = folder.join(name);
        std::fs::copy(&backup, &file).expect("copied");
        alter(&file);
        file
    };
    let refused = |file: &Path, why: &str| {
        assert_refused(&restore(&data_dir, &[text(file)]), why);
        let left: Vec<_> =
            std::fs::read_dir(&data_dir).expect("listed").map(|e| e.expect("an entry").file_name()).collect();
        assert!(left.iter().all(|name| name == "key" || name == "lock"), "nothing is left behind: {left:?}");
    };
    let sql = |file: &Path, sql: &str| Connection::open(file).expect("opens").execute_batch(sql).expect("done");

    refused(&folder.join("missing.db"), "opening the backup");
    refused(
        &altered("text.db", &|file| std::fs::write(file, b"not a database").expect("written")),
        "is no Posthouse store",
    );
    refused(
        &altered("other.db", &|file| {
            std::fs::remove_file(file).expect("removed");
            sql(file, "CREATE TABLE message (x); PRAGMA user_version = 1");
        }),
        "is no Posthouse store",
    );
    refused(&altered("newer.db", &|file| sql(file, "PRAGMA user_version = 99")), "has version 99");
    refused(
        &altered("cut.db", &|file| {
            let cut = std::fs::File::options().write(true).open(file).expect("opens");
            cut.set_len(cut.metadata().expect("a length").len() / 2).expect("cut");
        }),
        "is damaged",
    );
    refused(
        &altered("in-use.db", &|file| std::fs::write(file.with_extension("db-wal"), b"log").expect("written")),
        "has a log beside it",
    );
    let foreign = "UPDATE endpoint SET secret = CAST(x'01deadbeef' || randomblob(60) AS BLOB)";
    refused(&altered("two-keys.db", &|file| sql(file, foreign)), "1 values in it are sealed with a key");

    std::fs::write(data_dir.join("key"), format!("{}\n", "ab".repeat(32))).expect("written");
    refused(&backup, "the key file does not open");
    std::fs::remove_file(data_dir.join("key")).expect("removed");
    refused(&backup, "is missing: put the one there");
    std::fs::copy(app.data_dir.join("key"), data_dir.join("key")).expect("copied");
    assert_done(&restore(&data_dir, &[text(&backup)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn root_leaves_no_files_in_the_folder_of_another_user() {
    const OTHER: u32 = 65_534;
    let mut app = TestApp::start().await;
    let backup = app.folder.path().join("backup.db");
    assert_done(&app.cli(&["backup", text(&backup)]));
    assert!(app.sigterm(SOON * 3).await.success());
    let folder = new_folder(app.folder.path(), "other", &app.data_dir);
    if std::os::unix::fs::chown(&folder, Some(OTHER), Some(OTHER)).is_err() {
        println!("NOT checked: only root can give a folder away");
        return;
    }
    assert_refused(&restore(&folder, &[text(&backup)]), "belongs to user 65534");
    assert_refused(&cli(&folder, &["key", "create"], &[]), "belongs to user 65534");
    let left: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(left, ["key"]);
}
