//! What a store in memory holds, and what messages and outcomes do to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::slices::StoredTask;
use crate::model::id::key_time;
use crate::model::{
    AppConfig, AppKey, Application, Endpoint, EndpointKey, EnvKey, EnvPolicy, Id, KeyMaker, Message, MessageKey, Next,
    Outcome, Parked, Pending, Taken, Trigger, UnixMs, Waiting,
};
use crate::store::command::{Command, Done, Idempotency, Publish, Published, Refusal, Reply, Settle, Settled};
use crate::store::idempotency::Kind;

/// An attempt as recorded.
#[derive(Debug, Clone)]
pub struct StoredAttempt {
    /// Its id.
    pub id: Id,
    /// Of which message.
    pub message: MessageKey,
    /// To which endpoint.
    pub endpoint: EndpointKey,
    /// Names the URL that it went to.
    pub url_id: i64,
    /// What started it.
    pub trigger: Trigger,
    /// What it came to.
    pub outcome: Outcome,
}

pub(super) struct StoredMessage {
    pub(super) message: Message,
    idempotency: Option<Idempotency>,
}

/// Endpoint, due time, message: the order in which deliveries wait.
pub(super) type Place = (i64, UnixMs, i64);

pub(super) struct Data {
    pub(super) keys: KeyMaker,
    pub(super) rng: StdRng,
    pub(super) endpoints_max: usize,
    pub(super) apps: BTreeMap<i64, Application>,
    pub(super) endpoints: BTreeMap<i64, Arc<Endpoint>>,
    pub(super) url_ids: i64,
    pub(super) policies: HashMap<i64, EnvPolicy>,
    /// Answers to changes: fingerprint, status, body, until when.
    pub(super) remembered: HashMap<[u8; 16], ([u8; 8], u16, String, UnixMs)>,
    pub(super) messages: BTreeMap<i64, StoredMessage>,
    seen: HashMap<([u8; 16], bool), i64>,
    event_ids: HashMap<(AppKey, String), i64>,
    pub(super) pending: BTreeSet<(i64, i64)>,
    pub(super) waiting: BTreeMap<Place, (u16, Trigger)>,
    pub(super) parked: BTreeMap<(i64, i64), Parked>,
    pub(super) attempts: Vec<StoredAttempt>,
    pub(super) tasks: BTreeMap<i64, StoredTask>,
}

pub(super) fn pending((message, endpoint): (i64, i64)) -> Pending {
    Pending { message: MessageKey(message), endpoint: EndpointKey(endpoint) }
}

pub(super) fn waiting(&(_, due, message): &Place, (attempts, trigger): (u16, Trigger)) -> Waiting {
    Waiting { due, message: MessageKey(message), attempts, trigger }
}

impl Data {
    pub(super) fn new(seed: u64, endpoints_max: usize) -> Self {
        Self {
            keys: KeyMaker::new(0, 0),
            rng: StdRng::seed_from_u64(seed),
            endpoints_max,
            apps: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            url_ids: 0,
            policies: HashMap::new(),
            remembered: HashMap::new(),
            messages: BTreeMap::new(),
            seen: HashMap::new(),
            event_ids: HashMap::new(),
            pending: BTreeSet::new(),
            waiting: BTreeMap::new(),
            parked: BTreeMap::new(),
            attempts: Vec::new(),
            tasks: BTreeMap::new(),
        }
    }

    pub(super) fn new_id(&mut self, now: UnixMs) -> Id {
        let mut nonce = [0; 12];
        self.rng.fill_bytes(&mut nonce);
        Id { key: self.keys.next_key(now), nonce }
    }

    pub(super) fn app_config(&self, app: AppKey) -> Option<AppConfig> {
        let found = self.apps.get(&app.0)?;
        let endpoints = self.endpoints.values().filter(|endpoint| endpoint.app == app).cloned().collect();
        Some(AppConfig { app: found.clone(), endpoints })
    }

    pub(super) fn app_of_uid(&self, env: EnvKey, uid: &str) -> Option<&Application> {
        self.apps.values().find(|app| app.env == env && app.uid.as_deref() == Some(uid))
    }

    pub(super) fn apply(&mut self, command: &Command) -> Reply {
        match command {
            Command::Publish(publish) => self.publish(publish),
            Command::Settle(settle) => Ok(Done::Settled(self.settle(settle))),
            Command::Change(request) => self.change_remembered(request),
            Command::Maintain(slice) => Ok(Done::Maintained(Box::new(self.maintain(*slice)))),
        }
    }

