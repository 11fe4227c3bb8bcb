"""The hosted checkout page, and where the gateway sends the payer back to."""

import logging
from typing import Any
from urllib.parse import quote_plus, unquote_plus, urlsplit
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from payments_service.api import guards, request_id, services
from payments_service.errors import PaymentsError
from payments_service.flows.hosted_page import HostedPage, Stage, come_back, hosted_page
from payments_service.flows.views import PaymentView
from payments_service.pages import assets
from payments_service.pages.gateways import CheckoutPage, checkout_page
from payments_service.pages.security import add_headers, content_security_policy
from payments_service.pages.words import NOT_HERE, STAGES, TROUBLE, UNKNOWN, WAITING, Words

log = logging.getLogger(__name__)

blueprint = Blueprint("pay", __name__, url_prefix="/pay", template_folder="templates")
blueprint.after_request(add_headers)


@blueprint.get("/<uuid:payment_id>")
@guards.anybody
def page(payment_id: UUID) -> ResponseReturnValue:
    found = hosted_page(services().db, payment_id)
    if found.stage is not Stage.PAYABLE:
        return _render(found, STAGES[found.stage], None)
    checkout = _checkout(found.payment)
    if checkout is None:
        log.error("Payable, but no gateway to open it", extra={"data": {"id": payment_id}})
        return _render(found, NOT_HERE, None), 503
    return _render(found, STAGES[found.stage], checkout)


@blueprint.route("/<uuid:payment_id>/return", methods=["GET", "POST"])
@guards.anybody
def come_back_(payment_id: UUID) -> ResponseReturnValue:
    request.get_data()  # up to the limit, and believed in nothing
    house = services()
    payment = come_back(house.db, house.gateways, payment_id, request_id())
    return redirect(_return_address(payment), 303)


@blueprint.get("/static/<name>")
@guards.anybody
def static(name: str) -> ResponseReturnValue:
    return assets.answer(name)


@blueprint.get("/<path:_>")
@guards.anybody
def mistyped(_: str) -> ResponseReturnValue:
    return _message(UNKNOWN, 404)


@blueprint.errorhandler(PaymentsError)
def refused(error: PaymentsError) -> ResponseReturnValue:
    log.info("Refused", extra={"data": {"status": error.http_status, "code": error.code}})
    return _message(UNKNOWN if error.http_status == 404 else TROUBLE, error.http_status)


@blueprint.errorhandler(HTTPException)
def not_served(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    return _message(UNKNOWN if status == 404 else TROUBLE, status)


@blueprint.errorhandler(Exception)
def unforeseen(error: Exception) -> ResponseReturnValue:
    log.error("Unforeseen error", exc_info=error)
    return _message(TROUBLE, 500)


def _checkout(payment: PaymentView) -> CheckoutPage | None:
    gateway = next((g for g in services().gateways if g.provider == payment.provider), None)
    return checkout_page(gateway, payment.mode, payment.checkout or {}) if gateway else None


def _render(found: HostedPage, words: Words, checkout: CheckoutPage | None) -> Response:
    return_url = url_for("pay.come_back_", payment_id=found.payment.id)
    html = render_template(
        "pages/pay.html",
        merchant=services().settings.merchant_name,
        payment=found.payment,
        stage=found.stage,
        words=words,
        checkout=checkout,
        facts=_facts(found, checkout, return_url) if checkout or found.stage in WAITING else None,
        return_url=return_url,
    )
    response = make_response(html)
    sources = checkout.sources if checkout else None
    response.headers["Content-Security-Policy"] = content_security_policy(sources)
    return response


def _facts(found: HostedPage, checkout: CheckoutPage | None, return_url: str) -> dict[str, Any]:
    """What the page's script has to know."""
    payment = found.payment
    facts: dict[str, Any] = {
        "status": payment.status.value,
        "statusUrl": f"/api/payment/status/{payment.gateway}/{payment.id}",
        "returnUrl": return_url,
    }
    if checkout is None:
        return facts
    return {
        **facts,
        "label": checkout.label,
        "script": checkout.script,
        "order": {
            **checkout.order,
            "mode": payment.mode,
            "orderId": payment.order_id,
            "amount": payment.amount.minor,
            "currency": payment.amount.currency,
            "merchant": services().settings.merchant_name,
            "description": payment.description or "",
            "name": found.payer_name,
            "secondsLeft": int(found.time_left.total_seconds()),
        },
    }


def _return_address(payment: PaymentView) -> str:
    """The merchant's own address with the names of what was paid; names of ours in it are replaced."""
    parts = urlsplit(payment.return_url)
    ours = {"gateway": payment.gateway}
    if payment.order_id:
        ours |= dict.fromkeys(services().order_id_names(payment.provider), payment.order_id)
    kept = [pair for pair in parts.query.split("&") if pair and _name(pair) not in ours]
    added = [f"{name}={quote_plus(value)}" for name, value in ours.items()]
    return parts._replace(query="&".join([*kept, *added])).geturl()


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _message(words: Words, status: int) -> ResponseReturnValue:
    return render_template("pages/message.html", words=words), status
