//! Changes of single fields. They travel as patches and are applied by the writer, so that two of
//! different fields lose nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::{
    Application, ApplicationSpec, Dedupe, DisabledReason, Endpoint, EndpointSpec, EnvSettings, EventTypeSpec, Id, Look,
    Metadata, Source, SourceAnswer, SourceSync,
};

/// What a `PUT` names: an id, or a uid that may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By id; must exist.
    Id(Id),
    /// By uid.
    Uid(String),
}

impl Target {
    /// What a `PUT` makes of an application that is there.
    pub fn put_application(&self, app: &mut Application, uid: Option<&str>, spec: &ApplicationSpec) {
        app.spec = spec.clone();
        self.put_uid(&mut app.uid, uid);
    }

    /// What a `PUT` makes of an endpoint that is there: its headers stay, and the reason why it is disabled.
    pub fn put_endpoint(&self, endpoint: &mut Endpoint, uid: Option<&str>, spec: &EndpointSpec) {
        let before = std::mem::replace(&mut endpoint.spec, spec.clone());
        endpoint.spec.headers = before.headers;
        if let (Some(_), Some(reason)) = (endpoint.spec.disabled, before.disabled) {
            endpoint.spec.disabled = Some(reason);
        }
        forget_failing(endpoint, &before.url, before.disabled);
        self.put_uid(&mut endpoint.uid, uid);
    }

    /// A body without uid keeps the one that the path names.
    fn put_uid(&self, stored: &mut Option<String>, uid: Option<&str>) {
        match (uid, self) {
            (None, Self::Uid(_)) => {}
            _ => *stored = uid.map(str::to_owned),
        }
    }
}

/// A field of a patch: left alone, or set (to nothing, where the field is optional).
pub type Field<T> = Option<T>;

/// A `PATCH` of an application. It travels as a patch, so that two of different fields lose nothing.
#[derive(Debug, Clone, Default)]
pub struct ApplicationPatch {
    /// The name.
    pub name: Field<String>,
    /// The uid.
    pub uid: Field<Option<String>>,
    /// The rate over all endpoints.
    pub throttle_rate: Field<Option<u16>>,
    /// Free text.
    pub metadata: Field<Metadata>,
}

impl ApplicationPatch {
    /// Sets what it names.
    pub fn apply(&self, app: &mut Application) {
        set(&mut app.spec.name, self.name.as_ref());
        set(&mut app.uid, self.uid.as_ref());
        set(&mut app.spec.throttle_rate, self.throttle_rate.as_ref());
        set(&mut app.spec.metadata, self.metadata.as_ref());
    }
}

/// A `PATCH` of an endpoint.
#[derive(Debug, Clone, Default)]
pub struct EndpointPatch {
    /// Where to.
    pub url: Field<String>,
    /// Free text.
    pub description: Field<String>,
    /// The uid.
    pub uid: Field<Option<String>>,
    /// Attempts per second.
    pub throttle_rate: Field<Option<u16>>,
    /// Whether it is disabled.
    pub disabled: Field<bool>,
    /// Which event types.
    pub event_types: Field<Option<Vec<String>>>,
    /// Which channels.
    pub channels: Field<Option<Vec<String>>>,
    /// Free text by name.
    pub metadata: Field<Metadata>,
    /// Seconds before each retry.
    pub retry_schedule: Field<Option<Vec<u32>>>,
}

