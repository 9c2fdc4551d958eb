//! `posthouse verify`, `sign` and `sources types`: captured requests judged without server and store.
//!
//! The signatures are those of the providers' libraries, or of node:crypto where a library only verifies.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::BINARY;

/// 2025-10-09T08:53:20Z, when the requests were signed.
const AT: &str = "1760000000";

const STRIPE_BODY: &str = r#"{"id": "evt_1", "type": "charge.succeeded"}"#;
const STRIPE: [&str; 6] = [
    "--type",
    "stripe",
    "--secret",
    "whsec_test",
    "--header",
    "Stripe-Signature: t=1760000000,v1=001eda1c9aa1905279fdbd93d63efb8b3c02a686e95988103b5e85dad0bf1501",
];

/// What a run of the binary came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// The first line that it printed.
    fn first(&self) -> &str {
        self.out.lines().next().unwrap_or_default()
    }

    #[track_caller]
    fn assert(&self, code: i32, first: &str) -> &Self {
        assert_eq!((self.code, self.first()), (Some(code), first), "{self:?}");
        self
    }

    /// It could not judge, and says why.
    #[track_caller]
    fn assert_usage(&self, why: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(2), ""), "{self:?}");
        assert!(self.err.contains(why), "{self:?}");
    }
}

/// Runs the binary with a body on its standard input.
fn run(words: &[&str], body: &[u8]) -> Ran {
    let mut child = Command::new(BINARY)
        .args(words)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It may have ended without reading it.
    let _ = child.stdin.take().expect("its input").write_all(body);
    let output = child.wait_with_output().expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Judges a request as of [`AT`].
fn verify(words: &[&str], body: &[u8]) -> Ran {
    run(&[&["verify", "--now", AT], words].concat(), body)
}

/// A file in a folder.
fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path
}

#[test]
fn a_stripe_request_from_a_file_or_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = file(&folder, "body", STRIPE_BODY);
    let ran = verify(&STRIPE, STRIPE_BODY.as_bytes());
    assert_eq!(ran.assert(0, "valid").out, "valid\nevent id: evt_1\nevent type: charge.succeeded\n");
    verify(&[&STRIPE[..], &["-"]].concat(), STRIPE_BODY.as_bytes()).assert(0, "valid");
    verify(&[&STRIPE[..], &[body.to_str().expect("a path")]].concat(), b"other").assert(0, "valid");
    verify(&[&STRIPE[..], &["no-such-file"]].concat(), b"").assert_usage("no-such-file");
    verify(&STRIPE[..4], STRIPE_BODY.as_bytes()).assert(1, "invalid: missing_header");
}

#[test]
fn a_cause_comes_with_its_hint() {
    let ran = verify(&STRIPE, STRIPE_BODY.replace(": ", ":").replace(", ", ",").as_bytes());
    ran.assert(1, "invalid: signature_mismatch");
    assert!(ran.out.contains("\nhint: "), "a body that was written again: {ran:?}");
    // The window of the provider is five minutes.
    let late = run(&[&["verify", "--now", "1760000301"], &STRIPE[..]].concat(), STRIPE_BODY.as_bytes());
    late.assert(1, "invalid: timestamp_expired");
    assert!(late.out.contains("301 s behind"), "{late:?}");
    let in_words = [&["verify", "--now", "2025-10-09T08:58:20Z"], &STRIPE[..]].concat();
    run(&in_words, STRIPE_BODY.as_bytes()).assert(0, "valid");
    let own = [&STRIPE[..], &["--config", "toleranceSeconds=1", "--now", "1760000002"]].concat();
    run(&[&["verify"], &own[..]].concat(), STRIPE_BODY.as_bytes()).assert(1, "invalid: timestamp_expired");
    let now_is_later = run(&[&["verify"], &STRIPE[..]].concat(), STRIPE_BODY.as_bytes());
    now_is_later.assert(1, "invalid: timestamp_expired");
    let other = ["--type", "github", "--secret", "a", STRIPE[4], STRIPE[5]];
    let ran = verify(&other, STRIPE_BODY.as_bytes());
    ran.assert(1, "invalid: missing_header");
    assert!(ran.out.contains("Stripe"), "whose signature it looks like: {ran:?}");
}

