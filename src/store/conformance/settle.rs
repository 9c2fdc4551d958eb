//! Outcomes: fencing, retries, resends, endpoints disabled by what they answer.

use super::*;
use crate::model::DisabledReason;

fn settle(store: &mut Fixture, settle: Settle) -> crate::store::command::Settled {
    match store.one(Command::Settle(Box::new(settle))) {
        Ok(Done::Settled(settled)) => settled,
        other => panic!("{other:?}"),
    }
}

fn resend(store: &mut Fixture, config: &AppConfig, message: MessageKey) -> Result<Waiting, Refusal> {
    let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
    match store.change(Change::Resend { app, endpoint, message })? {
        Changed::Resent { waiting, .. } => Ok(waiting),
        other => panic!("{other:?}"),
    }
}

fn retry(due: UnixMs, attempts: u16) -> Next {
    Next::Retry { due, attempts }
}

#[test]
fn a_result_counts_only_in_the_state_it_was_taken_in() {
    check(async |store| {
        let config = store.app(1).await;
        let endpoint = config.endpoints[0].key();
        let message = store.publish(store.message(&config, "x"));
        let first = settled(&config, message, retry(NOW + 5, 1), NOW);
        assert!(settle(store, first.clone()).applied);
        assert!(!settle(store, first.clone()).applied, "a second time");
        let late = Settle { taken: Taken::Waiting { due: NOW + 4 }, next: Next::Done, ..first.clone() };
        assert!(!settle(store, late).applied, "another due time");
        let waits = Waiting { due: NOW + 5, message, attempts: 1, trigger: Trigger::Scheduled };
        assert_eq!(store.waiting(endpoint).await, [waits]);
        let fenced = Settle { health: Some(HealthStep::Disable(DisabledReason::Gone)), ..first.clone() };
        assert!(settle(store, fenced).endpoint.is_none(), "nothing but the attempt is kept");
        let done = Settle { taken: Taken::Waiting { due: NOW + 5 }, next: Next::Done, ..first };
        let batch = [Command::Settle(Box::new(done.clone())), Command::Settle(Box::new(done))];
        let applied = store.commit(&batch).into_iter().map(|reply| match reply {
            Ok(Done::Settled(settled)) => settled.applied,
            other => panic!("{other:?}"),
        });
        assert_eq!(applied.collect::<Vec<_>>(), [true, false]);
        store.reopen();
        assert!(store.waiting(endpoint).await.is_empty() && store.pending().await.is_empty());
        assert_eq!(store.attempts().len(), 6, "every attempt is on record");
    });
}

#[test]
fn retries_wait_in_the_order_of_their_due_times() {
    check(async |store| {
        let config = store.app(2).await;
        let [endpoint, other] = [0, 1].map(|i| config.endpoints[i].key());
        let mut expected = Vec::new();
        for i in 0..20_i64 {
            let message = store.publish(store.message(&config, "x"));
            let due = NOW + (i * 7) % 5;
            assert!(settle(store, settled(&config, message, retry(due, 2), NOW)).applied);
            expected.push((due, message));
        }
        expected.sort_unstable();
        store.reopen();
        let all: Vec<_> = store.waiting(endpoint).await.iter().map(Waiting::place).collect();
        assert_eq!(all, expected);
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = store.reader.waiting(endpoint, after, 3).await.expect("read");
            assert!(page.len() <= 3 && page.iter().all(|w| w.attempts == 2));
            let Some(last) = page.last() else { break };
            after = Some(last.place());
            paged.extend(page.iter().map(Waiting::place));
        }
        assert_eq!(paged, expected);
        assert_eq!(store.reader.waiting_endpoints(&SlotSet::FULL).await.expect("read"), [(endpoint, NOW)]);
        assert!(store.waiting(other).await.is_empty());
        assert_eq!(store.pending().await.len(), 20);
    });
}

#[test]
fn what_is_given_up_is_set_aside() {
    check(async |store| {
        let config = store.app(1).await;
        let mut expected = Vec::new();
        for parked in [Parked::Failed, Parked::Held, Parked::Quarantined] {
            let message = store.publish(store.message(&config, "x"));
            let result = Settle { attempt: None, ..settled(&config, message, Next::Park(parked), NOW) };
            assert!(settle(store, result).applied);
            expected.push((DeliveryKey { message, endpoint: config.endpoints[0].key() }, parked));
        }
        assert_eq!(store.parked(), expected);
        let message = store.publish(store.message(&config, "x"));
        let deleted = Settle { attempt: None, ..settled(&config, message, Next::Nothing, NOW) };
        assert!(settle(store, deleted).applied);
        assert!(store.pending().await.is_empty());
        assert!(store.attempts().is_empty(), "none was made");
    });
}

