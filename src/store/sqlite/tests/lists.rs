//! Lists are complete and in order wherever the watermarks stand.

use super::*;
use crate::model::{EndpointKey, EnvironmentKind, IdKind, Key};
use crate::store::command::AccessChange;
use crate::store::query::{AttemptFilter, AttemptsOf, MessageFilter, Order, Page, StoreQueries};

const APPS: usize = 300;
const BATCH: usize = 500;
/// More than a slice, so that slices are cut and begun while messages go on coming.
const MESSAGES: usize = 72_000;

/// What must be listed, by application; attempts in the order of their messages.
struct Model {
    configs: Vec<Arc<AppConfig>>,
    messages: Vec<Vec<Key>>,
    /// Messages whose attempt is on record, by application.
    attempted: Vec<Vec<Key>>,
}

async fn messages(store: &Store, config: &AppConfig, order: Order, limit: usize) -> Vec<Key> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, order, limit };
        let rows = store.reader.messages_of(config.app.key(), page, MessageFilter::default()).await.expect("read");
        assert!(rows.rows.len() <= limit);
        found.extend(rows.rows.iter().map(|message| message.id.key));
        after = rows.resume.or(found.last().copied());
        if rows.done {
            return found;
        }
        // A page may end before it is full only where its time is over.
        assert!(rows.rows.len() == limit || rows.resume.is_some());
    }
}

/// The messages of the attempts of `of`, in the order of the attempts.
async fn attempts(store: &Store, of: AttemptsOf, order: Order, limit: usize) -> Vec<Key> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, order, limit };
        let rows = store.reader.attempts(of, page, AttemptFilter::default()).await.expect("read");
        found.extend(rows.rows.iter().map(|(attempt, _)| attempt.message.key));
        after = rows.resume.or_else(|| rows.rows.last().map(|(attempt, _)| attempt.id.key));
        if rows.done {
            return found;
        }
    }
}

impl Model {
    fn new(store: &mut Store) -> Self {
        let configs = (0..APPS).map(|_| store.app()).collect();
        Self { configs, messages: vec![Vec::new(); APPS], attempted: vec![Vec::new(); APPS] }
    }

    /// Messages and outcomes until `until` messages are stored; every seventh batch fails and is sent again.
    fn grow(&mut self, store: &mut Store, until: usize) {
        let mut stored: usize = self.messages.iter().map(Vec::len).sum();
        let mut open: Vec<(usize, MessageKey)> = Vec::new();
        while stored < until {
            let apps: Vec<usize> = (0..BATCH).map(|i| (stored * 31 + i * i * 7 + i) % APPS).collect();
            let mut batch: Vec<_> = open.iter().map(|(app, key)| store.success(&self.configs[*app], *key)).collect();
            let settled = batch.len();
            batch.extend(apps.iter().map(|&app| Command::Publish(Box::new(store.message(&self.configs[app])))));
            if stored / BATCH % 7 == 3 {
                batch.push(store.poisoned(&self.configs[0]));
                let error = store.writer.commit(&batch).expect_err("poisoned");
                assert!(matches!(error, CommitError::Command(_)), "{error}");
                batch.pop();
            }
            let replies = store.commit(&batch);
            for (app, key) in open.drain(..) {
                self.attempted[app].push(key.0);
            }
            for (app, reply) in apps.into_iter().zip(&replies[settled..]) {
                let key = published(reply);
                self.messages[app].push(key.0);
                open.push((app, key));
            }
            stored += BATCH;
            store.now += 3;
        }
        let last: Vec<_> = open.iter().map(|(app, key)| store.success(&self.configs[*app], *key)).collect();
        store.commit(&last);
        for (app, key) in open {
            self.attempted[app].push(key.0);
        }
    }

