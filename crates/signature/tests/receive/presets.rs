//! Every preset that can be signed for: what it accepts, and with which cause it refuses.

use crate::support::{AT_MS, BODY, Made, OTHER_SECRET, SECRET, TOLERANCE_S, config, verifier};
use posthouse_signature::receive::{self, Cause, Signed, Verdict, Verifier};

/// Schemes that look at the past only, as their providers' libraries do.
const ANY_FUTURE: [&str; 4] = ["stripe", "paddle", "hubspot-v3", "twitch"];
/// Schemes whose timestamp is not judged by its distance.
const NO_WINDOW: [&str; 1] = ["checkbook"];

/// Calls with each scheme, its verifier, a request that it signed, and what that added.
fn each(mut check: impl FnMut(&str, &Verifier, &Made, &Signed)) -> usize {
    let mut names: Vec<&str> = receive::all().flat_map(receive::SourceType::scheme_names).collect();
    names.sort_unstable();
    names.dedup();
    let mut checked = 0;
    for name in names {
        let Some(verifier) = verifier(name, &[SECRET]) else {
            continue;
        };
        if let Some((made, signed)) = Made::signed(&verifier, BODY.as_bytes()) {
            check(name, &verifier, &made, &signed);
            checked += 1;
        }
    }
    checked
}

/// Whether the scheme is one of those that carry a token, and leave the body unsigned.
fn is_token(verifier: &Verifier, made: &Made) -> bool {
    let mut other = made.clone();
    other.body = b"{}".to_vec();
    other.set("x-other", "1");
    // A keyed hash differs for another body; a token is the same.
    let (_, signed) = Made::signed(verifier, b"{}").expect("signed");
    let (_, again) = Made::signed(verifier, BODY.as_bytes()).expect("signed");
    signed == again
}

#[test]
fn what_is_signed_is_accepted_and_nothing_else() {
    let checked = each(|name, verifier, made, _| {
        assert_eq!(made.cause(verifier, AT_MS), None, "{name}");
        let mut tampered = made.clone();
        tampered.body = BODY.replace("evt_1", "evt_2").into_bytes();
        let expected = if is_token(verifier, made) { None } else { Some(Cause::SignatureMismatch) };
        assert_eq!(tampered.cause(verifier, AT_MS), expected, "{name}: tampered");
        let again: serde_json::Value = serde_json::from_str(BODY).expect("JSON");
        tampered.body = again.to_string().into_bytes();
        assert_eq!(tampered.cause(verifier, AT_MS), expected, "{name}: written again");
        let other = crate::support::verifier(name, &[OTHER_SECRET]).expect("a verifier");
        let expected = if expected.is_none() { Cause::TokenMismatch } else { Cause::SignatureMismatch };
        assert_eq!(made.cause(&other, AT_MS), Some(expected), "{name}: wrong secret");
    });
    assert!(checked >= 60, "{checked} schemes");
}

#[test]
fn a_header_that_is_missing_or_empty_is_named() {
    each(|name, verifier, made, signed| {
        for (header, _) in &signed.headers {
            let mut without = made.clone();
            without.headers.remove(header.as_str());
            assert_eq!(without.cause(verifier, AT_MS), Some(Cause::MissingHeader), "{name}: no {header}");
            without.set(header, " ");
            let Verdict::Rejected(rejection) = without.judged(verifier, AT_MS) else {
                panic!("{name}: accepted without {header}");
            };
            assert_eq!(rejection.cause, Cause::MissingHeader, "{name}: empty {header}");
        }
        if signed.query.is_some() {
            let without = Made { url: "https://hooks.example.com/in/abc".to_owned(), ..made.clone() };
            assert_eq!(without.cause(verifier, AT_MS), Some(Cause::MissingHeader), "{name}: no parameter");
        }
    });
}

#[test]
fn a_timestamp_is_judged_at_the_limits_of_its_window() {
    let mut stamped = 0;
    each(|name, verifier, made, _| {
        let (window_ms, step_ms) = (TOLERANCE_S * 1_000, 1_000);
        assert_eq!(made.cause(verifier, AT_MS + window_ms), None, "{name}: at the limit");
        assert_eq!(made.cause(verifier, AT_MS - window_ms), None, "{name}: at the limit ahead");
        let is_stamped = is_stamped(name);
        stamped += usize::from(is_stamped);
        let expired = is_stamped.then_some(Cause::TimestampExpired);
        assert_eq!(made.cause(verifier, AT_MS + window_ms + step_ms), expired, "{name}: expired");
        let is_future_judged = is_stamped && !ANY_FUTURE.contains(&name);
        let future = is_future_judged.then_some(Cause::TimestampInFuture);
        assert_eq!(made.cause(verifier, AT_MS - window_ms - step_ms), future, "{name}: in the future");
    });
    assert!(stamped >= 20, "{stamped} schemes with a time");
}

