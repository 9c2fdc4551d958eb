//! Of several nodes, the one that holds a source's slot makes its ticks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::support::TestApi;
use crate::accept::cron::Ticker;
use crate::dispatch::ownership::{BootClock, Ownership};
use crate::model::{Id, IdKind, Slot, SlotSet, slot_of};

/// The longest that anything here takes: the schedule is looked at every second.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_source_ticks_where_its_slot_is_held() {
    let api = TestApi::start().await;
    let app = api.post("/app", r#"{"name": "Ticks"}"#).await.expect(201);
    let mut sources: Vec<(String, Slot)> = Vec::new();
    while sources.len() < 2 {
        let config = json!({ "schedule": "0 0 1 1 *", "payload": "{}" });
        let body = json!({ "name": "Ticks", "type": "cron", "appId": app["id"], "config": config });
        let made = api.post("//ingest/api/v1/source", &body.to_string()).await.expect(201);
        let id = made["id"].as_str().expect("an id").to_owned();
        let slot = slot_of(Id::parse(IdKind::Source, &id).expect("an id").key);
        if sources.iter().all(|(_, other)| *other != slot) {
            sources.push((id, slot));
        }
    }
    let changed = api.kept.execute("UPDATE source SET last_tick = 0");
    assert!(changed >= 2);
    let ticked = |slot: Slot| {
        let rows = api.kept.numbers("SELECT key, last_tick FROM source");
        rows.into_iter().any(|row| slot_of(row[0]) == slot && row[1] > 0)
    };
    let wait = async |slot: Slot| {
        while !ticked(slot) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };

    let ownership = Ownership::none(BootClock);
    ownership.begin(1, i64::MAX - 1);
    let [first, second] = [sources[0].1, sources[1].1];
    ownership.hold(&SlotSet::from_iter([first]));
    let ticking = tokio::spawn(Ticker::new(Arc::clone(&api.gateway), Arc::clone(&ownership)).run());
    tokio::time::timeout(SOON, wait(first)).await.expect("it ticks");
    assert!(!ticked(second), "another node's");
    ownership.release(&SlotSet::FULL);
    ownership.hold(&SlotSet::from_iter([second]));
    tokio::time::timeout(SOON, wait(second)).await.expect("it ticks when it is gained");
    ticking.abort();
}
