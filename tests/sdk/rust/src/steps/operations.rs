//! Operational webhooks, access for customers, health and refusals.

use super::names::{self, Only as _, OnlyOf as _, OperationalPut};
use super::prelude::*;
use super::{PageOf, Stage, client, fails_with, field_refused, json, proved, s, walk};

pub(super) async fn operational(stage: &Stage<'_>) {
    let operational = stage.svix.operational_webhook();
    let api = operational.endpoint();
    let url = stage.receiver.url("/operational");
    let named = |uid: &str| OperationalWebhookEndpointIn {
        uid: Some(s(uid)),
        ..OperationalWebhookEndpointIn::new(url.clone())
    };
    let made = api.create(named("ops").only("endpoint.created"), None).await.expect("made");
    assert_eq!((made.uid.as_deref(), made.only_of()), (Some("ops"), vec!["endpoint.created"]));
    fails_with(409, api.create(named("ops"), None).await);
    field_refused("url", api.create(OperationalWebhookEndpointIn::new(s("no url")), None).await);
    proved("POST /api/v1/operational-webhook/endpoint");
    let off = OperationalWebhookEndpointIn { disabled: Some(true), ..named("ops-2") };
    let second = api.create(off, None).await.expect("made");
    assert_eq!(api.get(s("ops")).await.expect("found").id, made.id);
    proved("GET /api/v1/operational-webhook/endpoint/{endpoint_id}");
    let order = Some(Ordering::Ascending);
    let options = |iterator| OperationalWebhookEndpointListOptions { limit: Some(1), iterator, order };
    assert_eq!(walk(async |at| page!(api.list(Some(options(at))))).await, [made.id, second.id.clone()]);
    proved("GET /api/v1/operational-webhook/endpoint");
    let third = OperationalPut { uid: Some(s("ops-3")), disabled: Some(true), ..OperationalPut::new(url.clone()) };
    let put = names::put_operational(&stage.svix, "ops-2", third).await.expect("put");
    assert_eq!((&put.id, put.uid.as_deref()), (&second.id, Some("ops-3")));
    proved("PUT /api/v1/operational-webhook/endpoint/{endpoint_id}");
    api.delete(s("ops-3")).await.expect("deleted");
    fails_with(404, api.get(second.id).await);
    proved("DELETE /api/v1/operational-webhook/endpoint/{endpoint_id}");
    headers_and_secret(stage).await;
    told(stage).await;
    api.delete(s("ops")).await.expect("deleted");
}

async fn headers_and_secret(stage: &Stage<'_>) {
    let operational = stage.svix.operational_webhook();
    let api = operational.endpoint();
    let headers = [(s("x-ops"), s("1")), (s("authorization"), s("Bearer hidden"))].into_iter().collect();
    let headers = OperationalWebhookEndpointHeadersIn::new(headers);
    names::put_operational_headers(&stage.svix, "ops", headers).await.expect("put");
    proved("PUT /api/v1/operational-webhook/endpoint/{endpoint_id}/headers");
    let shown = api.get_headers(s("ops")).await.expect("headers");
    assert_eq!(shown.headers["x-ops"], "1");
    assert!(shown.sensitive.iter().eq(["authorization"]) && !format!("{shown:?}").contains("hidden"), "{shown:?}");
    proved("GET /api/v1/operational-webhook/endpoint/{endpoint_id}/headers");
    let old = api.get_secret(s("ops")).await.expect("a secret").key;
    proved("GET /api/v1/operational-webhook/endpoint/{endpoint_id}/secret");
    api.rotate_secret(s("ops"), OperationalWebhookEndpointSecretIn::new(), None).await.expect("rotated");
    assert_ne!(api.get_secret(s("ops")).await.expect("a secret").key, old);
    proved("POST /api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate");
}

/// A new endpoint is told of, by a webhook like all others.
async fn told(stage: &Stage<'_>) {
    let secret = stage.svix.operational_webhook().endpoint().get_secret(s("ops")).await.expect("a secret").key;
    let api = stage.svix.endpoint();
    let unused = EndpointIn::new(stage.receiver.url("/unused"));
    let created = api.create(stage.app.clone(), unused, None).await.expect("made");
    let received = stage.receiver.wait("/operational", None, 1).await;
    let said = json(&received, &[&secret]);
    assert_eq!(said["type"], "endpoint.created");
    assert_eq!((&said["data"]["appId"], &said["data"]["endpointId"]), (&(&*stage.app).into(), &(&*created.id).into()));
    assert_eq!(received.header("x-ops"), Some("1"));
    api.delete(stage.app.clone(), created.id).await.expect("deleted");
}

/// A customer's token opens one application, until it is logged out.
pub(super) async fn portal(stage: &Stage<'_>) {
    let (api, app) = (stage.svix.authentication(), &stage.app);
    let access = api.app_portal_access(app.clone(), AppPortalAccessIn::new(), None).await.expect("access");
    assert!(!access.token.is_empty() && access.url.contains(&access.token));
    let customer = client(stage.url, &access.token);
    assert_eq!(customer.application().get(app.clone()).await.expect("found").id, *app);
    let own = EndpointIn { disabled: Some(true), ..EndpointIn::new(s("https://example.com/customer")) };
    let made = customer.endpoint().create(app.clone(), own, None).await.expect("made");
    customer.endpoint().delete(app.clone(), made.id).await.expect("deleted");
    fails_with(403, customer.application().list(None).await);
    let message = MessageIn::new(s("invoice.paid"), serde_json::json!({}));
    fails_with(403, customer.message().create(app.clone(), message, None).await);
    let view = Some([AppPortalCapability::ViewBase].into_iter().collect());
    let view = AppPortalAccessIn { capabilities: view, expiry: Some(3600), ..Default::default() };
    let reader = client(stage.url, &api.app_portal_access(app.clone(), view, None).await.expect("access").token);
    assert_eq!(reader.endpoint().get(app.clone(), s("main")).await.expect("found").uid.as_deref(), Some("main"));
    fails_with(403, reader.endpoint().delete(app.clone(), s("main")).await);
    fails_with(403, reader.endpoint().get_secret(app.clone(), s("main")).await);
    let short = AppPortalAccessIn { expiry: Some(1), ..Default::default() };
    field_refused("expiry", api.app_portal_access(app.clone(), short, None).await);
    proved("POST /api/v1/auth/app-portal-access/{app_id}");
    customer.authentication().logout(None).await.expect("logged out");
    fails_with(401, customer.application().get(app.clone()).await);
    assert_eq!(reader.application().get(app.clone()).await.expect("found").id, *app);
    proved("POST /api/v1/auth/logout");
    let of_nobody = ApplicationTokenExpireIn { session_ids: Some(vec!["nobody".to_owned()]), ..Default::default() };
    api.expire_all(app.clone(), of_nobody, None).await.expect("ended");
    assert_eq!(reader.application().get(app.clone()).await.expect("found").id, *app);
    api.expire_all(app.clone(), ApplicationTokenExpireIn::default(), None).await.expect("ended");
    fails_with(401, reader.application().get(app.clone()).await);
    proved("POST /api/v1/auth/app/{app_id}/expire-all");
}

pub(super) async fn health(stage: &Stage<'_>) {
    stage.svix.health().get().await.expect("alive");
    proved("GET /api/v1/health");
}

pub(super) async fn refusals(stage: &Stage<'_>) {
    let stranger = client(stage.url, "wrong");
    assert_eq!(fails_with(401, stranger.application().list(None).await), "authentication_failed");
    assert_eq!(fails_with(501, stage.svix.integration().list(stage.app.clone(), None).await), "not_implemented");
}
