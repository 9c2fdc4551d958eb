//! The engine in memory, for the simulation and for tests: the core of the store, without the list
//! queries. What it holds outlives its writer and readers, as a disk would, while any clone of
//! [`MemoryStore`] is there; a crash is simulated by letting go of everything else.
//!
//! Deterministic: the same seed and the same commands give the same ids. Deliberately absent:
//! environments, keys, event types and operational webhooks ([`Refusal::Failed`]), backups, retention.

mod change;
mod data;
mod slices;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::command::{Command, Refusal, Reply};
use super::{CommitError, ReadError, StoreReader, StoreWriter};
use crate::model::{
    AppConfig, AppKey, DeliveryKey, EndpointKey, EnvKey, EnvPolicy, Message, MessageKey, Parked, Pending, SlotSet,
    UnixMs, Waiting,
};
use data::Data;
pub use data::StoredAttempt;

/// Endpoints of one application, unless set.
const ENDPOINTS_MAX: usize = 1_000;

/// A store in memory. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    data: Data,
    failures: VecDeque<CommitError>,
    /// By node: outcomes of an older tenure are refused.
    tenures: HashMap<u16, i64>,
}

/// How much of everything is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Messages.
    pub messages: usize,
    /// Deliveries without an outcome.
    pub pending: usize,
    /// Deliveries with a due time.
    pub waiting: usize,
    /// Deliveries set aside.
    pub parked: usize,
    /// Attempts.
    pub attempts: usize,
}

