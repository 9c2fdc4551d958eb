//! Applications, event types and endpoints: everything that is set up before messages flow.

use serde_json::json;

use super::names::{self, EndpointPut, EventTypePut, Only as _, OnlyOf as _};
use super::prelude::*;
use super::{PageOf, Stage, fails_with, field_refused, proved, s, walk};

pub(super) async fn applications(svix: &Svix) -> String {
    let api = svix.application();
    let named = |name: &str, uid: &str| ApplicationIn { uid: Some(s(uid)), ..ApplicationIn::new(s(name)) };
    let metadata = Some([(s("plan"), s("pro"))].into_iter().collect());
    let wanted = ApplicationIn { throttle_rate: Some(500), metadata, ..named("SDK", "sdk-1") };
    let made = api.create(wanted, None).await.expect("made");
    assert_eq!((made.uid.as_deref(), made.throttle_rate), (Some("sdk-1"), Some(500)));
    assert_eq!(made.metadata["plan"], "pro");
    assert_eq!(api.get_or_create(named("Other", "sdk-1"), None).await.expect("got").id, made.id);
    assert_eq!(fails_with(409, api.create(named("x", "sdk-1"), None).await), "conflict");
    field_refused("uid", api.create(named("x", "no uid"), None).await);
    proved("POST /api/v1/app");
    assert_eq!(api.get(s("sdk-1")).await.expect("found").id, made.id);
    proved("GET /api/v1/app/{app_id}");
    let renamed = ApplicationPatch { name: Some(s("Renamed")), ..Default::default() };
    let patched = api.patch(made.id.clone(), renamed).await.expect("patched");
    assert_eq!((&*patched.name, patched.throttle_rate, &patched.metadata), ("Renamed", Some(500), &made.metadata));
    proved("PATCH /api/v1/app/{app_id}");
    let mut ids = vec![made.id.clone()];
    for uid in ["sdk-2", "sdk-3", "sdk-4", "sdk-5"] {
        ids.push(names::put_application(svix, uid, named("Another", uid)).await.expect("put").id);
    }
    let again = names::put_application(svix, "sdk-2", named("Second", "sdk-2")).await.expect("put");
    assert_eq!((&again.id, &*again.name), (&ids[1], "Second"));
    proved("PUT /api/v1/app/{app_id}");
    ids.sort();
    for order in [Ordering::Ascending, Ordering::Descending] {
        let options =
            |iterator| ApplicationListOptions { limit: Some(2), iterator, order: Some(order), ..Default::default() };
        assert_eq!(walk(async |at| page!(api.list(Some(options(at))))).await, ids);
        ids.reverse();
    }
    let nonsense = ApplicationListOptions { iterator: Some(s("nonsense")), ..Default::default() };
    field_refused("iterator", api.list(Some(nonsense)).await);
    proved("GET /api/v1/app");
    for id in ids.into_iter().filter(|id| *id != made.id) {
        api.delete(id).await.expect("deleted");
    }
    fails_with(404, api.get(s("sdk-2")).await);
    proved("DELETE /api/v1/app/{app_id}");
    made.id
}

pub(super) async fn event_types(svix: &Svix) {
    let api = svix.event_type();
    let schema = json!({"1": {
        "title": "Invoice paid",
        "type": "object",
        "required": ["amount", "currency"],
        "properties": {"amount": {"type": "integer"}, "currency": {"type": "string"}},
    }});
    let paid =
        EventTypeIn { schemas: Some(schema.clone()), ..names::event_type("invoice.paid", "An invoice was paid") };
    let made = api.create(paid, None).await.expect("made");
    assert_eq!((&*made.name, made.archived, made.schemas.as_ref()), ("invoice.paid", Some(false), Some(&schema)));
    fails_with(409, api.create(names::event_type("invoice.paid", "x"), None).await);
    field_refused("name", api.create(names::event_type("no name", "x"), None).await);
    proved("POST /api/v1/event-type");
    assert_eq!(api.get(s("invoice.paid")).await.expect("found").description, "An invoice was paid");
    fails_with(404, api.get(s("invoice.unknown")).await);
    proved("GET /api/v1/event-type/{event_type_name}");
    let lost = EventTypePut { group_name: Some(s("invoice")), ..EventTypePut::new(s("Lost")) };
    let put = names::put_event_type(svix, "invoice.lost", lost).await.expect("put");
    assert_eq!((&*put.name, put.group_name.as_deref()), ("invoice.lost", Some("invoice")));
    let lost = EventTypePut { deprecated: Some(true), ..EventTypePut::new(s("Was lost")) };
    let put = names::put_event_type(svix, "invoice.lost", lost).await.expect("put");
    assert_eq!((&*put.description, put.deprecated, put.group_name), ("Was lost", true, None));
    proved("PUT /api/v1/event-type/{event_type_name}");
    let patch = EventTypePatch { deprecated: Some(false), ..Default::default() };
    let patched = api.patch(s("invoice.lost"), patch.clone()).await.expect("patched");
    assert_eq!((&*patched.description, patched.deprecated), ("Was lost", false));
    fails_with(404, api.patch(s("invoice.unknown"), patch).await);
    proved("PATCH /api/v1/event-type/{event_type_name}");
    removed_event_types(&api, &schema).await;
}

