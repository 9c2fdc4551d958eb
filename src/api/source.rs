//! Sources: create, get, list, patch, put, delete, a new token, their log, and the types that there are.

use axum::body::Body;
use http::{Response, StatusCode};
use posthouse_signature::receive::{self, SetupError, Verifier};
use rand::distr::{Alphanumeric, SampleString as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer;
use super::call::{Call, endpoint_named};
use super::change::{self, Rendered};
use super::error::{ApiError, Code, Kind};
use super::json::{Fields, Given, Null};
use super::page::{self, PageQuery};
use super::time::Time;
use super::validate;
use crate::accept::Gateway;
use crate::model::cron::{self, Schedule};
use crate::model::source::{DEDUPE_WINDOW_S, DEDUPE_WINDOW_S_DEFAULT, SYNC_TIMEOUT_MS, SYNC_TIMEOUT_MS_DEFAULT};
use crate::model::{
    AppKey, Dedupe, DedupeBy, Id, IdKind, Metadata, Source, SourceAnswer, SourceSecret, SourceSpec, SourceSync,
};
use crate::store::command::{Change, Changed, Field, SourcePatch};
use crate::store::query::Order;

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 12] = [
    "name",
    "uid",
    "metadata",
    "type",
    "config",
    "appId",
    "dedupe",
    "answer",
    "sync",
    "allowedNetworks",
    "requestsPerSecond",
    "forwardPath",
];
/// Characters of a token: 190 random bits.
pub(super) const TOKEN_CHARACTERS: usize = 32;
/// How long a token goes on opening beside its successor.
const TOKEN_GRACE_MS: i64 = 86_400_000;
/// Bytes of a configuration.
const CONFIG_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer of a source's own.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Networks of a source.
const NETWORKS_MAX: usize = 1_000;
/// Values that duplicates are told by.
const DEDUPE_FIELDS_MAX: usize = 10;
/// Requests a second.
const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;

/// How duplicates are told, as the API has it. An addition of this server.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DedupeDto {
    /// By the provider's event id, all bytes of the body, chosen fields, or not at all.
    by: DedupeWord,
    /// Headers (`header:Name`) and JSON pointers into the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    /// Seconds in which a second one is a duplicate.
    #[serde(default = "default_window")]
    #[schemars(range(min = 60, max = 604_800))]
    window_seconds: u32,
}

/// What makes two requests the same.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DedupeWord {
    /// The provider's event id.
    Provider,
    /// The body.
    Content,
    /// Chosen fields.
    Fields,
    /// Nothing.
    Off,
}

fn default_window() -> u32 {
    DEDUPE_WINDOW_S_DEFAULT
}

impl DedupeDto {
    fn of(dedupe: &Dedupe) -> Self {
        let (by, fields) = match &dedupe.by {
            DedupeBy::Provider => (DedupeWord::Provider, Vec::new()),
            DedupeBy::Content => (DedupeWord::Content, Vec::new()),
            DedupeBy::Fields(fields) => (DedupeWord::Fields, fields.clone()),
            DedupeBy::Off => (DedupeWord::Off, Vec::new()),
        };
        Self { by, fields, window_seconds: dedupe.window_s }
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_place = |place: &String| {
            place
                .strip_prefix("header:")
                .map_or(place.starts_with('/'), |name| validate::HEADER_NAME.check(name).is_ok())
        };
        if !DEDUPE_WINDOW_S.contains(&self.window_seconds) {
            Err("windowSeconds must be from 60 to 604800")
        } else if (self.by == DedupeWord::Fields) == self.fields.is_empty() {
            Err("fields must be given with `by: fields`, and only then")
        } else if self.fields.len() > DEDUPE_FIELDS_MAX || self.fields.iter().any(|place| place.len() > 256) {
            Err("fields must be at most 10 of at most 256 characters")
        } else if !self.fields.iter().all(is_place) {
            Err("fields must be `header:Name` or JSON pointers that begin with a slash")
        } else {
            Ok(())
        }
    }

    fn into_model(self) -> Dedupe {
        let by = match self.by {
            DedupeWord::Provider => DedupeBy::Provider,
            DedupeWord::Content => DedupeBy::Content,
            DedupeWord::Fields => DedupeBy::Fields(self.fields),
            DedupeWord::Off => DedupeBy::Off,
        };
        Dedupe { by, window_s: self.window_seconds }
    }
}

