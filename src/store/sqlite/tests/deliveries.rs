//! Where deliveries stand, wherever the watermarks are.

use super::*;
use crate::model::{DeliveryState, DeliveryStatus, EndpointKey, Key, Parked};
use crate::store::query::{DeliveryFilter, MessageFilter, Order, Page, StoreQueries};
use crate::store::search::{Search, SearchIn, Standing, Tally};

/// More than one window of waiting deliveries.
const MESSAGES: usize = 10_000;

fn first_page(order: Order, limit: usize) -> Page<Key> {
    Page { after: None, order, limit }
}

async fn deliveries(
    store: &Store,
    config: &AppConfig,
    order: Order,
    status: Option<DeliveryStatus>,
) -> Vec<(Key, DeliveryState)> {
    let (mut found, mut page) = (Vec::new(), first_page(order, 250));
    loop {
        let filter = DeliveryFilter { status, ..DeliveryFilter::default() };
        let endpoint = config.endpoints[0].key();
        let rows = store.reader.deliveries_to(config.app.key(), endpoint, page, filter).await.expect("read");
        found.extend(rows.rows.iter().map(|(message, state)| (message.id.key, *state)));
        page.after = rows.resume.or(found.last().map(|(key, _)| *key));
        if rows.done {
            return found;
        }
    }
}

/// What becomes of the delivery of a message, by its number.
fn fate(store: &Store, config: &AppConfig, number: usize, message: MessageKey) -> Option<(Command, DeliveryState)> {
    let due = NOW + 1_000_000 - number as i64;
    let (next, state) = match number % 5 {
        0 => return None,
        1 => (Next::Done, DeliveryState::Delivered),
        2 => (Next::Retry { due, attempts: 1 }, DeliveryState::Waiting { due }),
        3 => (Next::Park(Parked::Failed), DeliveryState::Failed),
        _ => (Next::Park(Parked::Held), DeliveryState::Held),
    };
    let Command::Settle(mut settle) = store.success(config, message) else { return None };
    settle.next = next;
    if let Some(attempt) = settle.attempt.as_mut().filter(|_| next != Next::Done) {
        attempt.outcome.kind = OutcomeKind::Status;
        attempt.outcome.status = 500;
    }
    Some((Command::Settle(settle), state))
}

#[tokio::test]
async fn deliveries_are_told_wherever_the_watermark_stands() {
    let mut store = Store::new();
    let (config, other) = (store.app(), store.app());
    let mut expected: Vec<(Key, DeliveryState)> = Vec::new();
    for _ in 0..MESSAGES / 500 {
        let publish: Vec<_> = (0..500).map(|_| Command::Publish(Box::new(store.message(&config)))).collect();
        let keys: Vec<MessageKey> = store.commit(&publish).iter().map(published).collect();
        let of_other = Command::Publish(Box::new(store.message(&other)));
        store.commit(&[of_other]);
        let mut settles = Vec::new();
        for key in keys {
            let fate = fate(&store, &config, expected.len(), key);
            expected.push((key.0, fate.as_ref().map_or(DeliveryState::Pending, |fate| fate.1)));
            settles.extend(fate.map(|fate| fate.0));
        }
        store.commit(&settles);
        store.now += 3;
        if expected.len() == MESSAGES / 2 {
            store.tend_to_the_end();
        }
    }
    for tended in [false, true] {
        if tended {
            store.tend_to_the_end();
        }
        assert!(deliveries(&store, &config, Order::Ascending, None).await == expected, "rising, tended {tended}");
        let mut falling = deliveries(&store, &config, Order::Descending, None).await;
        falling.reverse();
        assert!(falling == expected, "falling, tended {tended}");
        for status in [
            DeliveryStatus::Success,
            DeliveryStatus::Pending,
            DeliveryStatus::Fail,
            DeliveryStatus::Sending,
            DeliveryStatus::Cancelled,
        ] {
            let found = deliveries(&store, &config, Order::Ascending, Some(status)).await;
            let with = expected.iter().filter(|(_, state)| state.status() == status).copied().collect::<Vec<_>>();
            assert!(found == with, "{status:?}, tended {tended}");
        }
        for standing in Standing::ALL {
            let with = |state: &DeliveryState| {
                let mut tally = Tally::default();
                tally.add(*state);
                (tally.has(standing)).then_some(tally)
            };
            let mut with: Vec<(Key, Option<Tally>)> =
                expected.iter().filter_map(|(key, state)| with(state).map(|tally| (*key, Some(tally)))).collect();
            with.reverse();
            for within in [SearchIn::Application(config.app.key()), SearchIn::Environment(config.app.env)] {
                let mut found = searched(&store, within, standing).await;
                found.retain(|(key, _)| expected.binary_search_by_key(key, |(key, _)| *key).is_ok());
                assert!(found == with, "{standing:?} in {within:?}, tended {tended}");
            }
        }
        for (key, state) in expected.iter().take(7).chain(expected.iter().rev().take(7)) {
            let (own, foreign) = (config.endpoints[0].key(), other.endpoints[0].key());
            let page = first_page(Order::Descending, 9);
            let rows = store.reader.deliveries_of(MessageKey(*key), vec![own, foreign, EndpointKey(1)], page).await;
            assert_eq!(rows.expect("read").rows, [(own, *state)]);
        }
    }
}