#[test]
fn a_github_request_with_the_old_secret_beside_the_new() {
    let signature = "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = ["--header", signature, "--header", "X-GitHub-Event: push", "--header", "X-GitHub-Delivery: d-1"];
    let github = [&["--type", "github"], &headers[..]].concat();
    let secret = ["--secret", "It's a Secret to Everybody"];
    let ran = verify(&[&github[..], &secret[..]].concat(), b"Hello, World!");
    assert_eq!(ran.assert(0, "valid").out, "valid\nevent id: d-1\nevent type: push\n");
    let both = [&github[..], &["--secret", "new"], &secret[..]].concat();
    verify(&both, b"Hello, World!").assert(0, "valid");
    let list = [&github[..], &["--config", "secrets=new", "--config", "secrets=It's a Secret to Everybody"]].concat();
    verify(&list, b"Hello, World!").assert(0, "valid");
    let other = [&github[..], &["--secret", "new"]].concat();
    verify(&other, b"Hello, World!").assert(1, "invalid: signature_mismatch");
    let open = verify(&github, b"Hello, World?");
    open.assert(0, "accepted; nothing is verified for want of a secret");
}

#[test]
fn a_twilio_request_is_signed_with_its_url() {
    let body = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234";
    let form = "Content-Type: application/x-www-form-urlencoded";
    let signature = "X-Twilio-Signature: DJOgOdMjqqEGPGQ7m07asnFHFmQ=";
    let twilio = ["--type", "twilio", "--secret", "12345", "--header", form, "--header", signature];
    let at = |url: &'static str| [&twilio[..], &["--url", url]].concat();
    verify(&at("https://example.com/in/abc?foo=1"), body).assert(0, "valid");
    verify(&at("https://example.com/in/abc?foo=2"), body).assert(1, "invalid: signature_mismatch");
    verify(&twilio, body).assert(1, "invalid: signature_mismatch");
    verify(&at("https://example.com/in/abc?foo=1"), b"CallSid=CA0").assert(1, "invalid: signature_mismatch");
    let registered = [&twilio[..], &["--config", "notificationUrl=https://example.com/in/abc?foo=1"]].concat();
    verify(&registered, body).assert(0, "valid");
}

#[test]
fn a_sendgrid_request_is_signed_with_a_private_key() {
    let key = "publicKey=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEY2/ksTFqvqRyNM5/8HecEk5+SjNZwxbluQ8GEcK6zYlcLGWjzxO0p827\
               DiIT5/wiwDF3jEaC1Uir5PwE/tPtpg==";
    let signature = "X-Twilio-Email-Event-Webhook-Signature: MEYCIQChYqtv2jMk1BPK6vylgQYBcDxXFkxY/YKFOuav3oy4CwIhAMw/d2b\
                     tsqFczh0+riQlv8+vuvL9pLoRBdkZM0T5gi4d";
    let time = "X-Twilio-Email-Event-Webhook-Timestamp: 1760000000";
    let sendgrid = ["--type", "sendgrid", "--config", key, "--header", signature, "--header", time];
    let body = b"[{\"event\":\"delivered\",\"sg_event_id\":\"e1\"}]\r\n";
    let ran = verify(&sendgrid, body);
    assert_eq!(ran.assert(0, "valid").out, "valid\nevent id: e1\nevent type: delivered\n");
    verify(&sendgrid, &body[..body.len() - 2]).assert(1, "invalid: signature_mismatch");
    let no_key = ["--type", "sendgrid", "--config", "publicKey=none", "--header", signature, "--header", time];
    verify(&no_key, body).assert_usage("`publicKey`: a public key of P-256");
}

#[test]
fn a_plaid_request_is_judged_by_a_key_set_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let jwks = json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256",
        "x": "Y2_ksTFqvqRyNM5_8HecEk5-SjNZwxbluQ8GEcK6zYk", "y": "XCxlo88TtKfNuw4iE-f8IsAxd4xGgtVIq-T8BP7T7aY",
    }] });
    let key_set = format!("jwks=@{}", file(&folder, "jwks", jwks.to_string()).display());
    let token = "Plaid-Verification: eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJpYXQiOjE3NjAwMDAwMDAsInJlcXVlc\
                 3RfYm9keV9zaGEyNTYiOiIzYjRkZjBiOTg2ODMzMDkwNDYzMjg2ZDk5Mzc4ODAxMDg0YTk1ZDI0NDZmZGIxNzlhOTA1ZWVhYTIyNzQ3ZTA2I\
                 n0.8IFOAETkWZ8FWOymNXBGIyL3oWGrF0Q1MbjCgXvuYR8OJ2bThXdHnhTFAqJLoHqgxv8hzgYI0pTHTcaqc3oO_g";
    let plaid = ["--type", "plaid", "--config", &key_set, "--header", token];
    let body = "{\n  \"webhook_type\": \"ITEM\",\n  \"webhook_code\": \"ERROR\"\n}";
    let ran = verify(&plaid, body.as_bytes());
    assert_eq!(ran.assert(0, "valid").out, "valid\nevent type: ITEM.ERROR\n");
    verify(&plaid, body.replace("ITEM", "AUTH").as_bytes()).assert(1, "invalid: body_hash_mismatch");
    run(&[&["verify", "--now", "1760000301"], &plaid[..]].concat(), body.as_bytes())
        .assert(1, "invalid: timestamp_expired");
}

