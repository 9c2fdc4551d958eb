use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::receive::tests_families::{Files, Given, Kept, rejected, settings};
use crate::standard::KeyPair;

const NOW_MS: i64 = 1_760_000_000_000;
const FORM: (&str, &str) = ("content-type", reading::FORM);
const BODY: &[u8] = "{\"type\":2,\"name\":\"Ünï\"}\r\n".as_bytes();

fn judge(scheme: &Asymmetric, own: serde_json::Value, given: &Given, now_ms: i64) -> Result<(), Failure> {
    let files = Files::default();
    let context = Context { now_ms, fetched: &files, is_registered: false, explains: true };
    verify(scheme, &settings(own), &given.request(), &context)
}

fn ed25519(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> String {
    reading::hex(ed25519(seed).verifying_key().as_bytes())
}

fn discord(seed: u8, timestamp: &str, body: &[u8]) -> Given {
    use ed25519_dalek::Signer as _;
    let signature = ed25519(seed).sign(&[timestamp.as_bytes(), body].concat());
    let signature = reading::hex(&signature.to_bytes());
    Given::post(&[("X-Signature-Ed25519", &signature), ("X-Signature-Timestamp", timestamp)], body)
}

#[test]
fn discord_takes_any_of_its_keys_and_nothing_else() {
    let judge_now = |own, given: &Given| judge(&Asymmetric::DISCORD, own, given, NOW_MS);
    let given = discord(1, "1760000000", BODY);
    assert_eq!(judge_now(json!({"publicKey": public(1)}), &given), Ok(()));
    assert_eq!(judge_now(json!({"publicKey": [public(2), public(1)]}), &given), Ok(()));
    let mismatch = rejected(Cause::SignatureMismatch);
    assert_eq!(judge_now(json!({"publicKey": public(2)}), &given), mismatch);
    assert_eq!(judge_now(json!({"publicKey": "no key"}), &given), mismatch);
    assert_eq!(judge_now(json!({}), &given), mismatch);
    let moved = discord(1, "1760000000", BODY).with("x-signature-timestamp", "1760000001");
    assert_eq!(judge_now(json!({"publicKey": public(1)}), &moved), mismatch);
    // A point of small order, for which one signature fits many messages.
    let weak = format!("01{}", "0".repeat(62));
    assert_eq!(judge_now(json!({"publicKey": weak}), &given), mismatch);
}

#[test]
fn discord_frames() {
    let own = || json!({"publicKey": public(1)});
    let judge_now = |given: &Given| judge(&Asymmetric::DISCORD, own(), given, NOW_MS);
    let whole = || discord(1, "1760000000", BODY);
    assert_eq!(judge_now(&whole().without("x-signature-ed25519")), rejected(Cause::MissingHeader));
    assert_eq!(judge_now(&whole().with("x-signature-timestamp", "")), rejected(Cause::MissingHeader));
    assert_eq!(judge_now(&whole().with("x-signature-ed25519", "abc")), rejected(Cause::MalformedHeader));
    assert_eq!(judge_now(&whole().with("x-signature-ed25519", &"g".repeat(128))), rejected(Cause::MalformedHeader));
    assert_eq!(judge_now(&whole().with("x-signature-timestamp", "+1")), rejected(Cause::MalformedTimestamp));
    // The form of the timestamp comes before the signature; the window after it.
    let bad = "0".repeat(128);
    let old = discord(1, "1", BODY).with("x-signature-ed25519", &bad);
    let windowed = json!({"publicKey": public(1), "toleranceSeconds": 300});
    assert_eq!(judge(&Asymmetric::DISCORD, windowed.clone(), &old, NOW_MS), rejected(Cause::SignatureMismatch));
    let old = discord(1, "1759999699", b"");
    assert_eq!(judge(&Asymmetric::DISCORD, windowed.clone(), &old, NOW_MS), rejected(Cause::TimestampExpired));
    let ahead = discord(1, "1760000301", b"");
    assert_eq!(judge(&Asymmetric::DISCORD, windowed, &ahead, NOW_MS), rejected(Cause::TimestampInFuture));
}

#[test]
fn telnyx_signs_with_a_bar_and_has_five_minutes() {
    use ed25519_dalek::Signer as _;
    let signature = STANDARD.encode(ed25519(3).sign(&[b"1760000000|", BODY].concat()).to_bytes());
    let given = Given::post(&[("telnyx-signature-ed25519", &signature), ("telnyx-timestamp", "1760000000")], BODY);
    let own = || json!({"publicKey": STANDARD.encode(ed25519(3).verifying_key().as_bytes())});
    assert_eq!(judge(&Asymmetric::TELNYX, own(), &given, NOW_MS + 300_000), Ok(()));
    assert_eq!(judge(&Asymmetric::TELNYX, own(), &given, NOW_MS + 301_000), rejected(Cause::TimestampExpired));
    let given = given.with("telnyx-signature-ed25519", "not base64!");
    assert_eq!(judge(&Asymmetric::TELNYX, own(), &given, NOW_MS), rejected(Cause::SignatureMismatch));
}

#[test]
fn sendgrid_is_verified_with_every_form_of_its_key() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let signature = pair.sign(&random, &[b"1760000000", BODY].concat()).unwrap();
    let header = "x-twilio-email-event-webhook-signature";
    let given = Given::post(
        &[(header, &STANDARD.encode(signature)), ("x-twilio-email-event-webhook-timestamp", "1760000000")],
        BODY,
    );
    // SubjectPublicKeyInfo of P-256 (RFC 5480), as SendGrid's console shows it.
    let prefix = reading::unhex("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let der = STANDARD.encode([&prefix[..], pair.public_key().as_ref()].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    for key in [der.clone(), pem.clone(), STANDARD.encode(&pem)] {
        assert_eq!(judge(&Asymmetric::SENDGRID, json!({"publicKey": key}), &given, NOW_MS), Ok(()));
    }
    let cut = Given { body: BODY[..BODY.len() - 2].to_vec(), ..given };
    let verdict = judge(&Asymmetric::SENDGRID, json!({"publicKey": der}), &cut, NOW_MS);
    assert_eq!(verdict, rejected(Cause::SignatureMismatch), "the line end is signed");
}

