//! What goes through the journal, and what comes back: one command, one reply.

use std::sync::Arc;

use bytes::Bytes;

use super::maintenance::{Maintained, Maintenance};
use crate::model::operational::MessageHappening;
use crate::model::routing::{Route, route, route_only};
use crate::model::{
    ApiKey, AppConfig, AppKey, Application, ApplicationSpec, BackgroundTask, Capability, DisabledReason, Endpoint,
    EndpointKey, EndpointSpec, EnvKey, EnvSettings, Envelope, Environment, EventType, EventTypeSpec, Id, Message,
    MessageKey, Next, Outcome, PortalToken, SecretBytes, Source, SourceKey, SourceSecret, SourceSpec, Taken, Trigger,
    UnixMs, Waiting,
};

pub use super::access::AccessChange;
pub use super::asked::{NewTask, ResealPlace, Resealed};
pub use super::inbound::{DedupeKey, Inbound, LogRequest, Tick};
pub use super::patch::{
    ApplicationPatch, EndpointPatch, EventTypePatch, Field, HEADER_BYTES_MAX, HEADERS_MAX, HeadersPatch, LookPatch,
    SettingsPatch, SourcePatch, Target,
};
pub use super::refusal::Refusal;

/// One thing to be made durable.
#[derive(Debug)]
pub enum Command {
    /// A message with all its deliveries.
    Publish(Box<Publish>),
    /// What became of a delivery that was taken.
    Settle(Box<Settle>),
    /// A change of configuration, or a resend.
    Change(Box<ChangeRequest>),
    /// A slice of work that keeps the store tidy.
    Maintain(Maintenance),
}

impl Command {
    /// Bytes that it holds in memory, roughly: what the journal's bound in bytes counts.
    pub fn weight(&self) -> usize {
        match self {
            Self::Publish(publish) => {
                let inbound = publish.inbound.as_ref().map_or(0, |inbound| inbound.received.weight());
                256 + publish.payload.len() + inbound + 32 * publish.routes.len()
            }
            Self::Settle(settle) => 192 + settle.attempt.as_ref().map_or(0, |a| a.outcome.bytes()),
            Self::Change(request) => match &request.change {
                Change::LogRequest(request) => 4096 + request.weight(),
                Change::StartTask(task) => 4096 + task.found.as_ref().map_or(0, String::len),
                Change::CreateEventType { spec, .. } | Change::PutEventType { spec, .. } => 4096 + spec.weight(),
                Change::ImportEventTypes { types, .. } => {
                    4096 + types.iter().map(|(name, spec)| 64 + name.len() + spec.weight()).sum::<usize>()
                }
                _ => 4096,
            },
            Self::Maintain(_) => 4096,
        }
    }

    /// Whether somebody waits for the answer: a batch without such may linger.
    pub fn is_awaited(&self) -> bool {
        !matches!(self, Self::Settle(_))
    }
}

/// A message to be stored with its deliveries.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The configuration that it was routed with. If the application's version has moved on, the
    /// writer routes it again.
    pub config: Arc<AppConfig>,
    /// Where it goes.
    pub routes: Vec<Route>,
    /// It goes to this endpoint alone, whatever that takes: an example that was asked for.
    pub only: Option<EndpointKey>,
    /// What it is.
    pub envelope: Envelope,
    /// Its exact bytes.
    pub payload: Bytes,
    /// How many days its bytes are kept.
    pub payload_days: u16,
    /// So that a repeated call is answered like the first.
    pub idempotency: Option<Idempotency>,
    /// How it came in from outside, if it did.
    pub inbound: Option<Box<Inbound>>,
    /// When it was accepted.
    pub at: UnixMs,
}

/// In place of a source, of messages that are for one endpoint alone: no other is missing them.
pub(in crate::store) const FOR_ONE_ENDPOINT: i64 = 0;

impl Publish {
    /// What is kept where a message names its source.
    pub(in crate::store) fn origin(&self) -> Option<i64> {
        let source = self.inbound.as_ref().map(|inbound| inbound.source.0);
        source.or(self.only.map(|_| FOR_ONE_ENDPOINT))
    }

    /// Where it goes by another configuration; nowhere where the one endpoint that it is for is gone.
    pub fn routed_by(&self, config: &AppConfig) -> Result<Vec<Route>, Refusal> {
        match self.only {
            None => Ok(route(config, &self.envelope.event_type, &self.envelope.channels)),
            Some(endpoint) => route_only(config, endpoint).map(|route| vec![route]).ok_or(Refusal::NotFound),
        }
    }
}

/// An idempotency key as the store sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// A keyed hash of environment, method, path and key.
    pub hash: [u8; 16],
    /// A hash of the request's body: the same key with another body is a conflict.
    pub fingerprint: [u8; 8],
    /// An SDK's own key for its retries (`auto_…`), kept 1 h instead of 24 h.
    pub auto: bool,
}

