#!/usr/bin/env python3
"""A first webhook: send a message with the Svix SDK, receive it, verify its signature.

    pip install svix standardwebhooks
    make run                                  # in another terminal; prints the key
    POSTHOUSE_KEY=... python3 examples/quickstart.py

POSTHOUSE_URL names the server where it is not http://127.0.0.1:8080. The server has to be allowed
to deliver to this machine, as `make run` is (egress.allow_networks).
"""

import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError
from svix.api import ApplicationIn, EndpointIn, MessageIn, Svix, SvixOptions

WAIT_S = 20
BODY_BYTES_MAX = 1 << 20


def start_receiver():
    """A receiver on a free port of this machine, and the queue of what it receives."""
    received = queue.Queue(maxsize=16)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            length = min(int(self.headers.get("content-length", 0)), BODY_BYTES_MAX)
            body = self.rfile.read(length)
            self.send_response(204)
            self.end_headers()
            received.put((dict(self.headers.items()), body))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, received


def main():
    key = os.environ.get("POSTHOUSE_KEY")
    if not key:
        sys.exit("POSTHOUSE_KEY is not set; `make run` and `posthouse key create` print one")
    url = os.environ.get("POSTHOUSE_URL", "http://127.0.0.1:8080")
    posthouse = Svix(key, SvixOptions(server_url=url))

    server, received = start_receiver()
    receiver_url = f"http://127.0.0.1:{server.server_port}/webhooks"
    print(f"receiver     {receiver_url}")

    application = posthouse.application.create(ApplicationIn(name="Quickstart"))
    print(f"application  {application.id}")

    endpoint = posthouse.endpoint.create(application.id, EndpointIn(url=receiver_url))
    secret = posthouse.endpoint.get_secret(application.id, endpoint.id).key
    print(f"endpoint     {endpoint.id}")

    payload = {"id": "inv_42", "amount": 4200}
    message = posthouse.message.create(
        application.id, MessageIn(event_type="invoice.paid", payload=payload)
    )
    print(f"message      {message.id}")

    try:
        headers, body = received.get(timeout=WAIT_S)
    except queue.Empty:
        sys.exit(
            f"nothing was received within {WAIT_S} s; is delivery to 127.0.0.1 allowed? "
            "(egress.allow_networks)"
        )
    finally:
        server.shutdown()

    try:
        verified = Webhook(secret).verify(body, headers)
    except WebhookVerificationError as error:
        sys.exit(f"received, but the signature does not hold: {error}")
    webhook_id = {name.lower(): value for name, value in headers.items()}["webhook-id"]
    if webhook_id != message.id or verified != payload:
        sys.exit(f"received something else: {webhook_id} {body!r}")
    print(f"received     {body.decode()}")
    print("verified     the signature holds")


if __name__ == "__main__":
    main()
