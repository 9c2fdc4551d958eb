//! Every operation of the contract: answered in its shape, or 501.

use serde_json::{Value, json};

use crate::schema::{contract, problems};
use crate::support::app::{TestApp, id_of};
use crate::support::http::{Request, Response};
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;

/// What is there, by method and path below `/api/v1`.
const IMPLEMENTED: [(&str, &str); 106] = [
    ("GET", "/app"),
    ("POST", "/app"),
    ("GET", "/app/{app_id}"),
    ("PUT", "/app/{app_id}"),
    ("PATCH", "/app/{app_id}"),
    ("DELETE", "/app/{app_id}"),
    ("GET", "/event-type"),
    ("POST", "/event-type"),
    ("GET", "/event-type/{event_type_name}"),
    ("GET", "/app/{app_id}/endpoint"),
    ("POST", "/app/{app_id}/endpoint"),
    ("GET", "/app/{app_id}/endpoint/{endpoint_id}"),
    ("PUT", "/app/{app_id}/endpoint/{endpoint_id}"),
    ("PATCH", "/app/{app_id}/endpoint/{endpoint_id}"),
    ("DELETE", "/app/{app_id}/endpoint/{endpoint_id}"),
    ("GET", "/app/{app_id}/endpoint/{endpoint_id}/secret"),
    ("GET", "/app/{app_id}/msg"),
    ("POST", "/app/{app_id}/msg"),
    ("GET", "/app/{app_id}/msg/{msg_id}"),
    ("GET", "/app/{app_id}/attempt/msg/{msg_id}"),
    ("GET", "/app/{app_id}/attempt/endpoint/{endpoint_id}"),
    ("GET", "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}"),
    ("POST", "/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/secret/rotate"),
    ("GET", "/app/{app_id}/endpoint/{endpoint_id}/headers"),
    ("PUT", "/app/{app_id}/endpoint/{endpoint_id}/headers"),
    ("PATCH", "/app/{app_id}/endpoint/{endpoint_id}/headers"),
    ("PUT", "/event-type/{event_type_name}"),
    ("PATCH", "/event-type/{event_type_name}"),
    ("DELETE", "/event-type/{event_type_name}"),
    ("GET", "/event-type/{event_type_name}/retry-schedule"),
    ("PUT", "/event-type/{event_type_name}/retry-schedule"),
    ("GET", "/app/{app_id}/endpoint/{endpoint_id}/msg"),
    ("GET", "/app/{app_id}/msg/{msg_id}/endpoint"),
    ("GET", "/app/{app_id}/msg/{msg_id}/raw"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/send-example"),
    ("GET", "/app/{app_id}/endpoint/{endpoint_id}/stats"),
    ("POST", "/auth/app-portal-access/{app_id}"),
    ("POST", "/auth/logout"),
    ("GET", "/management/environment-settings"),
    ("PUT", "/management/environment-settings"),
    ("PATCH", "/management/environment-settings"),
    ("GET", "/operational-webhook/endpoint"),
    ("POST", "/operational-webhook/endpoint"),
    ("GET", "/operational-webhook/endpoint/{endpoint_id}"),
    ("PUT", "/operational-webhook/endpoint/{endpoint_id}"),
    ("DELETE", "/operational-webhook/endpoint/{endpoint_id}"),
    ("GET", "/operational-webhook/endpoint/{endpoint_id}/secret"),
    ("POST", "/operational-webhook/endpoint/{endpoint_id}/secret/rotate"),
    ("GET", "/operational-webhook/endpoint/{endpoint_id}/headers"),
    ("PUT", "/operational-webhook/endpoint/{endpoint_id}/headers"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/recover"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/replay-missing"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/bulk-replay"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/cancel-msgs"),
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt"),
    ("POST", "/event-type/import/openapi"),
    ("POST", "/event-type/export/openapi"),
    ("PUT", "/stats/usage/event-types"),
    ("POST", "/stats/usage/app"),
    ("GET", "/app/stats/count-active"),
    ("GET", "/app/{app_id}/attempt/endpoint/{endpoint_id}/count"),
    ("GET", "/app/{app_id}/events"),
    ("POST", "/app/{app_id}/msg/search"),
    ("GET", "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/headers"),
    ("GET", "/app/{app_id}/stats/attempts"),
    ("POST", "/auth/app/{app_id}/expire-all"),
    ("POST", "/auth/one-time-token"),
    ("GET", "/auth/whoami"),
    ("GET", "/environment/settings"),
    ("GET", "/events"),
    ("GET", "/management/authentication/{env_id}/api-token"),
    ("POST", "/management/authentication/{env_id}/api-token"),
    ("GET", "/management/authentication/{env_id}/api-token/{key_id}"),
    ("PATCH", "/management/authentication/{env_id}/api-token/{key_id}"),
    ("PUT", "/management/authentication/{env_id}/api-token/{key_id}"),
    ("POST", "/management/authentication/{env_id}/api-token/{key_id}/expire"),
    ("GET", "/management/environment"),
    ("POST", "/management/environment"),
    ("DELETE", "/management/environment/{env_id}"),
    ("GET", "/management/environment/{env_id}"),
    ("PUT", "/management/environment/{env_id}"),
    ("GET", "/stats/app/{app_id}/attempt"),
    ("GET", "/stats/endpoint/count"),
    ("DELETE", "/app/{app_id}/msg/{msg_id}/content"),
    ("DELETE", "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content"),
    ("GET", "/background-task"),
    ("GET", "/background-task/{task_id}"),
    ("GET", "/health"),
    ("DELETE", "/ingest/api/v1/source/{source_id}"),
    ("DELETE", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}"),
    ("GET", "/ingest/api/v1/source"),
    ("GET", "/ingest/api/v1/source/{source_id}"),
    ("GET", "/ingest/api/v1/source/{source_id}/endpoint"),
    ("GET", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}"),
    ("GET", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers"),
    ("GET", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret"),
    ("GET", "/ingest/api/v1/source/{source_id}/log"),
    ("PATCH", "/ingest/api/v1/source/{source_id}"),
    ("POST", "/ingest/api/v1/source"),
    ("POST", "/ingest/api/v1/source/{source_id}/endpoint"),
    ("POST", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate"),
    ("POST", "/ingest/api/v1/source/{source_id}/token/rotate"),
    ("PUT", "/ingest/api/v1/source/{source_id}"),
    ("PUT", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}"),
    ("PUT", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers"),
];

fn method(name: &str) -> Option<&'static str> {
    ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|method| method.eq_ignore_ascii_case(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_not_there_answers_501_with_a_code() {
    let Some(contract) = contract("operations") else { return };
    let app = TestApp::start().await;
    let app_id = app.application("Contract").await;
    let mut asked = 0;
    let mut wrong = Vec::new();
    for (path, operations) in contract["paths"].as_object().expect("paths") {
        let below = path.strip_prefix("/api/v1").unwrap_or(path);
        for method in operations.as_object().expect("operations").keys().filter_map(|name| method(name)) {
            if IMPLEMENTED.contains(&(method, below)) {
                continue;
            }
            let concrete = path.replace("{app_id}", &app_id);
            let concrete: String = concrete
                .split('/')
                .map(|part| if part.starts_with('{') { "some-id" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let mut request = Request::new(method, concrete);
            if method != "GET" && method != "DELETE" {
                request = request.json(&json!({}));
            }
            let answer = app.client.send(request).await;
            asked += 1;
            let coded = serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body["code"].is_string());
            if answer.status != 501 || !coded {
                wrong.push(format!("{method} {path}: {} {}", answer.status, answer.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 100, "{asked} operations");
}

/// Asks, and checks the answer against the contract's schema for its status.
pub(crate) async fn check(
    contract: &Value,
    app: &TestApp,
    request: Request,
    operation: (&str, &str),
    status: u16,
) -> Value {
    let answer: Response = app.client.send(request).await.expect(status);
    let pointer = format!("/paths/{}", format!("/api/v1{}", operation.1).replace('/', "~1"));
    let responses = &contract.pointer(&pointer).expect("a path")[operation.0.to_lowercase()]["responses"];
    let expected = responses.get(status.to_string()).unwrap_or_else(|| panic!("{operation:?} may answer {status}"));
    let schema = &expected["content"]["application/json"]["schema"];
    if schema.is_null() {
        assert!(answer.body.is_empty(), "{operation:?} answers nothing: {}", answer.text());
        return Value::Null;
    }
    let body = answer.json();
    let problems = problems(contract, schema, &body);
    assert!(problems.is_empty(), "{operation:?} {status}: {problems:#?} in {body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_answers_in_the_contracts_shapes() {
    let Some(contract) = contract("operations") else { return };
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    let ask = async |method: &'static str, below: &'static str, path: String, body: Option<Value>, status: u16| {
        let mut request = Request::new(method, format!("/api/v1{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        check(&contract, &app, request, (method, below), status).await
    };
    let full = json!({ "name": "Full", "uid": "full", "throttleRate": 100, "metadata": { "a": "b" } });
    let made = ask("POST", "/app", "/app".into(), Some(full.clone()), 201).await;
    ask("POST", "/app", "/app?get_if_exists=true".into(), Some(full.clone()), 200).await;
    ask("POST", "/app", "/app".into(), Some(full), 409).await;
    ask("POST", "/app", "/app".into(), Some(json!({ "name": 1 })), 422).await;
    let app_path = format!("/app/{}", id_of(&made));
    ask("GET", "/app", "/app".into(), None, 200).await;
    ask("GET", "/app/{app_id}", app_path.clone(), None, 200).await;
    ask("GET", "/app/{app_id}", "/app/none".into(), None, 404).await;
    ask("PATCH", "/app/{app_id}", app_path.clone(), Some(json!({ "name": "Renamed" })), 200).await;
    ask("PUT", "/app/{app_id}", app_path.clone(), Some(json!({ "name": "Put" })), 200).await;
    ask("PUT", "/app/{app_id}", "/app/by-put".into(), Some(json!({ "name": "New", "uid": "by-put" })), 201).await;

    let schema = json!({ "1": { "type": "object" } });
    let event_type = json!({ "name": "user.made", "description": "d", "schemas": schema, "groupName": "user" });
    ask("POST", "/event-type", "/event-type".into(), Some(event_type.clone()), 201).await;
    ask("POST", "/event-type", "/event-type".into(), Some(event_type), 409).await;
    ask("GET", "/event-type", "/event-type".into(), None, 200).await;
    ask("GET", "/event-type/{event_type_name}", "/event-type/user.made".into(), None, 200).await;
    ask("GET", "/event-type/{event_type_name}", "/event-type/none".into(), None, 404).await;

    let endpoints = "/app/{app_id}/endpoint";
    let endpoint = json!({
        "url": receiver.url("/x"), "uid": "main", "description": "d", "throttleRate": 50, "eventTypes": ["user.made"],
        "channels": ["red"], "metadata": { "a": "b" }, "headers": { "x-a": "b" },
    });
    let made = ask("POST", endpoints, format!("{app_path}/endpoint"), Some(endpoint), 201).await;
    let bare =
        ask("POST", endpoints, format!("{app_path}/endpoint"), Some(json!({ "url": receiver.url("/y") })), 201).await;
    ask("GET", endpoints, format!("{app_path}/endpoint"), None, 200).await;
    let (one, path) = ("/app/{app_id}/endpoint/{endpoint_id}", format!("{app_path}/endpoint/{}", id_of(&made)));
    ask("GET", one, path.clone(), None, 200).await;
    ask("PATCH", one, path.clone(), Some(json!({ "description": "x" })), 200).await;
    ask("PUT", one, path.clone(), Some(json!({ "url": receiver.url("/z") })), 200).await;
    let by_put = json!({ "url": receiver.url("/w"), "uid": "by-put" });
    ask("PUT", one, format!("{app_path}/endpoint/by-put"), Some(by_put), 201).await;
    ask("GET", "/app/{app_id}/endpoint/{endpoint_id}/secret", format!("{path}/secret"), None, 200).await;

    let messages = "/app/{app_id}/msg";
    let message = json!({
        "eventType": "user.made", "payload": { "a": 1 }, "eventId": "e-1", "channels": ["red"], "tags": ["t"],
        "payloadRetentionPeriod": 30,
    });
    let sent = ask("POST", messages, format!("{app_path}/msg"), Some(message.clone()), 202).await;
    ask("POST", messages, format!("{app_path}/msg"), Some(message), 409).await;
    ask(
        "POST",
        messages,
        format!("{app_path}/msg?with_content=false"),
        Some(json!({ "eventType": "e", "payload": {} })),
        202,
    )
    .await;
    ask("GET", messages, format!("{app_path}/msg"), None, 200).await;
    let id = id_of(&sent);
    ask("GET", "/app/{app_id}/msg/{msg_id}", format!("{app_path}/msg/{id}"), None, 200).await;

    let app_id = app_path.trim_start_matches("/app/").to_owned();
    let attempt = app.wait_for_attempts(&app_id, &id, 3, SOON).await.remove(0);
    ask("GET", "/app/{app_id}/attempt/msg/{msg_id}", format!("{app_path}/attempt/msg/{id}"), None, 200).await;
    ask(
        "GET",
        "/app/{app_id}/attempt/endpoint/{endpoint_id}",
        format!("{app_path}/attempt/endpoint/{}?with_msg=true", id_of(&bare)),
        None,
        200,
    )
    .await;
    let one_attempt = format!("{app_path}/msg/{id}/attempt/{}", id_of(&attempt));
    ask("GET", "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}", one_attempt, None, 200).await;
    let resend = format!("{app_path}/msg/{id}/endpoint/{}/resend", id_of(&bare));
    ask("POST", "/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend", resend, None, 202).await;

    ask("DELETE", one, path.clone(), None, 204).await;
    ask("DELETE", one, path, None, 404).await;
    ask("DELETE", "/app/{app_id}", app_path.clone(), None, 204).await;
    ask("GET", "/app/{app_id}", app_path, None, 404).await;
    ask("GET", "/health", "/health".into(), None, 204).await;
}
