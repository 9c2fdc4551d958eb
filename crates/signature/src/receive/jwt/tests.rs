use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::receive::Need;
use crate::receive::tests_families::{Files, Given, Kept, rejected, settings};

/// Seconds since 1970.
const NOW_S: i64 = 1_760_000_000;
const URL: &str = "https://hooks.posthouse.test/in/abc";

fn judge(scheme: &Jwt, own: Value, files: &Files, given: &Given) -> Result<(), Failure> {
    let context = Context { now_ms: NOW_S * 1_000, fetched: files, is_registered: false, explains: true };
    verify(scheme, &settings(own), &given.request(), &context)
}

/// A token; the signature is made by the caller.
fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn hs256(claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
    token(&json!({"alg": "HS256"}), claims, |signed| hmac::sign(&key, signed).as_ref().to_vec())
}

fn monday(token: &str) -> Result<(), Failure> {
    let given = Given::post(&[("authorization", token)], b"{}");
    judge(&Jwt::MONDAY, json!({"secrets": ["old", "secret"]}), &Files::default(), &given)
}

#[test]
fn a_shared_secret_and_its_times() {
    let at = |exp: i64, iat: i64| monday(&hs256(&json!({"exp": NOW_S + exp, "iat": NOW_S + iat})));
    assert_eq!(at(1, 0), Ok(()));
    assert_eq!(at(0, 0), rejected(Cause::TimestampExpired));
    assert_eq!(at(600, 301), rejected(Cause::TimestampInFuture));
    assert_eq!(monday(&hs256(&json!({"exp": NOW_S + 9, "nbf": NOW_S + 301}))), rejected(Cause::TimestampInFuture));
    assert_eq!(monday(&hs256(&json!({}))), rejected(Cause::MissingTimestamp));
    assert_eq!(monday(&hs256(&json!({"exp": "soon"}))), rejected(Cause::MalformedTimestamp));
    assert_eq!(monday(&hs256(&json!({"exp": 1e300}))), Ok(()), "never, in effect");
}

#[test]
fn an_empty_secret_opens_nothing() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"");
    let claims = json!({"exp": NOW_S + 9});
    let text = token(&json!({"alg": "HS256"}), &claims, |signed| hmac::sign(&key, signed).as_ref().to_vec());
    let given = Given::post(&[("authorization", &text)], b"{}");
    let verdict = judge(&Jwt::MONDAY, json!({"secret": ""}), &Files::default(), &given);
    assert_eq!(verdict, rejected(Cause::SignatureMismatch));
}

#[test]
fn the_token_does_not_choose() {
    let claims = json!({"exp": NOW_S + 9});
    let none = token(&json!({"alg": "none"}), &claims, |_| Vec::new());
    assert_eq!(monday(&none), rejected(Cause::UnsupportedAlgorithm));
    let key = hmac::Key::new(hmac::HMAC_SHA512, b"secret");
    let other = token(&json!({"alg": "HS512"}), &claims, |signed| hmac::sign(&key, signed).as_ref().to_vec());
    assert_eq!(monday(&other), rejected(Cause::UnsupportedAlgorithm));
    let forged = token(&json!({"alg": "HS256"}), &claims, |_| vec![0; 32]);
    assert_eq!(monday(&forged), rejected(Cause::SignatureMismatch));
    let critical = token(&json!({"alg": "HS256", "crit": ["exp"]}), &claims, |_| vec![0; 32]);
    for text in [critical.as_str(), "abc", "a.b", "a.b.c.d", "e30.e30.!", "e30.e30.", "W10.W10.AA"] {
        assert_eq!(monday(text), rejected(Cause::MalformedJwt), "{text}");
    }
    assert_eq!(monday(""), rejected(Cause::MissingHeader));
    // A public key is no secret: the same text, used as an HMAC's key, opens nothing.
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = STANDARD.encode(pair.public_key().as_ref());
    let key = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
    let confused = token(&json!({"alg": "HS256"}), &claims, |signed| hmac::sign(&key, signed).as_ref().to_vec());
    let given = Given::post(&[], confused.as_bytes());
    let verdict = judge(&Jwt::WIX, json!({"publicKey": public}), &Files::default(), &given);
    assert_eq!(verdict, rejected(Cause::UnsupportedAlgorithm));
}

