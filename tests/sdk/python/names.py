"""What the two major versions of the SDK call differently. Everything else is the same to the steps."""

import svix.models

IS_NEWEST = hasattr(svix.models, "EndpointUpsertIn")

if IS_NEWEST:
    from svix.models import EndpointUpsertIn as EndpointPut
    from svix.models import EventTypeUpsertIn as EventTypePut
    from svix.models import IngestEndpointUpsertIn as IngestEndpointPut
    from svix.models import OperationalWebhookEndpointUpsertIn as OperationalEndpointPut
else:
    from svix.models import EndpointUpdate as EndpointPut
    from svix.models import EventTypeUpdate as EventTypePut
    from svix.models import IngestEndpointUpdate as IngestEndpointPut
    from svix.models import OperationalWebhookEndpointUpdate as OperationalEndpointPut

__all__ = [
    "IS_NEWEST",
    "EndpointPut",
    "EventTypePut",
    "IngestEndpointPut",
    "OperationalEndpointPut",
    "only",
    "only_of",
    "put",
    "put_headers",
]


def put(resource):
    """The method that puts a whole resource."""
    return resource.upsert if IS_NEWEST else resource.update


def put_headers(resource):
    """The method that puts all headers of an endpoint."""
    return resource.set_headers if IS_NEWEST else resource.update_headers


def only(*event_types):
    """The argument that limits an endpoint to these event types."""
    return {"event_types" if IS_NEWEST else "filter_types": list(event_types)}


def only_of(endpoint):
    """The event types that an endpoint is limited to."""
    return endpoint.event_types if IS_NEWEST else endpoint.filter_types
