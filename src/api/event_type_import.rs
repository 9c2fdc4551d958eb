//! Event types from an `OpenAPI` document: its `webhooks`, or `x-webhooks` where it is older than these. References
//! to the document's components stay references, to definitions that the schema then holds itself: a schema that
//! names itself stays one, and nothing grows by being written out.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::answer;
use super::call::Call;
use super::change::{self, Rendered};
use super::error::{ApiError, Kind};
use super::event_type::{FEATURE_FLAGS_MAX, SCHEMA_DEPTH_MAX, SCHEMAS_BYTES_MAX};
use super::event_type_export::{self as export, COMPONENTS, FLAGS, GROUP, SCHEMAS, rebase, references};
use super::json::{Fields, Given, Null, depth};
use super::validate;
use crate::model::{EventType, EventTypeSpec};
use crate::store::command::{Change, Changed};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 4] = ["dryRun", "replaceAll", "spec", "specRaw"];
/// Event types in one import.
const TYPES_MAX: usize = 1_000;
/// Bytes of all schemas of one import.
const ALL_SCHEMAS_BYTES_MAX: usize = 16 << 20;
/// The version that a schema is kept as, of which the document says no other.
const VERSION: &str = "1";
/// In which methods an operation is looked for, in this order.
const METHODS: [&str; 4] = ["post", "put", "patch", "get"];
/// Where a schema's own definitions are.
const DEFINITIONS: &str = "#/$defs/";

/// What an import has done, or would do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTypeImportOpenApiOut")]
pub(super) struct ImportOut {
    /// What it has done, or would do.
    data: ImportData,
}

/// What an import has done, or would do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTypeImportOpenApiOutData")]
struct ImportData {
    /// Names of event types that were created, changed or archived; none in a dry run.
    modified: Vec<String>,
    /// In a dry run: those that would be created or changed, as they would be.
    to_modify: Option<Vec<ImportedOut>>,
}

/// An event type as the document has it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTypeFromOpenApi")]
#[serde(rename_all = "camelCase")]
struct ImportedOut {
    /// Its dotted name.
    name: String,
    /// What has happened when it is sent.
    description: String,
    /// JSON Schemas of its payload, by version.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    schemas: Option<Value>,
    /// Whether it should no longer be chosen.
    deprecated: bool,
    /// Under which it is shown.
    group_name: Option<String>,
    /// Shown to customers with one of these only.
    feature_flags: Option<Vec<String>>,
}

/// What is wrong with a document, and where in it.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    /// The webhook.
    at: String,
    msg: String,
}

/// `POST /event-type/import/openapi`: all of it, or nothing.
pub(super) async fn import(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let depth_max = call.gateway.limits.json_depth_max;
    let mut fields = Fields::parse(&body, &FIELDS, depth_max)?;
    let dry_run = fields.boolean("dryRun").value().unwrap_or_default();
    let replace_all = fields.boolean("replaceAll").value().unwrap_or_default();
    let types = read_types(&mut fields, depth_max);
    fields.finish()?;
    call.idempotency_key()?;
    let (env, types) = (call.env, types.unwrap_or_default());
    if !dry_run {
        return change::commit(&call, Change::ImportEventTypes { env, types, replace_all }, &body, render).await;
    }
    let existing = export::all(&call).await?;
    let is_new = |name: &String, spec: &EventTypeSpec| !existing.iter().any(|one| is_same(one, name, spec));
    let to_modify = types.into_iter().filter(|(name, spec)| is_new(name, spec)).map(shown).collect();
    let data = ImportData { modified: Vec::new(), to_modify: Some(to_modify) };
    Ok(answer::json(StatusCode::OK, &ImportOut { data }))
}

fn is_same(one: &EventType, name: &str, spec: &EventTypeSpec) -> bool {
    let retry_schedule = one.spec.retry_schedule.clone();
    one.name == name && one.spec == EventTypeSpec { retry_schedule, ..spec.clone() }
}

fn shown((name, spec): (String, EventTypeSpec)) -> ImportedOut {
    let EventTypeSpec { description, deprecated, schemas, group_name, feature_flags, .. } = spec;
    ImportedOut { name, description, schemas, deprecated, group_name, feature_flags }
}

fn render(changed: &Changed) -> Rendered {
    match changed {
        Changed::EventTypesImported(_, modified) => {
            let data = ImportData { modified: modified.clone(), to_modify: None };
            change::rendered(200, &ImportOut { data })
        }
        other => change::nothing(other),
    }
}