/// Messages with a delivery that stands so, and all that is counted of them.
async fn searched(store: &Store, within: SearchIn, standing: Standing) -> Vec<(Key, Option<Tally>)> {
    let (mut found, mut page) = (Vec::new(), first_page(Order::Descending, 250));
    loop {
        let status = Some(standing);
        let search = Search { status, with_deliveries: true, ..Search::of(within, MessageFilter::default()) };
        let rows = store.reader.search(page, search).await.expect("read");
        found.extend(rows.rows.iter().map(|row| (row.message.id.key, row.tally)));
        page.after = rows.resume.or(found.last().map(|(key, _)| *key));
        if rows.done {
            return found;
        }
    }
}

/// More waits for the endpoint than is read at once: what is due last is looked for where it must be.
#[tokio::test]
async fn what_waits_behind_very_many_others_is_known_to_wait() {
    const WAITING: usize = 21_000;
    let mut store = Store::new();
    let config = store.app();
    let mut expected: Vec<(Key, UnixMs)> = Vec::new();
    for _ in 0..WAITING / 500 {
        let publish: Vec<_> = (0..500).map(|_| Command::Publish(Box::new(store.message(&config)))).collect();
        let keys: Vec<MessageKey> = store.commit(&publish).iter().map(published).collect();
        let mut settles = Vec::new();
        for key in keys {
            // Those that were made last are due last.
            let due = NOW + 1_000_000 + expected.len() as i64;
            let Command::Settle(mut settle) = store.success(&config, key) else { panic!("no settle") };
            settle.next = Next::Retry { due, attempts: 1 };
            if let Some(attempt) = &mut settle.attempt {
                attempt.outcome.kind = OutcomeKind::Status;
            }
            settles.push(Command::Settle(settle));
            expected.push((key.0, due));
        }
        store.commit(&settles);
    }
    store.tend_to_the_end();
    let within = SearchIn::Application(config.app.key());
    for order in [Order::Ascending, Order::Descending] {
        let search = Search { with_deliveries: true, ..Search::of(within, MessageFilter::default()) };
        let rows = store.reader.search(first_page(order, 50), search).await.expect("read");
        if order == Order::Descending {
            expected.reverse();
        }
        for (row, (key, due)) in rows.rows.iter().zip(&expected) {
            let tally = Tally { sending: 1, next_attempt: Some(*due), ..Tally::default() };
            assert_eq!((row.message.id.key, row.tally), (*key, Some(tally)));
        }
        assert_eq!(rows.rows.len(), 50);
    }
}

