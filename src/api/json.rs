//! JSON bodies. Known fields are taken apart first, each as the text that came; then each is read
//! for itself, so that what is wrong is said field by field, and what must stay as it came does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::error::{ApiError, Code, Kind, Problem};
use super::validate::{Rule, TEXT_BYTES_MAX};

/// How deep the brackets of a text nest outside of its strings.
pub(super) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in text {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether the bytes are one JSON object that may stand inside another.
pub(super) fn is_object(bytes: &[u8], depth_max: usize) -> bool {
    depth(bytes) <= depth_max
        && serde_json::from_slice::<&RawValue>(bytes).is_ok_and(|value| value.get().starts_with('{'))
}

/// A field: three states, because a `PATCH` tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given<T> {
    /// Not there, or not right (then there is a problem).
    Absent,
    /// `null`.
    Null,
    /// There.
    Value(T),
}

impl<T> Given<T> {
    /// The value, if there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// What a patch makes of it.
    pub(super) fn patch(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// Another value.
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Given<U> {
        match self {
            Self::Absent => Given::Absent,
            Self::Null => Given::Null,
            Self::Value(value) => Given::Value(f(value)),
        }
    }
}

/// Whether a field may be `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Null {
    /// It may.
    Taken,
    /// It may not.
    Refused,
}