/// A key pair of RSA and its set.
fn rsa() -> (RsaKeyPair, Value) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // RSAPublicKey of 2,048 bits (RFC 8017, A.1.1): the modulus behind nine bytes, the exponent at the end.
    let der = pair.public_key().as_ref();
    let (n, e) = (&der[9..9 + 256], &der[der.len() - 3..]);
    let member = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let set = json!({"keys": [
        {"kid": "other", "kty": "RSA", "n": "AQ", "e": "AQAB"},
        {"kid": "k1", "kty": "RSA", "alg": "RS256", "n": member(n), "e": member(e)},
    ]});
    (pair, set)
}

fn rs256(pair: &RsaKeyPair, kid: &str, claims: &Value) -> String {
    token(&json!({"alg": "RS256", "kid": kid}), claims, |signed| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed, &mut signature).unwrap();
        signature
    })
}

#[test]
fn google_tokens_are_for_us_and_from_our_account() {
    let (pair, set) = rsa();
    let files = Files([(GOOGLE_KEYS_URL.to_owned(), set.to_string().into_bytes())].into());
    let base = json!({
        "iss": "https://accounts.google.com", "aud": URL, "email": "a@b.test", "email_verified": true,
        "iat": NOW_S, "exp": NOW_S + 3_600,
    });
    let judge_with = |own: Value, change: &[(&str, Value)]| {
        let mut claims = base.clone();
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        let bearer = format!("Bearer {}", rs256(&pair, "k1", &claims));
        judge(&Jwt::GOOGLE_PUBSUB, own, &files, &Given::post(&[("authorization", &bearer)], b"{}"))
    };
    let own = || json!({"serviceAccount": "a@b.test"});
    assert_eq!(judge_with(own(), &[]), Ok(()));
    assert_eq!(judge_with(json!({}), &[]), rejected(Cause::WrongSender), "anybody can have Google sign");
    assert_eq!(judge_with(own(), &[("exp", json!(NOW_S - 299)), ("iat", json!(NOW_S - 3_600))]), Ok(()));
    assert_eq!(judge_with(own(), &[("exp", json!(NOW_S - 301))]), rejected(Cause::TimestampExpired));
    assert_eq!(judge_with(own(), &[("exp", json!(NOW_S + 90_000))]), rejected(Cause::TimestampInFuture));
    assert_eq!(judge_with(own(), &[("iss", json!("https://evil.test"))]), rejected(Cause::WrongIssuer));
    assert_eq!(judge_with(own(), &[("aud", json!("https://evil.test"))]), rejected(Cause::WrongRecipient));
    assert_eq!(judge_with(own(), &[("aud", json!(["x", URL]))]), Ok(()));
    assert_eq!(judge_with(own(), &[("email_verified", json!(false))]), rejected(Cause::WrongSender));
    assert_eq!(judge_with(own(), &[("email", json!("c@b.test"))]), rejected(Cause::WrongSender));

    let send = |header: &str, files: &Files| {
        judge(&Jwt::GOOGLE_PUBSUB, own(), files, &Given::post(&[("authorization", header)], b"{}"))
    };
    let bearer = format!("Bearer {}", rs256(&pair, "k1", &base));
    let needed = Failure::Needs(Need::new(GOOGLE_KEYS_URL));
    assert_eq!(send(&bearer, &Files::default()), Err(needed));
    let unknown = format!("Bearer {}", rs256(&pair, "k2", &base));
    assert_eq!(send(&unknown, &files), rejected(Cause::UnknownKey));
    let given = Given::post(&[("authorization", &unknown)], b"{}");
    let kept = Kept(files.clone());
    let context = Context { now_ms: NOW_S * 1_000, fetched: &kept, is_registered: false, explains: true };
    let newer = Need { url: GOOGLE_KEYS_URL.to_owned(), is_outdated: true };
    assert_eq!(verify(&Jwt::GOOGLE_PUBSUB, &settings(own()), &given.request(), &context), Err(Failure::Needs(newer)));
    let stranger = format!("Bearer {}", rs256(&rsa().0, "k1", &base));
    assert_eq!(send(&stranger, &files), rejected(Cause::SignatureMismatch));
    assert_eq!(send("Basic abc", &files), rejected(Cause::MalformedHeader));
    assert_eq!(send("Bearer", &files), rejected(Cause::MalformedHeader));
    assert_eq!(send("Bearer abc", &files), rejected(Cause::MalformedJwt));
}

