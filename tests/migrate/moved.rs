//! A store that is served and published to is moved: all of it is there, and goes on where it was.

use serde_json::json;

use crate::support::app::{cli, id_of};
use crate::support::engine;
use crate::support::signature::assert_signed;
use crate::support::wait::{SOON, eventually, when};
use crate::world::{SOURCES, World, assert_done, assert_refused, request};

const ONLY_EMBEDDED: &str = "the store that is left is the embedded one";

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_acknowledged_is_there_and_goes_on() {
    if engine::is_about_the_embedded_store(ONLY_EMBEDDED) {
        return;
    }
    let mut world = World::make().await;
    world.start();
    world.goes_on(400).await;
    let told = assert_done(&world.copy(&[]));
    eventually("publishing is refused", SOON, async || when(world.refused() > 0)).await;
    world.stop().await;
    for line in told.lines().filter(|line| line.split_whitespace().count() == 2) {
        let (table, rows) = line.rsplit_once(' ').expect("a table and its rows");
        assert_ne!(rows, "0", "there is something of {table} to be copied: {told}");
    }
    let waits = world.sql("SELECT (SELECT count(*) FROM pending) > 0, (SELECT count(*) FROM waiting) > 0");
    assert_eq!(waits, "t|t", "something is left to be delivered");
    let partial = "SELECT count(*) FROM pending WHERE slot NOT BETWEEN 0 AND 255 OR version = 0";
    assert_eq!(world.sql(partial), "0");

    let new = world.start_new().await;
    let client = new.client.clone().with_key(Some(&world.app.key));
    let (before, after) = (world.says(&world.app.client).await, world.says(&client).await);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    world.all_arrive().await;
    let acknowledged = world.acknowledged();
    for sent in acknowledged.iter().take(50).chain(acknowledged.iter().rev().take(50)) {
        let again = client.send(request(&world.app_id, sent)).await.expect(202).json();
        assert_eq!(id_of(&again), sent.id, "{} is known", sent.key);
        let other = json!({ "eventType": "e", "payload": {}, "eventId": sent.key });
        assert_eq!(client.post(format!("/api/v1/app/{}/msg", world.app_id), other).await.error(409), "event_exists");
    }
    world.app.get("/api/v1/health/ready").await.expect(503);
    assert!(world.app.sigterm(SOON * 3).await.success(), "the old server ends as any other");
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_by_hashes_and_numbers_is_known_there_too() {
    if engine::is_about_the_embedded_store(ONLY_EMBEDDED) {
        return;
    }
    let world = World::make().await;
    let app = &world.app;
    let secret = app.secret(&world.app_id, &world.endpoint).await;
    let made = crate::support::http::Request::new("POST", "/api/v1/app").header("idempotency-key", "made-once");
    let made = made.json(&json!({ "name": "Customer", "uid": "customer" }));
    assert_done(&world.copy(&[]));
    let new = world.start_new().await;
    let client = new.client.clone().with_key(Some(&app.key));
    // A change that was remembered, a duplicate that came in from outside, and a new message that did.
    assert_eq!(id_of(&client.send(made).await.expect(201).json()), world.app_id);
    world.send_in(&client, "two").await.expect(200);
    world.send_in(&client, "three").await.expect(200);
    let log = client.get(format!("{SOURCES}/{}/log?limit=250", world.source)).await.expect(200).json();
    let outcomes: Vec<&str> =
        log["data"].as_array().expect("a list").iter().map(|logged| logged["outcome"].as_str().expect("one")).collect();
    assert_eq!(outcomes, ["accepted", "duplicate", "accepted", "duplicate", "accepted"]);
    // A new message is signed with the old secret, its key is behind all others, and is counted with them.
    let message = json!({ "eventType": "e", "payload": { "new": true } });
    let message = id_of(&client.post(format!("/api/v1/app/{}/msg", world.app_id), message).await.expect(202).json());
    let arrived =
        eventually("it arrives", SOON, async || world.last().filter(|request| request.message_id() == message));
    assert_signed(&arrived.await, &secret, &message);
    assert_eq!(world.sql("SELECT count(*) FROM node WHERE number = 0 AND name = 'copied'"), "1");
    let keys = "SELECT (SELECT max(key) FROM message) > (SELECT last_key FROM node WHERE number = 0)";
    assert_eq!(world.sql(keys), "t", "keys go on behind those that were copied");
    // What is deleted goes with its counts, at a time of its own.
    let counts = "WITH own AS (SELECT key FROM endpoint)
         SELECT (SELECT sum(success + failure) FROM endpoint_hour WHERE endpoint IN (TABLE own))
              + (SELECT count(*) FROM attempt, counted WHERE key > up_to AND endpoint IN (TABLE own))
              = (SELECT count(*) FROM attempt WHERE endpoint IN (TABLE own))";
    eventually("each attempt is counted once", SOON, async || when(world.sql(counts) == "t")).await;
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_store_is_not_served_a_second_time() {
    if engine::is_about_the_embedded_store(ONLY_EMBEDDED) {
        return;
    }
    let mut world = World::make().await;
    assert!(world.app.sigterm(SOON * 3).await.success());
    // Not served: nobody has to stand still.
    assert_done(&world.copy(&[]));
    let flags = [("POSTHOUSE__SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned())];
    assert_refused(&cli(&world.app.data_dir, &["serve"], &flags), "was moved to postgres://");
    assert_refused(&cli(&world.app.data_dir, &["key", "list"], &[]), "was moved to postgres://");
    assert_refused(&world.copy(&[]), "the database is not empty");
    assert_refused(&world.copy(&["--anew"]), "the database is not empty");
    world.end();
}
