//! An example of what a JSON Schema describes: what is sent to an endpoint to try it.
//!
//! What the schema says by itself comes first (`examples`, `example`, `const`, `default`, `enum`);
//! the rest is made by type, format, pattern and bounds. It is an example and no proof: a schema
//! that ties fields to one another (`not`, `if`, `dependentRequired`, `uniqueItems`) is not followed
//! there. Bounded in depth, in values and in bytes, whatever the schema; the same schema always
//! gives the same example.

mod pattern;
mod text;

use serde_json::{Map, Number, Value};

/// Levels of the example, and of schemas that stand for one another.
const DEPTH_MAX: usize = 32;
/// Values in the example.
const VALUES_MAX: usize = 5_000;
/// Bytes of its texts and names.
const BYTES_MAX: usize = 256 * 1024;
/// Schemas looked at, values walked over, and bytes of references and patterns, whatever comes of them:
/// some milliseconds.
const STEPS_MAX: usize = 200_000;
/// Items of an array of which more are asked for.
const ITEMS_MAX: u64 = 10;

/// Why there is no example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoExample {
    /// The schema lists examples, but not as many.
    NoSuchIndex {
        /// How many it lists.
        listed: usize,
    },
}

/// The newest of schemas by version: the version with the greatest numbers.
pub fn newest(schemas: &Value) -> Option<&Value> {
    let versions = schemas.as_object()?.iter().filter(|(_, schema)| schema.is_object());
    versions.max_by_key(|(version, _)| numbers(version.as_str())).map(|(_, schema)| schema)
}

/// `2.10` is behind `2.9`; a part that is no number is before all numbers.
fn numbers(version: &str) -> (Vec<Option<u64>>, &str) {
    let digits = version.trim_start_matches(['v', 'V']);
    (digits.split(['.', '-', '_']).map(|part| part.parse().ok()).collect(), version)
}

/// An object that the schema describes. Where it lists `examples`, `index` chooses one of them;
/// where it does not, `index` means nothing. `None` where it describes no object.
pub fn example_of(schema: &Value, index: usize) -> Result<Option<Value>, NoExample> {
    if let Some(listed) = schema.get("examples").and_then(Value::as_array).filter(|listed| !listed.is_empty()) {
        let chosen = listed.get(index).ok_or(NoExample::NoSuchIndex { listed: listed.len() })?;
        if chosen.is_object() {
            return Ok(Some(chosen.clone()));
        }
    }
    let mut maker = Maker { root: schema, values: VALUES_MAX, bytes: BYTES_MAX, steps: STEPS_MAX, open: Vec::new() };
    Ok(maker.value(schema, 0).filter(Value::is_object))
}

struct Maker<'a> {
    root: &'a Value,
    /// Values that may still be made, and bytes.
    values: usize,
    bytes: usize,
    /// Steps that may still be taken; spent also where nothing comes of them.
    steps: usize,
    /// References that are being followed: one that leads to itself ends there.
    open: Vec<&'a str>,
}

impl<'a> Maker<'a> {
    /// A value; `None` where one is to be left out, because it goes too deep or has no room.
    fn value(&mut self, schema: &'a Value, depth: usize) -> Option<Value> {
        self.step(1)?;
        if depth > DEPTH_MAX || self.values == 0 {
            return None;
        }
        let Some(schema) = schema.as_object() else {
            return if *schema == Value::Bool(false) { None } else { self.made(Value::Null) };
        };
        if let Some(given) = given(schema) {
            return self.taken(given);
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.referenced(reference, depth);
        }
        let own = match kind(schema) {
            Some("object") => Some(self.object(schema, depth)?),
            Some("array") => self.array(schema, depth),
            Some("string") => {
                self.step(schema.get("pattern").and_then(Value::as_str).map_or(0, str::len))?;
                let text = text::of(schema);
                self.spend(text.len())?;
                self.made(Value::String(text))
            }
            Some("integer") => self.made(number(schema, true)),
            Some("number") => self.made(number(schema, false)),
            Some("boolean") => self.made(Value::Bool(true)),
            Some(_) => self.made(Value::Null),
            None => None,
        };
        let combined = self.combined(schema, own, depth);
        if combined.is_none() && kind(schema).is_none() { self.made(Value::Null) } else { combined }
    }

    /// Adds what the combinations ask for: all of `allOf`, the first of `oneOf` and `anyOf`.
    fn combined(&mut self, schema: &'a Map<String, Value>, own: Option<Value>, depth: usize) -> Option<Value> {
        let branches = |name: &str| schema.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let first = branches("oneOf").iter().take(1).chain(branches("anyOf").iter().take(1));
        let mut result = own;
        for branch in branches("allOf").iter().chain(first) {
            if self.steps == 0 {
                break;
            }
            let Some(value) = self.value(branch, depth + 1) else { continue };
            match (&mut result, value) {
                (Some(Value::Object(fields)), Value::Object(more)) => {
                    for (name, value) in more {
                        fields.entry(name).or_insert(value);
                    }
                }
                (Some(Value::Object(_)), Value::Null) | (Some(_), Value::Object(_) | Value::Null) => {}
                (result, value) => *result = Some(value),
            }
        }
        result
    }

    /// What a reference within the schema leads to.
    fn referenced(&mut self, reference: &'a str, depth: usize) -> Option<Value> {
        self.step(reference.len())?;
        if self.open.contains(&reference) {
            return None;
        }
        let found = find(self.root, reference)?;
        self.open.push(reference);
        let value = self.value(found, depth + 1);
        self.open.pop();
        value
    }