#[test]
fn plaid_binds_the_body_and_ends_keys() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let key = |expired_at: Value| {
        json!({"jwks": {"k1": {
            "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            "expired_at": expired_at,
        }}})
    };
    let send = |own: Value, iat: Value, body: &[u8]| {
        let claims = json!({"iat": iat, "request_body_sha256": reading::sha256_hex(&[b"{\n}"])});
        let sign = |signed: &[u8]| pair.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec();
        let token = token(&json!({"alg": "ES256", "kid": "k1"}), &claims, sign);
        judge(&Jwt::PLAID, own, &Files::default(), &Given::post(&[("plaid-verification", &token)], body))
    };
    let valid = || key(Value::Null);
    assert_eq!(send(valid(), json!(NOW_S - 300), b"{\n}"), Ok(()));
    assert_eq!(send(valid(), json!(NOW_S - 301), b"{\n}"), rejected(Cause::TimestampExpired));
    assert_eq!(send(valid(), json!(NOW_S + 301), b"{\n}"), rejected(Cause::TimestampInFuture));
    assert_eq!(send(valid(), json!(NOW_S), b"{}"), rejected(Cause::BodyHashMismatch));
    assert_eq!(send(key(json!(NOW_S - 1)), json!(NOW_S), b"{\n}"), rejected(Cause::UnknownKey));
    assert_eq!(send(json!({}), json!(NOW_S), b"{\n}"), rejected(Cause::UnknownKey));
    // As Plaid's API answers: one key with its id in it. Several answers are a list.
    let answered = |kid: &str| {
        let mut key = valid()["jwks"]["k1"].clone();
        key["kid"] = json!(kid);
        json!({"key": key, "request_id": "r1"})
    };
    assert_eq!(send(json!({"jwks": answered("k1")}), json!(NOW_S), b"{\n}"), Ok(()));
    assert_eq!(send(json!({"jwks": [answered("k0"), answered("k1")]}), json!(NOW_S), b"{\n}"), Ok(()));
    assert_eq!(send(json!({"jwks": answered("k0")}), json!(NOW_S), b"{\n}"), rejected(Cause::UnknownKey));
}