/// Reads the document that is in one of two fields.
fn read_types(fields: &mut Fields<'_, 4>, depth_max: usize) -> Option<Vec<(String, EventTypeSpec)>> {
    let (spec, raw) = (fields.raw("spec", Null::Taken), fields.text("specRaw", Null::Taken, |_| Ok(())));
    let (field, document) = match (spec, raw) {
        (Given::Value(_), Given::Value(_)) => {
            fields.problem("specRaw", "give spec or specRaw, not both", Kind::Value);
            return None;
        }
        (Given::Value(spec), _) => ("spec", serde_json::from_str::<Value>(spec.get()).ok()),
        (_, Given::Value(text)) if depth(text.as_bytes()) > depth_max => ("specRaw", None),
        (_, Given::Value(text)) => ("specRaw", serde_json::from_str::<Value>(&text).ok()),
        _ => {
            fields.problem("spec", "field required", Kind::Missing);
            return None;
        }
    };
    let Some(document) = document.filter(Value::is_object) else {
        fields.problem(field, "must be a JSON object; write YAML as JSON first", Kind::Value);
        return None;
    };
    match read(&document) {
        Ok(types) => Some(types),
        Err(Wrong { at, msg }) => {
            fields.problem_in(field, at, msg);
            None
        }
    }
}

/// Reads all webhooks of a document.
fn read(document: &Value) -> Result<Vec<(String, EventTypeSpec)>, Wrong> {
    let wrong = |at: &str, msg: String| Wrong { at: at.to_owned(), msg };
    let mut types: BTreeMap<String, EventTypeSpec> = BTreeMap::new();
    let mut bytes = 0;
    for place in ["webhooks", "x-webhooks"] {
        let webhooks = match &document[place] {
            Value::Null => continue,
            Value::Object(webhooks) => webhooks,
            _ => return Err(wrong(place, "must be an object".into())),
        };
        if webhooks.len() > TYPES_MAX {
            return Err(wrong(place, format!("has more than {TYPES_MAX} items")));
        }
        for (name, item) in webhooks.iter().filter(|(name, _)| !name.starts_with("x-")) {
            validate::EVENT_TYPE.check(name).map_err(|msg| wrong(name, msg.to_owned()))?;
            let spec = event_type(document, item).map_err(|msg| wrong(name, msg))?;
            bytes += spec.schemas.as_ref().map_or(0, |schemas| schemas.to_string().len());
            if bytes > ALL_SCHEMAS_BYTES_MAX {
                return Err(wrong(name, "the schemas are longer than 16 MiB together".into()));
            }
            types.entry(name.clone()).or_insert(spec);
        }
    }
    if types.is_empty() {
        return Err(wrong("webhooks", "has no webhook".into()));
    }
    Ok(types.into_iter().collect())
}

/// One webhook as an event type.
fn event_type(document: &Value, item: &Value) -> Result<EventTypeSpec, String> {
    let item = match item["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap_or_default())
            .filter(|_| reference.starts_with("#/components/pathItems/"))
            .ok_or_else(|| format!("{reference} is not in the document"))?,
        None => item,
    };
    let operation = METHODS.iter().map(|method| &item[*method]).find(|operation| operation.is_object());
    let operation = operation.ok_or("has no operation: expected post")?;
    let texts = [&operation["description"], &operation["summary"], &item["description"], &item["summary"]];
    let description = texts.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
    validate::description(&description)?;
    let schemas = match &operation[SCHEMAS] {
        Value::Null => schema_of(document, operation)?.map(by_version),
        schemas if schemas.is_object() => Some(schemas.clone()),
        _ => return Err(format!("{SCHEMAS} must be an object")),
    };
    if let Some(schemas) = &schemas {
        let text = schemas.to_string();
        if text.len() > SCHEMAS_BYTES_MAX {
            return Err(format!("its schemas are longer than {SCHEMAS_BYTES_MAX} bytes"));
        }
        if depth(text.as_bytes()) > SCHEMA_DEPTH_MAX {
            return Err(format!("its schemas nest deeper than {SCHEMA_DEPTH_MAX} levels"));
        }
    }
    Ok(EventTypeSpec {
        description,
        archived: false,
        deprecated: operation["deprecated"].as_bool().unwrap_or_default(),
        schemas,
        group_name: group(operation)?,
        feature_flags: flags(operation)?,
        retry_schedule: None,
    })
}

fn by_version(schema: Value) -> Value {
    Value::Object(Map::from_iter([(VERSION.to_owned(), schema)]))
}

