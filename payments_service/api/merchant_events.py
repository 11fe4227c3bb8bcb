"""Events to pull and to resend: a shop that was down recovers by one loop."""

import re

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from payments_service.api import guards, schemas, services
from payments_service.api import merchant_schemas as shapes
from payments_service.api.described import described
from payments_service.api.merchant import body, json_bytes, once
from payments_service.domain.errors import NotFound
from payments_service.flows import events

EVENT_ID = re.compile(r"evt_[0-9a-f]{32}")

blueprint = Blueprint("events", __name__, url_prefix="/api/events")


@blueprint.get("")
@guards.key_with("read")
@described(
    "What was told or will be told, in order",
    about=(
        "Kept for 30 days or longer. Read on from `after` of the last answer: no event is missed, even one "
        "that commits late. With `delivered` a page may be short, or empty, while `hasMore` is true."
    ),
    query=shapes.EventListSchema,
    gives={200: shapes.EventPageOut},
    refuses={400: ("validation_error", "unknown_field", "invalid_cursor")},
)
def events_() -> ResponseReturnValue:
    asked = shapes.loaded(shapes.EventListSchema(), request.args)
    found = events.page(
        services().db,
        asked["limit"],
        after=asked["after"],
        event_type=asked["event_type"],
        payment_id=asked["payment_id"],
        is_delivered=asked["is_delivered"],
    )
    return shapes.dumped(shapes.EventPageOut(), found)


@blueprint.post("/<event_id>/resend")
@guards.key_with("write")
@described(
    "Tell an event again, under the same id",
    takes=shapes.NothingSchema,
    may_be_empty=True,
    headers=(schemas.KEY_HEADER,),
    gives={200: shapes.EventAnswerOut},
    refuses={
        400: ("validation_error", "unknown_field"),
        404: ("not_found",),
        409: ("no_destination", "request_in_progress"),
    },
)
def resend(event_id: str) -> ResponseReturnValue:
    shapes.loaded(shapes.NothingSchema(), body())
    if not EVENT_ID.fullmatch(event_id):
        raise NotFound("Event not found")

    def tell_again() -> bytes:
        return json_bytes(
            shapes.dumped(shapes.EventAnswerOut(), {"event": events.resend(services().db, event_id)})
        )

    return once(f"resend {event_id}", "", tell_again)
