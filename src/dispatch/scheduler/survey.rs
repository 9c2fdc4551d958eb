//! What an operator asks of all lanes at once.

use super::Scheduler;
use crate::dispatch::lane::Breaker;
use crate::model::{AppKey, EndpointKey, UnixMs};

/// Lanes that are told of, those that wait longest first.
const TOLD_MAX: usize = 1_000;

/// A lane that has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneNow {
    /// Whose deliveries.
    pub endpoint: EndpointKey,
    /// Whose endpoint.
    pub app: AppKey,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Since when its oldest delivery is due, if one is.
    pub oldest_due: Option<UnixMs>,
}

/// All lanes at a moment.
#[derive(Debug, Clone, Default)]
pub struct LanesNow {
    /// By breaker: closed, open, half open.
    pub breakers: [usize; 3],
    /// Deliveries in memory.
    pub in_memory: usize,
    /// Attempts in flight.
    pub in_flight: usize,
    /// When the oldest delivery that is due was due.
    pub oldest_due: Option<UnixMs>,
    /// Those with something due or in flight, 1,000 at most: whose delivery is due longest first.
    pub busy: Vec<LaneNow>,
}

impl Scheduler {
    /// All lanes as they stand.
    pub fn survey(&self, now: UnixMs) -> LanesNow {
        let mut found = LanesNow { in_memory: self.in_memory, in_flight: self.in_flight, ..LanesNow::default() };
        for (endpoint, lane) in &self.lanes {
            found.breakers[match lane.gate.breaker() {
                Breaker::Closed { .. } => 0,
                Breaker::Open { .. } => 1,
                Breaker::HalfOpen { .. } => 2,
            }] += 1;
            let fresh = lane.fresh.front().map(|(message, _)| crate::model::id::key_time(message.0));
            let due = lane.due(now).map(|place| place.0);
            let oldest_due = fresh.into_iter().chain(due).min();
            found.oldest_due = found.oldest_due.into_iter().chain(oldest_due).min();
            if lane.in_flight > 0 || oldest_due.is_some() {
                let (endpoint, app, in_flight) = (*endpoint, lane.app, lane.in_flight);
                found.busy.push(LaneNow { endpoint, app, in_flight, oldest_due });
                if found.busy.len() >= 2 * TOLD_MAX {
                    shorten(&mut found.busy);
                }
            }
        }
        shorten(&mut found.busy);
        found.busy.sort_unstable_by_key(rank);
        found
    }
}

/// Keeps those that wait longest.
fn shorten(lanes: &mut Vec<LaneNow>) {
    if lanes.len() > TOLD_MAX {
        lanes.select_nth_unstable_by_key(TOLD_MAX, rank);
        lanes.truncate(TOLD_MAX);
    }
}

/// What waits longest comes first, what is only in flight last.
fn rank(lane: &LaneNow) -> (UnixMs, EndpointKey) {
    (lane.oldest_due.unwrap_or(UnixMs::MAX), lane.endpoint)
}
