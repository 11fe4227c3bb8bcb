"""A trusted reference goes on at another gateway: the order that it left is closed where its gateway can."""

import logging
from collections.abc import Sequence

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError, StoreUnavailable
from payments_service.domain.news import OrderRef
from payments_service.domain.payment import Actor
from payments_service.domain.states import Source
from payments_service.flows import sync
from payments_service.flows.payment_view import PaymentView
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.store import payments, references
from payments_service.store.db import Database

log = logging.getLogger(__name__)

BUDGET_SECONDS = 4.0
"""For closing the order at the gateway that is left, before one is made at another."""


def close_what_was_left(
    db: Database, gateways: Sequence[Gateway], opened: PaymentView, request_id: str
) -> None:
    """Close the other open orders of an opened payment's reference.

    An order that stays open, because its gateway ends none or does not answer, is watched as before; money
    that comes for it after the reference was paid is flagged, with the refund ready.
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
        except (GatewayError, StoreUnavailable) as error:
            about = {"id": payment_id, "error": error.code}
            log.warning("An order that was left could not be closed", extra={"data": about})
