//! A source's configuration: its check when a source is made or changed, and its JSON Schema.
//!
//! Every name is known, every value has its form, and every key can be decoded: what is wrong is told
//! here, by the name of the field, and not when the first request comes.

use serde_json::{Map, Value, json};

use super::catalog::{Field, How, Kind, SourceType, WithoutSecret};
use super::configured;
use super::hmac::{SECRETS_MAX, Unit};
use super::jwt;
use super::reading::WINDOW_SETTINGS;

/// Most bytes of one text: a PEM key with room to spare.
const TEXT_BYTES_MAX: usize = 16_384;
/// Most bytes of a field that holds much: a key set, a payload.
const LONG_BYTES_MAX: usize = 65_536;
/// The longest window, in seconds.
const TOLERANCE_S_MAX: i64 = 86_400;
/// Fields that hold keys and are no secrets.
const PUBLIC: [&str; 3] = ["publicKey", "jwks", "jwksUrl"];
/// The list beside `secret`.
const SECRETS: &str = "secrets";

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {expected}")]
pub struct ConfigError {
    /// The name.
    pub field: String,
    /// What is expected of it.
    pub expected: String,
}

impl ConfigError {
    pub(crate) fn new(field: &str, expected: impl Into<String>) -> Self {
        Self { field: field.to_owned(), expected: expected.into() }
    }
}

/// Checks the names of a configuration, and nothing else.
pub(crate) fn check_names(source_type: &SourceType, config: &Map<String, Value>) -> Result<(), ConfigError> {
    let names: Vec<&str> = effective_fields(source_type).iter().map(|field| field.name).collect();
    let Some(other) = config.keys().find(|name| !names.contains(&name.as_str())) else {
        return Ok(());
    };
    let known = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Err(ConfigError::new(other, format!("not a name of this type, which takes {known}")))
}

/// Checks a configuration against its type, and leaves out what is null.
pub(crate) fn check(source_type: &SourceType, config: Map<String, Value>) -> Result<Map<String, Value>, ConfigError> {
    let config: Map<String, Value> = config.into_iter().filter(|(_, value)| !value.is_null()).collect();
    check_names(source_type, &config)?;
    let fields = effective_fields(source_type);
    for field in &fields {
        config.get(field.name).map_or(Ok(()), |value| check_value(field, value))?;
    }
    for field in fields.iter().filter(|field| field.is_required) {
        let has_list = field.name == "secret" && config.contains_key(SECRETS);
        if !config.contains_key(field.name) && !has_list {
            return Err(ConfigError::new(field.name, format!("is needed: {}", field.description)));
        }
    }
    let mut secrets = fields.iter().filter(|field| field.is_secret || PUBLIC.contains(&field.name)).peekable();
    let needs_one = source_type.without_secret == WithoutSecret::Refused && !has(source_type, How::has_published_keys);
    if let Some(first) = secrets.peek().copied().filter(|_| needs_one) {
        let has_one = secrets.any(|field| config.contains_key(field.name));
        has_one
            .then_some(())
            .ok_or_else(|| ConfigError::new(first.name, format!("is needed: {}", first.description)))?;
    }
    if has(source_type, |how| matches!(how, How::ConfiguredHmac)) {
        configured::check_hmac(&config)?;
    }
    if has(source_type, |how| matches!(how, How::ConfiguredToken)) {
        configured::check_token(&config)?;
    }
    if has(source_type, |how| matches!(how, How::Jwt(jwt) if jwt.algorithm.is_none())) {
        jwt::check_config(&config)?;
    }
    Ok(config)
}

fn has(source_type: &SourceType, is_wanted: impl Fn(&How) -> bool) -> bool {
    source_type.schemes.iter().any(|scheme| is_wanted(&scheme.how))
}

/// The fields of a type, with those that its schemes bring: the list of secrets, and the window of a
/// signed timestamp.
pub fn effective_fields(source_type: &SourceType) -> Vec<Field> {
    let mut fields = source_type.fields.to_vec();
    if let Some(secret) = fields.iter().find(|field| field.name == "secret") {
        fields.push(Field {
            name: SECRETS,
            is_required: false,
            description: "Several secrets of which any is accepted, as while one is being replaced",
            ..*secret
        });
    }
    let has_time = |how: &How| match how {
        How::Hmac(hmac) => hmac.stamp.is_some_and(|stamp| stamp.unit != Unit::Opaque),
        _ => false,
    };
    let has_field = fields.iter().any(|field| WINDOW_SETTINGS.contains(&field.name));
    if has(source_type, has_time) && !has_field {
        fields.push(Field::optional(
            WINDOW_SETTINGS[0],
            Kind::Integer(1, TOLERANCE_S_MAX),
            "How far the timestamp may be from the clock, in seconds; the provider's rule if left out",
        ));
    }
    fields
}

