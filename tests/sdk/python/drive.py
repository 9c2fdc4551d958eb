#!/usr/bin/env python3
"""Every operation that the official SDK for Python offers, by the SDK as it is published.

Run by tests/sdk.rs with the newest SDK and with an older one. Reads POSTHOUSE_URL and
POSTHOUSE_KEY; the server tries a failed delivery once more, within seconds, and may deliver to
this machine. Each operation that did what is expected of it is said in a line of its own.
"""

import os
from importlib.metadata import version

from svix.api import Svix, SvixOptions

import configuration
import ingest
import operations
import traffic
from receiver import Receiver


def main():
    url = os.environ["POSTHOUSE_URL"]
    posthouse = Svix(os.environ["POSTHOUSE_KEY"], SvixOptions(server_url=url))
    receiver = Receiver()
    print(f"svix {version('svix')}", flush=True)
    operations.health(posthouse)
    app = configuration.applications(posthouse)
    configuration.event_types(posthouse)
    endpoint, broken = configuration.endpoints(posthouse, app, receiver)
    configuration.headers(posthouse, app, endpoint)
    message = traffic.messages(posthouse, app, endpoint, receiver)
    traffic.attempts(posthouse, app, endpoint, message, receiver)
    traffic.attempted(posthouse, app, endpoint, message)
    traffic.statistics(posthouse, app, endpoint)
    traffic.rotation(posthouse, app, endpoint, receiver)
    traffic.examples(posthouse, app, endpoint, receiver)
    traffic.recovery(posthouse, app, broken, receiver)
    traffic.contents(posthouse, app, message)
    operations.operational(posthouse, app, receiver)
    ingest.drive(posthouse, receiver)
    operations.portal(posthouse, app, url)
    operations.refusals(posthouse, app, url)
    operations.asynchronous(url, receiver)
    # Older ones do not offer these.
    if hasattr(posthouse.endpoint, "bulk_replay"):
        import actions

        actions.drive(posthouse, receiver)
    posthouse.application.delete(app)
    print("all well")


if __name__ == "__main__":
    main()
