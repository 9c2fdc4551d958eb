mod asymmetric;

use proptest::prelude::*;

use super::*;

/// The vector of the Standard Webhooks reference libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> Secret {
    Secret::parse(SECRET).expect("the vector's secret")
}

fn key(secret: &Secret) -> VerifyingKey {
    VerifyingKey::Symmetric(secret.clone())
}

fn check(id: &str, timestamp: &str, header: &str, body: &[u8], now: i64) -> Result<(), Cause> {
    verify([&key(&secret())], id, timestamp, header, body, now, TOLERANCE_S)
}

#[test]
fn the_published_vector_signs_and_verifies() {
    assert_eq!(sign(&secret(), ID, AT, BODY), SIGNATURE);
    assert_eq!(check(ID, &AT.to_string(), SIGNATURE, BODY, AT), Ok(()));
}

#[test]
fn several_signatures_and_secrets() {
    let (old, new) = (secret(), Secret::from_bytes(&[7; 24]).expect("24 bytes"));
    let at = AT.to_string();
    let header = format!("v1a,AAAA v1,short {} {SIGNATURE}", sign(&new, ID, AT, BODY));
    let (old, new) = (key(&old), key(&new));
    for keys in [vec![&old], vec![&new], vec![&new, &old]] {
        assert_eq!(verify(keys, ID, &at, &header, BODY, AT, 300), Ok(()));
    }
    let other = key(&Secret::from_bytes(&[8; 24]).expect("24 bytes"));
    let mismatch = Err(Cause::Mismatch);
    assert_eq!(verify([&other], ID, &at, &header, BODY, AT, 300), mismatch);
    assert_eq!(verify([], ID, &at, &header, BODY, AT, 300), mismatch);
}

#[test]
fn the_tolerance_holds_to_the_second() {
    let at = AT.to_string();
    assert_eq!(check(ID, &at, SIGNATURE, BODY, AT + 300), Ok(()));
    assert_eq!(check(ID, &at, SIGNATURE, BODY, AT - 300), Ok(()));
    let old = check(ID, &at, SIGNATURE, BODY, AT + 301);
    assert_eq!(old, Err(Cause::TooOld));
    let new = check(ID, &at, SIGNATURE, BODY, AT - 301);
    assert_eq!(new, Err(Cause::TooNew));
    let far = check(ID, &i64::MAX.to_string(), SIGNATURE, BODY, i64::MIN);
    assert_eq!(far, Err(Cause::TooNew));
}

#[test]
fn malformed_input_has_a_cause() {
    let at = AT.to_string();
    for timestamp in ["", " ", "+1", "-1", "1e9", "1.0", "٣", "99999999999999999999"] {
        let seen = check(ID, timestamp, SIGNATURE, BODY, AT);
        assert_eq!(seen, Err(Cause::MalformedTimestamp), "{timestamp}");
    }
    for header in ["", " ", "v1", "v1,", "v1,****", "v2,AAAA", &SIGNATURE[3..], "v1,AAAA"] {
        let seen = check(ID, &at, header, BODY, AT);
        assert_eq!(seen, Err(Cause::NoSignature), "{header}");
    }
    for id in ["", "a.1614265330"] {
        let seen = check(id, &at, SIGNATURE, BODY, AT);
        assert_eq!(seen, Err(Cause::MalformedId), "{id}");
    }
    // The same number in other digits is another text, so another message.
    let padded = check(ID, &format!("0{AT}"), SIGNATURE, BODY, AT);
    assert_eq!(padded, Err(Cause::Mismatch));
}

#[test]
fn only_the_first_signatures_count() {
    let filler = "v1,x ".repeat(SIGNATURES_MAX);
    let seen = check(ID, &AT.to_string(), &(filler + SIGNATURE), BODY, AT);
    assert_eq!(seen, Err(Cause::NoSignature));
}

#[test]
fn secrets_are_read_and_shown() {
    let bare = &SECRET[SECRET_PREFIX.len()..];
    for text in [SECRET, bare] {
        assert_eq!(Secret::parse(text).map(|s| s.expose()), Ok(SECRET.into()));
    }
    let padded = Secret::from_bytes(&[1; 25]).expect("25 bytes").expose();
    let unpadded = Secret::parse(padded.trim_end_matches('='));
    assert_eq!(unpadded.map(|s| s.expose()), Ok(padded));
    assert!(Secret::from_bytes(&[0; 75]).is_ok());
    for length in [0, 23, 76] {
        let seen = Secret::from_bytes(&vec![0; length]).map(|_| ());
        assert_eq!(seen, Err(SecretError::Length), "{length}");
    }
    let key = "A".repeat(32);
    for (prefix, cause) in [
        ("whsk_", SecretError::Asymmetric),
        ("whpk_", SecretError::PublicKey),
        ("whsk1_", SecretError::UnknownPrefix),
        ("whpk1_", SecretError::UnknownPrefix),
    ] {
        let seen = Secret::parse(&format!("{prefix}{key}")).map(|_| ());
        assert_eq!(seen, Err(cause), "{prefix}");
    }
    for (text, cause) in [
        ("", SecretError::Length),
        ("whsec_", SecretError::Length),
        ("whsec_AAAA", SecretError::Length),
        (&"A".repeat(104), SecretError::Length),
        (&"-".repeat(32), SecretError::Base64),
        (&format!("whsec_whsec_{key}"), SecretError::Base64),
    ] {
        assert_eq!(Secret::parse(text).map(|_| ()), Err(cause), "{text}");
    }
}

#[test]
fn debug_hides_the_key() {
    assert_eq!(format!("{:?}", secret()), "Secret(hidden)");
}

#[test]
fn decimals_are_written_like_the_standard_library_does() {
    for value in [0, 1, 9, 10, -1, AT, i64::MAX, i64::MIN] {
        let mut buffer = [0; DECIMAL_BYTES];
        assert_eq!(write_decimal(value, &mut buffer), value.to_string().as_bytes());
    }
}

proptest! {
    #[test]
    fn what_was_signed_verifies(
        bytes in prop::collection::vec(any::<u8>(), 24..=75),
        id in "[a-zA-Z0-9_-]{1,40}",
        at in 0..=4_102_444_800_i64,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let secret = Secret::from_bytes(&bytes).expect("24 to 75 bytes");
        let header = sign(&secret, &id, at, &body);
        prop_assert_eq!(verify([&key(&secret)], &id, &at.to_string(), &header, &body, at, 0), Ok(()));
    }

    #[test]
    fn a_changed_message_never_verifies(
        body in prop::collection::vec(any::<u8>(), 1..200),
        flip in 1..=u8::MAX,
        at in any::<prop::sample::Index>(),
        id in "[a-zA-Z0-9_.-]{0,40}",
        shift in 1..=300_i64,
    ) {
        let time = AT.to_string();
        let header = sign(&secret(), ID, AT, &body);
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= flip;
        prop_assert!(check(ID, &time, &header, &changed, AT).is_err());
        prop_assert!(check(ID, &time, &header, &body[1..], AT).is_err());
        if id != ID {
            prop_assert!(check(&id, &time, &header, &body, AT).is_err());
        }
        prop_assert!(check(ID, &(AT + shift).to_string(), &header, &body, AT).is_err());
        prop_assert!(check(ID, &(AT - shift).to_string(), &header, &body, AT).is_err());
    }

    #[test]
    fn no_header_panics(id in ".{0,40}", time in ".{0,30}", header in ".{0,200}") {
        prop_assert!(check(&id, &time, &header, BODY, AT).is_err());
    }
}
