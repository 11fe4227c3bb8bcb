"""A trusted reference goes on at another gateway: the order that it left is closed where its gateway can."""

import logging
from collections.abc import Sequence

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, GatewayError, StoreUnavailable
from payments_service.domain.news import OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import PaymentStatus, Source
from payments_service.flows import sync
from payments_service.flows.payment_view import PaymentView
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.store import payments, references
from payments_service.store.db import Database

log = logging.getLogger(__name__)

BUDGET_SECONDS = 4.0
"""For closing the orders that were left, or asking for them, while the payer waits for the new one."""


def close_what_was_left(
    db: Database, gateways: Sequence[Gateway], opened: PaymentView, request_id: str
) -> None:
    """Close the other open orders of an opened payment's reference.

    An order that stays open, because its gateway ends none or does not answer, is watched as before; money
    that comes for it after the reference was paid is flagged, with the refund ready. Raises Conflict
    (`reference_paid`, `reference_open`) where the gateway that is left says that money came: no payer is sent
    to a second order then.
    """
    if opened.reference is None:
        return
    with db.read() as session:
        left = [
            (payment.id, payment.provider, payments.current_order(session, payment.id))
            for payment in references.left_open(session, opened.reference, opened.id)
        ]
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
    if left:
        _refuse_where_money_came(db, opened)


def _refuse_where_money_came(db: Database, opened: PaymentView) -> None:
    """The payer may have paid just before they chose another gateway, which nothing had told us yet."""
    with db.read() as session:
        if paid_by := payments.reference_paid_by(session, payments.by_id(session, opened.id)):
            raise Conflict("This reference is paid", code="reference_paid", id=str(paid_by))
        for other in payments.open_for_reference(session, opened.reference or ""):
            if other.id != opened.id and other.status == PaymentStatus.AUTHORIZED:
                raise Conflict("This reference is being paid", code="reference_open", id=str(other.id))
