//! Operations as the description of the API has them.

use serde_json::{Map, Value};

/// What a value is described as, with everything that it refers to.
pub(crate) struct Schema {
    pub(crate) json: Value,
    validator: jsonschema::Validator,
}

impl Schema {
    fn new(document: &Value, json: &Value) -> Self {
        let json = match json["$ref"].as_str() {
            Some(place) => document.pointer(&place[1..]).expect("a schema").clone(),
            None => json.clone(),
        };
        let mut root = json.clone();
        let mut schemas = Map::new();
        add_referred(document, &json, &mut schemas);
        root["components"]["schemas"] = schemas.into();
        let validator = jsonschema::options().should_validate_formats(true).build(&root).expect("a schema");
        Self { json, validator }
    }

    pub(crate) fn allows(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    pub(crate) fn has_type(&self, name: &str) -> bool {
        let of = &self.json["type"];
        of == name || of.as_array().is_some_and(|all| all.iter().any(|one| one == name))
    }

    /// Whether whatever stands inside of it is only carried.
    pub(crate) fn is_free(&self) -> bool {
        self.has_type("object") && self.json["additionalProperties"] == true
    }
}

/// Adds the schemas that a value refers to, and those that they refer to.
fn add_referred(document: &Value, value: &Value, schemas: &mut Map<String, Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| add_referred(document, item, schemas)),
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|place| place.strip_prefix("#/components/schemas/"))
                && !schemas.contains_key(name)
            {
                let schema = &document["components"]["schemas"][name];
                schemas.insert(name.to_owned(), schema.clone());
                add_referred(document, schema, schemas);
            }
            fields.values().for_each(|field| add_referred(document, field, schemas));
        }
        _ => {}
    }
}

/// A parameter of a path, a query or a head.
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) schema: Schema,
}

/// A body: the properties that it may have, and an example.
pub(crate) struct BodyOf {
    pub(crate) properties: Vec<Parameter>,
    pub(crate) required: Vec<String>,
    pub(crate) example: Value,
}

pub(crate) struct Operation {
    /// Method and path.
    pub(crate) name: String,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) in_path: Vec<Parameter>,
    pub(crate) in_query: Vec<Parameter>,
    pub(crate) in_head: Vec<Parameter>,
    pub(crate) body: Option<BodyOf>,
    /// It is for portal tokens only.
    pub(crate) needs_token: bool,
}

impl Operation {
    /// Every operation that is described.
    pub(crate) fn all(document: &Value) -> Vec<Self> {
        let paths = document["paths"].as_object().expect("paths");
        let each = paths.iter().flat_map(|(path, methods)| {
            ["GET", "POST", "PUT", "PATCH", "DELETE"]
                .into_iter()
                .filter_map(move |method| Some((path, method, methods.get(method.to_lowercase())?)))
        });
        each.map(|(path, method, one)| Self::new(document, path, method, one)).collect()
    }

    fn new(document: &Value, path: &str, method: &'static str, one: &Value) -> Self {
        let parameters = |place: &str| -> Vec<Parameter> {
            let all = one["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == place);
            let parameter = |one: &Value| Parameter {
                name: one["name"].as_str().expect("a name").to_owned(),
                schema: Schema::new(document, &one["schema"]),
            };
            all.map(parameter).collect()
        };
        let body = &one["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        Self {
            name: format!("{method} {path}"),
            method,
            path: path.to_owned(),
            in_path: parameters("path"),
            in_query: parameters("query"),
            in_head: parameters("header"),
            needs_token: one["x-needs"] == "a portal token",
            body: body.as_str().map(|place| BodyOf::new(document, document.pointer(&place[1..]).expect("a body"))),
        }
    }
}

impl BodyOf {
    fn new(document: &Value, schema: &Value) -> Self {
        let properties = schema["properties"].as_object().expect("properties").iter();
        let property =
            |(name, of): (&String, &Value)| Parameter { name: name.clone(), schema: Schema::new(document, of) };
        let required = schema["required"].as_array().into_iter().flatten();
        Self {
            properties: properties.map(property).collect(),
            required: required.map(|name| name.as_str().expect("a name").to_owned()).collect(),
            example: schema["examples"][0].clone(),
        }
    }
}
