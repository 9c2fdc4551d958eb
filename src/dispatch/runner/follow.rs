//! Following the journal: what was committed goes to its lanes, and what is no more leaves them. What lies
//! in slots that are not held is left to who holds them, who is told.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::slots::News;
use super::{Dispatcher, Inner, NO_APP, Scheduler};
use crate::model::id::key_time;
use crate::model::{AppKey, EndpointKey, MessageKey, Next, SlotSet, Trigger, UnixMs, Waiting, slot_of};
use crate::store::command::{
    Became, Changed, Command, Done, Publish, Published, Raised, Refusal, Reply, Settle, Settled,
};
use crate::store::journal::Observer;
use crate::store::maintenance::{Maintained, Recovered};

/// What comes of a batch beside what its lanes get.
#[derive(Default)]
struct Aftermath {
    /// What is new in slots of others.
    others: News,
    /// Slots whose deliveries in flight were refused: they are read again.
    again: SlotSet,
    /// Places in flight became free.
    is_freed: bool,
}

/// What somebody else has to do.
#[derive(Clone, Copy)]
enum Elsewhere {
    Pending(MessageKey),
    Waiting(AppKey, UnixMs),
}

impl Inner {
    /// Whether an endpoint is dispatched here; else whoever does it is told.
    fn is_ours(&self, endpoint: EndpointKey, what: Elsewhere, after: &mut Aftermath) -> bool {
        let is_ours = self.parts.ownership.holds(endpoint);
        if !is_ours {
            match what {
                Elsewhere::Pending(message) => after.others.add(endpoint, message),
                Elsewhere::Waiting(app, due) => after.others.waits.push((endpoint, app, due)),
            }
        }
        is_ours
    }

    /// A message was committed: its deliveries go to their lanes.
    fn published(
        self: &Arc<Self>,
        scheduler: &mut Scheduler,
        (publish, published): (&Publish, &Published),
        after: &mut Aftermath,
        now: UnixMs,
    ) {
        scheduler.follow(MessageKey(published.id.key));
        let (config, routes) = match &published.rerouted {
            Some((config, routes)) => (config, routes),
            None => (&publish.config, &publish.routes),
        };
        if routes.is_empty() {
            return;
        }
        let app = config.app.key();
        let rate = config.app.spec.throttle_rate;
        scheduler.set_app_rate(app, rate, rate.map(|_| self.parts.ownership.share_of(config)), now);
        let message = crate::model::MessageKey(published.id.key);
        let delayed = publish.envelope.deliver_at.filter(|&at| at > publish.at);
        let content_type = publish.envelope.content_type.as_ref();
        let body = match delayed {
            None => {
                let inbound = publish.inbound.as_ref();
                let outside = (inbound.map(|it| &it.received), inbound.and_then(|it| it.awaited.as_ref()));
                let event_type = &publish.envelope.event_type;
                self.budget.keep(published.id, &publish.payload, event_type, content_type, outside, now)
            }
            Some(_) => None,
        };
        for route in routes.iter().filter(|route| !route.held) {
            let due = delayed.or(route.spilled.then_some(key_time(message.0)));
            let what = due.map_or(Elsewhere::Pending(message), |due| Elsewhere::Waiting(app, due));
            if !self.is_ours(route.endpoint, what, after) {
                continue;
            }
            if published.rerouted.is_some() {
                // Another node has changed the application, and this one has not heard of it yet.
                self.drop_older(app, route.endpoint, config.app.version);
            }
            if let Some(due) = due {
                let waiting = Waiting { due, message, attempts: 0, trigger: Trigger::Scheduled };
                scheduler.wait(route.endpoint, app, waiting, now);
            } else {
                let endpoint = config.endpoint(route.endpoint);
                let rate = endpoint.and_then(|endpoint| endpoint.spec.throttle_rate);
                scheduler.offer(route.endpoint, app, rate, message, body.clone(), now);
                if endpoint.is_some_and(|endpoint| endpoint.failing.is_some()) {
                    scheduler.note_failing(route.endpoint);
                }
            }
        }
    }

