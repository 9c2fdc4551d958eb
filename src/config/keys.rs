//! The known keys, read from the schema of [`Config`]: the one definition (type, bounds, doc
//! comment, default of a field) gives the checks, the words of an error, the reference and the
//! JSON Schema.

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use toml::Value;

use super::Config;

/// One `[section]` of the file.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) keys: Vec<Key>,
}

/// One key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) section: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) kind: Kind,
    /// Whether it may be absent, and then means something of its own.
    pub(super) optional: bool,
    /// Whether its value may hold a password.
    pub(super) secret: bool,
    pub(super) default: Json,
    pub(super) example: Option<Json>,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Bool,
    Integer { min: i64, max: i64 },
    Text { length_min: usize },
    Choice(Vec<Choice>),
    List { of: Box<Kind>, length_max: usize },
}

/// One of the words that a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) word: String,
    pub(super) meaning: String,
}

/// The keys that have a flag as well.
pub(super) const FLAGS: [(&str, &str); 4] = [
    ("server.listen", "--listen"),
    ("storage.data_dir", "--data-dir"),
    ("storage.url", "--database"),
    ("log.format", "--log-format"),
];

/// All sections, and in them all keys, by name.
pub(super) fn sections() -> Vec<Section> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    properties(schema.as_value())
        .map(|(name, section)| Section {
            name: name.clone(),
            description: text(&section["description"]),
            keys: properties(section).map(|(key, schema)| Key::read(name, key, schema, &defaults[name][key])).collect(),
        })
        .collect()
}

impl Key {
    fn read(section: &str, name: &str, schema: &Json, default: &Json) -> Self {
        Self {
            section: section.to_owned(),
            name: name.to_owned(),
            description: text(&schema["description"]),
            kind: Kind::read(schema),
            optional: types(schema).any(|name| name == "null"),
            secret: schema["writeOnly"] == true,
            default: default.clone(),
            example: schema["examples"].get(0).cloned(),
        }
    }

    /// As it is spoken of: `section.key`.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        let path = format!("POSTHOUSE__{}__{}", self.section, self.name);
        path.to_ascii_uppercase()
    }

    /// The flag that sets it, if it has one.
    pub(super) fn flag(&self) -> Option<&'static str> {
        let path = self.path();
        let found = FLAGS.iter().find(|(key, _)| *key == path);
        found.map(|(_, flag)| *flag)
    }
}

impl Kind {
    fn read(schema: &Json) -> Self {
        if let Some(words) = schema["oneOf"].as_array() {
            let choice = |word: &Json| Choice { word: text(&word["const"]), meaning: text(&word["description"]) };
            return Self::Choice(words.iter().map(choice).collect());
        }
        let number = |name: &str| schema[name].as_i64();
        match types(schema).find(|name| *name != "null") {
            Some("boolean") => Self::Bool,
            Some("integer") => {
                Self::Integer { min: number("minimum").unwrap_or(i64::MIN), max: number("maximum").unwrap_or(i64::MAX) }
            }
            Some("array") => Self::List {
                of: Box::new(Self::read(&schema["items"])),
                length_max: number("maxItems").map_or(usize::MAX, |n| n as usize),
            },
            _ => Self::Text { length_min: number("minLength").map_or(0, |n| n as usize) },
        }
    }

    /// Whether a value is of this kind and within its bounds.
    pub(super) fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool, Value::Boolean(_)) => true,
            (Self::Integer { min, max }, Value::Integer(n)) => (min..=max).contains(&n),
            (Self::Text { length_min }, Value::String(text)) => text.len() >= *length_min,
            (Self::Choice(choices), Value::String(text)) => choices.iter().any(|c| c.word == *text),
            (Self::List { of, length_max }, Value::Array(items)) => {
                items.len() <= *length_max && items.iter().all(|item| of.admits(item))
            }
            _ => false,
        }
    }

    /// The value that a word of the environment or the command line stands for. A word that is
    /// none of this kind stays a text, which the kind then does not admit.
    pub(super) fn value_of(&self, word: &str) -> Value {
        let as_text = || Value::String(word.to_owned());
        match self {
            Self::Bool => word.parse().map_or_else(|_| as_text(), Value::Boolean),
            Self::Integer { .. } => word.parse().map_or_else(|_| as_text(), Value::Integer),
            Self::Text { .. } | Self::Choice(_) => as_text(),
            Self::List { .. } if word.trim().is_empty() => Value::Array(Vec::new()),
            Self::List { of, .. } => word.split(',').map(|item| of.value_of(item.trim())).collect::<Vec<_>>().into(),
        }
    }

    /// What is expected, as an error and the reference say it.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Text { length_min: 0 } => "a text".to_owned(),
            Self::Text { .. } => "a text that is not empty".to_owned(),
            Self::Choice(choices) => {
                let words: Vec<_> = choices.iter().map(|c| format!("`{}`", c.word)).collect();
                format!("one of {}", words.join(", "))
            }
            Self::List { of, length_max } => {
                format!("a list of at most {length_max}, each {}", of.expected())
            }
        }
    }
}

fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn types(schema: &Json) -> impl Iterator<Item = &str> {
    let several = schema["type"].as_array().into_iter().flatten();
    several.chain([&schema["type"]]).filter_map(Json::as_str)
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
