//! Libraries of providers with a public key, a certificate or a token, and of those that sign fields put
//! together.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Value, json};

use super::{Case, Libraries};
use crate::support::{AT_MS, BODY, Made, OTHER_SECRET, SECRET};

/// A case that its library has signed, and the wrong configuration that the library names.
fn signed(of: &str, mut case: Case) -> (Case, Value) {
    let answer = Libraries::sign(of, &mut case).unwrap_or_else(|| panic!("{of} did not sign"));
    (case, answer["wrong"].clone())
}

/// With a shared secret, which the library is told as well.
fn with_secret(made: Made, config: Value) -> Case {
    let asked = json!({ "secret": config["secret"] });
    Case { made, config, asked, now_ms: AT_MS }
}

/// The same where the source has another secret.
fn with_other_secret(case: &Case, other: &str) -> Case {
    let mut config = case.config.clone();
    config["secret"] = json!(other);
    case.configured(config, json!({ "secret": other }))
}

/// The same where the source has two secrets, and the library the one of the two that is right.
fn with_both_secrets(case: &Case, other: &str) -> Case {
    let mut config = case.config.clone();
    config["secrets"] = json!([other, config["secret"]]);
    config.as_object_mut().expect("an object").remove("secret");
    Case { config, ..case.clone() }
}

/// Each header that carries the signature is needed.
fn check_headers(libraries: &mut Libraries, of: &str, case: &Case) {
    let names: Vec<_> = case.made.headers.keys().filter(|name| *name != "content-type").cloned().collect();
    for name in names {
        let without = case.with(|made| drop(made.headers.remove(&name)));
        libraries.check(of, "missing header", &without, false);
    }
}

/// A change of some text in the body.
fn replaced(case: &Case, from: &str, to: &str) -> Case {
    let body = String::from_utf8(case.made.body.clone()).expect("text");
    assert!(body.contains(from), "{from} in {body}");
    case.with(|made| made.body = body.replacen(from, to, 1).into_bytes())
}

/// The body as another writer of JSON has it.
fn written_again(case: &Case) -> Case {
    let body: Value = serde_json::from_slice(&case.made.body).expect("JSON");
    case.with(|made| made.body = body.to_string().into_bytes())
}

#[test]
fn the_providers_libraries_agree_on_public_keys() {
    let mut libraries = Libraries::default();
    // How old, and how far ahead, in seconds.
    let windows = [("discord", None, None), ("sendgrid", None, None), ("telnyx", Some(300), Some(300))];
    for (of, past, future) in windows {
        for (name, body) in [("no ASCII", "{\"name\":\"Ünïcødé \u{1f4ee}\"}\r\n"), ("empty", "")] {
            let (case, _) = signed(of, Case::new(body.as_bytes(), json!({}), json!({})));
            libraries.check(of, name, &case, true);
        }
        let (case, wrong) = signed(of, Case::new(BODY.as_bytes(), json!({}), json!({})));
        libraries.check(of, "valid", &case, true);
        libraries.check(of, "tampered body", &replaced(&case, "evt_1", "evt_2"), false);
        libraries.check(of, "body written again", &written_again(&case), false);
        libraries.check(of, "wrong key", &case.configured(wrong, json!({})), false);
        check_headers(&mut libraries, of, &case);
        let other_time = case.with(|made| {
            let name = made.headers.keys().find(|name| name.as_str().ends_with("timestamp")).expect("a time").clone();
            made.set(name.as_str(), "1760000001");
        });
        libraries.check(of, "other time", &other_time, false);
        libraries.check(of, "at the limit", &case.later(past.unwrap_or(86_400)), true);
        if let (Some(past), Some(future)) = (past, future) {
            libraries.check(of, "expired", &case.later(past + 1), false);
            libraries.check(of, "in the future", &case.later(-future - 1), false);
        }
    }
    libraries.finish(&windows.map(|(of, _, _)| of));
}

#[test]
fn twilios_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "twilio");
    let form = "application/x-www-form-urlencoded";
    let bodies = [
        ("a form", form, "SmsSid=SM1&From=%2B15017122661&Body=caf%C3%A9+%E2%9C%93&Empty=&evt=evt_1"),
        ("a field twice", form, "evt=evt_1&evt=evt_0&evt=evt_1&A=1"),
        ("JSON", "application/json", BODY),
    ];
    for (name, content_type, body) in bodies {
        let mut made = Made::new(body.as_bytes());
        made.set("content-type", content_type);
        let (case, _) = signed(of, with_secret(made, json!({ "secret": SECRET })));
        libraries.check(of, name, &case, true);
        libraries.check(of, "tampered body", &replaced(&case, "evt_1", "evt_2"), false);
        libraries.check(of, "wrong secret", &with_other_secret(&case, OTHER_SECRET), false);
        libraries.check(of, "rotated secret", &with_both_secrets(&case, OTHER_SECRET), true);
        libraries.check(of, "other URL", &case.with(|made| made.url = made.url.replace("/abc", "/abd")), false);
        let with_port = case.with(|made| made.url = made.url.replace(".com/", ".com:443/"));
        libraries.check(of, "with its port", &with_port, true);
        check_headers(&mut libraries, of, &case);
    }
    let mut empty = Made::new(b"");
    empty.set("content-type", form);
    let (case, _) = signed(of, with_secret(empty, json!({ "secret": SECRET })));
    libraries.check(of, "empty", &case, true);
    libraries.finish(&[of]);
}

