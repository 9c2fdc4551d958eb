//! Sources as resources: made, changed, replaced, listed, deleted, given another URL.

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;
use crate::world::{
    STRIPE_SECRET, Source, now_s, receiving_path, send, stripe_event, stripe_request, stripe_signature,
};

const SOURCES: &str = "/ingest/api/v1/source";

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_made_shown_and_changed() {
    let app = TestApp::start().await;
    let body = json!({
        "name": "Payments", "uid": "payments", "type": "stripe", "config": { "secret": STRIPE_SECRET },
        "metadata": { "team": "billing" }, "requestsPerSecond": 100, "allowedNetworks": ["10.0.0.0/8"],
        "answer": { "status": 202 }, "dedupe": { "by": "content", "windowSeconds": 60 }, "forwardPath": true,
    });
    let made = app.client.post(SOURCES, body.clone()).await.expect(201).json();
    for name in ["name", "uid", "type", "metadata", "requestsPerSecond", "allowedNetworks", "forwardPath", "dedupe"] {
        assert_eq!(made[name], body[name], "{name}");
    }
    assert!(!made.to_string().contains(STRIPE_SECRET), "a secret is not shown: {made}");
    assert!(receiving_path(&made["ingestUrl"]).len() > 30, "a token that cannot be guessed");
    let id = id_of(&made);
    for name in [&*id, "payments"] {
        assert_eq!(app.get(format!("{SOURCES}/{name}")).await.expect(200).json(), made);
    }
    assert_eq!(app.get(SOURCES).await.expect(200).json()["data"], json!([made]));
    let again = app.client.post(SOURCES, body).await.expect(409).json();
    assert_eq!(again["code"], "conflict");

    let patched =
        app.client.patch(format!("{SOURCES}/{id}"), json!({ "name": "Money", "uid": null })).await.expect(200).json();
    let mut expected = made.clone();
    (expected["name"], expected["uid"], expected["updatedAt"]) =
        (json!("Money"), Value::Null, patched["updatedAt"].clone());
    assert_eq!(patched, expected, "the rest stays as it is");
    app.get(format!("{SOURCES}/payments")).await.expect(404);

    let replaced =
        app.client.put(format!("{SOURCES}/{id}"), json!({ "name": "Open", "type": "generic-webhook" })).await;
    let replaced = replaced.expect(200).json();
    assert_eq!((&replaced["type"], &replaced["metadata"]), (&json!("generic-webhook"), &json!({})));
    assert_eq!((&replaced["requestsPerSecond"], &replaced["allowedNetworks"]), (&Value::Null, &json!([])));
    assert_eq!((&replaced["ingestUrl"], &replaced["appId"]), (&made["ingestUrl"], &made["appId"]), "these stay");
    send(&app, Request::new("POST", receiving_path(&made["ingestUrl"])).body("x")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn put_by_uid_makes_and_replaces() {
    let app = TestApp::start().await;
    let path = format!("{SOURCES}/shop");
    let made =
        app.client.put(path.clone(), json!({ "name": "Shop", "type": "generic-webhook" })).await.expect(201).json();
    assert_eq!(made["uid"], "shop");
    let again = app.client.put(path, json!({ "name": "Shop 2", "type": "generic-webhook" })).await.expect(200).json();
    assert_eq!((&again["id"], &again["uid"], &again["name"]), (&made["id"], &json!("shop"), &json!("Shop 2")));
    let unknown = format!("{SOURCES}/src_00000000000000000000000");
    app.client.put(unknown, json!({ "name": "x", "type": "generic-webhook" })).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_of_a_source_goes_with_it() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    app.client.delete(source.resource()).await.expect(204);
    app.get(source.resource()).await.expect(404);
    app.get(format!("/api/v1/app/{}", source.app_id)).await.expect(404);
    send(&app, stripe_request(&source.path, &stripe_event("evt_1", "charge.succeeded"))).await.expect(404);
    assert_eq!(app.get(SOURCES).await.expect(200).json()["data"], json!([]));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_a_source_uses_takes_the_source_along() {
    let app = TestApp::start().await;
    let app_id = app.application("Shared").await;
    let source = Source::with(&app, "generic-webhook", json!({}), json!({ "appId": app_id })).await;
    app.client.delete(format!("/api/v1/app/{app_id}")).await.expect(204);
    send(&app, Request::new("POST", &source.path).body("x")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_before_goes_on_receiving_when_a_token_is_replaced() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let rotated = app.client.post(format!("{}/token/rotate", source.resource()), json!({})).await.expect(200).json();
    let fresh = receiving_path(&rotated["ingestUrl"]);
    assert_ne!(fresh, source.path);
    assert_eq!(app.get(source.resource()).await.expect(200).json()["ingestUrl"], rotated["ingestUrl"]);
    for round in 0..2 {
        for (number, path) in [&fresh, &source.path].into_iter().enumerate() {
            let body = stripe_event(&format!("evt_{round}{number}"), "charge.succeeded");
            send(&app, stripe_request(path, &body)).await.expect(200);
        }
        if round == 0 {
            app.kill9();
            app.restart().await;
        }
    }
    receiver.wait_for("/hook", 4, SOON).await;
    assert_eq!(source.settled(&app).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_404_whatever_it_looks_like() {
    let app = TestApp::start().await;
    let source = Source::stripe(&app).await;
    let longer = format!("{}x", source.path);
    let shorter = &source.path[..source.path.len() - 1];
    let longest = format!("/in/{}", "x".repeat(4_000));
    for path in [&*longer, shorter, "/in/", "/in", "/in//", "/in/%00", &longest, &source.path.to_uppercase()] {
        for method in ["POST", "GET", "PUT"] {
            send(&app, Request::new(method, path).body("{}")).await.expect(404);
        }
    }
    assert_eq!(source.log(&app).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_configuration_is_named() {
    let app = TestApp::start().await;
    let cases = [
        (json!({ "type": "stripe" }), "secret"),
        (json!({ "type": "stripe", "config": { "secret": "" } }), "secret"),
        (json!({ "type": "stripe", "config": { "secret": 7 } }), "secret"),
        (json!({ "type": "stripe", "config": { "secret": "a", "secert": "b" } }), "secert"),
        (json!({ "type": "stripe", "config": [] }), "config"),
        (json!({ "type": "meta", "config": { "secret": "a" } }), "verifyToken"),
        (json!({ "type": "generic-hmac", "config": { "secret": "a" } }), "header"),
        (
            json!({ "type": "generic-hmac", "config": { "secret": "a", "header": "X-Sig", "algorithm": "md5" } }),
            "algorithm",
        ),
        (json!({ "type": "generic-basic", "config": { "username": "a" } }), "password"),
        (json!({ "type": "no-such-type" }), "type"),
        (json!({ "type": "klaviyo", "config": { "secret": "a" } }), "type"),
        (json!({ "config": {} }), "type"),
        (json!({ "type": "generic-webhook", "uid": "a b" }), "uid"),
        (json!({ "type": "generic-webhook", "appId": "nobody" }), "appId"),
        (json!({ "type": "generic-webhook", "dedupe": { "by": "fields" } }), "dedupe"),
        (json!({ "type": "generic-webhook", "dedupe": { "by": "content", "windowSeconds": 59 } }), "dedupe"),
        (json!({ "type": "generic-webhook", "answer": { "status": 301 } }), "answer"),
        (json!({ "type": "generic-webhook", "allowedNetworks": ["10.0.0.0/33"] }), "allowedNetworks"),
        (json!({ "type": "generic-webhook", "requestsPerSecond": 0 }), "requestsPerSecond"),
        (json!({ "type": "generic-webhook", "forwardPath": "yes" }), "forwardPath"),
    ];
    for (mut body, field) in cases {
        body["name"] = json!("Wrong");
        let said = body.to_string();
        let answer = app.client.post(SOURCES, body).await;
        assert_eq!(answer.status, 422, "{field} of {said}: {}", answer.text());
        answer.refuses(field);
    }
    assert_eq!(app.get(SOURCES).await.expect(200).json()["data"], json!([]), "none of them was made");
    let source = Source::stripe(&app).await;
    app.client.patch(source.resource(), json!({ "config": { "secret": null } })).await.refuses("secret");
    app.client.patch(source.resource(), json!({ "config": {} })).await.expect(200);
    send(&app, stripe_request(&source.path, r#"{"id":"evt_kept","type":"a"}"#)).await.expect(200);
    app.client.patch(source.resource(), json!({ "type": "klaviyo" })).await.refuses("type");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_could_not_be_confirmed_has_an_error_of_its_own() {
    let app = TestApp::start().await;
    let refused = async |source_type: &str| {
        let body = json!({ "name": "a", "type": source_type, "config": { "secret": "a" } });
        let answer = app.client.post(SOURCES, body).await.expect(422).json();
        let problems = answer["detail"].as_array().expect("a list").clone();
        assert_eq!((problems.len(), &problems[0]["loc"]), (1, &json!(["body", "type"])), "{answer}");
        problems[0]["type"].as_str().expect("a kind").to_owned()
    };
    for known in ["klaviyo", "smartsheet", "ebay", "orum-io", "vgs"] {
        assert_eq!(refused(known).await, "value_error.unconfirmed", "{known}");
    }
    assert_eq!(refused("no-such-type").await, "value_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_listed_with_the_schema_of_its_configuration() {
    let app = TestApp::start().await;
    let listed = app.get("/ingest/api/v1/source-type").await.expect(200).json();
    let types = listed["data"].as_array().expect("a list");
    let find = |name: &str| types.iter().find(|listed| listed["type"] == name);
    let stripe = find("stripe").expect("stripe");
    assert_eq!(stripe["name"], "Stripe");
    for name in ["stripe", "github", "slack", "shopify", "meta", "zoom", "generic-hmac", "generic-webhook"] {
        let schema = &find(name).unwrap_or_else(|| panic!("{name} is listed"))["configSchema"];
        jsonschema::validator_for(schema).unwrap_or_else(|e| panic!("{name}: {e}: {schema}"));
    }
    let validator = jsonschema::validator_for(&stripe["configSchema"]).expect("a schema");
    assert!(validator.is_valid(&json!({ "secret": "whsec_a" })));
    assert!(!validator.is_valid(&json!({ "secert": "whsec_a" })) && !validator.is_valid(&json!({})));
    assert!(find("klaviyo").is_none(), "what is not confirmed is not offered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_others_use_does_not_go_with_its_first_source() {
    let app = TestApp::start().await;
    let first = Source::make(&app, "generic-webhook", json!({})).await;
    let second = Source::with(&app, "generic-webhook", json!({}), json!({ "appId": first.app_id })).await;
    app.client.delete(first.resource()).await.expect(409);
    send(&app, Request::new("POST", &second.path).body("{}")).await.expect(200);
    app.client.delete(second.resource()).await.expect(204);
    app.client.delete(first.resource()).await.expect(204);
    app.get(format!("/api/v1/app/{}", first.app_id)).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_takes_long_is_judged_by_the_source_as_it_is_in_the_end() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let app = TestApp::start().await;
    let source = Source::stripe(&app).await;
    let body = r#"{"id":"evt_slow","type":"a.b"}"#;
    let signature = stripe_signature(STRIPE_SECRET, now_s(), body.as_bytes());
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nstripe-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        source.path,
        body.len()
    );
    let (begin, end) = body.split_at(10);
    let half_sent = async || {
        let mut tcp = tokio::net::TcpStream::connect(app.address()).await.expect("connected");
        tcp.write_all(format!("{head}{begin}").as_bytes()).await.expect("sent");
        // The head is read when another request on another connection is answered after it.
        send(&app, stripe_request(&source.path, r#"{"id":"evt_other","type":"a"}"#)).await;
        tcp
    };
    let status = async |mut tcp: tokio::net::TcpStream| {
        tcp.write_all(end.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    let before = half_sent().await;
    source.patch(&app, json!({ "allowedNetworks": ["203.0.113.0/24"] })).await;
    assert_eq!(status(before).await, "403");
    source.patch(&app, json!({ "allowedNetworks": [] })).await;
    let before = half_sent().await;
    source.patch(&app, json!({ "config": { "secret": "whsec_another" } })).await;
    assert_eq!(status(before).await, "401");
    let before = half_sent().await;
    source.patch(&app, json!({ "config": { "secret": STRIPE_SECRET } })).await;
    assert_eq!(status(before).await, "200");
    let before = half_sent().await;
    app.client.delete(source.resource()).await.expect(204);
    assert_eq!(status(before).await, "404");
}
