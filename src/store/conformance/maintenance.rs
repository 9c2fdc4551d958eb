//! Content that is deleted, and what is recovered.

use super::*;
use crate::model::id::key_time;
use crate::model::{TaskAsk, TaskStatus};
use crate::store::command::NewTask;
use crate::store::maintenance::{Maintained, Maintenance, Recovered, TASKS_RUNNING_PER_APP_MAX, Work};

fn recover(store: &mut Fixture, config: &AppConfig, since: UnixMs) -> Result<crate::model::BackgroundTask, Refusal> {
    let (app, endpoint, until) = (config.app.key(), config.endpoints[0].key(), store.now + 1);
    match store.change(NewTask::to(config.app.env, (app, endpoint), TaskAsk::Recover, (since, until)).into_change())? {
        Changed::Task(task) => Ok(task),
        other => panic!("{other:?}"),
    }
}

fn slice(store: &mut Fixture, rows: usize) -> Maintained {
    let slice = Maintenance { at: store.now, work: Work::RunTasks { slots: SlotSet::FULL }, rows };
    match store.one(Command::Maintain(slice)) {
        Ok(Done::Maintained(done)) => *done,
        other => panic!("{other:?}"),
    }
}

/// Publishes a message and gives it up, held, or cancelled.
fn park(store: &mut Fixture, config: &Arc<AppConfig>, parked: Parked) -> MessageKey {
    let message = store.publish(store.message(config, "x"));
    store.one(Command::Settle(Box::new(settled(config, message, Next::Park(parked), store.now)))).expect("settled");
    message
}

