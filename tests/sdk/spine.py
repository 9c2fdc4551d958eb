#!/usr/bin/env python3
"""The way of a message by the official SDK, unmodified. Run by tests/sdk.rs.

Reads POSTHOUSE_URL and POSTHOUSE_KEY; the server has to retry failed deliveries within seconds.
"""

import json
import os
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook
from svix.api import (
    ApplicationIn,
    ApplicationListOptions,
    ApplicationPatch,
    EndpointIn,
    EndpointListOptions,
    EndpointPatch,
    EventTypeIn,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageCreateOptions,
    MessageGetOptions,
    MessageIn,
    MessageListOptions,
    Ordering,
    Svix,
    SvixOptions,
)
from svix.api.message import message_in_raw
from svix.exceptions import HttpError, HTTPValidationError
from svix.models import MessageStatus

WAIT_S = 15


class Receiver:
    """Records what it is sent; answers by a list of statuses, then 200."""

    def __init__(self):
        self.received = []
        self.statuses = []
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.arrived:
                    status = receiver.statuses.pop(0) if receiver.statuses else 200
                    receiver.received.append((self.path, dict(self.headers.items()), body))
                    receiver.arrived.notify_all()
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def wait(self, count):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, WAIT_S), self.received
            return list(self.received)


def eventually(condition):
    """Waits until a condition has a value; the value."""
    deadline = time.monotonic() + WAIT_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def fails_with(status, call):
    """The error that a call ends with, of this status."""
    try:
        call()
    except (HttpError, HTTPValidationError) as error:
        assert error.status_code == status, error
        return error
    raise AssertionError(f"expected {status}")


def applications(posthouse):
    made = posthouse.application.create(
        ApplicationIn(name="SDK", uid="sdk-1", throttle_rate=500, metadata={"plan": "pro"})
    )
    assert made.uid == "sdk-1" and made.metadata == {"plan": "pro"} and made.throttle_rate == 500
    assert posthouse.application.get("sdk-1").id == made.id
    assert posthouse.application.get_or_create(ApplicationIn(name="SDK", uid="sdk-1")).id == made.id
    fails_with(409, lambda: posthouse.application.create(ApplicationIn(name="x", uid="sdk-1")))
    assert posthouse.application.patch(made.id, ApplicationPatch(name="Renamed")).name == "Renamed"
    put = posthouse.application.upsert("sdk-2", ApplicationIn(name="Second", uid="sdk-2"))
    assert put.uid == "sdk-2"
    page = posthouse.application.list(ApplicationListOptions(limit=1, order=Ordering.ASCENDING))
    assert len(page.data) == 1 and not page.done and page.data[0].id == made.id
    rest = posthouse.application.list(
        ApplicationListOptions(limit=1, iterator=page.iterator, order=Ordering.ASCENDING)
    )
    assert rest.data[0].id == put.id and rest.done
    posthouse.application.delete("sdk-2")
    fails_with(404, lambda: posthouse.application.get("sdk-2"))
    return made.id


def event_types(posthouse):
    made = posthouse.event_type.create(EventTypeIn(name="invoice.paid", description="An invoice was paid"))
    assert made.name == "invoice.paid" and not made.archived
    assert posthouse.event_type.get("invoice.paid").description == "An invoice was paid"
    assert [row.name for row in posthouse.event_type.list().data] == ["invoice.paid"]
    fails_with(409, lambda: posthouse.event_type.create(EventTypeIn(name="invoice.paid", description="x")))


def endpoints(posthouse, app, receiver):
    made = posthouse.endpoint.create(
        app,
        EndpointIn(
            url=receiver.url("/sdk"),
            uid="main",
            event_types=["invoice.paid"],
            metadata={"team": "billing"},
            headers={"x-from": "sdk"},
        ),
    )
    assert made.uid == "main" and made.event_types == ["invoice.paid"]
    assert posthouse.endpoint.get(app, "main").id == made.id
    patched = posthouse.endpoint.patch(app, made.id, EndpointPatch(description="patched"))
    assert patched.description == "patched" and patched.event_types == ["invoice.paid"]
    listed = posthouse.endpoint.list(app, EndpointListOptions(limit=10))
    assert [row.id for row in listed.data] == [made.id] and listed.done
    error = fails_with(422, lambda: posthouse.endpoint.create(app, EndpointIn(url="no url")))
    assert "url" in error.detail[0].loc, error.detail
    return made.id