    async fn compare(&self, store: &Store, position: &str) {
        // A third of the applications (which, the name of the position decides): all would take too long.
        for (app, config) in self.configs.iter().enumerate().skip(position.len() % 3).step_by(3) {
            // Small pages read the tail again and again: some applications are enough for those.
            let limits: &[usize] = if app % 75 < 3 { &[7, 250] } else { &[250] };
            for &limit in limits {
                let order = if app % 2 == 0 { Order::Ascending } else { Order::Descending };
                let turned = |expected: &[Key]| {
                    let mut expected = expected.to_vec();
                    if order == Order::Descending {
                        expected.reverse();
                    }
                    expected
                };
                let found = messages(store, config, order, limit).await;
                assert!(found == turned(&self.messages[app]), "{position}: messages of {app}, pages of {limit}");
                let of = AttemptsOf::Endpoint(config.endpoints[0].key());
                let found = attempts(store, of, order, limit).await;
                assert!(found == turned(&self.attempted[app]), "{position}: attempts of {app}, pages of {limit}");
            }
            let (Some(first), Some(last)) = (self.messages[app].first(), self.messages[app].last()) else { continue };
            if app % 10 < 3 {
                for &message in [first, last] {
                    let (key, endpoint) = (MessageKey(message), config.endpoints[0].key());
                    let own = attempts(store, AttemptsOf::Message(key, Some(endpoint)), Order::Descending, 7).await;
                    assert_eq!(own, [message], "{position}");
                    let other = AttemptsOf::Message(key, Some(EndpointKey(1)));
                    assert!(attempts(store, other, Order::Ascending, 7).await.is_empty());
                }
            }
        }
    }
}

fn indexed(store: &Store) -> [i64; 3] {
    ["message_by_app", "attempt_by_message", "attempt_by_endpoint"].map(|index| store.count(index))
}

#[tokio::test]
async fn lists_are_complete_wherever_the_watermark_stands() {
    let mut store = Store::new();
    store.poison("abort");
    let mut model = Model::new(&mut store);
    model.grow(&mut store, 9_000);
    assert_eq!(indexed(&store), [0; 3], "nothing is indexed yet");
    model.compare(&store, "before the first slice").await;
    model.compare(&store.crashed(), "crashed before the first slice").await;

    model.grow(&mut store, MESSAGES);
    let filled = indexed(&store);
    assert!(filled.iter().all(|&rows| rows > 0), "{filled:?}");
    model.compare(&store, "while a slice is filled").await;
    let mut crashed = store.crashed();
    model.compare(&crashed, "crashed while a slice is filled").await;
    crashed.tend_to_the_end();
    assert_eq!(indexed(&crashed), [MESSAGES as i64; 3]);
    model.compare(&crashed, "tended after a crash").await;

    assert!(store.writer.tend(store.now).expect("tended"), "there is more");
    model.compare(&store, "tended once").await;
    store.tend_to_the_end();
    assert_eq!(indexed(&store), [MESSAGES as i64; 3]);
    model.compare(&store, "all is indexed").await;
    model.grow(&mut store, MESSAGES + 2_000);
    model.compare(&store, "a tail behind a full index").await;
    assert_eq!(store.count("pending"), 0);
}

#[tokio::test]
async fn pages_end_where_their_content_is_too_much() {
    use crate::store::sql::scan::CONTENT_BYTES_MAX;
    const PAYLOAD: usize = 1024 * 1024;
    let mut store = Store::new();
    let config = store.app();
    let publish = Publish { payload: vec![b'1'; PAYLOAD].into(), ..store.message(&config) };
    let mut keys = Vec::new();
    for _ in 0..40 {
        keys.push(published(&store.commit(&[Command::Publish(Box::new(publish.clone()))])[0]).0);
    }
    for (order, with_content) in [(Order::Ascending, true), (Order::Descending, true), (Order::Ascending, false)] {
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let page = Page { after, order, limit: 250 };
            let filter = MessageFilter { with_content, ..MessageFilter::default() };
            let rows = store.reader.messages_of(config.app.key(), page, filter).await.expect("read");
            let bytes: usize = rows.rows.iter().filter_map(|row| row.payload.as_ref()).map(bytes::Bytes::len).sum();
            assert_eq!(bytes, if with_content { rows.rows.len() * PAYLOAD } else { 0 });
            assert!(bytes < CONTENT_BYTES_MAX + PAYLOAD, "{bytes}");
            found.extend(rows.rows.iter().map(|message| message.id.key));
            (pages, after) = (pages + 1, found.last().copied());
            if rows.done {
                break;
            }
        }
        if order == Order::Descending {
            found.reverse();
        }
        assert_eq!((&found, pages), (&keys, if with_content { 3 } else { 1 }));
    }
}

