"""Events to pull and to resend: a shop that was down recovers by one loop."""

import re

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from payments_service.api import guards, services
from payments_service.api import merchant_schemas as shapes
from payments_service.api.merchant import body, json_bytes, once
from payments_service.domain.errors import NotFound
from payments_service.flows import events

EVENT_ID = re.compile(r"evt_[0-9a-f]{32}")

blueprint = Blueprint("events", __name__, url_prefix="/api/events")


@blueprint.get("")
@guards.key_with("read")
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
def resend(event_id: str) -> ResponseReturnValue:
    shapes.loaded(shapes.NothingSchema(), body())
    if not EVENT_ID.fullmatch(event_id):
        raise NotFound("Event not found")

    def tell_again() -> bytes:
        return json_bytes(
            shapes.dumped(shapes.EventAnswerOut(), {"event": events.resend(services().db, event_id)})
        )

    return once(f"resend {event_id}", "", tell_again)