#[test]
fn adyens_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "adyen");
    let (secret, other) = ("44782DEF547AAA06C910C43932B1EB0C", "54782DEF547AAA06C910C43932B1EB0C");
    let item = |reference: &str| {
        json!({ "NotificationRequestItem": {
            "pspReference": reference, "originalReference": "o:1", "merchantAccountCode": "Müller", "success": "true",
            "merchantReference": "m/1", "amount": { "value": 1130, "currency": "EUR" }, "eventCode": "AUTHORISATION",
        } })
    };
    let body = json!({ "live": "false", "notificationItems": [item("evt_1"), item("evt_3")] }).to_string();
    let (case, _) = signed(of, with_secret(Made::new(body.as_bytes()), json!({ "secret": secret })));
    libraries.check(of, "valid", &case, true);
    libraries.check(of, "body written again", &written_again(&case), true);
    libraries.check(of, "tampered item", &replaced(&case, "evt_1", "evt_2"), false);
    libraries.check(of, "tampered second item", &replaced(&case, "evt_3", "evt_2"), false);
    libraries.check(of, "tampered amount", &replaced(&case, "1130", "1131"), false);
    libraries.check(of, "no signature", &replaced(&case, "hmacSignature", "other"), false);
    libraries.check(of, "wrong secret", &with_other_secret(&case, other), false);
    libraries.check(of, "rotated secret", &with_both_secrets(&case, other), true);
    libraries.finish(&[of]);
}

#[test]
fn braintrees_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "braintree");
    let config = json!({ "secret": SECRET, "publicKeyId": "public_1" });
    let mut made = Made::new(b"");
    made.set("content-type", "application/x-www-form-urlencoded");
    let (case, _) = signed(of, with_secret(made, config));
    libraries.check(of, "valid", &case, true);
    libraries.check(of, "tampered payload", &replaced(&case, "bt_payload=PG", "bt_payload=PH"), false);
    libraries.check(of, "other public key", &replaced(&case, "public_1", "public_2"), false);
    libraries.check(of, "no signature", &replaced(&case, "bt_signature", "other"), false);
    libraries.check(of, "wrong secret", &with_other_secret(&case, OTHER_SECRET), false);
    libraries.check(of, "rotated secret", &with_both_secrets(&case, OTHER_SECRET), true);
    let several = replaced(&case, "bt_signature=", "bt_signature=public_0%7C0000%26");
    libraries.check(of, "several, last", &several, true);
    libraries.finish(&[of]);
}

#[test]
fn contentfuls_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "contentful");
    // Its library takes 64 characters only.
    let (secret, other) = ("s".repeat(64), "o".repeat(64));
    for body in [BODY, "", "{\"name\":\"Ünïcødé\"}"] {
        let mut made = Made::new(body.as_bytes());
        made.url = "https://hooks.example.com/in/abc/d%20e?x=1&y=a%2Fb".to_owned();
        made.set("x-contentful-topic", "ContentManagement.Entry.publish");
        let (case, _) = signed(of, with_secret(made, json!({ "secret": secret })));
        libraries.check(of, "valid", &case, true);
        libraries.check(of, "tampered body", &case.with(|made| made.body.push(b' ')), false);
        libraries.check(of, "other path", &case.with(|made| made.url = made.url.replace("/abc", "/abd")), false);
        libraries.check(of, "other query", &case.with(|made| made.url = made.url.replace("x=1", "x=2")), false);
        libraries.check(of, "other topic", &case.with(|made| made.set("x-contentful-topic", "other")), false);
        libraries.check(of, "wrong secret", &with_other_secret(&case, &other), false);
        libraries.check(of, "rotated secret", &with_both_secrets(&case, &other), true);
        libraries.check(of, "at the limit", &case.later(29), true);
        libraries.check(of, "expired", &case.later(30), false);
        check_headers(&mut libraries, of, &case);
    }
    libraries.finish(&[of]);
}

