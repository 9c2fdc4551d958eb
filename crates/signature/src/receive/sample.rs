//! A request as a provider might send it, made up from what is known of its type: the id and the type where the
//! type has them, and signed by the source's own secret. For trying a source out.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use super::catalog::{How, SourceType, Where};
use super::hmac::{Place, Stamp};
use super::{Request, Verifier};

/// What the type of a sample's event is.
const KIND: &str = "sample";
const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

/// A request that was made up; it is a `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its headers.
    pub headers: HeaderMap,
    /// What stands behind the question mark.
    pub query: Option<String>,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Verifier {
    /// A request to `url` that this accepts at `at_ms`, of an event with this id. `None` where only the provider can
    /// sign, or where there is no secret.
    pub fn sample(&self, url: &str, at_ms: i64, id: &str) -> Option<Sample> {
        let mut draft = Draft::new();
        draft.fill(self.source_type(), at_ms, id);
        let mut sample = draft.into_sample();
        if !self.is_verifying() {
            return Some(sample);
        }
        let request = Request { method: &Method::POST, url, headers: &sample.headers, body: &sample.body };
        let signed = self.sign(&request, at_ms, id)?;
        for (name, value) in &signed.headers {
            insert(&mut sample.headers, name, value);
        }
        sample.query = signed.query.map(|(name, value)| pair(&name, &value));
        Some(sample)
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// A name and its value as forms and queries write them.
fn pair(name: &str, value: &str) -> String {
    let mut written = String::with_capacity(name.len() + value.len() + 1);
    for (at, text) in [name, value].into_iter().enumerate() {
        if at == 1 {
            written.push('=');
        }
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => written.push(char::from(byte)),
                other => {
                    written.push('%');
                    written.extend([other >> 4, other & 15].map(|half| HEX[usize::from(half)]));
                }
            }
        }
    }
    written
}

/// A request while it is made up.
struct Draft {
    headers: HeaderMap,
    json: Value,
    form: Vec<(&'static str, String)>,
}

impl Draft {
    fn new() -> Self {
        let json = Value::Object(Map::from_iter([("sample".to_owned(), Value::Bool(true))]));
        Self { headers: HeaderMap::new(), json, form: Vec::new() }
    }

    fn fill(&mut self, source_type: &SourceType, at_ms: i64, id: &str) {
        for place in source_type.event_type.first().copied().into_iter().flatten() {
            self.set(*place, KIND);
        }
        if let Some(place) = source_type.event_id.first() {
            self.set(*place, id);
        }
        for scheme in source_type.schemes {
            if let How::Hmac(hmac) = scheme.how
                && let Some(Stamp { place: Place::Body(pointer), .. }) = hmac.stamp
            {
                put(&mut self.json, pointer, at_ms.into());
            }
        }
    }

    fn set(&mut self, place: Where, text: &str) {
        match place {
            Where::Header(name) => insert(&mut self.headers, name, text),
            // The signer writes it.
            Where::Signed => {}
            Where::Body(pointer) | Where::Text(pointer) | Where::Each(pointer) => {
                put(&mut self.json, pointer, text.into());
            }
            Where::Only { list, member } => put(&mut self.json, &format!("{list}/0{member}"), text.into()),
            Where::Form(name) => self.form.push((name, text.to_owned())),
        }
    }

    fn into_sample(mut self) -> Sample {
        let (content_type, body) = if self.form.is_empty() {
            ("application/json", self.json.to_string())
        } else {
            let pairs: Vec<String> = self.form.iter().map(|(name, value)| pair(name, value)).collect();
            ("application/x-www-form-urlencoded", pairs.join("&"))
        };
        insert(&mut self.headers, "content-type", content_type);
        Sample { headers: self.headers, query: None, body: body.into_bytes() }
    }
}

/// Puts a value at a JSON pointer, and makes what leads there; a `*` is a list of one entry. What is there already and
/// leads nowhere stays.
fn put(json: &mut Value, pointer: &str, value: Value) {
    let Some((first, rest)) = pointer.strip_prefix('/').map(|path| path.split_once('/').unwrap_or((path, ""))) else {
        return *json = value;
    };
    let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    if first == "*" || first == "0" {
        if json.is_null() {
            *json = Value::Array(vec![Value::Null]);
        }
        if let Some(entry) = json.as_array_mut().and_then(|list| list.first_mut()) {
            put(entry, &rest, value);
        }
        return;
    }
    if json.is_null() {
        *json = Value::Object(Map::new());
    }
    if let Some(members) = json.as_object_mut() {
        let name = first.replace("~1", "/").replace("~0", "~");
        put(members.entry(name).or_insert(Value::Null), &rest, value);
    }
}
