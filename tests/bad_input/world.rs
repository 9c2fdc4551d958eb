//! The server with one of everything, so that only what a case is about is wrong with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::operation::Operation;
use crate::support::app::{TestApp, id_of};
use crate::support::http::Client;
use crate::support::receiver::Receiver;
use crate::support::wait::{SOON, eventually, when};

/// What says another thing each time.
const RESTLESS: [&str; 15] = [
    "/metrics",
    "/api/v1/overview",
    "/api/v1/system",
    "/api/v1/endpoint",
    "/api/v1/message",
    "/api/v1/message/live",
    "/api/v1/app/{app_id}/message",
    "/api/v1/app/{app_id}/message/live",
    "/api/v1/app/{app_id}/stats/attempts",
    "/api/v1/stats/app/{app_id}/attempt",
    "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}/count",
    "/api/v1/health/ready",
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
    "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
    "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
];
/// What a receiver that does not answer changes by itself, and what the use of a key does.
const RESTLESS_FIELDS: [&str; 2] = ["failingSince", "lastUsedAt"];
/// Under which the endpoint of operational webhooks is kept.
const OPERATIONAL: &str = "operational endpoint_id";
/// Our own example's name.
const EVENT_TYPE: &str = "bad.input";

pub(crate) struct World {
    app: TestApp,
    receiver: Receiver,
    named: BTreeMap<&'static str, String>,
    /// With a portal token.
    customer: Mutex<Client>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let (mut app, receiver) = (TestApp::builder().start().await, Receiver::start().await);
        // Who may all, so that what is asked for is looked at.
        let key = app.cli(&["key", "create", "--scope", "operator"]);
        let key = String::from_utf8(key.stdout).expect("text");
        app.client = app.client.with_key(Some(key.trim()));
        let app_id = app.application("World").await;
        let endpoint_id = app.endpoint(&app_id, &receiver.url("/")).await;
        let event_type = json!({ "name": EVENT_TYPE, "description": "d" });
        app.client.post("/api/v1/event-type", event_type).await.expect(201);
        let msg_id = app.publish_numbered(&app_id, 1).await;
        let attempts = app.wait_for_attempts(&app_id, &msg_id, 1, SOON).await;
        let attempt_id = attempts[0]["id"].as_str().expect("an id").to_owned();
        let since = json!({ "since": "2026-01-01T00:00:00Z" });
        let recover = format!("/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover");
        let task_id = id_of(&app.client.post(recover, since).await.expect(202).json());
        let operational = json!({ "url": receiver.url("/operational") });
        let operational = app.client.post("/api/v1/operational-webhook/endpoint", operational).await.expect(201);
        let operational_id = id_of(&operational.json());
        let source =
            json!({ "name": "S", "type": "stripe", "appId": app_id, "config": { "secret": "whsec_bad_input" } });
        let source_id = id_of(&app.client.post("/ingest/api/v1/source", source).await.expect(201).json());
        let own = app.client.get("/api/v1/management/environment").await.expect(200).json();
        let env_id = id_of(&own["data"][0]);
        let spare = format!("/api/v1/management/authentication/{env_id}/api-token");
        let key_id = id_of(&app.client.post(spare, json!({ "name": "spare" })).await.expect(200).json());
        let named = BTreeMap::from([
            ("env_id", env_id),
            ("key_id", key_id),
            ("id", msg_id.clone()),
            ("app_id", app_id),
            ("endpoint_id", endpoint_id),
            ("msg_id", msg_id),
            ("attempt_id", attempt_id),
            ("event_type_name", EVENT_TYPE.to_owned()),
            ("task_id", task_id),
            ("source_id", source_id),
            (OPERATIONAL, operational_id),
        ]);
        let customer = Mutex::new(app.client.clone());
        Self { app, receiver, named, customer }
    }

    /// Who may call an operation.
    pub(crate) fn client(&self, operation: &Operation) -> Client {
        let customer = self.customer.lock().unwrap_or_else(PoisonError::into_inner);
        if operation.needs_token { customer.clone() } else { self.app.client.clone() }
    }

    pub(crate) async fn document(&self) -> Value {
        self.app.client.with_key(None).get("/openapi.json").await.expect(200).json()
    }

    /// A path with what is there in the place of its parameters, but for one.
    pub(crate) fn path(&self, path: &str, but: Option<(&str, &str)>) -> String {
        let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            None => part.to_owned(),
            Some(name) => match but {
                Some((other, text)) if other == name => text.to_owned(),
                _ if name == "endpoint_id" && path.contains("/operational-webhook/") => self.named[OPERATIONAL].clone(),
                _ => self.named.get(name).unwrap_or_else(|| panic!("a value of {name} in the world")).clone(),
            },
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// All that `GET` answers, by path.
    pub(crate) async fn all_that_can_be_read(&self, operations: &[Operation]) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for operation in operations {
            if operation.method != "GET" || RESTLESS.contains(&&*operation.path) {
                continue;
            }
            let path = self.path(&operation.path, None);
            let answer = self.app.get(&path).await;
            assert!(answer.status < 400, "{path}: {} {}", answer.status, answer.text());
            let text = match serde_json::from_slice::<Value>(&answer.body) {
                Ok(value) => without(value, &RESTLESS_FIELDS).to_string(),
                Err(_) => answer.text(),
            };
            all.insert(path, text);
        }
        all
    }

    /// Makes again what a case that was taken may have deleted, turned off or made expire, and waits for what
    /// it has begun.
    pub(crate) async fn mend(&self) {
        let path = |pattern: &str| self.path(pattern, None);
        let client = &self.app.client;
        let endpoint = json!({ "url": self.receiver.url("/"), "disabled": false });
        client.patch(path("/api/v1/app/{app_id}/endpoint/{endpoint_id}"), endpoint).await.expect(200);
        let made = client.put(path("/api/v1/event-type/{event_type_name}"), json!({ "description": "d" })).await;
        assert!([200, 201].contains(&made.status), "{}", made.text());
        let access = client.post(path("/api/v1/auth/app-portal-access/{app_id}"), json!({})).await.expect(200).json();
        let customer = client.with_key(access["token"].as_str());
        *self.customer.lock().unwrap_or_else(PoisonError::into_inner) = customer;
        eventually("tasks are finished", SOON, async || {
            let running = client.get("/api/v1/background-task?status=running").await.expect(200).json();
            when(running["data"] == json!([]))
        })
        .await;
    }
}

/// A value without some fields, wherever they stand.
fn without(mut value: Value, names: &[&str]) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without(item.take(), names)),
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|field| *field = without(field.take(), names));
        }
        _ => {}
    }
    value
}