/// Whether a scheme has a time, told by its taking a window.
fn is_stamped(scheme: &str) -> bool {
    let takes = |field: &str| {
        let mut config = config(scheme, &[SECRET]);
        config.insert(field.to_owned(), TOLERANCE_S.into());
        Verifier::for_scheme(scheme, config).is_ok()
    };
    let is_generic = scheme == "generic-hmac" || scheme.ends_with("-token");
    !NO_WINDOW.contains(&scheme) && !is_generic && (takes("toleranceSeconds") || takes("timestampGraceSeconds"))
}

#[test]
fn a_timestamp_of_another_form_is_told_before_the_signature() {
    each(|name, verifier, made, signed| {
        for (header, value) in &signed.headers {
            let is_time = header.contains("timestamp");
            if is_time {
                let mut other = made.clone();
                other.set(header, &format!("{value}x"));
                assert_eq!(other.cause(verifier, AT_MS), Some(Cause::MalformedTimestamp), "{name}");
            }
        }
    });
    let stripe = verifier("stripe", &[SECRET]).expect("stripe");
    let (mut made, _) = Made::signed(&stripe, BODY.as_bytes()).expect("signed");
    made.set("stripe-signature", "t=soon,v1=00");
    assert_eq!(made.cause(&stripe, AT_MS), Some(Cause::MalformedTimestamp));
}

#[test]
fn any_body_is_signed_byte_for_byte() {
    let bodies: [&[u8]; 5] =
        [b"", "{\"name\":\"Ünïcødé ✓\"}".as_bytes(), b"\xff\xfe\x00\x01", b"a=1&b=%20", b"{\"a\" : 1.0 }\r\n"];
    each(|name, verifier, _, _| {
        for body in bodies {
            let (made, _) = Made::signed(verifier, body).expect("signed");
            let judged = made.cause(verifier, AT_MS);
            if name == "linear" {
                // The time is in the body, which these have not.
                assert!(matches!(judged, Some(Cause::MalformedBody | Cause::MissingTimestamp)), "{judged:?}");
            } else {
                assert_eq!(judged, None, "{name}: {body:?}");
            }
        }
    });
}

#[test]
fn while_a_secret_is_replaced_both_are_accepted() {
    each(|name, _, made, _| {
        for secrets in [[SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET]] {
            let both = verifier(name, &secrets).expect("a verifier");
            assert_eq!(made.cause(&both, AT_MS), None, "{name}");
        }
    });
}

#[test]
fn any_of_several_signatures_is_enough() {
    let lists = [
        ("stripe", "stripe-signature", "v1=", ","),
        ("paddle", "paddle-signature", "h1=", ";"),
        ("pagerduty", "x-pagerduty-signature", "v1=", ","),
        ("circleci", "circleci-signature", "v1=", ","),
        ("standard-webhooks", "webhook-signature", "v1,", " "),
        ("svix", "svix-signature", "v1,", " "),
        ("gitlab-signing", "webhook-signature", "v1,", " "),
    ];
    for (scheme, header, key, separator) in lists {
        let verifier = verifier(scheme, &[SECRET]).expect("a verifier");
        let (made, signed) = Made::signed(&verifier, BODY.as_bytes()).expect("signed");
        let (_, value) = signed.headers.iter().find(|(name, _)| name == header).expect("the signature");
        let other = format!("{key}0000");
        for several in [format!("{value}{separator}{other}"), value.replace(key, &format!("{other}{separator}{key}"))] {
            let mut made = made.clone();
            made.set(header, &several);
            assert_eq!(made.cause(&verifier, AT_MS), None, "{scheme}: {several}");
        }
        let mut made = made.clone();
        let versions = if key == "h1=" { "h0=" } else { &key.replace('1', "0") };
        made.set(header, &value.replace(key, versions));
        assert_eq!(made.cause(&verifier, AT_MS), Some(Cause::UnsupportedVersion), "{scheme}");
    }
    let docusign = verifier("docusign", &[SECRET]).expect("docusign");
    let (mut made, signed) = Made::signed(&docusign, BODY.as_bytes()).expect("signed");
    made.set("x-docusign-signature-1", "AAAA");
    assert_eq!(made.cause(&docusign, AT_MS), Some(Cause::SignatureMismatch));
    made.set("x-docusign-signature-3", &signed.headers[0].1);
    assert_eq!(made.cause(&docusign, AT_MS), None);
}

