//! A source's configuration as schemes read it.

use serde_json::{Map, Value};

/// What a source's owner has set: a JSON object whose names are those of the source type. It was
/// checked against the type's list of names when it came in; what a scheme reads is there, or was
/// optional.
#[derive(Clone, Default)]
pub struct Settings {
    values: Map<String, Value>,
}

impl Settings {
    /// From the object.
    pub fn new(values: Map<String, Value>) -> Self {
        Self { values }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.values.get(name)?.as_i64()
    }

    /// All texts of a name: one, or a list of them.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.values.get(name) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// All active secrets, in the order given: `secret`, which may be a list, and `secrets`.
    pub fn secrets(&self) -> Vec<&str> {
        let mut all = self.texts("secret");
        all.extend(self.texts("secrets"));
        all
    }

    /// Anything else: an object, a key set.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }
}
