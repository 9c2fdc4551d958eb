use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_RSA_SHA256, date_time_ymd,
};
use serde_json::{Value, json};

use super::*;
use crate::receive::tests_families::{Files, Given, rejected, settings};

/// 2025-10-09T08:53:20Z.
const NOW_MS: i64 = 1_760_000_000_000;
const CERT_URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-1";
const SNS_URL: &str = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem";
const TOPIC: &str = "arn:aws:sns:eu-central-1:1:t";

/// An authority of a test, and the key of all its certificates.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Root of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, key: KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap() }
    }

    /// A certificate with this common name, until the end of this year.
    fn issue(&self, name: &str, until: i32) -> String {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        params.signed_by(&self.key, &self.issuer).unwrap().pem()
    }

    fn sign(&self, message: &str) -> String {
        let pair = RsaKeyPair::from_pkcs8(&self.key.serialize_der()).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        STANDARD.encode(signature)
    }
}

fn judge(scheme: Certificate, own: Value, files: &Files, given: &Given) -> Result<(), Failure> {
    let context = Context { now_ms: NOW_MS, fetched: files, is_registered: false, explains: true };
    verify(&scheme, &settings(own), &given.request(), &context)
}

fn paypal(authority: &Authority, body: &[u8]) -> Given {
    let sum = crc32fast::hash(b"{}");
    let signature = authority.sign(&format!("id-1|2025-10-09T08:53:20Z|WH-1|{sum}"));
    let headers = [
        ("paypal-transmission-id", "id-1"),
        ("paypal-transmission-time", "2025-10-09T08:53:20Z"),
        ("paypal-transmission-sig", signature.as_str()),
        ("paypal-cert-url", CERT_URL),
        ("paypal-auth-algo", "SHA256withRSA"),
    ];
    Given::post(&headers, body)
}

#[test]
fn paypal_certificates_are_checked_before_they_are_believed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let judge_with = |pem: String, given: &Given| {
        let own = json!({"webhookId": ["WH-0", "WH-1"], "trustedCaPem": authority.issuer.pem()});
        judge(Certificate::Paypal, own, &Files([(CERT_URL.to_owned(), pem.into_bytes())].into()), given)
    };
    let given = paypal(&authority, b"{}");
    let name = "messageverificationcerts.paypal.com";
    assert_eq!(judge_with(authority.issue(name, 2030), &given), Ok(()));
    assert_eq!(judge_with(authority.issue(name, 2024), &given), rejected(Cause::CertExpired));
    let untrusted = rejected(Cause::CertUntrusted);
    assert_eq!(judge_with(stranger.issue(name, 2030), &given), untrusted);
    assert_eq!(judge_with("-----BEGIN CERTIFICATE-----\nAAAA".to_owned(), &given), untrusted);
    assert_eq!(judge_with(String::new(), &given), untrusted);
    for name in ["paypal.com.evil.test", "evilpaypal.com", ""] {
        assert_eq!(judge_with(authority.issue(name, 2030), &given), rejected(Cause::CertWrongName), "{name}");
    }
    let altered = paypal(&authority, b"{ }");
    assert_eq!(judge_with(authority.issue(name, 2030), &altered), rejected(Cause::SignatureMismatch));
    // Without a root of its own a test's authority is none of the web's.
    let files = Files([(CERT_URL.to_owned(), authority.issue(name, 2030).into_bytes())].into());
    assert_eq!(judge(Certificate::Paypal, json!({"webhookId": "WH-1"}), &files, &given), untrusted);
}

#[test]
fn paypal_headers_and_hosts() {
    let authority = Authority::new();
    let judge_now = |given: Given| judge(Certificate::Paypal, json!({"webhookId": "WH-1"}), &Files::default(), &given);
    let whole = || paypal(&authority, b"{}");
    let needed = Err(Failure::Needs(Need::new(CERT_URL)));
    assert_eq!(judge_now(whole()), needed);
    assert_eq!(judge_now(whole().without("paypal-cert-url")), rejected(Cause::MissingHeader));
    assert_eq!(judge_now(whole().with("paypal-auth-algo", "SHA1withRSA")), rejected(Cause::UnsupportedAlgorithm));
    assert_eq!(judge_now(whole().with("paypal-transmission-time", "1760000000")), rejected(Cause::MalformedTimestamp));
    for url in [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.test/v1/notifications/certs/CERT-1",
        "https://evil.test/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.test/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/../../CERT-1",
        "https://api.paypal.com/v1/notifications/certs/CERT-1?x=//",
        "https://api.paypal.com/CERT-1",
        "https://api.paypal.com",
    ] {
        assert_eq!(judge_now(whole().with("paypal-cert-url", url)), rejected(Cause::CertUrlUntrusted), "{url}");
    }
}

