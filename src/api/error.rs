//! What goes wrong, as the API says it: a closed set of codes.

use std::borrow::Cow;

use axum::body::Body;
use http::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer;
use crate::accept::NotAccepted;
use crate::accept::limited::BodyError;
use crate::accept::quota::QuotaExceeded;
use crate::store::ReadError;
use crate::store::command::Refusal;
use crate::store::journal::NotTaken;

/// All codes, each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The head says both `Content-Length` and `Transfer-Encoding`.
    AmbiguousLength,
    /// More than 64 headers.
    TooManyHeaders,
    /// The body is not JSON, or not whole.
    InvalidJson,
    /// The endpoint of a resend is disabled.
    EndpointDisabled,
    /// No key, or one that opens nothing.
    AuthenticationFailed,
    /// The key is good, and does not open this.
    PermissionDenied,
    /// What the path names is not there.
    NotFound,
    /// The path is known, the method is not.
    MethodNotAllowed,
    /// The body came too slowly.
    RequestTimeout,
    /// The body is compressed.
    UnsupportedEncoding,
    /// A uid, a name or an event type is taken.
    Conflict,
    /// A message with this `eventId` is stored.
    EventExists,
    /// The idempotency key was used with another body.
    IdempotencyConflict,
    /// The application has as many endpoints as it may.
    TooManyEndpoints,
    /// The environment has as many sources as it may.
    TooManySources,
    /// The endpoint has as many headers as it may, or as long ones.
    TooManyEndpointHeaders,
    /// The bytes of the message have expired or were deleted: there is nothing to send.
    ContentExpired,
    /// The environment has as many unfinished background tasks as it may.
    TooManyTasks,
    /// The body is longer than `limits.body_bytes_max`.
    PayloadTooLarge,
    /// The key made more requests than `limits.requests_per_second_per_key`.
    RateLimited,
    /// An operation of hosted services.
    NotImplemented,
    /// Too many bodies are being read.
    TooBusy,
    /// Too much waits for the journal.
    JournalFull,
    /// The disk is full.
    StorageFull,
    /// The store failed; whether the change is stored is not known.
    StorageFailed,
    /// The server takes nothing now.
    Unavailable,
}

impl Code {
    /// Every one of them: what the documentation lists.
    pub(super) const ALL: [Self; 26] = [
        Self::AmbiguousLength,
        Self::TooManyHeaders,
        Self::InvalidJson,
        Self::EndpointDisabled,
        Self::AuthenticationFailed,
        Self::PermissionDenied,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::UnsupportedEncoding,
        Self::Conflict,
        Self::EventExists,
        Self::IdempotencyConflict,
        Self::TooManyEndpoints,
        Self::TooManySources,
        Self::TooManyEndpointHeaders,
        Self::ContentExpired,
        Self::TooManyTasks,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::NotImplemented,
        Self::TooBusy,
        Self::JournalFull,
        Self::StorageFull,
        Self::StorageFailed,
        Self::Unavailable,
    ];

