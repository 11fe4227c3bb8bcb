"""The hosted checkout page, and where the gateway sends the payer back to."""

import logging
from typing import Any
from urllib.parse import quote_plus, unquote_plus, urlsplit
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from payments_service.api import guards, request_id, services
from payments_service.api.described import HTML, described, undescribed
from payments_service.domain.errors import PaymentsError
from payments_service.flows.hosted_page import HostedPage, Stage, come_back, hosted_page
from payments_service.flows.payment_view import PaymentView
from payments_service.gateways.base import gateway_of
from payments_service.pages import assets
from payments_service.pages.gateways import CheckoutPage, checkout_page, label_of
from payments_service.pages.language import reader_language
from payments_service.pages.security import add_headers, content_security_policy
from payments_service.pages.words import WHILE_PAYING, Speech

log = logging.getLogger(__name__)

WAITING = frozenset({Stage.PREPARING, Stage.CONFIRMING})
"""The page asks for news; every other stage stays as it is until the payer opens it again."""

blueprint = Blueprint("pay", __name__, url_prefix="/pay", template_folder="templates")
blueprint.after_request(add_headers)


@blueprint.get("/<uuid:payment_id>")
@guards.open_to_all
@described("The hosted payment page", tag="Pages", gives={status: HTML for status in (200, 404, 500, 503)})
def page(payment_id: UUID) -> ResponseReturnValue:
    found = hosted_page(services().db, payment_id)
    if found.stage is not Stage.PAYABLE:
        return _render(found, found.stage, None)
    checkout = _checkout(found.payment)
    if checkout is None:
        log.error("Payable, but no gateway to open it", extra={"data": {"id": payment_id}})
        return _render(found, "not_here", None), 503
    return _render(found, found.stage, checkout)


@blueprint.route("/<uuid:payment_id>/return", methods=["GET", "POST"])
@guards.open_to_all
@described(
    "Where gateways send the payer back to; leads on to the order's returnUrl",
    tag="Pages",
    gives={303: None, 404: HTML, 500: HTML, 503: HTML},
)
def come_back_(payment_id: UUID) -> ResponseReturnValue:
    """Nothing that the gateway posted is believed, so its body is not even read."""
    house = services()
    payment = come_back(house.db, house.gateways, payment_id, request_id())
    return redirect(_return_address(payment), 303)


@blueprint.get("/static/<name>")
@guards.open_to_all
@undescribed("files of the pages")
def static(name: str) -> ResponseReturnValue:
    return assets.answer(name)


@blueprint.get("/<path:_>")
@guards.open_to_all
@undescribed("only says that there is no such page")
def mistyped(_: str) -> ResponseReturnValue:
    return _message("unknown", 404)


@blueprint.errorhandler(PaymentsError)
def refused(error: PaymentsError) -> ResponseReturnValue:
    log.info("Refused", extra={"data": {"status": error.http_status, "code": error.code}})
    return _message("unknown" if error.http_status == 404 else "trouble", error.http_status)


@blueprint.errorhandler(HTTPException)
def not_served(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    return _message("unknown" if status == 404 else "trouble", status)


@blueprint.errorhandler(Exception)
def unforeseen(error: Exception) -> ResponseReturnValue:
    log.error("Unforeseen error", exc_info=error)
    return _message("trouble", 500)


def _checkout(payment: PaymentView) -> CheckoutPage | None:
    gateway = gateway_of(payment.provider, services().gateways)
    return checkout_page(gateway, payment.mode, payment.checkout or {}) if gateway else None


def _render(found: HostedPage, words: str, checkout: CheckoutPage | None) -> Response:
    """The page; `words` names what it says."""
    payment = found.payment
    say = Speech(reader_language(), _names(payment))
    return_url = url_for("pay.come_back_", payment_id=payment.id)
    html = render_template(
        "pages/pay.html",
        say=say,
        merchant=services().settings.merchant_name,
        payment=payment,
        stage=found.stage,
        words=words,
        checkout=checkout,
        is_waiting=found.stage in WAITING,
        receipt=_receipt(found, say),
        facts=_facts(found, checkout, say, return_url) if checkout or found.stage in WAITING else None,
        return_url=return_url,
    )
    response = make_response(html)
    sources = checkout.sources if checkout else None
    response.headers["Content-Security-Policy"] = content_security_policy(sources)
    return response


def _names(payment: PaymentView) -> dict[str, str]:
    merchant = services().settings.merchant_name
    return {"merchant": merchant, "gateway": label_of(payment.provider), "amount": str(payment.amount)}


def _receipt(found: HostedPage, say: Speech) -> list[tuple[str, str]]:
    """What a payer may need to tell the shop or the bank: label and value, nothing personal."""
    payment = found.payment
    lines = [
        ("paid_at", say.moment(found.paid_at) if found.paid_at else None),
        ("method", say.method(payment.method) if payment.method and found.stage is Stage.COMPLETED else None),
        ("gateway", say.names["gateway"] if payment.order_id else None),
        ("refunded", str(payment.amount_refunded) if payment.amount_refunded.minor else None),
        ("reference", payment.reference),
        ("payment", payment.payment_id),
        ("order", payment.order_id),
    ]
    return [(say(f"receipt.{name}"), value) for name, value in lines if value]


def _facts(found: HostedPage, checkout: CheckoutPage | None, say: Speech, return_url: str) -> dict[str, Any]:
    """What the page's script has to know."""
    payment = found.payment
    facts: dict[str, Any] = {
        "status": payment.status.value,
        "statusUrl": f"/api/payment/status/{payment.gateway}/{payment.id}",
        "returnUrl": return_url,
        "words": {
            **say.pairs(*(WHILE_PAYING if checkout else ("leaving", "long"))),
            **{name: say(name) for name in ("again", "no_news", "offline")},
        },
    }
    if checkout is None:
        return facts
    return {
        **facts,
        "script": checkout.script,
        "order": {
            **checkout.order,
            "mode": payment.mode,
            "orderId": payment.order_id,
            "amount": payment.amount.minor,
            "currency": payment.amount.currency,
            "merchant": say.names["merchant"],
            "description": payment.description or "",
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


def _message(words: str, status: int) -> ResponseReturnValue:
    say = Speech(reader_language(), {})
    return render_template("pages/message.html", say=say, words=words), status