#[test]
fn what_has_to_be_fetched_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let google = [
        "--type",
        "google-pubsub",
        "--config",
        "serviceAccount=a@b.iam.gserviceaccount.com",
        "--header",
        "Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.e30.AAAA",
    ];
    let url = "https://www.googleapis.com/oauth2/v3/certs";
    verify(&google, b"{}").assert_usage(&format!("--fetched {url}=FILE"));
    let keys = file(&folder, "keys", r#"{"keys":[]}"#);
    let fetched = format!("{url}={}", keys.display());
    verify(&[&google[..], &["--fetched", &fetched]].concat(), b"{}").assert(1, "invalid: unknown_key");
    verify(&[&google[..2], &google[4..]].concat(), b"{}").assert_usage("`serviceAccount`: is needed");
}

#[test]
fn a_request_by_standard_webhooks() {
    let headers = [
        "--header",
        "webhook-id: msg_1",
        "--header",
        "webhook-timestamp: 1760000000",
        "--header",
        "webhook-signature: v1,cDqcqdIroXZPLT3WPGUmL9otP+CW+TilC87lENF8qHs=",
    ];
    let of = |secret: &'static str| [&["--type", "standard-webhooks", "--secret", secret], &headers[..]].concat();
    let ran = verify(&of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), br#"{"type":"a.b"}"#);
    assert_eq!(ran.assert(0, "valid").out, "valid\nevent id: msg_1\nevent type: a.b\n");
    let other = of("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    verify(&other, br#"{"type":"a.b"}"#).assert(1, "invalid: signature_mismatch");
    verify(&of("whsec_no base64"), b"{}").assert_usage("`secret`: `whsec_` followed by base64");
}

#[test]
fn a_handshake_is_shown_as_it_would_be_answered() {
    let url = "https://example.com/in/abc?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=ours";
    let meta = ["--type", "meta", "--secret", "a", "--config", "verifyToken=ours", "--method", "get", "--url", url];
    let ran = verify(&meta, b"");
    ran.assert(0, "handshake: answered with status 200");
    assert!(ran.out.ends_with("\n\n1158201444\n"), "{ran:?}");
}

#[test]
fn what_cannot_be_judged_is_an_error_of_usage() {
    verify(&[], b"").assert_usage("--type");
    verify(&["--type", "no-such"], b"").assert_usage("no source type is named `no-such`");
    verify(&["--type", "klaviyo", "--secret", "a"], b"").assert_usage("could not be confirmed");
    verify(&["--type", "stripe"], b"").assert_usage("`secret`: is needed");
    verify(&["--type", "stripe", "--secret", "a", "--config", "other=1"], b"").assert_usage("`other`");
    verify(&["--no-such-flag"], b"").assert_usage("--no-such-flag");
    run(&["verify", "--now", "soon", "--type", "stripe", "--secret", "a"], b"").assert_usage("`--now`");
}

/// A file of vectors with these changes of one that agrees.
fn vectors(folder: &TempDir, changes: &[fn(&mut Value)]) -> PathBuf {
    let agreeing = || {
        json!({
            "id": "github/hello", "scheme": "github-sha256", "secret": "It's a Secret to Everybody",
            "now_unix": 1_760_000_000, "expect": "valid", "notes": "of the documents",
            "request": {
                "method": "POST", "url": "https://example.com/", "body_base64": "SGVsbG8sIFdvcmxkIQ==",
                "headers": {
                    "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                },
            },
        })
    };
    let others = changes.iter().map(|change| {
        let mut vector = agreeing();
        change(&mut vector);
        vector
    });
    let all: Vec<Value> = std::iter::once(agreeing()).chain(others).collect();
    file(folder, "vectors", json!({ "format": "posthouse-provider-vectors/1", "vectors": all }).to_string())
}

fn run_vectors(path: &Path) -> Ran {
    run(&["verify", "--vectors", path.to_str().expect("a path")], b"")
}

#[test]
fn a_file_of_vectors_is_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    run_vectors(&vectors(&folder, &[])).assert(0, "1 agree, 0 disagree, 0 unsupported");
    let other_cause: fn(&mut Value) = |vector| vector["expect"] = json!("invalid:malformed_header");
    let ran = run_vectors(&vectors(&folder, &[other_cause]));
    ran.assert(1, "github/hello: expected invalid:malformed_header, found valid");
    assert!(ran.out.ends_with("\n1 agree, 1 disagree, 0 unsupported\n"), "{ran:?}");
    let unknown: [fn(&mut Value); 4] = [
        |vector| vector["moon"] = json!("full"),
        |vector| vector["config"] = json!({ "moon": "full" }),
        |vector| vector["request"]["moon"] = json!("full"),
        |vector| vector["scheme"] = json!("moon"),
    ];
    let ran = run_vectors(&vectors(&folder, &unknown));
    ran.assert(2, "github/hello: unsupported: `moon` cannot be mapped");
    assert!(ran.out.ends_with("\n1 agree, 0 disagree, 4 unsupported\n"), "{ran:?}");
    let both = run_vectors(&vectors(&folder, &[unknown[0], other_cause]));
    assert_eq!(both.code, Some(1), "a disagreement is told first: {both:?}");
    run_vectors(&file(&folder, "other", r#"{"format":"another/1","vectors":[]}"#)).assert_usage("format");
    run_vectors(&file(&folder, "none", "none")).assert_usage("is no JSON");
}

#[test]
fn all_sample_vectors_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../shared", "../../shared"].map(|place| root.join(place).join("reference/vectors-sample.json"));
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        eprintln!("there is no sample of vectors beside the repository; nothing was compared");
        return;
    };
    run_vectors(path).assert(0, "157 agree, 0 disagree, 0 unsupported");
}

/// What is signed is accepted, and not with another body unless the scheme is a token's.
fn round_trip(source: &[&str], is_body_signed: bool) {
    let body = "{ \"type\": \"a.b\", \"text\": \"caf\u{e9}\" }\n".as_bytes();
    let signed = run(&[&["sign", "--now", AT], source].concat(), body);
    assert_eq!((signed.code, signed.err.as_str()), (Some(0), ""), "{source:?}: {signed:?}");
    let (mut words, mut url) = (source.to_vec(), "https://localhost/".to_owned());
    for line in signed.out.lines() {
        match line.strip_prefix("# add to the URL: ") {
            Some(parameter) => url = format!("{url}?{parameter}"),
            None => words.extend(["--header", line]),
        }
    }
    words.extend(["--url", &url]);
    verify(&words, body).assert(0, "valid");
    let other = verify(&words, b"{}");
    assert_eq!(other.code, Some(i32::from(is_body_signed)), "{source:?}: {other:?}");
    assert_eq!(verify(&[source, &["--url", &url[..18]]].concat(), body).code, Some(1), "{source:?}, unsigned");
}

#[test]
fn what_sign_prints_verify_accepts() {
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for source in ["stripe", "github", "slack", "shopify", "twitch", "zendesk", "docusign", "panda-doc", "paddle"] {
        round_trip(&["--type", source, "--secret", "a secret"], true);
    }
    for source in ["standard-webhooks", "svix", "clerk", "open-ai"] {
        round_trip(&["--type", source, "--secret", whsec], true);
    }
    round_trip(&["--type", "gitlab", "--config", &format!("signingSecret={whsec}")], true);
    round_trip(&["--type", "gitlab", "--secret", "a token"], false);
    round_trip(&["--type", "telegram", "--secret", "a-token"], false);
    round_trip(&["--type", "mailchimp", "--secret", "a-token"], false);
    round_trip(&["--type", "generic-basic", "--config", "username=a", "--config", "password=b:c"], false);
    round_trip(&["--type", "generic-token", "--config", "token=1", "--config", "header=x-token"], false);
    let generic =
        ["--type", "generic-hmac", "--secret", "1", "--config", "header=x-sig", "--config", "algorithm=sha512"];
    let stamped = ["--config", "template={timestamp}.{body}", "--config", "timestampHeader=x-time"];
    round_trip(&[&generic[..], &stamped[..]].concat(), true);
    let discord = ["sign", "--type", "discord", "--config"];
    let key = "publicKey=d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    run(&[&discord[..], &[key]].concat(), b"").assert_usage("only HMAC, token and Standard Webhooks schemes");
}

#[test]
fn each_type_has_one_line() {
    let ran = run(&["sources", "types"], b"");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let names: Vec<&str> = ran.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 90 && names.len() == ran.out.lines().count(), "{} lines", names.len());
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    let stripe = ran.out.lines().find(|line| line.starts_with("stripe ")).expect("Stripe");
    assert!(["primary", "secret", "secrets", "toleranceSeconds", "Stripe"].iter().all(|word| stripe.contains(word)));
    let klaviyo = ran.out.lines().find(|line| line.starts_with("klaviyo ")).expect("Klaviyo");
    assert!(klaviyo.contains("unconfirmed"), "{klaviyo}");
}