/// The group that the operation names, or its first tag that may be one.
fn group(operation: &Value) -> Result<Option<String>, String> {
    let named = [GROUP, "x-svix-group", "x-group-name"].into_iter().find_map(|name| operation[name].as_str());
    if let Some(named) = named {
        validate::EVENT_TYPE.check(named).map_err(|msg| format!("its group {msg}"))?;
        return Ok(Some(named.to_owned()));
    }
    let mut tags = operation["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(tags.find(|tag| validate::EVENT_TYPE.check(tag).is_ok()).map(str::to_owned))
}

fn flags(operation: &Value) -> Result<Option<Vec<String>>, String> {
    let flags = match &operation[FLAGS] {
        Value::Null => return Ok(None),
        Value::Array(flags) if (1..=FEATURE_FLAGS_MAX).contains(&flags.len()) => flags,
        _ => return Err(format!("{FLAGS} must be an array of 1 to {FEATURE_FLAGS_MAX} names")),
    };
    let mut named = Vec::with_capacity(flags.len());
    for flag in flags {
        let flag = flag.as_str().filter(|flag| validate::EVENT_TYPE.check(flag).is_ok() && !named.contains(flag));
        named.push(flag.ok_or_else(|| format!("{FLAGS} must be an array of different names"))?);
    }
    Ok(Some(named.into_iter().map(str::to_owned).collect()))
}

/// The schema of what the operation sends: of JSON, if it says of what; with what it refers to.
fn schema_of(document: &Value, operation: &Value) -> Result<Option<Value>, String> {
    let content = operation["requestBody"]["content"].as_object();
    let is_json = |name: &str| name == "application/json" || name.ends_with("+json") || name == "*/*";
    let media = content.and_then(|content| content.iter().find(|(name, _)| is_json(name)));
    let Some(schema) = media.map(|(_, media)| &media["schema"]).filter(|schema| schema.is_object()) else {
        return Ok(None);
    };
    // A schema that is nothing but a reference is what that names.
    let whole = match (schema["$ref"].as_str(), schema.as_object().map(Map::len)) {
        (Some(reference), Some(1)) => component(document, reference)?.1,
        _ => schema,
    };
    let mut definitions = Map::new();
    let mut left = Vec::new();
    references(whole, &mut left);
    while let Some(reference) = left.pop() {
        let (name, target) = component(document, reference)?;
        if !definitions.contains_key(name) {
            references(target, &mut left);
            definitions.insert(name.to_owned(), target.clone());
        }
    }
    let mut whole = whole.clone();
    if !definitions.is_empty() {
        let own = whole.as_object_mut().map(|members| members.entry("$defs").or_insert_with(|| Map::new().into()));
        let own = own.and_then(Value::as_object_mut).ok_or("its schema's $defs must be an object")?;
        for (name, target) in definitions {
            if own.get(&name).is_some_and(|known| *known != target) {
                return Err(format!("its schema has a definition {name} of its own"));
            }
            own.insert(name, target);
        }
        rebase(&mut whole, COMPONENTS, DEFINITIONS);
    }
    Ok(Some(whole))
}

/// The component that a reference leads to, or into: its name as references write it, and what it is.
fn component<'d>(document: &'d Value, reference: &'d str) -> Result<(&'d str, &'d Value), String> {
    let missing = || format!("{reference} is not among the document's component schemas");
    let name = reference.strip_prefix(COMPONENTS).and_then(|rest| rest.split('/').next()).ok_or_else(missing)?;
    // A name with such characters would be written otherwise as the name of a definition.
    if name.contains(['~', '%']) {
        return Err(missing());
    }
    let target = document["components"]["schemas"].get(name).ok_or_else(missing)?;
    Ok((name, target))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_schema(schema: &Value, components: &Value) -> Result<Option<Value>, String> {
        let document = json!({ "components": { "schemas": components } });
        let operation = json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
        schema_of(&document, &operation)
    }

    #[test]
    fn references_become_definitions_of_the_schema() {
        let components = json!({
            "Pet": { "properties": { "owner": { "$ref": "#/components/schemas/Person" }, "tag": { "const": { "$ref": "#/x" } } } },
            "Person": { "properties": { "pets": { "items": { "$ref": "#/components/schemas/Pet/properties/tag" } } } },
            "Other": {},
        });
        let found = of_schema(&json!({ "$ref": "#/components/schemas/Pet" }), &components).expect("resolved");
        let mut person = components["Person"].clone();
        person["properties"]["pets"]["items"]["$ref"] = json!("#/$defs/Pet/properties/tag");
        let mut pet = components["Pet"].clone();
        pet["properties"]["owner"]["$ref"] = json!("#/$defs/Person");
        let mut expected = pet.clone();
        expected["$defs"] = json!({ "Pet": pet, "Person": person });
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn what_is_not_in_the_document_is_refused() {
        for reference in ["#/components/schemas/None", "#/paths/x", "other.json", "https://example.com/x", "#"] {
            let found = of_schema(&json!({ "items": { "$ref": reference } }), &json!({}));
            assert!(found.is_err_and(|msg| msg.contains(reference)), "{reference}");
        }
        let own = json!({ "$defs": { "A": 1 }, "items": { "$ref": "#/components/schemas/A" } });
        assert!(of_schema(&own, &json!({ "A": {} })).is_err());
    }
}
