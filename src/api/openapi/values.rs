//! Schemas of single values, with the bounds of the rules that judge them.

use serde_json::{Value, json};

use crate::api::validate::Rule;
use crate::model::IdKind;

/// A text that a rule lets through. Its bound is in bytes, which for all but names are characters.
pub(super) fn text(rule: &Rule, says: &str) -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": rule.bytes_max, "pattern": rule.pattern, "description": says,
    })
}

/// A list of different values.
pub(super) fn texts(of: Value, (least, most): (usize, usize)) -> Value {
    let mut of = of;
    let says = of.as_object_mut().and_then(|of| of.remove("description"));
    let mut list = json!({ "type": "array", "items": of, "maxItems": most, "uniqueItems": true, "description": says });
    if least > 0 {
        list["minItems"] = least.into();
    }
    list
}

/// A whole number.
pub(super) fn number<T: Into<u64>>((least, most): (T, T), says: &str) -> Value {
    let (least, most): (u64, u64) = (least.into(), most.into());
    json!({ "type": "integer", "minimum": least, "maximum": most, "description": says })
}

/// The same, or `null`.
pub(super) fn nullable(mut of: Value) -> Value {
    of["type"] = json!([of["type"], "null"]);
    of
}

/// The pattern of the ids of a kind, without anchors.
pub(super) fn id_pattern(kind: IdKind) -> String {
    format!("{}[A-Za-z0-9]{{{}}}", kind.prefix(), kind.characters())
}

/// An id.
pub(super) fn id(kind: IdKind) -> Value {
    json!({ "type": "string", "pattern": format!("^{}$", id_pattern(kind)) })
}