impl MemoryStore {
    /// An empty store whose ids follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_endpoints_max(seed, ENDPOINTS_MAX)
    }

    /// The same with a bound on the endpoints of one application.
    pub fn with_endpoints_max(seed: u64, endpoints_max: usize) -> Self {
        let inner = Inner { data: Data::new(seed, endpoints_max), failures: VecDeque::new(), tenures: HashMap::new() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// One who writes to it, and has it for itself.
    pub fn writer(&self) -> MemoryWriter {
        MemoryWriter { store: self.clone(), node: None }
    }

    /// One of several nodes that write to it.
    pub fn writer_of(&self, node: u16) -> MemoryWriter {
        MemoryWriter { store: self.clone(), node: Some(node) }
    }

    /// The tenure of a node is this one now: what it began in an older one is refused ([`Refusal::Fenced`]).
    pub fn fence(&self, node: u16, tenure: i64) {
        self.inner().tenures.insert(node, tenure);
    }

    /// The next commit fails with this and stores nothing; called again, the one after it, and so on.
    pub fn fail_next_commit(&self, error: CommitError) {
        self.inner().failures.push_back(error);
    }

    /// How much is stored.
    pub fn counts(&self) -> Counts {
        let inner = self.inner();
        let data = &inner.data;
        Counts {
            messages: data.messages.len(),
            pending: data.pending.len(),
            waiting: data.waiting.len(),
            parked: data.parked.len(),
            attempts: data.attempts.len(),
        }
    }

    /// All messages, by key.
    pub fn all_messages(&self) -> Vec<Message> {
        self.inner().data.messages.values().map(|stored| stored.message.clone()).collect()
    }

    /// All deliveries without an outcome, by message and endpoint.
    pub fn all_pending(&self) -> Vec<Pending> {
        self.inner().data.pending.iter().copied().map(data::pending).collect()
    }

    /// All deliveries with a due time, by endpoint and place.
    pub fn all_waiting(&self) -> Vec<(EndpointKey, Waiting)> {
        self.inner()
            .data
            .waiting
            .iter()
            .map(|(place, rest)| (EndpointKey(place.0), data::waiting(place, *rest)))
            .collect()
    }

    /// All deliveries set aside, by endpoint and message.
    pub fn all_parked(&self) -> Vec<(DeliveryKey, Parked)> {
        let inner = self.inner();
        let key = |&(endpoint, message)| DeliveryKey { message: MessageKey(message), endpoint: EndpointKey(endpoint) };
        inner.data.parked.iter().map(|(place, parked)| (key(place), *parked)).collect()
    }

    /// All attempts, in the order in which they were recorded.
    pub fn all_attempts(&self) -> Vec<StoredAttempt> {
        self.inner().data.attempts.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to a [`MemoryStore`].
pub struct MemoryWriter {
    store: MemoryStore,
    node: Option<u16>,
}

impl StoreWriter for MemoryWriter {
    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Reply>, CommitError> {
        let mut inner = self.store.inner();
        if let Some(error) = inner.failures.pop_front() {
            return Err(error);
        }
        let least = self.node.and_then(|node| inner.tenures.get(&node).copied()).unwrap_or(i64::MIN);
        let apply = |command: &Command| match command {
            Command::Settle(settle) if settle.tenure < least => Err(Refusal::Fenced),
            command => inner.data.apply(command),
        };
        Ok(batch.iter().map(apply).collect())
    }

    fn tend(&mut self, _now: UnixMs) -> Result<bool, CommitError> {
        Ok(false)
    }

    fn backup(&mut self, _file: &Path, _between: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        anyhow::bail!("a store in memory has no backup")
    }
}

#[async_trait]
impl StoreReader for MemoryStore {
    async fn app_config(&self, app: AppKey) -> Result<Option<AppConfig>, ReadError> {
        Ok(self.inner().data.app_config(app))
    }

    async fn app_by_uid(&self, env: EnvKey, uid: &str) -> Result<Option<AppKey>, ReadError> {
        Ok(self.inner().data.app_of_uid(env, uid).map(crate::model::Application::key))
    }

    async fn operational_app(&self, _: EnvKey) -> Result<Option<AppKey>, ReadError> {
        Ok(None)
    }

    async fn env_policy(&self, env: EnvKey) -> Result<Option<EnvPolicy>, ReadError> {
        Ok(self.inner().data.policies.get(&env.0).cloned())
    }

    async fn apps_of(&self, endpoints: &[EndpointKey]) -> Result<Vec<(EndpointKey, AppKey)>, ReadError> {
        let inner = self.inner();
        let app = |key: &EndpointKey| inner.data.endpoints.get(&key.0).map(|endpoint| (*key, endpoint.app));
        Ok(endpoints.iter().filter_map(app).collect())
    }

    async fn messages(&self, keys: &[MessageKey]) -> Result<Vec<Message>, ReadError> {
        let inner = self.inner();
        Ok(keys.iter().filter_map(|key| inner.data.messages.get(&key.0).map(|stored| stored.message.clone())).collect())
    }

    async fn pending(&self, slots: &SlotSet, after: Option<Pending>, limit: usize) -> Result<Vec<Pending>, ReadError> {
        let after = after.map_or((i64::MIN, i64::MIN), |after| (after.message.0, after.endpoint.0));
        let inner = self.inner();
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let found = inner.data.pending.range(behind).filter(|(_, endpoint)| slots.contains_key(*endpoint));
        Ok(found.take(limit).copied().map(data::pending).collect())
    }

    async fn waiting_endpoints(&self, slots: &SlotSet) -> Result<Vec<(EndpointKey, UnixMs)>, ReadError> {
        let inner = self.inner();
        let mut found: Vec<(EndpointKey, UnixMs)> = Vec::new();
        for &(endpoint, due, _) in inner.data.waiting.keys() {
            if slots.contains_key(endpoint) && found.last().is_none_or(|last| last.0.0 != endpoint) {
                found.push((EndpointKey(endpoint), due));
            }
        }
        Ok(found)
    }

    async fn waiting(
        &self,
        endpoint: EndpointKey,
        after: Option<(UnixMs, MessageKey)>,
        limit: usize,
    ) -> Result<Vec<Waiting>, ReadError> {
        let (due, message) = after.map_or((i64::MIN, i64::MIN), |(due, message)| (due, message.0));
        let inner = self.inner();
        let behind = (std::ops::Bound::Excluded((endpoint.0, due, message)), std::ops::Bound::Unbounded);
        let own = inner.data.waiting.range(behind).take_while(|(place, _)| place.0 == endpoint.0);
        Ok(own.take(limit).map(|(place, rest)| data::waiting(place, *rest)).collect())
    }
}
