//! The files: backup, key, version, the bound on the log, nothing secret in clear.

use base64::Engine as _;

use super::*;
use crate::store::command::EndpointPatch;

fn fill(store: &mut Store, config: &Arc<AppConfig>, messages: usize) -> i64 {
    let payload = bytes::Bytes::from_static(&[b'1'; 300]);
    let publish = Publish { payload, ..store.message(config) };
    let batch: Vec<_> = (0..messages).map(|_| Command::Publish(Box::new(publish.clone()))).collect();
    store.commit(&batch).iter().map(published).map(|key| key.0).max().unwrap_or(0)
}

#[test]
fn a_backup_taken_while_commits_go_on_is_whole() {
    let mut store = Store::new();
    let config = store.app();
    for _ in 0..40 {
        fill(&mut store, &config, 1_000);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copy.db");
    let message = Command::Publish(Box::new(store.message(&config)));
    let (mut between, mut stored) = (0_i64, 40_000_i64);
    store
        .writer
        .backup(&file, &mut |writer| {
            between += 1;
            published(&writer.commit(std::slice::from_ref(&message)).expect("committed")[0]);
        })
        .expect("a backup");
    stored += between;
    assert!(between >= 3, "{between} commits went on");
    assert_eq!(store.count("message"), stored);
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("listed").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(left, ["copy.db"], "nothing else is left lying about");
    let copy = rusqlite::Connection::open(&file).expect("opens");
    let text = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, String>(0)).expect("read");
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let held: i64 = copy.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).expect("read");
    assert_eq!(held, stored);
    drop(copy);

    // It is a store: put in a folder under its name, it opens and goes on.
    let restored = tempfile::tempdir().expect("a folder");
    std::fs::copy(&file, restored.path().join("posthouse.db")).expect("copied");
    let mut restored = Store::in_folder(restored, 64 * 1024 * 1024, store.now);
    fill(&mut restored, &config, 1);
    assert_eq!(restored.count("message"), stored + 1);
}

