//! From (what is known of an endpoint, an attempt's end, now) to the next step of its health. Pure.
//!
//! ```text
//!  failure ──► failing in memory ──5 min──► failing (kept) ──24 h──► warned ──72 h──► warned ──5 d──► disabled
//!  success ◄──────────────────────────────────────┴──────────────────┴───────────────────┘
//! ```
//!
//! The first minutes are kept in memory only: an endpoint that fails now and then costs no writes. A
//! restart in these minutes begins them anew.

use crate::model::{DisabledReason, Failing, UnixMs};
use crate::store::command::HealthStep;

const HOUR_MS: i64 = 3_600_000;
/// Failing for this long is kept.
const KEPT_AFTER_MS: i64 = 5 * 60_000;
/// Failing for this long earns the first warning, the second.
const WARNED_AFTER_MS: [i64; 2] = [24 * HOUR_MS, 72 * HOUR_MS];
/// Failing for this long disables, where there were attempts enough.
const DISABLED_AFTER_MS: i64 = 120 * HOUR_MS;

/// Decides what follows from a failure. `stored` is what is kept of the endpoint, `since` the first
/// failure that this process has seen since the last success.
pub fn after_failure(stored: Option<Failing>, since: UnixMs, now: UnixMs) -> Option<HealthStep> {
    let Some(failing) = stored else {
        return (now - since >= KEPT_AFTER_MS).then_some(HealthStep::Begin { since });
    };
    let lasted = now - failing.since;
    // Where attempts are few, the first of them may come after the last of these times: nobody is
    // disabled without a warning.
    let due = WARNED_AFTER_MS.iter().filter(|after| lasted >= **after).count() as u8;
    if due > failing.warned {
        return Some(HealthStep::Warn(due));
    }
    (lasted >= DISABLED_AFTER_MS).then_some(HealthStep::Disable(DisabledReason::Failing))
}

/// When an endpoint that goes on failing is disabled, where there are attempts enough.
pub const fn disabled_at(failing: Failing) -> UnixMs {
    failing.since + DISABLED_AFTER_MS
}

/// Decides what follows from a success.
pub fn after_success(stored: Option<Failing>) -> Option<HealthStep> {
    stored.map(|_| HealthStep::Recover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_only_fails_is_kept_warned_of_twice_and_disabled() {
        let failing = |warned| Some(Failing { since: 1_000, warned });
        let hours = |hours: i64| 1_000 + hours * HOUR_MS;
        for (stored, now, step) in [
            (None, 1_000, None),
            (None, 1_000 + KEPT_AFTER_MS - 1, None),
            (None, 1_000 + KEPT_AFTER_MS, Some(HealthStep::Begin { since: 1_000 })),
            (failing(0), hours(23), None),
            (failing(0), hours(24), Some(HealthStep::Warn(1))),
            (failing(1), hours(24), None),
            (failing(1), hours(72), Some(HealthStep::Warn(2))),
            (failing(0), hours(73), Some(HealthStep::Warn(2))),
            (failing(2), hours(119), None),
            (failing(2), hours(120), Some(HealthStep::Disable(DisabledReason::Failing))),
            (failing(0), hours(200), Some(HealthStep::Warn(2))),
            (failing(1), hours(200), Some(HealthStep::Warn(2))),
        ] {
            assert_eq!(after_failure(stored, 1_000, now), step, "{stored:?} at {now}");
        }
    }

    #[test]
    fn a_success_ends_it() {
        assert_eq!(after_success(None), None);
        assert_eq!(after_success(Some(Failing { since: 1, warned: 2 })), Some(HealthStep::Recover));
    }
}
