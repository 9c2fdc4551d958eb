//! The asymmetric scheme, and keys of both schemes together.

use proptest::prelude::*;

use super::*;

/// The published vector of the asymmetric scheme: the id, time and body are those of the symmetric one.
const PAIR: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const PAIR_SIGNATURE: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn signing(text: &str) -> SigningKey {
    SigningKey::parse(text).expect("a signing key")
}

fn verifying(text: &str) -> VerifyingKey {
    VerifyingKey::parse(text).expect("a verifying key")
}

fn with(keys: &[&VerifyingKey], header: &str) -> Result<(), Cause> {
    verify(keys.iter().copied(), ID, &AT.to_string(), header, BODY, AT, TOLERANCE_S)
}

#[test]
fn the_published_vector_signs_and_verifies() {
    let pair = signing(PAIR);
    assert_eq!(pair.sign(ID, AT, BODY), PAIR_SIGNATURE);
    assert_eq!(pair.shown(), PUBLIC);
    for key in [PUBLIC, PAIR] {
        assert_eq!(with(&[&verifying(key)], PAIR_SIGNATURE), Ok(()), "{key}");
    }
    let tampered = verify([&verifying(PUBLIC)], ID, &AT.to_string(), PAIR_SIGNATURE, b"{}", AT, TOLERANCE_S);
    assert_eq!(tampered, Err(Cause::Mismatch));
}