/// The known fields of a JSON object, with what was found wrong so far.
pub(super) struct Fields<'a, const N: usize> {
    names: &'static [&'static str; N],
    values: [Option<&'a RawValue>; N],
    problems: Vec<Problem>,
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Takes a body apart.
    pub(super) fn parse(body: &'a [u8], names: &'static [&'static str; N], depth_max: usize) -> Result<Self, ApiError> {
        if depth(body) > depth_max {
            return Err(whole(format!("nests deeper than {depth_max} levels"), Kind::Value));
        }
        let text =
            str::from_utf8(body).map_err(|_| ApiError::Coded(Code::InvalidJson, "the body is not UTF-8".into()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = reader.deserialize_map(FieldsVisitor { names }).and_then(|fields| reader.end().map(|()| fields));
        read.map_err(|error| match error.classify() {
            Category::Data => whole("must be an object", Kind::Type),
            Category::Syntax | Category::Eof | Category::Io => {
                ApiError::Coded(Code::InvalidJson, format!("the body is not JSON: {error}").into())
            }
        })
    }

    /// Something is wrong with a field.
    pub(super) fn problem(&mut self, name: &'static str, msg: impl Into<Cow<'static, str>>, kind: Kind) {
        self.problems.push(Problem { loc: vec!["body".into(), name.into()], msg: msg.into(), kind });
    }

    /// Something is wrong with a part of a field.
    pub(super) fn problem_in(&mut self, name: &'static str, part: String, msg: impl Into<Cow<'static, str>>) {
        let loc = vec!["body".into(), name.into(), part.into()];
        self.problems.push(Problem { loc, msg: msg.into(), kind: Kind::Value });
    }

    /// A field as it came.
    pub(super) fn raw(&mut self, name: &'static str, null: Null) -> Given<&'a RawValue> {
        let place = self.names.iter().position(|known| *known == name);
        match place.and_then(|place| self.values[place]) {
            None => Given::Absent,
            Some(raw) if raw.get() != "null" => Given::Value(raw),
            Some(_) if null == Null::Taken => Given::Null,
            Some(_) => {
                self.problem(name, "must not be null", Kind::Type);
                Given::Absent
            }
        }
    }

    /// A field that must be there.
    pub(super) fn require<T>(&mut self, name: &'static str, given: Given<T>) -> Option<T> {
        let place = self.names.iter().position(|known| *known == name);
        if place.is_none_or(|place| self.values[place].is_none()) {
            self.problem(name, "field required", Kind::Missing);
        }
        given.value()
    }

    /// A field of a type, with a rule.
    pub(super) fn read<T: Deserialize<'a>>(
        &mut self,
        name: &'static str,
        null: Null,
        expected: &'static str,
        rule: impl FnOnce(&T) -> Result<(), &'static str>,
    ) -> Given<T> {
        let raw = match self.raw(name, null) {
            Given::Value(raw) => raw,
            Given::Null => return Given::Null,
            Given::Absent => return Given::Absent,
        };
        let Ok(value) = serde_json::from_str::<T>(raw.get()) else {
            self.problem(name, expected, Kind::Type);
            return Given::Absent;
        };
        match rule(&value) {
            Ok(()) => Given::Value(value),
            Err(msg) => {
                self.problem(name, msg, Kind::Value);
                Given::Absent
            }
        }
    }

    /// A text.
    pub(super) fn text(
        &mut self,
        name: &'static str,
        null: Null,
        rule: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Given<String> {
        self.read(name, null, "must be a string", |text: &String| rule(text))
    }

    /// A whole number between two bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        null: Null,
        bounds: (u16, u16),
        msg: &'static str,
    ) -> Given<u16> {
        self.read(
            name,
            null,
            msg,
            |number: &u16| {
                if (bounds.0..=bounds.1).contains(number) { Ok(()) } else { Err(msg) }
            },
        )
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &'static str) -> Given<bool> {
        self.read(name, Null::Refused, "must be true or false", |_| Ok(()))
    }

    /// A list of different texts.
    pub(super) fn texts(
        &mut self,
        name: &'static str,
        bounds: (usize, usize),
        null: Null,
        rule: &Rule,
    ) -> Given<Vec<String>> {
        let given = self.read(name, null, "must be an array of strings", |texts: &Vec<String>| {
            if texts.len() < bounds.0 {
                Err("has too few items")
            } else if texts.len() > bounds.1 {
                Err("has too many items")
            } else {
                Ok(())
            }
        });
        let Given::Value(texts) = given else { return given };
        let mut right = true;
        for (i, text) in texts.iter().enumerate() {
            if let Err(msg) = rule.check(text) {
                self.problem_in(name, format!("[{i}]"), msg);
                right = false;
            }
        }
        let mut sorted: Vec<&String> = texts.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            self.problem(name, "has an item twice", Kind::Value);
            right = false;
        }
        if right { Given::Value(texts) } else { Given::Absent }
    }

    /// Texts by name, of bounded size; `checked` looks at each for what else must hold.
    pub(super) fn map(&mut self, name: &'static str, null: Null) -> Given<BTreeMap<String, String>> {
        let given: Given<TextMap> = self.read(name, null, "must be an object of strings", |map: &TextMap| {
            let bytes: usize = map.texts.iter().map(|(key, value)| key.len() + value.len()).sum();
            if map.has_duplicates {
                Err("has a name twice")
            } else if bytes > TEXT_BYTES_MAX {
                Err("is longer than 65536 bytes")
            } else if map.texts.iter().any(|(key, value)| key.contains('\0') || value.contains('\0')) {
                Err("holds the character U+0000")
            } else {
                Ok(())
            }
        });
        given.map(|map| map.texts)
    }

    /// All that was wrong.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.problems)) }
    }
}

fn whole(msg: impl Into<Cow<'static, str>>, kind: Kind) -> ApiError {
    ApiError::Invalid(vec![Problem { loc: vec!["body".into()], msg: msg.into(), kind }])
}

struct FieldsVisitor<const N: usize> {
    names: &'static [&'static str; N],
}

impl<'de, const N: usize> Visitor<'de> for FieldsVisitor<N> {
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { names: self.names, values: [None; N], problems: Vec::new() };
        while let Some(known) = map.next_key_seed(KnownName(self.names))? {
            let Some(place) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?;
            if fields.values[place].is_none() {
                fields.values[place] = Some(value);
            } else if !fields.problems.iter().any(|problem| problem.loc[1] == self.names[place]) {
                fields.problem(self.names[place], "given more than once", Kind::Duplicate);
            }
        }
        Ok(fields)
    }
}

/// Reads a name without keeping it: its place among the known ones.
struct KnownName(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownName {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Texts by name that knows when a name came twice.
struct TextMap {
    texts: BTreeMap<String, String>,
    has_duplicates: bool,
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(TextMapVisitor)
    }
}

struct TextMapVisitor;

impl<'de> Visitor<'de> for TextMapVisitor {
    type Value = TextMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap, A::Error> {
        let mut found = TextMap { texts: BTreeMap::new(), has_duplicates: false };
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if found.texts.len() > TEXT_BYTES_MAX {
                return Err(A::Error::custom("too many names"));
            }
            found.has_duplicates |= found.texts.insert(key, value).is_some();
        }
        Ok(found)
    }
}
