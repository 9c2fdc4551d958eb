//! The fuzz targets over random bytes, bounded: that they compile, and hold for what a few seconds can try.
//! `fuzz/` has them for cargo-fuzz.
//!
//! `POSTHOUSE_MUTATIONS` sets how many inputs each gets (200 otherwise).

#[path = "../../fuzz/targets.rs"]
mod targets;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Bytes of any kind between zeros, which part an input, and pieces that a target knows.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[ -~]{0,60}".prop_map(String::into_bytes),
        "(t|ts|time)=[0-9]{1,20},(v1|h1|sig1)=[a-f0-9]{1,70}".prop_map(String::into_bytes),
        "(Basic|Bearer|JWT) [A-Za-z0-9+/=.]{0,40}".prop_map(String::into_bytes),
        "\\{\"alg\":\"(HS256|RS256|none)\"(,\"kid\":\"[0-9]\")?\\}".prop_map(String::into_bytes),
        "\\{(\"exp\":17[0-9]{8}(\\.5)?,)?\"aud\":(\"us\"|\\[\"us\"\\]|7)(,\"iat\":1[0-9]{9})?\\}"
            .prop_map(String::into_bytes),
        Just(Vec::new()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.join(&0_u8))
}

/// A certificate in DER of which some bytes are others, and what is beside it.
fn certificates() -> impl Strategy<Value = Vec<u8>> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).expect("parameters");
    let der = params.self_signed(&key).expect("a certificate").der().to_vec();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (any::<u8>(), changes, inputs()).prop_map(move |(parts, changes, beside)| {
        let mut der = der.clone();
        for (at, byte) in changes {
            let at = at.index(der.len());
            der[at] = byte;
        }
        [&[parts][..], &der, &beside].concat()
    })
}

fn run(inputs: impl Strategy<Value = Vec<u8>>, target: impl Fn(&[u8])) {
    let cases = std::env::var("POSTHOUSE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let ran = runner.run(&inputs, |input| {
        target(&input);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn headers_of_any_bytes() {
    run(inputs(), targets::headers);
}

#[test]
fn forms_of_any_bytes() {
    run(inputs(), targets::forms);
}

#[test]
fn tokens_of_any_bytes() {
    run(inputs(), targets::tokens);
}

#[test]
fn certificates_of_any_bytes() {
    run(certificates(), targets::certificates);
}