/// What a sender is answered, as the API has it. An addition of this server.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SourceAnswerDto {
    /// The status.
    #[schemars(range(min = 200, max = 299))]
    status: u16,
    /// The media type of the body.
    #[serde(default = "default_content_type")]
    content_type: String,
    /// The body.
    #[serde(default)]
    body: String,
}

fn default_content_type() -> String {
    "text/plain; charset=utf-8".to_owned()
}

impl SourceAnswerDto {
    fn check(&self) -> Result<(), &'static str> {
        if !(200..=299).contains(&self.status) {
            Err("status must be from 200 to 299")
        } else if self.body.len() > ANSWER_BYTES_MAX {
            Err("body must have at most 65536 bytes")
        } else if self.content_type.len() > 256 || http::HeaderValue::try_from(&self.content_type).is_err() {
            Err("contentType must be a media type")
        } else {
            Ok(())
        }
    }

    fn into_model(self) -> SourceAnswer {
        SourceAnswer { status: self.status, content_type: self.content_type, body: self.body }
    }
}

/// Whose first answer senders get, as the API has it. An addition of this server.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SourceSyncDto {
    /// An endpoint of the source's application, by id or uid.
    endpoint_id: String,
    /// Milliseconds that a sender waits at most; then it gets the plain answer.
    #[serde(default = "default_sync_timeout")]
    #[schemars(range(min = 100, max = 20_000))]
    timeout_ms: u32,
}

fn default_sync_timeout() -> u32 {
    SYNC_TIMEOUT_MS_DEFAULT
}

impl SourceSyncDto {
    fn check(&self) -> Result<(), &'static str> {
        if SYNC_TIMEOUT_MS.contains(&self.timeout_ms) { Ok(()) } else { Err("timeoutMs must be from 100 to 20000") }
    }

    async fn into_model(self, call: &Call, app: Option<AppKey>) -> Result<SourceSync, ApiError> {
        let app = match app {
            Some(app) => call.gateway.snapshots.app(app).await?,
            None => None,
        };
        let endpoint = app.and_then(|app| endpoint_named(&app, &self.endpoint_id));
        let missing =
            || ApiError::invalid("body", "sync", "names no endpoint of the source's application", Kind::Value);
        Ok(SourceSync { endpoint: endpoint.ok_or_else(missing)?.id, timeout_ms: self.timeout_ms })
    }
}

/// A new receiving URL.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RotateTokenOut")]
pub(super) struct TokenOut {
    /// Where the provider is to send to.
    ingest_url: String,
}

/// The source types that there are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceTypesOut")]
pub(super) struct TypesOut {
    /// Each of them.
    data: Vec<TypeOut>,
}

/// A source type.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SourceTypeOut")]
struct TypeOut {
    /// Its name in `type`.
    #[serde(rename = "type")]
    source_type: &'static str,
    /// What people call it.
    name: &'static str,
    /// The JSON Schema of its configuration.
    config_schema: Value,
}

/// A source.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IngestSourceOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct SourceOut<'a> {
    /// Its id.
    #[schemars(regex(pattern = r"^src_[A-Za-z0-9]{21,22}$"))]
    id: String,
    /// Your own name for it, unique in its environment.
    uid: Option<&'a str>,
    /// What people call it.
    name: &'a str,
    /// The provider's type.
    #[serde(rename = "type")]
    source_type: &'a str,
    /// The type's configuration, without what is secret; left out where the type has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Map<String, Value>>,
    /// Where the provider is to send to; null where the server makes the messages itself.
    ingest_url: Option<String>,
    /// The application whose endpoints get what it receives. An addition of this server.
    #[schemars(regex(pattern = r"^app_[A-Za-z0-9]{27}$"))]
    app_id: String,
    /// How duplicates are told.
    dedupe: DedupeDto,
    /// What senders are answered, where that is not what the provider expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<SourceAnswerDto>,
    /// Whose first answer senders get. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<SourceSyncDto>,
    /// Networks that may send; none means all. An addition of this server.
    #[schemars(with = "Vec<String>")]
    allowed_networks: &'a [ipnet::IpNet],
    /// Requests a second beyond which senders are told to wait. An addition of this server.
    requests_per_second: Option<u32>,
    /// Path remainder and query go on to the endpoints. An addition of this server.
    forward_path: bool,
    /// Texts by name that are kept with it.
    metadata: &'a Metadata,
    /// When it was created.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
}

