//! Sources of type cron: the server makes their messages itself, each tick once.
//!
//! Years are missed by setting the store's `last_tick` back while no server runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::engine::is_about_the_embedded_store;
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::signature::assert_signed;
use crate::support::store::Rows;
use crate::support::wait::{SOON, eventually, when};
use crate::world::{STRIPE_SECRET, Source, now_s, receiving_path, send, stripe_event, stripe_request};

const SOURCES: &str = "/ingest/api/v1/source";
const YEARLY: &str = "0 0 1 1 *";
const THREE_YEARS_S: i64 = 3 * 365 * 86_400;
/// Sources of which all are due at once: more than are read, and made, at a time.
const MANY: usize = 150;
/// Starts that are interrupted.
const CRASHES: u64 = 30;
/// A tick of every minute, and some more.
const A_MINUTE: Duration = Duration::from_secs(75);

/// A source that ticks; its id.
async fn ticking(app: &TestApp, app_id: &str, config: Value) -> String {
    let body = json!({ "name": "Ticks", "type": "cron", "appId": app_id, "config": config });
    id_of(&app.client.post(SOURCES, body).await.expect(201).json())
}

/// One that ticks with the year; its id.
async fn yearly(app: &TestApp, app_id: &str, name: &str) -> String {
    ticking(app, app_id, json!({ "schedule": YEARLY, "payload": payload(name) })).await
}

/// What a source sends here.
fn payload(name: &str) -> String {
    json!({ "is": name }).to_string()
}

fn resource(source_id: &str) -> String {
    format!("{SOURCES}/{source_id}")
}

async fn patch(app: &TestApp, source_id: &str, fields: Value) -> Value {
    app.client.patch(resource(source_id), fields).await.expect(200).json()
}

/// What an application's messages are, sorted.
async fn payloads(app: &TestApp, app_id: &str) -> Vec<String> {
    let answer = app.get(format!("/api/v1/app/{app_id}/msg?limit=250&with_content=true")).await.expect(200).json();
    let messages = answer["data"].as_array().expect("a list").iter();
    let mut payloads: Vec<_> = messages.map(|message| message["payload"]["is"].to_string().replace('"', "")).collect();
    payloads.sort();
    payloads
}

/// Waits until an application has so many messages.
async fn wait_for_messages(app: &TestApp, app_id: &str, count: usize) {
    let what = format!("{count} messages");
    eventually(&what, SOON, async || when(payloads(app, app_id).await.len() >= count)).await;
    assert_eq!(payloads(app, app_id).await.len(), count);
}

/// While no server runs: all sources have ticked up to three years ago.
fn miss_three_years(app: &TestApp) {
    let at = (now_s() - THREE_YEARS_S) * 1_000;
    let sql = format!("UPDATE source SET last_tick = {at} WHERE last_tick IS NOT NULL RETURNING 1");
    assert!(!Rows::of(&app.data_dir).numbers(&sql).is_empty(), "there are sources that tick");
}

