"""What all steps use: saying what was proved, waiting, errors, pages, signatures."""

import time

import standardwebhooks
import svix.webhooks
from svix.exceptions import HttpError, HTTPValidationError

from receiver import WAIT_S


def proved(*operations):
    """Says that these operations did what their step expects. tests/sdk.rs reads it."""
    for operation in operations:
        print(f"proved {operation}", flush=True)


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
    """The error that a call ends with: of the SDK's class for this status, with all its fields."""
    wanted = HTTPValidationError if status == 422 else HttpError
    try:
        call()
    except (HttpError, HTTPValidationError) as error:
        assert error.status_code == status and isinstance(error, wanted), error
        if status == 422:
            assert error.detail and all(row.loc and row.msg and row.type for row in error.detail), error
        else:
            assert error.code and error.detail, error
        return error
    raise AssertionError(f"expected {status}")


def field_refused(field, call):
    """A 422 that names this field, and no other."""
    error = fails_with(422, call)
    assert [row.loc[-1] for row in error.detail] == [field], error.detail


def walk(read_page):
    """All ids of a list, read forward page by page, and then read back the same."""
    forward, page = [], read_page(None)
    pages = 1
    while True:
        forward.append([row.id for row in page.data])
        if page.done:
            break
        page = read_page(page.iterator)
        pages += 1
        assert pages < 100, "the list does not end"
    backward = [forward[-1]]
    while sum(map(len, backward)) < sum(map(len, forward)):
        page = read_page(page.prev_iterator)
        backward.insert(0, [row.id for row in page.data])
        pages -= 1
        assert pages > 0, "the list does not end at its beginning"
    assert backward == forward, (forward, backward)
    return [row for rows in forward for row in rows]


def verified(received, *secrets, is_json=True):
    """The body, found good by both libraries with each of the secrets, and wrong when it is touched.

    The older SDK reads what it verifies: it is not asked about a body that is no JSON.
    """
    for secret in secrets:
        if is_json:
            svix.webhooks.Webhook(secret).verify(received.body, received.headers)
        plain = standardwebhooks.Webhook(secret)
        plain.verify(received.body, received.headers, json_parse=False)
        try:
            plain.verify(received.body + b" ", received.headers, json_parse=False)
        except standardwebhooks.WebhookVerificationError:
            continue
        raise AssertionError("a body that was touched was found good")
    return received.body
