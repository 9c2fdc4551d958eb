"""Replays, usage, and event types from a document: what the newest SDK offers."""

import json
from datetime import datetime, timedelta, timezone

from svix.models import (
    ApplicationIn,
    AppUsageStatsIn,
    BackgroundTaskStatus,
    BulkReplayIn,
    EndpointIn,
    EventTypeImportOpenApiIn,
    MessageIn,
    ReplayIn,
)

from common import eventually, fails_with, field_refused, proved, verified


def drive(posthouse, receiver):
    replays(posthouse, receiver)
    usage(posthouse)
    imports(posthouse)


def finished(posthouse, task):
    api = posthouse.background_task
    eventually(lambda: api.get(task.id).status == BackgroundTaskStatus.FINISHED)
    return api.get(task.id)


def replays(posthouse, receiver):
    """What was sent before there was an endpoint reaches it, and then once more."""
    app = posthouse.application.create(ApplicationIn(name="Replays", uid="replays")).id
    since = datetime.now(timezone.utc) - timedelta(minutes=5)
    message = posthouse.message.create(app, MessageIn(event_type="invoice.paid", payload={"n": 1}))
    endpoint = posthouse.endpoint.create(app, EndpointIn(url=receiver.url("/replayed"))).id
    secret = posthouse.endpoint.get_secret(app, endpoint).key
    task = posthouse.endpoint.replay_missing(app, endpoint, ReplayIn(since=since))
    assert task.task == "endpoint.replay", task
    assert json.loads(verified(receiver.wait("/replayed", message.id), secret)) == {"n": 1}
    assert finished(posthouse, task).data["messagesSent"] == 1
    fails_with(404, lambda: posthouse.endpoint.replay_missing(app, "nobody", ReplayIn(since=since)))
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing")
    eventually(lambda: posthouse.message_attempt.list_attempted_destinations(app, message.id).data[0].status == 0)
    task = posthouse.endpoint.bulk_replay(app, endpoint, BulkReplayIn(since=since, event_types=["invoice.paid"]))
    assert task.task == "endpoint.bulk-replay", task
    receiver.wait("/replayed", message.id, count=2)
    assert finished(posthouse, task).data["messagesSent"] == 1
    wrong = BulkReplayIn(since=since, until=since - timedelta(days=1))
    field_refused("until", lambda: posthouse.endpoint.bulk_replay(app, endpoint, wrong))
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay")
    span = AppUsageStatsIn(since=since, until=since + timedelta(days=1), app_ids=["replays", "nobody"])
    task = posthouse.statistics.aggregate_app_stats(span)
    assert task.unresolved_app_ids == ["nobody"], task
    assert finished(posthouse, task).data["appStats"] == [{"appId": app, "messageDestinations": 1}]
    proved("POST /api/v1/stats/usage/app")
    posthouse.application.delete(app)


def usage(posthouse):
    task = posthouse.statistics.aggregate_event_types()
    assert "eventTypes" in finished(posthouse, task).data
    proved("PUT /api/v1/stats/usage/event-types")


def imports(posthouse):
    api = posthouse.event_type
    operation = {"description": "A pet is new", "requestBody": {"content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Pet"}}}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Pets", "version": "1"},
        "webhooks": {"pet.new": {"post": operation}},
        "components": {"schemas": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}}},
    }
    tried = api.import_openapi(EventTypeImportOpenApiIn(spec=document, dry_run=True)).data
    assert [one.name for one in tried.to_modify] == ["pet.new"] and tried.modified == [], tried
    fails_with(404, lambda: api.get("pet.new"))
    made = api.import_openapi(EventTypeImportOpenApiIn(spec_raw=json.dumps(document))).data
    assert made.modified == ["pet.new"], made
    assert api.get("pet.new").description == "A pet is new"
    fails_with(422, lambda: api.import_openapi(EventTypeImportOpenApiIn(spec={})))
    api.delete("pet.new")
    proved("POST /api/v1/event-type/import/openapi")
