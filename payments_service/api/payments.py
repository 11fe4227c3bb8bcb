"""The checkout API: what a browser may ask for."""

from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue

from payments_service.api import guards, raw_body, request_id, schemas, services
from payments_service.errors import InvalidInput
from payments_service.flows.create_order import create_order
from payments_service.flows.idempotency import Claim, Kept, claim, keep
from payments_service.flows.intent import LEASE, NewPayment
from payments_service.flows.status import status
from payments_service.flows.verify import verify
from payments_service.flows.views import PaymentView
from payments_service.gateways.base import Gateway
from payments_service.money import json_number

blueprint = Blueprint("payments", __name__, url_prefix="/api/payment")


@blueprint.post("/create-order")
@guards.browser_or_key
def create_order_() -> ResponseReturnValue:
    house = services()
    given = _json_body()
    _refuse_unsupported(given)
    key = schemas.idempotency_key(request.headers.get("Idempotency-Key"))
    body = schemas.load(schemas.CreateOrderSchema(), given)
    gateway = house.providers(body["gateway"])[0]
    schemas.check_range(
        body["amount"],
        max(house.settings.min_amount, gateway.minimum_amount),
        house.settings.max_amount,
    )
    return_url = body["returnUrl"] or house.settings.return_url
    schemas.check_return_url(return_url, house.settings.return_origins)
    new = NewPayment(
        amount=body["amount"],
        customer_name=body["customer"]["name"],
        customer_email=body["customer"]["email"],
        customer_phone=body["customer"]["phone"],
        description=body["description"],
        user_id=body["userId"],
        reference=body["reference"],
        metadata=body["metadata"],
        return_url=return_url,
        lifetime=house.settings.order_expiry,
        price_verified=g.api_key is not None,
    )
    claim = _claim(key, schemas.fingerprint(body)) if key else None
    if isinstance(claim, Kept):
        return Response(claim.body, mimetype="application/json", headers={"Idempotency-Replayed": "true"})
    opened = create_order(house.db, gateway, new, house.urls, request_id(), claim)
    answer = jsonify(_created(opened, gateway))
    if claim:
        keep(house.db, claim, answer.get_data())
    return answer


@blueprint.post("/verify-payment")
@guards.anybody
def verify_payment() -> ResponseReturnValue:
    house = services()
    body = _json_body()
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object", code="invalid_json")
    name = body.get("gateway")
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("Gateway is required", details={"gateway": ["Gateway is required"]})
    providers = house.providers(name)
    fields = schemas.verify_fields(providers[0].verify_fields, body)
    payment = verify(house.db, providers[0].name, providers, fields, request_id())
    return {**_summary(payment), "timestamp": payment.updated_at.isoformat()}


@blueprint.get("/status/<gateway>/<path:reference>")
@guards.anybody
def payment_status(gateway: str, reference: str) -> ResponseReturnValue:
    house = services()
    name, providers = house.known_gateway(gateway)
    payment = status(house.db, name, providers, reference, request_id())
    return {
        **_summary(payment),
        "amountRefunded": json_number(payment.amount_refunded),
        "createdAt": payment.created_at.isoformat(),
        "updatedAt": payment.updated_at.isoformat(),
    }


def _json_body() -> object:
    try:
        return current_app.json.loads(raw_body())
    except ValueError as error:
        raise InvalidInput("The body is not valid JSON", code="invalid_json") from error


def _refuse_unsupported(body: object) -> None:
    """Promises that are not built yet are refused aloud, never half kept."""
    if isinstance(body, dict) and body.get("quote") is not None:
        message = "Not supported yet: quote"
        raise InvalidInput(message, code="not_supported", details={"quote": [message]})


def _claim(key: str, fingerprint: str) -> Claim | Kept:
    """The key belongs to this caller and to what it asked for."""
    return claim(
        services().db,
        endpoint="create-order",
        owner=g.api_key.name if g.api_key else "",
        key=key,
        fingerprint=fingerprint,
        lease=LEASE,
    )


def _created(payment: PaymentView, gateway: Gateway) -> dict[str, Any]:
    payment_url = f"{services().settings.backend_url}/pay/{payment.id}"
    order = {
        **dict.fromkeys(gateway.order_id_names, payment.order_id),
        "amount": payment.amount.minor,
        "currency": payment.amount.currency,
        "status": payment.gateway_status,
        **dict.fromkeys(gateway.payment_url_names, payment_url),
        **(payment.checkout or {}),
    }
    return {"success": True, "gateway": payment.gateway, "id": str(payment.id), "order": order}


def _summary(payment: PaymentView) -> dict[str, Any]:
    return {
        "success": True,
        "gateway": payment.gateway,
        "mode": payment.mode,
        "id": str(payment.id),
        **dict.fromkeys(services().order_id_names(payment.provider), payment.order_id),
        "paymentId": payment.payment_id,
        "status": payment.gateway_status,
        "paymentStatus": payment.status.value,
        "amount": json_number(payment.amount),
        "currency": payment.amount.currency,
        "method": payment.method,
    }
