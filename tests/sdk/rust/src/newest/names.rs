//! What this version calls its own way.

use chrono::{DateTime, Utc};

crate::names::names!(
    upsert,
    set_headers,
    event_types,
    EndpointUpsertIn,
    EventTypeUpsertIn,
    OperationalWebhookEndpointUpsertIn,
    IngestEndpointUpsertIn
);

pub(crate) const VERSION: &str = "2.9.1";

pub(crate) fn event_type(name: &str, description: &str) -> EventTypeIn {
    EventTypeIn::new(name.to_owned(), description.to_owned())
}

/// A time as this version takes it.
pub(crate) fn time(at: DateTime<Utc>) -> DateTime<Utc> {
    at
}

/// The secret that a rotation answers, where it does.
pub(crate) fn rotated(answer: EndpointSecretOut) -> Option<String> {
    Some(answer.key)
}
