//! Sources and their endpoints, as they are made, changed and read. What comes in by them is a matter of
//! plain HTTP: the steps of the other languages send it.

use super::names::{self, IngestEndpointPut};
use super::prelude::*;
use super::{PageOf, Stage, fails_with, field_refused, proved, s, walk};

const SECRET: &str = "whsec_from_stripe";

fn source(name: &str, uid: &str, config: IngestSourceInConfig) -> IngestSourceIn {
    let metadata = Some([(s("a"), s("b"))].into_iter().collect());
    IngestSourceIn { name: s(name), uid: Some(s(uid)), metadata, config }
}

fn stripe(secret: &str) -> IngestSourceInConfig {
    IngestSourceInConfig::Stripe(StripeConfig::new(s(secret)))
}

pub(super) async fn ingest(stage: &Stage<'_>) {
    let source = sources(stage).await;
    endpoints(stage, &source).await;
    headers_and_secret(stage, &source).await;
    stage.svix.ingest().source().delete(source).await.expect("deleted");
}

async fn sources(stage: &Stage<'_>) -> String {
    let ingest = stage.svix.ingest();
    let api = ingest.source();
    let once = || Some(IngestSourceCreateOptions { idempotency_key: Some(s("source-1")) });
    let wanted = || source("Payments", "payments", stripe(SECRET));
    let made = api.create(wanted(), once()).await.expect("made");
    assert_eq!((&*made.name, made.uid.as_deref(), &*made.metadata["a"]), ("Payments", Some("payments"), "b"));
    assert!(matches!(made.config, IngestSourceOutConfig::Stripe(_)), "{made:?}");
    assert!(!format!("{made:?}").contains(SECRET), "{made:?}");
    assert_eq!(api.create(wanted(), once()).await.expect("made").id, made.id);
    fails_with(409, api.create(wanted(), None).await);
    field_refused("secret", api.create(source("x", "x", stripe("")), None).await);
    proved("POST /ingest/api/v1/source");
    assert_eq!(api.get(s("payments")).await.expect("found").id, made.id);
    fails_with(404, api.get(s("nobody")).await);
    proved("GET /ingest/api/v1/source/{source_id}");
    let second = names::put_source(&stage.svix, "code", source("Code", "code", stripe("a"))).await.expect("put");
    let open = source("Any", "code", IngestSourceInConfig::GenericWebhook);
    let again = names::put_source(&stage.svix, &second.id, open).await.expect("put");
    assert_eq!((&again.id, &*again.name), (&second.id, "Any"));
    assert!(matches!(again.config, IngestSourceOutConfig::GenericWebhook), "{again:?}");
    proved("PUT /ingest/api/v1/source/{source_id}");
    let order = Some(Ordering::Ascending);
    let options = |iterator| IngestSourceListOptions { limit: Some(1), iterator, order };
    let mut ids = [made.id.clone(), second.id.clone()];
    ids.sort();
    assert_eq!(walk(async |at| page!(api.list(Some(options(at))))).await, ids);
    proved("GET /ingest/api/v1/source");
    api.delete(s("code")).await.expect("deleted");
    fails_with(404, api.get(second.id).await);
    proved("DELETE /ingest/api/v1/source/{source_id}");
    let rotated = api.rotate_token(made.id.clone(), None).await.expect("rotated").ingest_url;
    assert_ne!(Some(&rotated), made.ingest_url.as_ref());
    assert_eq!(api.get(made.id.clone()).await.expect("found").ingest_url, Some(rotated));
    proved("POST /ingest/api/v1/source/{source_id}/token/rotate");
    made.id
}

async fn endpoints(stage: &Stage<'_>, source: &str) {
    let ingest = stage.svix.ingest();
    let (api, url) = (ingest.endpoint(), stage.receiver.url("/ingest"));
    let named = |uid: &str| IngestEndpointIn { uid: Some(s(uid)), ..IngestEndpointIn::new(url.clone()) };
    let made = api.create(s(source), named("in"), None).await.expect("made");
    assert_eq!((&made.url, made.uid.as_deref()), (&url, Some("in")));
    fails_with(409, api.create(s(source), named("in"), None).await);
    field_refused("url", api.create(s(source), IngestEndpointIn::new(s("no url")), None).await);
    fails_with(404, api.create(s("nobody"), named("in"), None).await);
    proved("POST /ingest/api/v1/source/{source_id}/endpoint");
    let off = IngestEndpointIn { disabled: Some(true), ..named("in-2") };
    let second = api.create(s(source), off, None).await.expect("made");
    assert_eq!(api.get(s("payments"), s("in")).await.expect("found").id, made.id);
    proved("GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}");
    let order = Some(Ordering::Ascending);
    let options = |iterator| IngestEndpointListOptions { limit: Some(1), iterator, order };
    let mut ids = [made.id, second.id.clone()];
    ids.sort();
    assert_eq!(walk(async |at| page!(api.list(s(source), Some(options(at))))).await, ids);
    proved("GET /ingest/api/v1/source/{source_id}/endpoint");
    let third = IngestEndpointPut { uid: Some(s("in-3")), ..IngestEndpointPut::new(url.clone()) };
    let put = names::put_ingest_endpoint(&stage.svix, source, "in-2", third).await.expect("put");
    assert_eq!((&put.id, put.uid.as_deref()), (&second.id, Some("in-3")));
    proved("PUT /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}");
    api.delete(s(source), s("in-3")).await.expect("deleted");
    fails_with(404, api.get(s(source), second.id).await);
    proved("DELETE /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}");
}

async fn headers_and_secret(stage: &Stage<'_>, source: &str) {
    let ingest = stage.svix.ingest();
    let api = ingest.endpoint();
    let headers = [(s("x-in"), s("1")), (s("authorization"), s("Bearer hidden"))].into_iter().collect();
    let headers = IngestEndpointHeadersIn::new(headers);
    names::put_ingest_headers(&stage.svix, source, "in", headers).await.expect("put");
    proved("PUT /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers");
    let shown = api.get_headers(s(source), s("in")).await.expect("headers");
    assert_eq!(shown.headers["x-in"], "1");
    assert!(shown.sensitive.iter().eq(["authorization"]) && !format!("{shown:?}").contains("hidden"), "{shown:?}");
    proved("GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers");
    let old = api.get_secret(s(source), s("in")).await.expect("a secret").key;
    proved("GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret");
    api.rotate_secret(s(source), s("in"), IngestEndpointSecretIn::new(), None).await.expect("rotated");
    assert_ne!(api.get_secret(s(source), s("in")).await.expect("a secret").key, old);
    proved("POST /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate");
}
