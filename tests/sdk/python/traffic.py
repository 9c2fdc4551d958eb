"""Messages, what became of them, and the ways to send them again."""

import json
from datetime import datetime, timedelta, timezone

from svix.api import (
    BackgroundTaskListOptions,
    EndpointGetStatsOptions,
    EndpointSecretRotateIn,
    EventExampleIn,
    MessageAttemptListAttemptedDestinationsOptions,
    MessageAttemptListAttemptedMessagesOptions,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageCreateOptions,
    MessageGetOptions,
    MessageListOptions,
    RecoverIn,
)
from svix.api.message import message_in_raw
from svix.models import (
    ApplicationIn,
    BackgroundTaskStatus,
    BackgroundTaskType,
    MessageIn,
    MessageStatus,
    StatusCodeClass,
)

from common import eventually, fails_with, field_refused, proved, verified, walk
from names import IS_NEWEST
from receiver import ANSWER


def send(posthouse, app, number, event_type="invoice.paid"):
    return posthouse.message.create(app, MessageIn(event_type=event_type, payload={"n": number})).id


def messages(posthouse, app, endpoint, receiver):
    api, secret = posthouse.message, posthouse.endpoint.get_secret(app, endpoint).key
    assert secret.startswith("whsec_")
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret")
    payload = {"id": "inv_42", "amount": 4200, "name": "Zoë"}
    paid = MessageIn(
        event_type="invoice.paid", payload=payload, event_id="inv-42", tags=["a", "b/c"], channels=["red"]
    )
    options = MessageCreateOptions(idempotency_key="key-1", with_content=True)
    sent = api.create(app, paid, options)
    assert (sent.payload, sent.event_id, sent.channels) == (payload, "inv-42", ["red"])
    received = receiver.wait("/main", sent.id)
    assert json.loads(verified(received, secret)) == payload
    assert received.headers["x-from"] == "sdk" and received.headers["authorization"] == "Bearer hidden"
    assert api.create(app, paid, options).id == sent.id
    other = MessageIn(event_type="invoice.paid", payload={"other": True})
    fails_with(409, lambda: api.create(app, other, MessageCreateOptions(idempotency_key="key-1")))
    field_refused("eventType", lambda: api.create(app, MessageIn(event_type="no type", payload={})))
    fails_with(404, lambda: api.create("nobody", other))
    raw_and_due_messages(api, app, secret, receiver)
    inline_application(posthouse)
    proved("POST /api/v1/app/{app_id}/msg")
    assert api.get(app, sent.id, MessageGetOptions(with_content=True)).payload == payload
    assert api.get(app, "inv-42", MessageGetOptions(with_content=False)).payload == {}
    proved("GET /api/v1/app/{app_id}/msg/{msg_id}")
    found = api.list(
        app, MessageListOptions(event_types=["invoice.paid"], tag="a", channel="red", with_content=True)
    ).data
    assert [(row.id, row.payload) for row in found] == [(sent.id, payload)]
    assert api.list(app, MessageListOptions(tag="c")).data == []
    ids = walk(lambda at: api.list(app, MessageListOptions(limit=2, iterator=at)))
    assert len(ids) == 3 and ids == sorted(ids, reverse=True) and ids[-1] == sent.id, ids
    proved("GET /api/v1/app/{app_id}/msg")
    return sent.id


def raw_and_due_messages(api, app, secret, receiver):
    raw = api.create(app, message_in_raw("invoice.paid", "<paid/>", "text/xml"))
    received = receiver.wait("/main", raw.id)
    assert verified(received, secret, is_json=False) == b"<paid/>"
    assert received.headers["content-type"] == "text/xml"
    later = datetime.now(timezone.utc) + timedelta(seconds=1)
    due = api.create(app, MessageIn(event_type="invoice.paid", payload={"n": 3}, deliver_at=later))
    receiver.wait("/main", due.id)
    assert datetime.now(timezone.utc) >= later


def inline_application(posthouse):
    """An application that comes with its first message, and is left alone afterwards."""
    message = MessageIn(
        event_type="invoice.paid", payload={}, application=ApplicationIn(name="Inline", uid="inline-1")
    )
    first = posthouse.message.create("inline-1", message)
    assert posthouse.application.get("inline-1").name == "Inline"
    message.application.name = "Ignored"
    second = posthouse.message.create("inline-1", message)
    assert posthouse.application.get("inline-1").name == "Inline"
    assert [row.id for row in posthouse.message.list("inline-1").data] == [second.id, first.id]
    posthouse.application.delete("inline-1")


