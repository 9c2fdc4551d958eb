use proptest::prelude::*;

use super::*;

#[test]
fn a_time_is_read_with_fraction_and_zone() {
    for (text, ms) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-10-09T08:53:20Z", 1_760_000_000_000),
        ("2025-10-09T08:53:20.123456789Z", 1_760_000_000_123),
        ("2025-10-09T08:53:20.5Z", 1_760_000_000_500),
        ("2025-10-09T10:53:20+02:00", 1_760_000_000_000),
        ("2025-10-09T03:23:20-05:30", 1_760_000_000_000),
        ("2024-02-29T23:59:59Z", 1_709_251_199_000),
        ("1969-12-31T23:59:59Z", -1_000),
    ] {
        assert_eq!(rfc3339(text), Some(ms), "{text}");
    }
    for text in ["", "2025-10-09", "2025-13-09T08:53:20Z", "2025-10-09T08:53:20", "2025-10-09T08:53:20.Z", "1760000000"]
    {
        assert_eq!(rfc3339(text), None, "{text}");
    }
}

#[test]
fn a_form_is_decoded_field_by_field() {
    let fields = form(b"a=1+2&b=%C3%9C%2B&&c&d=%zz%4").unwrap();
    let expected: Vec<(&[u8], &[u8])> = vec![(b"a", b"1 2"), (b"b", "Ü+".as_bytes()), (b"c", b""), (b"d", b"%zz%4")];
    let read: Vec<(&[u8], &[u8])> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(read, expected);
    assert_eq!(form("x&".repeat(FIELDS_MAX + 1).as_bytes()), Err(Cause::MalformedBody));
}

#[test]
fn a_url_is_taken_apart() {
    assert_eq!(path("https://a.test/in/x?y=/z"), "/in/x");
    assert_eq!(path("https://a.test?y"), "/");
    assert_eq!(query("https://a.test/p?x=1#y?"), "x=1");
    assert_eq!(parameter("https://a.test/p?x=1&x=2&y=a%20b", "x").as_deref(), Some("1"));
    assert_eq!(parameter("https://a.test/p?x=1&x=2&y=a%20b", "y").as_deref(), Some("a b"));
    assert_eq!(parameter("https://a.test/p", "y"), None);
}

#[test]
fn an_own_tolerance_replaces_the_providers() {
    let own = Settings::new(serde_json::json!({"toleranceSeconds": 10}).as_object().unwrap().clone());
    assert_eq!(Window::both(300).configured(&own), Window::both(10));
    assert_eq!(Window::NONE.configured(&own), Window::both(10));
    let past_only = Window { past_s: Some(30), future_s: None };
    assert_eq!(past_only.configured(&own), Window { past_s: Some(10), future_s: None });
    assert_eq!(Window::both(300).check(301_000, 0), Err(Cause::TimestampExpired));
    assert_eq!(Window::both(300).check(0, 301_000), Err(Cause::TimestampInFuture));
    assert_eq!(Window::both(300).check(300_000, 0), Ok(()));
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
        let _ = form(&bytes);
        let _ = (rfc3339(&text), decimal(&text), seconds(&text), unhex(&text));
        let _ = (query(&text), parameter(&text, "a"), path(&text));
    }

    #[test]
    fn digits_come_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
    }
}