#[tokio::test]
async fn bounds_in_time_and_filters_hold_on_both_sides_of_the_watermark() {
    let mut store = Store::new();
    let config = store.app();
    let mut keys = Vec::new();
    for i in 0..40 {
        store.now = NOW + i * 10;
        let mut publish = store.message(&config);
        publish.envelope.event_type = if i % 2 == 0 { "even" } else { "odd" }.into();
        publish.envelope.channels = vec![format!("c{}", i % 4)];
        keys.push(published(&store.commit(&[Command::Publish(Box::new(publish))])[0]).0);
        if i == 20 {
            store.tend_to_the_end();
        }
    }
    let list = async |filter: MessageFilter| {
        let page = Page { after: None, order: Order::Ascending, limit: 250 };
        let rows = store.reader.messages_of(config.app.key(), page, filter).await.expect("read");
        rows.rows.iter().map(|message| message.id.key).collect::<Vec<_>>()
    };
    let between = MessageFilter { after: Some(NOW + 150), before: Some(NOW + 250), ..MessageFilter::default() };
    assert_eq!(list(between).await, keys[16..25]);
    let odd = MessageFilter { event_types: vec!["odd".into()], channel: Some("c3".into()), ..MessageFilter::default() };
    assert_eq!(list(odd).await, keys.iter().skip(3).step_by(4).copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn an_environment_is_found_by_name_or_id() {
    let mut store = Store::new();
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let changed = store.change(Change::Access(AccessChange::CreateEnvironment {
            name: name.into(),
            kind: EnvironmentKind::Production,
        }));
        let Changed::Environment(environment) = changed else { panic!("{changed:?}") };
        made.push(environment);
    }
    // A name that looks like an id is a name first.
    let id = made[0].id.format(IdKind::Environment);
    for environment in &made {
        let id = environment.id.format(IdKind::Environment);
        for named in [&environment.name, &id] {
            let found = store.reader.environment_named(named).await.expect("read");
            assert_eq!(found.as_ref(), Some(environment), "{named}");
        }
    }
    for unknown in ["three", "", "env_"] {
        assert_eq!(store.reader.environment_named(unknown).await.expect("read"), None);
    }
    let changed = store.change(Change::Access(AccessChange::CreateEnvironment {
        name: id.clone(),
        kind: EnvironmentKind::Production,
    }));
    let Changed::Environment(confusing) = changed else { panic!("{changed:?}") };
    assert_eq!(store.reader.environment_named(&id).await.expect("read"), Some(confusing));
}

#[tokio::test]
async fn core_reads_do_not_wait_for_lists() {
    use crate::store::sql::db::Db;
    use crate::store::sql::lines::{Line, Lines};
    let mut store = Store::new();
    let config = store.app();
    let app = config.app.key();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    // More lists than there are connections, none of which comes to an end.
    let lists: Vec<_> = (0..16)
        .map(|_| {
            let (reader, held) = (store.reader.clone(), Arc::clone(&held));
            tokio::spawn(async move {
                let stand_still = move |_: Db<'_>, _: &Sealer| {
                    // Ends with an error once the other end is gone.
                    let _ = held.lock().map(|held| held.recv());
                    Ok(())
                };
                reader.read(Line::Lists, stand_still).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let soon = std::time::Duration::from_secs(10);
    let list = store.reader.environments();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), list).await.is_err(), "the lists are full");
    let core = async {
        let read = crate::store::StoreReader::app_config(&store.reader, app).await.expect("read");
        assert_eq!(read.as_ref(), Some(&*config));
        assert_eq!(store.reader.api_key_by_hash([0; 32]).await.expect("read"), None);
    };
    let answered = tokio::time::timeout(soon, core).await;
    drop(release);
    answered.expect("answered while lists are slow");
    for list in lists {
        list.await.expect("ended").expect("read");
    }
}