/// The texts in a source's configuration that are secret, but for those that are so short that they may
/// stand anywhere.
pub(super) fn secret_texts(source: &Source) -> Vec<&str> {
    let fields = receive::find(&source.spec.source_type).map(receive::effective_fields).unwrap_or_default();
    let secrets = fields.iter().filter(|field| field.is_secret);
    let values = secrets.filter_map(|field| source.secret.config.get(field.name));
    let texts = values.flat_map(|value| match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    });
    texts.chain(source.secret.learned.as_deref()).filter(|text| text.len() >= 4).collect()
}

fn shown(source: &Source, app: String, ingest_url: String) -> SourceOut<'_> {
    let spec = &source.spec;
    let fields = receive::find(&spec.source_type).map(receive::effective_fields).unwrap_or_default();
    let is_open = |name: &String| fields.iter().any(|field| field.name == name.as_str() && !field.is_secret);
    let open = source.secret.config.iter().filter(|(name, _)| is_open(name));
    let answer = spec.answer.as_ref().map(|answer| SourceAnswerDto {
        status: answer.status,
        content_type: answer.content_type.clone(),
        body: answer.body.clone(),
    });
    SourceOut {
        id: source.id.format(IdKind::Source),
        uid: source.uid.as_deref(),
        name: &spec.name,
        source_type: &spec.source_type,
        // SDKs that know the type have no place for it then.
        config: (!fields.is_empty()).then(|| open.map(|(name, value)| (name.clone(), value.clone())).collect()),
        ingest_url: (!source.is_cron()).then_some(ingest_url),
        app_id: app,
        dedupe: DedupeDto::of(&spec.dedupe),
        answer,
        sync: spec.sync.map(|sync| SourceSyncDto {
            endpoint_id: sync.endpoint.format(IdKind::Endpoint),
            timeout_ms: sync.timeout_ms,
        }),
        allowed_networks: &spec.allowed_networks,
        requests_per_second: spec.requests_per_second,
        forward_path: spec.forward_path,
        metadata: &spec.metadata,
        created_at: Time(source.created_at),
        updated_at: Time(source.updated_at),
    }
}

/// How answers to changes are made; links begin with `public_url`.
fn render(gateway: &Gateway, made: bool) -> impl Fn(&Changed) -> Rendered + Send + Sync + 'static {
    let public_url = gateway.public_url().into_owned();
    move |changed| match changed {
        Changed::Source(source, _) => {
            let url = format!("{public_url}/in/{}", source.secret.token);
            change::rendered(
                if made { 201 } else { 200 },
                &shown(source, source.app_id.format(IdKind::Application), url),
            )
        }
        other => change::nothing(other),
    }
}

/// What a body says of a source.
struct SourceIn {
    name: Option<String>,
    uid: Field<Option<String>>,
    metadata: Option<Metadata>,
    source_type: Option<String>,
    config: Option<Map<String, Value>>,
    forgets_key: bool,
    app: Option<String>,
    dedupe: Option<Dedupe>,
    answer: Field<Option<SourceAnswer>>,
    sync: Field<Option<SourceSyncDto>>,
    allowed_networks: Option<Vec<ipnet::IpNet>>,
    requests_per_second: Field<Option<u32>>,
    forward_path: Option<bool>,
}

/// What a configuration comes to where there is one already. Secrets are not shown, so one who sends back
/// what they saw means them to stay; `null` takes one away. Another type begins anew.
fn with_secrets_kept(
    given: Option<Map<String, Value>>,
    type_name: &str,
    existing: Option<&Source>,
) -> Map<String, Value> {
    let existing = existing.filter(|source| source.spec.source_type == type_name);
    let Some(mut config) = given else {
        return existing.map(|source| source.secret.config.clone()).unwrap_or_default();
    };
    let fields = receive::find(type_name).map(receive::effective_fields).unwrap_or_default();
    let is_secret = |name: &String| fields.iter().any(|field| field.name == name.as_str() && field.is_secret);
    let is_secret_named = names_secret(type_name, &config);
    if let Some(source) = existing.filter(|_| !is_secret_named) {
        let kept = source.secret.config.iter().filter(|(name, _)| is_secret(name));
        config.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    }
    config.retain(|_, value| !value.is_null());
    config
}

