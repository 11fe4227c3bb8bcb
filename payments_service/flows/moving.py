"""A trusted reference goes on at another gateway: the order that it left is closed where its gateway can."""

import logging
from collections.abc import Sequence
from uuid import UUID

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError, StoreUnavailable
from payments_service.domain.news import OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import Source
from payments_service.flows import rivals, sync
from payments_service.flows.payment_view import PaymentView
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.store import payments, references
from payments_service.store.db import Database
from payments_service.store.tables import PaymentOrder

log = logging.getLogger(__name__)

BUDGET_SECONDS = 4.0
"""For closing the orders that were left, or asking for them, while the payer waits for the new one."""


def leave_one_order(db: Database, gateways: Sequence[Gateway], opened: PaymentView, request_id: str) -> None:
    """Close the open orders of an opened payment's reference, but for the one that a payer is sent to.

    That is the opened payment's, unless another one was begun later and can be paid: then the opened one is
    closed. An order that stays open, as its gateway ends none or does not answer, is watched as before; money
    that comes for it after the reference was paid is flagged, with the refund ready. Raises Conflict,
    so that no payer is sent to a second order: `reference_paid` and `reference_open` where the gateway that
    is left says that money came, `reference_open` where the payer went on elsewhere.
    """
    if opened.reference is None:
        return
    with db.read() as session:
        begun_last = references.current_payment(session, opened.reference)
        is_left = begun_last in {one.id for one in references.left_open(session, opened.reference, opened.id)}
        stays = begun_last if begun_last and is_left else opened.id
        left = [
            (payment.id, payment.provider, payments.current_order(session, payment.id))
            for payment in references.left_open(session, opened.reference, stays)
        ]
    _close(db, gateways, left, request_id)
    _refuse_where_money_came(db, opened)
    if is_left:
        raise rivals.elsewhere(begun_last)


def _close(
    db: Database, gateways: Sequence[Gateway], left: Sequence[tuple[UUID, str, PaymentOrder]], request_id: str
) -> None:
    actor, deadline = Actor(Source.CREATE_ORDER, request_id), Deadline(BUDGET_SECONDS)
    for payment_id, provider, order in left:
        gateway = gateway_of(provider, gateways)
        if gateway is None:
            continue
        try:
            snapshot = gateway.close(OrderRef(order.wire_id, order.gateway_order_id), deadline)
            if snapshot is not None:
                sync.apply(db, gateway, order, snapshot, actor, generation=order.generation)
            else:
                sync.refresh(db, gateway, payment_id, actor, deadline)
        except (GatewayError, StoreUnavailable) as error:
            about = {"id": payment_id, "error": error.code}
            log.warning("An order that was left could not be closed", extra={"data": about})


def _refuse_where_money_came(db: Database, opened: PaymentView) -> None:
    """The payer may have paid just before they chose another gateway, which nothing had told us yet."""
    with db.read() as session:
        rivals.refuse_beside_money(session, payments.by_id(session, opened.id))
