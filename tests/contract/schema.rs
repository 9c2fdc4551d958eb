//! A checker for the part of JSON Schema that the contract uses.

use std::path::Path;

use serde_json::Value;

const CONTRACT_BYTES_MAX: u64 = 16 << 20;
const DEPTH_MAX: usize = 64;

/// The contract, or `None`, said loudly, where its file is absent.
pub(crate) fn contract(test: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/openapi-contract.json");
    // A worktree lies one folder deeper.
    let deeper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference/openapi-contract.json");
    let found = [path, deeper].into_iter().find(|path| path.exists());
    let Some(path) = found else {
        eprintln!("\n*** NOT RUN: {test}: openapi-contract.json is not beside the repository ***\n");
        return None;
    };
    let read = posthouse::config::read_capped(&path, CONTRACT_BYTES_MAX).expect("the contract");
    Some(serde_json::from_str(&read).expect("JSON"))
}

/// What is wrong with a value, by the place where it is.
pub(crate) fn problems(contract: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Checker { contract, found: &mut found }.check(schema, value, "$", 0);
    found
}

struct Checker<'a> {
    contract: &'a Value,
    found: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn wrong(&mut self, place: &str, what: impl std::fmt::Display) {
        self.found.push(format!("{place}: {what}"));
    }

    fn check(&mut self, schema: &Value, value: &Value, place: &str, depth: usize) {
        if depth > DEPTH_MAX || (value.is_null() && schema["nullable"] == true) {
            return;
        }
        if let Some(name) = schema["$ref"].as_str() {
            let found = self.contract.pointer(name.trim_start_matches('#')).cloned();
            let found = found.unwrap_or_else(|| panic!("{name} is not in the contract"));
            return self.check(&found, value, place, depth + 1);
        }
        let any = ["anyOf", "oneOf"].iter().find_map(|key| schema[key].as_array());
        if let Some(any) = any {
            if !any.iter().any(|one| problems(self.contract, one, value).is_empty()) {
                self.wrong(place, format_args!("{value} is none of what it may be"));
            }
            return;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            self.wrong(place, format_args!("{value} is not one of {allowed:?}"));
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(_)) => self.object(schema, value, place, depth),
            (Some("array"), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.check(&schema["items"], item, &format!("{place}[{at}]"), depth + 1);
                }
            }
            (Some("string"), Value::String(text)) => self.string(schema, text, place),
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                let low = schema["minimum"].as_f64().is_some_and(|least| number < least);
                if low || schema["maximum"].as_f64().is_some_and(|most| number > most) {
                    self.wrong(place, format_args!("{number} is out of bounds"));
                }
            }
            (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {}
            (Some(kind), other) => self.wrong(place, format_args!("{other} is no {kind}")),
        }
    }

    fn object(&mut self, schema: &Value, value: &Value, place: &str, depth: usize) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                self.wrong(place, format_args!("{name} is missing"));
            }
        }
        for (name, field) in value.as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            if let Some(known) = schema["properties"].get(name) {
                self.check(known, field, &place, depth + 1);
            } else if schema["additionalProperties"].is_object() {
                self.check(&schema["additionalProperties"], field, &place, depth + 1);
            }
        }
    }

    fn string(&mut self, schema: &Value, text: &str, place: &str) {
        let length = text.chars().count() as u64;
        let short = schema["minLength"].as_u64().is_some_and(|least| length < least);
        if short || schema["maxLength"].as_u64().is_some_and(|most| length > most) {
            self.wrong(place, format_args!("{length} characters"));
        }
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            self.wrong(place, format_args!("{text} is no time"));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !matches(pattern, text)
        {
            self.wrong(place, format_args!("{text} does not match {pattern}"));
        }
    }
}

/// The patterns of the contract: `^` literal, `(a|b)?`, one class of characters, `+`, `*`, `{n}` or `{n,m}`, `$`.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let Some((head, rest)) = pattern.split_once('[') else {
        return text == pattern;
    };
    let end = class_end(rest);
    let (class, count) = (&rest[..end], &rest[end + 1..]);
    let prefixes: Vec<&str> = match head.strip_prefix('(').and_then(|group| group.split_once(")?")) {
        Some((group, "")) => group.split('|').chain([""]).collect(),
        _ => vec![head],
    };
    prefixes.iter().any(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().all(|c| in_class(class, c)) && counts(count, rest.chars().count()))
    })
}

/// Where a class ends: the first `]` that is not escaped.
fn class_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            ']' if !escaped => return at,
            _ => escaped = false,
        }
    }
    panic!("a class without an end: {text}");
}

fn in_class(class: &str, wanted: char) -> bool {
    let mut members = class.chars().peekable();
    while let Some(member) = members.next() {
        let first = if member == '\\' { members.next().unwrap_or('\\') } else { member };
        if member != '\\' && members.peek() == Some(&'-') {
            let mut ahead = members.clone();
            ahead.next();
            if let Some(last) = ahead.next().filter(|last| *last != '\\') {
                members = ahead;
                if (first..=last).contains(&wanted) {
                    return true;
                }
                continue;
            }
        }
        if first == wanted {
            return true;
        }
    }
    false
}

fn counts(quantifier: &str, length: usize) -> bool {
    match quantifier {
        "+" => length >= 1,
        "*" => true,
        "" => length == 1,
        bounds => {
            let bounds = bounds.trim_matches(['{', '}']);
            let (least, most) = bounds.split_once(',').unwrap_or((bounds, bounds));
            let number = |text: &str, otherwise| text.parse().unwrap_or(otherwise);
            (number(least, 0)..=number(most, usize::MAX)).contains(&length)
        }
    }
}

#[test]
fn the_patterns_of_the_contract_are_understood() {
    let check =
        |pattern: &str, text: &str, expected: bool| assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    check("^app_[A-Za-z0-9]{27}$", "app_1srOrx2ZWZBpBUvZwXKQmoEYga2", true);
    check("^app_[A-Za-z0-9]{27}$", "app_1srOrx2ZWZBpBUvZwXKQmoEYga", false);
    check("^[a-zA-Z0-9\\-_.]+$", "a-b_c.9", true);
    check("^[a-zA-Z0-9\\-_.]+$", "a/b", false);
    check("^[a-zA-Z0-9\\-_.:+]+$", "a:+", true);
    check("^[a-zA-Z0-9\\-_./\\\\#]+$", "a/\\#", true);
    check("^(whsec_|whsk_)?[a-zA-Z0-9+/=]{32,100}$", &format!("whsec_{}", "A".repeat(40)), true);
    check("^(whsec_|whsk_)?[a-zA-Z0-9+/=]{32,100}$", "whsec_short", false);
}

#[test]
fn what_is_wrong_with_a_value_is_found() {
    use serde_json::json;
    let contract = json!({ "components": { "schemas": { "S": { "type": "string", "maxLength": 2 } } } });
    let schema = json!({ "type": "object", "required": ["a", "b"], "properties": {
        "a": { "$ref": "#/components/schemas/S" },
        "c": { "type": "array", "items": { "type": "integer", "minimum": 1 } },
        "d": { "type": "string", "format": "date-time", "nullable": true },
    } });
    assert_eq!(problems(&contract, &schema, &json!({ "a": "x", "b": 1, "c": [1], "d": null })), [""; 0]);
    let wrong = json!({ "a": "long", "c": [0, "x"], "d": "now" });
    assert_eq!(problems(&contract, &schema, &wrong).len(), 5);
}
