//! The way in: read with limits, authenticate, route, hand to the journal, answer after its commit.

pub mod admission;
pub mod cron;
pub mod fetch;
pub mod key_use;
pub mod limited;
pub mod quota;
pub mod receive;
pub mod sign_in;
pub mod trying;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

pub use admission::Admission;

use crate::config::{Delivery, Limits, Portal, Retention, Server};
use crate::dispatch::book::LaneBook;
use crate::metrics::Metrics;
use crate::model::routing::{route, route_only};
use crate::model::{AppConfig, Clock, EndpointKey, Envelope, Id, Message, UnixMs};
use crate::store::ReadError;
use crate::store::StoreReader;
use crate::store::command::{
    Change, ChangeRequest, Changed, Command, Done, Idempotency, Publish, Refusal, RememberedAs,
};
use crate::store::journal::{Journal, NotTaken};
use crate::store::query::StoreQueries;
use crate::store::seal::Sealer;
use crate::store::snapshots::Snapshots;

/// Payloads shorter than this get memory of their own.
const COPY_BELOW: usize = 64 * 1024;

/// What accepting needs, and what the API reads. One a process.
pub struct Gateway {
    /// Everything durable goes through it.
    pub journal: Journal,
    /// Core reads.
    pub reader: Arc<dyn StoreReader>,
    /// Lists.
    pub queries: Arc<dyn StoreQueries>,
    /// Configuration in memory.
    pub snapshots: Arc<Snapshots>,
    /// Whether anything is accepted now.
    pub admission: Arc<Admission>,
    /// Keyed hashes.
    pub sealer: Arc<Sealer>,
    /// Judges URLs of endpoints.
    pub guard: crate::deliver::AddressGuard,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Bounds of requests.
    pub limits: Limits,
    /// Time-outs of requests.
    pub server: Server,
    /// How the server is reached, where the configuration does not say: the address listened on.
    pub listening: std::sync::OnceLock<String>,
    /// Whether plain `http` endpoints are refused.
    pub https_only: bool,
    /// Defaults of delivery.
    pub delivery: Delivery,
    /// How long what is accepted is kept.
    pub retention: Retention,
    /// Bytes of bodies that are being read.
    pub body_budget: limited::BodyBudget,
    /// Who may frame the portal, and call the API from a page.
    pub portal: Portal,
    /// When keys were last used.
    pub key_use: key_use::KeyUse,
    /// Requests of each key.
    pub quotas: quota::Quotas,
    /// Places for live lists.
    pub streams: Arc<tokio::sync::Semaphore>,
    /// Verifiers of sources.
    pub receiving: receive::Receiving,
    /// How dispatch stood lately.
    pub lanes: Arc<LaneBook>,
    /// When this process opened the store.
    pub started_at: UnixMs,
    /// Attempts that somebody waits for.
    pub trying: trying::Trying,
}

/// Why something was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The caller's to mend.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much waits, or the server is stopping.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The server takes nothing now.
    #[error("{0}")]
    Closed(&'static str),
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A message that is durable.
pub enum Accepted {
    /// A new one.
    New(Id),
    /// The same call was made before.
    Repeated(Box<Message>),
}

/// A change that is durable.
pub enum ChangeAccepted {
    /// It was made now.
    New(Box<Changed>),
    /// The same call was made before: its status and body.
    Repeated(u16, String),
}

impl Gateway {
    /// What links begin with.
    pub fn public_url(&self) -> Cow<'_, str> {
        match self.server.public_url.as_deref().or(self.listening.get().map(String::as_str)) {
            Some(url) => Cow::Borrowed(url.trim_end_matches('/')),
            None => Cow::Owned(format!("http://{}", self.server.listen)),
        }
    }

    /// Stores a message with its deliveries; returns after the commit.
    pub async fn publish(
        &self,
        config: Arc<AppConfig>,
        envelope: Envelope,
        payload: Bytes,
        payload_days: Option<u16>,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, NotAccepted> {
        let routes = route(&config, &envelope.event_type, &envelope.channels);
        let payload_days = payload_days.unwrap_or(self.retention.payload_days);
        let at = self.clock.now_ms();
        let (only, inbound) = (None, None);
        self.commit(Publish { config, routes, only, envelope, payload, payload_days, idempotency, inbound, at }).await
    }

    /// Stores a message for one endpoint alone, whatever that takes; returns after the commit.
    pub async fn publish_to(
        &self,
        config: Arc<AppConfig>,
        endpoint: EndpointKey,
        envelope: Envelope,
        payload: Bytes,
        payload_days: Option<u16>,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, NotAccepted> {
        let routes = vec![route_only(&config, endpoint).ok_or(Refusal::NotFound)?];
        let payload_days = payload_days.unwrap_or(self.retention.payload_days);
        let at = self.clock.now_ms();
        let (only, inbound) = (Some(endpoint), None);
        self.commit(Publish { config, routes, only, envelope, payload, payload_days, idempotency, inbound, at }).await
    }

    async fn commit(&self, mut publish: Publish) -> Result<Accepted, NotAccepted> {
        self.admission.check().map_err(NotAccepted::Closed)?;
        // A slice of the connection's buffer would keep all of that buffer in memory.
        if publish.payload.len() < COPY_BELOW {
            publish.payload = Bytes::copy_from_slice(&publish.payload);
        }
        let _pass = self.admission.enter().map_err(NotAccepted::Closed)?;
        match self.journal.commit(Command::Publish(Box::new(publish))).await?? {
            Done::Published(published) => {
                self.metrics.messages_accepted.inc();
                Ok(Accepted::New(published.id))
            }
            Done::Repeated(message) => Ok(Accepted::Repeated(message)),
            Done::Duplicate(_)
            | Done::RepeatedChange(..)
            | Done::Settled(_)
            | Done::Changed(_)
            | Done::Maintained(_) => Err(Refusal::Failed.into()),
        }
    }

    /// Stores a change; returns after the commit, when it holds on this node.
    pub async fn change(
        &self,
        change: Change,
        idempotency: Option<RememberedAs>,
    ) -> Result<ChangeAccepted, NotAccepted> {
        self.admission.check_change().map_err(NotAccepted::Closed)?;
        let request = ChangeRequest { at: self.clock.now_ms(), idempotency, change };
        let _pass = self.admission.enter().map_err(NotAccepted::Closed)?;
        match self.journal.commit(Command::Change(Box::new(request))).await?? {
            Done::Changed(changed) => Ok(ChangeAccepted::New(changed)),
            Done::RepeatedChange(status, body) => Ok(ChangeAccepted::Repeated(status, body)),
            Done::Published(_) | Done::Duplicate(_) | Done::Repeated(_) | Done::Settled(_) | Done::Maintained(_) => {
                Err(Refusal::Failed.into())
            }
        }
    }

    /// An idempotency key in its scope, with what tells one body from another.
    pub fn idempotency(&self, scope: &[Vec<u8>], key: &[u8], body: &[u8]) -> Idempotency {
        let scope: Vec<&[u8]> = scope.iter().map(Vec::as_slice).chain([key]).collect();
        let (hash, fingerprint) = (self.sealer.keyed_hash(&scope), self.sealer.keyed_hash(&[body]));
        let mut idempotency = Idempotency { hash: [0; 16], fingerprint: [0; 8], auto: key.starts_with(b"auto_") };
        idempotency.hash.copy_from_slice(&hash[..16]);
        idempotency.fingerprint.copy_from_slice(&fingerprint[..8]);
        idempotency
    }
}
