//! Bodies that make or change an endpoint.

use std::collections::BTreeMap;

use posthouse_signature::standard::SigningKey;
use url::Url;

use super::error::{ApiError, Kind};
use super::headers;
use super::json::{Fields, Given, Null};
use super::validate;
use crate::deliver::AddressGuard;
use crate::model::url::unmasked;
use crate::model::{DisabledReason, Endpoint, EndpointSpec, IdKind, SecretBytes};
use crate::store::command::EndpointPatch;

pub(super) const FIELDS: [&str; 11] = [
    "url",
    "description",
    "throttleRate",
    "uid",
    "disabled",
    "eventTypes",
    "channels",
    "secret",
    "metadata",
    "headers",
    "retrySchedule",
];
pub(super) const URL_BYTES_MAX: usize = 65_536;
/// Event types that one endpoint can name, and their bytes together; the contract sets no bound.
pub(super) const EVENT_TYPES_MAX: usize = 2_000;
pub(super) const EVENT_TYPES_BYTES_MAX: usize = 32 * 1024;
pub(super) const CHANNELS_MAX: usize = 10;
pub(super) const RETRIES_MAX: usize = 50;
pub(super) const RETRY_S_MAX: u32 = 2_592_000;
/// Bytes of a secret that we draw.
const SECRET_BYTES: usize = 24;
/// An endpoint as it is to be made, or to be from now on.
pub(super) struct EndpointIn {
    pub(super) uid: Option<String>,
    pub(super) spec: EndpointSpec,
    pub(super) secret: SecretBytes,
}

type Reader<'a> = Fields<'a, { FIELDS.len() }>;

/// Reads a whole endpoint. Secret and headers are taken where it is made, and nowhere else. A retry
/// schedule, of which no SDK knows, stays as it is unless it is given.
pub(super) fn read(
    body: &[u8],
    depth_max: usize,
    guard: &AddressGuard,
    creates: bool,
    existing: Option<&Endpoint>,
) -> Result<EndpointIn, ApiError> {
    let mut fields: Reader<'_> = Fields::parse(body, &FIELDS, depth_max)?;
    let url = url(&mut fields, guard, existing);
    let url = fields.require("url", url).unwrap_or_default();
    let uid = fields.text("uid", Null::Taken, |text| validate::uid(IdKind::Endpoint, text)).value();
    let rate = fields.number("throttleRate", Null::Taken, (1, u16::MAX), "must be a number from 1 to 65535");
    let spec = EndpointSpec {
        url,
        description: fields.text("description", Null::Refused, validate::description).value().unwrap_or_default(),
        throttle_rate: rate.value(),
        disabled: fields.boolean("disabled").value().and_then(|yes| yes.then_some(DisabledReason::Manual)),
        event_types: event_types(&mut fields, 1).value(),
        channels: channels(&mut fields, 1).value(),
        metadata: fields.map("metadata", Null::Refused).value().unwrap_or_default(),
        headers: if creates { headers(&mut fields) } else { BTreeMap::new() },
        retry_schedule: match retry_schedule(&mut fields) {
            Given::Absent => existing.and_then(|endpoint| endpoint.spec.retry_schedule.clone()),
            given => given.value(),
        },
    };
    let given = if creates { secret(&mut fields, "secret") } else { None };
    fields.finish()?;
    Ok(EndpointIn { uid, spec, secret: given.unwrap_or_else(new_secret) })
}

/// Reads a patch: what is not there stays as it is. An empty list means no filter, as `null` does.
pub(super) fn read_patch(
    body: &[u8],
    depth_max: usize,
    guard: &AddressGuard,
    existing: Option<&Endpoint>,
) -> Result<EndpointPatch, ApiError> {
    let mut fields: Reader<'_> = Fields::parse(body, &FIELDS, depth_max)?;
    let rate = fields.number("throttleRate", Null::Taken, (0, u16::MAX), "must be a number from 0 to 65535");
    let filled = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
    let patch = EndpointPatch {
        url: url(&mut fields, guard, existing).value(),
        description: fields.text("description", Null::Refused, validate::description).value(),
        uid: fields.text("uid", Null::Taken, |text| validate::uid(IdKind::Endpoint, text)).patch(),
        throttle_rate: rate.patch().map(|rate| rate.filter(|rate| *rate > 0)),
        disabled: fields.boolean("disabled").value(),
        event_types: event_types(&mut fields, 0).patch().map(filled),
        channels: channels(&mut fields, 0).patch().map(filled),
        metadata: fields.map("metadata", Null::Refused).value(),
        retry_schedule: retry_schedule(&mut fields).patch(),
    };
    fields.finish()?;
    Ok(patch)
}

