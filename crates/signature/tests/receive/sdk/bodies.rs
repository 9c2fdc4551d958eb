//! Libraries of providers that sign the body, perhaps with a time or the URL, with a shared secret.

use posthouse_signature::receive::Verifier;
use serde_json::{Map, Value, json};

use super::{Case, Libraries, verifier};
use crate::support::{AT_MS, BODY, OTHER_SECRET, SECRET};

/// Libraries that sign, and have no function that verifies a whole body.
pub(super) const ONLY_SIGNING: [&str; 1] = ["adyen-platform"];

/// Libraries that sign no empty body.
const SIGN_NO_EMPTY_BODY: [&str; 2] = ["github", "sanity"];

/// One library.
struct Library {
    of: &'static str,
    /// The scheme that signs where the library does not, if it is not the type's first.
    scheme: Option<&'static str>,
    /// Whether it makes signatures: they are then the ones that are judged, and the same as ours.
    signs: bool,
    /// How old, and how far ahead, a request may be, in seconds.
    window: [Option<i64>; 2],
    /// The header of a list of signatures, the key of one, and what is between two.
    list: Option<[&'static str; 3]>,
}

const fn library(of: &'static str) -> Library {
    Library { of, scheme: None, signs: false, window: [None, None], list: None }
}

const LIBRARIES: [Library; 19] = [
    Library { signs: true, ..library("adyen-platform") },
    Library { signs: true, ..library("coinbase-commerce") },
    Library { signs: true, ..library("github") },
    library("gocardless"),
    library("line"),
    Library { window: [Some(60), Some(60)], ..library("linear") },
    library("nango"),
    Library { signs: true, ..library("notion") },
    Library { window: [Some(300), Some(300)], list: Some(["webhook-signature", "v1,", " "]), ..library("open-ai") },
    Library { window: [Some(5), None], list: Some(["paddle-signature", "h1=", ";"]), ..library("paddle") },
    library("razorpay"),
    Library { signs: true, ..library("sanity") },
    library("shopify"),
    Library { scheme: Some("shopify"), ..library("shopify") },
    Library { window: [Some(300), Some(300)], ..library("slack") },
    library("square"),
    Library {
        signs: true,
        window: [Some(300), Some(300)],
        list: Some(["webhook-signature", "v1,", " "]),
        ..library("standard-webhooks")
    },
    Library {
        signs: true,
        window: [Some(300), None],
        list: Some(["stripe-signature", "v1=", ","]),
        ..library("stripe")
    },
    Library {
        signs: true,
        window: [Some(300), Some(300)],
        list: Some(["svix-signature", "v1,", " "]),
        ..library("svix")
    },
];

/// A secret as the type writes it.
fn written(of: &str, secret: &str) -> String {
    if of == "adyen-platform" { crate::support::hex(secret) } else { secret.to_owned() }
}

/// A request signed by the library, or by us where it only verifies.
fn signed(library: &Library, body: &[u8]) -> Case {
    let secret = written(library.of, SECRET);
    let mut case = Case::new(body, json!({ "secret": secret }), json!({ "secret": secret }));
    let signer = match library.scheme {
        Some(scheme) => Verifier::for_scheme(scheme, case.config.as_object().cloned().expect("an object")),
        None => Ok(verifier(library.of, &case.config)),
    };
    let ours = signer.expect("a scheme").sign(&case.made.request(), AT_MS, "msg_1").expect("signed");
    let ours: Map<String, Value> = ours.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let is_signed_by_us = !library.signs || (body.is_empty() && SIGN_NO_EMPTY_BODY.contains(&library.of));
    match Libraries::sign(library.of, &mut case) {
        Some(theirs) => assert_eq!(theirs["headers"], json!(ours), "{}", library.of),
        None => assert!(is_signed_by_us, "{} did not sign", library.of),
    }
    for (name, value) in &ours {
        case.made.set(name, value.as_str().expect("a text"));
    }
    case
}

fn check_bodies(libraries: &mut Libraries, library: &Library) {
    let bodies = [
        ("blanks and escapes", BODY),
        ("no ASCII", "{\"webhookTimestamp\":1760000000000,\"name\":\"Ünïcødé \u{1f4ee} ✓\"}"),
        ("line ends", "{\r\n\t\"webhookTimestamp\": 1760000000000,\n  \"b\": 1.50e3\r\n}\n"),
        ("empty", ""),
        ("a form", "a=1&b=%20+c&a=2"),
    ];
    for (name, body) in bodies {
        // Linear's time is in the body.
        if library.of == "linear" && !body.starts_with('{') {
            continue;
        }
        let case = signed(library, body.as_bytes());
        libraries.check(library.of, name, &case, true);
    }
}

fn check_changes(libraries: &mut Libraries, library: &Library) {
    let of = library.of;
    let (secret, other) = (written(of, SECRET), written(of, OTHER_SECRET));
    let case = signed(library, BODY.as_bytes());
    let tampered = case.with(|made| made.body = BODY.replace("evt_1", "evt_2").into_bytes());
    libraries.check(of, "tampered body", &tampered, false);
    let parsed: Value = serde_json::from_str(BODY).expect("JSON");
    let again = case.with(|made| made.body = parsed.to_string().into_bytes());
    libraries.check(of, "body written again", &again, false);
    let wrong = case.configured(json!({ "secret": other }), json!({ "secret": other }));
    libraries.check(of, "wrong secret", &wrong, false);
    let rotated = case.configured(json!({ "secrets": [other, secret] }), json!({ "secret": secret }));
    libraries.check(of, "rotated secret", &rotated, true);
    let names: Vec<_> = case.made.headers.keys().filter(|name| *name != "content-type").cloned().collect();
    for name in names {
        let without = case.with(|made| drop(made.headers.remove(&name)));
        libraries.check(of, "missing header", &without, false);
    }
    if of == "square" {
        let moved = case.with(|made| made.url.push('1'));
        libraries.check(of, "other URL", &moved, false);
    }
}

fn check_times(libraries: &mut Libraries, library: &Library) {
    let case = signed(library, BODY.as_bytes());
    let [past, future] = library.window;
    let some_time = 86_400;
    libraries.check(library.of, "at the limit", &case.later(past.unwrap_or(some_time)), true);
    libraries.check(library.of, "ahead at the limit", &case.later(-future.unwrap_or(some_time)), true);
    if let Some(past) = past {
        libraries.check(library.of, "expired", &case.later(past + 1), false);
    }
    if let Some(future) = future {
        libraries.check(library.of, "in the future", &case.later(-future - 1), false);
    }
}

fn check_list(libraries: &mut Libraries, library: &Library) {
    let Some([header, key, separator]) = library.list else { return };
    let case = signed(library, BODY.as_bytes());
    let value = case.made.headers[header].to_str().expect("a text").to_owned();
    let other = format!("{key}{}", "0".repeat(64));
    let before = value.replacen(key, &format!("{other}{separator}{key}"), 1);
    for (name, several) in [("several, first", format!("{value}{separator}{other}")), ("several, last", before)] {
        libraries.check(library.of, name, &case.with(|made| made.set(header, &several)), true);
    }
    let at = value.find(key).expect("a signature");
    let none = case.with(|made| made.set(header, &format!("{}{other}{separator}{other}", &value[..at])));
    libraries.check(library.of, "several, none of ours", &none, false);
}

#[test]
fn the_providers_libraries_agree_on_signed_bodies() {
    let mut libraries = Libraries::default();
    for library in &LIBRARIES {
        check_bodies(&mut libraries, library);
        check_changes(&mut libraries, library);
        check_times(&mut libraries, library);
        check_list(&mut libraries, library);
    }
    libraries.finish(&LIBRARIES.map(|library| library.of));
}