/// Whether a configuration says something of a secret of this type, if only that it goes.
fn names_secret(type_name: &str, config: &Map<String, Value>) -> bool {
    let fields = receive::find(type_name).map(receive::effective_fields).unwrap_or_default();
    fields.iter().any(|field| field.is_secret && config.contains_key(field.name))
}

/// Reads a body. A whole one has name and type.
fn read(body: &[u8], depth_max: usize, is_whole: bool, existing: Option<&Source>) -> Result<SourceIn, ApiError> {
    let mut fields = Fields::parse(body, &FIELDS, depth_max)?;
    let name = fields.text("name", Null::Refused, name_rule);
    let source_type = fields.text("type", Null::Refused, |text| validate::NAME.check(text));
    let (name, source_type) = if is_whole {
        (fields.require("name", name), fields.require("type", source_type))
    } else {
        (name.value(), source_type.value())
    };
    let config = fields.read("config", Null::Taken, "must be an object", |config: &Map<String, Value>| {
        if config.len() <= 64 { Ok(()) } else { Err("has more than 64 names") }
    });
    if matches!(fields.raw("config", Null::Taken), Given::Value(raw) if raw.get().len() > CONFIG_BYTES_MAX) {
        fields.problem("config", "is longer than 65536 bytes", Kind::Value);
    }
    let config = config.value();
    let mut read = SourceIn {
        name,
        uid: fields.text("uid", Null::Taken, uid_rule).patch(),
        metadata: fields.map("metadata", Null::Refused).value(),
        app: fields.text("appId", Null::Taken, |text| validate::UID.check(text)).value(),
        dedupe: fields.read("dedupe", Null::Refused, DEDUPE, DedupeDto::check).value().map(DedupeDto::into_model),
        answer: fields
            .read("answer", Null::Taken, "must be {status, contentType, body}", SourceAnswerDto::check)
            .map(SourceAnswerDto::into_model)
            .patch(),
        sync: fields.read("sync", Null::Taken, "must be {endpointId, timeoutMs}", SourceSyncDto::check).patch(),
        allowed_networks: fields
            .read("allowedNetworks", Null::Refused, "must be an array of networks (CIDR)", |all: &Vec<ipnet::IpNet>| {
                if all.len() <= NETWORKS_MAX { Ok(()) } else { Err("has too many items") }
            })
            .value(),
        requests_per_second: fields.read("requestsPerSecond", Null::Taken, RATE, |rate| rate_rule(*rate)).patch(),
        forward_path: fields.boolean("forwardPath").value(),
        config,
        forgets_key: false,
        source_type,
    };
    let known_type = existing.map(|source| source.spec.source_type.clone());
    let is_set = is_whole || read.config.is_some() || read.source_type.is_some();
    if let Some(type_name) = read.source_type.clone().or(known_type).filter(|_| is_set) {
        read.forgets_key = read.config.as_ref().is_some_and(|config| names_secret(&type_name, config));
        let config = with_secrets_kept(read.config.take(), &type_name, existing);
        check_config(&mut fields, &type_name, &config);
        (read.source_type, read.config) = (Some(type_name), Some(config));
    }
    fields.finish()?;
    Ok(read)
}

const DEDUPE: &str = "must be {by: provider, content, fields or off, fields, windowSeconds}";
const RATE: &str = "must be a number from 1 to 1000000";

fn rate_rule(rate: u32) -> Result<(), &'static str> {
    if (1..=REQUESTS_PER_SECOND_MAX).contains(&rate) { Ok(()) } else { Err(RATE) }
}

fn name_rule(text: &str) -> Result<(), &'static str> {
    validate::NAME.check(text)
}

fn uid_rule(text: &str) -> Result<(), &'static str> {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=60).contains(&text.len()) && text.bytes().all(is_usual) && !text.starts_with(IdKind::Source.prefix()) {
        Ok(())
    } else {
        Err("must have 1 to 60 of A-Z a-z 0-9 _ -, and not begin with src_")
    }
}