/// The URL, as the parser writes it. One that came out of an answer, with its password masked,
/// keeps the password that it had, as long as it leads to the same place.
pub(super) fn url<const N: usize>(
    fields: &mut Fields<'_, N>,
    guard: &AddressGuard,
    existing: Option<&Endpoint>,
) -> Given<String> {
    let given = fields.text("url", Null::Refused, |text| {
        if (1..=URL_BYTES_MAX).contains(&text.len()) { Ok(()) } else { Err("must have 1 to 65536 bytes") }
    });
    let Given::Value(text) = given else { return given };
    let Ok(url) = Url::parse(&text) else {
        fields.problem("url", "must be a URL", Kind::Value);
        return Given::Absent;
    };
    if let Err(refused) = guard.check_url(&url) {
        fields.problem("url", refused.to_string(), Kind::Value);
        return Given::Absent;
    }
    if url.as_str().len() > URL_BYTES_MAX {
        fields.problem("url", "must have 1 to 65536 bytes", Kind::Value);
        return Given::Absent;
    }
    let Some(url) = unmasked(url, existing.map(|endpoint| endpoint.spec.url.as_str())) else {
        fields.problem("url", "has a masked password: give the password itself", Kind::Value);
        return Given::Absent;
    };
    Given::Value(url.into())
}

fn event_types(fields: &mut Reader<'_>, items_min: usize) -> Given<Vec<String>> {
    let given = fields.texts("eventTypes", (items_min, EVENT_TYPES_MAX), Null::Taken, &validate::EVENT_TYPE);
    match given {
        Given::Value(names) if names.iter().map(String::len).sum::<usize>() > EVENT_TYPES_BYTES_MAX => {
            fields.problem("eventTypes", "is longer than 32768 bytes", Kind::Value);
            Given::Absent
        }
        given => given,
    }
}

fn channels(fields: &mut Reader<'_>, items_min: usize) -> Given<Vec<String>> {
    fields.texts("channels", (items_min, CHANNELS_MAX), Null::Taken, &validate::CHANNEL)
}

fn retry_schedule(fields: &mut Reader<'_>) -> Given<Vec<u32>> {
    fields.read("retrySchedule", Null::Taken, "must be an array of seconds", |schedule: &Vec<u32>| {
        check_schedule(schedule)
    })
}

/// Whether this can be a retry schedule.
pub(super) fn check_schedule(schedule: &[u32]) -> Result<(), &'static str> {
    if schedule.len() > RETRIES_MAX {
        Err("has more than 50 items")
    } else if schedule.iter().all(|seconds| (1..=RETRY_S_MAX).contains(seconds)) {
        Ok(())
    } else {
        Err("each must be from 1 to 2592000 seconds")
    }
}

fn headers(fields: &mut Reader<'_>) -> BTreeMap<String, String> {
    let headers = fields.map("headers", Null::Taken).value().unwrap_or_default();
    headers::check(fields, &headers);
    headers
}

/// A secret that signs, in the stored form.
pub(super) fn secret<const N: usize>(fields: &mut Fields<'_, N>, name: &'static str) -> Option<SecretBytes> {
    let text = fields.text(name, Null::Taken, |_| Ok(())).value()?;
    match SigningKey::parse(&text) {
        Ok(key) => Some(SecretBytes::new(key.to_stored())),
        Err(error) => {
            fields.problem(name, error.to_string(), Kind::Value);
            None
        }
    }
}

/// A secret of our drawing.
pub(super) fn new_secret() -> SecretBytes {
    SecretBytes::new(rand::random::<[u8; SECRET_BYTES]>().into())
}
