//! What a request says of itself: ids that are the same for one event only, and types that hold for all of it.

use crate::support::{AT_MS, BODY, Made, SECRET};
use posthouse_signature::receive::{Described, Verifier};
use serde_json::{Map, Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// What a scheme reads of a request.
fn described(scheme: &str, headers: &[(&str, &str)], body: &str) -> Described {
    let verifier = Verifier::for_scheme(scheme, Map::new()).unwrap_or_else(|error| panic!("{scheme}: {error}"));
    let mut made = Made::new(body.as_bytes());
    for (name, value) in headers {
        made.set(name, value);
    }
    verifier.describe(&made.request())
}

fn check_id(scheme: &str, headers: &[(&str, &str)], body: &str, id: Option<&str>) {
    assert_eq!(described(scheme, headers, body).event_id.as_deref(), id, "{scheme} {headers:?} {body}");
}

fn check_type(scheme: &str, headers: &[(&str, &str)], body: &str, kind: Option<&str>) {
    assert_eq!(described(scheme, headers, body).event_type.as_deref(), kind, "{scheme} {headers:?} {body}");
}

#[test]
fn what_several_events_share_is_no_id() {
    check_id("postmark", &[], r#"{"RecordType":"Delivery","MessageID":"m1"}"#, None);
    check_id("postmark", &[], r#"{"RecordType":"Bounce","MessageID":"m1","ID":42}"#, Some("42"));
    check_id("pipedrive", &[], r#"{"meta":{"v":1,"id":17,"action":"updated","object":"deal"}}"#, None);
    let uuid = "8ad4ee6c-5a4e-4a8a-9a3c-1c2d3e4f5a6b";
    check_id("pipedrive", &[], &format!(r#"{{"meta":{{"id":"{uuid}"}}}}"#), Some(uuid));
    check_id("woocommerce", &[("x-wc-webhook-delivery-id", "d1")], "{}", None);
    check_id("twilio", &[FORM], "MessageSid=SM1&MessageStatus=sent", None);
    check_id("twilio", &[FORM], "CallSid=CA1&CallStatus=ringing", None);
    check_id("twilio", &[FORM, ("i-twilio-idempotency-token", "t1")], "CallSid=CA1", Some("t1"));
    let gitlab = [("x-gitlab-event-uuid", "u1")];
    check_id("gitlab-token", &gitlab, "{}", None);
    check_id("gitlab-token", &[gitlab[0], ("idempotency-key", "k1")], "{}", Some("k1"));
    check_id("buildkite", &[("x-request-id", "r1")], "{}", None);
    let shopify = [("shopify-event-id", "e1"), ("shopify-webhook-id", "w1")];
    check_id("shopify-events", &shopify, "{}", Some("w1"));
    check_id("shopify-events", &shopify[..1], "{}", Some("e1"));
}

#[test]
fn a_signed_id_counts_and_no_other() {
    let event = r#"{"signature":{"timestamp":"1","token":"t1","signature":"s"},"event-data":{"id":"forged"}}"#;
    check_id("mailgun", &[], event, Some("t1"));
    check_id("mailgun", &[FORM], "token=t1&timestamp=1&signature=s", Some("t1"));
    // A body that is a form and JSON at once: the token is the one that is verified.
    let both =
        r#"{"signature":{"timestamp":"1","token":"forged","signature":"s"},"a":"&token=t1&timestamp=1&signature=s&"}"#;
    check_id("mailgun", &[FORM], both, Some("t1"));
    let part =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parts = [part("signature", "s"), part("timestamp", "1"), part("token", "t1"), "--x--\r\n".to_owned()].concat();
    check_id("mailgun", &[("content-type", "multipart/form-data; boundary=x")], &parts, Some("t1"));
    check_id("paypal", &[("paypal-transmission-id", "t1")], r#"{"id":"WH-forged"}"#, Some("t1"));

    let Value::Object(config) = json!({ "secret": SECRET }) else { panic!("an object") };
    let clerk = Verifier::new("clerk", config).expect("a source");
    for (scheme, other) in [("standard-webhooks", "svix-id"), ("svix", "webhook-id")] {
        let verifier = crate::support::verifier(scheme, &[SECRET]).expect("a verifier");
        let (mut made, _) = Made::signed(&verifier, BODY.as_bytes()).expect("signed");
        made.set(other, "forged");
        assert_eq!(made.cause(&clerk, AT_MS), None, "{scheme}");
        assert_eq!(clerk.describe(&made.request()).event_id.as_deref(), Some("msg_1"), "{scheme}");
    }
    for scheme in ["standard-webhooks-ed25519", "openai", "bigcommerce", "gitlab-signing"] {
        check_id(
            scheme,
            &[("webhook-id", "m1"), ("svix-id", "forged"), ("idempotency-key", "forged")],
            "{}",
            Some("m1"),
        );
    }
}

#[test]
fn a_batch_has_a_type_where_all_entries_have_it() {
    let lists = [
        ("sendgrid", r#"[{"event":"A"},{"event":"B"}]"#),
        ("panda-doc", r#"[{"event":"A"},{"event":"B"}]"#),
        ("tailscale", r#"[{"type":"A"},{"type":"B"}]"#),
        ("hubspot-v3", r#"[{"subscriptionType":"A"},{"subscriptionType":"B"}]"#),
        ("line", r#"{"events":[{"type":"A"},{"type":"B"}]}"#),
        ("okta", r#"{"data":{"events":[{"eventType":"A"},{"eventType":"B"}]}}"#),
        ("microsoft-graph", r#"{"value":[{"changeType":"A"},{"changeType":"B"}]}"#),
        (
            "adyen",
            r#"{"notificationItems":[{"NotificationRequestItem":{"eventCode":"A"}},
                {"NotificationRequestItem":{"eventCode":"B"}}]}"#,
        ),
    ];
    for (scheme, mixed) in lists {
        check_type(scheme, &[], mixed, None);
        check_type(scheme, &[], &mixed.replace("\"B\"", "\"A\""), Some("A"));
        check_type(scheme, &[], &mixed.replace("\"B\"", "7"), None);
    }
    // Of a type of several parts all are the same, or there is none.
    let pairs = [
        ("xero", r#"{"events":[{"eventCategory":"C","eventType":"A"},{"eventCategory":"C","eventType":"B"}]}"#),
        ("gocardless", r#"{"events":[{"resource_type":"C","action":"A"},{"resource_type":"C","action":"B"}]}"#),
        (
            "asana",
            r#"{"events":[{"resource":{"resource_type":"C"},"action":"A"},
                {"resource":{"resource_type":"C"},"action":"B"}]}"#,
        ),
        ("meta", r#"{"object":"C","entry":[{"changes":[{"field":"A"}]},{"changes":[{"field":"A"},{"field":"B"}]}]}"#),
    ];
    for (scheme, mixed) in pairs {
        check_type(scheme, &[], mixed, None);
        check_type(scheme, &[], &mixed.replace("\"B\"", "\"A\""), Some("C.A"));
    }
    check_type("meta", &[], r#"{"object":"page","entry":[{"messaging":[]},{"messaging":[]}]}"#, Some("page"));
    check_type("meta", &[], r#"{"object":"page","entry":[{"messaging":[]},{"changes":[{"field":"A"}]}]}"#, None);
    check_type("line", &[], r#"{"events":[]}"#, None);
    check_type("sendgrid", &[], r#"{"event":"A"}"#, None);
}

#[test]
fn the_payload_of_a_form_is_the_body() {
    let payload = "payload=%7B%22action%22%3A%22opened%22%2C%22type%22%3A%22push%22%2C%22state%22%3A%22failed%22%7D";
    let event = ("x-github-event", "issues");
    check_type("github-sha256", &[FORM, event], payload, Some("issues.opened"));
    check_type("github-sha256", &[event], payload, Some("issues"));
    check_type("github-sha256", &[FORM, event], r#"{"action":"opened"}"#, Some("issues.opened"));
    check_type("travis-ci", &[FORM], payload, Some("push.failed"));
    check_type("travis-ci", &[FORM], "payload=%7B", None);
    check_type("slack", &[FORM], payload, Some("push"));
}

#[test]
fn both_versions_of_pipedrive_have_a_type() {
    check_type("pipedrive", &[], r#"{"meta":{"action":"updated","object":"deal"}}"#, Some("updated.deal"));
    check_type("pipedrive", &[], r#"{"meta":{"action":"change","entity":"deal"}}"#, Some("change.deal"));
}