/// Says what is wrong with a type and its configuration.
fn check_config(fields: &mut Fields<'_, 12>, type_name: &str, config: &Map<String, Value>) {
    match Verifier::new(type_name, config.clone()) {
        Ok(_) if type_name == cron::CRON => check_cron(fields, config),
        Ok(_) => {}
        Err(SetupError::Config(error)) => fields.problem_in("config", error.field, error.expected),
        Err(error @ SetupError::UnknownType(_)) => fields.problem("type", error.to_string(), Kind::Value),
        Err(error @ SetupError::Unconfirmed { .. }) => fields.problem("type", error.to_string(), Kind::Unconfirmed),
    }
}

/// Says what is wrong with a schedule and what it sends, beyond the form of the fields.
fn check_cron(fields: &mut Fields<'_, 12>, config: &Map<String, Value>) {
    if let Err(error) = Schedule::of(config) {
        fields.problem_in("config", error.field().to_owned(), error.to_string());
    }
    let content_type = config.get(cron::CONTENT_TYPE).and_then(Value::as_str).unwrap_or_default();
    if http::HeaderValue::try_from(content_type).is_err() {
        fields.problem_in("config", cron::CONTENT_TYPE.to_owned(), "must be a media type");
    }
}

fn new_token() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), TOKEN_CHARACTERS)
}

/// `POST /ingest/api/v1/source`.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let source = read(&body, call.gateway.limits.json_depth_max, true, None)?;
    let create = creation(&call, source, None).await?;
    let render = render(&call.gateway, true);
    change::commit(&call, create, &body, render).await
}

/// The endpoint must be there when it is named.
async fn sync_of(
    call: &Call,
    given: Field<Option<SourceSyncDto>>,
    app: Option<AppKey>,
) -> Result<Field<Option<SourceSync>>, ApiError> {
    Ok(match given {
        Some(Some(sync)) => Some(Some(sync.into_model(call, app).await?)),
        Some(None) => Some(None),
        None => None,
    })
}

async fn creation(call: &Call, source: SourceIn, named: Option<String>) -> Result<Change, ApiError> {
    let app = match &source.app {
        None => None,
        Some(name) => {
            let found = call.gateway.snapshots.app_named(call.env, name).await?;
            let missing = || ApiError::invalid("body", "appId", "names no application", Kind::Value);
            Some(found.ok_or_else(missing)?.app.key())
        }
    };
    let secret = SourceSecret { config: source.config.unwrap_or_default(), learned: None, token: new_token() };
    let spec = SourceSpec {
        name: source.name.unwrap_or_default(),
        source_type: source.source_type.unwrap_or_default(),
        metadata: source.metadata.unwrap_or_default(),
        dedupe: source.dedupe.unwrap_or_default(),
        answer: source.answer.flatten(),
        sync: sync_of(call, source.sync, app).await?.flatten(),
        allowed_networks: source.allowed_networks.unwrap_or_default(),
        requests_per_second: source.requests_per_second.flatten(),
        forward_path: source.forward_path.unwrap_or_default(),
    };
    let (spec, secret) = (Box::new(spec), Box::new(secret));
    Ok(Change::CreateSource { env: call.env, app, uid: source.uid.flatten().or(named), spec, secret })
}

/// `GET /ingest/api/v1/source/{source_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let source = call.source().await?;
    Ok(answer::json(StatusCode::OK, &out(&call, &source)))
}

fn out<'a>(call: &Call, source: &'a Source) -> SourceOut<'a> {
    let url = call.gateway.receiving_url(&source.secret.token);
    shown(source, source.app_id.format(IdKind::Application), url)
}

/// `GET /ingest/api/v1/source`, oldest first unless told otherwise.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Source, Order::Ascending, true);
    query.finish()?;
    let rows = call.gateway.queries.sources(call.env, page.page()).await?;
    let iterator = |source: &Source| source.id.format(IdKind::Source);
    let resume = |key| Id::first_of(key).format(IdKind::Source);
    Ok(page.answer(rows, iterator, resume, |json, source| page::push_json(json, &out(&call, source))))
}