/// What became of a delivery that was taken.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Whose it is.
    pub app: AppKey,
    /// To where.
    pub endpoint: EndpointKey,
    /// Which message.
    pub message: MessageKey,
    /// The state that it was taken in: applied only if it still is.
    pub taken: Taken,
    /// What started it.
    pub trigger: Trigger,
    /// The tenure that it was taken in ([`Refusal::Fenced`]); 0 where one process has the store for itself.
    pub tenure: i64,
    /// The attempt, unless none was made (held, deleted).
    pub attempt: Option<AttemptRecord>,
    /// Where the delivery goes.
    pub next: Next,
    /// What it says of the endpoint's health.
    pub health: Option<HealthStep>,
    /// What the operator is told of the delivery.
    pub tell: Option<MessageHappening>,
    /// When.
    pub at: UnixMs,
}

/// A change of an endpoint's health that an attempt brings about. Judged again by the writer, against
/// the endpoint as it is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStep {
    /// It does nothing but fail, since then.
    Begin {
        /// The first failure after the last success.
        since: UnixMs,
    },
    /// The warning of this number, from 1, is due.
    Warn(u8),
    /// It is to be disabled.
    Disable(DisabledReason),
    /// It succeeded again.
    Recover,
}

/// Attempts that an endpoint must have failed before it is disabled for failing.
pub const FAILURES_BEFORE_DISABLE: usize = 20;

/// An attempt to be appended.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// What it came to.
    pub outcome: Outcome,
    /// Names the URL that it went to.
    pub url_id: i64,
}

impl AttemptRecord {
    /// Whether it says something of an endpoint as it is now: not where it went elsewhere, and it
    /// disables none that was changed, or enabled, after it began.
    pub fn tells_of(&self, endpoint: &Endpoint, step: HealthStep) -> bool {
        let is_stale = matches!(step, HealthStep::Disable(_)) && endpoint.updated_at > self.outcome.started_at;
        self.url_id == endpoint.url_id && !is_stale
    }
}

/// A change with what makes repeating it safe.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// When.
    pub at: UnixMs,
    /// So that a repeated call is answered like the first.
    pub idempotency: Option<RememberedAs>,
    /// What.
    pub change: Change,
}

/// Status and body of the answer to a change.
pub type Render = Arc<dyn Fn(&Changed) -> (u16, String) + Send + Sync>;

/// How the answer to a change is remembered under its idempotency key, in the same transaction and sealed.
#[derive(Clone)]
pub struct RememberedAs {
    /// The key.
    pub key: Idempotency,
    /// Status and body of the answer.
    pub render: Render,
}

