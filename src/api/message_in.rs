//! Bodies that publish a message.

use std::borrow::Cow;

use bytes::Bytes;

use super::application;
use super::error::{ApiError, Kind};
use super::json::{Fields, Given, Null};
use super::time;
use super::validate;
use crate::model::{ApplicationSpec, Envelope, UnixMs};

pub(super) const FIELDS: [&str; 10] = [
    "eventType",
    "payload",
    "eventId",
    "channels",
    "tags",
    "deliverAt",
    "payloadRetentionPeriod",
    "payloadRetentionHours",
    "transformationsParams",
    "application",
];
pub(super) const CHANNELS_MAX: usize = 10;
pub(super) const TAGS_MAX: usize = 5;
/// How far ahead `deliverAt` may be.
const DELIVER_AT_MS_MAX: i64 = 90 * 86_400_000;
pub(super) const RETENTION_HOURS_MAX: u16 = 2_160;
pub(super) const RETENTION_DAYS_MAX: u16 = 90;
const CONTENT_TYPE_BYTES_MAX: usize = 256;
type Reader<'a> = Fields<'a, { FIELDS.len() }>;

/// A message as it came.
pub(super) struct MessageIn {
    pub(super) envelope: Envelope,
    pub(super) payload: Bytes,
    /// Days that its bytes are kept, if it says so.
    pub(super) payload_days: Option<u16>,
    /// An application to be made if it is not there.
    pub(super) application: Option<ApplicationSpec>,
}

/// Reads a message. `payload` is exactly the bytes between its braces as they stand in `body`.
/// `named` is the name of the application where it is not there yet.
pub(super) fn read(body: &Bytes, depth_max: usize, now: UnixMs, named: Option<&str>) -> Result<MessageIn, ApiError> {
    let mut fields: Reader<'_> = Fields::parse(body, &FIELDS, depth_max)?;
    let event_type = fields.text("eventType", Null::Refused, |text| validate::EVENT_TYPE.check(text));
    let event_type = fields.require("eventType", event_type);
    let payload = fields.raw("payload", Null::Refused);
    let payload = fields.require("payload", payload);
    if payload.is_some_and(|payload| !payload.get().starts_with('{')) {
        fields.problem("payload", "must be an object", Kind::Type);
    }
    let event_id = fields.text("eventId", Null::Taken, |text| validate::UID.check(text)).value();
    let channels = fields.texts("channels", (1, CHANNELS_MAX), Null::Taken, &validate::CHANNEL).value();
    let tags = fields.texts("tags", (0, TAGS_MAX), Null::Taken, &validate::TAG).value();
    let deliver_at = deliver_at(&mut fields, now);
    let payload_days = payload_days(&mut fields);
    let raw = raw_payload(&mut fields);
    let application = match fields.raw("application", Null::Taken) {
        Given::Value(raw) => application::read_inline(raw, named, &mut fields, "application"),
        Given::Null | Given::Absent => None,
    };
    fields.finish()?;
    let (payload, content_type) = match raw {
        Some((text, content_type)) => (Bytes::from(text), Some(content_type)),
        None => (payload.map(|payload| body.slice_ref(payload.get().as_bytes())).unwrap_or_default(), None),
    };
    let envelope = Envelope {
        event_type: event_type.unwrap_or_default(),
        event_id,
        channels: channels.unwrap_or_default(),
        tags: tags.unwrap_or_default(),
        deliver_at,
        content_type,
    };
    Ok(MessageIn { envelope, payload, payload_days, application })
}

/// The past means now.
fn deliver_at(fields: &mut Reader<'_>, now: UnixMs) -> Option<UnixMs> {
    let expected = "must be a time of RFC 3339 such as 2030-01-31T08:00:00Z";
    let text = fields.read("deliverAt", Null::Taken, expected, |_: &Cow<'_, str>| Ok(())).value()?;
    match time::parse(&text) {
        None => fields.problem("deliverAt", expected, Kind::Value),
        Some(at) if at > now + DELIVER_AT_MS_MAX => {
            fields.problem("deliverAt", "must be at most 90 days ahead", Kind::Value);
        }
        Some(at) => return Some(at).filter(|at| *at > now),
    }
    None
}

/// Hours, where they are given, come before days, and are rounded up to days.
fn payload_days(fields: &mut Reader<'_>) -> Option<u16> {
    let days =
        fields.number("payloadRetentionPeriod", Null::Taken, (1, RETENTION_DAYS_MAX), "must be a number from 1 to 90");
    let hours = fields.number(
        "payloadRetentionHours",
        Null::Taken,
        (1, RETENTION_HOURS_MAX),
        "must be a number from 1 to 2160",
    );
    hours.value().map(|hours| hours.div_ceil(24)).or(days.value())
}

/// What the SDKs' raw messages say under `transformationsParams`: the bytes as a text, and their
/// media type. Whatever else is there is for transformations.
fn raw_payload(fields: &mut Reader<'_>) -> Option<(String, String)> {
    const NAME: &str = "transformationsParams";
    let Given::Value(params) = fields.raw(NAME, Null::Taken) else { return None };
    let Ok(mut params) = Fields::parse(params.get().as_bytes(), &["rawPayload", "headers"], usize::MAX) else {
        fields.problem(NAME, "must be an object", Kind::Type);
        return None;
    };
    let text = match params.raw("rawPayload", Null::Taken) {
        Given::Value(raw) => serde_json::from_str::<String>(raw.get()),
        Given::Null | Given::Absent => return None,
    };
    let Ok(text) = text else {
        fields.problem_in(NAME, "rawPayload".into(), "must be a string");
        return None;
    };
    let headers = params.map("headers", Null::Taken).value().unwrap_or_default();
    if params.finish().is_err() {
        fields.problem_in(NAME, "headers".into(), "must be an object of strings");
        return None;
    }
    let found = headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = found.map_or_else(|| "application/json".to_owned(), |(_, value)| value);
    let right = (1..=CONTENT_TYPE_BYTES_MAX).contains(&content_type.len());
    if !right || !content_type.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        fields.problem_in(NAME, "headers".into(), "content-type must have 1 to 256 visible ASCII characters");
        return None;
    }
    Some((text, content_type))
}