def messages(posthouse, app, endpoint, receiver):
    secret = posthouse.endpoint.get_secret(app, endpoint).key
    payload = {"id": "inv_42", "amount": 4200, "name": "Zoë"}
    sent = posthouse.message.create(
        app,
        MessageIn(event_type="invoice.paid", payload=payload, event_id="inv-42", tags=["a"], channels=["red"]),
        MessageCreateOptions(idempotency_key="key-1", with_content=True),
    )
    assert sent.payload == payload and sent.event_id == "inv-42"
    path, headers, body = receiver.wait(1)[0]
    assert path == "/sdk" and headers["x-from"] == "sdk"
    assert Webhook(secret).verify(body, headers) == payload
    again = posthouse.message.create(
        app,
        MessageIn(event_type="invoice.paid", payload=payload, event_id="inv-42", tags=["a"], channels=["red"]),
        MessageCreateOptions(idempotency_key="key-1", with_content=True),
    )
    assert again.id == sent.id
    assert posthouse.message.get(app, sent.id, MessageGetOptions(with_content=True)).payload == payload
    assert posthouse.message.get(app, "inv-42").id == sent.id
    listed = posthouse.message.list(app, MessageListOptions(event_types=["invoice.paid"], tag="a", channel="red"))
    assert [row.id for row in listed.data] == [sent.id]
    assert posthouse.message.list(app, MessageListOptions(tag="b")).data == []

    raw = posthouse.message.create(app, message_in_raw("invoice.paid", "<paid/>", "text/xml"))
    path, headers, body = receiver.wait(2)[1]
    assert body == b"<paid/>" and {k.lower(): v for k, v in headers.items()}["content-type"] == "text/xml"
    assert headers["webhook-id"] == raw.id

    later = datetime.now(timezone.utc) + timedelta(seconds=2)
    due = posthouse.message.create(app, MessageIn(event_type="invoice.paid", payload={"n": 3}, deliver_at=later))
    _, headers, _ = receiver.wait(3)[2]
    assert headers["webhook-id"] == due.id and datetime.now(timezone.utc) >= later
    return sent.id, secret


def attempts(posthouse, app, endpoint, message, secret, receiver):
    receiver.statuses = [500, 503]
    failing = posthouse.message.create(app, MessageIn(event_type="invoice.paid", payload={"n": 4}))
    _, headers, body = receiver.wait(6)[5]
    assert Webhook(secret).verify(body, headers) == {"n": 4}

    def three():
        listed = posthouse.message_attempt.list_by_msg(app, failing.id)
        return listed.data if len(listed.data) == 3 else None

    newest_first = eventually(three)
    assert [row.response_status_code for row in newest_first] == [200, 503, 500]
    assert [row.status for row in newest_first] == [MessageStatus.SUCCESS, MessageStatus.FAIL, MessageStatus.FAIL]
    one = posthouse.message_attempt.get(app, failing.id, newest_first[0].id)
    assert one.endpoint_id == endpoint and one.url == receiver.url("/sdk")
    failed = posthouse.message_attempt.list_by_msg(
        app, failing.id, MessageAttemptListByMsgOptions(status=MessageStatus.FAIL)
    )
    assert len(failed.data) == 2
    by_endpoint = posthouse.message_attempt.list_by_endpoint(
        app, endpoint, MessageAttemptListByEndpointOptions(limit=2, with_msg=True)
    )
    assert len(by_endpoint.data) == 2 and by_endpoint.data[0].msg.id == failing.id and not by_endpoint.done
    posthouse.message_attempt.resend(app, message, endpoint)
    _, headers, _ = receiver.wait(7)[6]
    assert headers["webhook-id"] == message


def refusals(posthouse, app, url):
    stranger = Svix("wrong", SvixOptions(server_url=url))
    assert fails_with(401, lambda: stranger.application.list()).code
    hosted = Svix(os.environ["POSTHOUSE_KEY"], SvixOptions(server_url=url, retry_schedule=[]))
    assert fails_with(501, lambda: hosted.integration.list(app)).code


def main():
    url = os.environ["POSTHOUSE_URL"]
    posthouse = Svix(os.environ["POSTHOUSE_KEY"], SvixOptions(server_url=url))
    receiver = Receiver()
    app = applications(posthouse)
    event_types(posthouse)
    endpoint = endpoints(posthouse, app, receiver)
    message, secret = messages(posthouse, app, endpoint, receiver)
    attempts(posthouse, app, endpoint, message, secret, receiver)
    refusals(posthouse, app, url)
    posthouse.endpoint.delete(app, endpoint)
    fails_with(404, lambda: posthouse.endpoint.get(app, endpoint))
    print(json.dumps({"received": len(receiver.received)}))
    print("all well")


if __name__ == "__main__":
    main()