#[test]
fn wix_is_a_body_and_takes_a_key_in_several_forms() {
    let (pair, _) = rsa();
    let body = rs256(&pair, "x", &json!({"data": "{}", "exp": NOW_S + 9}));
    let der = STANDARD.encode(pair.public_key().as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----");
    for key in [der, STANDARD.encode(&pem), pem.replace('\n', "\\n"), pem] {
        let given = Given::post(&[], body.as_bytes());
        assert_eq!(judge(&Jwt::WIX, json!({"publicKey": key}), &Files::default(), &given), Ok(()));
    }
    let verdict = judge(&Jwt::WIX, json!({}), &Files::default(), &Given::post(&[], b"\xff{}"));
    assert_eq!(verdict, rejected(Cause::MalformedJwt));
}

#[test]
fn atlassian_signs_method_path_and_query() {
    let hash = |url: &str, base: Option<&str>| qsh::hash(&http::Method::POST, url, base).unwrap();
    let expected = reading::sha256_hex(&[b"POST&/a%26b&a%20b=1%2C2,3&c="]);
    let base = Some("https://x.test/in/t/");
    assert_eq!(hash("https://x.test/in/t/a&b/?jwt=z&c&a+b=3&a%20b=1,2", base), expected);
    assert_eq!(hash("https://x.test", None), reading::sha256_hex(&[b"POST&/&"]));
    assert_eq!(hash("https://x.test/in/t", base), reading::sha256_hex(&[b"POST&/&"]));

    let url = format!("{URL}?a=1");
    let claims = json!({"exp": NOW_S + 9, "qsh": hash(&url, None)});
    let send = |url: &str, header: Option<&str>| {
        let headers: Vec<(&str, &str)> = header.map(|value| ("authorization", value)).into_iter().collect();
        let given = Given::new("POST", url, &headers, b"{}");
        judge(&Jwt::ATLASSIAN_CONNECT, json!({"secret": "secret"}), &Files::default(), &given)
    };
    let jwt = format!("JWT {}", hs256(&claims));
    assert_eq!(send(&url, Some(&jwt)), Ok(()));
    assert_eq!(send(&format!("{url}&jwt={}", hs256(&claims)), None), Ok(()));
    assert_eq!(send(&format!("{URL}?a=2"), Some(&jwt)), rejected(Cause::UrlMismatch));
    assert_eq!(send(&url, None), rejected(Cause::MissingHeader));
    // What is too much to be read is not taken for nothing.
    let none = format!("JWT {}", hs256(&json!({"exp": NOW_S + 9, "qsh": hash(URL, None)})));
    let many = format!("{URL}?{}", "a=1&".repeat(reading::FIELDS_MAX + 1));
    assert_eq!(send(URL, Some(&none)), Ok(()));
    assert_eq!(send(&many, Some(&none)), rejected(Cause::UrlMismatch));
}

#[test]
fn what_is_configured_names_algorithm_header_and_claims() {
    let own = |change: Value| {
        let mut own = json!({
            "algorithm": "HS256", "secret": "secret", "header": "x-token", "issuer": "me", "audience": ["a", "b"],
        });
        own.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        own
    };
    let text = hs256(&json!({"exp": NOW_S, "iss": "me", "aud": "b"}));
    let send = |own: Value| judge(&Jwt::GENERIC, own, &Files::default(), &Given::post(&[("x-token", &text)], b""));
    assert_eq!(send(own(json!({}))), Ok(()), "within the leeway");
    assert_eq!(send(own(json!({"toleranceSeconds": 0}))), rejected(Cause::TimestampExpired));
    assert_eq!(send(own(json!({"algorithm": "RS256"}))), rejected(Cause::UnsupportedAlgorithm));
    assert_eq!(send(own(json!({"algorithm": "none"}))), rejected(Cause::UnsupportedAlgorithm));
    assert_eq!(send(own(json!({"issuer": "you"}))), rejected(Cause::WrongIssuer));
    assert_eq!(send(own(json!({"audience": "c"}))), rejected(Cause::WrongRecipient));
    assert_eq!(send(own(json!({"header": "authorization"}))), rejected(Cause::MissingHeader));
    let need = Failure::Needs(Need::new("https://keys.test/"));
    assert_eq!(send(own(json!({"jwksUrl": "https://keys.test/"}))), Err(need));
}

proptest! {
    #[test]
    fn tokens_of_any_text_do_no_harm(text in "\\PC{0,60}", header in "\\PC{0,40}", claims in "\\PC{0,40}") {
        let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        for text in [text, format!("{parts}.AAAA")] {
            prop_assert!(monday(&text).is_err());
            let given = Given::post(&[], text.as_bytes());
            let verdict = judge(&Jwt::WIX, json!({"publicKey": "AAAA"}), &Files::default(), &given);
            prop_assert!(verdict.is_err());
            let _ = qsh::hash(&http::Method::GET, &text, Some(&text));
        }
    }

    #[test]
    fn one_letter_changed_is_another_token(at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_-]") {
        let mut text = hs256(&json!({"exp": NOW_S + 9}));
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != letter);
        text.replace_range(at..=at, &letter);
        prop_assert!(monday(&text).is_err());
    }
}
