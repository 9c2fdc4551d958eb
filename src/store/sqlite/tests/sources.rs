//! The logs of sources.

use super::*;
use crate::model::{LogKind, Received, SourceSecret, SourceSpec};
use crate::store::command::{DedupeKey, Inbound, LogRequest};

const DAY_MS: i64 = 86_400_000;

#[test]
fn what_a_source_refused_goes_with_its_time_and_what_says_of_an_expunged_message_goes_with_it() {
    let mut store = Store::new();
    let config = store.app();
    let secret = SourceSecret { config: serde_json::Map::new(), learned: None, token: "token".into() };
    let spec = SourceSpec { source_type: "generic-webhook".into(), ..SourceSpec::default() };
    let (env, app) = (config.app.env, config.app.key());
    let create =
        Change::CreateSource { env, app: Some(app), uid: None, spec: Box::new(spec), secret: Box::new(secret) };
    let Changed::Source(source, _) = store.change(create) else { panic!("a source") };
    let received = |store: &Store, hash: u8| {
        let mut publish = store.message(&config);
        publish.inbound = Some(Box::new(Inbound {
            source: source.key(),
            received: Arc::new(Received { method: "POST".into(), ..Received::default() }),
            dedupe: Some(DedupeKey { hash: [hash; 16], window_ms: 60_000 }),
            status: 200,
            awaited: None,
            tick: None,
            instead_of: None,
        }));
        Command::Publish(Box::new(publish))
    };
    let refused = LogRequest {
        source: source.key(),
        kind: LogKind::Rejected,
        status: 401,
        cause: Some("signature_mismatch".into()),
        hint: None,
        received: Arc::new(Received::default()),
        body: vec![b'x'; 100_000].into(),
    };
    for _ in 0..5 {
        store.change(Change::LogRequest(Box::new(refused.clone())));
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
