//! Signing in and out, keys with scopes, environments, and what pages of other origins may.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::support::{Answer, KEY, TestApi};
use crate::accept::sign_in;
use crate::model::{EnvKey, IdKind, Scope};
use crate::store::command::{AccessChange, Change};

const ORIGIN: (&str, &str) = ("origin", "http://posthouse.test");
const HOST: (&str, &str) = ("host", "posthouse.test");

/// A call without the key.
async fn bare(api: &TestApi, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request.body(Body::from(body.to_owned())).expect("a request")).await
}

async fn with_key(api: &TestApi, key: &str, method: &str, path: &str, body: &str) -> Answer {
    bare(api, method, path, &[("authorization", &format!("Bearer {key}"))], body).await
}

/// Signs in; the cookie as a browser sends it.
async fn sign_in(api: &TestApi, body: &Value) -> String {
    let answer = bare(api, "POST", "/auth/session", &[HOST, ORIGIN], &body.to_string()).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=604800"), "{cookie}");
    cookie.split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn a_session_stands_in_for_its_key_until_it_is_closed() {
    let api = TestApi::start().await;
    let cookie = sign_in(&api, &json!({ "key": KEY })).await;
    let sent = [HOST, ORIGIN, ("cookie", &*cookie)];
    let seen = bare(&api, "GET", "/auth/session", &sent, "").await.expect(200);
    assert_eq!((&seen["kind"], &seen["scopes"]), (&json!("session"), &json!(["full"])));
    assert_eq!(seen["environments"][0]["id"], seen["envId"]);
    assert!(seen["expiresAt"].is_string());
    bare(&api, "POST", "/app", &sent, r#"{"name":"a","uid":"a"}"#).await.expect(201);
    bare(&api, "GET", "/app/a", &[("cookie", &cookie)], "").await.expect(200);
    let key = api.get("/auth/session").await.expect(200);
    assert_eq!((&key["kind"], &key["expiresAt"]), (&json!("key"), &Value::Null));

    let out = bare(&api, "DELETE", "/auth/session", &sent, "").await;
    assert_eq!(out.status, 204);
    assert!(out.headers["set-cookie"].to_str().expect("text").contains("posthouse_session=; "));
    bare(&api, "GET", "/app/a", &sent, "").await.expect_code(401, "authentication_failed");
    bare(&api, "DELETE", "/auth/session", &sent, "").await.expect_code(401, "authentication_failed");
    api.get("/app/a").await.expect(200);
}

#[tokio::test]
async fn what_another_site_posts_with_the_cookie_changes_nothing() {
    let api = TestApi::start().await;
    let cookie = sign_in(&api, &json!({ "key": KEY })).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = r#"{"name":"forged","uid":"forged"}"#;
    for origin in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://posthouse.test.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[],
    ] {
        let mut sent = vec![HOST, form, ("cookie", &*cookie)];
        sent.extend(origin);
        bare(&api, "POST", "/app", &sent, body).await.expect_code(403, "permission_denied");
        bare(&api, "DELETE", "/auth/session", &sent, "").await.expect_code(403, "permission_denied");
    }
    api.get("/app/forged").await.expect(404);
    // Nor does it sign anybody in.
    let login = json!({ "key": KEY }).to_string();
    let foreign = [HOST, form, ("origin", "http://evil.example")];
    let refused = bare(&api, "POST", "/auth/session", &foreign, &login).await;
    assert!(!refused.headers.contains_key("set-cookie"));
    refused.expect_code(403, "permission_denied");
    let own = [HOST, ("sec-fetch-site", "same-origin"), ("cookie", &*cookie)];
    bare(&api, "POST", "/app", &own, body).await.expect(201);
    // A key in a header is nobody's cookie.
    let keyed = [HOST, ("origin", "http://evil.example"), ("authorization", "Bearer test_key"), ("cookie", &*cookie)];
    bare(&api, "DELETE", "/app/forged", &keyed, "").await.expect(204);
}

#[tokio::test]
async fn nothing_wrong_signs_in() {
    let api = TestApi::start().await;
    let link = api.one_time_token().await;
    let cookie = sign_in(&api, &json!({ "key": KEY })).await;
    let session = cookie.strip_prefix("posthouse_session=").expect("a token");
    let over = "pho_over";
    let env = EnvKey(api.kept.numbers("SELECT key FROM environment")[0][0]);
    api.change(Change::Access(AccessChange::CreateOneTimeToken { env, hash: sign_in::hash(over), lifetime_ms: 0 }))
        .await;
    for body in [
        json!({ "key": "wrong" }),
        json!({ "key": link }),
        json!({ "key": session }),
        json!({ "oneTimeToken": KEY }),
        json!({ "oneTimeToken": session }),
        json!({ "oneTimeToken": over }),
        json!({ "oneTimeToken": "pho_unknown" }),
    ] {
        let answer = bare(&api, "POST", "/auth/session", &[HOST, ORIGIN], &body.to_string()).await;
        assert!(!answer.headers.contains_key("set-cookie"), "{body}");
        answer.expect_code(401, "authentication_failed");
    }
    let post = async |body: &str| bare(&api, "POST", "/auth/session", &[HOST, ORIGIN], body).await;
    post("{}").await.expect_invalid(&["body", "key"]);
    post(r#"{"key":7}"#).await.expect_invalid(&["body", "key"]);
    post(r#"{"key":"a","oneTimeToken":"b"}"#).await.expect_invalid(&["body", "oneTimeToken"]);
    for token in [over, KEY, &*link] {
        with_key(&api, token, "GET", "/app", "").await.expect(if token == KEY { 200 } else { 401 });
    }
}

#[tokio::test]
async fn a_one_time_token_works_once_also_for_two_at_once() {
    let api = TestApi::start().await;
    for _ in 0..10 {
        let body = json!({ "oneTimeToken": api.one_time_token().await }).to_string();
        let one = || bare(&api, "POST", "/auth/session", &[HOST, ORIGIN], &body);
        let (a, b, c) = tokio::join!(one(), one(), bare(&api, "POST", "/auth/one-time-token", &[], &body));
        let mut statuses = [a.status.as_u16(), b.status.as_u16(), c.status.as_u16()];
        statuses.sort_unstable();
        assert!(matches!(statuses, [200 | 204, 401, 401]), "{statuses:?}");
        one().await.expect_code(401, "authentication_failed");
    }
    let body = json!({ "oneTimeToken": api.one_time_token().await }).to_string();
    let got = bare(&api, "POST", "/auth/one-time-token", &[], &body).await.expect(200);
    assert_eq!(got["capabilities"].as_array().expect("capabilities").len(), 6);
    let token = got["token"].as_str().expect("a token");
    let seen = with_key(&api, token, "GET", "/auth/session", "").await.expect(200);
    assert_eq!((&seen["kind"], &seen["scopes"]), (&json!("session"), &json!(["operator"])));
    with_key(&api, token, "POST", "/app", r#"{"name":"by bearer"}"#).await.expect(201);
}

#[tokio::test]
async fn a_session_ends_with_its_key_and_changes_with_it() {
    let api = TestApi::start().await;
    let id = api.key("other_key", &[Scope::Full]).await;
    let cookie = sign_in(&api, &json!({ "key": "other_key" })).await;
    let sent = [HOST, ORIGIN, ("cookie", &*cookie)];
    bare(&api, "GET", "/app", &sent, "").await.expect(200);
    let env = api.get("/auth/session").await.expect(200)["envId"].as_str().expect("an id").to_owned();
    let path = format!("/management/authentication/{env}/api-token/{}", id.format(IdKind::ApiKey));
    api.call("PATCH", &path, r#"{"scopes":["read"]}"#).await.expect(200);
    bare(&api, "GET", "/app", &sent, "").await.expect(200);
    bare(&api, "POST", "/app", &sent, r#"{"name":"a"}"#).await.expect_code(403, "permission_denied");
    api.post(&format!("{path}/expire"), r#"{"expiry":3600}"#).await.expect(204);
    bare(&api, "GET", "/app", &sent, "").await.expect(200);
    let ends = bare(&api, "GET", "/auth/session", &sent, "").await.expect(200)["expiresAt"].clone();
    assert_eq!(api.get(&path).await.expect(200)["expiresAt"], ends);
    api.post(&format!("{path}/expire"), "{}").await.expect(204);
    bare(&api, "GET", "/app", &sent, "").await.expect_code(401, "authentication_failed");
    with_key(&api, "other_key", "GET", "/app", "").await.expect_code(401, "authentication_failed");
    let body = json!({ "key": "other_key" }).to_string();
    bare(&api, "POST", "/auth/session", &[HOST, ORIGIN], &body).await.expect_code(401, "authentication_failed");
}

#[tokio::test]
async fn sessions_are_swept_and_bounded() {
    let api = TestApi::start().await;
    let env = EnvKey(api.kept.numbers("SELECT key FROM environment")[0][0]);
    let count = || api.kept.numbers("SELECT count(*) FROM session")[0][0];
    for i in 0..5 {
        let hash = sign_in::hash(&format!("over {i}"));
        api.change(Change::Access(AccessChange::CreateOneTimeToken { env, hash, lifetime_ms: -1 })).await;
    }
    api.one_time_token().await;
    assert_eq!(count(), 1, "those that were over are gone");
    for i in 0..1_100 {
        let hash = sign_in::hash(&format!("{i}"));
        api.change(Change::Access(AccessChange::CreateOneTimeToken { env, hash, lifetime_ms: 60_000 })).await;
    }
    assert_eq!(count(), 1_000);
}

#[tokio::test]
async fn the_cookie_is_secure_where_the_server_is_reached_by_https() {
    let api = TestApi::at("https://hooks.example.com/base", &[]).await;
    let origin = ("origin", "https://hooks.example.com");
    let body = json!({ "key": KEY }).to_string();
    let answer = bare(&api, "POST", "/auth/session", &[HOST, origin], &body).await;
    assert_eq!(answer.status, 204);
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    let rest = "; HttpOnly; SameSite=Strict; Path=/; Max-Age=604800; Secure";
    let pair = cookie.strip_suffix(rest).expect("no domain");
    let token = pair.strip_prefix("__Host-posthouse_session=").expect("a name that only this host can set");
    let plain = format!("posthouse_session={token}");
    bare(&api, "GET", "/auth/session", &[("cookie", &plain)], "").await.expect_code(401, "authentication_failed");
    bare(&api, "GET", "/auth/session", &[("cookie", pair)], "").await.expect(200);
    let both = format!("posthouse_session=phs_planted; {pair}");
    let out = bare(&api, "DELETE", "/auth/session", &[HOST, origin, ("cookie", &both)], "").await;
    assert!(out.headers["set-cookie"].to_str().expect("text").starts_with("__Host-posthouse_session=; "));
    bare(&api, "GET", "/auth/session", &[("cookie", pair)], "").await.expect_code(401, "authentication_failed");
    let link = api.gateway.sign_in_link(EnvKey(api.kept.numbers("SELECT key FROM environment")[0][0])).await;
    assert!(link.expect("a link").starts_with("https://hooks.example.com/base/login#token=pho_"));
}

#[tokio::test]
async fn signing_in_counts_as_a_request_of_the_key() {
    let api = TestApi::with_quota(3).await;
    let body = json!({ "key": KEY }).to_string();
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(bare(&api, "POST", "/auth/session", &[HOST, ORIGIN], &body).await.status.as_u16());
    }
    assert_eq!(statuses[..3], [204; 3]);
    let signed_in = statuses.iter().filter(|status| **status == 204).count() as u64;
    assert!(statuses.contains(&429) && statuses.iter().all(|status| matches!(status, 204 | 429)), "{statuses:?}");
    assert_eq!(api.kept.numbers("SELECT count(*) FROM session"), [[signed_in as i64]]);
}

#[tokio::test]
async fn keys_are_managed_and_shown_once() {
    let api = TestApi::start().await;
    let env = api.get("/auth/session").await.expect(200)["envId"].as_str().expect("an id").to_owned();
    let base = format!("/management/authentication/{env}/api-token");
    let made = api.post(&base, r#"{"name":"billing","scopes":["publish"]}"#).await.expect(200);
    let (token, id) = (made["token"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    let path = format!("{base}/{id}");
    let shown = api.get(&path).await.expect(200);
    assert_eq!((&shown["name"], &shown["scopes"]), (&json!("billing"), &json!(["publish"])));
    assert_eq!(shown["censoredToken"], format!("phk_…{}", &token[token.len() - 4..]));
    assert_eq!(shown["lastUsedAt"], Value::Null);
    assert!(!api.get(&base).await.expect(200).to_string().contains(token));

    with_key(&api, token, "POST", "/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    with_key(&api, token, "POST", "/app/a/msg", r#"{"eventType":"e","payload":{}}"#).await.expect(202);
    with_key(&api, token, "GET", "/app/a", "").await.expect(200);
    with_key(&api, token, "GET", "/app", "").await.expect_code(403, "permission_denied");
    with_key(&api, token, "DELETE", "/app/a", "").await.expect_code(403, "permission_denied");
    assert!(api.get(&path).await.expect(200)["lastUsedAt"].is_string());
    assert_eq!(api.kept.numbers("SELECT count(*) FROM api_key WHERE last_used_at IS NOT NULL"), [[0]]);
    api.gateway.key_use.write(&api.gateway).await;
    assert_eq!(api.kept.numbers("SELECT count(*) FROM api_key WHERE last_used_at IS NOT NULL"), [[2]]);

    let renamed = api.call("PUT", &path, r#"{"name":"new"}"#).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["scopes"]), (&json!("new"), &json!(["publish"])));
    let changed = api.call("PUT", &path, r#"{"name":"new","scopes":["read"]}"#).await.expect(200);
    assert_eq!(changed["scopes"], json!(["read"]));
    with_key(&api, token, "POST", "/app", r#"{"name":"b"}"#).await.expect_code(403, "permission_denied");
    let higher = r#"{"name":"new","scopes":["operator"]}"#;
    api.call("PUT", &path, higher).await.expect_code(403, "permission_denied");
    let patched = api.call("PATCH", &path, r#"{"scopes":["read","publish"]}"#).await.expect(200);
    assert_eq!(patched["scopes"], json!(["read", "publish"]));
    with_key(&api, token, "GET", "/app", "").await.expect(200);
    api.post(&format!("{path}/expire"), "{}").await.expect(204);
    with_key(&api, token, "GET", "/app", "").await.expect_code(401, "authentication_failed");
    let left = api.get(&base).await.expect(200);
    assert_eq!(left["data"].as_array().expect("rows").len(), 1, "{left}");

    for (body, loc) in [
        (r#"{"name":""}"#, &["body", "name"][..]),
        ("{}", &["body", "name"]),
        (r#"{"name":"a","scopes":[]}"#, &["body", "scopes"]),
        (r#"{"name":"a","scopes":["all"]}"#, &["body", "scopes"]),
        (r#"{"name":"a","scopes":["read","read"]}"#, &["body", "scopes"]),
    ] {
        api.post(&base, body).await.expect_invalid(loc);
    }
    api.post(&format!("{path}/expire"), r#"{"expiry":259201}"#).await.expect_invalid(&["body", "expiry"]);
    api.get(&format!("{base}/nonsense")).await.expect_invalid(&["path", "key_id"]);
    api.get("/management/authentication/nonsense/api-token").await.expect_invalid(&["path", "env_id"]);
}

#[tokio::test]
async fn nobody_makes_a_key_that_may_more_than_his_own() {
    let api = TestApi::start().await;
    let operator = api.key("operator_key", &[Scope::Operator]).await.format(IdKind::ApiKey);
    let env = api.get("/auth/session").await.expect(200)["envId"].as_str().expect("an id").to_owned();
    let base = format!("/management/authentication/{env}/api-token");
    let own = api.post(&base, r#"{"name":"own"}"#).await.expect(200)["id"].as_str().expect("an id").to_owned();
    let wanted = r#"{"name":"more","scopes":["operator"]}"#;
    api.post(&base, wanted).await.expect_code(403, "permission_denied");
    api.call("PATCH", &format!("{base}/{own}"), wanted).await.expect_code(403, "permission_denied");
    api.call("PUT", &format!("{base}/{operator}"), r#"{"name":"x"}"#).await.expect_code(403, "permission_denied");
    api.post(&format!("{base}/{operator}/expire"), "{}").await.expect_code(403, "permission_denied");
    with_key(&api, "operator_key", "POST", &base, wanted).await.expect(200);
    // Of others' environments a full key sees nothing.
    let other = api.environment("other", "other_key").await;
    let other = api.kept.numbers(&format!("SELECT key FROM api_key WHERE env = {}", other.0));
    assert_eq!(other.len(), 1);
    let theirs = with_key(&api, "other_key", "GET", "/auth/session", "").await.expect(200)["envId"].clone();
    let theirs = theirs.as_str().expect("an id");
    api.get(&format!("/management/authentication/{theirs}/api-token")).await.expect(404);
    api.post(&format!("/management/authentication/{theirs}/api-token"), r#"{"name":"x"}"#).await.expect(404);
    with_key(&api, "operator_key", "GET", &format!("/management/authentication/{theirs}/api-token"), "")
        .await
        .expect(200);
}

#[tokio::test]
async fn operators_have_every_environment() {
    let api = TestApi::start().await;
    api.key("operator_key", &[Scope::Operator]).await;
    let operator = async |method: &str, path: &str, body: &str, env: Option<&str>| {
        let mut headers = vec![("authorization", "Bearer operator_key")];
        headers.extend(env.map(|env| ("posthouse-environment", env)));
        bare(&api, method, path, &headers, body).await
    };
    let body = r#"{"name":"second","type":"development"}"#;
    api.post("/management/environment", body).await.expect_code(403, "permission_denied");
    let made = operator("POST", "/management/environment", body, None).await.expect(201);
    let id = made["id"].as_str().expect("an id");
    assert_eq!((&made["region"], &made["type"]), (&json!("self-hosted"), &json!("development")));
    operator("POST", "/management/environment", body, None).await.expect_code(409, "conflict");
    operator("POST", "/app", r#"{"name":"a","uid":"a"}"#, Some(id)).await.expect(201);
    operator("GET", "/app/a", "", Some(id)).await.expect(200);
    operator("GET", "/app/a", "", None).await.expect(404);
    assert_eq!(operator("GET", "/auth/session", "", Some(id)).await.expect(200)["envId"], id);
    operator("GET", "/app", "", Some("nonsense")).await.expect_code(403, "permission_denied");
    operator("GET", "/app", "", Some("second")).await.expect_code(403, "permission_denied");
    let other = [("posthouse-environment", id)];
    api.call_with("GET", "/app", "", &other).await.expect_code(403, "permission_denied");
    let own = api.get("/auth/session").await.expect(200)["envId"].as_str().expect("an id").to_owned();
    api.call_with("GET", "/app", "", &[("posthouse-environment", &own)]).await.expect(200);

    let all = operator("GET", "/management/environment", "", None).await.expect(200);
    assert_eq!(all["data"].as_array().expect("rows").len(), 2);
    let seen = api.get("/management/environment").await.expect(200);
    assert_eq!(seen["data"].as_array().expect("rows").len(), 1);
    let path = format!("/management/environment/{id}");
    api.get(&path).await.expect(404);
    api.get(&format!("/management/environment/{own}")).await.expect(200);
    let renamed = operator("PUT", &path, r#"{"name":"renamed"}"#, None).await.expect(200);
    assert_eq!(renamed["name"], "renamed");
    let kind = renamed["type"].as_str().expect("a type");
    let other = if kind == "production" { "development" } else { "production" };
    let put =
        async |kind: &str| operator("PUT", &path, &format!(r#"{{"name":"renamed","type":"{kind}"}}"#), None).await;
    assert_eq!(put(kind).await.expect(200)["type"], kind);
    put(other).await.expect_invalid(&["body", "type"]);
    put("other").await.expect_invalid(&["body", "type"]);
    operator("PUT", &path, r#"{"name":"test"}"#, None).await.expect_code(409, "conflict");
    operator("DELETE", &format!("/management/environment/{own}"), "", None).await.expect_code(409, "conflict");
    let counted = "INSERT INTO traffic (env, width, bucket, accepted, delivered, failed, latencies)
         SELECT key, 60, 1, 1, 0, 0, latencies FROM environment CROSS JOIN (SELECT hash AS latencies FROM api_key LIMIT 1) AS taken";
    assert_eq!(api.kept.execute(counted), 2);
    operator("DELETE", &path, "", None).await.expect(204);
    assert_eq!(api.kept.numbers("SELECT count(*) FROM traffic"), [[1]], "counts of the other environment");
    operator("GET", &path, "", None).await.expect(404);
    operator("GET", "/app/a", "", Some(id)).await.expect_code(403, "permission_denied");
    assert_eq!(api.kept.numbers("SELECT count(*) FROM application WHERE kind = 0"), [[0]]);
}

#[tokio::test]
async fn portal_tokens_end_together_or_by_their_session() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    let give = async |session: &str| {
        let body = json!({ "sessionId": session, "capabilities": ["ViewBase"], "featureFlags": ["beta"] }).to_string();
        let given = api.post("/auth/app-portal-access/a", &body).await.expect(200);
        given["token"].as_str().expect("a token").to_owned()
    };
    let (first, second, third) = (give("one").await, give("two").await, give("three").await);
    let seen = with_key(&api, &first, "GET", "/auth/whoami", "").await.expect(200);
    assert_eq!((&seen["sessionId"], &seen["capabilities"]), (&json!("one"), &json!(["ViewBase"])));
    assert!(seen["appId"].is_string() && seen["expiresAt"].is_string());
    assert_eq!(seen["featureFlags"], json!(["beta"]));
    let key = api.get("/auth/whoami").await.expect(200);
    assert_eq!((&key["permissionSource"], &key["featureFlags"]), (&json!("RegionalAuthToken"), &Value::Null));
    api.post("/auth/app/a/expire-all", r#"{"sessionIds":["one","nobody"]}"#).await.expect(204);
    with_key(&api, &first, "GET", "/app/a", "").await.expect(401);
    with_key(&api, &second, "GET", "/app/a", "").await.expect(200);
    api.post("/auth/app/a/expire-all", r#"{"expiry":60}"#).await.expect(204);
    with_key(&api, &second, "GET", "/app/a", "").await.expect(200);
    api.post("/auth/app/a/expire-all", "{}").await.expect(204);
    for token in [second, third] {
        with_key(&api, &token, "GET", "/app/a", "").await.expect(401);
    }
    api.post("/auth/app/nobody/expire-all", "{}").await.expect(404);
    api.post("/auth/app/a/expire-all", r#"{"expiry":-1}"#).await.expect(422);
}

#[tokio::test]
async fn the_portals_look_is_kept_and_shown_to_it() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    let token = api.post("/auth/app-portal-access/a", "{}").await.expect(200)["token"].clone();
    let token = token.as_str().expect("a token");
    let look = json!({
        "displayName": "Acme", "customLogoUrl": "https://acme.example/logo.svg", "customColor": "#336699",
        "customFontFamily": "Open Sans", "customThemeOverride": { "borderRadius": { "button": "lg", "card": null } },
        "colorPaletteLight": { "primary": "#112233" }, "colorPaletteDark": { "primary": "#aabbcc" },
    });
    let path = "/management/environment-settings";
    let stored = api.call("PATCH", path, look.to_string()).await.expect(200);
    assert_eq!(stored["customThemeOverride"], json!({ "borderRadius": { "button": "lg" } }));
    let seen = with_key(&api, token, "GET", "/environment/settings", "").await.expect(200);
    for name in ["displayName", "customLogoUrl", "customColor", "customFontFamily", "colorPaletteDark"] {
        assert_eq!(seen[name], look[name], "{name}");
    }
    assert!(seen.get("retryPolicy").is_none());
    let endpoint = r#"{"url":"https://example.com/"}"#;
    with_key(&api, token, "POST", "/app/a/endpoint", endpoint).await.expect(201);
    api.call("PATCH", path, r#"{"readOnly":true}"#).await.expect(200);
    with_key(&api, token, "POST", "/app/a/endpoint", endpoint).await.expect_code(403, "permission_denied");
    with_key(&api, token, "GET", "/app/a/endpoint", "").await.expect(200);
    let seen = with_key(&api, token, "GET", "/auth/whoami", "").await.expect(200);
    assert_eq!(seen["capabilities"], json!(["ViewBase", "ViewEndpointSecret"]));
    api.post("/app/a/endpoint", endpoint).await.expect(201);
    let reset = api.call("PUT", path, "{}").await.expect(200);
    assert_eq!((&reset["displayName"], &reset["readOnly"]), (&Value::Null, &json!(false)));
    for (body, field) in [
        (r#"{"customColor":"red"}"#, "customColor"),
        (r#"{"customLogoUrl":"javascript:alert(1)"}"#, "customLogoUrl"),
        (r#"{"customFontFamily":"a;b"}"#, "customFontFamily"),
        (r#"{"displayName":""}"#, "displayName"),
        (r#"{"colorPaletteLight":7}"#, "colorPaletteLight"),
        (r##"{"colorPaletteDark":{"primary":"#111","primary":"#222"}}"##, "colorPaletteDark"),
        (r#"{"customThemeOverride":{"borderRadius":{"card":"sm","card":"lg"}}}"#, "customThemeOverride"),
        (r#"{"customThemeOverride":{"borderRadius":"sm"}}"#, "customThemeOverride"),
        (r#"{"customThemeOverride":{"other":1e400}}"#, "customThemeOverride"),
    ] {
        api.call("PATCH", path, body).await.expect_invalid(&["body", field]);
    }
    let wrong = r#"{"colorPaletteLight":{"primary":"red"}}"#;
    api.call("PATCH", path, wrong).await.expect_invalid(&["body", "colorPaletteLight", "primary"]);
    let wrong = r#"{"customThemeOverride":{"borderRadius":{"card":"huge"}}}"#;
    api.call("PATCH", path, wrong).await.expect_invalid(&["body", "customThemeOverride", "card"]);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_without_the_cookie() {
    let api = TestApi::at("http://posthouse.test", &["https://app.example.com"]).await;
    let allowed = ("origin", "https://app.example.com");
    let asks = [allowed, ("access-control-request-method", "POST"), ("access-control-request-headers", "x")];
    let answer = bare(&api, "OPTIONS", "/app", &asks, "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.com");
    assert!(answer.headers["access-control-allow-methods"].to_str().expect("text").contains("DELETE"));
    let answer = api.call_with("GET", "/app", "", &[allowed]).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(answer.headers["vary"], "origin");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let refused = bare(&api, "GET", "/app", &[allowed], "").await;
    assert_eq!(refused.headers["access-control-allow-origin"], "https://app.example.com");
    refused.expect_code(401, "authentication_failed");
    let cookie = sign_in(&api, &json!({ "key": KEY })).await;
    let sent = [HOST, allowed, ("cookie", &*cookie)];
    bare(&api, "POST", "/app", &sent, r#"{"name":"a"}"#).await.expect_code(403, "permission_denied");
    for other in ["https://evil.example", "http://app.example.com", "null"] {
        let answer = api.call_with("GET", "/app", "", &[("origin", other)]).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{other}");
        let asks = [("origin", other), ("access-control-request-method", "POST")];
        let answer = bare(&api, "OPTIONS", "/app", &asks, "").await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{other}");
        assert_eq!(answer.status, 405, "{other}");
    }
}

#[tokio::test]
async fn a_download_is_an_attachment() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    let message = api.post("/app/a/msg", r#"{"eventType":"e","payload":{"a":"<script>"}}"#).await.expect(202);
    let path = format!("/app/a/msg/{}/raw?download=true", message["id"].as_str().expect("an id"));
    let answer = api.get(&path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(&answer.body[..], br#"{"a":"<script>"}"#);
    assert!(answer.headers["content-disposition"].to_str().expect("text").starts_with("attachment"));
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    api.get(&path.replace("true", "yes")).await.expect_invalid(&["query", "download"]);
}

#[tokio::test]
async fn the_web_app_is_beside_the_api() {
    let api = TestApi::start().await;
    for (path, is_app) in [("/", true), ("/portal/x", true), ("/api/v1/nothing", false), ("/nothing", false)] {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let answer = api.send(request).await;
        let media_type = answer.headers["content-type"].to_str().expect("text");
        assert_eq!(media_type.starts_with("text/html"), is_app, "{path}");
        if is_app {
            assert!(
                answer.headers["content-security-policy"].to_str().expect("text").contains("frame-ancestors 'none'")
            );
        } else {
            answer.expect_code(404, "not_found");
        }
    }
}

/// Where what is logged goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_line() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // The test's own thread does everything but commit, and that is told nothing but hashes.
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the log is heard");
    let api = TestApi::start().await;
    let one_time = api.one_time_token().await;
    let cookie = sign_in(&api, &json!({ "oneTimeToken": one_time })).await;
    let sent = [HOST, ORIGIN, ("cookie", &*cookie)];
    let env = bare(&api, "GET", "/auth/session", &sent, "").await.expect(200)["envId"].clone();
    let base = format!("/management/authentication/{}/api-token", env.as_str().expect("an id"));
    let made = bare(&api, "POST", &base, &sent, r#"{"name":"k"}"#).await.expect(200);
    let key = made["token"].as_str().expect("a key");
    with_key(&api, key, "GET", "/app", "").await.expect(200);
    sign_in(&api, &json!({ "key": key })).await;
    bare(&api, "POST", "/auth/session", &[HOST, ORIGIN], r#"{"key":"phk_mistyped"}"#).await.expect(401);
    bare(&api, "DELETE", "/auth/session", &sent, "").await.expect(204);
    let log = String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned();
    assert!(log.contains("the log is heard"));
    for secret in [&one_time, cookie.split_once('=').expect("a pair").1, key, "phk_mistyped", KEY] {
        assert!(!log.contains(secret), "{log}");
    }
}