#[test]
fn a_wrong_frame_is_no_mismatch_and_a_wrong_signature_is_no_frame() {
    let frames = [
        ("github-sha256", "x-hub-signature-256", "sha1=00", Cause::MalformedHeader),
        ("github-sha256", "x-hub-signature-256", "sha256=", Cause::MalformedHeader),
        ("github-sha256", "x-hub-signature-256", "sha256=not hex", Cause::SignatureMismatch),
        ("shopify", "x-shopify-hmac-sha256", "not base64!", Cause::SignatureMismatch),
        ("stripe", "stripe-signature", "garbage", Cause::MalformedHeader),
        ("stripe", "stripe-signature", "v1=00", Cause::MalformedHeader),
        ("stripe", "stripe-signature", "t=1760000000,v0=00", Cause::UnsupportedVersion),
        ("svix", "svix-signature", "v1a,AAAA", Cause::UnsupportedVersion),
        ("svix", "svix-signature", "AAAA", Cause::MalformedHeader),
        ("postmark", "authorization", "Bearer dXM6ZXI=", Cause::MalformedHeader),
        ("postmark", "authorization", "Basic", Cause::MalformedHeader),
        ("postmark", "authorization", "Basic ???", Cause::TokenMismatch),
    ];
    for (scheme, header, value, cause) in frames {
        let verifier = verifier(scheme, &[SECRET]).expect("a verifier");
        let (mut made, _) = Made::signed(&verifier, BODY.as_bytes()).expect("signed");
        made.set(header, value);
        assert_eq!(made.cause(&verifier, AT_MS), Some(cause), "{scheme}: {value}");
    }
}

#[test]
fn the_case_of_hexadecimal_digits_is_the_providers() {
    for (scheme, header, expected) in [
        ("notion", "x-notion-signature", None),
        ("gocardless", "webhook-signature", None),
        ("pagerduty", "x-pagerduty-signature", None),
        ("razorpay", "x-razorpay-signature", Some(Cause::SignatureMismatch)),
    ] {
        let verifier = verifier(scheme, &[SECRET]).expect("a verifier");
        let (mut made, signed) = Made::signed(&verifier, BODY.as_bytes()).expect("signed");
        let (_, value) = &signed.headers[0];
        let (frame, digits) = value.split_at(value.find('=').map_or(0, |at| at + 1));
        made.set(header, &format!("{frame}{}", digits.to_uppercase()));
        assert_eq!(made.cause(&verifier, AT_MS), expected, "{scheme}");
    }
}

#[test]
fn the_examples_of_documents_agree() {
    let secret = |text: &str| serde_json::Map::from_iter([("secret".to_owned(), text.into())]);
    let checkbook = Verifier::new("checkbook", secret("335b5728e25b47e88995fce207bff380")).expect("a source");
    let mut made = Made::new(br#"{"status": "PAID", "id": "ed0af5fb335c47dd8eb53199ba50f5c4", "type": "CHECK"}"#);
    let signature = "4ee9758fc0bceb3ca1a2fe397fbd125364cfffdb04296fa118dab9778a4b3ce3";
    made.set("signature", &format!("nonce=1243549809,signature={signature}"));
    assert_eq!(made.cause(&checkbook, AT_MS), None);
    made.set("signature", &format!("nonce=1243549808,signature={signature}"));
    assert_eq!(made.cause(&checkbook, AT_MS), Some(Cause::SignatureMismatch));

    let github = Verifier::new("github", secret("It's a Secret to Everybody")).expect("a source");
    let mut made = Made::new(b"Hello, World!");
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    made.set("x-hub-signature-256", signature);
    assert_eq!(made.cause(&github, AT_MS), None);

    let slack = Verifier::new("slack", secret("8f742231b10e8888abcd99yyyzzz85a5")).expect("a source");
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let mut made = Made::new(body.as_bytes());
    made.set("x-slack-request-timestamp", "1531420618");
    made.set("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
    assert_eq!(made.cause(&slack, 1_531_420_618_000), None);
}
