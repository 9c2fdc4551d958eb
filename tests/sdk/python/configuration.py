"""Applications, event types and endpoints: everything that is set up before messages flow."""

from svix.api import (
    ApplicationListOptions,
    ApplicationPatch,
    EndpointCreateOptions,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointListOptions,
    EndpointPatch,
    EventTypeDeleteOptions,
    EventTypeIn,
    EventTypeListOptions,
    EventTypePatch,
    Ordering,
)
from svix.models import ApplicationIn

from common import fails_with, field_refused, proved, walk
from names import EndpointPut, EventTypePut, only, only_of, put, put_headers

SCHEMA = {
    "1": {
        "title": "Invoice paid",
        "type": "object",
        "required": ["amount", "currency"],
        "properties": {"amount": {"type": "integer"}, "currency": {"type": "string"}},
    }
}


def applications(posthouse):
    api = posthouse.application
    made = api.create(ApplicationIn(name="SDK", uid="sdk-1", throttle_rate=500, metadata={"plan": "pro"}))
    assert (made.uid, made.metadata, made.throttle_rate) == ("sdk-1", {"plan": "pro"}, 500)
    assert api.get_or_create(ApplicationIn(name="Other", uid="sdk-1")).id == made.id
    error = fails_with(409, lambda: api.create(ApplicationIn(name="x", uid="sdk-1")))
    assert error.code == "conflict", error
    field_refused("uid", lambda: api.create(ApplicationIn(name="x", uid="no uid")))
    proved("POST /api/v1/app")
    assert api.get("sdk-1").id == made.id and api.get(made.id).name == "SDK"
    proved("GET /api/v1/app/{app_id}")
    patched = api.patch(made.id, ApplicationPatch(name="Renamed"))
    assert (patched.name, patched.throttle_rate, patched.metadata) == ("Renamed", 500, {"plan": "pro"})
    proved("PATCH /api/v1/app/{app_id}")
    others = [put(api)(f"sdk-{n}", ApplicationIn(name=f"No. {n}", uid=f"sdk-{n}")) for n in range(2, 6)]
    assert [app.uid for app in others] == ["sdk-2", "sdk-3", "sdk-4", "sdk-5"]
    again = put(api)("sdk-2", ApplicationIn(name="Second", uid="sdk-2", metadata={"a": "b"}))
    assert (again.id, again.name, again.metadata) == (others[0].id, "Second", {"a": "b"})
    proved("PUT /api/v1/app/{app_id}")
    for order in (Ordering.ASCENDING, Ordering.DESCENDING):
        ids = walk(lambda at, order=order: api.list(ApplicationListOptions(limit=2, iterator=at, order=order)))
        assert ids == sorted([made.id, *(app.id for app in others)], reverse=order == Ordering.DESCENDING), ids
    field_refused("iterator", lambda: api.list(ApplicationListOptions(iterator="nonsense")))
    field_refused("limit", lambda: api.list(ApplicationListOptions(limit=251)))
    proved("GET /api/v1/app")
    for app in others:
        api.delete(app.id)
    fails_with(404, lambda: api.get("sdk-2"))
    assert [app.id for app in api.list().data] == [made.id]
    proved("DELETE /api/v1/app/{app_id}")
    return made.id


def event_types(posthouse):
    api = posthouse.event_type
    made = api.create(EventTypeIn(name="invoice.paid", description="An invoice was paid", schemas=SCHEMA))
    assert made.name == "invoice.paid" and not made.archived and made.schemas == SCHEMA
    fails_with(409, lambda: api.create(EventTypeIn(name="invoice.paid", description="x")))
    field_refused("name", lambda: api.create(EventTypeIn(name="no name", description="x")))
    proved("POST /api/v1/event-type")
    found = api.get("invoice.paid")
    assert (found.description, found.schemas) == ("An invoice was paid", SCHEMA)
    fails_with(404, lambda: api.get("invoice.unknown"))
    proved("GET /api/v1/event-type/{event_type_name}")
    replaced = put(api)("invoice.lost", EventTypePut(description="Lost", group_name="invoice"))
    assert (replaced.name, replaced.description, replaced.group_name) == ("invoice.lost", "Lost", "invoice")
    replaced = put(api)("invoice.lost", EventTypePut(description="Was lost", deprecated=True))
    assert (replaced.description, replaced.deprecated, replaced.group_name) == ("Was lost", True, None)
    proved("PUT /api/v1/event-type/{event_type_name}")
    patched = api.patch("invoice.lost", EventTypePatch(deprecated=False, group_name="invoice"))
    assert (patched.description, patched.deprecated, patched.group_name) == ("Was lost", False, "invoice")
    fails_with(404, lambda: api.patch("invoice.unknown", EventTypePatch(deprecated=True)))
    proved("PATCH /api/v1/event-type/{event_type_name}")
    removed_event_types(api)


