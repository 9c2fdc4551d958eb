//! What came and went, how the server stands, and what is told of an attempt.

use axum::body::Body;
use http::Request;
use serde_json::Value;

use super::support::{Answer, TestApi, answered};
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
    assert_eq!(system["queue"], serde_json::json!([]));
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
        let expected = serde_json::json!({
            "dnsMs": 2, "connectMs": 3, "tlsMs": 0, "firstByteMs": 14_000, "bodyMs": null,
        });
        assert_eq!(attempt["timings"], expected);
    }
}