#[test]
fn a_resend_that_succeeds_ends_whatever_else_waits() {
    check(async |store| {
        let config = store.app(1).await;
        let endpoint = config.endpoints[0].key();
        for state in [None, Some(retry(NOW + 9_000, 1)), Some(Next::Park(Parked::Failed)), Some(Next::Done)] {
            let message = store.publish(store.message(&config, "x"));
            let other = store.publish(store.message(&config, "other"));
            settle(store, settled(&config, other, retry(NOW + 9_000, 1), NOW));
            if let Some(next) = state {
                settle(store, settled(&config, message, next, NOW));
            }
            let failed = resend(store, &config, message).expect("a place");
            assert_eq!((failed.trigger, failed.attempts, failed.message), (Trigger::Manual, 0, message));
            let by_hand = Settle {
                taken: Taken::Waiting { due: failed.due },
                trigger: Trigger::Manual,
                ..settled(&config, message, Next::Nothing, NOW)
            };
            let before = (store.pending().await.len(), store.waiting(endpoint).await.len(), store.parked().len());
            assert!(settle(store, by_hand.clone()).applied);
            let after = (store.pending().await.len(), store.waiting(endpoint).await.len() + 1, store.parked().len());
            assert_eq!(before, after, "a failure starts nothing and ends nothing");

            let (first, second) = (resend(store, &config, message), resend(store, &config, message));
            let (first, second) = (first.expect("a place"), second.expect("a place of its own"));
            assert_ne!(first.due, second.due);
            let done = Settle {
                taken: Taken::Waiting { due: second.due },
                next: Next::Done,
                attempt: Some(outcome(OutcomeKind::Success, NOW)),
                ..by_hand
            };
            assert!(settle(store, done).applied);
            store.reopen();
            let left: Vec<_> = store.waiting(endpoint).await.iter().map(|w| w.message).collect();
            assert!(!left.contains(&message) && left.contains(&other), "{state:?}");
            assert!(store.pending().await.is_empty() && store.parked().is_empty(), "{state:?}");
        }
    });
}

#[test]
fn a_resend_needs_a_message_and_an_endpoint_that_takes_it() {
    check(async |store| {
        let (config, foreign) = (store.app(1).await, store.app(1).await);
        let message = store.publish(store.message(&config, "x"));
        assert_eq!(resend(store, &config, MessageKey(3)).err(), Some(Refusal::NotFound));
        assert_eq!(resend(store, &foreign, message).err(), Some(Refusal::NotFound));
        let crossed = AppConfig { app: config.app.clone(), endpoints: foreign.endpoints.clone() };
        assert_eq!(resend(store, &crossed, message).err(), Some(Refusal::NotFound));
        let gone = Settle {
            health: Some(HealthStep::Disable(DisabledReason::Gone)),
            ..settled(&config, message, Next::Park(Parked::Held), NOW)
        };
        assert!(settle(store, gone).endpoint.is_some());
        assert_eq!(resend(store, &config, message).err(), Some(Refusal::EndpointDisabled));
    });
}

#[test]
fn a_retry_and_a_resend_at_the_same_moment_are_both_kept() {
    check(async |store| {
        let config = store.app(1).await;
        let endpoint = config.endpoints[0].key();
        let message = store.publish(store.message(&config, "x"));
        let by_hand = resend(store, &config, message).expect("a place");
        let retried = settle(store, settled(&config, message, retry(by_hand.due, 1), NOW));
        assert_eq!((retried.applied, retried.next), (true, retry(by_hand.due + 1, 1)));
        let places: Vec<_> = store.waiting(endpoint).await.iter().map(|w| (w.due, w.trigger)).collect();
        assert_eq!(places, [(by_hand.due, Trigger::Manual), (by_hand.due + 1, Trigger::Scheduled)]);
        // The resend, which was under way, takes its own row with it.
        let failed = Settle {
            taken: Taken::Waiting { due: by_hand.due },
            trigger: Trigger::Manual,
            ..settled(&config, message, Next::Nothing, NOW)
        };
        assert!(settle(store, failed).applied);
        let places: Vec<_> = store.waiting(endpoint).await.iter().map(|w| (w.due, w.trigger)).collect();
        assert_eq!(places, [(by_hand.due + 1, Trigger::Scheduled)]);
    });
}

#[test]
fn a_410_disables_the_endpoint_in_the_same_commit() {
    check(async |store| {
        let config = store.app(1).await;
        let message = store.publish(store.message(&config, "x"));
        let after = Command::Publish(Box::new(store.message(&config, "y")));
        let gone = Settle {
            health: Some(HealthStep::Disable(DisabledReason::Gone)),
            ..settled(&config, message, Next::Park(Parked::Held), NOW)
        };
        let replies = store.commit(&[Command::Settle(Box::new(gone)), after]);
        let Ok(Done::Settled(done)) = &replies[0] else { panic!("{replies:?}") };
        assert!(done.applied);
        let endpoint = done.endpoint.as_ref().expect("disabled");
        assert_eq!(endpoint.spec.disabled, Some(DisabledReason::Gone));
        let now = store.config(&config.app).await;
        assert_eq!(now.endpoints[0], *endpoint);
        assert!(matches!(&replies[1], Ok(Done::Published(p)) if p.rerouted.as_ref().is_some_and(|r| r.1[0].held)));
        assert_eq!(store.parked().len(), 2);
    });
}

#[test]
fn a_change_does_not_lose_the_outcomes_of_its_batch() {
    check(async |store| {
        let config = store.app(1).await;
        let message = store.publish(store.message(&config, "x"));
        let refused_change = store.changing(Change::DeleteApplication { app: crate::model::AppKey(5) });
        let batch = [Command::Settle(Box::new(settled(&config, message, Next::Done, NOW))), refused_change];
        let replies = store.commit(&batch);
        assert!(replies[0].is_ok());
        assert_eq!(refused(replies[1].clone()), Refusal::NotFound);
        store.reopen();
        assert_eq!(store.attempts(), [(message, OutcomeKind::Success, Trigger::Scheduled)]);
        assert!(store.pending().await.is_empty());
    });
}
