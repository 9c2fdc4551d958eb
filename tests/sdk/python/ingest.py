"""Sources and their endpoints: what comes in from a provider goes out to an endpoint."""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request

from svix.api import Ordering
from svix.api.ingest_endpoint import IngestEndpointListOptions
from svix.api.ingest_source import IngestSourceCreateOptions, IngestSourceListOptions
from svix.models import IngestEndpointHeadersIn, IngestEndpointIn, IngestEndpointSecretIn, IngestSourceIn

from common import fails_with, field_refused, proved, verified, walk
from names import IngestEndpointPut, put, put_headers

SOURCES = "/ingest/api/v1/source"
ENDPOINTS = SOURCES + "/{source_id}/endpoint"
SECRET = "whsec_from_stripe"


def drive(posthouse, receiver):
    source, urls = sources(posthouse.ingest.source)
    endpoints(posthouse.ingest.endpoint, source, receiver)
    received(posthouse.ingest.endpoint.get_secret(source, "in").key, urls, receiver)
    posthouse.ingest.source.delete(source)


def sources(api):
    """Makes a Stripe source, and others that go again."""
    wanted = IngestSourceIn(name="Payments", uid="payments", type="stripe", config={"secret": SECRET}, metadata={"a": "b"})
    once = IngestSourceCreateOptions(idempotency_key="source-1")
    made = api.create(wanted, once)
    assert (made.name, made.uid, made.type, made.metadata) == ("Payments", "payments", "stripe", {"a": "b"}), made
    assert made.ingest_url.startswith("http") and SECRET not in str(made), made
    assert api.create(wanted, once).id == made.id
    fails_with(409, lambda: api.create(wanted))
    field_refused("secret", lambda: api.create(IngestSourceIn(name="x", type="stripe", config={"secret": ""})))
    proved(f"POST {SOURCES}")
    assert api.get("payments") == api.get(made.id)
    fails_with(404, lambda: api.get("nobody"))
    proved(f"GET {SOURCES}/{{source_id}}")
    second = put(api)("code", IngestSourceIn(name="Code", uid="code", type="github", config={"secret": "a"}))
    again = put(api)(second.id, IngestSourceIn(name="Any", uid="code", type="generic-webhook", config={}))
    assert (again.id, again.name, again.type) == (second.id, "Any", "generic-webhook"), again
    proved(f"PUT {SOURCES}/{{source_id}}")
    ids = walk(lambda at: api.list(IngestSourceListOptions(limit=1, iterator=at, order=Ordering.ASCENDING)))
    assert ids == sorted([made.id, second.id])
    proved(f"GET {SOURCES}")
    api.delete("code")
    fails_with(404, lambda: api.get(second.id))
    proved(f"DELETE {SOURCES}/{{source_id}}")
    rotated = api.rotate_token(made.id).ingest_url
    assert rotated != made.ingest_url and api.get(made.id).ingest_url == rotated
    proved(f"POST {SOURCES}/{{source_id}}/token/rotate")
    return made.id, [made.ingest_url, rotated]


def endpoints(api, source, receiver):
    url = receiver.url("/ingest")
    wanted = IngestEndpointIn(url=url, uid="in", description="first", metadata={"a": "b"})
    made = api.create(source, wanted)
    assert (made.url, made.uid, made.description, made.metadata) == (url, "in", "first", {"a": "b"}), made
    fails_with(409, lambda: api.create(source, wanted))
    field_refused("url", lambda: api.create(source, IngestEndpointIn(url="no url")))
    fails_with(404, lambda: api.create("nobody", wanted))
    proved(f"POST {ENDPOINTS}")
    second = api.create(source, IngestEndpointIn(url=url, uid="in-2", disabled=True))
    assert api.get("payments", "in").id == made.id
    proved(f"GET {ENDPOINTS}/{{endpoint_id}}")
    options = IngestEndpointListOptions
    ids = walk(lambda at: api.list(source, options(limit=1, iterator=at, order=Ordering.ASCENDING)))
    assert ids == sorted([made.id, second.id])
    proved(f"GET {ENDPOINTS}")
    changed = put(api)(source, "in-2", IngestEndpointPut(url=url, uid="in-3", description="third"))
    assert (changed.id, changed.uid, changed.description) == (second.id, "in-3", "third"), changed
    proved(f"PUT {ENDPOINTS}/{{endpoint_id}}")
    api.delete(source, "in-3")
    fails_with(404, lambda: api.get(source, second.id))
    proved(f"DELETE {ENDPOINTS}/{{endpoint_id}}")
    headers = IngestEndpointHeadersIn(headers={"x-in": "1", "authorization": "Bearer hidden"})
    put_headers(api)(source, "in", headers)
    proved(f"PUT {ENDPOINTS}/{{endpoint_id}}/headers")
    shown = api.get_headers(source, "in")
    assert shown.headers.get("x-in") == "1" and "hidden" not in str(shown), shown
    assert [name.lower() for name in shown.sensitive] == ["authorization"], shown
    proved(f"GET {ENDPOINTS}/{{endpoint_id}}/headers")
    old = api.get_secret(source, "in").key
    proved(f"GET {ENDPOINTS}/{{endpoint_id}}/secret")
    api.rotate_secret(source, "in", IngestEndpointSecretIn(key=None))
    assert api.get_secret(source, "in").key != old
    proved(f"POST {ENDPOINTS}/{{endpoint_id}}/secret/rotate")


def received(secret, urls, receiver):
    """An event of the provider arrives by both URLs, signed by us."""
    for number, url in enumerate(urls):
        body = json.dumps({"id": f"evt_{number}", "type": "charge.succeeded"}).encode()
        at = int(time.time())
        signature = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "stripe-signature": f"t={at},v1={signature}"}
        assert status(url, body, headers) == 200
        arrived = receiver.wait("/ingest", count=number + 1)
        assert verified(arrived, secret) == body
        assert arrived.headers["x-in"] == "1"
        assert arrived.headers["stripe-signature"] == headers["stripe-signature"]
        assert status(url, body, {}) == 401


def status(url, body, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
