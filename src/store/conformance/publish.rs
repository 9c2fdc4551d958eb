//! Messages: bytes, keys, where deliveries go, what is found again.

use super::*;

#[test]
fn what_is_published_reads_back_byte_for_byte() {
    check(async |store| {
        let config = store.app(1).await;
        let large: Vec<u8> = (0..1_048_576_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for body in [Vec::new(), b"{ \"a\" : 1.0 }\n".to_vec(), vec![0xff, 0x00, 0xc3, 0x28], large] {
            let mut publish = store.message(&config, body.clone());
            publish.envelope.content_type = Some("application/octet-stream".into());
            let envelope = publish.envelope.clone();
            let key = store.publish(publish);
            store.reopen();
            let found = store.read(key).await.expect("there");
            assert!(found.payload.as_deref() == Some(&body[..]), "{} bytes", body.len());
            assert_eq!((found.envelope, found.app, found.id.key), (envelope, config.app.key(), key.0));
        }
        assert_eq!(store.read(MessageKey(1)).await, None);
    });
}

#[test]
fn keys_rise_even_when_the_clock_goes_back_and_the_newest_row_is_deleted() {
    check(async |store| {
        let config = store.app(1).await;
        let mut last = 0;
        for step in [0, 5, -1_000_000, 0, 3, -7_000_000] {
            store.now = NOW + step;
            for _ in 0..3 {
                let key = store.publish(store.message(&config, "x")).0;
                assert!(key > last);
                last = key;
            }
            store.reopen();
        }
        store.now = NOW + 50_000_000;
        let endpoint = store.endpoint(&config.app, None, EndpointSpec::default()).expect("made");
        let (app, endpoint) = (config.app.key(), endpoint.key());
        store.change(Change::DeleteEndpoint { app, endpoint }).expect("deleted");
        store.now = NOW;
        store.reopen();
        let after = store.endpoint(&config.app, None, EndpointSpec::default()).expect("made");
        assert!(after.key() > endpoint, "a key was given twice");
    });
}

#[test]
fn deliveries_are_placed_as_routed() {
    check(async |store| {
        let config = store.app(3).await;
        let [a, b, c] = [0, 1, 2].map(|i| config.endpoints[i].key());
        let mut publish = store.message(&config, "x");
        publish.routes[1].spilled = true;
        publish.routes[2].held = true;
        let first = store.publish(publish);
        assert_eq!(store.pending().await, [Pending { message: first, endpoint: a }]);
        let spilled = Waiting { due: NOW, message: first, attempts: 0, trigger: Trigger::Scheduled };
        assert_eq!(store.waiting(b).await, [spilled]);
        assert_eq!(store.parked(), [(DeliveryKey { message: first, endpoint: c }, Parked::Held)]);

        let mut later = store.message(&config, "y");
        later.envelope.deliver_at = Some(NOW + 60_000);
        later.routes[2].held = true;
        let second = store.publish(later);
        let mut past = store.message(&config, "z");
        past.envelope.deliver_at = Some(NOW - 1);
        past.routes.truncate(1);
        let third = store.publish(past);
        store.reopen();
        let due = Waiting { due: NOW + 60_000, message: second, attempts: 0, trigger: Trigger::Scheduled };
        assert_eq!(store.waiting(a).await, [due]);
        assert_eq!(store.waiting(b).await, [spilled, due]);
        assert_eq!(store.parked().len(), 2);
        let pending = [first, third].map(|message| Pending { message, endpoint: a });
        assert_eq!(store.pending().await, pending);
        assert_eq!(store.reader.pending(&SlotSet::FULL, Some(pending[0]), 9).await.expect("read"), [pending[1]]);
        assert_eq!(store.reader.pending(&SlotSet::FULL, None, 1).await.expect("read"), [pending[0]]);
        let waiting = store.reader.waiting_endpoints(&SlotSet::FULL).await.expect("read");
        assert_eq!(waiting, [(a, NOW + 60_000), (b, NOW)]);
    });
}

#[test]
fn deliveries_are_read_by_the_slots_of_their_endpoints() {
    check(async |store| {
        let config = store.app(3).await;
        let [a, b, c] = [0, 1, 2].map(|i| config.endpoints[i].key());
        let mut messages = Vec::new();
        for _ in 0..3 {
            let mut message = store.message(&config, "x");
            message.routes[2].spilled = true;
            messages.push(store.publish(message));
        }
        let slots = |endpoints: &[EndpointKey]| endpoints.iter().map(|key| slot_of(key.0)).collect::<SlotSet>();
        for own in [vec![], vec![a], vec![b], vec![c], vec![a, c], vec![a, b, c]] {
            let (set, reader) = (slots(&own), &store.reader);
            let mine = |endpoint: EndpointKey| set.contains_key(endpoint.0);
            let all = messages.iter().flat_map(|&message| [a, b].map(|endpoint| Pending { message, endpoint }));
            let expected: Vec<Pending> = all.filter(|pending| mine(pending.endpoint)).collect();
            assert_eq!(reader.pending(&set, None, 100).await.expect("read"), expected);
            let first = reader.pending(&set, None, 1).await.expect("read");
            assert_eq!(first, expected.iter().copied().take(1).collect::<Vec<_>>());
            let rest = reader.pending(&set, first.last().copied(), 100).await.expect("read");
            assert_eq!(rest, expected.iter().copied().skip(1).collect::<Vec<_>>());
            let waiting: Vec<_> = [(c, NOW)].into_iter().filter(|(endpoint, _)| mine(*endpoint)).collect();
            assert_eq!(reader.waiting_endpoints(&set).await.expect("read"), waiting);
        }
    });
}

#[test]
fn a_message_for_nobody_is_stored() {
    check(async |store| {
        let config = store.app(0).await;
        let key = store.publish(store.message(&config, "x"));
        assert!(store.read(key).await.is_some());
        assert!(store.pending().await.is_empty());
    });
}

#[test]
fn a_repeated_call_gets_the_first_answer() {
    check(async |store| {
        let config = store.app(1).await;
        for auto in [false, true] {
            let with = |store: &Fixture, body: &'static str| {
                let idempotency = Some(key("k", body, auto));
                Box::new(Publish { idempotency, ..store.message(&config, body) })
            };
            let first = published(store.one(Command::Publish(with(store, "one"))));
            for reopened in [false, true] {
                if reopened {
                    store.reopen();
                }
                let Ok(Done::Repeated(again)) = store.one(Command::Publish(with(store, "one"))) else { panic!() };
                assert_eq!((again.key(), again.payload.as_deref()), (first, Some(&b"one"[..])));
                let other = refused(store.one(Command::Publish(with(store, "two"))));
                assert_eq!(other, Refusal::IdempotencyMismatch);
            }
            // The lifetime ends.
            store.now += if auto { 3_600_000 } else { 86_400_000 } - 1;
            assert!(matches!(store.one(Command::Publish(with(store, "one"))), Ok(Done::Repeated(_))));
            store.now += 1;
            let second = published(store.one(Command::Publish(with(store, "two"))));
            assert!(second > first);
            assert_eq!(refused(store.one(Command::Publish(with(store, "one")))), Refusal::IdempotencyMismatch);
        }
    });
}

