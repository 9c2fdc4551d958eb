"""Operational webhooks, access for customers, health, refusals, and the asynchronous client."""

import asyncio
import json
import os

from svix.api import (
    EndpointListOptions,
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointListOptions,
    OperationalWebhookEndpointSecretIn,
    Ordering,
    Svix,
    SvixAsync,
    SvixOptions,
)
from svix.exceptions import HttpError
from svix.models import AppPortalAccessIn, ApplicationIn, ApplicationTokenExpireIn, EndpointIn, MessageIn

from common import fails_with, field_refused, proved, verified, walk
from names import OperationalEndpointPut, only, only_of, put, put_headers

ENDPOINTS = "/api/v1/operational-webhook/endpoint"


def operational(posthouse, app, receiver):
    api = posthouse.operational_webhook.endpoint
    url = receiver.url("/operational")
    made = api.create(OperationalWebhookEndpointIn(url=url, uid="ops", metadata={"a": "b"}, **only("endpoint.created")))
    assert (made.uid, made.url, made.metadata, only_of(made)) == ("ops", url, {"a": "b"}, ["endpoint.created"])
    fails_with(409, lambda: api.create(OperationalWebhookEndpointIn(url=url, uid="ops")))
    field_refused("url", lambda: api.create(OperationalWebhookEndpointIn(url="no url")))
    proved(f"POST {ENDPOINTS}")
    second = api.create(OperationalWebhookEndpointIn(url=url, uid="ops-2", disabled=True))
    assert api.get("ops").id == made.id and api.get(second.id).disabled
    proved(f"GET {ENDPOINTS}/{{endpoint_id}}")
    options = OperationalWebhookEndpointListOptions
    ids = walk(lambda at: api.list(options(limit=1, iterator=at, order=Ordering.ASCENDING)))
    assert ids == [made.id, second.id]
    proved(f"GET {ENDPOINTS}")
    changed = put(api)("ops-2", OperationalEndpointPut(url=url, uid="ops-3", description="third", disabled=True))
    assert (changed.id, changed.uid, changed.description) == (second.id, "ops-3", "third")
    proved(f"PUT {ENDPOINTS}/{{endpoint_id}}")
    api.delete("ops-3")
    fails_with(404, lambda: api.get(second.id))
    proved(f"DELETE {ENDPOINTS}/{{endpoint_id}}")
    put_headers(api)("ops", OperationalWebhookEndpointHeadersIn(headers={"x-ops": "1", "authorization": "Bearer hidden"}))
    proved(f"PUT {ENDPOINTS}/{{endpoint_id}}/headers")
    shown = api.get_headers("ops")
    assert shown.headers.get("x-ops") == "1" and "hidden" not in str(shown), shown
    assert [name.lower() for name in shown.sensitive] == ["authorization"], shown
    proved(f"GET {ENDPOINTS}/{{endpoint_id}}/headers")
    old = api.get_secret("ops").key
    proved(f"GET {ENDPOINTS}/{{endpoint_id}}/secret")
    api.rotate_secret("ops", OperationalWebhookEndpointSecretIn(key=None))
    new = api.get_secret("ops").key
    assert new != old
    proved(f"POST {ENDPOINTS}/{{endpoint_id}}/secret/rotate")
    created = posthouse.endpoint.create(app, EndpointIn(url=receiver.url("/unused"), uid="told-of"))
    received = receiver.wait("/operational")
    said = json.loads(verified(received, new, old))
    assert said["type"] == "endpoint.created" and said["data"]["endpointId"] == created.id, said
    assert said["data"]["appId"] == app and received.headers["x-ops"] == "1", said
    posthouse.endpoint.delete(app, created.id)
    api.delete("ops")


def portal(posthouse, app, url):
    """A customer's token opens one application, until it is logged out."""
    access = posthouse.authentication.app_portal_access(app, AppPortalAccessIn())
    assert access.token and access.token in access.url, access.url
    customer = Svix(access.token, SvixOptions(server_url=url))
    assert customer.application.get(app).id == app
    assert len(customer.endpoint.list(app, EndpointListOptions(limit=10)).data) == 2
    made = customer.endpoint.create(app, EndpointIn(url="https://example.com/customer", disabled=True))
    customer.endpoint.delete(app, made.id)
    fails_with(403, customer.application.list)
    fails_with(403, lambda: customer.message.create(app, MessageIn(event_type="invoice.paid", payload={})))
    reader = posthouse.authentication.app_portal_access(app, AppPortalAccessIn(read_only=True, expiry=3600))
    reader = Svix(reader.token, SvixOptions(server_url=url))
    assert reader.endpoint.get(app, "main").uid == "main"
    fails_with(403, lambda: reader.endpoint.delete(app, "main"))
    fails_with(403, lambda: reader.endpoint.get_secret(app, "main"))
    field_refused("expiry", lambda: posthouse.authentication.app_portal_access(app, AppPortalAccessIn(expiry=1)))
    inline = AppPortalAccessIn(application=ApplicationIn(name="Portal", uid="portal-1"))
    assert posthouse.authentication.app_portal_access("portal-1", inline).token
    assert posthouse.application.get("portal-1").name == "Portal"
    posthouse.application.delete("portal-1")
    proved("POST /api/v1/auth/app-portal-access/{app_id}")
    customer.authentication.logout()
    fails_with(401, lambda: customer.application.get(app))
    assert reader.application.get(app).id == app
    proved("POST /api/v1/auth/logout")
    posthouse.authentication.expire_all(app, ApplicationTokenExpireIn(session_ids=["nobody"]))
    assert reader.application.get(app).id == app
    posthouse.authentication.expire_all(app, ApplicationTokenExpireIn())
    fails_with(401, lambda: reader.application.get(app))
    proved("POST /api/v1/auth/app/{app_id}/expire-all")


def health(posthouse):
    assert posthouse.health.get() is None
    proved("GET /api/v1/health")


def refusals(posthouse, app, url):
    stranger = Svix("wrong", SvixOptions(server_url=url))
    assert fails_with(401, lambda: stranger.application.list()).code == "authentication_failed"
    hosted = Svix(os.environ["POSTHOUSE_KEY"], SvixOptions(server_url=url, retry_schedule=[]))
    assert fails_with(501, lambda: hosted.integration.list(app)).code


def asynchronous(url, receiver):
    """The asynchronous client, many calls at once."""
    asyncio.run(concurrently(url, receiver))


async def concurrently(url, receiver):
    posthouse = SvixAsync(os.environ["POSTHOUSE_KEY"], SvixOptions(server_url=url))
    wanted = ApplicationIn(name="Async", uid="async-1")
    apps = await asyncio.gather(*(posthouse.application.get_or_create(wanted) for _ in range(5)))
    assert len({app.id for app in apps}) == 1, apps
    app = apps[0].id
    endpoint = await posthouse.endpoint.create(app, EndpointIn(url=receiver.url("/async")))
    secret = (await posthouse.endpoint.get_secret(app, endpoint.id)).key
    payloads = [MessageIn(event_type="invoice.paid", payload={"n": n}) for n in range(10)]
    sent = await asyncio.gather(*(posthouse.message.create(app, message) for message in payloads))
    for n, message in enumerate(sent):
        received = await asyncio.to_thread(receiver.wait, "/async", message.id)
        assert json.loads(verified(received, secret)) == {"n": n}
    try:
        await posthouse.application.get("nobody")
    except HttpError as error:
        assert error.status_code == 404 and error.code == "not_found", error
    else:
        raise AssertionError("expected 404")
    await posthouse.application.delete(app)
