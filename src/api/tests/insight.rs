//! What came and went, how the server stands, and what is told of an attempt.

use axum::body::Body;
use http::Request;
use posthouse_signature::standard::{SigningKey, sign_all};
use serde_json::{Value, json};

use super::support::{Answer, TestApi, answered};
use crate::api::time::format;
use crate::model::{Outcome, OutcomeKind, Phase, Timings};

/// An application with an endpoint, and messages to it.
async fn published(api: &TestApi, app: &str, count: usize) -> (Value, Vec<Value>) {
    let body = format!(r#"{{"name":"{app}","uid":"{app}"}}"#);
    api.post("/app", &body).await.expect(201);
    let endpoint = api.post(&format!("/app/{app}/endpoint"), r#"{"url":"https://a.example/hook"}"#).await.expect(201);
    let mut messages = Vec::new();
    for _ in 0..count {
        let body = r#"{"eventType":"a.b","payload":{}}"#;
        messages.push(api.post(&format!("/app/{app}/msg"), body).await.expect(202));
    }
    (endpoint, messages)
}

async fn get_with(api: &TestApi, path: &str, key: &str) -> Answer {
    let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {key}"));
    api.send(request.body(Body::empty()).expect("a request")).await
}

fn took(outcome: Outcome, duration_ms: u32) -> Outcome {
    Outcome { duration_ms, ..outcome }
}

fn sum(series: &Value, field: &str) -> u64 {
    series.as_array().expect("a series").iter().map(|bucket| bucket[field].as_u64().expect("a number")).sum()
}

#[tokio::test]
async fn the_overview_counts_what_came_and_went_in_every_period() {
    let api = TestApi::start().await;
    let (endpoint, messages) = published(&api, "a", 4).await;
    for (number, message) in messages.iter().take(3).enumerate() {
        let outcome = if number == 0 { took(answered(500, b""), 900) } else { took(answered(200, b""), 20) };
        api.attempt("a", &endpoint, message, outcome).await;
    }
    for (period, bucket_s, count) in [("1h", 60, 60), ("24h", 900, 96), ("7d", 3_600, 168), ("30d", 14_400, 180)] {
        let got = api.get(&format!("/overview?period={period}")).await.expect(200);
        assert_eq!((&got["period"], &got["bucketS"]), (&period.into(), &bucket_s.into()));
        let series = &got["series"];
        assert_eq!(series.as_array().map(Vec::len), Some(count), "every bucket is there");
        for (field, expected) in [("accepted", 4), ("delivered", 2), ("failed", 1)] {
            assert_eq!((sum(series, field), &got["totals"][field]), (expected, &expected.into()), "{period} {field}");
        }
        let p50 = got["totals"]["p50Ms"].as_f64().expect("there are attempts");
        assert!((20.0..30.0).contains(&p50), "{p50}");
        assert_eq!(series[0]["p50Ms"], Value::Null, "nothing then");
    }
    let now = &api.get("/overview").await.expect(200)["now"];
    assert_eq!((&now["waiting"], &now["failing"], &now["hasMoreWaiting"]), (&1.into(), &0.into(), &false.into()));
    assert!(now["acceptedPerSecond"].as_f64().expect("a rate") > 0.0, "{now}");
    assert_eq!(now["oldestDueAt"], Value::Null, "nobody dispatches in this test");
    api.get("/overview?period=2h").await.expect_invalid(&["query", "period"]);
}

#[tokio::test]
async fn an_environment_sees_its_own_only() {
    let api = TestApi::start().await;
    published(&api, "a", 3).await;
    api.environment("other", "other_key").await;
    let got = get_with(&api, "/overview", "other_key").await.expect(200);
    assert_eq!((&got["totals"]["accepted"], &got["now"]["waiting"]), (&0.into(), &0.into()));
    let system = get_with(&api, "/system", "other_key").await.expect(200);
    assert_eq!(system["queue"], json!([]));
    assert_eq!(api.get("/system").await.expect(200)["queue"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_system_says_what_is_cheap_to_know() {
    let api = TestApi::start().await;
    let (endpoint, _) = published(&api, "a", 2).await;
    let got = api.get("/system").await.expect(200);
    assert_eq!(got["version"], env!("CARGO_PKG_VERSION"));
    assert!(["sqlite", "postgres"].contains(&got["engine"].as_str().expect("a name")), "{got}");
    assert!(got["store"]["bytes"].as_u64().expect("bytes") > 0, "{got}");
    assert_eq!(got["slots"]["total"], 256);
    assert_eq!(got["journal"]["state"], "good");
    assert!(got["journal"]["commitsPerSecond"].as_f64().expect("a rate") > 0.0, "{got}");
    let row = &got["queue"][0];
    assert_eq!((&row["endpointId"], &row["byAge"][0]), (&endpoint["id"], &2.into()));
    assert_eq!(row["url"], "https://a.example/hook");
    assert!(!got["nodes"].as_array().expect("nodes").is_empty());
}

#[tokio::test]
async fn an_attempt_says_where_its_time_went() {
    let api = TestApi::start().await;
    let (endpoint, messages) = published(&api, "a", 1).await;
    let mut timings = Timings::default();
    for (phase, ms) in [(Phase::Dns, 2), (Phase::Connect, 3), (Phase::Tls, 0), (Phase::FirstByte, 14_000)] {
        timings.set(phase, ms);
    }
    let outcome =
        Outcome { timings, ..Outcome::without_answer(OutcomeKind::Timeout, api.gateway.clock.now_ms(), 14_005) };
    api.attempt("a", &endpoint, &messages[0], outcome).await;
    let id = messages[0]["id"].as_str().expect("an id");
    let listed = &api.get(&format!("/app/a/attempt/msg/{id}")).await.expect(200)["data"][0];
    let one = api.get(&format!("/app/a/msg/{id}/attempt/{}", listed["id"].as_str().expect("an id"))).await.expect(200);
    for attempt in [listed, &one] {
        assert_eq!(attempt["outcome"], "timeout");
        assert_eq!(attempt["nextAttempt"], Value::Null, "it was the last");
        let expected = json!({
            "dnsMs": 2, "connectMs": 3, "tlsMs": 0, "firstByteMs": 14_000, "bodyMs": null,
        });
        assert_eq!(attempt["timings"], expected);
    }
}

#[tokio::test]
async fn the_headers_of_an_attempt_are_made_again_and_those_of_the_answer_are_kept() {
    let api = TestApi::start().await;
    let (endpoint, messages) = published(&api, "a", 1).await;
    let at = format!("/app/a/endpoint/{}", endpoint["id"].as_str().expect("an id"));
    api.call("PUT", &format!("{at}/headers"), r#"{"headers":{"x-one":"1","x-api-key":"hidden"}}"#).await.expect(204);
    let kept = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![kept("server", "<b>"), kept("set-cookie", ""), kept("set-cookie", "")];
    let failure = Outcome { headers, started_at: 1_700_000_000_123, ..answered(500, b"no") };
    api.attempt("a", &endpoint, &messages[0], failure).await;
    let message = messages[0]["id"].as_str().expect("an id");
    let listed = api.get(&format!("/app/a/attempt/msg/{message}")).await.expect(200);
    let attempt = format!("/app/a/msg/{message}/attempt/{}", listed["data"][0]["id"].as_str().expect("an id"));
    let got = api.get(&format!("{attempt}/headers")).await.expect(200);
    let sent = &got["sentHeaders"];
    assert_eq!((&sent["webhook-id"], &sent["webhook-timestamp"]), (&message.into(), &"1700000000".into()));
    assert_eq!((&sent["host"], &sent["content-length"]), (&"a.example".into(), &"2".into()));
    assert_eq!((&sent["x-one"], &sent["x-api-key"]), (&"1".into(), &"***".into()));
    let secret = api.get(&format!("{at}/secret")).await.expect(200)["key"].as_str().expect("a secret").to_owned();
    let key = SigningKey::parse(&secret).expect("a key");
    let expected = sign_all([&key], message, 1_700_000_000, b"{}");
    assert_eq!(sent["webhook-signature"], expected, "the same code signs");
    assert_eq!(got["sensitive"], json!(["set-cookie", "x-api-key"]));
    assert_eq!(got["responseHeaders"], json!([["server", "<b>"], ["set-cookie", "***"], ["set-cookie", "***"]]));
    assert_eq!(got["rebuilt"], true);
    assert!(got["endpointChangedAt"].is_string(), "its headers were set after the time of the attempt");

    let token = api.post("/auth/app-portal-access/a", r#"{"capabilities":["ViewBase"]}"#).await.expect(200);
    let token = token["token"].as_str().expect("a token");
    let masked = get_with(&api, &format!("{attempt}/headers"), token).await.expect(200);
    assert_eq!(masked["sentHeaders"]["webhook-signature"], "***");
    assert_eq!(masked["sensitive"], json!(["set-cookie", "webhook-signature", "x-api-key"]));

    api.call("DELETE", &format!("/app/a/msg/{message}/content"), "").await.expect(204);
    let gone = api.get(&format!("{attempt}/headers")).await.expect(200);
    assert_eq!(gone["sentHeaders"]["webhook-signature"], Value::Null, "there is nothing to sign any more");
    api.call("DELETE", &format!("{attempt}/content"), "").await.expect(204);
    let emptied = api.get(&format!("{attempt}/headers")).await.expect(200);
    assert_eq!(emptied["responseHeaders"], Value::Null, "they go with the answer");
    api.call("DELETE", &at, "").await.expect(204);
    let homeless = api.get(&format!("{attempt}/headers")).await.expect(200);
    assert_eq!((&homeless["rebuilt"], &homeless["sentHeaders"]), (&false.into(), &json!({})));
}

#[tokio::test]
async fn attempts_of_an_application_are_counted_by_type_and_by_time() {
    let api = TestApi::start().await;
    let (endpoint, messages) = published(&api, "a", 3).await;
    let other = api.post("/app/a/msg", r#"{"eventType":"c.d","payload":{}}"#).await.expect(202);
    for message in &messages {
        api.attempt("a", &endpoint, message, answered(200, b"")).await;
    }
    api.attempt("a", &endpoint, &other, answered(500, b"")).await;
    let span = "since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z";
    let got = api.get(&format!("/app/a/stats/attempts?{span}")).await.expect(200);
    let expected = json!({
        "a.b": { "success": 3, "failure": 0, "canceled": 0 }, "c.d": { "success": 0, "failure": 1, "canceled": 0 },
    });
    assert_eq!((&got["by_event_type"], &got["total_success"]), (&expected, &3.into()));
    assert_eq!(got["since"], "2020-01-01T00:00:00.000Z", "all of it was counted");
    let some = api.get(&format!("/app/a/stats/attempts?{span}&event_types=c.d")).await.expect(200);
    assert_eq!((&some["total_success"], &some["total_failure"]), (&0.into(), &1.into()));
    api.get("/app/a/stats/attempts?since=2020-01-01T00:00:00Z").await.expect_invalid(&["query", "until"]);

    for (period, buckets) in [("FiveMinutes", 289), ("OneHour", 25), ("OneDay", 2)] {
        let got = api.get(&format!("/stats/app/a/attempt?period={period}")).await.expect(200);
        let count = |name: &str| -> Vec<u64> {
            let all = got["data"][name].as_array().expect("counts");
            all.iter().map(|count| count.as_u64().expect("a number")).collect()
        };
        assert_eq!(count("successCount").len(), buckets, "{period}");
        assert_eq!(count("successCount").iter().sum::<u64>(), 3, "{period}");
        assert_eq!(count("failureCount").iter().sum::<u64>(), 1, "{period}");
    }
    let some = api.get("/stats/app/a/attempt?event_types=c.d").await.expect(200);
    assert!(some["data"]["successCount"].as_array().expect("counts").iter().all(|count| *count == 0));
    // Very many hours of endpoints are not summed up in one reading, and it is said.
    for i in 0..4 {
        let body = format!(r#"{{"url":"https://example.com/{i}"}}"#);
        api.post("/app/a/endpoint", &body).await.expect(201);
    }
    let first_day = api.gateway.clock.now_ms() / 86_400_000 - 1_900;
    let of_day = |day: i64| String::from_utf8_lossy(&format(day * 86_400_000)).into_owned();
    let asked = of_day(first_day);
    let long = format!("/stats/app/a/attempt?period=OneDay&startDate={asked}");
    assert_eq!(api.get(&long).await.expect(200)["startDate"], asked, "nothing is that old");
    let hour = (first_day + 1) * 24;
    let old = "INSERT INTO endpoint_hour (hour, endpoint, success, failure) SELECT HOUR, min(key), 5, 5 FROM endpoint";
    assert_eq!(api.kept.execute(&old.replace("HOUR", &hour.to_string())), 1);
    let got = api.get(&long).await.expect(200);
    let start = got["startDate"].as_str().expect("a time");
    assert!(*start > *of_day(first_day + 2), "{start}");
    let all: Vec<u64> = serde_json::from_value(got["data"]["successCount"].clone()).expect("numbers");
    assert_eq!(all.iter().sum::<u64>(), 3, "the newest are counted");

    let wide = "/stats/app/a/attempt?period=FiveMinutes&startDate=2020-01-01T00:00:00Z";
    api.get(wide).await.expect_invalid(&["query", "startDate"]);
}

#[tokio::test]
async fn endpoints_and_active_applications_are_counted() {
    let api = TestApi::start().await;
    published(&api, "a", 0).await;
    published(&api, "b", 0).await;
    api.post("/app", r#"{"name":"none"}"#).await.expect(201);
    let off = r#"{"url":"https://b.example/","disabled":true}"#;
    api.post("/app/a/endpoint", off).await.expect(201);
    api.post("/app", r#"{"name":"c","uid":"c"}"#).await.expect(201);
    api.post("/app/c/endpoint", off).await.expect(201);
    api.post("/app", r#"{"name":"d","uid":"d"}"#).await.expect(201);
    api.post("/app/d/endpoint", r#"{"url":"https://play.svix.com/in/x"}"#).await.expect(201);
    let endpoints = |path: &'static str| api.get(path);
    assert_eq!(endpoints("/stats/endpoint/count").await.expect(200), json!({ "active": 2, "disabled": 2 }));
    let all = endpoints("/stats/endpoint/count?exclude_svix_play=false").await.expect(200);
    assert_eq!(all, json!({ "active": 3, "disabled": 2 }));
    assert_eq!(endpoints("/app/stats/count-active").await.expect(200), json!({ "count": 2 }));
    let all = endpoints("/app/stats/count-active?exclude_disabled=false&exclude_svix_play=false").await.expect(200);
    assert_eq!(all, json!({ "count": 4 }));
}
