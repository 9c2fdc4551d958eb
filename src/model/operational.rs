//! Operational webhooks: what Posthouse tells its operator of endpoints and messages, as events of
//! the API contract (and `endpoint.failing`, our own). Pure.

use serde::Serialize;

use super::entity::{Application, DisabledReason, Endpoint};
use super::id::{Id, IdKind};
use super::time::{UnixMs, rfc3339};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// `endpoint.created`
    EndpointCreated,
    /// `endpoint.updated`
    EndpointUpdated,
    /// `endpoint.deleted`
    EndpointDeleted,
    /// `endpoint.disabled`
    EndpointDisabled(DisabledReason),
    /// `endpoint.enabled`
    EndpointEnabled,
    /// `endpoint.failing`: it does nothing but fail; the number of the warning, from 1.
    EndpointFailing(u8),
}

/// What happened to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageHappening {
    /// `message.attempt.failing`: the fourth failure.
    Failing,
    /// `message.attempt.exhausted`: the schedule is over.
    Exhausted,
    /// `message.attempt.recovered`: a success after either.
    Recovered,
}

impl Happening {
    /// The event type.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::EndpointCreated => "endpoint.created",
            Self::EndpointUpdated => "endpoint.updated",
            Self::EndpointDeleted => "endpoint.deleted",
            Self::EndpointDisabled(_) => "endpoint.disabled",
            Self::EndpointEnabled => "endpoint.enabled",
            Self::EndpointFailing(_) => "endpoint.failing",
        }
    }
}

impl MessageHappening {
    /// The event type.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Failing => "message.attempt.failing",
            Self::Exhausted => "message.attempt.exhausted",
            Self::Recovered => "message.attempt.recovered",
        }
    }
}

#[derive(Serialize)]
struct Event<T> {
    #[serde(rename = "type")]
    event_type: &'static str,
    data: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointData<'a> {
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_uid: Option<&'a str>,
    endpoint_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DisabledReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageData<'a> {
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_uid: Option<&'a str>,
    msg_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg_event_id: Option<&'a str>,
    endpoint_id: String,
    last_attempt: AttemptData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptData {
    id: String,
    response_status_code: u16,
    timestamp: String,
}

/// An attempt as an event tells it.
#[derive(Debug, Clone, Copy)]
pub struct LastAttempt {
    /// Its id.
    pub id: Id,
    /// The status code; 0 where no answer came.
    pub status: u16,
    /// When it began.
    pub at: UnixMs,
}

/// The payload that tells what happened to an endpoint.
pub fn endpoint_event(what: Happening, app: &Application, endpoint: &Endpoint) -> Vec<u8> {
    let reason = match what {
        Happening::EndpointDisabled(reason) => Some(reason),
        _ => None,
    };
    let tells_since = matches!(what, Happening::EndpointDisabled(_) | Happening::EndpointFailing(_));
    let data = EndpointData {
        app_id: app.id.format(IdKind::Application),
        app_uid: app.uid.as_deref(),
        endpoint_id: endpoint.id.format(IdKind::Endpoint),
        endpoint_uid: endpoint.uid.as_deref(),
        fail_since: endpoint.failing.filter(|_| tells_since).map(|failing| rfc3339(failing.since)),
        trigger: reason.map(|reason| if reason == DisabledReason::Manual { "manual" } else { "automatic" }),
        reason,
        warning: match what {
            Happening::EndpointFailing(number) => Some(number),
            _ => None,
        },
    };
    json(&Event { event_type: what.event_type(), data })
}

/// The payload that tells what happened to a delivery.
pub fn message_event(
    what: MessageHappening,
    app: &Application,
    endpoint: Id,
    message: (Id, Option<&str>),
    last: LastAttempt,
) -> Vec<u8> {
    let data = MessageData {
        app_id: app.id.format(IdKind::Application),
        app_uid: app.uid.as_deref(),
        msg_id: message.0.format(IdKind::Message),
        msg_event_id: message.1,
        endpoint_id: endpoint.format(IdKind::Endpoint),
        last_attempt: AttemptData {
            id: last.id.format(IdKind::Attempt),
            response_status_code: last.status,
            timestamp: rfc3339(last.at),
        },
    };
    json(&Event { event_type: what.event_type(), data })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Structs of strings and numbers: serialising them cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}
