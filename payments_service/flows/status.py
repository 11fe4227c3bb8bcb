"""What do we know of a payment? The stored truth, refreshed at most once in a short window."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from uuid import UUID

from cachetools import TTLCache

from payments_service.errors import GatewayError, NotFound, UnknownAtGateway
from payments_service.flows import sync
from payments_service.flows.views import PaymentView, view
from payments_service.gateways.base import Deadline, Gateway
from payments_service.ledger import payments
from payments_service.ledger.db import Database
from payments_service.ledger.events import Bell
from payments_service.states import OPEN

log = logging.getLogger(__name__)

BUDGET_SECONDS = 6.0
ASK_EVERY = timedelta(seconds=3)
"""However many pages poll one payment, the gateway is asked this often at most."""

_MISSES: TTLCache[tuple[str, str], bool] = TTLCache(maxsize=10_000, ttl=300)
"""Payment ids that belong to no order of ours, so that guessing costs no calls."""
_MISSES_LOCK = Lock()


def status(
    db: Database, gateway_name: str, providers: Sequence[Gateway], reference: str, request_id: str
) -> PaymentView:
    """The payment behind an order id, a payment id or our own id; NotFound for anything else.

    Always answers for a known payment: when the gateway cannot be asked, with what is stored.
    """
    found = _find(db, gateway_name, reference) or _find_through_gateway(db, providers, reference)
    if found is None:
        raise NotFound("Payment not found")
    return ask_if_open(db, providers, found, Bell("status", request_id))


def ask_if_open(db: Database, providers: Sequence[Gateway], payment: PaymentView, bell: Bell) -> PaymentView:
    """Refresh an open payment unless somebody just did; failing to is not an error."""
    gateway = next((g for g in providers if g.provider == payment.provider), None)
    if payment.status not in OPEN or gateway is None or not _may_ask(db, payment.id):
        return payment
    try:
        sync.refresh(db, gateway, payment.id, bell, Deadline(BUDGET_SECONDS))
    except GatewayError as error:
        log.warning("Status not refreshed", extra={"data": {"id": payment.id, "error": error.code}})
    return by_id(db, payment.id)


def by_id(db: Database, payment_id: UUID) -> PaymentView:
    with db.read() as session:
        return view(session, payments.by_id(session, payment_id))


def _find(db: Database, gateway_name: str, reference: str) -> PaymentView | None:
    with db.read() as session:
        payment = payments.find(session, gateway_name, reference)
        return view(session, payment) if payment else None


def _may_ask(db: Database, payment_id: UUID) -> bool:
    with db.begin() as session:
        return payments.claim_asking(session, payment_id, datetime.now(UTC), ASK_EVERY)


def _find_through_gateway(db: Database, providers: Sequence[Gateway], payment_id: str) -> PaymentView | None:
    """A payment id that nobody told us about yet: the gateway knows its order."""
    for gateway in providers:
        if _is_missed(gateway, payment_id):
            continue
        try:
            order = gateway.find_by_payment_id(payment_id, Deadline(BUDGET_SECONDS))
        except UnknownAtGateway:
            order = None
        except GatewayError as error:
            log.warning("Payment id not looked up", extra={"data": {"error": error.code}})
            continue
        found = _find(db, gateway.name, order.gateway_order_id) if order and order.gateway_order_id else None
        if found:
            return found
        with _MISSES_LOCK:
            _MISSES[gateway.provider, payment_id] = True
    return None


def _is_missed(gateway: Gateway, payment_id: str) -> bool:
    with _MISSES_LOCK:
        return (gateway.provider, payment_id) in _MISSES
