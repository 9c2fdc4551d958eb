//! What has broken servers before, as JSON, as percent-encoded text, and as whole bodies.

use proptest::prelude::*;

/// Longer than any text that is taken.
const LONG: usize = 70_000;

/// JSON values, some of which only a text can hold.
pub(crate) fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1",
        "1.5",
        "1.0",
        "-0",
        "1e400",
        "-1e400",
        "1e-400",
        "65535",
        "65536",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999999",
        "\"\"",
        "\" \"",
        "\"a b\"",
        "\"a\\u0000b\"",
        "\"\\u0000\"",
        "\"\\u0001\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"a\\ud800b\"",
        "\"\u{fffd}\"",
        "\"\u{feff}a\"",
        "\"é\"",
        "\"\u{202e}\"",
        "\"a\\nb\"",
        "\"a\\n\"",
        "\"../../etc/passwd\"",
        "\"a/b\"",
        "\"';--\"",
        "\"<script>\"",
        "\"%00\"",
        "\"NaN\"",
        "\"true\"",
        "\"1\"",
        "\"null\"",
        "\"2026-13-45T99:99:99Z\"",
        "\"http://\"",
        "\"http://[::1\"",
        "\"http://169.254.169.254/\"",
        "\"file:///etc\"",
        "\"https://example.com:99999/\"",
        "\"whsec_AAAA\"",
        "[]",
        "[null]",
        "[[]]",
        "[{}]",
        "[1]",
        "[\"\"]",
        "[\"a\",\"a\"]",
        "[\"a b\"]",
        "[\"\\ud800\"]",
        "[1e400]",
        "[true]",
        "{}",
        "{\"a\":1}",
        "{\"a\":null}",
        "{\"a\":\"1\",\"a\":\"2\"}",
        "{\"\":\"\"}",
        "{\"\\ud800\":\"a\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":{}}",
        "{\"a\":[]}",
        "{\"a\":1e400}",
    ]
    .map(str::to_owned)
    .into();
    let long = "a".repeat(LONG);
    values.push(format!("\"{long}\""));
    values.push(format!("[\"{long}\"]"));
    values.push(format!("{{\"a\":\"{long}\"}}"));
    values.push(format!("{{\"{long}\":\"a\"}}"));
    let many: Vec<String> = (0..3_000).map(|n| format!("\"t{n}\"")).collect();
    values.push(format!("[{}]", many.join(",")));
    let many: Vec<String> = (0..3_000).map(|n| format!("\"t{n}\":\"\"")).collect();
    values.push(format!("{{{}}}", many.join(",")));
    values.push(format!("{}{}", "[".repeat(100), "]".repeat(100)));
    values.push(format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)));
    values
}

/// What is no value of JSON, in the place of one.
pub(crate) const NO_VALUES: [&str; 12] =
    ["", "NaN", "Infinity", "-", "+1", "01", ".5", "1.", "'a'", "\"a", "\"\t\"", "\"\\x\""];

/// Texts for paths and queries, as they are written in a URL.
pub(crate) fn encoded() -> Vec<String> {
    let mut texts: Vec<String> = [
        "%00",
        "a%00b",
        "%ff",
        "%ed%a0%80",
        "%c0%af",
        "%f4%90%80%80",
        "a%20b",
        "%2F",
        "..%2f..%2fa",
        "%2e%2e",
        "%zz",
        "%25",
        "%0d%0aa:b",
        "%EF%BB%BF",
        "%C3%A9",
        "%27--",
        "%3Cscript%3E",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "1.5",
        "250",
        "251",
        "-0",
        "1e9",
        "1e400",
        "0x10",
        "NaN",
        "99999999999999999999999999",
        "true",
        "TRUE",
        "null",
        "a,b",
        "a,,b",
        "%2C",
        "2026-01-01T00:00:00Z",
        "2026-13-45T99:99:99Z",
        "2026-01-01",
        "ascending",
        "sideways",
        "app_",
        "app_short",
        "ep_000000000000000000000000000",
        "-msg_000000000000000000000000000",
        "src_000000000000000000000000000",
        "atmpt_zzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ]
    .map(str::to_owned)
    .into();
    texts.push("a".repeat(257));
    texts.push("a".repeat(4_000));
    texts.push("a,".repeat(1_000) + "a");
    texts.push((0..600).map(|n| format!("t{n}")).collect::<Vec<_>>().join(","));
    texts
}

/// Whole bodies of which none is one JSON object.
pub(crate) fn bodies(good: &str) -> Vec<(&'static str, Vec<u8>)> {
    let good = good.as_bytes();
    let with = |before: &[u8], after: &[u8]| [before, good, after].concat();
    vec![
        ("nothing", Vec::new()),
        ("blanks", b" \n\t".to_vec()),
        ("null", b"null".to_vec()),
        ("an array", with(b"[", b"]")),
        ("a text", b"\"a\"".to_vec()),
        ("a number", b"5".to_vec()),
        ("a part", good[..good.len() - 1].to_vec()),
        ("one brace", b"{".to_vec()),
        ("bytes behind", with(b"", b"x")),
        ("another behind", with(b"", good)),
        ("NUL behind", with(b"", b"\0")),
        ("a byte order mark", with(b"\xef\xbb\xbf", b"")),
        ("UTF-16", good.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("no UTF-8", b"{\"a\":\"\xff\"}".to_vec()),
        ("no UTF-8 in a name", b"{\"\xc3\":1}".to_vec()),
        ("a surrogate in UTF-8", b"{\"a\":\"\xed\xa0\x80\"}".to_vec()),
        ("a comment", with(b"/* a */", b"")),
        ("a comma too many", [&good[..good.len() - 1], b",}"].concat()),
        ("single quotes", b"{'a':1}".to_vec()),
        ("too deep", [b"{\"a\":".repeat(200), b"1".to_vec(), b"}".repeat(200)].concat()),
        ("much too deep", b"[".repeat(100_000)),
        ("too long", with(&b" ".repeat(1 << 20), b"")),
        ("a form", b"name=a&uid=b".to_vec()),
        ("noise", (0..=255_u8).collect()),
    ]
}

/// Any JSON, small.
pub(crate) fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1.0e9..1.0e9_f64).prop_map(|value| value.to_string()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        "[a-zA-Z0-9._:+/#-]{0,40}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = "[a-z]{0,3}".prop_map(|name| format!("\"{name}\""));
        let entry = (name, inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(entry, 0..4).prop_map(|entries| format!("{{{}}}", entries.join(","))),
        ]
    })
}

/// Any bytes, percent-encoded.
pub(crate) fn any_encoded() -> impl Strategy<Value = String> {
    let byte = prop_oneof![
        any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        "[a-zA-Z0-9._,-]".prop_map(|text: String| text),
    ];
    proptest::collection::vec(byte, 1..20).prop_map(|bytes| bytes.concat())
}