    /// An outcome was committed: its place in flight is free, and a retry gets its place.
    fn settled(
        &self,
        scheduler: &mut Scheduler,
        (settle, settled): (&Settle, &Settled),
        after: &mut Aftermath,
        now: UnixMs,
    ) {
        scheduler.stored_outcome(settle.endpoint, settle.message, settle.taken);
        after.is_freed = true;
        // Its place may have been another's: then it stands where the writer says.
        if let (true, Next::Retry { due, attempts }) = (settled.applied, settled.next)
            && self.is_ours(settle.endpoint, Elsewhere::Waiting(settle.app, due), after)
        {
            let waiting = Waiting { due, message: settle.message, attempts, trigger: Trigger::Scheduled };
            scheduler.wait(settle.endpoint, settle.app, waiting, now);
        }
        if let (true, Trigger::Manual, Next::Done) = (settled.applied, settle.trigger, settle.next) {
            scheduler.withdraw(settle.endpoint, &FxHashSet::from_iter([settle.message]));
        }
        if let Some(endpoint) = &settled.endpoint {
            if endpoint.spec.disabled.is_none() {
                self.parts.snapshots.endpoint_changed(endpoint);
            } else {
                self.parts.snapshots.app_changed(settle.app);
                self.failing.forget(settle.endpoint);
                scheduler.drain(settle.endpoint, now);
            }
        }
    }

    /// An outcome was refused, because what it tells of is another node's. What the store holds of it counts.
    fn refused(&self, scheduler: &mut Scheduler, settle: &Settle, refusal: Refusal, after: &mut Aftermath) {
        tracing::warn!(%refusal, tenure = settle.tenure, "an outcome was refused");
        if refusal == Refusal::Fenced {
            self.parts.metrics.fenced_outcomes.inc();
            self.parts.ownership.end(settle.tenure);
        }
        scheduler.refused_outcome(settle.endpoint, settle.message, settle.taken);
        after.is_freed = true;
        if self.parts.ownership.may_work(slot_of(settle.endpoint.0)) {
            after.again.insert(slot_of(settle.endpoint.0));
        }
    }

    fn changed(&self, scheduler: &mut Scheduler, changed: &Changed, after: &mut Aftermath, now: UnixMs) {
        self.parts.snapshots.changed(changed);
        if let Changed::Endpoint(endpoint, _) = changed
            && endpoint.failing.is_none()
        {
            // It goes elsewhere, or is enabled: what was seen of it before counts no more.
            self.failing.forget(endpoint.key());
        }
        match changed {
            Changed::Application(app, _) => scheduler.set_app_rate(app.key(), app.spec.throttle_rate, None, now),
            Changed::ApplicationDeleted { app, endpoints } => self.application_gone(scheduler, *app, endpoints, now),
            Changed::Endpoint(endpoint, _) if endpoint.spec.disabled.is_some() => {
                self.failing.forget(endpoint.key());
                scheduler.drain(endpoint.key(), now);
            }
            Changed::Endpoint(endpoint, Became::Enabled) if self.parts.ownership.holds(endpoint.key()) => {
                scheduler.probe(endpoint.key(), endpoint.app, endpoint.spec.throttle_rate, now);
            }
            Changed::Endpoint(endpoint, _) => scheduler.revive(endpoint.key(), endpoint.spec.throttle_rate, now),
            Changed::EndpointDeleted { endpoint, .. } => {
                self.failing.forget(*endpoint);
                scheduler.abandon(*endpoint, NO_APP, now);
            }
            Changed::Resent { app, endpoint, waiting } => {
                if self.is_ours(*endpoint, Elsewhere::Waiting(*app, waiting.due), after) {
                    scheduler.wait(*endpoint, *app, *waiting, now);
                }
            }
            Changed::ResentFailed { app, resent } => {
                for (endpoint, waiting) in resent {
                    if self.is_ours(*endpoint, Elsewhere::Waiting(*app, waiting.due), after) {
                        scheduler.wait(*endpoint, *app, *waiting, now);
                    }
                }
            }
            Changed::Expunged { message, endpoints } => {
                self.expunged.add(*message);
                for endpoint in endpoints {
                    scheduler.forget(*endpoint, &FxHashSet::from_iter([*message]));
                }
            }
            Changed::SourceDeleted { app: Some((app, endpoints)), .. } => {
                self.application_gone(scheduler, *app, endpoints, now);
            }
            Changed::EnvironmentDeleted { apps, .. } => {
                for (app, endpoints) in apps {
                    self.application_gone(scheduler, *app, endpoints, now);
                }
            }
            Changed::Source(..)
            | Changed::SourceDeleted { app: None, .. }
            | Changed::RequestLogged
            | Changed::Environment(_)
            | Changed::ApiKey(_)
            | Changed::KeyUseNoted
            | Changed::SessionOpened
            | Changed::SessionClosed
            | Changed::Resealed(_)
            | Changed::EventType(..)
            | Changed::EventTypesImported(..)
            | Changed::EventTypeDeleted(_)
            | Changed::Settings(..)
            | Changed::PortalToken(..)
            | Changed::PortalTokenRevoked
            | Changed::AnswerExpunged
            | Changed::Task(_) => {}
        }
    }

