//! What a request says of itself: the event's id, for dedupe, and the event's type, for routing.

use serde_json::Value;

use super::catalog::{SourceType, Where};
use super::{Request, lookup, reading};

/// Most bytes of an event id; a longer one is replaced by its SHA-256.
pub const EVENT_ID_BYTES_MAX: usize = 256;
/// Most bytes of an event type (the API contract).
pub const EVENT_TYPE_BYTES_MAX: usize = 256;

/// What a request says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// The provider's id of the event: the same for each of its attempts.
    pub event_id: Option<String>,
    /// The event's type, in the characters that the API contract has for it: others become dots, so that
    /// `orders/create` is `orders.create`.
    pub event_type: Option<String>,
}

/// Reads id and type where the type has them.
pub(crate) fn describe(source_type: &SourceType, request: &Request) -> Described {
    let wants_body = |place: &Where| matches!(place, Where::Body(_) | Where::Only { .. });
    let mut places = source_type.event_id.iter().chain(source_type.event_type.iter().copied().flatten());
    // A body is parsed only for what is in it.
    let json = if places.any(wants_body) { serde_json::from_slice(request.body).ok() } else { None };
    let read = |place: &Where| find(*place, request, json.as_ref());
    let event_id = source_type
        .event_id
        .iter()
        .find_map(read)
        .map(|id| if id.len() <= EVENT_ID_BYTES_MAX { id } else { reading::sha256_hex(&[id.as_bytes()]) });
    let event_type = source_type.event_type.iter().find_map(|parts| {
        let (first, rest) = parts.split_first()?;
        let mut joined = read(first)?;
        for part in rest.iter().filter_map(read) {
            joined.push('.');
            joined.push_str(&part);
        }
        Some(as_event_type(&joined))
    });
    Described { event_id, event_type: event_type.filter(|text| !text.is_empty()) }
}

fn find(place: Where, request: &Request, json: Option<&Value>) -> Option<String> {
    match place {
        Where::Header(name) => lookup::header(request.headers, name).map(std::borrow::Cow::into_owned),
        Where::Body(pointer) => scalar(json?.pointer(pointer)?),
        Where::Only { list, member } => match json?.pointer(list)?.as_array()?.as_slice() {
            [only] => scalar(only.pointer(member)?),
            _ => None,
        },
        Where::Form(name) => {
            let fields = reading::form(request.body).ok()?;
            reading::form_text(&fields, name).filter(|value| !value.is_empty()).map(str::to_owned)
        }
    }
}

/// A text that is not empty, or a number.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text in the characters of event types, of their length.
fn as_event_type(text: &str) -> String {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.trim().chars().take(EVENT_TYPE_BYTES_MAX).map(|c| if is_usual(c) { c } else { '.' }).collect()
}
