//! Samples: what a source makes up it accepts, and finds the id and the type in.

use http::Method;
use posthouse_signature::receive::{Context, Request, Verdict, Verifier, all};

use super::support::{AT_MS, Nothing, SECRET, config};

const URL: &str = "https://hooks.example.com/in/abc";

/// A verifier of a type with a secret, or with what it needs beside one.
fn verifier(source_type: &str) -> Option<Verifier> {
    let scheme = posthouse_signature::receive::find(source_type)?.scheme_names().next()?;
    let names = [scheme, source_type, "generic-basic"];
    names.into_iter().find_map(|name| Verifier::new(source_type, config(name, &[SECRET])).ok())
}

#[test]
fn what_is_made_up_is_accepted_by_every_type_that_can_be_signed_for() {
    let (mut made, mut not_made) = (0, Vec::new());
    for source_type in all() {
        let Some(verifier) = verifier(source_type.name).filter(Verifier::is_receiving) else { continue };
        let Some(sample) = verifier.sample(URL, AT_MS, "sample_1") else {
            not_made.push(source_type.name);
            continue;
        };
        made += 1;
        let url = sample.query.as_ref().map_or_else(|| URL.to_owned(), |query| format!("{URL}?{query}"));
        let request = Request { method: &Method::POST, url: &url, headers: &sample.headers, body: &sample.body };
        let context = Context { now_ms: AT_MS, fetched: &Nothing, is_registered: true, explains: true };
        assert_eq!(verifier.judge(&request, &context), Verdict::Accepted, "{}", source_type.name);
        let described = verifier.describe(&request);
        let name = source_type.name;
        assert!(described.event_id.is_none_or(|id| id == "sample_1"), "{name}");
        assert!(described.event_type.is_none_or(|kind| kind.split('.').all(|part| part == "sample")), "{name}");
    }
    assert!(made >= 60, "{made} types; not {not_made:?}");
}

#[test]
fn what_only_the_provider_can_sign_is_not_made_up() {
    let keyless = Verifier::new("aws-sns", serde_json::Map::new());
    if let Ok(verifier) = keyless {
        assert_eq!(verifier.sample(URL, AT_MS, "sample_1"), None);
    }
    let open = Verifier::new("generic-webhook", serde_json::Map::new()).expect("a source without a secret");
    assert!(open.sample(URL, AT_MS, "sample_1").is_some());
}
