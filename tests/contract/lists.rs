//! Lists: bounds, pages in both directions, order, and iterators of another kind.

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::receiver::Receiver;
use crate::support::wait::{SOON, eventually, when};

const ROWS: usize = 30;

fn ids(page: &Value) -> Vec<String> {
    page["data"]
        .as_array()
        .expect("data")
        .iter()
        .map(|row| row["id"].as_str().or(row["name"].as_str()).expect("an id").to_owned())
        .collect()
}

/// Walks a list from its start to its end and back, in pages of every size, and compares with `expected`.
async fn walk(app: &TestApp, path: &str, expected: &[String]) {
    let join = |query: String| format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' });
    for limit in [1, 7, 10, ROWS, 250] {
        let (mut seen, mut query, mut last_page) = (Vec::new(), format!("limit={limit}"), json!({}));
        loop {
            let page = app.get(join(query)).await.expect(200).json();
            let rows = ids(&page);
            assert!(rows.len() <= limit, "{path}: {} rows", rows.len());
            let full = seen.len() + rows.len() >= expected.len();
            seen.extend(rows);
            assert_eq!(page["done"], json!(full), "{path} limit {limit} after {} rows", seen.len());
            last_page = if page["data"] == json!([]) { last_page } else { page.clone() };
            if full {
                break;
            }
            let iterator = page["iterator"].as_str().unwrap_or_else(|| panic!("an iterator: {page}"));
            query = format!("limit={limit}&iterator={iterator}");
        }
        assert_eq!(seen, expected, "{path} limit {limit}");

        // And back again, by what the last page says.
        let mut back = ids(&last_page);
        let mut previous = last_page["prevIterator"].as_str().map(str::to_owned);
        while back.len() < expected.len() {
            let iterator =
                previous.unwrap_or_else(|| panic!("{path} limit {limit}: a prevIterator after {}", back.len()));
            let page = app.get(join(format!("limit={limit}&iterator={iterator}"))).await.expect(200).json();
            let mut rows = ids(&page);
            assert!(!rows.is_empty(), "{path} limit {limit}: back from {iterator}: {page}");
            rows.append(&mut back);
            back = rows;
            previous = page["prevIterator"].as_str().map(str::to_owned);
        }
        assert_eq!(back, expected, "{path} limit {limit}, backwards");
    }
}

async fn assert_bounds(app: &TestApp, path: &str) {
    let join = |query: &str| format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' });
    for limit in ["0", "251", "-1", "many", "1.5", "99999999999999999999"] {
        app.get(join(&format!("limit={limit}"))).await.refuses("limit");
    }
    for iterator in ["none", "ep_", "app_short", "src_000000000000000000000000000", "%00", "-"] {
        if !path.contains("event-type") {
            app.get(join(&format!("iterator={iterator}"))).await.refuses("iterator");
        }
    }
    app.get(join("limit=1")).await.expect(200);
    app.get(join("limit=250")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_walked_in_both_directions() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let mut apps = Vec::new();
    for number in 0..ROWS {
        apps.push(app.application(&format!("App {number}")).await);
    }
    let app_id = apps[0].clone();
    let mut endpoints = Vec::new();
    for number in 0..ROWS {
        endpoints
            .push(app.endpoint_with(&app_id, &receiver.url("/x"), json!({ "channels": [format!("c{number}")] })).await);
    }
    let mut event_types = Vec::new();
    for number in 0..ROWS {
        let name = format!("type.{number:02}");
        app.client.post("/api/v1/event-type", json!({ "name": name, "description": "d" })).await.expect(201);
        event_types.push(name);
    }
    let mut messages = Vec::new();
    for number in 0..ROWS {
        messages.push(app.publish(&app_id, json!({ "eventType": "e", "payload": { "n": number } })).await);
    }
    let newest_first = |rows: &[String]| rows.iter().rev().cloned().collect::<Vec<_>>();
    for (path, rows) in [("/api/v1/app".to_owned(), &apps), (format!("/api/v1/app/{app_id}/endpoint"), &endpoints)] {
        walk(&app, &format!("{path}?order=ascending"), rows).await;
        walk(&app, &format!("{path}?order=descending"), &newest_first(rows)).await;
    }
    walk(&app, "/api/v1/event-type?order=ascending", &event_types).await;
    walk(&app, "/api/v1/event-type?order=descending", &newest_first(&event_types)).await;
    walk(&app, &format!("/api/v1/app/{app_id}/msg"), &newest_first(&messages)).await;

    for path in [
        "/api/v1/app".to_owned(),
        "/api/v1/event-type".to_owned(),
        format!("/api/v1/app/{app_id}/endpoint"),
        format!("/api/v1/app/{app_id}/msg"),
        format!("/api/v1/app/{app_id}/attempt/msg/{}", messages[0]),
        format!("/api/v1/app/{app_id}/attempt/endpoint/{}", endpoints[0]),
    ] {
        assert_bounds(&app, &path).await;
    }
    // An id of another kind is no iterator here.
    app.get(format!("/api/v1/app?iterator={}", messages[0])).await.refuses("iterator");
    app.get(format!("/api/v1/app/{app_id}/msg?iterator={app_id}")).await.refuses("iterator");
    app.get("/api/v1/app?order=sideways").await.refuses("order");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_walked_in_both_directions() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Attempts").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/x")).await;
    let message = app.publish_numbered(&app_id, 0).await;
    app.wait_for_attempts(&app_id, &message, 1, SOON).await;
    for _ in 1..ROWS {
        app.resend(&app_id, &message, &endpoint).await;
    }
    let (by_message, by_endpoint) = (
        format!("/api/v1/app/{app_id}/attempt/msg/{message}"),
        format!("/api/v1/app/{app_id}/attempt/endpoint/{endpoint}"),
    );
    eventually("all are on record", SOON, async || {
        let all = app.get(format!("{by_message}?limit=250")).await.expect(200).json();
        when(all["data"].as_array().is_some_and(|data| data.len() == ROWS))
    })
    .await;
    let all = ids(&app.get(format!("{by_message}?limit=250")).await.expect(200).json());
    let mut sorted = all.clone();
    sorted.sort();
    sorted.reverse();
    assert_eq!(all, sorted, "newest first");
    walk(&app, &by_message, &all).await;
    walk(&app, &by_endpoint, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_arrive_meanwhile_neither_repeat_nor_hide_others() {
    let app = TestApp::start().await;
    let app_id = app.application("Meanwhile").await;
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(app.publish_numbered(&app_id, number).await);
    }
    sent.reverse();
    let (mut seen, mut iterator) = (Vec::new(), String::new());
    for number in 0..4 {
        let page = app.get(format!("/api/v1/app/{app_id}/msg?limit=5{iterator}")).await.expect(200).json();
        seen.extend(page["data"].as_array().expect("data").iter().map(id_of));
        iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
        app.publish_numbered(&app_id, 100 + number).await;
    }
    assert_eq!(seen, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_done() {
    let app = TestApp::start().await;
    let page = app.get("/api/v1/app").await.expect(200).json();
    assert_eq!((&page["data"], &page["done"], &page["iterator"]), (&json!([]), &json!(true), &Value::Null));
}