impl EndpointPatch {
    /// Sets what it names.
    pub fn apply(&self, endpoint: &mut Endpoint) {
        let spec = &mut endpoint.spec;
        set(&mut spec.description, self.description.as_ref());
        set(&mut endpoint.uid, self.uid.as_ref());
        set(&mut spec.throttle_rate, self.throttle_rate.as_ref());
        set(&mut spec.event_types, self.event_types.as_ref());
        set(&mut spec.channels, self.channels.as_ref());
        set(&mut spec.metadata, self.metadata.as_ref());
        set(&mut spec.retry_schedule, self.retry_schedule.as_ref());
        let (url_before, disabled_before) = (self.url.as_ref().map(|_| spec.url.clone()), spec.disabled);
        set(&mut spec.url, self.url.as_ref());
        if let Some(disabled) = self.disabled {
            spec.disabled = disabled.then(|| spec.disabled.unwrap_or(DisabledReason::Manual));
        }
        let url_before = url_before.unwrap_or_else(|| endpoint.spec.url.clone());
        forget_failing(endpoint, &url_before, disabled_before);
    }
}

/// A change of a source; of a `PUT` with all fields.
#[derive(Debug, Clone, Default)]
pub struct SourcePatch {
    /// The name.
    pub name: Field<String>,
    /// The uid.
    pub uid: Field<Option<String>>,
    /// The owner's own notes.
    pub metadata: Field<Metadata>,
    /// The type with its configuration, which belong together.
    pub type_and_config: Field<(String, Map<String, Value>)>,
    /// The configuration names a secret, if only to take it away: the key that a handshake brought goes.
    pub forgets_key: bool,
    /// How duplicates are told.
    pub dedupe: Field<Dedupe>,
    /// What senders are answered.
    pub answer: Field<Option<SourceAnswer>>,
    /// Whether senders wait for an endpoint.
    pub sync: Field<Option<SourceSync>>,
    /// Networks that may send.
    pub allowed_networks: Field<Vec<ipnet::IpNet>>,
    /// Requests a second.
    pub requests_per_second: Field<Option<u32>>,
    /// Whether path and query go on.
    pub forward_path: Field<bool>,
}

impl SourcePatch {
    /// Sets what it names. Another type, or a secret, forgets the key that a handshake brought.
    pub fn apply(&self, source: &mut Source) {
        let spec = &mut source.spec;
        set(&mut spec.name, self.name.as_ref());
        set(&mut source.uid, self.uid.as_ref());
        set(&mut spec.metadata, self.metadata.as_ref());
        if let Some((source_type, config)) = &self.type_and_config {
            if self.forgets_key || spec.source_type != *source_type {
                source.secret.learned = None;
            }
            spec.source_type.clone_from(source_type);
            source.secret.config.clone_from(config);
        }
        set(&mut spec.dedupe, self.dedupe.as_ref());
        set(&mut spec.answer, self.answer.as_ref());
        set(&mut spec.sync, self.sync.as_ref());
        set(&mut spec.allowed_networks, self.allowed_networks.as_ref());
        set(&mut spec.requests_per_second, self.requests_per_second.as_ref());
        set(&mut spec.forward_path, self.forward_path.as_ref());
    }
}

/// An endpoint that is enabled, or that goes elsewhere, begins anew.
fn forget_failing(endpoint: &mut Endpoint, url_before: &str, disabled_before: Option<DisabledReason>) {
    let is_enabled = disabled_before.is_some() && endpoint.spec.disabled.is_none();
    if is_enabled || endpoint.spec.url != url_before {
        endpoint.failing = None;
    }
}

/// A `PATCH` of an event type.
#[derive(Debug, Clone, Default)]
pub struct EventTypePatch {
    /// What it means.
    pub description: Field<String>,
    /// Left out of lists.
    pub archived: Field<bool>,
    /// No longer to be used.
    pub deprecated: Field<bool>,
    /// JSON Schemas by version.
    pub schemas: Field<Option<serde_json::Value>>,
    /// The group that it is shown in.
    pub group_name: Field<Option<String>>,
    /// Shown only to customers with one of these.
    pub feature_flags: Field<Option<Vec<String>>>,
    /// Seconds before each retry.
    pub retry_schedule: Field<Option<Vec<u32>>>,
}