#[test]
fn a_call_is_repeated_within_its_own_batch() {
    check(async |store| {
        let config = store.app(1).await;
        let with = |body: &'static str, store: &Fixture| {
            let idempotency = Some(key("k", body, true));
            Command::Publish(Box::new(Publish { idempotency, ..store.message(&config, body) }))
        };
        let batch = [with("one", store), with("one", store), with("two", store)];
        let mut replies = store.commit(&batch).into_iter();
        let first = published(replies.next().expect("a reply"));
        assert!(matches!(replies.next(), Some(Ok(Done::Repeated(message))) if message.key() == first));
        assert!(matches!(replies.next(), Some(Err(Refusal::IdempotencyMismatch))));
        assert_eq!(store.pending().await.len(), 1);
    });
}

#[test]
fn an_event_id_is_unique_in_its_application() {
    check(async |store| {
        let (one, two) = (store.app(1).await, store.app(1).await);
        let with = |config: &Arc<AppConfig>, store: &Fixture, id: &str| {
            let mut publish = store.message(config, "x");
            publish.envelope.event_id = Some(id.into());
            Command::Publish(Box::new(publish))
        };
        let batch = [with(&one, store, "e"), with(&one, store, "e"), with(&one, store, "f"), with(&two, store, "e")];
        let replies = store.commit(&batch);
        assert!(replies[0].is_ok() && replies[2].is_ok() && replies[3].is_ok(), "{replies:?}");
        assert_eq!(refused(replies[1].clone()), Refusal::EventIdExists);
        store.now += 400 * 86_400_000;
        store.reopen();
        assert_eq!(refused(store.one(with(&two, store, "e"))), Refusal::EventIdExists);
    });
}

