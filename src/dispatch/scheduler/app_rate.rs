//! Rates over all endpoints of an application.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::Scheduler;
use super::held::Lane;
use crate::dispatch::lane::Rate;
use crate::dispatch::ownership::Share;
use crate::model::{AppKey, EndpointKey, UnixMs};

/// The rate over all endpoints of an application, and the lanes that wait for it in the order in which
/// they came: whoever took a token stands behind the others for the next.
pub(super) struct AppRate {
    pub(super) rate: Rate,
    share: Share,
    pub(super) blocked: VecDeque<EndpointKey>,
    pub(super) wake: Option<UnixMs>,
}

/// What of a rate is this process's, in thousandths of an attempt per second: as much as of the application's
/// endpoints. All parts together are never more than the rate, and short of it by less than a thousandth each.
pub(super) fn part_of(per_s: u16, share: Share) -> i64 {
    let whole = i64::from(per_s.max(1)) * 1_000;
    let (held, all) = (share.held.min(share.all) as i64, share.all.max(1) as i64);
    whole * held / all
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
            let at = now + found.rate.token_ms();
            found.wake = Some(at);
            self.app_timers.insert((at, app));
        }
    }

    /// The rate over all endpoints of an application as its configuration says now, and which part of it is
    /// this process's (`None`: as before); the bucket stays.
    pub fn set_app_rate(&mut self, app: AppKey, rate: Option<u16>, share: Option<Share>, now: UnixMs) {
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
            Some(per_s) => {
                if let Some(found) = self.app_rates.get_mut(&app) {
                    found.share = share.unwrap_or(found.share);
                    let part = part_of(per_s, found.share).max(1);
                    if found.rate.thousandths() == part {
                        return;
                    }
                    found.rate.change(part, now);
                    if let Some(wake) = found.wake.take() {
                        self.app_timers.remove(&(wake, app));
                    }
                    self.unblock(app, now);
                } else {
                    let share = share.unwrap_or(Share::WHOLE);
                    let rate = Rate::per_1000_s(part_of(per_s, share), now);
                    self.app_rates.insert(app, AppRate { rate, share, blocked: VecDeque::new(), wake: None });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_a_rate_are_the_rate(per_s in 1_u16.., parts in proptest::collection::vec(0_usize..400, 1..9)) {
            let all: usize = parts.iter().sum();
            let sum: i64 = parts.iter().map(|&held| part_of(per_s, Share { held, all })).sum();
            let whole = if all == 0 { 0 } else { i64::from(per_s) * 1_000 };
            prop_assert!(sum <= whole && whole - sum < parts.len() as i64, "{} of {}", sum, whole);
            prop_assert_eq!(part_of(per_s, Share { held: all, all }), whole);
            prop_assert_eq!(part_of(per_s, Share::WHOLE), i64::from(per_s) * 1_000);
        }
    }

    #[test]
    fn a_part_of_less_than_one_a_second_is_kept() {
        // One a second, over three nodes.
        let mut rate = Rate::per_1000_s(part_of(1, Share { held: 1, all: 3 }), 0);
        let (mut now, mut sent) = (0, 0);
        while now <= 3_000_000 {
            if rate.ready_at(now) == now {
                rate.spend();
                sent += 1;
            }
            now = rate.ready_at(now).max(now + 1);
        }
        assert!((999..=1_000).contains(&sent), "a burst of one, and 333 in 1000 s: {sent}");
    }
}
