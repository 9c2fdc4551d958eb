//! JSON bodies. Known fields are taken apart first, each as the text that came; then each is read
//! for itself, so that what is wrong is said field by field, and what must stay as it came does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::error::{ApiError, Code, Kind, Problem};
use super::json_visit::{FieldsVisitor, TextMap};
use super::validate::{Rule, TEXT_BYTES_MAX};
use crate::store::command::Field;

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
    pub(super) fn patch(self) -> Field<Option<T>> {
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
#[derive(Debug)]
pub(super) struct Fields<'a, const N: usize> {
    names: &'static [&'static str; N],
    values: [Option<&'a RawValue>; N],
    problems: Vec<Problem>,
}

impl<'a, const N: usize> Fields<'a, N> {
    /// No field yet.
    pub(super) const fn new(names: &'static [&'static str; N]) -> Self {
        Self { names, values: [None; N], problems: Vec::new() }
    }

    /// Another field; the first of a name counts, and the second is a problem.
    pub(super) fn put(&mut self, place: usize, value: &'a RawValue) {
        let name = self.names[place];
        if self.values[place].is_none() {
            self.values[place] = Some(value);
        } else if !self.problems.iter().any(|problem| problem.loc[1] == name) {
            self.problem(name, "given more than once", Kind::Duplicate);
        }
    }

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

    /// What is wrong with a body that stands in a field.
    pub(super) fn nest(&mut self, name: &'static str, problems: Vec<Problem>) {
        for mut problem in problems {
            problem.loc.insert(1, name.into());
            self.problems.push(problem);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["a", "b"];

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        for (text, expected) in
            [("", 0), ("{}", 1), ("[[],[{}]]", 3), (r#"{"[[":"[\"[{"}"#, 1), (r#"["\\",[]]"#, 2), ("]]]]", 0)]
        {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn only_one_object_is_an_object() {
        for (text, expected) in [
            ("{}", true),
            (" {} ", true),
            ("[]", false),
            ("{", false),
            ("{}{}", false),
            ("", false),
            ("{\"a\":[[]]}", false),
        ] {
            assert_eq!(is_object(text.as_bytes(), 2), expected, "{text}");
        }
        assert!(!is_object(b"{\"\xff\":1}", 2));
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let mut fields = Fields::parse(br#"{"a":null}"#, &NAMES, 9).expect("an object");
        assert_eq!(fields.text("a", Null::Taken, |_| Ok(())).patch(), Some(None));
        assert_eq!(fields.text("b", Null::Taken, |_| Ok(())).patch(), None);
        assert!(fields.finish().is_ok());
        let mut fields = Fields::parse(br#"{"b":"x"}"#, &NAMES, 9).expect("an object");
        assert_eq!(fields.text("b", Null::Taken, |_| Ok(())).patch(), Some(Some("x".to_owned())));
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let mut fields = Fields::parse(br#"{"a":1,"b":true,"b":false}"#, &NAMES, 9).expect("an object");
        fields.text("a", Null::Refused, |_| Ok(()));
        let Err(ApiError::Invalid(problems)) = fields.finish() else { panic!("nothing is wrong") };
        let kinds: Vec<Kind> = problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [Kind::Duplicate, Kind::Type]);
    }

    #[test]
    fn a_name_spelt_with_escapes_is_the_same_name() {
        let mut fields = Fields::parse(br#"{"\u0061":"x"}"#, &NAMES, 9).expect("an object");
        assert_eq!(fields.text("a", Null::Refused, |_| Ok(())).value().as_deref(), Some("x"));
    }
}