#[tokio::test]
async fn endpoints_of_a_message_come_in_pages() {
    let mut store = Store::new();
    let config = store.app();
    let app = config.app.key();
    let mut keys = vec![config.endpoints[0].key()];
    for _ in 0..6 {
        let spec = Box::new(EndpointSpec { url: "http://a.example/".into(), ..EndpointSpec::default() });
        let made = store.change(Change::CreateEndpoint { app, uid: None, spec, secret: SecretBytes::new(vec![1; 24]) });
        let Changed::Endpoint(endpoint, _) = made else { panic!("{made:?}") };
        keys.push(endpoint.key());
    }
    // The message is routed again when it is stored: it goes to all of them.
    let message = published(&store.commit(&[Command::Publish(Box::new(store.message(&config)))])[0]);
    for (order, limit) in [(Order::Ascending, 1), (Order::Ascending, 3), (Order::Descending, 2), (Order::Descending, 7)]
    {
        let (mut found, mut page) = (Vec::new(), first_page(order, limit));
        loop {
            let rows = store.reader.deliveries_of(message, keys.clone(), page).await.expect("read");
            assert!(rows.rows.len() <= limit);
            found.extend(rows.rows.iter().map(|(endpoint, _)| *endpoint));
            page.after = found.last().map(|endpoint| endpoint.0);
            if rows.done {
                break;
            }
        }
        if order == Order::Descending {
            found.reverse();
        }
        assert_eq!(found, keys, "{order:?}, pages of {limit}");
    }
}

#[test]
fn a_resend_that_succeeds_finds_its_retry_without_reading_all_that_waits() {
    let mut store = Store::new();
    let config = store.app();
    let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
    let herd = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100000)
                INSERT INTO waiting SELECT ?1, ?2 + n, n, 1, 0 FROM number";
    store.writer.connection.execute(herd, [endpoint.0, NOW]).expect("a herd");
    for (indexed, attempts) in [(false, 1), (true, 4)] {
        let delayed = {
            let mut publish = store.message(&config);
            publish.envelope.deliver_at = Some(NOW + 80 * 86_400_000);
            Command::Publish(Box::new(publish))
        };
        let retried = Command::Publish(Box::new(store.message(&config)));
        let keys: Vec<_> = store.commit(&[delayed, retried]).iter().map(published).collect();
        let Command::Settle(mut failed) = store.success(&config, keys[1]) else { panic!("no settle") };
        failed.next = Next::Retry { due: NOW + 7_200_000, attempts };
        store.commit(&[Command::Settle(failed)]);
        if indexed {
            store.tend_to_the_end();
        }
        for key in keys {
            let Changed::Resent { waiting, .. } = store.change(Change::Resend { app, endpoint, message: key }) else {
                panic!("not resent")
            };
            let Command::Settle(mut done) = store.success(&config, key) else { panic!("no settle") };
            (done.taken, done.trigger) = (Taken::Waiting { due: waiting.due }, Trigger::Manual);
            let steps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counter = Arc::clone(&steps);
            let count = move || {
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                false
            };
            std::rc::Rc::get_mut(&mut store.writer.connection)
                .expect("one of it")
                .progress_handler(1_000, Some(count))
                .expect("counted");
            store.commit(&[Command::Settle(done)]);
            std::rc::Rc::get_mut(&mut store.writer.connection)
                .expect("one of it")
                .progress_handler(0, None::<fn() -> bool>)
                .expect("counted");
            let thousands = steps.load(std::sync::atomic::Ordering::Relaxed);
            assert!(thousands < 100, "{thousands},000 steps of SQLite");
            assert_eq!(store.count(&format!("waiting WHERE message = {}", key.0)), 0, "indexed: {indexed}");
        }
    }
    assert_eq!(store.count("waiting"), 100_000, "what waits of others stays");
}
