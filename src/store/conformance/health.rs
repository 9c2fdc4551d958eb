//! What is kept of an endpoint's health, and who may change it.

use super::*;
use crate::model::{Application, DisabledReason, Failing};

const HOUR_MS: i64 = 3_600_000;

/// An attempt that failed, with what it says of the endpoint's health.
async fn fail(store: &mut Fixture, app: &Application, step: HealthStep) -> Option<Arc<Endpoint>> {
    store.now += 1_000;
    let config = store.config(app).await;
    let message = store.message(&config, "{}");
    let message = store.publish(message);
    let outcome = Outcome::without_answer(OutcomeKind::Timeout, store.now, 1);
    let attempt = Some(AttemptRecord { outcome, url_id: config.endpoints[0].url_id });
    let settle =
        Settle { health: Some(step), attempt, ..settled(&config, message, Next::Park(Parked::Failed), store.now) };
    match store.one(Command::Settle(Box::new(settle))) {
        Ok(Done::Settled(settled)) => {
            assert!(settled.applied);
            settled.endpoint
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn failing_is_kept_warned_of_once_each_and_ended_by_a_success() {
    check(async |store| {
        let config = store.app(1).await;
        let app = &config.app;
        let version = config.app.version;
        let since = store.now;
        assert!(fail(store, app, HealthStep::Warn(1)).await.is_none(), "nothing is warned of that is not failing");
        assert!(fail(store, app, HealthStep::Recover).await.is_none());
        let begun = fail(store, app, HealthStep::Begin { since }).await.expect("kept");
        assert_eq!(begun.failing, Some(Failing { since, warned: 0 }));
        let later = HealthStep::Begin { since: since + 1 };
        assert!(fail(store, app, later).await.is_none(), "it began once");
        store.reopen();
        let warned = fail(store, app, HealthStep::Warn(1)).await.expect("warned");
        assert_eq!(warned.failing, Some(Failing { since, warned: 1 }));
        assert!(fail(store, app, HealthStep::Warn(1)).await.is_none(), "each warning once");
        assert!(fail(store, app, HealthStep::Warn(2)).await.is_some());
        let now = store.config(&config.app).await;
        assert_eq!(now.app.version, version, "messages need not be routed again for it");
        assert_eq!(fail(store, app, HealthStep::Recover).await.expect("ended").failing, None);
        assert_eq!(store.config(&config.app).await.endpoints[0].failing, None);
    });
}

#[test]
fn failing_for_days_disables_only_after_attempts_enough() {
    check(async |store| {
        let config = store.app(1).await;
        let app = &config.app;
        let since = store.now;
        let disable = HealthStep::Disable(DisabledReason::Failing);
        assert!(fail(store, app, disable).await.is_none(), "it is not failing");
        fail(store, app, HealthStep::Begin { since }).await.expect("kept");
        store.now += 120 * HOUR_MS;
        // Those before, and this one, are fewer than twenty.
        for _ in 0..17 {
            assert!(fail(store, app, disable).await.is_none());
        }
        let disabled = fail(store, app, disable).await.expect("disabled");
        assert_eq!(disabled.spec.disabled, Some(DisabledReason::Failing));
        assert_eq!(disabled.failing.map(|failing| failing.since), Some(since), "it says since when");

        let enable = crate::store::command::EndpointPatch { disabled: Some(false), ..Default::default() };
        let change = Change::PatchEndpoint { app: config.app.key(), endpoint: disabled.key(), patch: Box::new(enable) };
        let Ok(Changed::Endpoint(enabled, became)) = store.change(change) else { panic!("not changed") };
        assert_eq!((enabled.failing, enabled.spec.disabled, became), (None, None, Became::Enabled));
    });
}

#[test]
fn an_attempt_that_began_before_a_change_does_not_disable_what_the_endpoint_is_now() {
    check(async |store| {
        let config = store.app(1).await;
        let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
        let disable = Some(HealthStep::Disable(DisabledReason::Gone));
        let answer = |store: &mut Fixture, config: &AppConfig, message, started_at| {
            let mut settle = settled(config, message, Next::Park(Parked::Held), store.now);
            settle.health = disable;
            let outcome = Outcome { status: 410, ..Outcome::without_answer(OutcomeKind::Status, started_at, 1) };
            settle.attempt = Some(AttemptRecord { outcome, url_id: config.endpoints[0].url_id });
            match store.one(Command::Settle(Box::new(settle))) {
                Ok(Done::Settled(settled)) => settled.endpoint,
                other => panic!("{other:?}"),
            }
        };
        let patches = [
            EndpointPatch { url: Some("http://other.example/".into()), ..EndpointPatch::default() },
            EndpointPatch { disabled: Some(true), ..EndpointPatch::default() },
            EndpointPatch { disabled: Some(false), ..EndpointPatch::default() },
        ];
        let before = store.config(&config.app).await;
        let message = store.publish(store.message(&before, "x"));
        let started_at = store.now;
        for patch in patches {
            store.now += 1_000;
            store.change(Change::PatchEndpoint { app, endpoint, patch: Box::new(patch) }).expect("patched");
        }
        assert!(answer(store, &before, message, store.now).is_none(), "it went to the old URL");
        let now = store.config(&config.app).await;
        let message = store.publish(store.message(&now, "x"));
        assert!(answer(store, &now, message, started_at).is_none(), "it began before the endpoint was enabled");
        let message = store.publish(store.message(&now, "x"));
        assert!(answer(store, &now, message, store.now).is_some());
    });
}

#[test]
fn a_secret_that_is_rotated_signs_beside_the_new_one() {
    check(async |store| {
        let config = store.app(1).await;
        let (app, endpoint) = (config.app.key(), config.endpoints[0].key());
        for number in 1..=12 {
            let key = SecretBytes::new(vec![number; 24]);
            store.change(Change::RotateSecret { app, endpoint, key, grace_ms: 60_000 }).expect("rotated");
        }
        store.reopen();
        let secrets = store.config(&config.app).await.endpoints[0].secrets.clone();
        assert_eq!(secrets.len(), crate::model::SIGNING_SECRETS_MAX, "bounded");
        assert_eq!((secrets[0].key.expose(), secrets[0].expires_at), (&[12_u8; 24][..], None));
        assert!(secrets[1..].iter().all(|secret| secret.expires_at == Some(store.now + 60_000)));
    });
}
