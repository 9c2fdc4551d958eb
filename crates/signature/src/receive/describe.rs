//! What a request says of itself: the event's id, for dedupe, and the event's type, for routing.

use serde_json::Value;

use super::asymmetric::Asymmetric;
use super::canonical::{self, Canonical};
use super::catalog::{How, Scheme, SourceType, Where};
use super::certificate::Certificate;
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

/// Reads id and type where the type has them. The scheme is the one that judges the request.
pub(crate) fn describe(source_type: &SourceType, scheme: Option<&Scheme>, request: &Request) -> Described {
    let mut places = source_type.event_id.iter().chain(source_type.event_type.iter().copied().flatten());
    // A body is parsed only for what is in it.
    let json = if places.any(is_in_json) { json(request) } else { None };
    let read = |place: &Where| find(*place, scheme, request, json.as_ref());
    let event_id = source_type
        .event_id
        .iter()
        .find_map(|place| read(place).one())
        .map(|id| if id.len() <= EVENT_ID_BYTES_MAX { id } else { reading::sha256_hex(&[id.as_bytes()]) });
    let event_type = source_type
        .event_type
        .iter()
        .map(|parts| joined(parts, read))
        .find(|found| *found != Found::Nothing)
        .and_then(Found::one)
        .map(|text| as_event_type(&text));
    Described { event_id, event_type: event_type.filter(|text| !text.is_empty()) }
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// It is not there.
    Nothing,
    /// A text, or a number.
    One(String),
    /// The entries of a list have different ones.
    Several,
}

impl Found {
    fn one(self) -> Option<String> {
        if let Self::One(text) = self { Some(text) } else { None }
    }
}

impl From<Option<String>> for Found {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, Self::One)
    }
}

/// The parts of a type, joined by dots. Nothing if the first is not there; one behind it may be absent.
fn joined(parts: &[Where], read: impl Fn(&Where) -> Found) -> Found {
    let mut whole = String::new();
    for (at, part) in parts.iter().enumerate() {
        match read(part) {
            Found::Nothing if at == 0 => return Found::Nothing,
            Found::Nothing => {}
            Found::Several => return Found::Several,
            Found::One(text) => {
                let dot = if at == 0 { "" } else { "." };
                whole.extend([dot, &text]);
            }
        }
    }
    if parts.is_empty() { Found::Nothing } else { Found::One(whole) }
}

fn is_in_json(place: &Where) -> bool {
    match place {
        Where::Body(_) | Where::Text(_) | Where::Each(_) | Where::Only { .. } => true,
        Where::Header(_) | Where::Signed | Where::Form(_) => false,
    }
}

/// The body as JSON. Some providers send it as the field `payload` of a form.
fn json(request: &Request) -> Option<Value> {
    if reading::could_be_form(request) {
        let fields = reading::form(request.body).unwrap_or_default();
        if let Some(payload) = reading::form_text(&fields, "payload") {
            return serde_json::from_str(payload).ok();
        }
    }
    serde_json::from_slice(request.body).ok()
}

fn find(place: Where, scheme: Option<&Scheme>, request: &Request, json: Option<&Value>) -> Found {
    let at = |pointer: &str| json.and_then(|json| json.pointer(pointer));
    match place {
        Where::Header(name) => Found::from(lookup::header(request.headers, name).map(std::borrow::Cow::into_owned)),
        Where::Signed => Found::from(scheme.and_then(|scheme| signed_id(&scheme.how, request))),
        Where::Body(pointer) => Found::from(at(pointer).and_then(scalar)),
        Where::Text(pointer) => Found::from(at(pointer).filter(|value| value.is_string()).and_then(scalar)),
        Where::Each(pointer) => json.map_or(Found::Nothing, |json| of_each(json, pointer)),
        Where::Only { list, member } => match at(list).and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => Found::from(only.pointer(member).and_then(scalar)),
            _ => Found::Nothing,
        },
        Where::Form(name) => {
            let fields = reading::form(request.body).unwrap_or_default();
            let text = reading::form_text(&fields, name).filter(|value| !value.is_empty());
            Found::from(text.map(str::to_owned))
        }
    }
}

/// The id that is part of what a scheme signs, from the very place where the scheme reads it.
fn signed_id(how: &How, request: &Request) -> Option<String> {
    let name = match how {
        How::Hmac(hmac) => hmac.id_header?,
        How::Asymmetric(Asymmetric::StandardWebhooks) => "webhook-id",
        How::Certificate(Certificate::Paypal) => "paypal-transmission-id",
        How::Canonical(Canonical::Mailgun) => return canonical::mailgun_token(request),
        _ => return None,
    };
    lookup::header(request.headers, name).map(std::borrow::Cow::into_owned)
}

/// What all entries have at a pointer whose `*` stand for every entry of a list.
fn of_each(json: &Value, pointer: &str) -> Found {
    let first = json.pointer(&pointer.replace('*', "0"));
    if is_in_each(json, pointer, first) { Found::from(first.and_then(scalar)) } else { Found::Several }
}

/// Whether every entry has this value at the pointer, or none.
fn is_in_each(json: &Value, pointer: &str, expected: Option<&Value>) -> bool {
    let Some((list, rest)) = pointer.split_once("/*") else {
        return json.pointer(pointer) == expected;
    };
    match json.pointer(list).and_then(Value::as_array) {
        Some(entries) if !entries.is_empty() => entries.iter().all(|entry| is_in_each(entry, rest, expected)),
        _ => expected.is_none(),
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
