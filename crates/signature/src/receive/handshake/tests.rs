use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::receive::tests_families::{Files, Given, settings};

const URL: &str = "https://hooks.posthouse.test/in/abc";

fn ask(handshake: Handshake, own: Value, given: &Given, is_registered: bool) -> Option<Result<Reply, Cause>> {
    let files = Files::default();
    let context = Context { now_ms: 0, fetched: &files, is_registered, explains: true };
    answer(handshake, &settings(own), &given.request(), &context)
}

fn get(query: &str) -> Given {
    Given::new("GET", &format!("{URL}?{query}"), &[], b"")
}

fn post(body: &Value) -> Given {
    Given::post(&[], body.to_string().as_bytes())
}

fn body(answer: Option<Result<Reply, Cause>>) -> String {
    String::from_utf8(answer.unwrap().unwrap().body).unwrap()
}

#[test]
fn an_echo_is_plain_text_that_no_browser_reads_otherwise() {
    let page = "challenge=%3Cscript%3Ealert(1)%3C/script%3E";
    let reply = ask(Handshake::EchoParameter("challenge"), json!({}), &get(page), false).unwrap().unwrap();
    assert_eq!(reply.body, b"<script>alert(1)</script>");
    assert!(reply.headers.contains(&("content-type", "text/plain".to_owned())));
    assert!(reply.headers.contains(&("x-content-type-options", "nosniff".to_owned())));
    let malformed = Some(Err(Cause::MalformedChallenge));
    let long = format!("challenge={}", "a".repeat(CHALLENGE_CHARS_MAX + 1));
    for query in ["challenge=", "challenge=a%0d%0ab", long.as_str()] {
        assert_eq!(ask(Handshake::EchoParameter("challenge"), json!({}), &get(query), false), malformed, "{query}");
    }
    assert_eq!(ask(Handshake::EchoParameter("challenge"), json!({}), &get("x=1"), false), None);
    let posted = Given::new("POST", &format!("{URL}?challenge=a"), &[], b"");
    assert_eq!(ask(Handshake::EchoParameter("challenge"), json!({}), &posted, false), None);
    assert_eq!(
        body(ask(
            Handshake::MicrosoftGraph,
            json!({}),
            &Given::new("POST", &format!("{URL}?validationToken=a%20b"), &[], b""),
            false
        )),
        "a b"
    );
}

