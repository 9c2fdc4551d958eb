//! Applications and endpoints: unique names, patches, puts, bounds, remembered answers.

use std::collections::BTreeMap;

use std::sync::Arc;

use super::*;
use crate::model::{Application, DisabledReason};
use crate::store::command::{ApplicationPatch, EndpointPatch, RememberedAs, Target};

fn spec(name: &str) -> ApplicationSpec {
    ApplicationSpec { name: name.into(), ..ApplicationSpec::default() }
}

fn create(uid: Option<&str>, name: &str, get_if_exists: bool) -> Change {
    Change::CreateApplication { env: ENV, uid: uid.map(str::to_owned), spec: spec(name), get_if_exists }
}

#[track_caller]
fn application(changed: Result<Changed, Refusal>) -> (Application, bool) {
    match changed {
        Ok(Changed::Application(app, created)) => (app, created),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn endpoint(changed: Result<Changed, Refusal>) -> (Arc<Endpoint>, bool) {
    match changed {
        Ok(Changed::Endpoint(endpoint, became)) => (endpoint, became == Became::New),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_application_uid_is_unique_in_its_environment() {
    check(async |store| {
        let (first, created) = application(store.change(create(Some("u"), "first", false)));
        assert!(created);
        assert_eq!(store.change(create(Some("u"), "second", false)).err(), Some(Refusal::Exists));
        let (same, created) = application(store.change(create(Some("u"), "second", true)));
        assert_eq!((&same, created), (&first, false), "the first, unchanged");
        let elsewhere =
            Change::CreateApplication { env: EnvKey(2), uid: Some("u".into()), spec: spec("x"), get_if_exists: false };
        application(store.change(elsewhere));
        let batch = [create(Some("v"), "1", true), create(Some("v"), "2", true)].map(|change| store.changing(change));
        let made = store.commit(&batch).into_iter().map(|reply| match reply {
            Ok(Done::Changed(changed)) => application(Ok(*changed)),
            other => panic!("{other:?}"),
        });
        let made: Vec<_> = made.collect();
        assert!(made[0].1 && !made[1].1 && made[0].0 == made[1].0);
        let second = application(store.change(create(None, "second", false))).0;
        let patch = ApplicationPatch { uid: Some(Some("u".into())), ..ApplicationPatch::default() };
        let taken = store.change(Change::PatchApplication { app: second.key(), patch });
        assert_eq!(taken.err(), Some(Refusal::Exists));
        store.reopen();
        assert_eq!(store.reader.app_by_uid(ENV, "u").await.expect("read"), Some(first.key()));
        assert_eq!(store.reader.app_by_uid(ENV, "w").await.expect("read"), None);
        store.change(Change::DeleteApplication { app: first.key() }).expect("gone");
        assert!(application(store.change(create(Some("u"), "third", true))).1, "the name is free again");
    });
}

#[test]
fn patches_of_different_fields_lose_nothing() {
    check(async |store| {
        let app = application(store.change(create(Some("u"), "n", false))).0;
        let metadata = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let patches = [
            ApplicationPatch { name: Some("m".into()), ..ApplicationPatch::default() },
            ApplicationPatch { throttle_rate: Some(Some(9)), ..ApplicationPatch::default() },
            ApplicationPatch { metadata: Some(metadata.clone()), ..ApplicationPatch::default() },
            ApplicationPatch { uid: Some(None), ..ApplicationPatch::default() },
        ];
        store.now += 10;
        let batch = patches.map(|patch| store.changing(Change::PatchApplication { app: app.key(), patch }));
        assert!(store.commit(&batch).iter().all(Result::is_ok));
        store.reopen();
        let now = &store.config(&app).await.app;
        assert_eq!(now.spec, ApplicationSpec { name: "m".into(), throttle_rate: Some(9), metadata });
        assert_eq!((now.id, now.uid.as_ref(), now.created_at, now.updated_at), (app.id, None, NOW, NOW + 10));
        assert!(now.version > app.version);
        let cleared = ApplicationPatch { throttle_rate: Some(None), ..ApplicationPatch::default() };
        let (after, created) = application(store.change(Change::PatchApplication { app: app.key(), patch: cleared }));
        assert_eq!((after.spec.throttle_rate, created), (None, false));
        let nobody = Change::PatchApplication { app: crate::model::AppKey(4), patch: ApplicationPatch::default() };
        assert_eq!(store.change(nobody).err(), Some(Refusal::NotFound));
    });
}

#[test]
fn a_put_makes_or_replaces_an_application() {
    check(async |store| {
        let put = |target: Target, uid: Option<&str>, name: &str| Change::PutApplication {
            env: ENV,
            target,
            uid: uid.map(str::to_owned),
            spec: spec(name),
        };
        let named = |uid: &str| Target::Uid(uid.to_owned());
        let (made, created) = application(store.change(put(named("u"), None, "one")));
        assert_eq!((created, made.uid.as_deref()), (true, Some("u")));
        let (same, created) = application(store.change(put(named("u"), None, "two")));
        assert_eq!((created, same.id, same.uid.as_deref(), &*same.spec.name), (false, made.id, Some("u"), "two"));
        let (renamed, created) = application(store.change(put(named("u"), Some("v"), "two")));
        assert_eq!((created, renamed.id, renamed.uid.as_deref()), (false, made.id, Some("v")));
        let (cleared, _) = application(store.change(put(Target::Id(made.id), None, "three")));
        assert_eq!((cleared.id, cleared.uid), (made.id, None));
        let wrong = crate::model::Id { nonce: [0; 12], ..made.id };
        assert_eq!(store.change(put(Target::Id(wrong), None, "x")).err(), Some(Refusal::NotFound));
        application(store.change(create(Some("w"), "other", false)));
        assert_eq!(store.change(put(Target::Id(made.id), Some("w"), "x")).err(), Some(Refusal::Exists));
        assert_eq!(&*store.config(&made).await.app.spec.name, "three", "a refused put changes nothing");
    });
}

#[test]
fn endpoints_are_patched_put_and_deleted() {
    check(async |store| {
        let config = store.app(0).await;
        let app = config.app.key();
        let url = |url: &str| EndpointSpec {
            url: url.into(),
            headers: BTreeMap::from([("x-a".to_owned(), "1".to_owned())]),
            ..EndpointSpec::default()
        };
        let first = store.endpoint(&config.app, Some("e"), url("http://a/")).expect("made");
        assert_eq!(store.endpoint(&config.app, Some("e"), url("http://b/")).err(), Some(Refusal::Exists));
        let patch = |patch: EndpointPatch| Change::PatchEndpoint { app, endpoint: first.key(), patch: Box::new(patch) };
        let moved = patch(EndpointPatch { url: Some("http://c/".into()), ..EndpointPatch::default() });
        let limited = patch(EndpointPatch { throttle_rate: Some(Some(3)), ..EndpointPatch::default() });
        let off = patch(EndpointPatch { disabled: Some(true), ..EndpointPatch::default() });
        let (after, created) = endpoint(store.change(moved));
        assert!(!created && after.url_id != first.url_id, "attempts before the change keep their URL");
        assert_eq!(endpoint(store.change(limited)).0.url_id, after.url_id);
        let now = endpoint(store.change(off)).0;
        assert_eq!((now.spec.throttle_rate, now.spec.disabled), (Some(3), Some(DisabledReason::Manual)));
        assert_eq!((&*now.spec.url, &now.secrets, now.created_at), ("http://c/", &first.secrets, first.created_at));

        let put = |target: Target, uid: Option<&str>, spec: EndpointSpec| Change::PutEndpoint {
            app,
            target,
            uid: uid.map(str::to_owned),
            spec: Box::new(spec),
            secret: SecretBytes::new(vec![9; 24]),
        };
        let plain = EndpointSpec { url: "http://d/".into(), ..EndpointSpec::default() };
        let (same, created) = endpoint(store.change(put(Target::Id(first.id), Some("e"), plain.clone())));
        assert!(!created && same.secrets == first.secrets && same.spec.headers == first.spec.headers);
        assert_eq!(same.spec.disabled, None);
        let (other, created) = endpoint(store.change(put(Target::Uid("f".into()), None, plain.clone())));
        assert!(created && other.uid.as_deref() == Some("f") && other.secrets[0].key.expose() == [9; 24]);
        assert_eq!(store.change(put(Target::Id(first.id), Some("f"), plain.clone())).err(), Some(Refusal::Exists));
        store.reopen();
        let stored = store.config(&config.app).await;
        assert_eq!(stored.endpoints, [same, Arc::clone(&other)]);
        let foreign = store.app(0).await;
        let wrong = Change::DeleteEndpoint { app: foreign.app.key(), endpoint: other.key() };
        assert_eq!(store.change(wrong).err(), Some(Refusal::NotFound));
        store.change(Change::DeleteEndpoint { app, endpoint: other.key() }).expect("gone");
        let again = store.change(Change::DeleteEndpoint { app, endpoint: other.key() });
        assert_eq!(again.err(), Some(Refusal::NotFound));
        let found = store.reader.apps_of(&[other.key(), first.key()]).await.expect("read");
        assert_eq!(found, [(first.key(), app)]);
    });
}

#[test]
fn every_change_of_an_endpoint_raises_the_version() {
    check(async |store| {
        let config = store.app(1).await;
        let (app, key) = (config.app.key(), config.endpoints[0].key());
        let patch = EndpointPatch { description: Some("d".into()), ..EndpointPatch::default() };
        let changes = [
            Change::PatchEndpoint { app, endpoint: key, patch: Box::new(patch) },
            Change::DeleteEndpoint { app, endpoint: key },
        ];
        let mut version = config.app.version;
        for change in changes {
            store.change(change).expect("changed");
            let now = store.config(&config.app).await.app.version;
            assert!(now > version);
            version = now;
        }
    });
}

#[test]
fn an_application_has_a_bounded_number_of_endpoints() {
    check(async |store| {
        let config = store.app(ENDPOINTS_MAX).await;
        let one_more = store.endpoint(&config.app, None, EndpointSpec::default());
        assert_eq!(one_more.err(), Some(Refusal::TooManyEndpoints));
        let target = Target::Uid("new".into());
        let put = Change::PutEndpoint {
            app: config.app.key(),
            target,
            uid: None,
            spec: Box::default(),
            secret: SecretBytes::new(vec![1; 24]),
        };
        assert_eq!(store.change(put).err(), Some(Refusal::TooManyEndpoints));
        store
            .change(Change::DeleteEndpoint { app: config.app.key(), endpoint: config.endpoints[2].key() })
            .expect("gone");
        store.endpoint(&config.app, None, EndpointSpec::default()).expect("there is room again");
        let gone = store.app(0).await;
        store.change(Change::DeleteApplication { app: gone.app.key() }).expect("gone");
        assert_eq!(store.endpoint(&gone.app, None, EndpointSpec::default()).err(), Some(Refusal::NotFound));
    });
}

#[test]
fn a_repeated_change_gets_the_first_answer() {
    fn render(changed: &Changed) -> (u16, String) {
        match changed {
            Changed::Application(app, _) => (201, app.id.key.to_string()),
            _ => (200, String::new()),
        }
    }
    check(async |store| {
        let with = |store: &Fixture, name: &str, body: &str| {
            let change = create(None, name, false);
            let idempotency = Some(RememberedAs { key: key("change", body, false), render: Arc::new(render) });
            Command::Change(Box::new(ChangeRequest { at: store.now, idempotency, change }))
        };
        let Ok(Done::Changed(first)) = store.one(with(store, "one", "b")) else { panic!() };
        let (app, _) = application(Ok(*first));
        store.reopen();
        let again = store.one(with(store, "one", "b"));
        assert!(matches!(&again, Ok(Done::RepeatedChange(201, body)) if *body == app.id.key.to_string()), "{again:?}");
        assert_eq!(refused(store.one(with(store, "one", "c"))), Refusal::IdempotencyMismatch);
        store.now += 24 * 3_600_000;
        assert!(matches!(store.one(with(store, "one", "c")), Ok(Done::Changed(_))), "its time is over");
    });
}