fn expunge(store: &mut Fixture, config: &AppConfig, message: MessageKey) -> Vec<EndpointKey> {
    match store.change(Change::ExpungeMessage { app: config.app.key(), message }) {
        Ok(Changed::Expunged { message: expunged, endpoints }) if expunged == message => endpoints,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recovery_moves_what_failed_since_a_time_slice_by_slice() {
    check(async |store| {
        let config = store.app(2).await;
        let endpoint = config.endpoints[0].key();
        let early = park(store, &config, Parked::Failed);
        store.now += 10_000;
        let since = store.now;
        let states = [Parked::Failed, Parked::Held, Parked::Cancelled, Parked::Quarantined];
        let parked: Vec<_> = (0..20).map(|i| (park(store, &config, states[i % 4]), states[i % 4])).collect();
        let task = recover(store, &config, since).expect("a task");
        let began = key_time(task.id.key);
        assert_eq!((task.status, task.moved), (TaskStatus::Running, 0));
        store.now += 5_000;
        let late = park(store, &config, Parked::Failed);
        let mut moved = 0;
        loop {
            let done = slice(store, 3);
            assert!(done.rows <= 3);
            let expected = Recovered { app: config.app.key(), endpoint, due: began };
            assert_eq!(done.recovered, (done.rows > 0).then_some(expected));
            moved += done.rows;
            // A crash between any two slices neither loses nor repeats one.
            store.reopen();
            if !done.more {
                break;
            }
        }
        assert_eq!(moved, 15);
        let waiting: Vec<_> = store.waiting(endpoint).await;
        let expected = parked.iter().filter(|(_, state)| *state != Parked::Cancelled).map(|(message, _)| *message);
        assert_eq!(waiting.iter().map(|waiting| waiting.message).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert!(waiting.iter().all(|w| (w.due, w.attempts, w.trigger) == (began, 0, Trigger::Scheduled)));
        let left: Vec<_> = store.parked().into_iter().map(|(key, _)| key.message).collect();
        let cancelled = parked.iter().filter(|(_, state)| *state == Parked::Cancelled).map(|(message, _)| *message);
        let expected: Vec<_> = [early].into_iter().chain(cancelled).chain([late]).collect();
        assert_eq!(left, expected, "what is older, was cancelled, or came later stays");
    });
}

#[test]
fn a_recovery_ends_where_its_endpoint_does_and_tasks_are_bounded() {
    check(async |store| {
        let config = store.app(1).await;
        let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
        let message = park(store, &config, Parked::Failed);
        recover(store, &config, 0).expect("a task");
        let disabled = EndpointPatch { disabled: Some(true), ..EndpointPatch::default() };
        let patch = Box::new(disabled);
        store.change(Change::PatchEndpoint { app, endpoint, patch }).expect("disabled");
        assert_eq!(recover(store, &config, 0), Err(Refusal::EndpointDisabled));
        assert_eq!(slice(store, 10).rows, 0);
        assert!(!slice(store, 10).more, "it has failed");
        assert_eq!(store.parked().len(), 1);
        let enabled = Box::new(EndpointPatch { disabled: Some(false), ..EndpointPatch::default() });
        store.change(Change::PatchEndpoint { app, endpoint, patch: enabled }).expect("enabled");
        for _ in 0..TASKS_RUNNING_PER_APP_MAX {
            recover(store, &config, 0).expect("a task");
        }
        assert_eq!(recover(store, &config, 0), Err(Refusal::TooManyTasks));
        let other = store.app(1).await;
        recover(store, &other, 0).expect("another customer has room");
        assert_eq!(slice(store, 10).rows, 1);
        recover(store, &config, 0).expect("room again");
        assert_eq!(store.waiting(endpoint).await[0].message, message);
        let gone = NewTask::to(config.app.env, (app, EndpointKey(1)), TaskAsk::Recover, (0, 1)).into_change();
        assert!(matches!(store.change(gone), Err(Refusal::NotFound)));
    });
}

#[test]
fn content_that_is_deleted_is_never_sent_and_its_deliveries_are_cancelled() {
    check(async |store| {
        let config = store.app(2).await;
        let [first, second] = [0, 1].map(|i| config.endpoints[i].key());
        let message = store.publish(store.message(&config, "secret"));
        let other = store.publish(store.message(&config, "x"));
        let retry = settled(&config, message, Next::Retry { due: NOW + 5_000, attempts: 1 }, NOW);
        store.one(Command::Settle(Box::new(retry))).expect("settled");
        let resend = Change::Resend { app: config.app.key(), endpoint: second, message };
        store.change(resend.clone()).expect("resent");
        let mut told = expunge(store, &config, message);
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, [first, second]);
        store.reopen();
        assert_eq!(store.read(message).await.expect("listed still").payload, None);
        assert!(store.read(other).await.expect("there").payload.is_some());
        assert!(store.waiting(first).await.is_empty() && store.waiting(second).await.is_empty());
        assert!(store.pending().await.iter().all(|pending| pending.message == other));
        let cancelled = |endpoint| (DeliveryKey { message, endpoint }, Parked::Cancelled);
        assert_eq!(store.parked(), [cancelled(first), cancelled(second)]);
        assert!(matches!(store.change(resend), Err(Refusal::ContentGone)));
        let arrived = Settle { taken: Taken::Pending, ..settled(&config, message, Next::Done, NOW) };
        store.one(Command::Settle(Box::new(arrived))).expect("settled");
        assert_eq!(store.parked(), [cancelled(second)], "an attempt that was under way has arrived");
        let foreign = Change::ExpungeMessage { app: crate::model::AppKey(1), message: other };
        assert!(matches!(store.change(foreign), Err(Refusal::NotFound)));
    });
}

#[test]
fn what_is_held_is_cancelled_with_its_content() {
    check(async |store| {
        let config = store.app(1).await;
        let (held, failed) = (park(store, &config, Parked::Held), park(store, &config, Parked::Failed));
        expunge(store, &config, held);
        expunge(store, &config, failed);
        let states: Vec<_> = store.parked().into_iter().map(|(key, state)| (key.message, state)).collect();
        assert_eq!(states, [(held, Parked::Cancelled), (failed, Parked::Failed)]);
    });
}