#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let rights = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry"));
        entries
            .map(|entry| (entry.file_name(), entry.metadata().expect("metadata").permissions().mode() & 0o777))
            .collect::<Vec<_>>()
    };
    let mut store = Store::new();
    store.app();
    let made = rights(&store.options.folder);
    assert!(made.len() >= 2 && made.iter().all(|(_, mode)| *mode == 0o600), "{made:?}");
    // Files of before, or out of a backup, are mended.
    for (name, _) in made {
        let wide = std::fs::Permissions::from_mode(0o664);
        std::fs::set_permissions(store.options.folder.join(name), wide).expect("set");
    }
    prepare(&store.options).expect("prepared");
    let mended = rights(&store.options.folder);
    assert!(mended.iter().all(|(_, mode)| *mode == 0o600), "{mended:?}");
    let folder = tempfile::tempdir().expect("a folder");
    // What has a similar name is left alone.
    std::fs::write(folder.path().join("copy.partial"), b"mine").expect("written");
    store.writer.backup(&folder.path().join("copy.db"), &mut |_| {}).expect("a backup");
    assert_eq!(std::fs::metadata(folder.path().join("copy.partial")).expect("there").len(), 4);
    let copy = std::fs::metadata(folder.path().join("copy.db")).expect("a copy");
    assert_eq!(copy.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_backup_in_the_data_folder_is_refused() {
    let mut store = Store::new();
    let folder = store.options.folder.clone();
    std::fs::create_dir(folder.join("below")).expect("made");
    for target in [folder.join("posthouse.db"), folder.join("copy.db"), folder.join("below/../below/copy.db")] {
        let error = store.writer.backup(&target, &mut |_| {}).expect_err("refused").to_string();
        assert!(error.contains("is in the data folder"), "{error}");
    }
    assert!(!folder.join("copy.db").exists());
    store.app();
}

#[test]
fn a_wrong_key_and_stores_that_are_newer_or_older_than_all_are_refused() {
    let store = Store::new();
    let other = SqliteOptions { sealer: Arc::new(Sealer::new(&[8; 32])), ..store.options.clone() };
    let error = prepare(&other).expect_err("refused").to_string();
    assert!(error.contains("key file"), "{error}");
    prepare(&store.options).expect("the right key");
    store.writer.connection.pragma_update(None, "user_version", 99).expect("set");
    let error = prepare(&store.options).expect_err("refused").to_string();
    assert!(error.contains("99"), "{error}");
    // As the first of all stores looked: much of what is read now was not there.
    let old = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions { folder: old.path().to_owned(), ..store.options.clone() };
    let connection = rusqlite::Connection::open(options.file()).expect("open");
    connection.execute_batch("CREATE TABLE message (key INTEGER PRIMARY KEY); PRAGMA user_version = 1").expect("made");
    let error = prepare(&options).expect_err("refused").to_string();
    assert!(error.contains("before the first release") && error.contains("empty data folder"), "{error}");
}

#[test]
fn the_log_stays_bounded() {
    const LOG: u64 = 8 * 1024 * 1024;
    let mut store = Store::with_log(LOG);
    let config = store.app();
    let log = store.options.folder.join("posthouse.db-wal");
    let (mut longest, mut before) = (0, 0);
    let mut batch_max = 0;
    for _ in 0..100 {
        fill(&mut store, &config, 2_000);
        let size = std::fs::metadata(&log).expect("the log").len();
        batch_max = batch_max.max(size.saturating_sub(before));
        (longest, before) = (longest.max(size), size);
    }
    assert!(longest <= LOG + 2 * batch_max, "{longest} bytes, a batch {batch_max}");
    let file = std::fs::metadata(store.options.file()).expect("the file").len();
    assert!(file > 2 * LOG, "most of it is in the file: {file}");
}

#[tokio::test]
async fn no_secret_is_in_the_files_in_clear() {
    let mut store = Store::new();
    let config = store.app();
    let url = |password: &str| format!("https://user:{password}@a.example/path");
    let spec = EndpointSpec {
        url: url("pass-word-one"),
        headers: [("x-own".to_owned(), "value-of-header".to_owned())].into(),
        ..EndpointSpec::default()
    };
    let (app, secret) = (config.app.key(), SecretBytes::new(SECRET.to_vec()));
    let made = store.change(Change::CreateEndpoint { app, uid: None, spec: Box::new(spec.clone()), secret });
    let Changed::Endpoint(made, Became::New) = made else { panic!("{made:?}") };
    let other_url = EndpointPatch { url: Some(url("pass-word-two")), ..EndpointPatch::default() };
    let change = Change::PatchEndpoint { app, endpoint: made.key(), patch: Box::new(other_url) };
    let Changed::Endpoint(after, Became::Changed) = store.change(change) else { panic!("not changed") };
    assert_eq!(after.spec, EndpointSpec { url: url("pass-word-two"), ..spec });
    // In memory it is whole, in the records of attempts the password is masked.
    let read = crate::store::StoreReader::app_config(&store.reader, app).await.expect("read").expect("there");
    assert_eq!(read.endpoint(made.key()).map(|endpoint| &**endpoint), Some(&*after));
    let recorded = "SELECT url FROM endpoint_url WHERE id = ?";
    for id in [made.url_id, after.url_id] {
        let url: String = store.writer.connection.query_row(recorded, [id], |row| row.get(0)).expect("a URL");
        assert_eq!(url, "https://user:***@a.example/path");
    }
    fill(&mut store, &config, 10);
    let hex = SECRET.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(SECRET);
    let forms = [
        SECRET.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        base64.into_bytes(),
        SECRET[4..20].to_vec(),
        b"pass-word".to_vec(),
        b"value-of-header".to_vec(),
    ];
    let look = |folder: &std::path::Path| {
        let mut bytes = 0;
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut std::fs::File::open(&path).expect("open"), &mut content).expect("read");
            bytes += content.len();
            for form in &forms {
                let found = content.windows(form.len()).any(|window| window == form);
                assert!(!found, "a secret in {}", path.display());
            }
        }
        bytes
    };
    assert!(look(&store.options.folder) > 10_000);
    let stored = store.writer.connection.query_row("SELECT secret FROM endpoint", [], |row| row.get::<_, Vec<u8>>(0));
    assert!(stored.expect("a secret").len() > SECRET.len());
    let Store { writer, reader, _folder: folder, .. } = store;
    drop((writer, reader));
    look(folder.path());
}