#[test]
fn standard_webhooks_takes_v1a_only() {
    let pair = KeyPair::from_seed(&[5; 32]);
    let own = || json!({"publicKey": pair.public().shown()});
    let key = crate::standard::SigningKey::Asymmetric(pair.clone());
    let signature = crate::standard::sign_all([&key], "msg_1", 1_760_000_000, BODY);
    let make = |signature: &str| {
        let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", "1760000000"), ("webhook-signature", signature)];
        Given::post(&headers, BODY)
    };
    let judge_now = |given: &Given| judge(&Asymmetric::StandardWebhooks, own(), given, NOW_MS);
    assert_eq!(judge_now(&make(&format!("v1,AAAA {signature}"))), Ok(()));
    assert_eq!(judge_now(&make("v1,AAAA")), rejected(Cause::UnsupportedVersion));
    assert_eq!(judge_now(&make("AAAA")), rejected(Cause::MalformedHeader));
    assert_eq!(judge_now(&make("v1a,AAAA")), rejected(Cause::SignatureMismatch));
    let late = judge(&Asymmetric::StandardWebhooks, own(), &make(&signature), NOW_MS + 301_000);
    assert_eq!(late, rejected(Cause::TimestampExpired));
    let early = judge(&Asymmetric::StandardWebhooks, own(), &make(&signature), NOW_MS - 301_000);
    assert_eq!(early, rejected(Cause::TimestampInFuture));
}

#[test]
fn travis_asks_for_its_key_and_refuses_another_hash() {
    let given = Given::post(&[FORM, ("signature", "AAAA")], b"payload=%7B%7D");
    let needed = Failure::Needs(Need::new(TRAVIS_CONFIG_URL));
    assert_eq!(judge(&Asymmetric::TravisCi, json!({}), &given, NOW_MS), Err(needed));
    let json = ("content-type", "application/json");
    let others: [((&str, &str), &[u8]); 4] = [
        (FORM, b"{}"),
        (FORM, b"payload=%7B%7D&payload=%7B%22evil%22%3A1%7D"),
        (FORM, b"payload=%7B%7D&p%61yload=%7B%22evil%22%3A1%7D"),
        (json, b"{\"payload\":\"evil\",\"a\":\"&payload=%7B%7D&\"}"),
    ];
    for (kind, body) in others {
        let given = Given::post(&[kind, ("signature", "AAAA")], body);
        assert_eq!(judge(&Asymmetric::TravisCi, json!({}), &given, NOW_MS), rejected(Cause::MalformedBody));
    }

    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"{}", &mut signature).unwrap();
    let given = given.with("signature", &STANDARD.encode(&signature));
    let key = STANDARD.encode(pair.public_key().as_ref());
    let own = json!({"publicKey": key});
    assert_eq!(judge(&Asymmetric::TravisCi, own, &given, NOW_MS), rejected(Cause::SignatureMismatch));
    // The key does verify what it has signed, with the hash it was signed with.
    let parsed = PublicKey::parse(Algorithm::RsaSha256, &key).unwrap();
    assert!(parsed.verifies(Algorithm::RsaSha256, b"{}", &signature));

    let config = json!({"config": {"notifications": {"webhook": {"public_key": key}}}}).to_string();
    let files = Files([(TRAVIS_CONFIG_URL.to_owned(), config.into_bytes())].into());
    let context = Context { now_ms: NOW_MS, fetched: &files, is_registered: false, explains: true };
    let verdict = verify(&Asymmetric::TravisCi, &settings(json!({})), &given.request(), &context);
    assert_eq!(verdict, rejected(Cause::SignatureMismatch), "the fetched key is used");
    let kept = Kept(files);
    let context = Context { now_ms: NOW_MS, fetched: &kept, is_registered: false, explains: true };
    let verdict = verify(&Asymmetric::TravisCi, &settings(json!({})), &given.request(), &context);
    let newer = Need { url: TRAVIS_CONFIG_URL.to_owned(), is_outdated: true };
    assert_eq!(verdict, Err(Failure::Needs(newer)), "Travis may have another key by now");
}

proptest! {
    #[test]
    fn keys_and_signatures_of_any_text_do_no_harm(text in "\\PC*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let algorithms = [
            Algorithm::Ed25519, Algorithm::EcdsaP256Sha256Der, Algorithm::EcdsaP256Sha256Fixed,
            Algorithm::RsaSha1, Algorithm::RsaSha256,
        ];
        for algorithm in algorithms {
            for key in [text.clone(), STANDARD.encode(&bytes)] {
                let key = PublicKey::parse(algorithm, &key);
                prop_assert!(!key.is_some_and(|key| key.verifies(algorithm, b"message", &bytes)));
            }
        }
    }
}