#[test]
fn a_message_routed_by_an_old_configuration_is_routed_again() {
    check(async |store| {
        let old = store.app(1).await;
        let added = store.endpoint(&old.app, None, EndpointSpec::default()).expect("made");
        let disabled = EndpointSpec { disabled: Some(crate::model::DisabledReason::Manual), ..EndpointSpec::default() };
        store.endpoint(&old.app, None, disabled).expect("made");
        let reply = store.one(Command::Publish(Box::new(store.message(&old, "x"))));
        let Ok(Done::Published(done)) = &reply else { panic!("{reply:?}") };
        let (config, routes) = done.rerouted.as_ref().expect("routed again");
        assert_eq!((config.endpoints.len(), routes.len()), (3, 3));
        assert!(config.app.version > old.app.version);
        assert_eq!(
            store.pending().await.iter().map(|p| p.endpoint).collect::<Vec<_>>(),
            [old.endpoints[0].key(), added.key()]
        );
        assert_eq!(store.parked().len(), 1);

        // Also within one batch: the change stands before the message.
        let gone = store.changing(Change::DeleteEndpoint { app: old.app.key(), endpoint: added.key() });
        let publish = store.message(config, "y");
        let replies = store.commit(&[gone, Command::Publish(Box::new(publish))]);
        assert!(matches!(&replies[1], Ok(Done::Published(done)) if done.rerouted.is_some()));
        assert_eq!(store.pending().await.len(), 3);
        let again = store.config(&old.app).await;
        let reply = store.one(Command::Publish(Box::new(store.message(&again, "z"))));
        assert!(matches!(reply, Ok(Done::Published(done)) if done.rerouted.is_none()));
    });
}

#[test]
fn a_message_for_one_endpoint_is_not_routed_elsewhere() {
    check(async |store| {
        let old = store.app(2).await;
        let [here, there] = [0, 1].map(|i| old.endpoints[i].key());
        let only = |store: &Fixture, config: &Arc<AppConfig>| {
            let routes = vec![crate::model::routing::route_only(config, here).expect("there")];
            Command::Publish(Box::new(Publish { only: Some(here), routes, ..store.message(config, "x") }))
        };
        let first = published(store.one(only(store, &old)));
        store.endpoint(&old.app, None, EndpointSpec::default()).expect("made");
        let reply = store.one(only(store, &old));
        assert!(
            matches!(&reply, Ok(Done::Published(done)) if done.rerouted.as_ref().is_some_and(|new| new.1.len() == 1))
        );
        let pending = [first, published(reply)].map(|message| Pending { message, endpoint: here });
        assert_eq!(store.pending().await, pending);
        // Where its endpoint is gone, there is nobody else to take it.
        let now = store.config(&old.app).await;
        store.change(Change::DeleteEndpoint { app: old.app.key(), endpoint: here }).expect("deleted");
        assert_eq!(refused(store.one(only(store, &now))), Refusal::NotFound);
        assert!(store.pending().await.iter().all(|pending| pending.endpoint != there));
    });
}

#[test]
fn an_application_that_is_gone_takes_no_messages() {
    check(async |store| {
        let config = store.app(2).await;
        let gone = store.change(Change::DeleteApplication { app: config.app.key() });
        assert!(matches!(gone, Ok(Changed::ApplicationDeleted { endpoints, .. }) if endpoints.len() == 2));
        let reply = store.one(Command::Publish(Box::new(store.message(&config, "x"))));
        assert_eq!(refused(reply), Refusal::NotFound);
        assert_eq!(
            refused(store.one(store.changing(Change::DeleteApplication { app: config.app.key() }))),
            Refusal::NotFound
        );
        assert_eq!(store.reader.app_config(config.app.key()).await.expect("read"), None);
        let keys: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.key()).collect();
        assert!(store.reader.apps_of(&keys).await.expect("read").is_empty());
    });
}

#[test]
fn a_refused_command_does_not_disturb_its_batch() {
    check(async |store| {
        let (config, gone) = (store.app(1).await, store.app(1).await);
        store.change(Change::DeleteApplication { app: gone.app.key() }).expect("gone");
        let spec = ApplicationSpec { name: "n".into(), ..ApplicationSpec::default() };
        let make =
            || Change::CreateApplication { env: ENV, uid: Some("u".into()), spec: spec.clone(), get_if_exists: false };
        let batch = [
            Command::Publish(Box::new(store.message(&config, "1"))),
            Command::Publish(Box::new(store.message(&gone, "2"))),
            store.changing(make()),
            store.changing(make()),
            Command::Publish(Box::new(store.message(&config, "3"))),
        ];
        let replies = store.commit(&batch);
        let refusals: Vec<_> = replies.iter().map(|reply| reply.as_ref().err().copied()).collect();
        assert_eq!(refusals, [None, Some(Refusal::NotFound), None, Some(Refusal::Exists), None]);
        store.reopen();
        assert_eq!(store.pending().await.len(), 2);
        assert!(store.reader.app_by_uid(ENV, "u").await.expect("read").is_some());
    });
}