def attempts(posthouse, app, endpoint, message, receiver):
    api = posthouse.message_attempt
    receiver.statuses["/main"] = [500]
    failing = send(posthouse, app, 4)
    receiver.wait("/main", failing, count=2)

    def both():
        rows = api.list_by_msg(app, failing, MessageAttemptListByMsgOptions(with_content=True)).data
        return rows if len(rows) == 2 else None

    last, first = eventually(both)
    assert (last.response_status_code, first.response_status_code) == (200, 500)
    assert (last.status, first.status) == (MessageStatus.SUCCESS, MessageStatus.FAIL)
    assert last.response == ANSWER.decode() and last.url == receiver.url("/main")
    failed = MessageAttemptListByMsgOptions(
        status=MessageStatus.FAIL, status_code_class=StatusCodeClass.CODE5XX, endpoint_id=endpoint
    )
    assert [row.id for row in api.list_by_msg(app, failing, failed).data] == [first.id]
    proved("GET /api/v1/app/{app_id}/attempt/msg/{msg_id}")
    rows = api.list_by_endpoint(app, endpoint, MessageAttemptListByEndpointOptions(limit=2, with_msg=True))
    assert [row.id for row in rows.data] == [last.id, first.id] and not rows.done
    assert rows.data[0].msg.id == failing
    ids = walk(
        lambda at: api.list_by_endpoint(app, endpoint, MessageAttemptListByEndpointOptions(limit=2, iterator=at))
    )
    assert len(ids) == 5 and ids == sorted(ids, reverse=True), ids
    proved("GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}")
    one = api.get(app, failing, last.id)
    assert (one.endpoint_id, one.msg_id, one.status) == (endpoint, failing, MessageStatus.SUCCESS)
    fails_with(404, lambda: api.get(app, message, last.id))
    proved("GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}")
    api.resend(app, message, endpoint)
    receiver.wait("/main", message, count=2)
    fails_with(404, lambda: api.resend(app, message, "nobody"))
    proved("POST /api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend")


def attempted(posthouse, app, endpoint, message):
    api = posthouse.message_attempt

    def rows():
        options = MessageAttemptListAttemptedMessagesOptions(status=MessageStatus.SUCCESS, with_content=True)
        found = api.list_attempted_messages(app, endpoint, options).data
        return found if len(found) == 4 else None

    found = eventually(rows)
    assert all(row.status == MessageStatus.SUCCESS and row.next_attempt is None for row in found)
    assert found[-1].id == message and found[-1].payload["id"] == "inv_42" and found[-1].event_id == "inv-42"
    assert found[0].payload == {"n": 4}
    options = MessageAttemptListAttemptedMessagesOptions(channel="red", event_types=["invoice.paid"])
    assert [row.id for row in api.list_attempted_messages(app, endpoint, options).data] == [message]
    ids = walk(
        lambda at: api.list_attempted_messages(
            app, endpoint, MessageAttemptListAttemptedMessagesOptions(limit=3, iterator=at)
        )
    )
    assert ids == [row.id for row in found], ids
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg")
    options = MessageAttemptListAttemptedDestinationsOptions(limit=10)
    destinations = api.list_attempted_destinations(app, message, options)
    assert [(row.id, row.status, row.uid) for row in destinations.data] == [(endpoint, MessageStatus.SUCCESS, "main")]
    assert destinations.done
    proved("GET /api/v1/app/{app_id}/msg/{msg_id}/endpoint")


def statistics(posthouse, app, endpoint):
    """Successes are attempts: four messages, of which one was sent twice."""
    api = posthouse.endpoint

    def counted():
        stats = api.get_stats(app, endpoint)
        return stats if stats.success >= 5 and stats.sending == 0 else None

    stats = eventually(counted)
    assert (stats.success, stats.fail, stats.pending) == (5, 0, 0), stats
    now = datetime.now(timezone.utc)
    early = EndpointGetStatsOptions(since=now - timedelta(days=2), until=now - timedelta(days=1))
    assert api.get_stats(app, endpoint, early).success == 0
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/stats")


