//! Rates over all endpoints of an application.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::Scheduler;
use super::held::Lane;
use crate::dispatch::lane::Rate;
use crate::model::{AppKey, EndpointKey, UnixMs};

/// The rate over all endpoints of an application, and the lanes that wait for it in the order in which
/// they came: whoever took a token stands behind the others for the next.
pub(super) struct AppRate {
    pub(super) rate: Rate,
    pub(super) blocked: VecDeque<EndpointKey>,
    pub(super) wake: Option<UnixMs>,
}

impl Scheduler {
    /// Whether the rate of the lane's application is used up; then it waits for its turn there.
    pub(super) fn is_blocked(
        lane: &mut Lane,
        endpoint: EndpointKey,
        app_rates: &mut FxHashMap<AppKey, AppRate>,
        app_timers: &mut BTreeSet<(UnixMs, AppKey)>,
        now: UnixMs,
    ) -> bool {
        if lane.draining || app_rates.is_empty() {
            return false;
        }
        let Some(app) = app_rates.get_mut(&lane.app) else { return false };
        let at = app.rate.ready_at(now);
        if at <= now {
            return false;
        }
        lane.blocked = true;
        app.blocked.push_back(endpoint);
        if app.wake.is_none() {
            app.wake = Some(at);
            app_timers.insert((at, lane.app));
        }
        true
    }

    /// Lets as many lanes of an application go on as it has tokens, those first that wait longest.
    pub(super) fn unblock(&mut self, app: AppKey, now: UnixMs) {
        let Some(found) = self.app_rates.get_mut(&app) else { return };
        found.wake = None;
        let mut tokens = found.rate.tokens_at(now);
        while tokens > 0 {
            let next = self.app_rates.get_mut(&app).and_then(|found| found.blocked.pop_front());
            let Some(endpoint) = next else { return };
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.blocked = false;
            self.refresh(endpoint, now);
            tokens -= i64::from(self.lanes.get(&endpoint).is_some_and(|lane| lane.queued));
        }
        let Some(found) = self.app_rates.get_mut(&app).filter(|found| !found.blocked.is_empty()) else { return };
        if found.wake.is_none() {
            // Those that were let go take what there is: the next token is a token's time away.
            let at = now + (1000 / found.rate.per_s()).max(1);
            found.wake = Some(at);
            self.app_timers.insert((at, app));
        }
    }

    /// The rate over all endpoints of an application as its configuration says now; an unchanged one
    /// keeps its bucket.
    pub fn set_app_rate(&mut self, app: AppKey, rate: Option<u16>, now: UnixMs) {
        match rate {
            None if self.app_rates.is_empty() => {}
            None => {
                let Some(removed) = self.app_rates.remove(&app) else { return };
                if let Some(wake) = removed.wake {
                    self.app_timers.remove(&(wake, app));
                }
                for endpoint in removed.blocked {
                    if let Some(lane) = self.lanes.get_mut(&endpoint) {
                        lane.blocked = false;
                        self.refresh(endpoint, now);
                    }
                }
            }
            Some(per_s) => match self.app_rates.get_mut(&app) {
                Some(found) if found.rate.per_s() == i64::from(per_s.max(1)) => {}
                Some(found) => {
                    found.rate = Rate::new(per_s, now);
                    if let Some(wake) = found.wake.take() {
                        self.app_timers.remove(&(wake, app));
                    }
                    self.unblock(app, now);
                }
                None => {
                    let rate = Rate::new(per_s, now);
                    self.app_rates.insert(app, AppRate { rate, blocked: VecDeque::new(), wake: None });
                }
            },
        }
    }
}
