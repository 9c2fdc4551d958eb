//! The cases of one operation.

use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Chance;
use crate::hostile;
use crate::operation::{BodyOf, Operation, Parameter, Schema};
use crate::support::http::Request;
use crate::world::World;

/// How a case must be answered. None may be an error of the server.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// With 422 that names the field.
    Field(&'static str, String),
    /// With one of these.
    Status(&'static [u16]),
    /// As it may be: the description lets it through.
    Anything,
}

/// One request.
pub(crate) struct Case {
    pub(crate) what: String,
    pub(crate) request: Request,
    pub(crate) expected: Expected,
}

impl Case {
    /// Whether it must leave everything as it was.
    pub(crate) fn is_refused(&self) -> bool {
        !matches!(self.expected, Expected::Anything)
    }
}

/// All cases of an operation.
pub(crate) fn of(operation: &Operation, world: &World, chance: &mut Chance) -> Vec<Case> {
    let mut made = Maker { operation, world, cases: Vec::new() };
    for parameter in &operation.in_path {
        made.path(parameter, chance);
    }
    for parameter in &operation.in_query {
        made.query(parameter, chance);
    }
    for parameter in &operation.in_head {
        made.head(parameter);
    }
    if let Some(body) = &operation.body {
        made.whole_bodies(body);
        for property in &body.properties {
            made.property(body, property, chance);
        }
    }
    made.cases
}

fn random(chance: &mut Chance, strategy: &impl Strategy<Value = String>) -> Vec<String> {
    let cases = chance.cases();
    (0..cases).map(|_| strategy.new_tree(&mut chance.runner).expect("a value").current()).collect()
}

struct Maker<'a> {
    operation: &'a Operation,
    world: &'a World,
    cases: Vec<Case>,
}

impl Maker<'_> {
    fn push(&mut self, what: &str, request: Request, expected: Expected) {
        self.cases.push(Case { what: what.chars().take(160).collect(), request, expected });
    }

    /// A request without a body, as a page of the server's own sends it: signing in is for these.
    fn bare(&self, path: String) -> Request {
        Request::new(self.operation.method, path).header("sec-fetch-site", "same-origin")
    }

    /// A request with which nothing is wrong but perhaps its path or query.
    fn request(&self, path: String) -> Request {
        let request = self.bare(path);
        match &self.operation.body {
            Some(body) => request.json(&body.example),
            None => request,
        }
    }

    fn path(&mut self, parameter: &Parameter, chance: &mut Chance) {
        let name = &parameter.name;
        for text in hostile::encoded().into_iter().chain(random(chance, &hostile::any_encoded())) {
            let allowed = decoded(&text, false).is_some_and(|text| parameter.schema.allows(&text.into()));
            let expected = if allowed { Expected::Anything } else { Expected::Field("path", name.clone()) };
            let path = self.world.path(&self.operation.path, Some((name, &text)));
            self.push(&format!("{name}={text}"), self.request(path), expected);
        }
    }

    fn query(&mut self, parameter: &Parameter, chance: &mut Chance) {
        let name = &parameter.name;
        let path = self.world.path(&self.operation.path, None);
        let mut good = None;
        for text in hostile::encoded().into_iter().chain(random(chance, &hostile::any_encoded())) {
            let allowed = decoded(&text, true).is_some_and(|text| allows_text(&parameter.schema, &text));
            let expected = if allowed { Expected::Anything } else { Expected::Field("query", name.clone()) };
            self.push(&format!("?{name}={text}"), self.request(format!("{path}?{name}={text}")), expected);
            good = good.or_else(|| allowed.then_some(text));
        }
        if let Some(good) = good.filter(|_| !parameter.schema.has_type("array")) {
            let expected = Expected::Field("query", name.clone());
            let twice = format!("{path}?{name}={good}&{name}={good}");
            self.push(&format!("{name} twice"), self.request(twice), expected);
        }
    }

    fn head(&mut self, parameter: &Parameter) {
        let path = self.world.path(&self.operation.path, None);
        for text in ["", "a b", "é", &"k".repeat(257)] {
            let request = self.request(path.clone()).header(&parameter.name, text);
            self.push(
                &format!("{}: {text}", parameter.name),
                request,
                Expected::Field("header", parameter.name.clone()),
            );
        }
    }

    fn whole_bodies(&mut self, body: &BodyOf) {
        for (what, bytes) in hostile::bodies(&body.example.to_string()) {
            let path = self.world.path(&self.operation.path, None);
            let request = self.bare(path).raw_json(bytes);
            self.push(&format!("body: {what}"), request, Expected::Status(&[400, 413, 422]));
        }
        for name in &body.required {
            let mut without = body.example.clone();
            without.as_object_mut().expect("an object").remove(name);
            self.body(format!("without {name}"), &without.to_string(), Expected::Field("body", name.clone()));
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "cases are named where they are made")]
    fn body(&mut self, what: String, text: &str, expected: Expected) {
        let path = self.world.path(&self.operation.path, None);
        let request = self.bare(path).raw_json(text);
        self.push(&what, request, expected);
    }

    fn property(&mut self, body: &BodyOf, property: &Parameter, chance: &mut Chance) {
        let name = &property.name;
        for text in hostile::values().into_iter().chain(random(chance, &hostile::any_json())) {
            let allowed = match serde_json::from_str::<Value>(&text) {
                Ok(value) => property.schema.allows(&value) && (property.schema.is_free() || !has_twice(&text)),
                // It is JSON, but no reader can hold it: only what is carried unread may be it.
                Err(_) => property.schema.is_free() && text.starts_with('{'),
            };
            let expected = if allowed { Expected::Anything } else { Expected::Field("body", name.clone()) };
            self.body(format!("{name}: {text}"), &with(body, name, &text), expected);
        }
        for text in hostile::NO_VALUES {
            assert!(serde_json::from_str::<&RawValue>(text).is_err(), "{text}");
            self.body(format!("{name}: {text}"), &with(body, name, text), Expected::Status(&[400]));
        }
        let twice = body.example.get(name).map(|value| with(body, name, &format!("{value},\"{name}\":{value}")));
        if let Some(twice) = twice {
            self.body(format!("{name} twice"), &twice, Expected::Field("body", name.clone()));
        }
    }
}

/// The example with another value of a property, as text.
fn with(body: &BodyOf, name: &str, text: &str) -> String {
    let others = body.example.as_object().expect("an object").iter().filter(|(other, _)| *other != name);
    let mut fields: Vec<String> = others.map(|(other, value)| format!("\"{other}\":{value}")).collect();
    fields.push(format!("\"{name}\":{text}"));
    format!("{{{}}}", fields.join(","))
}

/// Whether the object that is among the hostile values because of it has a name twice.
fn has_twice(text: &str) -> bool {
    text == "{\"a\":\"1\",\"a\":\"2\"}"
}

/// Percent-encoding taken off; `None` if what is left is no UTF-8.
fn decoded(text: &str, is_query: bool) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) if is_query => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether a text of a query is a value that is described.
fn allows_text(schema: &Schema, text: &str) -> bool {
    if schema.has_type("integer") {
        text.parse::<i64>().is_ok_and(|number| number.to_string() == text && schema.allows(&number.into()))
    } else if schema.has_type("boolean") {
        matches!(text, "true" | "false")
    } else if schema.has_type("array") {
        // The same twice is once.
        let mut items: Vec<Value> = text.split(',').map(Value::from).collect();
        items.sort_by_key(ToString::to_string);
        items.dedup();
        schema.allows(&items.into())
    } else {
        schema.allows(&text.into())
    }
}
