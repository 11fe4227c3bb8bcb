"""The payer is back: is it paid? The browser's word opens the question, the gateway answers it."""

import logging
from collections.abc import Mapping, Sequence
from uuid import UUID

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError, NotFound, PaymentsError, SignatureInvalid
from payments_service.domain.news import OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus, Source
from payments_service.flows import asking, status
from payments_service.flows.payment_view import Found, PaymentView, by_id, found
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.store.db import Database

log = logging.getLogger(__name__)

BUDGET_SECONDS = 10.0
"""For all calls to the gateway of one verification; the payer has paid and waits."""
RETRY_AFTER_SECONDS = 5
"""Told with `payment_pending`."""


class NotCompletedYet(PaymentsError):
    """Not paid as far as the store and the gateway know; asking again later may bring another answer."""

    code = "payment_pending"
    http_status = 402

    def __init__(self, payment: PaymentView) -> None:
        super().__init__("Payment is not completed yet", paymentStatus=payment.status.value, retryable=True)
        self.retry_after_seconds = RETRY_AFTER_SECONDS


class VerificationFailed(PaymentsError):
    """The order can no longer be paid as it stands, or the browser's proof is forged."""

    code = "payment_failed"
    http_status = 400


class UnderReview(PaymentsError):
    code = "payment_review"
    http_status = 409


def verify(
    db: Database,
    gateway_name: str,
    providers: Sequence[Gateway],
    fields: Mapping[str, str],
    request_id: str,
) -> PaymentView:
    """The completed payment, else an error: nothing that is not paid is ever a success.

    Where the merchant captures by hand, money that is held for the payment is one, too: what the payer can do
    is done. `fields` are the gateway's verify fields; `orderId` is always one of them.
    """
    known = _by_order(db, gateway_name, fields["orderId"])
    if known is None:
        raise NotFound("Payment not found")
    payment, record = known
    gateway = gateway_of(payment.provider, providers)
    if gateway is None:
        raise NotFound("Payment not found")
    order = record.current_order
    _check_proof(gateway, OrderRef(order.wire_id, order.gateway_order_id), fields)
    if payment.status is PaymentStatus.COMPLETED:
        return payment
    urgency = Urgency.VERIFY if asking.is_seldom(payment.id) else Urgency.LOOKUP
    deadline = Deadline(BUDGET_SECONDS, urgency)
    is_news = gateway.returns_are_signed and asking.is_new_proof(payment.id, fields)
    try:
        is_asked = asking.ask_in_turn(
            db, gateway, payment.id, Actor(Source.VERIFY, request_id), deadline, at_once=is_news
        )
    except GatewayError as error:
        log.warning("Verification without an answer", extra={"data": {"id": payment.id, "error": error.code}})
        is_asked = False
    return _completed(
        by_id(db, payment.id), is_asked=is_asked, is_held_enough=not gateway.captures_automatically
    )


def payment_of(db: Database, gateway_name: str, order_id: str) -> UUID | None:
    """Our id of the payment that `verify` would take this order id for."""
    known = _by_order(db, gateway_name, order_id)
    return known[0].id if known else None


def _by_order(db: Database, gateway_name: str, order_id: str) -> Found | None:
    """Not by a payment id of the gateway: those can be guessed."""
    known = found(db, gateway_name, order_id)
    return known if known and status.names_order(known[1], order_id) else None


def _check_proof(gateway: Gateway, order: OrderRef, fields: Mapping[str, str]) -> None:
    try:
        gateway.check_return(order, fields)
    except SignatureInvalid as error:
        log.warning("Payment signature verification failed", extra={"data": {"orderId": fields["orderId"]}})
        raise VerificationFailed("Payment signature verification failed", code="signature_invalid") from error


def _completed(payment: PaymentView, *, is_asked: bool, is_held_enough: bool) -> PaymentView:
    """Failed and expired are not final: only the gateway, asked just now, may have them called a failure."""
    if payment.status is PaymentStatus.COMPLETED:
        return payment
    if payment.review:
        raise UnderReview("Payment is under review", paymentStatus=payment.status.value)
    if is_held_enough and payment.status is PaymentStatus.AUTHORIZED:
        return payment
    if is_asked and payment.status in (PaymentStatus.FAILED, PaymentStatus.EXPIRED):
        raise VerificationFailed(
            "Payment verification failed",
            status=payment.gateway_status,
            paymentStatus=payment.status.value,
        )
    raise NotCompletedYet(payment)