async fn patch_of(call: &Call, app: AppKey, source: SourceIn) -> Result<SourcePatch, ApiError> {
    let type_and_config = source.source_type.zip(source.config);
    Ok(SourcePatch {
        name: source.name,
        uid: source.uid,
        metadata: source.metadata,
        type_and_config,
        forgets_key: source.forgets_key,
        dedupe: source.dedupe,
        answer: source.answer,
        sync: sync_of(call, source.sync, Some(app)).await?,
        allowed_networks: source.allowed_networks,
        requests_per_second: source.requests_per_second,
        forward_path: source.forward_path,
    })
}

/// `PATCH /ingest/api/v1/source/{source_id}`: what is not there stays as it is.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let existing = call.source().await?;
    let depth_max = call.gateway.limits.json_depth_max;
    let source = read(&body, depth_max, false, Some(&existing))?;
    let patch = Box::new(patch_of(&call, existing.app, source).await?);
    let render = render(&call.gateway, false);
    change::commit(&call, Change::PatchSource { source: existing.key(), patch }, &body, render).await
}

/// `PUT /ingest/api/v1/source/{source_id}`: 200, or 201 where the path names a uid that is not there yet.
/// Its application, and the token of its URL, stay.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    let name = call.param("source_id")?.into_owned();
    let body = call.read(body).await?;
    let existing = call.source_if_any().await?;
    let mut source = read(&body, call.gateway.limits.json_depth_max, true, existing.as_ref())?;
    let Some(existing) = existing else {
        if validate::has_form_of(IdKind::Source, &name) || uid_rule(&name).is_err() {
            return Err(ApiError::not_found());
        }
        let create = creation(&call, source, Some(name)).await?;
        let render = render(&call.gateway, true);
        return change::commit(&call, create, &body, render).await;
    };
    source.metadata = Some(source.metadata.unwrap_or_default());
    source.dedupe = Some(source.dedupe.unwrap_or_default());
    source.answer = Some(source.answer.flatten());
    source.sync = Some(source.sync.flatten());
    source.allowed_networks = Some(source.allowed_networks.unwrap_or_default());
    source.requests_per_second = Some(source.requests_per_second.flatten());
    source.forward_path = Some(source.forward_path.unwrap_or_default());
    if Id::parse(IdKind::Source, &name).is_some() {
        source.uid = Some(source.uid.flatten());
    }
    let patch = Box::new(patch_of(&call, existing.app, source).await?);
    let render = render(&call.gateway, false);
    change::commit(&call, Change::PatchSource { source: existing.key(), patch }, &body, render).await
}

/// `DELETE /ingest/api/v1/source/{source_id}`, with the application that was made for it.
pub(super) async fn delete(call: Call, _: Body) -> Answer {
    let source = call.source().await?.key();
    change::commit(&call, Change::DeleteSource { source }, &[], change::nothing).await
}

/// `POST …/token/rotate`: a new URL; the one before goes on receiving for a day.
pub(super) async fn rotate(call: Call, _: Body) -> Answer {
    let source = call.source().await?;
    if source.is_cron() {
        return Err(ApiError::Coded(Code::Conflict, "a source of type cron has no receiving URL".into()));
    }
    let source = source.key();
    let public_url = call.gateway.public_url().into_owned();
    let rotate = Change::RotateSourceToken { source, token: new_token(), grace_ms: TOKEN_GRACE_MS };
    let render = move |changed: &Changed| match changed {
        Changed::Source(source, _) => {
            change::rendered(200, &TokenOut { ingest_url: format!("{public_url}/in/{}", source.secret.token) })
        }
        other => change::nothing(other),
    };
    change::commit(&call, rotate, &[], render).await
}

/// `GET /ingest/api/v1/source-type`: every type with the schema of its configuration.
pub(super) async fn types(call: Call, _: Body) -> Answer {
    call.query().finish()?;
    let all = receive::all().filter(|source_type| source_type.is_confirmed());
    let data = all.map(|source_type| TypeOut {
        source_type: source_type.name,
        name: source_type.title,
        config_schema: receive::config_schema(source_type),
    });
    Ok(answer::json(StatusCode::OK, &TypesOut { data: data.collect() }))
}