    fn publish(&mut self, publish: &Publish) -> Reply {
        let app = publish.config.app.key();
        let version = self.apps.get(&app.0).ok_or(Refusal::NotFound)?.version;
        if let Some(first) = publish.idempotency.as_ref().and_then(|key| self.published_before(key, publish.at)) {
            if first.message.app != app || first.idempotency != publish.idempotency {
                return Err(Refusal::IdempotencyMismatch);
            }
            return Ok(Done::Repeated(Box::new(first.message.clone())));
        }
        let event = publish.envelope.event_id.as_ref().map(|id| (app, id.clone()));
        if event.as_ref().is_some_and(|event| self.event_ids.contains_key(event)) {
            return Err(Refusal::EventIdExists);
        }
        let rerouted = if version == publish.config.app.version {
            None
        } else {
            let config = self.app_config(app).ok_or(Refusal::NotFound)?;
            let routes = publish.routed_by(&config)?;
            Some((Arc::new(config), routes))
        };
        let id = self.new_id(publish.at);
        let delayed = publish.envelope.deliver_at.filter(|&at| at > publish.at);
        for route in rerouted.as_ref().map_or(&publish.routes, |(_, routes)| routes) {
            if route.held {
                self.parked.insert((route.endpoint.0, id.key), Parked::Held);
            } else if let Some(due) = delayed.or(route.spilled.then_some(key_time(id.key))) {
                self.waiting.insert((route.endpoint.0, due, id.key), (0, Trigger::Scheduled));
            } else {
                self.pending.insert((id.key, route.endpoint.0));
            }
        }
        if let Some(key) = &publish.idempotency {
            self.seen.insert((key.hash, key.auto), id.key);
        }
        if let Some(event) = event {
            self.event_ids.insert(event, id.key);
        }
        let payload = Some(publish.payload.clone());
        let message = Message { id, app, envelope: publish.envelope.clone(), source: None, payload, received: None };
        self.messages.insert(id.key, StoredMessage { message, idempotency: publish.idempotency });
        Ok(Done::Published(Published { id, rerouted }))
    }

    fn published_before(&self, key: &Idempotency, now: UnixMs) -> Option<&StoredMessage> {
        let kind = if key.auto { Kind::Automatic } else { Kind::Chosen };
        let message = *self.seen.get(&(key.hash, key.auto))?;
        let alive = kind.lifetime_ms().is_none_or(|lifetime| crate::model::id::key_time(message) + lifetime > now);
        self.messages.get(&message).filter(|_| alive)
    }

    fn settle(&mut self, settle: &Settle) -> Settled {
        let (endpoint, message) = (settle.endpoint.0, settle.message.0);
        let applied = match settle.taken {
            Taken::Pending => self.pending.remove(&(message, endpoint)),
            Taken::Waiting { due } => self.waiting.remove(&(endpoint, due, message)).is_some(),
        };
        let mut next = settle.next;
        if applied {
            match &mut next {
                Next::Done if settle.trigger == Trigger::Manual => self.end_all(endpoint, message),
                Next::Done | Next::Nothing => {}
                Next::Retry { due, attempts } => {
                    *due = self.wait((endpoint, *due, message), (*attempts, settle.trigger));
                }
                Next::Park(parked) => {
                    self.parked.insert((endpoint, message), *parked);
                }
            }
        } else if settle.next == Next::Done && self.parked.get(&(endpoint, message)) == Some(&Parked::Cancelled) {
            self.parked.remove(&(endpoint, message));
        }
        if let Some(record) = &settle.attempt {
            let id = self.new_id(record.outcome.started_at);
            self.attempts.push(StoredAttempt {
                id,
                message: settle.message,
                endpoint: settle.endpoint,
                url_id: record.url_id,
                trigger: settle.trigger,
                outcome: record.outcome.clone(),
            });
        }
        let endpoint = if applied { self.health(settle) } else { None };
        Settled { applied, next, endpoint }
    }

    /// The place, or the first free one behind it: a resend that is there stays. Says when it is due.
    fn wait(&mut self, mut place: Place, rest: (u16, Trigger)) -> UnixMs {
        while self.waiting.contains_key(&place) {
            place.1 += 1;
        }
        self.waiting.insert(place, rest);
        place.1
    }

    fn end_all(&mut self, endpoint: i64, message: i64) {
        self.pending.remove(&(message, endpoint));
        self.parked.remove(&(endpoint, message));
        self.waiting.retain(|place, _| (place.0, place.2) != (endpoint, message));
    }
}
