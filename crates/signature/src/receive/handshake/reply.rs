//! The shapes that answers have.

use serde_json::Value;

use crate::receive::Reply;

/// A status and nothing else.
pub(super) fn empty(status: u16) -> Reply {
    Reply { status, headers: Vec::new(), body: Vec::new(), learned: None, confirm: None }
}

/// An echo: plain text, which no browser may take for anything else.
pub(super) fn text(body: &str) -> Reply {
    let headers = vec![("content-type", "text/plain".to_owned()), ("x-content-type-options", "nosniff".to_owned())];
    Reply { headers, body: body.as_bytes().to_vec(), ..empty(200) }
}

/// JSON.
pub(super) fn json(body: &Value) -> Reply {
    let headers =
        vec![("content-type", "application/json".to_owned()), ("x-content-type-options", "nosniff".to_owned())];
    Reply { headers, body: body.to_string().into_bytes(), ..empty(200) }
}

/// A header and no body.
pub(super) fn header(name: &'static str, value: &str) -> Reply {
    Reply { headers: vec![(name, value.to_owned())], ..empty(200) }
}