#[test]
fn atlassians_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "atlassian-connect");
    let mut made = Made::new(BODY.as_bytes());
    made.url = "https://hooks.example.com/in/abc?b=2&a=x%20y&a=%C3%A9&jwt=none".to_owned();
    let (case, _) = signed(of, with_secret(made, json!({ "secret": SECRET })));
    libraries.check(of, "valid", &case, true);
    libraries.check(of, "other query", &case.with(|made| made.url = made.url.replace("b=2", "b=3")), false);
    libraries.check(of, "other method", &case.with(|made| made.method = http::Method::PUT), false);
    libraries.check(of, "wrong secret", &with_other_secret(&case, OTHER_SECRET), false);
    libraries.check(of, "rotated secret", &with_both_secrets(&case, OTHER_SECRET), true);
    libraries.check(of, "before its end", &case.later(179), true);
    libraries.check(of, "expired", &case.later(180), false);
    libraries.finish(&[of]);
}

#[test]
fn googles_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "google-pubsub");
    let right = json!({
        "iss": "https://accounts.google.com", "aud": "https://a.example/in", "email_verified": true,
        "email": "push@a.iam.gserviceaccount.com",
    });
    let signed_with = |claims: Value| {
        let asked = json!({ "claims": claims });
        signed(of, Case::new(BODY.as_bytes(), json!({}), asked))
    };
    let (case, wrong) = signed_with(right.clone());
    let others = [
        ("iss", json!("https://a.example")),
        ("aud", json!("b")),
        ("email", json!("b")),
        ("email_verified", json!(false)),
    ];
    let others = others.map(|(name, value)| {
        let mut claims = right.clone();
        claims[name] = value;
        (name, signed_with(claims).0)
    });
    libraries.check(of, "valid", &case, true);
    libraries.check(of, "wrong key", &case.configured(wrong, json!({})), false);
    check_headers(&mut libraries, of, &case);
    for (name, other) in &others {
        libraries.check(of, &format!("other {name}"), other, false);
    }
    // An hour, and five minutes for clocks that differ.
    libraries.check(of, "before its end", &case.later(3_899), true);
    libraries.check(of, "expired", &case.later(3_901), false);
    libraries.check(of, "ahead at the limit", &case.later(-299), true);
    libraries.check(of, "in the future", &case.later(-301), false);
    libraries.finish(&[of]);
}

/// A certificate as SNS has it, and its private key, both in PEM.
fn sns_certificate() -> [String; 2] {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "sns.amazonaws.com");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    [params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem()]
}

#[test]
fn snss_library_agrees() {
    let (mut libraries, of) = (Libraries::default(), "aws-sns");
    let [certificate, private_key] = sns_certificate();
    let [other_certificate, _] = sns_certificate();
    let topic = "arn:aws:sns:eu-central-1:1:t";
    let url = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem";
    let plain = json!({
        "Type": "Notification", "MessageId": "evt_1", "TopicArn": topic, "Message": "{\"a\": \"\u{fc}\"}\n",
        "Timestamp": "2025-10-09T08:53:20.000Z", "SigningCertURL": url, "UnsubscribeURL": "https://a.example",
    });
    for version in ["1", "2"] {
        for subject in [None, Some("about")] {
            let mut message = plain.clone();
            if let Some(subject) = subject {
                message["Subject"] = json!(subject);
            }
            let asked = json!({ "version": version, "private_key": private_key, "certificate": certificate });
            let case = Case::new(message.to_string().as_bytes(), json!({ "topicArns": topic }), asked.clone());
            let (mut case, _) = signed(of, case);
            case.made.fetched = vec![(url.to_owned(), certificate.clone().into_bytes())];
            libraries.check(of, "valid", &case, true);
            libraries.check(of, "body written again", &written_again(&case), true);
            libraries.check(of, "tampered body", &replaced(&case, "evt_1", "evt_2"), false);
            libraries.check(of, "tampered message", &replaced(&case, "ü", "u"), false);
            libraries.check(
                of,
                "other version",
                &replaced(&case, "\"SignatureVersion\": \"", "\"SignatureVersion\": \"0"),
                false,
            );
            libraries.check(of, "other host", &replaced(&case, "//sns.eu", "//sms.eu"), false);
            libraries.check(of, "no signature", &replaced(&case, "\"Signature\"", "\"Other\""), false);
            libraries.check(of, "no topic", &replaced(&case, "\"TopicArn\"", "\"Other\""), false);
        }
    }
    // The library keeps a certificate by its URL.
    let other_url = url.replace("-1.pem", "-2.pem");
    let mut message = plain;
    message["SigningCertURL"] = json!(other_url);
    let asked = json!({ "version": "2", "private_key": private_key, "certificate": other_certificate });
    let case = Case::new(message.to_string().as_bytes(), json!({ "topicArns": topic }), asked);
    let (mut case, _) = signed(of, case);
    case.made.fetched = vec![(other_url, other_certificate.into_bytes())];
    libraries.check(of, "wrong certificate", &case, false);
    libraries.finish(&[of]);
}