/// RFC 8032, section 7.1, test 1: the seed, and the public key that belongs to it.
#[test]
fn a_seed_has_the_public_key_of_the_rfc() {
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let pair = KeyPair::from_seed(&seed);
    // RFC 8037, appendix A.2, shows the same key as a JWK.
    assert_eq!(pair.public().jwk().x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let read = KeyPair::parse(&pair.expose()).expect("what was shown");
    assert_eq!(read.public(), pair.public());
}

#[test]
fn keys_of_both_kinds_sign_one_header() {
    let keys = [signing(PAIR), signing(SECRET)];
    let header = sign_all(&keys, ID, AT, BODY);
    assert_eq!(header, format!("{PAIR_SIGNATURE} {SIGNATURE}"));
    let (public, secret) = (verifying(PUBLIC), verifying(SECRET));
    let other = VerifyingKey::from(&SigningKey::Asymmetric(KeyPair::from_seed(&[3; 32])));
    for keys in [vec![&public], vec![&secret], vec![&other, &secret], vec![&other, &public]] {
        assert_eq!(with(&keys, &header), Ok(()));
    }
    assert_eq!(with(&[&other], &header), Err(Cause::Mismatch));
    assert_eq!(sign_all([], ID, AT, BODY), "");
}

#[test]
fn a_signature_of_one_scheme_never_serves_for_the_other() {
    let (public, secret) = (verifying(PUBLIC), verifying(SECRET));
    assert_eq!(with(&[&public], SIGNATURE), Err(Cause::Mismatch));
    assert_eq!(with(&[&secret], PAIR_SIGNATURE), Err(Cause::Mismatch));
    // The public key is known to anybody: as the secret of the other scheme it must open nothing.
    let forged = Secret::parse(PUBLIC.trim_start_matches("whpk_")).expect("32 bytes");
    assert_eq!(with(&[&public], &sign(&forged, ID, AT, BODY)), Err(Cause::Mismatch));
    for header in [PAIR_SIGNATURE.replace("v1a,", "v1,"), SIGNATURE.replace("v1,", "v1a,"), "v1a,".into()] {
        assert_eq!(with(&[&public, &secret], &header), Err(Cause::NoSignature), "{header}");
    }
}

#[test]
fn what_is_no_key_pair_is_refused_with_its_cause() {
    let cause = |text: &str| SigningKey::parse(text).map(|_| ()).expect_err(text);
    assert_eq!(cause(PUBLIC), SecretError::PublicKey);
    assert_eq!(cause("whsk_"), SecretError::KeyPair);
    assert_eq!(cause("whsk_****"), SecretError::KeyPair);
    for length in [32, 63, 65, 75] {
        let text = format!("whsk_{}", STANDARD.encode(vec![1; length]));
        assert_eq!(cause(&text), SecretError::KeyPair, "{length}");
    }
    assert_eq!(cause(&format!("whsk_{}", STANDARD.encode([1; 64]))), SecretError::Mismatched);
    assert_eq!(cause(&PAIR.replace("whsk_", "whsk1_")), SecretError::UnknownPrefix);
    let unpadded = signing(PAIR.trim_end_matches('='));
    assert_eq!(unpadded.shown(), PUBLIC);
}

#[test]
fn what_is_no_public_key_is_refused() {
    let encoded = |bytes: &[u8]| format!("whpk_{}", STANDARD.encode(bytes));
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut not_on_the_curve = [0; 32];
    not_on_the_curve[0] = 2;
    for text in [
        "whpk_".to_owned(),
        "whpk_****".to_owned(),
        encoded(&[9; 31]),
        encoded(&[9; 33]),
        encoded(&[0; 32]),
        encoded(&neutral),
        encoded(&not_on_the_curve),
    ] {
        assert_eq!(VerifyingKey::parse(&text).map(|_| ()), Err(SecretError::NoPublicKey), "{text}");
    }
}

#[test]
fn a_public_key_is_named_by_its_hash() {
    let jwk = signing(PAIR).jwk().expect("a key pair has a public key");
    assert_eq!(jwk.x, "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4");
    assert_eq!(jwk.kid.len(), 16);
    assert_eq!(signing(PAIR).jwk(), Some(jwk));
    assert_eq!(signing(SECRET).jwk(), None);
}

#[test]
fn debug_hides_the_seed() {
    assert_eq!(format!("{:?}", signing(PAIR)), "Asymmetric(KeyPair(hidden))");
}

proptest! {
    #[test]
    fn a_key_comes_back_from_the_store(bytes in prop::collection::vec(any::<u8>(), 24..=75), seed in any::<[u8; 32]>()) {
        let secret = SigningKey::Symmetric(Secret::from_bytes(&bytes).expect("24 to 75 bytes"));
        let pair = SigningKey::Asymmetric(KeyPair::from_seed(&seed));
        prop_assert_eq!(&secret.to_stored(), &bytes);
        for key in [secret, pair] {
            let read = SigningKey::from_stored(&key.to_stored()).expect("what was stored");
            prop_assert_eq!(read.shown(), key.shown());
            prop_assert_eq!(read.sign(ID, AT, BODY), key.sign(ID, AT, BODY));
        }
    }

    #[test]
    fn what_a_pair_signed_verifies_and_nothing_else_does(
        seed in any::<[u8; 32]>(),
        id in "[a-zA-Z0-9_-]{1,40}",
        at in 0..=4_102_444_800_i64,
        body in prop::collection::vec(any::<u8>(), 1..300),
        place in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
    ) {
        let pair = SigningKey::Asymmetric(KeyPair::from_seed(&seed));
        let public = VerifyingKey::from(&pair);
        let header = pair.sign(&id, at, &body);
        let time = at.to_string();
        let judge = |id: &str, header: &str, body: &[u8]| verify([&public], id, &time, header, body, at, 0);
        prop_assert_eq!(judge(&id, &header, &body), Ok(()));
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= flip;
        prop_assert_eq!(judge(&id, &header, &changed), Err(Cause::Mismatch));
        prop_assert_eq!(judge(&format!("{id}x"), &header, &body), Err(Cause::Mismatch));
        let mut signature = STANDARD.decode(&header["v1a,".len()..]).expect("base64");
        let index = place.index(signature.len());
        signature[index] ^= flip;
        let altered = format!("v1a,{}", STANDARD.encode(signature));
        prop_assert_eq!(judge(&id, &altered, &body), Err(Cause::Mismatch));
    }

    #[test]
    fn no_stored_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), text in ".{0,120}") {
        let _ = SigningKey::from_stored(&bytes);
        let _ = SigningKey::from_stored(text.as_bytes());
        let _ = SigningKey::from_stored(format!("whsk_{text}").as_bytes());
    }
}