fn check_value(field: &Field, value: &Value) -> Result<(), ConfigError> {
    let wrong = |expected: &str| Err(ConfigError::new(field.name, expected));
    match field.kind {
        Kind::Text => one_text(value).map_or_else(|| wrong("a text that is not empty"), |_| Ok(())),
        Kind::LongText => match value.as_str() {
            Some(text) if (1..=LONG_BYTES_MAX).contains(&text.len()) => Ok(()),
            _ => wrong("a text of 1 to 65536 bytes"),
        },
        Kind::Texts => each_text(field, value, |_| true, "a text that is not empty"),
        Kind::Keys(form) => each_text(field, value, |text| form.key(text).is_some(), form.expected()),
        Kind::Checked(is_right, _) if one_text(value).is_some_and(is_right) => Ok(()),
        Kind::Checked(_, expected) => wrong(expected),
        Kind::CheckedEach(is_right, expected) => each_text(field, value, is_right, expected),
        Kind::Integer(from, to) => match value.as_i64() {
            Some(number) if (from..=to).contains(&number) => Ok(()),
            _ => wrong(&format!("a whole number from {from} to {to}")),
        },
        Kind::Choice(choices) => match value.as_str() {
            Some(text) if choices.contains(&text) => Ok(()),
            _ => wrong(&format!("one of {}", choices.join(", "))),
        },
        Kind::Json if !value.is_object() && !value.is_array() => wrong("a JSON object or list"),
        Kind::Json if value.to_string().len() > LONG_BYTES_MAX => wrong("at most 65536 bytes of JSON"),
        Kind::Json => Ok(()),
    }
}

/// One text, or a list of at most [`SECRETS_MAX`].
fn each_text(field: &Field, value: &Value, is_right: impl Fn(&str) -> bool, expected: &str) -> Result<(), ConfigError> {
    let is_right = |value: &Value| one_text(value).is_some_and(&is_right);
    let is_all_right = match value {
        Value::Array(list) => (1..=SECRETS_MAX).contains(&list.len()) && list.iter().all(is_right),
        one => field.name != SECRETS && is_right(one),
    };
    if is_all_right {
        return Ok(());
    }
    let list = if field.name == SECRETS { "a list of 1 to 10, each " } else { "" };
    Err(ConfigError::new(field.name, format!("{list}{expected}")))
}

fn one_text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| (1..=TEXT_BYTES_MAX).contains(&text.len()))
}

/// The JSON Schema of a type's configuration, from which a form can be drawn.
pub fn config_schema(source_type: &SourceType) -> Value {
    let fields = effective_fields(source_type);
    let mut properties = Map::new();
    for field in &fields {
        let mut schema = field_schema(field);
        schema["description"] = field.description.into();
        if field.is_secret {
            schema["writeOnly"] = true.into();
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let is_alone = |field: &&Field| field.is_required && field.name != "secret";
    let required: Vec<&str> = fields.iter().filter(is_alone).map(|field| field.name).collect();
    let mut schema = json!({
        "type": "object",
        "title": source_type.title,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if fields.iter().any(|field| field.is_required && field.name == "secret") {
        schema["anyOf"] = json!([{ "required": ["secret"] }, { "required": [SECRETS] }]);
    }
    schema
}

fn field_schema(field: &Field) -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX });
    match field.kind {
        Kind::Texts | Kind::Keys(_) if field.name == SECRETS => {
            json!({ "type": "array", "items": text, "minItems": 1, "maxItems": SECRETS_MAX })
        }
        Kind::Text | Kind::Texts | Kind::Keys(_) | Kind::Checked(..) | Kind::CheckedEach(..) => text,
        Kind::LongText => json!({ "type": "string", "minLength": 1, "maxLength": LONG_BYTES_MAX }),
        Kind::Integer(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Choice(choices) => json!({ "type": "string", "enum": choices }),
        Kind::Json => json!({ "type": ["object", "array"] }),
    }
}