def rotation(posthouse, app, endpoint, receiver):
    """While an old secret is in its grace period, it signs beside the new one."""
    api = posthouse.endpoint
    old = api.get_secret(app, endpoint).key
    answered = api.rotate_secret(app, endpoint, EndpointSecretRotateIn(key=None))
    new = api.get_secret(app, endpoint).key
    assert new != old and (not IS_NEWEST or answered.key == new)
    received = receiver.wait("/main", send(posthouse, app, 5))
    assert json.loads(verified(received, new, old)) == {"n": 5}
    chosen = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    api.rotate_secret(app, endpoint, EndpointSecretRotateIn(key=chosen))
    assert api.get_secret(app, endpoint).key == chosen
    assert json.loads(verified(receiver.wait("/main", send(posthouse, app, 6)), chosen, new, old)) == {"n": 6}
    field_refused("key", lambda: api.rotate_secret(app, endpoint, EndpointSecretRotateIn(key="whsec_x")))
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate")


def examples(posthouse, app, endpoint, receiver):
    api = posthouse.endpoint
    sent = api.send_example(app, endpoint, EventExampleIn(event_type="invoice.paid"))
    assert sent.event_type == "invoice.paid"
    body = json.loads(verified(receiver.wait("/main", sent.id), api.get_secret(app, endpoint).key))
    assert isinstance(body["amount"], int) and isinstance(body["currency"], str), body
    fails_with(404, lambda: api.send_example(app, "nobody", EventExampleIn(event_type="invoice.paid")))
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example")


def recovery(posthouse, app, broken, receiver):
    """What failed for good is sent again when its receiver works again."""
    since = datetime.now(timezone.utc) - timedelta(minutes=5)
    receiver.statuses["/broken"] = [500] * 2
    lost = send(posthouse, app, 7, "invoice.lost")
    receiver.wait("/broken", lost, count=2)

    def given_up():
        rows = posthouse.message_attempt.list_attempted_destinations(app, lost).data
        return rows and rows[0].status == MessageStatus.FAIL

    eventually(given_up)
    task = posthouse.endpoint.recover(app, broken, RecoverIn(since=since))
    assert task.id.startswith("qtask_") and task.task == BackgroundTaskType.ENDPOINT_RECOVER, task
    receiver.wait("/broken", lost, count=3)
    finished(posthouse, task)
    long_ago = RecoverIn(since=since, until=since - timedelta(days=1))
    fails_with(422, lambda: posthouse.endpoint.recover(app, broken, long_ago))
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover")


def finished(posthouse, task):
    """A task that runs beside the requests says when it is done."""
    api = posthouse.background_task
    eventually(lambda: api.get(task.id).status == BackgroundTaskStatus.FINISHED)
    assert api.get(task.id).task == task.task
    fails_with(404, lambda: api.get("qtask_" + "1" * 27))
    proved("GET /api/v1/background-task/{task_id}")
    done = BackgroundTaskListOptions(task=task.task, status=BackgroundTaskStatus.FINISHED, limit=10)
    assert [row.id for row in api.list(done).data] == [task.id]
    running = BackgroundTaskListOptions(status=BackgroundTaskStatus.RUNNING)
    assert api.list(running).data == []
    proved("GET /api/v1/background-task")


def contents(posthouse, app, message):
    """What was sent and what was answered can be taken out, each for itself."""
    api = posthouse.message_attempt
    attempt = api.list_by_msg(app, message, MessageAttemptListByMsgOptions(with_content=True)).data[0]
    assert attempt.response == ANSWER.decode()
    api.expunge_content(app, message, attempt.id)
    assert ANSWER.decode() not in api.get(app, message, attempt.id).response
    fails_with(404, lambda: api.expunge_content(app, "nothing", attempt.id))
    proved("DELETE /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content")
    posthouse.message.expunge_content(app, message)
    assert "inv_42" not in str(posthouse.message.get(app, message, MessageGetOptions(with_content=True)).payload)
    fails_with(404, lambda: posthouse.message.expunge_content(app, "nothing"))
    proved("DELETE /api/v1/app/{app_id}/msg/{msg_id}/content")