/// When this year began, as headers have it.
fn this_year() -> String {
    format!("{}-01-01T00:00:00.000Z", jiff::Timestamp::now().strftime("%Y"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_missed_the_newest_arrives_once() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let made = app.client.post(SOURCES, json!({ "name": "New year", "type": "cron", "uid": "new-year",
        "config": { "schedule": YEARLY, "payload": "Happy new year \u{1f386}\n", "contentType": "text/plain; charset=utf-8" } }));
    let made = made.await.expect(201).json();
    let (id, app_id) = (id_of(&made), made["appId"].as_str().expect("an application").to_owned());
    assert_eq!(made["ingestUrl"], Value::Null);
    assert_eq!(made["config"]["payload"], "Happy new year \u{1f386}\n");
    let endpoint = app.endpoint(&app_id, &receiver.url("/hook")).await;
    let secret = app.secret(&app_id, &endpoint).await;

    app.kill9();
    miss_three_years(&app);
    app.restart().await;
    let first = receiver.wait_for("/hook", 1, SOON).await.remove(0);
    assert_eq!((first.method.as_str(), first.body.as_slice()), ("POST", "Happy new year \u{1f386}\n".as_bytes()));
    assert_eq!(first.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(first.header("posthouse-scheduled-at"), Some(&*this_year()));
    let message = first.message_id().to_owned();
    assert_signed(&first, &secret, &message);
    app.wait_for_attempts(&app_id, &message, 1, SOON).await;
    let shown = app.get(format!("/api/v1/app/{app_id}/msg/{message}")).await.expect(200).json();
    assert_eq!(shown["eventType"], "cron");

    let log = app.get(format!("{}/log", resource(&id))).await.expect(200).json()["data"].clone();
    assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
    assert_eq!((&log[0]["outcome"], &log[0]["messageId"]), (&json!("accepted"), &json!(message)));
    assert_eq!(log[0]["headers"]["posthouse-scheduled-at"], this_year());
    assert_eq!(app.metric("posthouse_source_cron_ticks_total").await, 1);

    // What was made is made: only the one that is new has missed something at the next start.
    app.kill9();
    let ticked = last_ticks(&app);
    app.restart().await;
    let other = app.application("Other").await;
    yearly(&app, &other, "other").await;
    app.kill9();
    miss_three_years_but(&app, ticked[0]);
    app.restart().await;
    wait_for_messages(&app, &other, 1).await;
    assert_eq!(payloads(&app, &app_id).await.len(), 1);
    assert_eq!(receiver.count("/hook"), 1);
}

/// The last tick of each source, oldest source first.
fn last_ticks(app: &TestApp) -> Vec<i64> {
    Rows::of(&app.data_dir).numbers("SELECT last_tick FROM source ORDER BY key")
}

/// As [`miss_three_years`], but for sources that are there already.
fn miss_three_years_but(app: &TestApp, last_tick: i64) {
    let at = (now_s() - THREE_YEARS_S) * 1_000;
    let sql = format!("UPDATE source SET last_tick = {at} WHERE last_tick <> {last_tick} RETURNING 1");
    assert_eq!(Rows::of(&app.data_dir).numbers(&sql), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_due_at_once_and_each_ticks_once() {
    let mut app = TestApp::start().await;
    let app_id = app.application("Many").await;
    for number in 0..MANY {
        yearly(&app, &app_id, &number.to_string()).await;
    }
    app.kill9();
    miss_three_years(&app);
    app.restart().await;
    wait_for_messages(&app, &app_id, MANY).await;
    let mut expected: Vec<_> = (0..MANY).map(|number| number.to_string()).collect();
    expected.sort();
    assert_eq!(payloads(&app, &app_id).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_it_is_made_up_for_makes_it_once() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Crashing").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/hook")).await;
    yearly(&app, &app_id, "year").await;
    let mut before_the_end = 0;
    for round in 1..=CRASHES {
        app.kill9();
        miss_three_years(&app);
        // The crash comes before the tick, or in its middle, or just behind it.
        app.kill_while_starting(Duration::from_millis(round));
        before_the_end += usize::from(last_ticks(&app)[0] > (now_s() - THREE_YEARS_S / 2) * 1_000);
        app.restart().await;
        wait_for_messages(&app, &app_id, usize::try_from(round).expect("a number")).await;
    }
    eprintln!("the crash came after the tick in {before_the_end} of {CRASHES} rounds");
    app.kill9();
    app.restart().await;
    let last = app.publish_numbered(&app_id, 0).await;
    app.wait_for_attempts(&app_id, &last, 1, SOON).await;
    let ids: std::collections::BTreeSet<_> =
        receiver.received("/hook").iter().map(|received| received.message_id().to_owned()).collect();
    assert_eq!(ids.len() as u64, CRASHES + 1, "one message a round at {endpoint}");
    assert_eq!(payloads(&app, &app_id).await.len() as u64, CRASHES + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_ticks_on_a_full_disk_and_a_changed_schedule_begins_anew() {
    if is_about_the_embedded_store("room on its disk") {
        return;
    }
    let mut app = TestApp::start().await;
    let app_id = app.application("Waiting").await;
    let _kept = yearly(&app, &app_id, "kept").await;
    let rescheduled = yearly(&app, &app_id, "rescheduled").await;
    let moved = yearly(&app, &app_id, "moved").await;
    let reworded = yearly(&app, &app_id, "before").await;
    let renamed = yearly(&app, &app_id, "renamed").await;
    let retired = yearly(&app, &app_id, "retired").await;
    let deleted = yearly(&app, &app_id, "deleted").await;
    let other = app.application("Deleted").await;
    yearly(&app, &other, "gone").await;
    app.kill9();
    miss_three_years(&app);
    app.restart_as(|how| how.set("storage.disk_reserve_bytes", 1_u64 << 40)).await;
    let said = "sources of type cron do not tick";
    eventually("the server says that nothing ticks", SOON, async || when(app.log_text().contains(said))).await;

    patch(&app, &rescheduled, json!({ "config": { "schedule": "0 0 2 1 *", "payload": payload("rescheduled") } }))
        .await;
    let elsewhere = json!({ "schedule": YEARLY, "payload": payload("moved"), "timeZone": "Asia/Tokyo" });
    patch(&app, &moved, json!({ "config": elsewhere })).await;
    patch(&app, &reworded, json!({ "config": { "schedule": YEARLY, "payload": payload("after") } })).await;
    patch(&app, &renamed, json!({ "name": "Another" })).await;
    patch(&app, &retired, json!({ "type": "generic-webhook" })).await;
    app.client.delete(resource(&deleted)).await.expect(204);
    app.client.delete(format!("/api/v1/app/{other}")).await.expect(204);
    assert_eq!(app.metric("posthouse_source_cron_ticks_total").await, 0);
    assert_eq!(payloads(&app, &app_id).await, Vec::<String>::new());

    app.restart_as(|how| how.set("storage.disk_reserve_bytes", 0)).await;
    wait_for_messages(&app, &app_id, 3).await;
    // All that is due is made in one go.
    assert_eq!(payloads(&app, &app_id).await, ["after", "kept", "renamed"]);
    assert_eq!(app.metric("posthouse_source_cron_ticks_total").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_minute_ticks_at_the_minute() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    // What is changed below is changed within one minute.
    eventually("the first half of a minute", Duration::from_secs(40), async || when(now_s() % 60 < 30)).await;
    let minute = (now_s() / 60 + 1) * 60;
    let app_id = app.application("Minutes").await;
    app.endpoint(&app_id, &receiver.url("/hook")).await;
    let every = |name: &str| json!({ "schedule": "* * * * *", "payload": payload(name) });
    ticking(&app, &app_id, every("plain")).await;
    let in_tokyo = json!({ "schedule": "*/1 * * * *", "payload": payload("tokyo"), "timeZone": "Asia/Tokyo" });
    ticking(&app, &app_id, in_tokyo).await;
    let deleted = ticking(&app, &app_id, every("deleted")).await;
    let slowed = ticking(&app, &app_id, every("slowed")).await;
    let hastened = yearly(&app, &app_id, "hastened").await;
    let open = json!({ "name": "Open", "type": "generic-webhook", "appId": app_id });
    let turned = id_of(&app.client.post(SOURCES, open).await.expect(201).json());
    app.client.delete(resource(&deleted)).await.expect(204);
    patch(&app, &slowed, json!({ "config": { "schedule": YEARLY, "payload": payload("slowed") } })).await;
    patch(&app, &hastened, json!({ "config": every("hastened") })).await;
    patch(&app, &turned, json!({ "type": "cron", "config": every("turned") })).await;
    assert!(now_s() < minute, "the machine is so slow that the minute is over");

    let all = receiver.wait_for("/hook", 4, A_MINUTE).await;
    let mut bodies: Vec<_> = all.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
    bodies.sort();
    assert_eq!(bodies, ["hastened", "plain", "tokyo", "turned"].map(payload));
    let due = jiff::Timestamp::from_second(minute).expect("a time").strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    for one in &all {
        assert_eq!(one.header("posthouse-scheduled-at"), Some(&*due));
        assert_eq!(one.header("content-type"), Some("application/json"));
        let late_ms = one.at_unix_ms - minute * 1_000;
        assert!((0..10_000).contains(&late_ms), "{late_ms} ms after its minute");
    }
    assert_eq!(payloads(&app, &app_id).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_has_no_receiving_url() {
    let app = TestApp::start().await;
    let source = Source::stripe(&app).await;
    let request = || stripe_request(&source.path, &stripe_event("evt_1", "charge.succeeded"));
    send(&app, request()).await.expect(200);
    let config = json!({ "schedule": YEARLY, "payload": "{}" });
    let turned = patch(&app, &source.id, json!({ "type": "cron", "config": config })).await;
    assert_eq!(turned["ingestUrl"], Value::Null);
    assert_eq!(turned["config"], config);
    for method in ["POST", "GET", "PUT"] {
        send(&app, Request::new(method, &source.path).body("{}")).await.expect(404);
    }
    assert_eq!(app.client.post(format!("{}/token/rotate", source.resource()), json!({})).await.error(409), "conflict");
    let listed = app.get(SOURCES).await.expect(200).json();
    assert_eq!(listed["data"][0]["ingestUrl"], Value::Null);

    let back = json!({ "type": "stripe", "config": { "secret": STRIPE_SECRET } });
    let back = patch(&app, &source.id, back).await;
    assert_eq!(receiving_path(&back["ingestUrl"]), source.path);
    send(&app, request()).await.expect(200);
    let types = app.get("/ingest/api/v1/source-type").await.expect(200).json();
    let cron = types["data"].as_array().expect("a list").iter().find(|one| one["type"] == "cron").expect("cron");
    assert_eq!(cron["configSchema"]["required"], json!(["schedule", "payload"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_schedule_is_named() {
    let app = TestApp::start().await;
    let app_id = app.application("Refusals").await;
    let source = yearly(&app, &app_id, "year").await;
    let long = "x".repeat(65_537);
    let cases = [
        (json!({ "payload": "{}" }), "schedule"),
        (json!({ "payload": "{}", "schedule": "" }), "schedule"),
        (json!({ "payload": "{}", "schedule": 5 }), "schedule"),
        (json!({ "payload": "{}", "schedule": "every minute" }), "schedule"),
        (json!({ "payload": "{}", "schedule": "* * * *" }), "schedule"),
        (json!({ "payload": "{}", "schedule": "*/5 * * * * *" }), "schedule"),
        (json!({ "payload": "{}", "schedule": "61 * * * *" }), "schedule"),
        (json!({ "payload": "{}", "schedule": "0 0 30 2 *" }), "schedule"),
        (json!({ "payload": "{}", "schedule": YEARLY, "timeZone": "Europe/Nowhere" }), "timeZone"),
        (json!({ "payload": "{}", "schedule": YEARLY, "timeZone": 1 }), "timeZone"),
        (json!({ "schedule": YEARLY }), "payload"),
        (json!({ "schedule": YEARLY, "payload": { "a": 1 } }), "payload"),
        (json!({ "schedule": YEARLY, "payload": long }), "payload"),
        (json!({ "schedule": YEARLY, "payload": "{}", "contentType": "text/plain\n" }), "contentType"),
        (json!({ "schedule": YEARLY, "payload": "{}", "every": "5m" }), "every"),
    ];
    for (config, field) in cases {
        let body = json!({ "name": "Wrong", "type": "cron", "config": config });
        app.client.post(SOURCES, body).await.refuses("config").refuses(field);
        app.client.patch(resource(&source), json!({ "config": config })).await.refuses("config").refuses(field);
    }
    let listed = app.get(SOURCES).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
}