/// Archived ones are listed where they are asked for, and come back; expunged ones are gone.
async fn removed_event_types(api: &EventType<'_>, schema: &serde_json::Value) {
    let old = || names::event_type("invoice.old", "Old");
    let names = async |options: EventTypeListOptions| -> Vec<String> {
        api.list(Some(options)).await.expect("a page").data.into_iter().map(|row| row.name).collect()
    };
    api.create(old(), None).await.expect("made");
    let limit = EventTypeListOptions { limit: Some(2), ..Default::default() };
    assert_eq!(names(limit).await, ["invoice.lost", "invoice.old"]);
    let content = EventTypeListOptions { with_content: Some(true), ..Default::default() };
    assert_eq!(api.list(Some(content)).await.expect("a page").data[2].schemas.as_ref(), Some(schema));
    api.delete(s("invoice.old"), None).await.expect("archived");
    assert_eq!(api.get(s("invoice.old")).await.expect("found").archived, Some(true));
    let descending = EventTypeListOptions { order: Some(Ordering::Descending), ..Default::default() };
    assert_eq!(names(descending).await, ["invoice.paid", "invoice.lost"]);
    let archived = EventTypeListOptions { include_archived: Some(true), ..Default::default() };
    assert_eq!(names(archived).await, ["invoice.lost", "invoice.old", "invoice.paid"]);
    proved("GET /api/v1/event-type");
    assert_eq!(api.create(old(), None).await.expect("back").archived, Some(false));
    let expunge = EventTypeDeleteOptions { expunge: Some(true) };
    api.delete(s("invoice.old"), Some(expunge)).await.expect("expunged");
    fails_with(404, api.get(s("invoice.old")).await);
    proved("DELETE /api/v1/event-type/{event_type_name}");
}

pub(super) async fn endpoints(stage: &Stage<'_>) -> (String, String) {
    let (api, app) = (stage.svix.endpoint(), &stage.app);
    let metadata = Some([(s("team"), s("billing"))].into_iter().collect());
    let main = EndpointIn { uid: Some(s("main")), metadata, ..EndpointIn::new(stage.receiver.url("/main")) };
    let main = main.only("invoice.paid");
    let once = || Some(EndpointCreateOptions { idempotency_key: Some(s("endpoint-1")) });
    let made = api.create(app.clone(), main.clone(), once()).await.expect("made");
    assert_eq!((made.uid.as_deref(), made.only_of()), (Some("main"), vec!["invoice.paid"]));
    assert_eq!(made.metadata["team"], "billing");
    assert_eq!(api.create(app.clone(), main.clone(), once()).await.expect("again").id, made.id);
    fails_with(409, api.create(app.clone(), main.clone(), None).await);
    field_refused("url", api.create(app.clone(), EndpointIn::new(s("no url")), None).await);
    fails_with(404, api.create(s("nobody"), main, None).await);
    proved("POST /api/v1/app/{app_id}/endpoint");
    assert_eq!(api.get(s("sdk-1"), s("main")).await.expect("found").id, made.id);
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}");
    let patch = EndpointPatch { description: Some(s("patched")), ..Default::default() };
    let patched = api.patch(app.clone(), made.id.clone(), patch).await.expect("patched");
    assert_eq!((&*patched.description, patched.only_of()), ("patched", vec!["invoice.paid"]));
    proved("PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}");
    let lost = EndpointPut { uid: Some(s("broken")), ..EndpointPut::new(stage.receiver.url("/broken")) };
    let lost = lost.only("invoice.lost");
    let red = EndpointPut { channels: Some([s("red")].into_iter().collect()), ..lost.clone() };
    let broken = names::put_endpoint(&stage.svix, app, "broken", red).await.expect("put");
    assert!(broken.channels.iter().flatten().eq(["red"]) && broken.only_of() == ["invoice.lost"]);
    let again = names::put_endpoint(&stage.svix, app, "broken", lost).await.expect("put");
    assert_eq!((&again.id, again.channels), (&broken.id, None));
    proved("PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}");
    let gone = EndpointIn { disabled: Some(true), ..EndpointIn::new(stage.receiver.url("/gone")) };
    let gone = api.create(app.clone(), gone, None).await.expect("made");
    let order = Some(Ordering::Ascending);
    let options = |iterator| EndpointListOptions { limit: Some(1), iterator, order };
    let ids = walk(async |at| page!(api.list(app.clone(), Some(options(at))))).await;
    let mut all = vec![made.id.clone(), broken.id.clone(), gone.id.clone()];
    all.sort();
    assert_eq!(ids, all);
    proved("GET /api/v1/app/{app_id}/endpoint");
    api.delete(app.clone(), gone.id.clone()).await.expect("deleted");
    fails_with(404, api.get(app.clone(), gone.id).await);
    proved("DELETE /api/v1/app/{app_id}/endpoint/{endpoint_id}");
    (made.id, broken.id)
}

/// Leaves `x-from: sdk` and a token behind, which messages then carry.
pub(super) async fn headers(stage: &Stage<'_>) {
    let (api, app, endpoint) = (stage.svix.endpoint(), &stage.app, &stage.endpoint);
    let body = |name: &str| EndpointHeadersIn::new([(s("x-from"), s("sdk")), (s(name), s("1"))].into_iter().collect());
    names::put_headers(&stage.svix, app, endpoint, body("x-old")).await.expect("put");
    let refused = names::put_headers(&stage.svix, app, endpoint, body("webhook-id")).await;
    assert!(matches!(refused, Err(super::Error::Validation(_))), "{refused:?}");
    proved("PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers");
    let token = [(s("authorization"), s("Bearer hidden"))].into_iter().collect();
    let patch = EndpointHeadersPatchIn { delete_headers: Some(vec![s("x-old")]), headers: token };
    api.patch_headers(app.clone(), endpoint.clone(), patch).await.expect("patched");
    proved("PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers");
    let shown = api.get_headers(app.clone(), endpoint.clone()).await.expect("headers");
    assert_eq!(shown.headers["x-from"], "sdk");
    assert!(shown.sensitive.iter().eq(["authorization"]), "{shown:?}");
    assert!(!shown.headers.contains_key("x-old") && !format!("{shown:?}").contains("hidden"), "{shown:?}");
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers");
}
