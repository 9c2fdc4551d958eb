//! The words of the gateway as types. Pure: no I/O, no clock, no randomness of its own.

pub mod access;
pub mod awaited;
pub mod cron;
pub mod delivery;
pub mod entity;
pub mod example;
pub mod id;
pub mod latencies;
pub mod look;
pub mod message;
pub mod operational;
pub mod outcome;
pub mod policy;
pub mod portal;
pub mod routing;
pub mod slot;
pub mod source;
pub mod state;
pub mod task;
pub mod time;
pub mod trace;
pub mod url;
pub mod varint;

pub use access::{ONE_TIME_MS, SESSION_MS, Scope, Scopes, Session, SessionKind};
pub use awaited::{AWAITED_BYTES_MAX, Awaited, EndpointAnswer};
pub use delivery::{Next, Parked, Pending, Taken, Trigger, Waiting};
pub use entity::{
    ApiKey, AppConfig, AppKind, Application, ApplicationSpec, DisabledReason, Endpoint, EndpointSpec, Environment,
    EnvironmentKind, EventType, EventTypeSpec, Failing, Metadata, SIGNING_SECRETS_MAX, SecretBytes, SigningSecret,
};
pub use id::{AppKey, AttemptKey, EndpointKey, EnvKey, Id, IdKind, Key, KeyMaker, MessageKey, Nonce};
pub use latencies::Latencies;
pub use look::Look;
pub use message::{Attempt, DeliveryKey, Envelope, Message};
pub use outcome::{Outcome, OutcomeKind};
pub use policy::{EnvPolicy, EnvSettings, SignatureHeaders};
pub use portal::{Capability, PortalToken};
pub use slot::{SLOTS, Slot, SlotSet, slot_of};
pub use source::{
    Dedupe, DedupeBy, LogKind, LoggedRequest, Received, SECRET_HEADERS, Source, SourceAnswer, SourceKey, SourceSecret,
    SourceSpec, SourceSync,
};
pub use state::{DeliveryState, DeliveryStatus, Traces, Tried};
pub use task::{BackgroundTask, ReplayFilter, TaskAsk, TaskKind, TaskLine, TaskStatus};
pub use time::{Clock, SystemClock, UnixMs};
pub use trace::{Phase, Timings};
