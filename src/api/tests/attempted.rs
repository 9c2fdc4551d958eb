//! Deliveries as lists, and the bytes of messages.

use serde_json::{Value, json};

use super::support::{TestApi, answered};
use crate::model::{EndpointKey, Id, IdKind, MessageKey, Next, Outcome, OutcomeKind, Parked, Taken, Trigger};
use crate::store::command::{AttemptRecord, Change, Command, Done, Settle};

const RETRY_DUE: i64 = 1_900_000_000_000;

struct Fixture {
    api: TestApi,
    endpoint: Value,
    sent: usize,
}

fn key(kind: IdKind, value: &Value) -> i64 {
    Id::parse(kind, value["id"].as_str().unwrap_or_default()).expect("an id").key
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().into_iter().flatten().map(|row| row["id"].as_str().unwrap_or_default()).collect()
}

impl Fixture {
    async fn new() -> Self {
        let api = TestApi::start().await;
        api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
        let endpoint = api.post("/app/one/endpoint", r#"{"url":"https://u:p@example.com/","uid":"e"}"#).await;
        Self { endpoint: endpoint.expect(201), api, sent: 0 }
    }

    /// Another message; `rest` is more of its body.
    async fn publish(&mut self, rest: &str) -> Value {
        self.sent += 1;
        let body = format!(r#"{{"eventType":"t{}","payload":{{"n":{}}}{rest}}}"#, self.sent % 2, self.sent);
        self.api.post("/app/one/msg", &body).await.expect(202)
    }

    /// What becomes of a delivery that was taken.
    async fn settle(&self, endpoint: &Value, message: &Value, taken: Taken, outcome: Option<Outcome>, next: Next) {
        let config = self.api.app("one").await;
        let endpoint = EndpointKey(key(IdKind::Endpoint, endpoint));
        let url_id = config.endpoint(endpoint).expect("an endpoint").url_id;
        let settle = Settle {
            app: config.app.key(),
            endpoint,
            message: MessageKey(key(IdKind::Message, message)),
            taken,
            trigger: Trigger::Scheduled,
            tenure: 0,
            attempt: outcome.map(|outcome| AttemptRecord { outcome, url_id }),
            next,
            health: None,
            tell: None,
            at: self.api.gateway.clock.now_ms(),
        };
        let reply = self.api.gateway.journal.commit(Command::Settle(Box::new(settle))).await;
        assert!(matches!(&reply, Ok(Ok(Done::Settled(settled))) if settled.applied), "{reply:?}");
    }

    async fn failed(&self, message: &Value, next: Next) {
        let outcome = Outcome::without_answer(OutcomeKind::Timeout, self.api.gateway.clock.now_ms(), 15);
        self.settle(&self.endpoint, message, Taken::Pending, Some(outcome), next).await;
    }

    /// One message in each state: delivered, pending, failed, waiting, held, quarantined.
    async fn one_of_each(&mut self) -> [Value; 6] {
        let mut made = Vec::new();
        for _ in 0..6 {
            made.push(self.publish("").await);
        }
        let made: [Value; 6] = made.try_into().expect("six");
        self.settle(&self.endpoint, &made[0], Taken::Pending, Some(answered(200, b"ok")), Next::Done).await;
        self.failed(&made[2], Next::Park(Parked::Failed)).await;
        self.failed(&made[3], Next::Retry { due: RETRY_DUE, attempts: 1 }).await;
        self.settle(&self.endpoint, &made[4], Taken::Pending, None, Next::Park(Parked::Held)).await;
        self.failed(&made[5], Next::Park(Parked::Quarantined)).await;
        made
    }

    async fn list(&self, query: &str) -> Value {
        self.api.get(&format!("/app/one/endpoint/e/msg?{query}")).await.expect(200)
    }
}

#[tokio::test]
async fn messages_of_an_endpoint_say_where_their_deliveries_stand() {
    let mut fixture = Fixture::new().await;
    let made = fixture.one_of_each().await;
    let page = fixture.list("").await;
    let newest_first: Vec<&str> = made.iter().rev().map(|message| message["id"].as_str().expect("an id")).collect();
    assert_eq!((ids(&page), &page["done"]), (newest_first, &json!(true)));
    let due = "2030-03-17T17:46:40.000Z";
    for (row, (message, (status, text, next, more))) in
        page["data"].as_array().expect("rows").iter().rev().zip(made.iter().zip([
            (0, "success", Value::Null, json!({})),
            (1, "pending", Value::Null, json!({})),
            (2, "fail", Value::Null, json!({})),
            (3, "sending", json!(due), json!({})),
            (1, "pending", Value::Null, json!({ "heldReason": "endpoint_disabled" })),
            (2, "fail", Value::Null, json!({ "reason": "internal_error" })),
        ]))
    {
        let mut expected = message.clone();
        let fields = expected.as_object_mut().expect("an object");
        fields.extend(
            json!({ "status": status, "statusText": text, "nextAttempt": next })
                .as_object()
                .cloned()
                .expect("an object"),
        );
        fields.extend(more.as_object().cloned().expect("an object"));
        assert_eq!(*row, expected);
    }
    let without = fixture.list("with_content=false").await;
    assert!(without["data"].as_array().expect("rows").iter().all(|row| row["payload"] == json!({})));
}

#[tokio::test]
async fn messages_of_an_endpoint_are_filtered() {
    let mut fixture = Fixture::new().await;
    let made = fixture.one_of_each().await;
    let marked = fixture.publish(r#","channels":["c"],"tags":["t"],"eventId":"last""#).await;
    let id = |i: usize| made[i]["id"].as_str().expect("an id");
    let last = marked["id"].as_str().expect("an id");
    for (query, expected) in [
        ("status=0", vec![id(0)]),
        ("status=1", vec![last, id(4), id(1)]),
        ("status=2", vec![id(5), id(2)]),
        ("status=3", vec![id(3)]),
        ("status=4", vec![]),
        ("status=2&event_types=t0", vec![id(5)]),
        ("event_types=t0", vec![id(5), id(3), id(1)]),
        ("event_types=t0&event_types=t1&limit=2", vec![last, id(5)]),
        ("channel=c", vec![last]),
        ("channel=d", vec![]),
        ("tag=t&expanded_statuses=true", vec![last]),
        ("before=2000-01-01T00:00:00Z", vec![]),
        ("after=2099-01-01T00:00:00Z", vec![]),
        ("after=2000-01-01T00:00:00Z&before=2099-01-01T00:00:00Z&status=3", vec![id(3)]),
    ] {
        assert_eq!(ids(&fixture.list(query).await), expected, "{query}");
    }
    for (query, name) in [
        ("status=5", "status"),
        ("limit=0", "limit"),
        ("iterator=ep_000000000000000000000000000", "iterator"),
        ("channel=%20", "channel"),
        ("tag=:", "tag"),
        ("before=now", "before"),
        ("event_types=,", "event_types"),
        ("with_content=1", "with_content"),
        ("expanded_statuses=1", "expanded_statuses"),
    ] {
        fixture.api.get(&format!("/app/one/endpoint/e/msg?{query}")).await.expect_invalid(&["query", name]);
    }
    for path in ["/app/one/endpoint/none/msg", "/app/none/endpoint/e/msg"] {
        fixture.api.get(path).await.expect_code(404, "not_found");
    }
}

#[tokio::test]
async fn messages_that_do_not_go_there_are_not_listed() {
    let mut fixture = Fixture::new().await;
    let narrow = r#"{"url":"https://example.com/","uid":"narrow","eventTypes":["t1"]}"#;
    fixture.api.post("/app/one/endpoint", narrow).await.expect(201);
    let first = fixture.publish("").await;
    let second = fixture.publish("").await;
    let listed = fixture.api.get("/app/one/endpoint/narrow/msg").await.expect(200);
    assert_eq!(ids(&listed), [first["id"].as_str().expect("an id")]);
    // A resend by hand goes there all the same.
    let resend = format!("/app/one/msg/{}/endpoint/narrow/resend", second["id"].as_str().expect("an id"));
    fixture.api.post(&resend, "").await.expect(202);
    let listed = fixture.api.get("/app/one/endpoint/narrow/msg?status=3").await.expect(200);
    assert_eq!(ids(&listed), [second["id"].as_str().expect("an id")]);
    assert!(listed["data"][0]["nextAttempt"].is_string());
}

#[tokio::test]
async fn messages_of_an_endpoint_are_walked_both_ways_while_others_arrive() {
    let mut fixture = Fixture::new().await;
    let other = fixture.api.post("/app/one/endpoint", r#"{"url":"https://example.com/","eventTypes":["t1"]}"#).await;
    let other = other.expect(201)["id"].as_str().expect("an id").to_owned();
    let mut sent = Vec::new();
    for _ in 0..22 {
        let message = fixture.publish("").await;
        if message["eventType"] == "t1" {
            sent.push(message["id"].as_str().expect("an id").to_owned());
        }
    }
    sent.reverse();
    for limit in [1, 2, 3, 11, 250] {
        let path = format!("/app/one/endpoint/{other}/msg?limit={limit}");
        let (mut seen, mut at, mut page) = (Vec::new(), String::new(), Value::Null);
        while page["done"] != json!(true) {
            page = fixture.api.get(&format!("{path}{at}")).await.expect(200);
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            at = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
            // The newest are behind nobody who came before them.
            fixture.publish("").await;
            fixture.publish("").await;
        }
        assert_eq!(seen, sent, "pages of {limit}");
        let mut back: Vec<String> = ids(&page).into_iter().map(str::to_owned).collect();
        let mut previous = page["prevIterator"].as_str().map(str::to_owned);
        while back.len() < sent.len() {
            let iterator = previous.expect("an iterator");
            let page = fixture.api.get(&format!("{path}&iterator={iterator}")).await.expect(200);
            assert!(!ids(&page).is_empty(), "back from {iterator}");
            let mut rows: Vec<String> = ids(&page).into_iter().map(str::to_owned).collect();
            rows.append(&mut back);
            back = rows;
            previous = page["prevIterator"].as_str().map(str::to_owned);
        }
        // Going back, those that arrived meanwhile come in before the first.
        assert_eq!(back[back.len() - sent.len()..], sent, "back, pages of {limit}");
        (sent, at, page) = (Vec::new(), String::new(), Value::Null);
        // A page may end before it is full where its time is over.
        while page["done"] != json!(true) {
            page = fixture.api.get(&format!("/app/one/endpoint/{other}/msg?limit=250{at}")).await.expect(200);
            sent.extend(ids(&page).into_iter().map(str::to_owned));
            at = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
        }
    }
}

#[tokio::test]
async fn endpoints_of_a_message_say_where_its_deliveries_stand() {
    let mut fixture = Fixture::new().await;
    let mut endpoints = vec![fixture.endpoint.clone()];
    for rest in ["", "", r#","disabled":true"#, r#","eventTypes":["other"]"#] {
        let body = format!(r#"{{"url":"https://example.com/{}","description":"d"{rest}}}"#, endpoints.len());
        endpoints.push(fixture.api.post("/app/one/endpoint", &body).await.expect(201));
    }
    let message = fixture.publish(r#","eventId":"m1""#).await;
    let done = Some(answered(204, b""));
    fixture.settle(&endpoints[0], &message, Taken::Pending, done, Next::Done).await;
    let failed = Some(answered(500, b""));
    fixture.settle(&endpoints[1], &message, Taken::Pending, failed, Next::Retry { due: RETRY_DUE, attempts: 1 }).await;
    let page = fixture.api.get("/app/one/msg/m1/endpoint").await.expect(200);
    let id = |i: usize| endpoints[i]["id"].as_str().expect("an id");
    assert_eq!((ids(&page), &page["done"]), (vec![id(3), id(2), id(1), id(0)], &json!(true)));
    let rows = page["data"].as_array().expect("rows");
    let statuses: Vec<&Value> = rows.iter().map(|row| &row["status"]).collect();
    assert_eq!(statuses, [1, 1, 3, 0]);
    assert_eq!((&rows[0]["heldReason"], &rows[0]["disabled"]), (&json!("endpoint_disabled"), &json!(true)));
    assert_eq!((&rows[1]["heldReason"], &rows[1]["nextAttempt"]), (&Value::Null, &Value::Null));
    assert_eq!(rows[2]["nextAttempt"], "2030-03-17T17:46:40.000Z");
    assert_eq!((&rows[3]["url"], &rows[3]["uid"]), (&json!("https://u:***@example.com/"), &json!("e")));
    for field in ["description", "throttleRate", "eventTypes", "channels", "createdAt", "updatedAt"] {
        assert_eq!(rows[3][field], endpoints[0][field], "{field}");
    }

    let (mut seen, mut at, mut page) = (Vec::new(), String::new(), Value::Null);
    while page["done"] != json!(true) {
        page = fixture.api.get(&format!("/app/one/msg/m1/endpoint?limit=3{at}")).await.expect(200);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        at = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
    }
    assert_eq!(seen, [id(3), id(2), id(1), id(0)]);
    let back = format!("/app/one/msg/m1/endpoint?limit=2&iterator=-{}", id(0));
    assert_eq!(ids(&fixture.api.get(&back).await.expect(200)), [id(2), id(1)]);

    let delete = format!("/app/one/endpoint/{}", id(1));
    fixture.api.call("DELETE", &delete, "").await.expect(204);
    let page = fixture.api.get("/app/one/msg/m1/endpoint").await.expect(200);
    assert_eq!(ids(&page), [id(3), id(2), id(0)]);
    fixture.api.get("/app/one/msg/none/endpoint").await.expect_code(404, "not_found");
    fixture.api.get("/app/none/msg/m1/endpoint").await.expect_code(404, "not_found");
    for (query, name) in [("limit=251", "limit"), ("iterator=msg_000000000000000000000000000", "iterator")] {
        fixture.api.get(&format!("/app/one/msg/m1/endpoint?{query}")).await.expect_invalid(&["query", name]);
    }
}

#[tokio::test]
async fn what_is_resent_stays_what_it_was_until_it_succeeds() {
    let mut fixture = Fixture::new().await;
    let made = fixture.one_of_each().await;
    let app = fixture.api.app("one").await;
    let endpoint = EndpointKey(key(IdKind::Endpoint, &fixture.endpoint));
    for message in &made {
        let message = MessageKey(key(IdKind::Message, message));
        fixture.api.change(Change::Resend { app: app.app.key(), endpoint, message }).await;
    }
    let page = fixture.list("").await;
    let statuses: Vec<&Value> = page["data"].as_array().expect("rows").iter().map(|row| &row["status"]).collect();
    assert_eq!(statuses, [2, 1, 3, 2, 1, 0]);
    assert_eq!(page["data"][2]["nextAttempt"], "2030-03-17T17:46:40.000Z");
}

#[tokio::test]
async fn stats_count_what_became_of_deliveries() {
    let mut fixture = Fixture::new().await;
    fixture.one_of_each().await;
    let stats = "/app/one/endpoint/e/stats";
    let all = json!({ "success": 1, "pending": 2, "sending": 1, "fail": 2, "canceled": 0 });
    let none = json!({ "success": 0, "pending": 0, "sending": 0, "fail": 0, "canceled": 0 });
    assert_eq!(fixture.api.get(stats).await.expect(200), all);
    for (query, expected) in [
        ("since=2001-01-01T00:00:00Z", &all),
        ("since=2001-01-01T00:00:00Z&until=2099-01-01T00:00:00Z", &all),
        ("until=2001-01-01T00:00:00Z", &none),
        ("since=2001-01-01T00:00:00Z&until=2001-01-01T00:00:00Z", &none),
        ("since=0000-01-01T00:00:00Z&until=9999-12-01T00:00:00Z", &all),
    ] {
        assert_eq!(fixture.api.get(&format!("{stats}?{query}")).await.expect(200), *expected, "{query}");
    }
    for (query, name) in [
        ("since=now", "since"),
        ("until=2001", "until"),
        ("since=2001-01-02T00:00:00Z&until=2001-01-01T00:00:00Z", "since"),
        ("since=2999-01-01T00:00:00Z", "since"),
    ] {
        fixture.api.get(&format!("{stats}?{query}")).await.expect_invalid(&["query", name]);
    }
    fixture.api.get("/app/one/endpoint/none/stats").await.expect_code(404, "not_found");
    fixture.api.get("/app/none/endpoint/e/stats").await.expect_code(404, "not_found");
}

#[tokio::test]
async fn the_bytes_of_a_message_are_had_as_text_or_as_they_are() {
    let fixture = Fixture::new().await;
    let api = &fixture.api;
    let payload = r#"{ "b" : 1.50, "a":"\ud800é" }"#;
    let body = format!(r#"{{"eventType":"a","payload":{payload},"eventId":"plain"}}"#);
    api.post("/app/one/msg", &body).await.expect(202);
    let raw = r#"{"rawPayload":"<a>\u0000é</a>","headers":{"Content-Type":"text/html"}}"#;
    let body = format!(r#"{{"eventType":"a","payload":{{}},"eventId":"raw","transformationsParams":{raw}}}"#);
    api.post("/app/one/msg", &body).await.expect(202);

    assert_eq!(api.get("/app/one/msg/plain/raw").await.expect(200), json!({ "payload": payload }));
    assert_eq!(api.get("/app/one/msg/raw/raw").await.expect(200), json!({ "payload": "<a>\0é</a>" }));
    let bytes = [("accept", "application/octet-stream")];
    for (name, expected, content_type) in [("plain", payload, "application/json"), ("raw", "<a>\0é</a>", "text/html")]
    {
        let answer = api.call_with("GET", &format!("/app/one/msg/{name}/raw"), "", &bytes).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, expected.as_bytes()));
        assert_eq!(answer.headers["content-type"], content_type);
        assert_eq!(answer.headers["content-disposition"], "attachment");
        assert_eq!(answer.headers["content-security-policy"], "default-src 'none'; sandbox");
    }
    api.get("/app/one/msg/none/raw").await.expect_code(404, "not_found");
    api.get("/app/none/msg/plain/raw").await.expect_code(404, "not_found");
}