fn sns_body(authority: &Authority, change: impl Fn(&mut Value)) -> Given {
    let message = format!(
        "Message\nhi\nMessageId\nm\nTimestamp\n2025-10-09T08:53:20.000Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    );
    let mut body = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": TOPIC, "Message": "hi",
        "Timestamp": "2025-10-09T08:53:20.000Z", "SignatureVersion": "2",
        "Signature": authority.sign(&message), "SigningCertURL": SNS_URL,
    });
    change(&mut body);
    Given::post(&[], body.to_string().as_bytes())
}

#[test]
fn sns_messages_and_their_causes() {
    let authority = Authority::new();
    let pem = authority.issue("sns.amazonaws.com", 2030);
    let files = Files([(SNS_URL.to_owned(), pem.into_bytes())].into());
    let judge_body = |own: Value, change: &dyn Fn(&mut Value)| {
        judge(Certificate::AwsSns, own, &files, &sns_body(&authority, change))
    };
    let same: &dyn Fn(&mut Value) = &|_| ();
    assert_eq!(judge_body(json!({}), same), Ok(()));
    assert_eq!(judge_body(json!({"topicArns": [TOPIC], "toleranceSeconds": 60}), same), Ok(()));
    assert_eq!(judge_body(json!({"topicArns": "arn:other"}), same), rejected(Cause::WrongRecipient));
    assert_eq!(judge_body(json!({"signatureVersion": "1"}), same), rejected(Cause::UnsupportedVersion));
    let cases: [(&str, Value, Cause); 8] = [
        ("Message", json!("ho"), Cause::SignatureMismatch),
        ("Subject", json!("new"), Cause::SignatureMismatch),
        ("Signature", json!(null), Cause::MalformedBody),
        ("Type", json!("Other"), Cause::MalformedBody),
        ("SignatureVersion", json!("3"), Cause::UnsupportedVersion),
        ("SignatureVersion", json!("1"), Cause::SignatureMismatch),
        ("SigningCertURL", json!("https://sns.evil.test/SimpleNotificationService-1.pem"), Cause::CertUrlUntrusted),
        (
            "SigningCertURL",
            json!("https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-1.pem"),
            Cause::CertUrlUntrusted,
        ),
    ];
    for (name, value, cause) in cases {
        assert_eq!(judge_body(json!({}), &|body| body[name] = value.clone()), rejected(cause), "{name}");
    }
    let wrong = authority.issue("sns.evil.test", 2030);
    let wrong = Files([(SNS_URL.to_owned(), wrong.into_bytes())].into());
    let verdict = judge(Certificate::AwsSns, json!({}), &wrong, &sns_body(&authority, same));
    assert_eq!(verdict, rejected(Cause::CertWrongName));
    let own = json!({"trustedCaPem": Authority::new().issuer.pem()});
    assert_eq!(judge_body(own, same), rejected(Cause::CertUntrusted));
}

#[test]
fn sns_urls() {
    for url in [
        "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=a",
        "https://sns.cn-north-1.amazonaws.com.cn/x",
        "https://sns.us-gov-west-1.amazonaws.com/",
        "https://sns.ap-southeast-2.amazonaws.com/",
    ] {
        assert!(is_sns_url(url), "{url}");
    }
    for url in [
        "http://sns.us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com@evil.test/",
        "https://sns.us-west-2.amazonaws.com.evil.test/",
        "https://sns.x.y.amazonaws.com/",
        // Buckets of S3, of which anybody may have had the name `sns`.
        "https://sns.s3-us-west-2.amazonaws.com/",
        "https://sns.s3.amazonaws.com/",
        "https://sns.s3-website-us-east-1.amazonaws.com/",
        "https://sns.s3-accelerate.amazonaws.com/",
        "https://sns.us-west.amazonaws.com/",
        "https://sns.us-2.amazonaws.com/",
        "https://sns.us-gov-far-west-1.amazonaws.com/",
        "https://sns.us--1.amazonaws.com/",
        "https://sns.cn-north-1.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com.cn/",
        "https://sns.us-west-2.amazonaws.com:80/",
        "https://evil.test/?sns.us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com\\@evil.test/",
    ] {
        assert!(!is_sns_url(url), "{url}");
    }
}

/// A certificate for bytes to be changed in.
static PEM: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| Authority::new().issue("a.paypal.com", 2030));

proptest! {
    #[test]
    fn certificates_of_any_bytes_do_no_harm(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for der in chain::certificates(&bytes) {
            let _ = Leaf::read(&der);
        }
        let mut der = chain::certificates(PEM.as_bytes()).remove(0);
        let at = at.index(der.len());
        der[at] = byte;
        bytes.extend_from_slice(&der);
        if let Ok(leaf) = Leaf::read(&der) {
            let _ = (leaf.names(), leaf.key(), leaf.check_validity(NOW_MS), leaf.issuer_url(&["a.test"]));
        }
        prop_assert!(Anchors::web().check(&der, &[bytes], NOW_MS).is_err());
    }
}
