//! Which endpoints a message goes to, and how messages are found again.

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::receiver::Receiver;
use crate::support::wait::{SOON, eventually, when};

/// The endpoints of the tests here, by path: what each asks for.
fn endpoints() -> Vec<(&'static str, Value)> {
    vec![
        ("/all", json!({})),
        ("/paid", json!({ "eventTypes": ["invoice.paid", "invoice.void"] })),
        ("/red", json!({ "channels": ["red", "blue"] })),
        ("/paid-red", json!({ "eventTypes": ["invoice.paid"], "channels": ["red"] })),
        ("/disabled", json!({ "disabled": true })),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn event_types_and_channels_choose_the_endpoints() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Routing").await;
    for (path, fields) in endpoints() {
        app.endpoint_with(&app_id, &receiver.url(path), fields).await;
    }
    let stranger = app.application("Stranger").await;
    app.endpoint(&stranger, &receiver.url("/stranger")).await;

    let cases: [(&str, &[&str], &[&str]); 6] = [
        ("invoice.paid", &[], &["/all", "/paid"]),
        ("invoice.paid", &["red"], &["/all", "/paid", "/paid-red", "/red"]),
        ("invoice.paid", &["green", "blue"], &["/all", "/paid", "/red"]),
        ("invoice.sent", &["red"], &["/all", "/red"]),
        ("invoice", &[], &["/all"]),
        ("invoice.void", &["green"], &["/all", "/paid"]),
    ];
    for (event_type, channels, expected) in cases {
        let mut message = json!({ "eventType": event_type, "payload": {} });
        if !channels.is_empty() {
            message["channels"] = json!(channels);
        }
        let message = app.publish(&app_id, message).await;
        // All deliveries of a message start together; the record of them is the proof of how many there are.
        let attempts = app.wait_for_attempts(&app_id, &message, expected.len(), SOON).await;
        let mut reached: Vec<_> = attempts
            .iter()
            .filter_map(|a| a["url"].as_str()?.rsplit_once(&format!(":{}", receiver.port())).map(|(_, path)| path))
            .collect();
        reached.sort_unstable();
        assert_eq!(reached, expected, "{event_type} {channels:?}");
    }
    assert_eq!(receiver.count("/stranger") + receiver.count("/disabled"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_type_channel_and_tag() {
    let app = TestApp::start().await;
    let app_id = app.application("Filters").await;
    let publish = async |event_type: &str, channels: Value, tags: Value| {
        app.publish(&app_id, json!({ "eventType": event_type, "payload": {}, "channels": channels, "tags": tags }))
            .await
    };
    let a = publish("user.made", json!(["red"]), json!(["one", "two"])).await;
    let b = publish("user.gone", json!(["red", "blue"]), json!(["two"])).await;
    let c = publish("user.made", Value::Null, Value::Null).await;
    let list = async |query: &str| -> Vec<String> {
        let answer = app.get(format!("/api/v1/app/{app_id}/msg{query}")).await.expect(200).json();
        answer["data"].as_array().expect("a list").iter().map(id_of).collect()
    };
    assert_eq!(list("").await, [&c, &b, &a].map(Clone::clone), "newest first, also what matches no endpoint");
    assert_eq!(list("?event_types=user.made").await, [&c, &a].map(Clone::clone));
    assert_eq!(list("?event_types=user.made&event_types=user.gone").await.len(), 3);
    assert_eq!(list("?event_types=user.made,user.gone").await.len(), 3);
    assert_eq!(list("?channel=blue").await, std::slice::from_ref(&b));
    assert_eq!(list("?channel=red").await, [&b, &a].map(Clone::clone));
    assert_eq!(list("?tag=two").await, [&b, &a].map(Clone::clone));
    assert_eq!(list("?tag=none").await, Vec::<String>::new());

    let shown = app.get(format!("/api/v1/app/{app_id}/msg/{a}")).await.expect(200).json();
    assert_eq!((&shown["channels"], &shown["tags"]), (&json!(["red"]), &json!(["one", "two"])));
    let path = format!("/api/v1/app/{app_id}/msg/{b}");
    let bare = app.get(format!("{path}?with_content=false")).await.expect(200).json();
    assert_eq!(bare["payload"], json!({}), "without content the payload is left out");

    let at = shown["timestamp"].as_str().expect("a time").replace('+', "%2B");
    assert!(!list(&format!("?after={at}")).await.contains(&a), "after is exclusive");
    assert!(!list(&format!("?before={at}")).await.contains(&c));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_found_by_status_class_and_endpoint() {
    use crate::support::reply::Reply;
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/bad", [Reply::status(404), Reply::status(500), Reply::ok()]);
    let app_id = app.application("Attempts").await;
    let (good, bad) =
        (app.endpoint(&app_id, &receiver.url("/good")).await, app.endpoint(&app_id, &receiver.url("/bad")).await);
    let message = app.publish(&app_id, json!({ "eventType": "e", "payload": {}, "tags": ["t"] })).await;
    app.wait_for_attempts(&app_id, &message, 4, SOON).await;

    let count = async |path: &str| {
        let answer = app.get(format!("/api/v1/app/{app_id}/attempt/{path}")).await.expect(200).json();
        answer["data"].as_array().expect("a list").len()
    };
    let (by_message, by_bad, by_good) =
        (format!("msg/{message}"), format!("endpoint/{bad}"), format!("endpoint/{good}"));
    for (query, expected) in [
        (by_message.clone(), 4),
        (format!("{by_message}?endpoint_id={bad}"), 3),
        (format!("{by_message}?status=0"), 2),
        (format!("{by_message}?status=2"), 2),
        (format!("{by_message}?status_code_class=400"), 1),
        (format!("{by_bad}?status_code_class=500"), 1),
        (format!("{by_bad}?status=0"), 1),
        (by_good.clone(), 1),
        (format!("{by_good}?tag=t"), 1),
        (format!("{by_good}?tag=other"), 0),
        (format!("{by_good}?event_types=other"), 0),
    ] {
        assert_eq!(count(&query).await, expected, "{query}");
    }
    let with_message =
        app.get(format!("/api/v1/app/{app_id}/attempt/endpoint/{good}?with_msg=true")).await.expect(200).json();
    assert_eq!(with_message["data"][0]["msg"]["id"], json!(message), "{with_message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_has_a_uid_that_works_as_its_id() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let made = app.client.post("/api/v1/app", json!({ "name": "Uid", "uid": "customer-1" })).await.expect(201).json();
    app.endpoint_with("customer-1", &receiver.url("/uid"), json!({ "uid": "main" })).await;
    let shown = app.get("/api/v1/app/customer-1/endpoint/main").await.expect(200).json();
    assert_eq!(shown["uid"], "main");
    let first = json!({ "eventType": "e", "payload": {}, "eventId": "event-1" });
    let message = app.publish("customer-1", first).await;
    receiver.wait_for("/uid", 1, SOON).await;
    let by_event = app.get("/api/v1/app/customer-1/msg/event-1").await.expect(200).json();
    assert_eq!(by_event["id"], json!(message));
    eventually("its attempt by uids", SOON, async || {
        let listed = app.get("/api/v1/app/customer-1/attempt/endpoint/main").await.expect(200).json();
        when(listed["data"].as_array().is_some_and(|data| data.len() == 1))
    })
    .await;

    // A second of the same name is a conflict, unless it is asked for what exists.
    app.client.post("/api/v1/app", json!({ "name": "Again", "uid": "customer-1" })).await.error(409);
    let same = app.client.post("/api/v1/app?get_if_exists=true", json!({ "name": "Again", "uid": "customer-1" })).await;
    assert_eq!(same.expect(200).json()["id"], made["id"]);
    let path = "/api/v1/app/customer-1/endpoint";
    app.client.post(path, json!({ "url": receiver.url("/x"), "uid": "main" })).await.error(409);
    let taken = json!({ "name": "Odd", "uid": made["id"] });
    app.client.post("/api/v1/app", taken).await.refuses("uid");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_of_different_fields_lose_nothing() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Patches").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/p")).await;
    let path = format!("/api/v1/app/{app_id}/endpoint/{endpoint}");
    for round in 0..10 {
        let text = format!("round {round}");
        let types = json!([format!("type.{round}")]);
        let (a, b, c) = tokio::join!(
            app.client.patch(&path, json!({ "description": text })),
            app.client.patch(&path, json!({ "eventTypes": types })),
            app.client.patch(&path, json!({ "throttleRate": round + 1 })),
        );
        for answer in [a, b, c] {
            answer.expect(200);
        }
        let shown = app.get(&path).await.expect(200).json();
        assert_eq!(shown["description"], json!(text));
        assert_eq!(shown["eventTypes"], types);
        assert_eq!(shown["throttleRate"], round + 1);
    }
    let cleared = app.client.patch(&path, json!({ "throttleRate": null, "eventTypes": null })).await.expect(200).json();
    assert!(cleared["throttleRate"].is_null() && cleared["eventTypes"].is_null(), "{cleared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_made_with_its_first_message() {
    let app = TestApp::start().await;
    let application = json!({ "name": "Inline", "uid": "inline-1" });
    let body = json!({ "eventType": "e", "payload": {}, "application": application });
    app.client.post("/api/v1/app/inline-1/msg", body.clone()).await.expect(202);
    let made = app.get("/api/v1/app/inline-1").await.expect(200).json();
    assert_eq!((&made["name"], &made["uid"]), (&json!("Inline"), &json!("inline-1")));
    app.client.post("/api/v1/app/inline-1/msg", body).await.expect(202);
    let messages = app.get("/api/v1/app/inline-1/msg").await.expect(200).json();
    assert_eq!(messages["data"].as_array().map(Vec::len), Some(2));
}