def removed_event_types(api):
    """Archived ones are listed where they are asked for, and come back; expunged ones are gone."""
    api.create(EventTypeIn(name="invoice.old", description="Old"))

    def names(**options):
        return [row.name for row in api.list(EventTypeListOptions(**options)).data]

    assert names(limit=2) == ["invoice.lost", "invoice.old"]
    assert names(order=Ordering.DESCENDING) == ["invoice.paid", "invoice.old", "invoice.lost"]
    rows = api.list(EventTypeListOptions(with_content=True)).data
    assert rows[2].schemas == SCHEMA
    api.delete("invoice.old")
    assert api.get("invoice.old").archived
    assert names() == ["invoice.lost", "invoice.paid"]
    assert names(include_archived=True) == ["invoice.lost", "invoice.old", "invoice.paid"]
    proved("GET /api/v1/event-type")
    assert not api.create(EventTypeIn(name="invoice.old", description="Back")).archived
    api.delete("invoice.old", EventTypeDeleteOptions(expunge=True))
    fails_with(404, lambda: api.get("invoice.old"))
    proved("DELETE /api/v1/event-type/{event_type_name}")


def endpoints(posthouse, app, receiver):
    api = posthouse.endpoint
    wanted = EndpointIn(url=receiver.url("/main"), uid="main", metadata={"team": "billing"}, **only("invoice.paid"))
    made = api.create(app, wanted, EndpointCreateOptions(idempotency_key="endpoint-1"))
    assert (made.uid, only_of(made), made.metadata) == ("main", ["invoice.paid"], {"team": "billing"})
    assert api.create(app, wanted, EndpointCreateOptions(idempotency_key="endpoint-1")).id == made.id
    fails_with(409, lambda: api.create(app, wanted))
    field_refused("url", lambda: api.create(app, EndpointIn(url="no url")))
    fails_with(404, lambda: api.create("nobody", wanted))
    proved("POST /api/v1/app/{app_id}/endpoint")
    assert api.get(app, "main").id == made.id and api.get("sdk-1", made.id).url == receiver.url("/main")
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}")
    patched = api.patch(app, made.id, EndpointPatch(description="patched", throttle_rate=400))
    assert (patched.description, only_of(patched), patched.throttle_rate) == ("patched", ["invoice.paid"], 400)
    proved("PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}")
    lost = EndpointPut(url=receiver.url("/broken"), uid="broken", channels=["red"], **only("invoice.lost"))
    broken = put(api)(app, "broken", lost)
    assert (broken.uid, broken.channels, only_of(broken)) == ("broken", ["red"], ["invoice.lost"])
    again = put(api)(app, "broken", EndpointPut(url=receiver.url("/broken"), uid="broken", **only("invoice.lost")))
    assert (again.id, again.channels) == (broken.id, None)
    proved("PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}")
    gone = api.create(app, EndpointIn(url=receiver.url("/gone"), disabled=True))
    ids = walk(lambda at: api.list(app, EndpointListOptions(limit=1, iterator=at, order=Ordering.ASCENDING)))
    assert ids == sorted([made.id, broken.id, gone.id]), ids
    proved("GET /api/v1/app/{app_id}/endpoint")
    assert api.get(app, gone.id).disabled
    api.delete(app, gone.id)
    fails_with(404, lambda: api.get(app, gone.id))
    proved("DELETE /api/v1/app/{app_id}/endpoint/{endpoint_id}")
    return made.id, broken.id


def headers(posthouse, app, endpoint):
    """Leaves `x-from: sdk` and a token behind, which messages then carry."""
    api = posthouse.endpoint
    put_headers(api)(app, endpoint, EndpointHeadersIn(headers={"x-from": "sdk", "x-old": "1"}))
    field_refused_in = EndpointHeadersIn(headers={"webhook-id": "mine"})
    fails_with(422, lambda: put_headers(api)(app, endpoint, field_refused_in))
    proved("PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers")
    api.patch_headers(
        app, endpoint, EndpointHeadersPatchIn(headers={"authorization": "Bearer hidden"}, delete_headers=["x-old"])
    )
    proved("PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers")
    shown = api.get_headers(app, endpoint)
    assert shown.headers.get("x-from") == "sdk" and "x-old" not in shown.headers, shown
    assert [name.lower() for name in shown.sensitive] == ["authorization"], shown
    assert "hidden" not in str(shown), shown
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers")
