//! From (delivery, outcome, policy, now, random) to what happens next. Pure.

use crate::model::delivery::FAILING_AFTER;
use crate::model::operational::MessageHappening;
use crate::model::{DisabledReason, Next, Outcome, OutcomeKind, Parked, Trigger, UnixMs};

/// The longest `Retry-After` that is obeyed.
const RETRY_AFTER_S_MAX: u32 = 86_400;
/// Failures inside us after which a delivery is set aside.
pub const INTERNAL_FAILURES_MAX: u16 = 5;

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Where the delivery goes.
    pub next: Next,
    /// The endpoint is to be disabled.
    pub disable: Option<DisabledReason>,
    /// What the operator is told of the delivery.
    pub tell: Option<MessageHappening>,
}

impl Verdict {
    /// Nothing but where the delivery goes.
    pub const fn of(next: Next) -> Self {
        Self { next, disable: None, tell: None }
    }
}

/// Decides what follows from an attempt that ended at `now`.
///
/// `attempts` counts failures before this one; `schedule` holds the seconds before each retry;
/// `random` spreads retries by adding up to a fifth of the delay.
pub fn transition(
    trigger: Trigger,
    attempts: u16,
    outcome: &Outcome,
    schedule: &[u32],
    now: UnixMs,
    random: u32,
) -> Verdict {
    if outcome.is_success() {
        // Of a resend only the store knows whether its delivery had failed.
        let recovered = attempts >= FAILING_AFTER || trigger == Trigger::Manual;
        return Verdict { tell: recovered.then_some(MessageHappening::Recovered), ..Verdict::of(Next::Done) };
    }
    // Judged by the kind: a 410 whose body never ended is a time-out.
    let disable = (outcome.kind == OutcomeKind::Status && outcome.status == 410).then_some(DisabledReason::Gone);
    if trigger == Trigger::Manual {
        return Verdict { disable, ..Verdict::of(Next::Nothing) };
    }
    if disable.is_some() {
        return Verdict { disable, ..Verdict::of(Next::Park(Parked::Held)) };
    }
    if outcome.kind == OutcomeKind::Internal && attempts + 1 >= INTERNAL_FAILURES_MAX {
        return Verdict::of(Next::Park(Parked::Quarantined));
    }
    let Some(&delay_s) = schedule.get(usize::from(attempts)) else {
        let exhausted = Some(MessageHappening::Exhausted);
        return Verdict { tell: exhausted, ..Verdict::of(Next::Park(Parked::Failed)) };
    };
    let asked_s = match outcome.status {
        429 | 503 => outcome.retry_after_s.unwrap_or(0).min(RETRY_AFTER_S_MAX),
        _ => 0,
    };
    let wait_ms = i64::from(delay_s.max(asked_s)) * 1000;
    let jitter_ms = (i128::from(wait_ms / 5) * i128::from(random) / i128::from(u32::MAX)) as i64;
    let failing = (attempts + 1 == FAILING_AFTER).then_some(MessageHappening::Failing);
    Verdict { tell: failing, ..Verdict::of(Next::Retry { due: now + wait_ms + jitter_ms, attempts: attempts + 1 }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(status: u16, retry_after_s: Option<u32>) -> Outcome {
        let kind = if (200..300).contains(&status) { OutcomeKind::Success } else { OutcomeKind::Status };
        Outcome { status, retry_after_s, ..Outcome::without_answer(kind, 0, 1) }
    }

    const SCHEDULE: [u32; 3] = [5, 300, 1800];

    proptest! {
        #[test]
        fn a_retry_is_never_early_and_at_most_a_fifth_late(attempts in 0_u16..3, random in any::<u32>(), status in 300_u16..600) {
            prop_assume!(status != 410);
            let verdict = transition(Trigger::Scheduled, attempts, &answered(status, None), &SCHEDULE, 1_000, random);
            let delay = i64::from(SCHEDULE[usize::from(attempts)]) * 1000;
            match verdict.next {
                Next::Retry { due, attempts: made } => {
                    prop_assert_eq!(made, attempts + 1);
                    prop_assert!(due >= 1_000 + delay && due <= 1_000 + delay + delay / 5);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn every_delivery_ends(statuses in proptest::collection::vec(200_u16..600, 10)) {
            let mut attempts = 0;
            for (i, status) in statuses.into_iter().enumerate() {
                match transition(Trigger::Scheduled, attempts, &answered(status, None), &SCHEDULE, 0, 0).next {
                    Next::Retry { attempts: made, .. } => attempts = made,
                    _ => return Ok(()),
                }
                prop_assert!(i < SCHEDULE.len());
            }
        }
    }

    #[test]
    fn retry_after_lengthens_but_never_shortens() {
        let due =
            |status, asked| match transition(Trigger::Scheduled, 1, &answered(status, asked), &SCHEDULE, 0, 0).next {
                Next::Retry { due, .. } => due,
                other => panic!("{other:?}"),
            };
        assert_eq!(due(503, Some(10)), 300_000);
        assert_eq!(due(503, Some(400)), 400_000);
        assert_eq!(due(429, Some(400)), 400_000);
        assert_eq!(due(500, Some(400)), 300_000, "only on 429 and 503");
        assert_eq!(due(503, Some(2_000_000)), 86_400_000, "at most a day");
    }

    #[test]
    fn the_special_cases() {
        let next = |trigger, attempts, outcome: &Outcome| transition(trigger, attempts, outcome, &SCHEDULE, 0, 0);
        assert_eq!(next(Trigger::Scheduled, 0, &answered(204, None)).next, Next::Done);
        assert_eq!(next(Trigger::Scheduled, 3, &answered(500, None)).next, Next::Park(Parked::Failed));
        assert_eq!(next(Trigger::Manual, 0, &answered(500, None)).next, Next::Nothing);
        let gone = next(Trigger::Scheduled, 0, &answered(410, None));
        assert_eq!((gone.next, gone.disable), (Next::Park(Parked::Held), Some(DisabledReason::Gone)));
        let told = |trigger, attempts, status, schedule: &[u32]| {
            transition(trigger, attempts, &answered(status, None), schedule, 0, 0).tell
        };
        assert_eq!(told(Trigger::Scheduled, 2, 500, &[1; 9]), None);
        assert_eq!(told(Trigger::Scheduled, 3, 500, &[1; 9]), Some(MessageHappening::Failing));
        assert_eq!(told(Trigger::Scheduled, 4, 500, &[1; 9]), None, "once");
        assert_eq!(told(Trigger::Scheduled, 3, 500, &SCHEDULE), Some(MessageHappening::Exhausted));
        assert_eq!(told(Trigger::Scheduled, 3, 200, &SCHEDULE), None);
        assert_eq!(told(Trigger::Scheduled, 4, 200, &[1; 9]), Some(MessageHappening::Recovered));
        let internal = Outcome::without_answer(OutcomeKind::Internal, 0, 0);
        assert_eq!(next(Trigger::Scheduled, 4, &internal).next, Next::Park(Parked::Quarantined));
    }
}
