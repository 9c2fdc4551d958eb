//! What this version calls its own way.

use chrono::{DateTime, SecondsFormat, Utc};

crate::names::names!(
    update,
    update_headers,
    filter_types,
    EndpointUpdate,
    EventTypeUpdate,
    OperationalWebhookEndpointUpdate,
    IngestEndpointUpdate
);

pub(crate) const VERSION: &str = "1.99.1";

pub(crate) fn event_type(name: &str, description: &str) -> EventTypeIn {
    EventTypeIn::new(description.to_owned(), name.to_owned())
}

/// A time as this version takes it.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The secret that a rotation answers, where it does.
pub(crate) fn rotated((): ()) -> Option<String> {
    None
}
