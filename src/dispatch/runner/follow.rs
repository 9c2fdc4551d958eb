//! Following the journal: what was committed goes to its lanes, and what is no more leaves them.

use std::collections::HashMap;

use rustc_hash::FxHashSet;

use super::{Dispatcher, Inner, NO_APP, Scheduler};
use crate::model::{AppKey, EndpointKey, MessageKey, Next, Trigger, UnixMs, Waiting};
use crate::store::command::{Became, Changed, Command, Done, Publish, Published, Raised, Reply, Settle, Settled};
use crate::store::journal::Observer;
use crate::store::maintenance::{Maintained, Recovered};

impl Inner {
    /// A message was committed: its deliveries go to their lanes.
    fn published(&self, scheduler: &mut Scheduler, publish: &Publish, published: &Published, now: UnixMs) {
        let (config, routes) = match &published.rerouted {
            Some((config, routes)) => (config, routes),
            None => (&publish.config, &publish.routes),
        };
        if routes.is_empty() {
            return;
        }
        let app = config.app.key();
        scheduler.set_app_rate(app, config.app.spec.throttle_rate, now);
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
            if let Some(due) = delayed.or(route.spilled.then_some(publish.at)) {
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
    fn settled(&self, scheduler: &mut Scheduler, settle: &Settle, settled: &Settled, now: UnixMs) {
        scheduler.stored_outcome(settle.endpoint, settle.message, settle.taken);
        // Its place may have been another's: then it stands where the writer says.
        if let (true, Next::Retry { due, attempts }) = (settled.applied, settled.next) {
            let waiting = Waiting { due, message: settle.message, attempts, trigger: Trigger::Scheduled };
            scheduler.wait(settle.endpoint, settle.app, waiting, now);
        }
        if let (true, Trigger::Manual, Next::Done) = (settled.applied, settle.trigger, settle.next) {
            scheduler.withdraw(settle.endpoint, settle.message);
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

    fn changed(&self, scheduler: &mut Scheduler, changed: &Changed, now: UnixMs) {
        self.parts.snapshots.changed(changed);
        if let Changed::Endpoint(endpoint, _) = changed
            && endpoint.failing.is_none()
        {
            // It goes elsewhere, or is enabled: what was seen of it before counts no more.
            self.failing.forget(endpoint.key());
        }
        match changed {
            Changed::Application(app, _) => scheduler.set_app_rate(app.key(), app.spec.throttle_rate, now),
            Changed::ApplicationDeleted { app, endpoints } => self.application_gone(scheduler, *app, endpoints, now),
            Changed::Endpoint(endpoint, _) if endpoint.spec.disabled.is_some() => {
                self.failing.forget(endpoint.key());
                scheduler.drain(endpoint.key(), now);
            }
            Changed::Endpoint(endpoint, Became::Enabled) => {
                scheduler.probe(endpoint.key(), endpoint.app, endpoint.spec.throttle_rate, now);
            }
            Changed::Endpoint(endpoint, _) => scheduler.revive(endpoint.key(), endpoint.spec.throttle_rate, now),
            Changed::EndpointDeleted { endpoint, .. } => {
                self.failing.forget(*endpoint);
                scheduler.abandon(*endpoint, NO_APP, now);
            }
            Changed::Resent { app, endpoint, waiting } => scheduler.wait(*endpoint, *app, *waiting, now),
            Changed::Expunged { message, endpoints } => {
                self.expunged.add(*message);
                for endpoint in endpoints {
                    scheduler.forget(*endpoint, &FxHashSet::from_iter([*message]));
                }
            }
            Changed::SourceDeleted { app: Some((app, endpoints)), .. } => {
                self.application_gone(scheduler, *app, endpoints, now);
            }
            Changed::Source(..)
            | Changed::SourceDeleted { app: None, .. }
            | Changed::RequestLogged
            | Changed::Environment(_)
            | Changed::ApiKey(_)
            | Changed::Resealed(_)
            | Changed::EventType(..)
            | Changed::EventTypeDeleted(_)
            | Changed::Settings(..)
            | Changed::PortalToken(..)
            | Changed::PortalTokenRevoked
            | Changed::AnswerExpunged
            | Changed::Task(_) => {}
        }
    }

    fn application_gone(&self, scheduler: &mut Scheduler, app: AppKey, endpoints: &[EndpointKey], now: UnixMs) {
        scheduler.set_app_rate(app, None, now);
        for endpoint in endpoints {
            self.failing.forget(*endpoint);
            scheduler.abandon(*endpoint, NO_APP, now);
        }
    }

    /// A slice of maintenance was committed: what it removed is not sent, what it recovered is.
    fn maintained(scheduler: &mut Scheduler, maintained: &Maintained, now: UnixMs) {
        let mut gone: HashMap<EndpointKey, FxHashSet<MessageKey>> = HashMap::new();
        for pending in &maintained.withdrawn {
            gone.entry(pending.endpoint).or_default().insert(pending.message);
        }
        for (endpoint, messages) in &gone {
            scheduler.forget(*endpoint, messages);
        }
        if let Some(Recovered { app, endpoint, due }) = maintained.recovered {
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
                    route.spilled = scheduler.is_full(route.endpoint);
                }
            }
        }
    }

    fn committed(&self, batch: Vec<Command>, replies: &[Reply], raised: Vec<Raised>) {
        let inner = &self.inner;
        let now = inner.now();
        {
            let mut scheduler = inner.scheduler();
            for (command, reply) in batch.iter().zip(replies) {
                match (command, reply) {
                    (Command::Publish(publish), Ok(Done::Published(published))) => {
                        inner.published(&mut scheduler, publish, published, now);
                    }
                    (Command::Settle(settle), Ok(Done::Settled(settled))) => {
                        inner.settled(&mut scheduler, settle, settled, now);
                    }
                    (_, Ok(Done::Changed(changed))) => inner.changed(&mut scheduler, changed, now),
                    (_, Ok(Done::Maintained(maintained))) => Inner::maintained(&mut scheduler, maintained, now),
                    _ => {}
                }
            }
            for Raised { publish, published } in &raised {
                inner.published(&mut scheduler, publish, published, now);
            }
        }
        inner.pump();
    }

    fn lost_outcome(&self, command: Command) {
        if let Command::Settle(settle) = command {
            let endpoint = settle.endpoint;
            self.inner.scheduler().stored_outcome(endpoint, settle.message, settle.taken);
        }
    }
}