    fn object(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Option<Value> {
        self.made(Value::Null)?;
        let mut fields = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if self.step(1).is_none() {
                break;
            }
            if self.spend(name.len()).is_some()
                && let Some(value) = self.value(schema, depth + 1)
            {
                fields.insert(name.clone(), value);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for name in required.iter().filter_map(Value::as_str) {
            self.step(1)?;
            if !fields.contains_key(name) && self.spend(name.len()).is_some() {
                fields.insert(name.to_owned(), self.made(Value::Null)?);
            }
        }
        if fields.is_empty()
            && let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object())
            && let Some(value) = self.value(more, depth + 1)
        {
            fields.insert("key".to_owned(), value);
        }
        Some(Value::Object(fields))
    }

    /// An array of one item, or as many as there must be.
    fn array(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Option<Value> {
        self.made(Value::Null)?;
        let size = |name: &str| schema.get(name).and_then(Value::as_u64);
        let least = size("minItems").unwrap_or(1).max(1);
        let count = least.min(ITEMS_MAX).min(size("maxItems").unwrap_or(u64::MAX)) as usize;
        let one_by_one = |name: &str| schema.get(name).and_then(Value::as_array);
        let firsts = one_by_one("prefixItems").or(one_by_one("items")).map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items").filter(|items| !items.is_array());
        let mut items = Vec::new();
        for i in 0..count.max(firsts.len().min(ITEMS_MAX as usize)) {
            let Some(item) = firsts.get(i).or(rest) else { break };
            items.extend(self.value(item, depth + 1));
        }
        Some(Value::Array(items))
    }

    /// A value that the schema gives.
    fn taken(&mut self, given: &Value) -> Option<Value> {
        let (values, bytes) = self.size(given)?;
        self.values = self.values.checked_sub(values)?;
        self.spend(bytes)?;
        Some(given.clone())
    }

    /// How many values and bytes of text are in a value.
    fn size(&mut self, value: &Value) -> Option<(usize, usize)> {
        self.step(1)?;
        let mut total = (1, 0);
        match value {
            Value::String(text) => total.1 = text.len(),
            Value::Array(items) => {
                for item in items {
                    let (values, bytes) = self.size(item)?;
                    total = (total.0 + values, total.1 + bytes);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let (values, bytes) = self.size(value)?;
                    total = (total.0 + values, total.1 + bytes + name.len());
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Some(total)
    }

    /// A value that was made here.
    fn made(&mut self, value: Value) -> Option<Value> {
        self.values = self.values.checked_sub(1)?;
        Some(value)
    }

    /// Takes steps; where there are not as many left, none is.
    fn step(&mut self, steps: usize) -> Option<()> {
        let left = self.steps.checked_sub(steps);
        self.steps = left.unwrap_or(0);
        left.map(|_| ())
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }
}

/// What a schema says by itself.
fn given(schema: &Map<String, Value>) -> Option<&Value> {
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|values| values.first());
    let one = |name: &str| schema.get(name);
    first("examples").or(one("example")).or(one("const")).or(one("default")).or(first("enum"))
}

/// The type that is asked for, or that the schema's other words are about.
fn kind(schema: &Map<String, Value>) -> Option<&str> {
    let named = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            let first = names.next();
            first.filter(|name| *name != "null").or(names.next()).or(first)
        }
        _ => None,
    };
    let about = |names: &[&str]| names.iter().any(|name| schema.contains_key(*name));
    named.or(match () {
        () if about(&["properties", "required", "additionalProperties"]) => Some("object"),
        () if about(&["items", "prefixItems", "minItems"]) => Some("array"),
        () if about(&["pattern", "format", "minLength", "maxLength"]) => Some("string"),
        () if about(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) => Some("number"),
        () => None,
    })
}

/// What a reference such as `#/$defs/user` stands for; others lead out of the schema.
fn find<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    let decoded = percent_decoded(pointer)?;
    root.pointer(&decoded)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (first, tail) {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            bytes.push((digit(*high)? << 4 | digit(*low)?) as u8);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A number within its bounds: a small one where they let it be.
fn number(schema: &Map<String, Value>, whole: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    // In older schemas `exclusiveMinimum` is `true` and belongs to `minimum`.
    let excluded = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(if whole { 1.0 } else { 0.5 });
    let step = if whole && step.fract() != 0.0 { 1.0 } else { step };
    let (mut low, mut high) =
        (bound("minimum").unwrap_or(f64::NEG_INFINITY), bound("maximum").unwrap_or(f64::INFINITY));
    let open_low = bound("exclusiveMinimum").filter(|open| *open >= low).inspect(|open| low = *open).is_some();
    let open_high = bound("exclusiveMaximum").filter(|open| *open <= high).inspect(|open| high = *open).is_some();
    let open_low = open_low || excluded("exclusiveMinimum");
    let open_high = open_high || excluded("exclusiveMaximum");
    let fits = |value: f64| {
        let (above, below) =
            (value > low || (!open_low && value >= low), value < high || (!open_high && value <= high));
        value.is_finite() && above && below
    };
    let rising = (low / step).ceil() * step;
    let falling = (high / step).floor() * step;
    let middle = low / 2.0 + high / 2.0;
    let candidates = [step, 0.0, rising, rising + step, falling, falling - step, middle];
    let found = candidates.into_iter().find(|value| fits(*value)).unwrap_or(low.clamp(-1e15, 1e15));
    if found.fract() == 0.0 && found.abs() < 9e15 {
        return Value::Number((found as i64).into());
    }
    Number::from_f64(if whole { found.round() } else { found }).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests;
