use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::receive::reading;
use crate::receive::tests_families::{Files, Given, rejected, settings};

const NOW_MS: i64 = 1_760_000_000_000;
const URL: &str = "https://hooks.posthouse.test/in/abc?x=1";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn judge(scheme: Canonical, own: serde_json::Value, given: &Given) -> Result<(), Failure> {
    let files = Files::default();
    let context = Context { now_ms: NOW_MS, fetched: &files, is_registered: false, explains: true };
    verify(&scheme, &settings(own), &given.request(), &context)
}

fn sha1(key: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, message.as_bytes()))
}

fn sha256(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

#[test]
fn twilio_signs_fields_once_in_order_with_and_without_port() {
    let body = b"b=2&a=%C3%9C+&b=1&b=2&c";
    for url in [URL, "https://hooks.posthouse.test:443/in/abc?x=1"] {
        let signature = sha1("token", &format!("{url}aÜ b1b2c"));
        for seen in [URL, "https://hooks.posthouse.test:443/in/abc?x=1"] {
            let given = Given::new("POST", seen, &[FORM, ("x-twilio-signature", &signature)], body);
            assert_eq!(judge(Canonical::Twilio, json!({"secrets": ["old", "token"]}), &given), Ok(()), "{seen}");
            assert_eq!(judge(Canonical::Twilio, json!({"secret": "old"}), &given), rejected(Cause::SignatureMismatch));
        }
    }
    let given = Given::new("POST", URL, &[FORM], body);
    assert_eq!(judge(Canonical::Twilio, json!({"secret": "token"}), &given), rejected(Cause::MissingHeader));
}

#[test]
fn twilio_binds_json_by_its_hash_and_no_body_is_left_out() {
    let body = br#"{"a":1}"#;
    let url = format!("{URL}&bodySHA256={}", reading::sha256_hex(&[body]));
    let signature = sha1("token", &url);
    let headers = [("content-type", "application/json"), ("x-twilio-signature", signature.as_str())];
    let own = || json!({"secret": "token"});
    assert_eq!(judge(Canonical::Twilio, own(), &Given::new("POST", &url, &headers, body)), Ok(()));
    let altered = Given::new("POST", &url, &headers, b"{}");
    assert_eq!(judge(Canonical::Twilio, own(), &altered), rejected(Cause::BodyHashMismatch));
    // Without a hash in the URL, the URL's signature says nothing about a body.
    let signature = sha1("token", URL);
    let headers = [("content-type", "application/json"), ("x-twilio-signature", signature.as_str())];
    assert_eq!(judge(Canonical::Twilio, own(), &Given::new("GET", URL, &headers, b"")), Ok(()));
    let unbound = Given::new("POST", URL, &headers, body);
    assert_eq!(judge(Canonical::Twilio, own(), &unbound), rejected(Cause::SignatureMismatch));
}

#[test]
fn twilios_algorithm_is_the_configured_one() {
    let signature = STANDARD.encode(sha256(b"key", &format!("{URL}a1")));
    let make = |named: &str| {
        let headers = [FORM, ("x-twilio-signature", &signature), ("x-twilio-webhooks-signature-settings", named)];
        Given::new("POST", URL, &headers, b"a=1")
    };
    let shared = make("key=k1,algorithm=HMAC_SHA256");
    assert_eq!(judge(Canonical::Twilio, json!({"secret": "key", "algorithm": "HMAC_SHA256"}), &shared), Ok(()));
    let unsupported = rejected(Cause::UnsupportedAlgorithm);
    for own in [json!({"secret": "key"}), json!({"secret": "key", "algorithm": "HMAC_SHA1"})] {
        assert_eq!(judge(Canonical::Twilio, own, &shared), unsupported, "the request chooses nothing");
    }
    assert_eq!(judge(Canonical::Twilio, json!({"secret": "key"}), &make("algorithm=HMAC_MD5")), unsupported);
    let downgraded = make("key=k1");
    assert_eq!(
        judge(Canonical::Twilio, json!({"secret": "key", "algorithm": "HMAC_SHA256"}), &downgraded),
        unsupported
    );
}

#[test]
fn mandrill_signs_its_form() {
    let signature = sha1("key", &format!("{URL}mandrill_events[]"));
    let given = Given::new("POST", URL, &[FORM, ("x-mandrill-signature", &signature)], b"mandrill_events=%5B%5D");
    assert_eq!(judge(Canonical::Mandrill, json!({"secret": "key"}), &given), Ok(()));
    let altered = Given { body: b"mandrill_events=%5B1%5D".to_vec(), ..given };
    assert_eq!(judge(Canonical::Mandrill, json!({"secret": "key"}), &altered), rejected(Cause::SignatureMismatch));
}

fn mailgun(content_type: &str, body: &str) -> Result<(), Failure> {
    let given = Given::post(&[("content-type", content_type)], body.as_bytes());
    judge(Canonical::Mailgun, json!({"secret": "key", "toleranceSeconds": 60}), &given)
}

#[test]
fn mailgun_is_read_from_json_forms_and_multipart() {
    let signature = reading::hex(sha256(b"key", "1760000000t").as_ref());
    let json = json!({"signature": {"timestamp": "1760000000", "token": "t", "signature": signature}}).to_string();
    assert_eq!(mailgun("application/json", &json), Ok(()));
    let form = format!("token=t&timestamp=1760000000&signature={signature}");
    assert_eq!(mailgun("application/x-www-form-urlencoded; charset=utf-8", &form), Ok(()));
    let part =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parts = [part("token", "t"), part("timestamp", "1760000000"), part("signature", &signature)].concat();
    assert_eq!(mailgun("multipart/form-data; boundary=x", &format!("{parts}--x--\r\n")), Ok(()));
    assert_eq!(
        mailgun("multipart/form-data; boundary=y", &format!("{parts}--x--\r\n")),
        rejected(Cause::MalformedBody)
    );
    let twice = form.replace("token=t", "token=t&token=u");
    assert_eq!(mailgun("application/x-www-form-urlencoded", &twice), rejected(Cause::MalformedBody));
    let twice = format!("{parts}{}--x--\r\n", part("token", "u"));
    assert_eq!(mailgun("multipart/form-data; boundary=x", &twice), rejected(Cause::MalformedBody));
    let padded = format!("{parts}{}--x--\r\n", part("token", "u").replace("--x\r\n", "--x \r\n"));
    assert_eq!(mailgun("multipart/form-data; boundary=x", &padded), rejected(Cause::MalformedBody));
    assert_eq!(mailgun("application/json", "{\"signature\":{}}"), rejected(Cause::MalformedBody));
    assert_eq!(mailgun("application/json", ""), rejected(Cause::MalformedBody));
    assert_eq!(
        mailgun("application/json", &json.replace("1760000000", "yesterday")),
        rejected(Cause::MalformedTimestamp)
    );
    let old = json!({"signature": {
        "timestamp": 1_759_999_900, "token": "t",
        "signature": reading::hex(sha256(b"key", "1759999900t").as_ref()),
    }});
    assert_eq!(mailgun("application/json", &old.to_string()), rejected(Cause::TimestampExpired));
}

fn adyen_item(value: i64, signature: Option<&str>) -> serde_json::Value {
    json!({"NotificationRequestItem": {
        "pspReference": "p", "merchantAccountCode": "m", "merchantReference": "r",
        "amount": {"value": value, "currency": "EUR"}, "eventCode": "AUTHORISATION", "success": true,
        "additionalData": signature.map_or_else(|| json!({}), |signature| json!({"hmacSignature": signature})),
    }})
}

#[test]
fn adyen_verifies_every_item() {
    let signature = STANDARD.encode(sha256(&[0xab, 0xcd], "p::m:r:5:EUR:AUTHORISATION:true"));
    let judge_items = |items: serde_json::Value| {
        let body = json!({"notificationItems": items}).to_string();
        judge(Canonical::Adyen, json!({"secrets": ["not hex", "abCD"]}), &Given::post(&[], body.as_bytes()))
    };
    let good = || adyen_item(5, Some(&signature));
    assert_eq!(judge_items(json!([good(), good()])), Ok(()));
    assert_eq!(judge_items(json!([good(), adyen_item(6, Some(&signature))])), rejected(Cause::SignatureMismatch));
    assert_eq!(judge_items(json!([good(), adyen_item(5, None)])), rejected(Cause::MissingSignature));
    assert_eq!(judge_items(json!([])), rejected(Cause::MalformedBody));
    let none = Given::post(&[], b"[]");
    assert_eq!(judge(Canonical::Adyen, json!({"secret": "ab"}), &none), rejected(Cause::MalformedBody));
}

#[test]
fn braintree_takes_no_payload_that_could_be_a_challenge() {
    let own = || json!({"secret": "private", "publicKeyId": "public"});
    let judge_form = |signature: &str, payload: &str| {
        judge(
            Canonical::Braintree,
            own(),
            &Given::post(&[FORM], format!("bt_signature={signature}&bt_payload={payload}").as_bytes()),
        )
    };
    let signed = |payload: &str| braintree::challenge_reply("public", "private", payload).replace('|', "%7C");
    assert_eq!(judge_form(&signed("PGE+\n"), "PGE%2B%0A"), Ok(()));
    assert_eq!(judge_form(&format!("other%7Cab%26{}", signed("PGE+\n")), "PGE%2B"), Ok(()), "a line end was lost");
    assert_eq!(judge_form(&signed("PGE+"), "PGF%2B"), rejected(Cause::SignatureMismatch));
    assert_eq!(judge_form("other%7Cab", "PGE%2B"), rejected(Cause::UnknownKey));
    assert_eq!(judge_form("ab", "PGE%2B"), rejected(Cause::MalformedBody));
    assert_eq!(judge_form(&signed("<a>"), "%3Ca%3E"), rejected(Cause::MalformedBody));
    let good = format!("bt_signature={}&bt_payload=PGE%2B%0A", signed("PGE+\n"));
    let judge_body = |kind: &str, body: &str| {
        judge(Canonical::Braintree, own(), &Given::post(&[("content-type", kind)], body.as_bytes()))
    };
    assert_eq!(judge_body(FORM.1, &good), Ok(()));
    for second in ["bt_payload=PGF%2B%0A", "bt%5Fpayload=PGF%2B%0A", "bt_signature=public%7Cab"] {
        let (before, behind) = (format!("{second}&{good}"), format!("{good}&{second}"));
        assert_eq!(judge_body(FORM.1, &before), rejected(Cause::MalformedBody), "{before}");
        assert_eq!(judge_body(FORM.1, &behind), rejected(Cause::MalformedBody), "{behind}");
    }
    let both = format!("{{\"bt_payload\":\"evil\",\"a\":\"&{good}&\"}}");
    assert_eq!(judge_body("application/json", &both), rejected(Cause::MalformedBody), "not what the application reads");
    let challenge = "20f9f8ed05f77439fe955c977e4c8a53";
    assert_eq!(judge_form(&signed(challenge), challenge), rejected(Cause::MalformedBody));
}

fn contentful(now_ms: i64, change: impl Fn(Given) -> Given) -> Result<(), Failure> {
    let list = "x-contentful-signed-headers,x-contentful-timestamp,x-topic";
    let head = format!(
        "POST\n/in/abc\nx-contentful-signed-headers:{list};x-contentful-timestamp:1760000000000;x-topic:t\n{{}}"
    );
    let signature = reading::hex(sha256(b"key", &head).as_ref());
    let headers = [
        ("x-contentful-signed-headers", "x-topic,x-contentful-timestamp,x-contentful-signed-headers"),
        ("x-contentful-timestamp", "1760000000000"),
        ("x-topic", "t"),
        ("x-contentful-signature", &signature),
    ];
    let files = Files::default();
    let context = Context { now_ms, fetched: &files, is_registered: false, explains: true };
    let given = change(Given::post(&headers, b"{}"));
    verify(&Canonical::Contentful, &settings(json!({"secret": "key"})), &given.request(), &context)
}

#[test]
fn contentful_signs_the_headers_it_names_for_thirty_seconds() {
    assert_eq!(contentful(NOW_MS + 29_999, |given| given), Ok(()));
    assert_eq!(contentful(NOW_MS + 30_000, |given| given), rejected(Cause::TimestampExpired));
    assert_eq!(contentful(NOW_MS - 900_000, |given| given), Ok(()), "the future has no limit");
    let mismatch = rejected(Cause::SignatureMismatch);
    assert_eq!(contentful(NOW_MS, |given| given.with("x-topic", "u")), mismatch);
    assert_eq!(contentful(NOW_MS, |given| given.without("x-topic")), mismatch);
    assert_eq!(contentful(NOW_MS, |given| Given { body: b"{ }".to_vec(), ..given }), mismatch);
    let missing = rejected(Cause::MissingHeader);
    assert_eq!(contentful(NOW_MS, |given| given.without("x-contentful-timestamp")), missing);
    let malformed = rejected(Cause::MalformedTimestamp);
    assert_eq!(contentful(NOW_MS, |given| given.with("x-contentful-timestamp", "now")), malformed);
    let frame = rejected(Cause::MalformedHeader);
    assert_eq!(contentful(NOW_MS, |given| given.with("x-contentful-signed-headers", "x-topic")), frame);
}

#[test]
fn an_empty_secret_opens_nothing() {
    let signature = reading::sha256_hex(&[b"{}"]);
    let given = Given::new("POST", URL, &[("x-hubspot-signature", &signature)], b"{}");
    assert_eq!(judge(Canonical::HubspotV1, json!({"secret": ""}), &given), rejected(Cause::SignatureMismatch));
}

#[test]
fn hubspots_versions_do_not_stand_in_for_each_other() {
    let v1 = reading::sha256_hex(&[b"key", b"{}"]);
    let v2 = reading::sha256_hex(&[b"key", b"POST", URL.as_bytes(), b"{}"]);
    let judge_as = |scheme, signature: &str| {
        let given = Given::new("POST", URL, &[("x-hubspot-signature", signature)], b"{}");
        judge(scheme, json!({"secret": "key"}), &given)
    };
    assert_eq!(judge_as(Canonical::HubspotV1, &v1), Ok(()));
    assert_eq!(judge_as(Canonical::HubspotV2, &v2), Ok(()));
    assert_eq!(judge_as(Canonical::HubspotV1, &v2), rejected(Cause::SignatureMismatch));
    assert_eq!(judge_as(Canonical::HubspotV2, &v1), rejected(Cause::SignatureMismatch));
    assert_eq!(judge_as(Canonical::HubspotV2, ""), rejected(Cause::MissingHeader));
}

proptest! {
    #[test]
    fn any_body_and_header_is_refused_without_harm(
        body in prop::collection::vec(any::<u8>(), 0..300),
        text in "[ -~]{1,80}",
        multipart in "(--x(\r\n[a-z:\";= ]{0,9}){0,4}){0,5}",
    ) {
        let types = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
        let schemes = [
            Canonical::Adyen, Canonical::Braintree, Canonical::Contentful, Canonical::HubspotV1,
            Canonical::HubspotV2, Canonical::Mailgun, Canonical::Mandrill, Canonical::Twilio,
        ];
        for (scheme, kind) in schemes.into_iter().flat_map(|scheme| types.map(|kind| (scheme, kind))) {
            for body in [&body[..], multipart.as_bytes()] {
                let headers = [
                    ("content-type", kind), ("x-twilio-signature", &text), ("x-mandrill-signature", &text),
                    ("x-hubspot-signature", &text), ("x-contentful-signature", &text),
                    ("x-contentful-signed-headers", &text), ("x-contentful-timestamp", "1760000000000"),
                ];
                let given = Given::new("POST", &text, &headers, body);
                let verdict = judge(scheme, json!({"secret": "ab", "publicKeyId": "k"}), &given);
                prop_assert!(verdict.is_err());
            }
        }
    }
}
