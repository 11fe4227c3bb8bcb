"""All that is stored about one payment, for a person on call."""

from dataclasses import dataclass
from uuid import UUID

from payments_service.flows.history import Step, steps_of
from payments_service.store import lookup, payments, reviews
from payments_service.store.db import Database
from payments_service.store.tables import (
    Outbox,
    Payment,
    PaymentAttempt,
    PaymentOrder,
    PaymentReview,
    PaymentWebhook,
    Refund,
)

SHORTEST_REQUEST_ID = 16
"""A shorter actor may be a plain word, such as an operator's name, and stand in lines of other payments."""


@dataclass(frozen=True)
class Dossier:
    payment: Payment
    orders: list[PaymentOrder]
    attempts: list[PaymentAttempt]
    refunds: list[Refund]
    reviews: list[PaymentReview]
    webhooks: list[PaymentWebhook]
    told: list[Outbox]
    history: list[Step]

    @property
    def ids(self) -> frozenset[str]:
        """By what the log may name it: ids of ours and of the gateway, of its events and of its requests."""
        found = [str(self.payment.id), self.payment.order_id, self.payment.transaction_id]
        for order in self.orders:
            found += [order.wire_id, order.gateway_order_id]
        found += [attempt.transaction_id for attempt in self.attempts]
        for refund in self.refunds:
            found += [str(refund.id), refund.refund_id, refund.gateway_refund_id]
        found += [webhook.event_id for webhook in self.webhooks]
        found += [event.event_id for event in self.told]
        found += [step.actor for step in self.history if len(step.actor) >= SHORTEST_REQUEST_ID]
        return frozenset(filter(None, found))


def find(db: Database, any_id: str) -> list[Payment]:
    """The payments behind an id of any kind, oldest first."""
    with db.read() as session:
        return lookup.behind(session, any_id)


def dossier(db: Database, payment_id: UUID) -> Dossier:
    history = [step for step in steps_of(db, payment_id) if step.kind != "webhook"]
    with db.read() as session:
        return Dossier(
            payment=payments.by_id(session, payment_id),
            orders=lookup.orders(session, payment_id),
            attempts=payments.attempts(session, payment_id),
            refunds=lookup.refunds(session, payment_id),
            reviews=reviews.of_payment(session, payment_id),
            webhooks=lookup.webhooks(session, payment_id),
            told=lookup.told(session, payment_id),
            history=history,
        )