impl std::fmt::Debug for RememberedAs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RememberedAs").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Changes of configuration. They are judged inside the writer, against what is stored then.
#[derive(Debug, Clone)]
pub enum Change {
    /// Who may call.
    Access(AccessChange),
    /// A new application.
    CreateApplication {
        /// Where.
        env: EnvKey,
        /// Its unique name.
        uid: Option<String>,
        /// What it is.
        spec: ApplicationSpec,
        /// Answer with the one of this uid if there is one.
        get_if_exists: bool,
    },
    /// Some fields of an application.
    PatchApplication {
        /// Which.
        app: AppKey,
        /// What.
        patch: ApplicationPatch,
    },
    /// All fields of an application; made if it is not there.
    PutApplication {
        /// Where.
        env: EnvKey,
        /// Which.
        target: Target,
        /// Its unique name from now on.
        uid: Option<String>,
        /// What it is from now on.
        spec: ApplicationSpec,
    },
    /// An application with its endpoints goes.
    DeleteApplication {
        /// Which.
        app: AppKey,
    },
    /// A new event type; one that is archived is taken up again.
    CreateEventType {
        /// Where.
        env: EnvKey,
        /// Its name.
        name: String,
        /// What it is.
        spec: EventTypeSpec,
    },
    /// Some fields of an event type.
    PatchEventType {
        /// Where.
        env: EnvKey,
        /// Which.
        name: String,
        /// What.
        patch: EventTypePatch,
    },
    /// All fields of an event type but its retry schedule; made if it is not there.
    PutEventType {
        /// Where.
        env: EnvKey,
        /// Which.
        name: String,
        /// What it is from now on.
        spec: EventTypeSpec,
    },
    /// An event type is archived, or goes altogether.
    DeleteEventType {
        /// Where.
        env: EnvKey,
        /// Which.
        name: String,
        /// Nothing of it is kept.
        expunge: bool,
    },
    /// Event types are as a document says.
    ImportEventTypes {
        /// Where.
        env: EnvKey,
        /// In the order of their names, each once.
        types: Vec<(String, EventTypeSpec)>,
        /// Those that are not among them are archived.
        replace_all: bool,
    },
    /// Some settings of an environment.
    PatchSettings {
        /// Which.
        env: EnvKey,
        /// What.
        patch: SettingsPatch,
    },
    /// A new portal token. The application is made if it is not there and the call says how.
    CreatePortalToken {
        /// Where.
        env: EnvKey,
        /// The application that it opens.
        target: Target,
        /// The application where it is not there.
        create: Option<ApplicationSpec>,
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// What it allows.
        capabilities: Vec<Capability>,
        /// Event types with one of these are shown too.
        feature_flags: Vec<String>,
        /// The session that its maker puts it in.
        session_id: Option<String>,
        /// How long it lives, in milliseconds.
        lifetime_ms: i64,
    },
    /// Portal tokens of an application end.
    ExpirePortalTokens {
        /// Which application's.
        app: AppKey,
        /// Only those of these sessions; empty means all.
        sessions: Vec<String>,
        /// After how many milliseconds; 0 at once.
        after_ms: i64,
    },
    /// A portal token opens nothing any more.
    RevokePortalToken {
        /// Which.
        id: Id,
    },
    /// A new endpoint.
    CreateEndpoint {
        /// Whose.
        app: AppKey,
        /// Its unique name in the application.
        uid: Option<String>,
        /// What it is.
        spec: Box<EndpointSpec>,
        /// Its signing secret.
        secret: SecretBytes,
    },
    /// Some fields of an endpoint.
    PatchEndpoint {
        /// Whose.
        app: AppKey,
        /// Which.
        endpoint: EndpointKey,
        /// What.
        patch: Box<EndpointPatch>,
    },
    /// All fields of an endpoint but its secret and headers; made if it is not there.
    PutEndpoint {
        /// Whose.
        app: AppKey,
        /// Which.
        target: Target,
        /// Its unique name from now on.
        uid: Option<String>,
        /// What it is from now on.
        spec: Box<EndpointSpec>,
        /// Its signing secret, where it is made.
        secret: SecretBytes,
    },
    /// A new signing secret.
    RotateSecret {
        /// Whose.
        app: AppKey,
        /// Which endpoint's.
        endpoint: EndpointKey,
        /// The new one, in the stored form.
        key: SecretBytes,
        /// How long the ones before go on signing, in milliseconds.
        grace_ms: i64,
    },
    /// Headers that are sent with each attempt.
    SetHeaders {
        /// Whose.
        app: AppKey,
        /// Which endpoint's.
        endpoint: EndpointKey,
        /// What.
        patch: HeadersPatch,
    },
    /// An endpoint goes.
    DeleteEndpoint {
        /// Whose.
        app: AppKey,
        /// Which.
        endpoint: EndpointKey,
    },
    /// The bytes of a message go; what of it still waits is cancelled.
    ExpungeMessage {
        /// Whose.
        app: AppKey,
        /// Which.
        message: MessageKey,
    },
    /// The answer to an attempt goes.
    ExpungeAttempt {
        /// Of which message.
        message: MessageKey,
        /// Which.
        attempt: Id,
    },
    /// Work that goes on as a task.
    StartTask(Box<NewTask>),
    /// One attempt by hand.
    Resend {
        /// Whose.
        app: AppKey,
        /// To where.
        endpoint: EndpointKey,
        /// Which message.
        message: MessageKey,
    },
    /// One attempt by hand to each endpoint where the delivery of a message failed or is held.
    ResendFailed {
        /// Whose.
        app: AppKey,
        /// Which message.
        message: MessageKey,
    },
    /// A new source; without `app` with an application of its own.
    CreateSource {
        /// Where.
        env: EnvKey,
        /// The application whose endpoints get what it receives.
        app: Option<AppKey>,
        /// Its unique name.
        uid: Option<String>,
        /// What it is.
        spec: Box<SourceSpec>,
        /// Configuration and token.
        secret: Box<SourceSecret>,
    },
    /// Some or all fields of a source. Its application and token stay.
    PatchSource {
        /// Which.
        source: SourceKey,
        /// What.
        patch: Box<SourcePatch>,
    },
    /// A source goes, and the application that was made for it.
    DeleteSource {
        /// Which.
        source: SourceKey,
    },
    /// A new token; the one before goes on opening.
    RotateSourceToken {
        /// Which source's.
        source: SourceKey,
        /// The new one.
        token: String,
        /// How long the ones before go on, in milliseconds.
        grace_ms: i64,
    },
    /// A handshake brought a key. Refused where one is there.
    LearnSourceKey {
        /// Which source's.
        source: SourceKey,
        /// The key.
        key: String,
    },
    /// A request that became no message goes into its source's log.
    LogRequest(Box<LogRequest>),
    /// Sealed values, some hundred of them, are sealed with the newest encryption key.
    Reseal {
        /// Where this slice begins.
        from: ResealPlace,
    },
}