impl EventTypePatch {
    /// Sets what it names.
    pub fn apply(&self, spec: &mut EventTypeSpec) {
        set(&mut spec.description, self.description.as_ref());
        set(&mut spec.archived, self.archived.as_ref());
        set(&mut spec.deprecated, self.deprecated.as_ref());
        set(&mut spec.schemas, self.schemas.as_ref());
        set(&mut spec.group_name, self.group_name.as_ref());
        set(&mut spec.feature_flags, self.feature_flags.as_ref());
        set(&mut spec.retry_schedule, self.retry_schedule.as_ref());
    }
}

/// A `PATCH` of an environment's settings.
#[derive(Debug, Clone, Default)]
pub struct SettingsPatch {
    /// Seconds before each retry.
    pub retry_policy: Field<Option<Vec<u32>>>,
    /// Headers begin with `webhook-`.
    pub whitelabel_headers: Field<bool>,
    /// Headers are sent under both names.
    pub send_svix_webhook_headers: Field<bool>,
    /// How the portal looks.
    pub look: LookPatch,
}

/// A change of how the portal looks.
#[derive(Debug, Clone, Default)]
pub struct LookPatch {
    /// The name that is shown.
    pub display_name: Field<Option<String>>,
    /// The URL of a picture.
    pub logo_url: Field<Option<String>>,
    /// The main colour.
    pub color: Field<Option<String>>,
    /// The family of the font.
    pub font_family: Field<Option<String>>,
    /// How round corners are.
    pub border_radius: Field<Option<BTreeMap<String, String>>>,
    /// Colours in light surroundings.
    pub palette_light: Field<Option<BTreeMap<String, String>>>,
    /// Colours in dark surroundings.
    pub palette_dark: Field<Option<BTreeMap<String, String>>>,
    /// Portal tokens change nothing.
    pub read_only: Field<bool>,
}

impl LookPatch {
    /// Sets what it names.
    fn apply(&self, look: &mut Look) {
        set(&mut look.display_name, self.display_name.as_ref());
        set(&mut look.logo_url, self.logo_url.as_ref());
        set(&mut look.color, self.color.as_ref());
        set(&mut look.font_family, self.font_family.as_ref());
        set(&mut look.border_radius, self.border_radius.as_ref());
        set(&mut look.palette_light, self.palette_light.as_ref());
        set(&mut look.palette_dark, self.palette_dark.as_ref());
        set(&mut look.read_only, self.read_only.as_ref());
    }
}

impl SettingsPatch {
    /// Sets what it names.
    pub fn apply(&self, settings: &mut EnvSettings) {
        set(&mut settings.retry_policy, self.retry_policy.as_ref());
        set(&mut settings.whitelabel_headers, self.whitelabel_headers.as_ref());
        set(&mut settings.send_svix_webhook_headers, self.send_svix_webhook_headers.as_ref());
        self.look.apply(&mut settings.look);
    }
}

/// A change of an endpoint's headers. Names are compared without regard to case.
#[derive(Debug, Clone, Default)]
pub struct HeadersPatch {
    /// Those that were there go.
    pub replace: bool,
    /// Set to this; none removes.
    pub set: BTreeMap<String, Option<String>>,
}

/// Headers and their bytes that an endpoint can have.
pub const HEADERS_MAX: usize = 64;
/// Bytes of their names and values.
pub const HEADER_BYTES_MAX: usize = 16 << 10;

impl HeadersPatch {
    /// Sets what it names; false if there were too many then.
    pub fn apply(&self, headers: &mut BTreeMap<String, String>) -> bool {
        if self.replace {
            headers.clear();
        }
        for (name, value) in &self.set {
            headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
            if let Some(value) = value {
                headers.insert(name.clone(), value.clone());
            }
        }
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        headers.len() <= HEADERS_MAX && bytes <= HEADER_BYTES_MAX
    }
}

fn set<T: Clone>(field: &mut T, patch: Option<&T>) {
    if let Some(value) = patch {
        field.clone_from(value);
    }
}
