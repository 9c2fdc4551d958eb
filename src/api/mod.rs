//! The HTTP API: one file a resource, one table of operations ([`routes`]).
//!
//! A request is matched to its operation, its key is looked up (before anything of it is read or
//! judged), and then the operation's handler reads path, query and body with the limits of
//! [`accept`](crate::accept), asks the gateway, and answers. What goes wrong is an
//! [`error::ApiError`], turned into an answer in one place.
//!
//! Deliberately absent: sockets, time-outs of heads, and limits on connections (the server's);
//! middleware; any operation that answers from memory what the journal has not committed.

mod answer;
mod api_token;
mod application;
mod attempt;
mod attempt_headers;
mod attempted;
mod auth;
mod background_task;
mod call;
mod change;
mod content;
mod docs;
mod endpoint;
mod endpoint_in;
mod endpoint_list;
mod environment;
mod error;
mod event_type;
mod event_type_export;
mod event_type_import;
mod events;
mod example;
mod first_sdks;
mod headers;
mod health;
mod hosted;
mod json;
mod json_visit;
mod jwks;
mod live;
mod look;
mod lookup;
mod message;
mod message_in;
mod metrics;
mod openapi;
mod origin;
mod overview;
mod page;
mod portal;
mod query;
mod raw;
mod receive;
mod recover;
mod routes;
mod sample;
mod scope;
mod searched;
mod secret;
mod session;
mod settings;
mod source;
mod source_log;
mod stats;
mod system;
#[cfg(test)]
mod tests;
mod time;
mod try_out;
mod usage;
mod validate;

pub(crate) use live::STREAMS_MAX;
pub(crate) use receive::RECEIVING;
pub use routes::router;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::IpAddr);

/// The answer to a head that says two lengths of its body; the connection ends with it.
pub(crate) fn ambiguous_length() -> axum::response::Response {
    let detail = "Send Content-Length or Transfer-Encoding, not both";
    let mut answer = error::ApiError::Coded(error::Code::AmbiguousLength, detail.into()).into_answer();
    answer.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    answer
}

/// The answer to a head with too many headers.
pub(crate) fn too_many_headers() -> axum::response::Response {
    error::ApiError::Coded(error::Code::TooManyHeaders, "Send at most 64 headers".into()).into_answer()
}

/// The answer where too many bytes of other answers were not taken yet.
pub(crate) fn too_busy() -> axum::response::Response {
    let detail = "Clients are slow to read what they asked for; try again, or ask for shorter pages";
    error::ApiError::Coded(error::Code::TooBusy, detail.into()).into_answer()
}

/// The answer to a compressed body: what it unfolds to would have to be bounded before it is known.
pub(crate) fn unsupported_encoding() -> axum::response::Response {
    let detail = "Send the body without Content-Encoding, and with no Transfer-Encoding but chunked";
    error::ApiError::Coded(error::Code::UnsupportedEncoding, detail.into()).into_answer()
}
