//! The description against the code: complete, the same names, valid examples, fresh.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::describe::Described;
use super::{TEXT, bodies, document, operations};
use crate::api::routes::implemented;
use crate::api::tests::contract;
use crate::config::read_capped;

/// Parameters that the contract names and this server passes over, or that this server adds.
const PASSED_OVER: [(&str, &str); 1] = [("GET /api/v1/app/{app_id}/msg/{msg_id}/raw", "\"download\"")];

fn each_operation(document: &Value) -> impl Iterator<Item = (String, &str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods.iter().map(move |(method, one)| (format!("{} {path}", method.to_uppercase()), &**path, &**method, one))
    })
}

#[test]
fn every_operation_is_described_and_no_other() {
    // Pages for people describe themselves.
    let is_page = |path: &str| path.starts_with("/docs");
    let here: BTreeSet<String> = implemented()
        .iter()
        .filter(|operation| !is_page(operation.path))
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    let described: Vec<Described> = operations::all();
    let names: BTreeSet<String> = described.iter().map(|of| format!("{} {}", of.method, of.path)).collect();
    assert_eq!(names.len(), described.len(), "an operation is described twice");
    assert_eq!(names, here);
    let ids: BTreeSet<&str> = described.iter().map(|of| of.id).collect();
    assert_eq!(ids.len(), described.len(), "an id is there twice");
}

#[test]
fn nothing_is_left_unsaid() {
    for (name, _, _, one) in each_operation(document()) {
        assert!(one["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        for parameter in one["parameters"].as_array().expect("parameters") {
            let said = parameter["schema"].is_object() && parameter["description"].is_string();
            assert!(said, "{name}: nothing is said of {}", parameter["name"]);
        }
    }
    for (schema, of) in document()["components"]["schemas"].as_object().expect("schemas") {
        for (name, property) in of["properties"].as_object().into_iter().flatten() {
            assert!(property.is_object(), "{schema}: nothing is said of {name}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let text: &str = &TEXT;
    let mut found = 0;
    for (at, _) in text.match_indices("\"$ref\": \"#") {
        let rest = &text[at + "\"$ref\": \"#".len()..];
        let pointer = &rest[..rest.find('"').expect("an end")];
        assert!(document().pointer(pointer).is_some(), "{pointer}");
        found += 1;
    }
    assert!(found > 50, "{found} references");
}

#[test]
fn bodies_have_the_names_that_their_readers_know() {
    for body in bodies::all() {
        let schema = &document()["components"]["schemas"][body.name];
        let said: BTreeSet<&str> = schema["properties"].as_object().expect("properties").keys().map(|k| &**k).collect();
        let known: BTreeSet<&str> =
            body.fields.iter().copied().filter(|name| !body.passed_over.contains(name)).collect();
        assert_eq!(said, known, "{}", body.name);
        for name in body.passed_over {
            assert!(body.fields.contains(name), "{}: {name} is not known", body.name);
        }
        let mut whole = schema.clone();
        whole["additionalProperties"] = false.into();
        whole["components"] = document()["components"].clone();
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        assert!(validator.is_valid(&body.example), "{}: the example is not valid", body.name);
        let used = operations::all().iter().any(|of| of.body == Some(body.name));
        assert!(used, "{} is no operation's body", body.name);
    }
}

/// The patterns that are described let through what the rules let through, byte for byte.
#[test]
fn patterns_are_the_rules() {
    use crate::api::validate::{CHANNEL, EVENT_TYPE, NAME, TAG, UID};
    for rule in [&UID, &EVENT_TYPE, &CHANNEL, &TAG, &NAME] {
        let validator = jsonschema::validator_for(&json!({ "pattern": rule.pattern })).expect("a pattern");
        for byte in 0..128_u8 {
            let text = format!("a{}b", char::from(byte));
            assert_eq!(validator.is_valid(&json!(text)), rule.check(&text).is_ok(), "{} {text:?}", rule.pattern);
        }
    }
}

#[test]
fn operations_are_the_contracts() {
    let Some(contract) = contract() else { return };
    let mut compared = 0;
    for (name, path, method, ours) in each_operation(document()) {
        let theirs = &contract["paths"][path][method];
        if theirs.is_null() {
            continue;
        }
        compared += 1;
        assert_eq!(ours["operationId"], theirs["operationId"], "{name}");
        assert_eq!(ours["tags"], theirs["tags"], "{name}");
        let names = |one: &Value| -> BTreeSet<(String, String)> {
            let all = one["parameters"].as_array().into_iter().flatten();
            let pair = |p: &Value| (p["in"].to_string(), p["name"].to_string());
            all.map(pair).filter(|(_, parameter)| !PASSED_OVER.contains(&(&name, parameter))).collect()
        };
        assert_eq!(names(ours), names(theirs), "{name}");
        assert_eq!(ours["requestBody"].is_object(), theirs["requestBody"].is_object(), "{name}");
        let reference = |one: &Value| one["requestBody"]["content"]["application/json"]["schema"]["$ref"].clone();
        assert_eq!(reference(ours), reference(theirs), "{name}");
    }
    assert!(compared >= 24, "{compared} operations");
}

#[test]
fn schemas_have_the_contracts_properties() {
    let Some(contract) = contract() else { return };
    let theirs = &contract["components"]["schemas"];
    let mut wrong = Vec::new();
    for (name, ours) in document()["components"]["schemas"].as_object().expect("schemas") {
        let theirs = &theirs[name];
        let is_body = bodies::all().iter().any(|body| body.name == name);
        for property in theirs["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
            let required = theirs["required"].as_array().is_some_and(|all| all.contains(&json!(property)));
            if (required || is_body) && ours["properties"].get(property).is_none() {
                wrong.push(format!("{name}.{property} is not described"));
            }
        }
        let required = |of: &Value| -> BTreeSet<String> {
            of["required"].as_array().into_iter().flatten().map(ToString::to_string).collect()
        };
        if is_body && theirs.is_object() && required(ours) != required(theirs) {
            wrong.push(format!("{name} requires {:?}, not {:?}", required(ours), required(theirs)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The committed file says what the code says. `UPDATE_GENERATED=1` writes it.
#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &**TEXT).expect("the file can be written");
    }
    let committed = read_capped(&path, 16 << 20).unwrap_or_default();
    assert!(committed == **TEXT, "{} is not fresh: run make generated", path.display());
}