    fn application_gone(&self, scheduler: &mut Scheduler, app: AppKey, endpoints: &[EndpointKey], now: UnixMs) {
        scheduler.set_app_rate(app, None, None, now);
        for endpoint in endpoints {
            self.failing.forget(*endpoint);
            scheduler.abandon(*endpoint, NO_APP, now);
        }
    }

    /// A slice of maintenance was committed: what it removed is not sent, what it recovered is.
    fn maintained(&self, scheduler: &mut Scheduler, maintained: &Maintained, after: &mut Aftermath, now: UnixMs) {
        let mut gone: HashMap<EndpointKey, FxHashSet<MessageKey>> = HashMap::new();
        for pending in &maintained.withdrawn {
            gone.entry(pending.endpoint).or_default().insert(pending.message);
        }
        for (endpoint, messages) in &gone {
            scheduler.forget(*endpoint, messages);
        }
        let mut moved: HashMap<EndpointKey, FxHashSet<MessageKey>> = HashMap::new();
        for pending in &maintained.moved_up {
            moved.entry(pending.endpoint).or_default().insert(pending.message);
        }
        for (endpoint, messages) in &moved {
            scheduler.withdraw(*endpoint, messages);
        }
        if let Some(Recovered { app, endpoint, due }) = maintained.recovered
            && self.is_ours(endpoint, Elsewhere::Waiting(app, due), after)
        {
            scheduler.stored(endpoint, app, due, now);
        }
    }
}

impl Observer for Dispatcher {
    fn forming(&self, batch: &mut [Command]) {
        let scheduler = self.inner.scheduler();
        for command in batch {
            if let Command::Publish(publish) = command {
                for route in &mut publish.routes {
                    // What is another's waits for it as it is: only that one knows its lane.
                    let is_ours = self.inner.parts.ownership.holds(route.endpoint);
                    route.spilled = is_ours && scheduler.is_full(route.endpoint);
                }
            }
        }
    }

    fn committed(&self, batch: Vec<Command>, replies: &[Reply], raised: Vec<Raised>) {
        let inner = &self.inner;
        let now = inner.now();
        let mut after = Aftermath::default();
        {
            let mut scheduler = inner.scheduler();
            for (command, reply) in batch.iter().zip(replies) {
                match (command, reply) {
                    (Command::Publish(publish), Ok(Done::Published(published))) => {
                        inner.published(&mut scheduler, (publish, published), &mut after, now);
                    }
                    (Command::Settle(settle), Ok(Done::Settled(settled))) => {
                        inner.settled(&mut scheduler, (settle, settled), &mut after, now);
                    }
                    (Command::Settle(settle), Err(refusal)) => {
                        inner.refused(&mut scheduler, settle, *refusal, &mut after);
                    }
                    (_, Ok(Done::Changed(changed))) => inner.changed(&mut scheduler, changed, &mut after, now),
                    (_, Ok(Done::Maintained(maintained))) => {
                        inner.maintained(&mut scheduler, maintained, &mut after, now);
                    }
                    _ => {}
                }
            }
            for Raised { publish, published } in &raised {
                inner.published(&mut scheduler, (publish, published), &mut after, now);
            }
        }
        if after.is_freed {
            inner.freed.notify_waiters();
        }
        if !after.others.is_empty() {
            inner.parts.neighbours.tell(std::mem::take(&mut after.others));
        }
        inner.look_again(&after.again);
        inner.pump();
    }

    fn lost_outcome(&self, command: Command) {
        if let Command::Settle(settle) = command {
            let endpoint = settle.endpoint;
            self.inner.scheduler().stored_outcome(endpoint, settle.message, settle.taken);
            self.inner.freed.notify_waiters();
        }
    }
}
