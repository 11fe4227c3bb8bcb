"""One payment with all that is stored about it, for the merchant's server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from payments_service.domain.errors import NotFound
from payments_service.domain.money import Money
from payments_service.flows import events, refund
from payments_service.flows.events import ToldEvent
from payments_service.flows.history import Step, steps_of
from payments_service.flows.payment_list import ListedPayment
from payments_service.flows.refund import RefundView
from payments_service.store import disputes, lookup, payment_pages, payments
from payments_service.store.db import Database
from payments_service.store.tables import PaymentAttempt, PaymentOrder


@dataclass(frozen=True)
class PaymentDetails(ListedPayment):
    orders: Sequence[PaymentOrder]
    attempts: Sequence[PaymentAttempt]
    refunds: Sequence[RefundView]
    disputes: Sequence[dict[str, Any]]
    """The last word of each, with the members of its rows in the history."""
    history: Sequence[Step]
    events: Sequence[ToldEvent]


def details(db: Database, payment_id: UUID) -> PaymentDetails:
    """Raises NotFound for an id that is not ours."""
    with db.read() as session:
        if not payments.exists(session, payment_id):
            raise NotFound("Payment not found")
        row = payments.by_id(session, payment_id)
        refunded = payment_pages.amounts_refunded(session, [row])
        found = PaymentDetails(
            row=row,
            amount_refunded=Money(refunded.get(row.id, 0), row.currency),
            orders=lookup.orders(session, payment_id),
            attempts=payments.attempts(session, payment_id),
            refunds=refund.views(session, payment_id),
            disputes=disputes.of_payment(session, payment_id),
            history=(),
            events=events.of_payment(session, payment_id),
        )
    return PaymentDetails(**{**vars(found), "history": steps_of(db, payment_id)})
