"""The webhook doors: raw bytes in, 200 once they are stored."""

import logging

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from payments_service import logs
from payments_service.api import guards, services
from payments_service.api.answers import WebhookReceivedSchema, dumped
from payments_service.api.bodies import WEBHOOK_BYTES, raw_body
from payments_service.api.callers import caller_address
from payments_service.api.described import described
from payments_service.domain.errors import (
    Forbidden,
    InvalidInput,
    MissingCredentials,
    NotFound,
    SignatureInvalid,
)
from payments_service.flows import webhook

log = logging.getLogger(__name__)

PATHS = "/api/webhook/"
RECEIVED = WebhookReceivedSchema()
blueprint = Blueprint("webhooks", __name__, url_prefix="/api/webhook")


@blueprint.before_request
def refuse_other_networks() -> None:
    """Before anything is read. The signature decides all the same: an address proves nothing."""
    if not (allowed := services().settings.webhook_allowed_ips):
        return
    address = caller_address()
    if address is None or not any(address in network for network in allowed):
        about = {"path": logs.masked_path(request.path), "address": str(address)}
        log.warning("A webhook came from an address outside WEBHOOK_ALLOWED_IPS", extra={"data": about})
        raise Forbidden("Webhooks are not taken from this address", code="address_not_allowed")


@blueprint.post("/<gateway>")
@guards.gateway_credentials
@described(
    "Take in a webhook of a gateway",
    about=(
        "The body is the gateway's own, checked over its raw bytes. 200: authenticated and stored, with any "
        "content."
    ),
    tag="Webhooks",
    gives={200: WebhookReceivedSchema},
    refuses={
        400: ("signature_missing",),
        401: ("signature_invalid",),
        403: ("address_not_allowed",),
        404: ("gateway_off",),
    },
)
def receive(gateway: str) -> ResponseReturnValue:
    try:
        providers = services().providers(gateway)
    except InvalidInput as error:
        raise NotFound("This gateway is switched off", code="gateway_off") from error
    request.max_content_length = WEBHOOK_BYTES
    body = raw_body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    provider = next((p for p in providers if p.recognises_webhook(headers, body)), providers[0])
    try:
        house = services()
        webhook.receive(house.db, provider, headers, body, house.intake, house.follow_ups.add)
    except (MissingCredentials, SignatureInvalid):
        services().watch.webhook_refused(provider)
        raise
    return dumped(RECEIVED, {"success": True, "message": "Webhook received"})
