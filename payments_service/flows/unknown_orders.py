"""Events of orders that no row knows: an older backup may be restored, and the order may be ours.

A gateway account may serve other shops, too. An order is ours when it has our id, which is the gateway's to
say where the event names only an id of the gateway's own. Some gateways tell orders by our id alone: an event
without it that none of them can be asked about is a person's to look at.
"""

import re
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain.clock import Clock
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import UnknownAtGateway
from payments_service.domain.news import WIRE_PREFIX, OrderRef
from payments_service.domain.states import AlertCode
from payments_service.flows.alerts import raise_alert
from payments_service.gateways.base import Gateway
from payments_service.store import inbox, payments
from payments_service.store.db import Database
from payments_service.store.tables import PaymentWebhook
from payments_service.store.transaction import Transaction

OURS = re.compile(WIRE_PREFIX + "[A-Za-z0-9_]{1,30}")
"""It goes into the address of a question, and who knows the password of a webhook can make up any id."""


def is_worth_a_question(session: Session, gateway: Gateway, order: OrderRef, row: PaymentWebhook) -> bool:
    """Whether the order may be ours; one without our id is asked for at its first event."""
    if order.wire_id:
        return OURS.fullmatch(order.wire_id) is not None
    first, *_ = inbox.unmatched(session, gateway.provider, [order.gateway_order_id or ""])
    return first.id == row.id


def ask(
    db: Database,
    gateway: Gateway,
    order: OrderRef,
    row_id: UUID,
    about: dict[str, Any],
    deadline: Deadline,
    clock: Clock,
) -> None:
    """Ask for the order of an event, and alert a person with its amount when it is ours, or may be.

    Raises GatewayError when the gateway could not be asked.
    """
    can_be_asked = order.wire_id or not gateway.browser_knows_wire_id
    try:
        told = gateway.fetch_payment(order, deadline) if can_be_asked else None
    except UnknownAtGateway:
        told = None
    wire_id = order.wire_id or (told.order.wire_id if told else "")
    with db.begin() as session:
        is_unknown = inbox.stop_asking(session, row_id) and not payments.order_by_reference(
            session, gateway.provider, wire_id=wire_id, gateway_order_id=order.gateway_order_id
        )
        if is_unknown and (not can_be_asked or wire_id.startswith(WIRE_PREFIX)):
            subject = wire_id or order.gateway_order_id or ""
            alert(session, subject, about, told.amount.minor if told else None, clock)


def alert(
    session: Transaction, subject: str, about: dict[str, Any], amount: int | None, clock: Clock
) -> None:
    """By the best name that is known of it; `amount` is the order's in paise, None where it is not told."""
    raise_alert(session, AlertCode.UNKNOWN_ORDER, subject, {**about, "amountPaise": amount}, clock)
