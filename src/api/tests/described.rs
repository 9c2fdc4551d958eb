//! Every answer of these tests against the description of the API: its status is listed, its body
//! has exactly the shape that is described, and every query parameter that the handler asked for
//! is described. What no test answers with is not judged here.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::{Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::support::Answer;
use crate::api::openapi::{described, document};
use crate::api::routes::{Operation, implemented};

/// Statuses that any request can be answered with.
const ANYWHERE: [u16; 4] = [405, 431, 501, 503];

/// One validator for each schema of the description, in which nothing may be that is not described.
static VALIDATORS: LazyLock<HashMap<String, jsonschema::Validator>> = LazyLock::new(|| {
    let mut schemas = document()["components"]["schemas"].clone();
    for schema in schemas.as_object_mut().expect("schemas").values_mut() {
        if schema["properties"].is_object() {
            schema["additionalProperties"] = false.into();
        }
    }
    let names: Vec<String> = schemas.as_object().expect("schemas").keys().cloned().collect();
    let of = |name: String| {
        let reference = format!("#/components/schemas/{name}");
        let root = json!({ "$ref": reference, "components": { "schemas": schemas } });
        (reference, jsonschema::validator_for(&root).expect("a schema"))
    };
    names.into_iter().map(of).collect()
});

/// The operation that a request is for, by its path.
fn operation_of(method: &Method, path: &str) -> Option<Operation> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let fits = |pattern: &str| {
        pattern.split('/').count() == path.split('/').count()
            && pattern.split('/').zip(path.split('/')).all(|(wide, part)| wide == part || wide.starts_with('{'))
    };
    let mut found: Vec<Operation> =
        implemented().into_iter().filter(|one| one.method == *method && fits(one.path)).collect();
    // The most exact path is meant.
    found.sort_by_key(|one| one.path.matches('{').count());
    found.into_iter().next()
}

/// Judges an answer. An operation that is not described at all is another test's finding.
#[track_caller]
pub(super) fn judge(method: &Method, path: &str, answer: &Answer, asked: &[&'static str]) {
    let Some(operation) = operation_of(method, path) else { return };
    let Some(of) = described(method, operation.path) else { return };
    let name = format!("{method} {}", operation.path);
    for parameter in asked {
        assert!(of.query_names().contains(parameter), "{name} reads {parameter}, which is not described");
    }
    let one = &document()["paths"][operation.path][method.as_str().to_ascii_lowercase()];
    let status = answer.status.as_u16();
    let mut response = &one["responses"][status.to_string()];
    if response.is_null() {
        assert!(ANYWHERE.contains(&status), "{name} answers {status}, which is not described");
        return;
    }
    if let Some(reference) = response["$ref"].as_str() {
        response = document().pointer(&reference[1..]).expect("a response");
    }
    if answer.headers.contains_key("content-disposition") {
        // Bytes, as who asked for them gets them.
        return;
    }
    let Some((media_type, content)) = response["content"].as_object().and_then(|all| all.iter().next()) else {
        assert!(
            answer.body.is_empty() || answer.status != StatusCode::NO_CONTENT,
            "{name} answers {status} with a body"
        );
        return;
    };
    assert_eq!(answer.headers["content-type"], media_type.as_str(), "{name} {status}");
    if media_type != "application/json" {
        return;
    }
    let reference = content["schema"]["$ref"].as_str().expect("a reference");
    // Payloads are shown as they came, also such as a reader of JSON cannot hold (`1e400`).
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        assert!(serde_json::from_slice::<&RawValue>(&answer.body).is_ok(), "{name} {status} is not JSON");
        return;
    };
    let problems: Vec<String> =
        VALIDATORS[reference].iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{name} {status} is not as described: {problems:#?}\n{body:#}");
}
