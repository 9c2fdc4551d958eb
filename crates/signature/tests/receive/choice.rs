//! Which scheme of a type judges a request, what it says of itself, and what is told of a refusal.

use crate::support::{AT_MS, BODY, Made, OTHER_SECRET, SECRET};
use posthouse_signature::receive::{Cause, Described, Verdict, Verifier};
use serde_json::{Map, Value, json};

fn source(type_name: &str, config: Value) -> Verifier {
    let Value::Object(config) = config else { panic!("a configuration is an object") };
    Verifier::new(type_name, config).unwrap_or_else(|error| panic!("{type_name}: {error}"))
}

fn of_scheme(scheme: &str) -> Made {
    let verifier = crate::support::verifier(scheme, &[SECRET]).expect("a verifier");
    Made::signed(&verifier, BODY.as_bytes()).expect("signed").0
}

fn hint(made: &Made, verifier: &Verifier, now_ms: i64) -> String {
    match made.judged(verifier, now_ms) {
        Verdict::Rejected(rejection) => rejection.hint.unwrap_or_default(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_weaker_scheme_does_not_help_beside_a_stronger_one() {
    let github = source("github", json!({ "secret": SECRET }));
    let mut made = of_scheme("github-sha1");
    assert_eq!(made.cause(&github, AT_MS), None, "alone it is enough");
    made.set("x-hub-signature-256", "sha256=00");
    assert_eq!(made.cause(&github, AT_MS), Some(Cause::SignatureMismatch));
    made.headers.clear();
    assert_eq!(made.cause(&github, AT_MS), Some(Cause::MissingHeader));

    let both = json!({ "secret": SECRET, "signingSecret": SECRET });
    let gitlab = source("gitlab", both);
    assert_eq!(of_scheme("gitlab-signing").cause(&gitlab, AT_MS), None);
    assert_eq!(of_scheme("gitlab-token").cause(&gitlab, AT_MS), Some(Cause::MissingHeader));
    let token_only = source("gitlab", json!({ "secret": SECRET }));
    assert_eq!(of_scheme("gitlab-token").cause(&token_only, AT_MS), None);

    let shopify = source("shopify", json!({ "secret": SECRET }));
    assert_eq!(of_scheme("shopify-events").cause(&shopify, AT_MS), None);
    let mut made = of_scheme("shopify");
    assert_eq!(made.cause(&shopify, AT_MS), None);
    made.set("shopify-hmac-sha256", "AAAA");
    assert_eq!(made.cause(&shopify, AT_MS), Some(Cause::SignatureMismatch));

    let clerk = source("clerk", json!({ "secret": SECRET }));
    for scheme in ["svix", "standard-webhooks"] {
        assert_eq!(of_scheme(scheme).cause(&clerk, AT_MS), None, "{scheme}");
    }
}

#[test]
fn without_a_secret_nothing_is_verified_only_where_the_contract_says_so() {
    let github = source("github", json!({}));
    assert!(!github.is_verifying());
    assert_eq!(Made::new(b"{}").cause(&github, AT_MS), None);
    assert!(Verifier::new("stripe", Map::new()).is_err());
    assert!(Verifier::new("gitlab", Map::new()).is_err());
    let open = source("generic-webhook", json!({}));
    assert!(!open.is_verifying());
    assert_eq!(Made::new(b"").cause(&open, AT_MS), None);
    let cron = source("cron", json!({ "schedule": "0 0 * * *", "payload": "{}" }));
    assert!(!cron.is_receiving());
    assert!(Made::new(b"{}").cause(&cron, AT_MS).is_some());
    // A handshake will bring the secret: until then everything is refused.
    let asana = source("asana", json!({}));
    assert!(asana.is_verifying());
    let mut made = Made::new(b"{}");
    made.set("x-hook-signature", "00");
    assert_eq!(made.cause(&asana, AT_MS), Some(Cause::SignatureMismatch));
}

#[test]
fn a_described_scheme_is_what_was_described() {
    let config = json!({
        "secret": SECRET, "header": "X-Sig", "algorithm": "sha512", "encoding": "base64url",
        "template": "{method}|{url}|{id}|{timestamp}|{body}", "idHeader": "X-Id", "timestampHeader": "X-Time",
        "timestampUnit": "rfc3339", "toleranceSeconds": 10,
    });
    let generic = source("generic-hmac", config);
    let (made, _) = Made::signed(&generic, BODY.as_bytes()).expect("signed");
    assert_eq!(made.cause(&generic, AT_MS), None);
    assert_eq!(made.cause(&generic, AT_MS + 11_000), Some(Cause::TimestampExpired));
    let moved = Made { url: "https://hooks.example.com/in/abd?x=1".to_owned(), ..made.clone() };
    assert_eq!(moved.cause(&generic, AT_MS), Some(Cause::SignatureMismatch));
    let other = Made { method: http::Method::PUT, ..made.clone() };
    assert_eq!(other.cause(&generic, AT_MS), Some(Cause::SignatureMismatch));

    let list = json!({
        "secret": SECRET, "header": "x-sig", "template": "{ts}.{body}", "signatureKey": "v1", "timestampKey": "t",
    });
    let list = source("generic-hmac", list);
    let (made, _) = Made::signed(&list, BODY.as_bytes()).expect("signed");
    assert_eq!(made.cause(&list, AT_MS), None);
    assert_eq!(made.cause(&list, AT_MS + 301_000), Some(Cause::TimestampExpired));

    for token in [
        json!({ "token": "secret", "query": "token" }),
        json!({ "token": ["secret", "other"], "header": "x-token" }),
        json!({ "token": "secret", "header": "authorization", "scheme": "Bearer" }),
    ] {
        let generic = source("generic-token", token);
        let (made, _) = Made::signed(&generic, b"").expect("signed");
        assert_eq!(made.cause(&generic, AT_MS), None);
        assert_eq!(Made::new(b"").cause(&generic, AT_MS), Some(Cause::MissingHeader));
    }
}

#[test]
fn a_token_in_the_body_is_compared() {
    let pointer = source("generic-token", json!({ "token": "s3", "pointer": "/auth/token" }));
    let judged = |body: &str| Made::new(body.as_bytes()).cause(&pointer, AT_MS);
    assert_eq!(judged(r#"{"auth":{"token":"s3"}}"#), None);
    assert_eq!(judged(r#"{"auth":{"token":"s4"}}"#), Some(Cause::TokenMismatch));
    assert_eq!(judged(r#"{"auth":{}}"#), Some(Cause::MalformedBody));
    assert_eq!(judged("auth"), Some(Cause::MalformedBody));
    let graph = source("microsoft-graph", json!({ "secrets": ["a", "b"] }));
    let judged = |body: &str| Made::new(body.as_bytes()).cause(&graph, AT_MS);
    assert_eq!(judged(r#"{"value":[{"clientState":"a"},{"clientState":"b"}]}"#), None);
    assert_eq!(judged(r#"{"value":[{"clientState":"a"},{}]}"#), Some(Cause::TokenMismatch));
    assert_eq!(judged(r#"{"value":[]}"#), Some(Cause::MalformedBody));
}

#[test]
fn handshakes_are_told_before_or_after_the_signature() {
    let slack = source("slack", json!({ "secret": SECRET }));
    let challenge =
        br#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let (made, _) = Made::signed(&slack, challenge).expect("signed");
    let Verdict::Handshake(reply) = made.judged(&slack, AT_MS) else { panic!("no handshake") };
    assert_eq!((reply.status, &challenge[40..92]), (200, reply.body.as_slice()));
    assert_eq!(Made::new(challenge).cause(&slack, AT_MS), Some(Cause::MissingHeader), "only when it is signed");

    let dropbox = source("dropbox", json!({ "secret": SECRET }));
    let mut made = Made::new(b"");
    made.method = http::Method::GET;
    made.url = "https://hooks.example.com/in/abc?challenge=abc".to_owned();
    assert!(matches!(made.judged(&dropbox, AT_MS), Verdict::Handshake(reply) if reply.body == b"abc"));

    let asana = source("asana", json!({}));
    let mut made = Made::new(b"{}");
    made.set("x-hook-secret", "b537207f20cbfa02357cf448134da559");
    assert_eq!(made.cause(&asana, AT_MS), Some(Cause::UnexpectedHandshake), "a source that is registered");

    let twitter = source("twitter", json!({ "secret": SECRET }));
    let (made, _) = Made::signed(&twitter, b"MTQ4OTc1NzU3Mg").expect("signed");
    assert_eq!(made.cause(&twitter, AT_MS), Some(Cause::MalformedBody), "what a challenge has signed is no message");
}

#[test]
fn the_version_of_hubspot_is_configured() {
    let v3 = source("hubspot", json!({ "secret": SECRET }));
    let (made, _) = Made::signed(&v3, BODY.as_bytes()).expect("signed");
    assert_eq!(made.cause(&v3, AT_MS), None);
    let mut weaker = Made::new(b"{}");
    weaker.set("x-hubspot-signature", "af1e2d0f4d6f0f5d3b7ad5bb2e0d1ae8a8d2e7e9ab42e3f1c6d9b0a9dbbf01aa");
    assert_eq!(weaker.cause(&v3, AT_MS), Some(Cause::MissingHeader), "the header decides nothing");
    let v1 = source("hubspot", json!({ "secret": SECRET, "signatureVersion": "v1" }));
    assert_eq!(weaker.cause(&v1, AT_MS), Some(Cause::SignatureMismatch));
}

#[test]
fn the_url_is_the_registered_one() {
    let config = json!({ "secret": SECRET, "notificationUrl": "https://public.example.com/hook" });
    let square = source("square", config);
    let public = Made { url: "https://public.example.com/hook".to_owned(), ..Made::new(BODY.as_bytes()) };
    let own = source("square", json!({ "secret": SECRET }));
    let signed = own.sign(&public.request(), AT_MS, "").expect("signed");
    let mut behind_proxy = Made { url: "http://10.0.0.1:8080/in/abc".to_owned(), ..public };
    behind_proxy.set(&signed.headers[0].0, &signed.headers[0].1);
    assert_eq!(behind_proxy.cause(&square, AT_MS), None);
    assert_eq!(behind_proxy.cause(&own, AT_MS), Some(Cause::SignatureMismatch));
    assert!(hint(&behind_proxy, &own, AT_MS).contains("http://10.0.0.1:8080/in/abc"));
    // Twilio adds a parameter to the query, which is signed with the rest.
    let added = |url: &str| Made { url: url.to_owned(), ..Made::new(BODY.as_bytes()) };
    let signed = own.sign(&added("https://public.example.com/hook?a=1&b=2").request(), AT_MS, "").expect("signed");
    let mut with_query = added("http://10.0.0.1:8080/in/abc?a=1&b=2");
    with_query.set(&signed.headers[0].0, &signed.headers[0].1);
    assert_eq!(with_query.cause(&square, AT_MS), None);
}

#[test]
fn requests_say_what_they_are() {
    let check = |type_name: &str, headers: &[(&str, &str)], body: &str, id: Option<&str>, kind: Option<&str>| {
        let verifier = Verifier::for_scheme(type_name, Map::new()).expect("a verifier");
        let mut made = Made::new(body.as_bytes());
        for (name, value) in headers {
            made.set(name, value);
        }
        let expected = Described { event_id: id.map(str::to_owned), event_type: kind.map(str::to_owned) };
        assert_eq!(verifier.describe(&made.request()), expected, "{type_name}");
    };
    let github = [("x-github-delivery", "d1"), ("x-github-event", "pull_request")];
    check("github-sha256", &github, r#"{"action":"opened"}"#, Some("d1"), Some("pull_request.opened"));
    check("github-sha256", &[("x-github-event", "push")], "{}", None, Some("push"));
    check("stripe", &[], r#"{"id":"evt_1","type":"charge.succeeded"}"#, Some("evt_1"), Some("charge.succeeded"));
    check("shopify", &[("x-shopify-topic", "orders/create")], "<xml/>", None, Some("orders.create"));
    check("line", &[], r#"{"events":[{"webhookEventId":"a","type":"message"}]}"#, Some("a"), Some("message"));
    let batch = r#"{"events":[{"webhookEventId":"a","type":"x"},{"webhookEventId":"b","type":"y"}]}"#;
    check("line", &[], batch, None, None);
    check("telegram", &[], r#"{"update_id":10000}"#, Some("10000"), None);
    check("stripe", &[], "not json", None, None);
    let long = "x".repeat(257);
    let (body, hashed) = (format!(r#"{{"id":"{long}","type":"{long}"}}"#), &long[..256]);
    let verifier = Verifier::for_scheme("stripe", Map::new()).expect("a verifier");
    let described = verifier.describe(&Made::new(body.as_bytes()).request());
    assert_eq!(described.event_id.expect("an id").len(), 64, "a long id is replaced by its hash");
    assert_eq!(described.event_type.as_deref(), Some(hashed));
}

#[test]
fn a_refusal_is_explained() {
    let stripe = source("stripe", json!({ "secret": SECRET }));
    let made = of_scheme("stripe");
    let late = hint(&made, &stripe, AT_MS + 400_000);
    assert!(late.contains("400 s behind"), "{late}");
    let mut reserialized = made.clone();
    reserialized.body = serde_json::to_vec(&json!({ "z": 1, "a": 2 })).expect("JSON");
    assert!(hint(&reserialized, &stripe, AT_MS).contains("another secret, or another body"));
    let compact = r#"{"a":"é/1","b":[1,2]}"#;
    for (written, how) in [
        ("{\"a\": \"é/1\", \"b\": [1, 2]}", "the spaced form"),
        ("{\n  \"a\": \"é/1\",\n  \"b\": [\n    1,\n    2\n  ]\n}", "the indented form"),
        (r#"{"a":"\u00e9/1","b":[1,2]}"#, "the escaped form"),
        (r#"{"a":"é\/1","b":[1,2]}"#, "the slash-escaped form"),
    ] {
        let (mut made, _) = Made::signed(&stripe, written.as_bytes()).expect("signed");
        made.body = compact.as_bytes().to_vec();
        assert_eq!(made.cause(&stripe, AT_MS), Some(Cause::SignatureMismatch));
        assert!(hint(&made, &stripe, AT_MS).contains(how), "{how}");
    }
    // What takes many times the body to write is not tried: a flood of such would be hashed for seconds.
    for deep in [format!("{}1{}", "[".repeat(100), "]".repeat(100)), format!("[{}0]", "0,".repeat(9_000))] {
        let json: Value = serde_json::from_str(&deep).expect("JSON");
        let indented = serde_json::to_vec_pretty(&json).expect("JSON");
        let (mut made, _) = Made::signed(&stripe, &indented).expect("signed");
        made.body = deep.into_bytes();
        assert!(hint(&made, &stripe, AT_MS).contains("another secret, or another body"));
    }
    let missing = hint(&Made::new(b"{}"), &stripe, AT_MS);
    assert!(missing.contains("`stripe-signature` is missing"), "{missing}");
    let other = hint(&of_scheme("slack"), &stripe, AT_MS);
    assert!(other.contains("looks like a request of Slack"), "{other}");
    let wrong = source("stripe", json!({ "secret": OTHER_SECRET }));
    let told = hint(&made, &wrong, AT_MS);
    assert!(told.contains("the whole text is the key"), "{told}");
    for secret in [SECRET, OTHER_SECRET] {
        assert!(!told.contains(secret), "a hint tells no secret");
    }
}

#[test]
fn the_answer_is_the_providers() {
    let adyen = source("adyen-platform", json!({ "secret": "00ff" })).answer();
    assert_eq!((adyen.status, adyen.body.as_slice()), (200, b"[accepted]".as_slice()));
    let adobe = source("adobe-sign", json!({ "clientId": "CBJ" })).answer();
    assert_eq!(adobe.headers, [("x-adobesign-clientid", "CBJ".to_owned())]);
    let xero = source("xero", json!({ "secret": "k" })).answer();
    assert_eq!((xero.status, xero.headers.len(), xero.body.len()), (200, 0, 0));
    assert_eq!(source("microsoft-graph", json!({ "secret": "k" })).answer().status, 202);
}
