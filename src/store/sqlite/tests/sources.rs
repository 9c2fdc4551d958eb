//! The logs of sources.

use super::*;
use crate::model::{Id, LogKind, Received, SourceKey, SourceSecret, SourceSpec};
use crate::store::command::{DedupeKey, Inbound, LogRequest};

const DAY_MS: i64 = 86_400_000;

/// A source of an application.
fn source_of(store: &mut Store, config: &Arc<AppConfig>) -> SourceKey {
    let secret = SourceSecret { config: serde_json::Map::new(), learned: None, token: "token".into() };
    let spec = SourceSpec { source_type: "generic-webhook".into(), ..SourceSpec::default() };
    let (env, app) = (config.app.env, Some(config.app.key()));
    let create = Change::CreateSource { env, app, uid: None, spec: Box::new(spec), secret: Box::new(secret) };
    let Changed::Source(source, _) = store.change(create) else { panic!("a source") };
    source.key()
}

/// What comes in, with this in its dedupe key.
fn inbound(source: SourceKey, hash: u8) -> Inbound {
    Inbound {
        source,
        received: Arc::new(Received { method: "POST".into(), ..Received::default() }),
        dedupe: Some(DedupeKey { hash: [hash; 16], window_ms: 60_000 }),
        status: 200,
        awaited: None,
        is_logged: true,
        tick: None,
        instead_of: None,
    }
}

/// What was refused, with so many bytes.
fn refused(source: SourceKey, bytes: usize) -> LogRequest {
    LogRequest {
        source,
        kind: LogKind::Rejected,
        status: 401,
        cause: Some("signature_mismatch".into()),
        hint: None,
        received: Arc::new(Received::default()),
        body: vec![b'x'; bytes].into(),
    }
}

#[test]
fn what_a_source_refused_goes_with_its_time_and_what_says_of_an_expunged_message_goes_with_it() {
    let mut store = Store::new();
    let config = store.app();
    let source = source_of(&mut store, &config);
    let app = config.app.key();
    let received = |store: &Store, hash: u8| {
        let mut publish = store.message(&config);
        publish.inbound = Some(Box::new(inbound(source, hash)));
        Command::Publish(Box::new(publish))
    };
    for _ in 0..5 {
        store.change(Change::LogRequest(Box::new(refused(source, 100_000))));
    }
    store.now += 2 * DAY_MS;
    let batch = [received(&store, 1), received(&store, 1), received(&store, 2), received(&store, 2)];
    let first = published(&store.commit(&batch)[0]);
    assert_eq!(store.count("source_log WHERE kind = 1"), 2, "the second and the fourth are duplicates");
    let week = Work::SourceLogs { before: store.now - 7 * DAY_MS };
    assert_eq!(store.maintain(week, 100).0, 0);
    let day = Work::SourceLogs { before: store.now - DAY_MS };
    assert_eq!(store.maintain(day, 3), (5, 6), "each long one is a slice");
    assert_eq!(store.count("source_log WHERE kind = 3"), 0);
    assert_eq!(store.count("source_log WHERE kind = 1"), 2);
    store.change(Change::ExpungeMessage { app, message: first });
    assert_eq!(store.count("source_log WHERE kind = 1"), 1);
}

#[test]
fn what_is_verified_late_is_a_duplicate_of_what_came_soon_after_it() {
    let mut store = Store::new();
    let config = store.app();
    let source = source_of(&mut store, &config);
    let inbound = |store: &Store, instead_of: Option<Id>| {
        let mut publish = store.message(&config);
        publish.inbound = Some(Box::new(Inbound { instead_of, ..inbound(source, 7) }));
        Command::Publish(Box::new(publish))
    };
    let refuse = |store: &mut Store| {
        store.change(Change::LogRequest(Box::new(refused(source, 10))));
        let newest = "SELECT key, nonce FROM source_log WHERE kind = 3 ORDER BY key DESC LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok(Id { key: row.get(0)?, nonce: row.get(1)? });
        store.writer.connection.query_row(newest, [], read).expect("logged")
    };
    let before = refuse(&mut store);
    store.now += 10_000;
    let first = published(&store.commit(&[inbound(&store, None)])[0]);
    store.now += 600_000;
    let replies = store.commit(&[inbound(&store, Some(before)), inbound(&store, None)]);
    assert!(matches!(&replies[0], Ok(Done::Duplicate(id)) if id.key == first.0), "{:?}", replies[0]);
    published(&replies[1]);
    assert_eq!(store.count("source_log WHERE kind = 3"), 0, "its place is the duplicate's");

    store.now += 600_000;
    let long_before = refuse(&mut store);
    store.now += 120_000;
    published(&store.commit(&[inbound(&store, None)])[0]);
    published(&store.commit(&[inbound(&store, Some(long_before))])[0]);
}

#[test]
fn duplicates_do_not_push_out_what_was_refused() {
    let mut store = Store::new();
    let config = store.app();
    let source = source_of(&mut store, &config);
    for _ in 0..40 {
        store.change(Change::LogRequest(Box::new(refused(source, 10))));
    }
    let duplicate = |store: &Store, is_logged: bool| {
        let mut publish = store.message(&config);
        publish.inbound = Some(Box::new(Inbound { is_logged, ..inbound(source, 7) }));
        Command::Publish(Box::new(publish))
    };
    for _ in 0..24 {
        let batch: Vec<_> = (0..50).map(|_| duplicate(&store, true)).collect();
        store.commit(&batch);
    }
    assert_eq!(store.count("source_log WHERE kind = 3"), 40);
    let kept = store.count("source_log WHERE kind = 1");
    assert!((1_000..1_032).contains(&kept), "{kept}");
    store.commit(&[duplicate(&store, false)]);
    assert_eq!(store.count("source_log WHERE kind = 1"), kept, "the log has no room");
}
