"""The webhook doors: raw bytes in, 200 once they are stored."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from payments_service.api import guards, raw_body, services
from payments_service.errors import InvalidInput, MissingCredentials, NotFound, SignatureInvalid
from payments_service.flows import webhook

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/webhook")


@blueprint.post("/<gateway>")
@guards.gateway_credentials
def receive(gateway: str) -> ResponseReturnValue:
    body = raw_body()
    try:
        providers = services().providers(gateway)
    except InvalidInput as error:
        raise NotFound("This gateway is switched off", code="gateway_off") from error
    headers = {name.lower(): value for name, value in request.headers.items()}
    provider = next((p for p in providers if p.recognises_webhook(headers, body)), providers[0])
    try:
        webhook.receive(services().db, provider, headers, body)
    except (MissingCredentials, SignatureInvalid):
        services().watch.webhook_refused(provider)
        raise
    return {"success": True, "message": "Webhook received"}