#[test]
fn meta_and_strava_know_our_token() {
    let own = || json!({"verifyToken": "mine"});
    let query = "hub.mode=subscribe&hub.verify_token=mine&hub.challenge=12";
    assert_eq!(body(ask(Handshake::Meta, own(), &get(query), false)), "12");
    assert_eq!(body(ask(Handshake::Strava, own(), &get(query), false)), r#"{"hub.challenge":"12"}"#);
    let mismatch = Some(Err(Cause::TokenMismatch));
    assert_eq!(ask(Handshake::Meta, own(), &get(&query.replace("mine", "other")), false), mismatch);
    assert_eq!(ask(Handshake::Meta, json!({}), &get("hub.mode=subscribe&hub.challenge=1"), false), mismatch);
    assert_eq!(
        ask(Handshake::Meta, json!({"verifyToken": ""}), &get("hub.mode=subscribe&hub.challenge=1"), false),
        mismatch
    );
    let malformed = Some(Err(Cause::MalformedChallenge));
    assert_eq!(ask(Handshake::Meta, own(), &get("hub.mode=subscribe&hub.verify_token=mine"), false), malformed);
    assert_eq!(ask(Handshake::Meta, own(), &get(&query.replace("subscribe", "x")), false), malformed);
}

#[test]
fn what_is_signed_could_be_no_body() {
    let own = || json!({"secret": "key", "publicKeyId": "public"});
    let malformed = Some(Err(Cause::MalformedChallenge));
    for token in ["%7B%22a%22%3A1%7D", "%5B%5D", "", "a%20b", "%22"] {
        assert_eq!(ask(Handshake::X, own(), &get(&format!("crc_token={token}")), false), malformed, "{token}");
    }
    assert!(could_be_x_challenge(b"123") && !could_be_x_challenge(br#"{"a":1}"#) && !could_be_x_challenge(b""));
    for challenge in ["PGE%2BCg", "ABCDEFABCDEFABCDEFABCDEF", "abc", "20f9f8ed05f77439fe955c977e4c8a53%0A"] {
        let query = format!("bt_challenge={challenge}");
        assert_eq!(ask(Handshake::Braintree, own(), &get(&query), false), malformed, "{challenge}");
    }
    for token in ["v0:1760000000:{}", "", "{}"] {
        let given = post(&json!({"event": "endpoint.url_validation", "payload": {"plainToken": token}}));
        assert_eq!(ask(Handshake::Zoom, own(), &given, false), malformed, "{token}");
    }
    assert_eq!(ask(Handshake::Zoom, own(), &post(&json!({"event": "endpoint.url_validation"})), false), malformed);
    assert_eq!(ask(Handshake::Zoom, own(), &post(&json!({"event": "meeting.started"})), false), None);
}

#[test]
fn a_key_is_learned_once() {
    let given = Given::post(&[("x-hook-secret", "abc123")], b"{}");
    let reply = ask(Handshake::Asana, json!({}), &given, false).unwrap().unwrap();
    assert_eq!(reply.learned.as_deref(), Some("abc123"));
    assert_eq!(reply.headers, [("x-hook-secret", "abc123".to_owned())]);
    assert_eq!(ask(Handshake::Asana, json!({}), &given, true), Some(Err(Cause::UnexpectedHandshake)));
    assert_eq!(ask(Handshake::Asana, json!({}), &Given::post(&[], b"{}"), false), None);

    let given = post(&json!({"verification_token": "secret_1"}));
    assert_eq!(ask(Handshake::Notion, json!({}), &given, false).unwrap().unwrap().learned.as_deref(), Some("secret_1"));
    assert_eq!(ask(Handshake::Notion, json!({}), &given, true), Some(Err(Cause::UnexpectedHandshake)));
    let signed = post(&json!({"verification_token": "secret_1"})).with("x-notion-signature", "sha256=00");
    assert_eq!(ask(Handshake::Notion, json!({}), &signed, false), None);
    let empty = post(&json!({"verification_token": 1}));
    assert_eq!(ask(Handshake::Notion, json!({}), &empty, false), Some(Err(Cause::MalformedChallenge)));
}

#[test]
fn sns_is_confirmed_at_its_own_host_only() {
    let subscribe = |url: &str| post(&json!({"Type": "SubscriptionConfirmation", "SubscribeURL": url}));
    let url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=a";
    let reply = ask(Handshake::Sns, json!({}), &subscribe(url), false).unwrap().unwrap();
    assert_eq!(reply.confirm.as_deref(), Some(url));
    let malformed = Some(Err(Cause::MalformedChallenge));
    for url in ["https://169.254.169.254/", "", "https://sns.us-east-1.amazonaws.com.evil.test/"] {
        assert_eq!(ask(Handshake::Sns, json!({}), &subscribe(url), false), malformed, "{url}");
    }
    assert_eq!(ask(Handshake::Sns, json!({}), &post(&json!({"Type": "Notification"})), false), None);
    assert!(Handshake::Sns.needs_verified() && !Handshake::Meta.needs_verified());
}

#[test]
fn discord_tells_pings_from_events() {
    let send = |own: Value, given: Value| ask(Handshake::Discord, own, &post(&given), false);
    assert_eq!(body(send(json!({}), json!({"type": 1}))), r#"{"type":1}"#);
    assert_eq!(send(json!({}), json!({"type": 0})).unwrap().unwrap().status, 204);
    assert_eq!(send(json!({}), json!({"type": 1, "event": {}})), None);
    assert_eq!(send(json!({"endpoint": "events"}), json!({"type": 1})), None);
    assert_eq!(send(json!({"endpoint": "interactions"}), json!({"type": 0})), None);
    assert_eq!(send(json!({}), json!({"type": 2})), None);
}

#[test]
fn the_small_ones() {
    let challenge = |own: Value, kind, given: &Given| ask(kind, own, given, false);
    let twitch = post(&json!({"challenge": "c"})).with("twitch-eventsub-message-type", "webhook_callback_verification");
    assert_eq!(body(challenge(json!({}), Handshake::Twitch, &twitch)), "c");
    let notification = post(&json!({"challenge": "c"})).with("twitch-eventsub-message-type", "notification");
    assert_eq!(challenge(json!({}), Handshake::Twitch, &notification), None);
    let slack = post(&json!({"type": "url_verification", "challenge": "c"}));
    assert_eq!(body(challenge(json!({}), Handshake::Slack, &slack)), "c");
    assert_eq!(
        challenge(json!({}), Handshake::Slack, &post(&json!({"type": "event_callback", "challenge": "c"}))),
        None
    );
    assert_eq!(
        body(challenge(json!({}), Handshake::Monday, &post(&json!({"challenge": "c"})))),
        r#"{"challenge":"c"}"#
    );
    assert_eq!(challenge(json!({}), Handshake::Monday, &post(&json!({"challenge": "c", "event": {}}))), None);
    let okta = Given::new("GET", URL, &[("x-okta-verification-challenge", "c")], b"");
    assert_eq!(body(challenge(json!({}), Handshake::Okta, &okta)), r#"{"verification":"c"}"#);
    let ebay = challenge(json!({"verifyToken": "t"}), Handshake::Ebay, &get("challenge_code=a1"));
    let hash = reading::sha256_hex(&[b"a1t", URL.as_bytes()]);
    assert_eq!(body(ebay), json!({"challengeResponse": hash}).to_string());
    let adobe = Given::new("GET", URL, &[("x-adobesign-clientid", "id")], b"");
    let reply = challenge(json!({"clientId": "id"}), Handshake::AdobeSign, &adobe).unwrap().unwrap();
    assert_eq!(reply.headers, [("x-adobesign-clientid", "id".to_owned())]);
    assert_eq!(challenge(json!({"clientId": "x"}), Handshake::AdobeSign, &adobe), Some(Err(Cause::TokenMismatch)));
    let bare = Given::new("GET", URL, &[], b"");
    assert_eq!(challenge(json!({"clientId": "x"}), Handshake::AdobeSign, &bare), Some(Err(Cause::MissingHeader)));
    let ring = Given::post(&[("validation-token", "v-1")], b"");
    let reply = challenge(json!({}), Handshake::EchoHeader("validation-token"), &ring).unwrap().unwrap();
    assert_eq!(reply.headers, [("validation-token", "v-1".to_owned())]);
    let sheet = post(&json!({"challenge": "s"})).with("smartsheet-hook-challenge", "s");
    assert_eq!(body(challenge(json!({}), Handshake::Smartsheet, &sheet)), r#"{"smartsheetHookResponse":"s"}"#);
    assert_eq!(
        challenge(json!({}), Handshake::Woocommerce, &Given::post(&[], b"webhook_id=12")).unwrap().unwrap().status,
        200
    );
    for other in [&b"webhook_id="[..], b"webhook_id=1&x=1", b"{}"] {
        assert_eq!(challenge(json!({}), Handshake::Woocommerce, &Given::post(&[], other)), None);
    }
    assert_eq!(challenge(json!({}), Handshake::Head, &Given::new("HEAD", URL, &[], b"")).unwrap().unwrap().status, 200);
    assert_eq!(challenge(json!({}), Handshake::Head, &bare), None);
    assert_eq!(challenge(json!({}), Handshake::Get, &bare).unwrap().unwrap().status, 200);
}

proptest! {
    #[test]
    fn whatever_comes_an_answer_has_clean_headers(
        body in "\\PC{0,80}", query in "[ -~]{0,60}", value in "[ -~]{1,40}", is_post in any::<bool>(),
    ) {
        let kinds = [
            Handshake::AdobeSign, Handshake::Asana, Handshake::Braintree, Handshake::Discord, Handshake::Ebay,
            Handshake::EchoParameter("challenge"), Handshake::EchoHeader("validation-token"), Handshake::Meta,
            Handshake::MicrosoftGraph, Handshake::Monday, Handshake::Notion, Handshake::Okta, Handshake::Slack,
            Handshake::Smartsheet, Handshake::Sns, Handshake::Strava, Handshake::Twitch, Handshake::Woocommerce,
            Handshake::X, Handshake::Zoom,
        ];
        let headers = [
            ("x-hook-secret", value.as_str()), ("validation-token", &value), ("smartsheet-hook-challenge", &value),
            ("x-okta-verification-challenge", &value), ("x-adobesign-clientid", &value),
        ];
        let method = if is_post { "POST" } else { "GET" };
        for kind in kinds {
            for query in [query.clone(), format!("challenge={query}&crc_token={query}&validationToken={query}")] {
                let given = Given::new(method, &format!("{URL}?{query}"), &headers, body.as_bytes());
                let own = json!({"secret": "k", "verifyToken": "t", "clientId": value, "publicKeyId": "p"});
                if let Some(Ok(reply)) = ask(kind, own, &given, false) {
                    for (_, value) in &reply.headers {
                        prop_assert!(http::HeaderValue::from_str(value).is_ok());
                    }
                }
            }
        }
    }
}
