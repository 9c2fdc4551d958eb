//! The whole document.

use http::Method;
use serde_json::{Map, Value, json};

use super::describe::{Described, Tag};
use super::{operations, parameters, schemas};
use crate::api::routes::{Needs, Operation, implemented};

const INTRODUCTION: &str = "\
Send webhooks: applications have endpoints, messages go to every endpoint that wants them, and every \
attempt to deliver one is on record.

Calls carry `Authorization: Bearer KEY`; `posthouse key create` makes a key; customers' portal \
tokens open what their capabilities allow. Operators choose another environment by the header \
`posthouse-environment` with its id. Wherever a path takes an id \
it takes the uid as well. Times are RFC 3339. Unknown fields and parameters are ignored.

An error is `{\"code\", \"detail\"}`; where fields are wrong it is 422 with a list of what is wrong \
where. Beside the answers that operations list, each may answer 404 (an unknown path), 405, 431 (more \
than 64 headers), 501 (operations that this server does not have), and 503 with `Retry-After`.

Lists are read in pages: `limit` rows, then those behind `iterator`.";

/// Puts it together.
pub(super) fn document() -> Value {
    let described = operations::all();
    let mut paths = Map::new();
    for operation in &implemented() {
        let found = described.iter().find(|of| of.method == operation.method && of.path == operation.path);
        if let Some(of) = found {
            let path = paths.entry(of.path).or_insert_with(|| json!({}));
            path[of.method.as_str().to_ascii_lowercase()] = one(of, operation);
        }
    }
    let tags: Vec<Value> =
        Tag::ALL.iter().map(|tag| json!({ "name": tag.name(), "description": tag.text() })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Posthouse",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "HTTPBearer": { "type": "http", "scheme": "bearer", "description": "A key of an environment, the token of a session, or a portal token." },
            },
            "responses": responses(),
            "schemas": schemas::all(),
        },
    })
}

fn one(of: &Described, operation: &Operation) -> Value {
    let mut out = json!({
        "operationId": of.id,
        "tags": [of.tag.name()],
        "summary": of.summary,
        "parameters": parameters::of(of),
        "responses": answers(of, operation),
        "security": if operation.needs == Needs::Nobody { json!([]) } else { json!([{ "HTTPBearer": [] }]) },
    });
    if let Some(needs) = needs(operation.needs) {
        out["x-needs"] = needs.into();
    }
    if !of.text.is_empty() {
        out["description"] = of.text.into();
    }
    if let Some(schema) = of.body {
        out["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    out
}

fn answers(of: &Described, operation: &Operation) -> Value {
    let mut all = Map::new();
    for (status, schema) in &of.answers {
        let mut answer = json!({ "description": meaning(*status) });
        if !schema.is_empty() {
            answer["content"] = json!({ of.media_type: { "schema": reference(schema) } });
            if of.is_bytes {
                answer["content"]["application/octet-stream"] = json!({});
            }
        }
        all.insert(status.to_string(), answer);
    }
    for status in errors(of, operation) {
        let of_errors = json!({ "$ref": format!("#/components/responses/{status}") });
        all.entry(status.to_string()).or_insert(of_errors);
    }
    all.into()
}

/// What a caller must have, in words.
fn needs(needs: Needs) -> Option<String> {
    match needs {
        Needs::Nobody => None,
        Needs::Key => Some("a key".to_owned()),
        Needs::Portal(capability) => Some(format!("a key, or a portal token with `{}`", capability.as_str())),
        Needs::Token => Some("a portal token".to_owned()),
        Needs::Holder => Some("a key, whatever its scopes are".to_owned()),
        Needs::Operator => Some("a key with the scope `operator`".to_owned()),
        Needs::Anybody => Some("a key or a portal token".to_owned()),
    }
}

/// The errors that an operation can answer with.
fn errors(of: &Described, operation: &Operation) -> Vec<u16> {
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(&of.method);
    let named = of.path_names().next().is_some();
    let mut errors = Vec::new();
    if operation.needs != Needs::Nobody {
        errors.extend([401, 403, 429, 503]);
    } else if writes {
        // What stands in the body takes the place of a key.
        errors.extend([401, 403, 503]);
    }
    if named {
        errors.push(404);
    }
    if writes || named || !of.query_names().is_empty() {
        errors.push(422);
    }
    if writes {
        errors.extend([400, 408, 409, 413, 415]);
    }
    errors.sort_unstable();
    errors
}

/// The errors, as all operations answer them.
fn responses() -> Value {
    let one = |status: u16| {
        let schema = if status == 422 { "HTTPValidationError" } else { "HttpErrorOut" };
        let content = json!({ "application/json": { "schema": reference(schema) } });
        (status.to_string(), json!({ "description": meaning(status), "content": content }))
    };
    [400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503].into_iter().map(one).collect::<Map<_, _>>().into()
}

const fn meaning(status: u16) -> &'static str {
    match status {
        200 => "As asked for",
        201 => "Created",
        202 => "Accepted: it is stored",
        204 => "Done",
        400 => "The request cannot be read, or its endpoint is disabled",
        401 => "No key, or one that opens nothing",
        403 => "The key is good, and does not open this",
        404 => "What the path names is not there",
        408 => "The body came too slowly",
        409 => "A uid, a name or an idempotency key is taken, or there is no room",
        413 => "The body is too large",
        415 => "The body is compressed",
        422 => "What is wrong, field by field",
        429 => "Too many requests of this key; see Retry-After",
        _ => "The server cannot take it now; see Retry-After",
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
