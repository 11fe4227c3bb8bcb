"""What do we know of a payment? The stored truth, refreshed at most once in a short window."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from uuid import UUID

from cachetools import TTLCache

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError, NotFound, StoreUnavailable, UnknownAtGateway
from payments_service.domain.payment import Actor, PaymentRecord
from payments_service.domain.states import OPEN, Source
from payments_service.flows import asking, sync
from payments_service.flows.payment_view import Found, PaymentView, by_id, found
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.store import payments
from payments_service.store.db import Database

log = logging.getLogger(__name__)

BUDGET_SECONDS = 6.0
"""For all calls to the gateway of one status; a page asks again in seconds."""

_LOOKED_UP: TTLCache[tuple[str, str], UUID | None] = TTLCache(maxsize=10_000, ttl=300)
"""The payment of ours that a gateway's payment id belongs to, if any: guessing and polling cost no calls."""
_LOOKED_UP_LOCK = Lock()


def status(
    db: Database, gateway_name: str, providers: Sequence[Gateway], reference: str, request_id: str
) -> PaymentView:
    """The payment behind an order id, a payment id or our own id; NotFound for anything else.

    Always answers for a known payment: when the gateway cannot be asked, with what is stored.
    """
    known = found(db, gateway_name, reference)
    if known is None and payments.REFERENCE.fullmatch(reference):
        known = _find_through_gateway(db, providers, reference)
    if known is None:
        raise NotFound("Payment not found")
    payment, record = known
    payment = ask_if_open(db, providers, payment, Actor(Source.STATUS, request_id))
    return replace(payment, asked_by_order=names_order(record, reference))


def ask_if_open(
    db: Database, providers: Sequence[Gateway], payment: PaymentView, actor: Actor
) -> PaymentView:
    """Refresh an open payment unless another request just did; failing to is not an error."""
    gateway = gateway_of(payment.provider, providers)
    if payment.status not in OPEN or gateway is None or not _may_ask(db, payment.id):
        return payment
    try:
        sync.refresh(db, gateway, payment.id, actor, Deadline(BUDGET_SECONDS))
    except (GatewayError, StoreUnavailable) as error:
        log.warning("Status not refreshed", extra={"data": {"id": payment.id, "error": error.code}})
    return by_id(db, payment.id)


def names_order(known: PaymentRecord, reference: str) -> bool:
    """Whether a reference is our id or an order id that we gave out; a gateway's own ids can be counted."""
    given_out = {str(known.payment.id), known.payment.order_id, *(order.wire_id for order in known.orders)}
    return reference in given_out or reference.lower() in given_out


def _may_ask(db: Database, payment_id: UUID) -> bool:
    """Whether it is for us to ask now. While the store takes no writes, no request asks."""
    try:
        return asking.may_ask(db, payment_id)
    except StoreUnavailable:
        return False


def _find_through_gateway(db: Database, providers: Sequence[Gateway], payment_id: str) -> Found | None:
    """A payment id that no answer or event has told us yet: the gateway knows its order."""
    for gateway in providers:
        key = (gateway.provider, payment_id)
        with _LOOKED_UP_LOCK:
            is_known, known = key in _LOOKED_UP, _LOOKED_UP.get(key)
        if not is_known:
            try:
                found_there = _look_up(db, gateway, payment_id)
            except GatewayError as error:
                log.warning("Payment id not looked up", extra={"data": {"error": error.code}})
                continue
            known = found_there[0].id if found_there else None
            with _LOOKED_UP_LOCK:
                _LOOKED_UP[key] = known
        if known:
            return found(db, gateway.name, str(known))
    return None


def _look_up(db: Database, gateway: Gateway, payment_id: str) -> Found | None:
    try:
        order = gateway.find_by_payment_id(payment_id, Deadline(BUDGET_SECONDS, Urgency.LOOKUP))
    except UnknownAtGateway:
        return None
    return found(db, gateway.name, order.gateway_order_id) if order and order.gateway_order_id else None