/// Each command succeeds or fails for itself.
pub type Reply = Result<Done, Refusal>;

/// What was done.
#[derive(Debug, Clone)]
pub enum Done {
    /// A new message is stored.
    Published(Published),
    /// The same message was published before: the first.
    Repeated(Box<Message>),
    /// The same was received before: the first.
    Duplicate(Id),
    /// The same change was made before: the status and body that it was answered with.
    RepeatedChange(u16, String),
    /// The result of an attempt is stored.
    Settled(Settled),
    /// A change is stored.
    Changed(Box<Changed>),
    /// A slice of work is done.
    Maintained(Box<Maintained>),
}

/// A message that was stored.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its id.
    pub id: Id,
    /// Its deliveries as stored, when it had to be routed again.
    pub rerouted: Option<(Arc<AppConfig>, Vec<Route>)>,
}

/// What a settle did.
#[derive(Debug, Clone)]
pub struct Settled {
    /// False when the delivery was no longer in the state it was taken in: only the attempt was kept.
    pub applied: bool,
    /// Where the delivery went, if it was applied. A retry is later than was asked for where a resend
    /// of the same message had its place.
    pub next: Next,
    /// The endpoint as it is now, when its health changed with it.
    pub endpoint: Option<Arc<Endpoint>>,
}

/// A message that the writer made by itself, in the transaction of what it tells of.
#[derive(Debug, Clone)]
pub struct Raised {
    /// What was stored.
    pub publish: Publish,
    /// Its id.
    pub published: Published,
}

/// What a change left behind.
#[derive(Debug, Clone)]
pub enum Changed {
    /// An environment was made, or has another name.
    Environment(Environment),
    /// An environment is gone, with its applications.
    EnvironmentDeleted {
        /// Which.
        env: EnvKey,
        /// Its applications and their endpoints.
        apps: Vec<(AppKey, Vec<EndpointKey>)>,
    },
    /// A key was made, changed or revoked.
    ApiKey(ApiKey),
    /// When keys were last used is stored.
    KeyUseNoted,
    /// A session, or a one-time token, was made.
    SessionOpened,
    /// A session has ended.
    SessionClosed,
    /// An application; whether it was made.
    Application(Application, bool),
    /// An application and its endpoints are gone.
    ApplicationDeleted {
        /// Which.
        app: AppKey,
        /// Its endpoints.
        endpoints: Vec<EndpointKey>,
    },
    /// An event type, and what is new of it.
    EventType(EnvKey, EventType, Written),
    /// An event type is gone.
    EventTypeDeleted(EnvKey),
    /// Event types were created, changed or archived: these.
    EventTypesImported(EnvKey, Vec<String>),
    /// Settings of an environment.
    Settings(EnvKey, EnvSettings),
    /// A portal token was made; its application, if that was made with it.
    PortalToken(PortalToken, Option<Application>),
    /// A portal token was revoked, or some end sooner.
    PortalTokenRevoked,
    /// An endpoint, and what became of it.
    Endpoint(Arc<Endpoint>, Became),
    /// An endpoint is gone.
    EndpointDeleted {
        /// Whose it was.
        app: AppKey,
        /// Which.
        endpoint: EndpointKey,
    },
    /// The answer to an attempt is gone.
    AnswerExpunged,
    /// The bytes of a message are gone.
    Expunged {
        /// Which message.
        message: MessageKey,
        /// Where it will not be sent any more, because nothing is left to send.
        endpoints: Vec<EndpointKey>,
    },
    /// A source; whether it was made, and with it an application.
    Source(Arc<Source>, Option<Application>),
    /// A source is gone, perhaps with its application.
    SourceDeleted {
        /// Which.
        source: SourceKey,
        /// Its application and the endpoints of that.
        app: Option<(AppKey, Vec<EndpointKey>)>,
    },
    /// A request is in its source's log.
    RequestLogged,
    /// A task has begun.
    Task(BackgroundTask),
    /// A slice of sealed values was looked at.
    Resealed(Resealed),
    /// A resend has its place.
    Resent {
        /// Whose.
        app: AppKey,
        /// To where.
        endpoint: EndpointKey,
        /// Its place in the order of due times.
        waiting: Waiting,
    },
    /// Resends of one message have their places.
    ResentFailed {
        /// Whose.
        app: AppKey,
        /// To where, and their places in the order of due times.
        resent: Vec<(EndpointKey, Waiting)>,
    },
}

/// What a change of an event type made new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// It was made, or taken up again.
    pub is_new: bool,
    /// Its retry schedule is another than before.
    pub is_rescheduled: bool,
}

/// What became of an endpoint by a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It was made.
    New,
    /// It was changed.
    Changed,
    /// It was disabled, and is enabled now: its first delivery is a probe.
    Enabled,
}