    /// Its name on the wire.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AmbiguousLength => "ambiguous_length",
            Self::TooManyHeaders => "too_many_headers",
            Self::InvalidJson => "invalid_json",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::AuthenticationFailed => "authentication_failed",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Conflict => "conflict",
            Self::EventExists => "event_exists",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::TooManyEndpoints => "too_many_endpoints",
            Self::TooManySources => "too_many_sources",
            Self::TooManyEndpointHeaders => "too_many_endpoint_headers",
            Self::ContentExpired => "content_expired",
            Self::TooManyTasks => "too_many_tasks",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::NotImplemented => "not_implemented",
            Self::TooBusy => "too_busy",
            Self::JournalFull => "journal_full",
            Self::StorageFull => "storage_full",
            Self::StorageFailed => "storage_failed",
            Self::Unavailable => "unavailable",
        }
    }

    /// Its status.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::AmbiguousLength | Self::InvalidJson | Self::EndpointDisabled => StatusCode::BAD_REQUEST,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::AuthenticationFailed => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict
            | Self::EventExists
            | Self::IdempotencyConflict
            | Self::ContentExpired
            | Self::TooManyEndpoints
            | Self::TooManySources
            | Self::TooManyEndpointHeaders => StatusCode::CONFLICT,
            Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyTasks | Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::TooBusy | Self::JournalFull | Self::StorageFull | Self::StorageFailed | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// Where: `body`, `query`, `path` or `header`, and the field as the API spells it.
    pub(super) loc: Vec<Cow<'static, str>>,
    /// What is expected.
    pub(super) msg: Cow<'static, str>,
    /// Of what kind it is.
    #[serde(rename = "type")]
    pub(super) kind: Kind,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Kind {
    /// It is not there.
    #[serde(rename = "value_error.missing")]
    Missing,
    /// It is there twice.
    #[serde(rename = "value_error.duplicate")]
    Duplicate,
    /// It is of another type.
    #[serde(rename = "type_error")]
    Type,
    /// It names what is known and cannot be confirmed: a source type whose scheme nobody could tell.
    #[serde(rename = "value_error.unconfirmed")]
    Unconfirmed,
    /// It is out of bounds.
    #[serde(rename = "value_error")]
    Value,
}

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum ApiError {
    /// 422: what is wrong with it.
    Invalid(Vec<Problem>),
    /// Anything else.
    Coded(Code, Cow<'static, str>),
    /// The methods that the path has.
    Method(String),
}

impl ApiError {
    /// One problem.
    pub(super) fn invalid(
        place: &'static str,
        field: impl Into<Cow<'static, str>>,
        msg: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> Self {
        Self::Invalid(vec![Problem { loc: vec![place.into(), field.into()], msg: msg.into(), kind }])
    }

    /// What the path names is not there.
    pub(super) const fn not_found() -> Self {
        Self::Coded(Code::NotFound, Cow::Borrowed("Not found"))
    }

    /// The operation is one of hosted services.
    pub(super) const fn not_implemented(detail: &'static str) -> Self {
        Self::Coded(Code::NotImplemented, Cow::Borrowed(detail))
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Response<Body> {
        #[derive(Serialize)]
        struct Coded<'a> {
            code: &'static str,
            detail: &'a str,
        }
        #[derive(Serialize)]
        struct Invalid {
            detail: Vec<Problem>,
        }
        let (code, detail, allow) = match self {
            Self::Invalid(detail) => {
                return answer::json(StatusCode::UNPROCESSABLE_ENTITY, &Invalid { detail });
            }
            Self::Coded(code, detail) => (code, detail, None),
            Self::Method(allow) => {
                (Code::MethodNotAllowed, Cow::Borrowed("The path does not have this method"), Some(allow))
            }
        };
        let mut answer = answer::json(code.status(), &Coded { code: code.as_str(), detail: &detail });
        if let Some(allow) = allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        let header: Option<(HeaderName, &'static str)> = match code {
            Code::AuthenticationFailed => Some((WWW_AUTHENTICATE, "Bearer")),
            Code::RequestTimeout | Code::PayloadTooLarge => Some((CONNECTION, "close")),
            Code::TooManyTasks => Some((RETRY_AFTER, "10")),
            // A bucket of requests fills within a second.
            Code::RateLimited => Some((RETRY_AFTER, "1")),
            _ if code.status() == StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = header {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge(_) => Code::PayloadTooLarge,
            BodyError::TooSlow => Code::RequestTimeout,
            BodyError::Busy => Code::TooBusy,
            BodyError::Broken => Code::InvalidJson,
        };
        Self::Coded(code, error.to_string().into())
    }
}

impl From<QuotaExceeded> for ApiError {
    fn from(error: QuotaExceeded) -> Self {
        Self::Coded(Code::RateLimited, error.to_string().into())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound => Code::NotFound,
            Refusal::LastEnvironment
            | Refusal::EnvironmentInUse
            | Refusal::Exists
            | Refusal::HasKey
            | Refusal::Ticked
            | Refusal::ApplicationShared => Code::Conflict,
            Refusal::EventIdExists => Code::EventExists,
            Refusal::IdempotencyMismatch => Code::IdempotencyConflict,
            Refusal::TooManyEndpoints => Code::TooManyEndpoints,
            Refusal::ContentGone => Code::ContentExpired,
            Refusal::TooManyTasks => Code::TooManyTasks,
            Refusal::TooManySources => Code::TooManySources,
            Refusal::EndpointDisabled => Code::EndpointDisabled,
            Refusal::TooManyHeaders => Code::TooManyEndpointHeaders,
            Refusal::Full => Code::StorageFull,
            Refusal::Away => Code::Unavailable,
            Refusal::Failed | Refusal::Fenced => Code::StorageFailed,
        };
        Self::Coded(code, refusal.to_string().into())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        tracing::warn!(%error, "a read of the store for the API failed");
        Self::Coded(Code::Unavailable, "the store could not be read".into())
    }
}

impl From<NotAccepted> for ApiError {
    fn from(error: NotAccepted) -> Self {
        match error {
            NotAccepted::Refused(refusal) => refusal.into(),
            NotAccepted::NotTaken(NotTaken::Full) => Self::Coded(Code::JournalFull, "too much waits".into()),
            NotAccepted::NotTaken(NotTaken::Closed) => {
                Self::Coded(Code::Unavailable, "the server takes nothing now".into())
            }
            NotAccepted::Closed(why) => Self::Coded(Code::Unavailable, why.into()),
            NotAccepted::Read(error) => error.into(),
        }
    }
}
