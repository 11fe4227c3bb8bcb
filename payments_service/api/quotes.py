"""Quotes: the merchant's server fixes a price, a browser brings it along."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from payments_service.api import guards, schemas, services
from payments_service.api.answers import QuoteMadeSchema, dumped
from payments_service.api.bodies import json_body
from payments_service.api.described import described
from payments_service.api.merchant import json_bytes, once
from payments_service.api.merchant_schemas import fingerprint
from payments_service.domain.clock import utc_now
from payments_service.flows import quotes
from payments_service.flows.quotes import Quote

blueprint = Blueprint("quotes", __name__, url_prefix="/api")


@blueprint.post("/quote")
@guards.key_with("write")
@described(
    "Make a quote: a signed price that a browser can bring to create-order",
    about=(
        "Nothing is stored. Amount, reference, description, user and metadata are fixed; `reference` is paid "
        "once."
    ),
    takes=schemas.QuoteSchema(schemas.NO_LIMITS),
    gives={200: QuoteMadeSchema},
    headers=(schemas.KEY_HEADER,),
    refuses={
        400: ("validation_error", "unknown_field"),
        409: ("request_in_progress",),
        422: ("idempotency_key_reused",),
    },
    example={"amount": 499, "reference": "ORDER-1001", "description": "A course"},
)
def make() -> ResponseReturnValue:
    house = services()
    body = schemas.quote_order(json_body(), house.limits)

    def sign() -> bytes:
        return json_bytes(dumped(QuoteMadeSchema(), _signed(body)))

    return once("quote", fingerprint(body), sign)


def _signed(body: Mapping[str, Any]) -> dict[str, Any]:
    house = services()
    made = Quote(
        amount=body["amount"],
        reference=body["reference"],
        description=body["description"] or None,
        user_id=body["userId"] or None,
        metadata=body["metadata"],
        expires_at=utc_now().replace(microsecond=0) + timedelta(seconds=body["expiresIn"]),
    )
    text = quotes.sign(made, house.settings.secret_keys, house.mode)
    return {"success": True, "quote": text, "expiresAt": made.expires_at}
