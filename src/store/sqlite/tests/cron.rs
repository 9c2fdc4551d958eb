//! Ticks: a source and a time are one, whoever makes it.

use serde_json::json;

use super::*;
use crate::model::cron::CronSource;
use crate::model::{Id, Received, Source, SourceKey, SourceSecret, SourceSpec};
use crate::store::command::{Inbound, Refusal, SourcePatch, Tick};
use crate::store::query::StoreQueries as _;

const MINUTE: i64 = 60_000;

fn config(schedule: &str, payload: &str) -> serde_json::Map<String, serde_json::Value> {
    let config = json!({ "schedule": schedule, "payload": payload });
    config.as_object().expect("an object").clone()
}

/// A source that has ticked up to [`NOW`].
fn source(store: &mut Store, app: &AppConfig) -> Arc<Source> {
    let spec = SourceSpec { name: "Ticks".into(), source_type: "cron".into(), ..SourceSpec::default() };
    let token = store.count("source").to_string();
    let secret = SourceSecret { config: config("* * * * *", "{}"), learned: None, token };
    let (spec, secret, app) = (Box::new(spec), Box::new(secret), Some(app.app.key()));
    let made = store.change(Change::CreateSource { env: EnvKey(1), app, uid: None, spec, secret });
    let Changed::Source(source, None) = made else { panic!("{made:?}") };
    source
}

fn tick(store: &Store, app: &Arc<AppConfig>, source: &Source, at: UnixMs, after: UnixMs) -> Command {
    let inbound = Inbound {
        awaited: None,
        is_logged: true,
        source: source.key(),
        received: Arc::new(Received::nothing(Vec::new())),
        dedupe: None,
        status: 200,
        instead_of: None,
        tick: Some(Tick { at, after, changed_at: source.updated_at }),
    };
    Command::Publish(Box::new(Publish { inbound: Some(Box::new(inbound)), ..store.message(app) }))
}

#[track_caller]
fn assert_ticked_before(reply: &Reply) {
    assert!(matches!(reply, Err(Refusal::Ticked)), "{reply:?}");
}

async fn found(store: &Store, source: SourceKey) -> Option<CronSource> {
    store.reader.cron_source(source).await.expect("read")
}

#[tokio::test]
async fn a_tick_is_made_once_in_a_batch_and_behind_it() {
    let mut store = Store::new();
    let app = store.app();
    let source = source(&mut store, &app);
    let first = |store: &Store| tick(store, &app, &source, NOW + MINUTE, NOW);
    let replies = store.commit(&[first(&store), first(&store)]);
    published(&replies[0]);
    assert_ticked_before(&replies[1]);
    assert_ticked_before(&store.commit(&[first(&store)])[0]);
    let mut crashed = store.crashed();
    assert_ticked_before(&crashed.commit(&[first(&crashed)])[0]);
    assert_eq!((store.count("message"), crashed.count("message")), (1, 1));
    assert_eq!(found(&crashed, source.key()).await.map(|found| found.last_tick), Some(NOW + MINUTE));
    // A clock that was set back finds nothing older to make.
    let older = [tick(&store, &app, &source, NOW, NOW + MINUTE), tick(&store, &app, &source, NOW + 1, NOW)];
    store.commit(&older).iter().for_each(assert_ticked_before);
    published(&store.commit(&[tick(&store, &app, &source, NOW + 2 * MINUTE, NOW + MINUTE)])[0]);
    assert_eq!(store.count("message"), 2);
}

#[tokio::test]
async fn a_tick_that_cannot_be_stored_is_not_made() {
    let mut store = Store::new();
    let app = store.app();
    let source = source(&mut store, &app);
    for manner in ["abort", "fail", "rollback"] {
        store.poison(manner);
        let Command::Publish(mut publish) = tick(&store, &app, &source, NOW + MINUTE, NOW) else { unreachable!() };
        publish.envelope.event_type = "poison".into();
        let _ = store.writer.commit(&[Command::Publish(publish)]);
        assert_eq!(found(&store, source.key()).await.map(|found| found.last_tick), Some(NOW), "{manner}");
    }
    published(&store.commit(&[tick(&store, &app, &source, NOW + MINUTE, NOW)])[0]);
}

#[tokio::test]
async fn another_schedule_begins_anew_and_anything_else_goes_on() {
    let mut store = Store::new();
    let app = store.app();
    let source = source(&mut store, &app);
    store.now += 10 * MINUTE;
    let patch = |fields: (&str, &str)| SourcePatch {
        type_and_config: Some(("cron".into(), config(fields.0, fields.1))),
        ..SourcePatch::default()
    };
    let change = |patch| Change::PatchSource { source: source.key(), patch: Box::new(patch) };
    store.change(change(patch(("* * * * *", "[]"))));
    store.change(change(SourcePatch { name: Some("Another".into()), ..SourcePatch::default() }));
    let reworded = found(&store, source.key()).await.expect("a source");
    assert_eq!((reworded.last_tick, &reworded.source.secret.config["payload"]), (NOW, &json!("[]")));

    let decided = tick(&store, &app, &source, NOW + MINUTE, NOW);
    store.change(change(patch(("*/2 * * * *", "[]"))));
    assert_eq!(found(&store, source.key()).await.expect("a source").last_tick, store.now);
    assert_ticked_before(&store.commit(&[decided])[0]);

    let open = Some(("generic-webhook".into(), serde_json::Map::new()));
    store.change(change(SourcePatch { type_and_config: open, ..SourcePatch::default() }));
    assert_eq!(found(&store, source.key()).await, None);
    assert_eq!(store.reader.cron_sources(None, 10).await.expect("read"), []);
    store.now += MINUTE;
    store.change(change(patch(("* * * * *", "{}"))));
    assert_eq!(found(&store, source.key()).await.expect("a source").last_tick, store.now);
}

#[tokio::test]
async fn pages_have_each_source_that_ticks_once() {
    let mut store = Store::new();
    let app = store.app();
    let made: Vec<Id> = (0..5).map(|_| source(&mut store, &app).id).collect();
    let open = Some(("generic-webhook".into(), serde_json::Map::new()));
    let patch = Box::new(SourcePatch { type_and_config: open, ..SourcePatch::default() });
    store.change(Change::PatchSource { source: SourceKey(made[1].key), patch });
    store.change(Change::DeleteSource { source: SourceKey(made[3].key) });
    let (mut seen, mut after) = (Vec::new(), None);
    for _ in 0..3 {
        let page = store.reader.cron_sources(after, 2).await.expect("read");
        after = page.last().map(|found| found.source.key()).or(after);
        seen.extend(page.into_iter().map(|found| found.source.id));
    }
    assert_eq!(seen, [made[0], made[2], made[4]]);
}
