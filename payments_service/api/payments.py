"""The checkout API: what a browser may ask for."""

import logging
import re
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue

from payments_service import logs
from payments_service.api import guards, request_id, schemas, services
from payments_service.api.bodies import raw_body
from payments_service.domain.errors import InvalidInput
from payments_service.domain.money import json_number
from payments_service.flows.create_order import create_order
from payments_service.flows.idempotency import Claim, Kept, buyer, claim, keep
from payments_service.flows.intent import LEASE, NewPayment
from payments_service.flows.payment_view import PaymentView
from payments_service.flows.status import status
from payments_service.flows.verify import verify
from payments_service.gateways.base import Gateway

log = logging.getLogger(__name__)

REPLACEMENT = "\ufffd"
"""What decoding puts in the place of bytes that are no UTF-8."""
MEMBER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

blueprint = Blueprint("payments", __name__, url_prefix="/api/payment")


@blueprint.before_request
def refuse_an_address_that_is_no_text() -> None:
    """Bytes that are no UTF-8, such as half of a surrogate pair, name nothing that there is."""
    query = unquote(request.query_string.decode("latin-1"))
    if REPLACEMENT in request.path + query:
        raise InvalidInput("The address is not valid UTF-8", code="invalid_address")


@blueprint.post("/create-order")
@guards.browser_or_key
def create_order_() -> ResponseReturnValue:
    house = services()
    if g.api_key is None:
        house.budgets.order_from_here()
    given = _json_body()
    header = request.headers.get(schemas.KEY_HEADER)
    if g.api_key is None:
        _log_ignored(given)
    body, key = schemas.create_order(given, header, house.limits, knows_all=g.api_key is not None)
    if g.api_key is None:
        house.budgets.order_of(body["customer"]["phone"])
    gateway = house.providers(body["gateway"])[0]
    new = NewPayment(
        amount=body["amount"],
        customer_name=body["customer"]["name"],
        customer_email=body["customer"]["email"],
        customer_phone=body["customer"]["phone"],
        description=body["description"],
        user_id=body["userId"],
        reference=body["reference"],
        metadata=body["metadata"],
        return_url=body["returnUrl"] or house.settings.return_url,
        lifetime=house.settings.order_expiry,
        price_verified=g.api_key is not None,
    )
    claim = _claim(key, new, schemas.fingerprint(body)) if key else None
    if isinstance(claim, Kept):
        return Response(claim.body, mimetype="application/json", headers={"Idempotency-Replayed": "true"})
    opened = create_order(house.db, gateway, new, house.urls, request_id(), claim)
    logs.note(**_ids(opened))
    answer = jsonify(_created(opened, gateway))
    if claim:
        keep(house.db, claim, answer.get_data())
    return answer


@blueprint.post("/verify-payment")
@guards.anybody
def verify_payment() -> ResponseReturnValue:
    house = services()
    body = schemas.json_object(_json_body())
    schemas.refuse_what_is_no_text(body)
    name = body.get("gateway")
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("Gateway is required", details={"gateway": ["Gateway is required"]})
    providers = house.providers(name)
    fields = schemas.verify_fields(providers[0].verify_fields, body)
    with house.budgets.unknown_lookup():
        payment = verify(house.db, providers[0].name, providers, fields, request_id())
    logs.note(**_ids(payment))
    return {**_summary(payment), "timestamp": payment.updated_at.isoformat()}


@blueprint.get("/status/<gateway>/<path:reference>")
@guards.anybody
def payment_status(gateway: str, reference: str) -> ResponseReturnValue:
    house = services()
    name, providers = house.known_gateway(gateway)
    with house.budgets.unknown_lookup():
        payment = status(house.db, name, providers, reference, request_id())
    logs.note(**_ids(payment))
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


def _ids(payment: PaymentView) -> dict[str, Any]:
    """By what the line of this request is found again."""
    return {
        "id": str(payment.id),
        "orderId": payment.order_id,
        "paymentId": payment.payment_id,
        "paymentStatus": payment.status.value,
    }


def _log_ignored(body: object) -> None:
    """Which members of a page's body are not read. An odd name may hold a value, so it is only counted."""
    unknown = schemas.unknown_members(schemas.json_object(body))
    if unknown:
        names = [name for name in unknown if MEMBER_NAME.fullmatch(name)][: schemas.MAX_UNKNOWN]
        log.info("Unknown members ignored", extra={"data": {"members": names, "count": len(unknown)}})


def _claim(key: str, new: NewPayment, fingerprint: str) -> Claim | Kept:
    """The key belongs to this caller, a browser's to its buyer, and to what was asked for."""
    return claim(
        services().db,
        endpoint="create-order",
        owner=g.api_key.name if g.api_key else buyer(new.customer_phone, new.customer_email),
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
    ours = {"gateway": payment.gateway, "mode": payment.mode, "id": str(payment.id)}
    return {"success": True, **ours, "order": order}


def _summary(payment: PaymentView) -> dict[str, Any]:
    names = {
        "id": str(payment.id),
        **dict.fromkeys(services().order_id_names(payment.provider), payment.order_id),
    }
    return {
        "success": True,
        "gateway": payment.gateway,
        "mode": payment.mode,
        **(names if payment.asked_by_order else {}),
        "paymentId": payment.payment_id,
        "status": payment.gateway_status,
        "paymentStatus": payment.status.value,
        "amount": json_number(payment.amount),
        "currency": payment.amount.currency,
        "method": payment.method,
    }
