"""Disputes: opened by the payer's bank, contested or accepted by the merchant, decided by the bank.

Sources: Razorpay docs api/disputes/entity, accept, contest, webhooks/disputes.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from gateway_simulator.base import Json
from gateway_simulator.razorpay.books import Books
from gateway_simulator.razorpay.events import Events
from gateway_simulator.razorpay.records import Payment
from gateway_simulator.razorpay.settlements import Settlements

RESPOND_WITHIN_SECONDS = 7 * 24 * 3600
DOCUMENTS = (
    "shipping_proof",
    "billing_proof",
    "cancellation_proof",
    "customer_communication",
    "proof_of_service",
    "explanation_letter",
    "refund_confirmation",
    "access_activity_log",
    "refund_cancellation_policy",
    "term_and_conditions",
    "others",
)
# how a dispute may go on, as control plane and webhooks name it → its status then
OUTCOMES: dict[str, Literal["open", "under_review", "won", "lost", "closed"]] = {
    "under_review": "under_review",
    "action_required": "open",
    "won": "won",
    "lost": "lost",
    "closed": "closed",
}


@dataclass
class Dispute:
    id: str
    payment_id: str
    amount: int
    currency: str
    created_at: int
    respond_by: int
    amount_deducted: int = 0
    status: Literal["open", "under_review", "won", "lost", "closed"] = "open"
    # what a contest said: amount, summary, documents, submitted_at
    evidence: Json = field(default_factory=dict)

    @property
    def undecided(self) -> bool:
        return self.status in ("open", "under_review")

    def entity(self) -> Json:
        nothing = {"amount": self.amount, "summary": None, **dict.fromkeys(DOCUMENTS), "submitted_at": None}
        return {
            "id": self.id,
            "entity": "dispute",
            "payment_id": self.payment_id,
            "amount": self.amount,
            "currency": self.currency,
            "amount_deducted": self.amount_deducted,
            "reason_code": "goods_or_services_not_received_or_partially_received",
            "respond_by": self.respond_by,
            "status": self.status,
            "phase": "chargeback",
            "created_at": self.created_at,
            "evidence": {**nothing, **self.evidence},
        }


class Disputes:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, events: Events, settlements: Settlements) -> None:
        self._books = books
        self._events = events
        self._settlements = settlements
        self.all: dict[str, Dispute] = {}
        self._by_order: defaultdict[str, list[Dispute]] = defaultdict(list)

    def of_order(self, order_id: str) -> list[Dispute]:
        return self._by_order.get(order_id, [])

    def open(self, payment: Payment, amount: int) -> Dispute:
        now = self._books.now()
        dispute = Dispute(
            self._books.new_id("disp"),
            payment.id,
            amount,
            payment.currency,
            now,
            now + RESPOND_WITHIN_SECONDS,
        )
        self.all[dispute.id] = dispute
        self._by_order[payment.order_id].append(dispute)
        self._books.world.at(dispute.respond_by, partial(self.nobody_answered, dispute.id))
        self.tell("payment.dispute.created", dispute)
        return dispute

    def nobody_answered(self, dispute_id: str) -> None:
        """Assumed: a dispute without a contest is lost when the time to answer is over."""
        if self.all[dispute_id].status == "open":
            self.go_on(self.all[dispute_id], "lost")

    def go_on(self, dispute: Dispute, outcome: str) -> None:
        """`outcome` is a key of OUTCOMES; a decision is final, and also closes the dispute."""
        dispute.status = OUTCOMES[outcome]
        if outcome == "lost":
            dispute.amount_deducted = dispute.amount
            payment = self._books.payments[dispute.payment_id]
            self._settlements.book_lost_dispute(payment, dispute.id, dispute.amount)
        self.tell(f"payment.dispute.{outcome}", dispute)
        if outcome in ("won", "lost"):
            self.tell("payment.dispute.closed", dispute)

    def contest(self, dispute: Dispute, evidence: Json, *, submit: bool) -> None:
        dispute.evidence |= evidence
        if submit:
            dispute.evidence["submitted_at"] = self._books.now()
            self.go_on(dispute, "under_review")

    def tell(self, event: str, dispute: Dispute) -> None:
        payment = self._books.payments[dispute.payment_id]
        entity = dispute.entity()
        if event == "payment.dispute.closed":
            # The documented sample of this event has status "closed"; the API keeps saying how it ended.
            entity["status"] = "closed"
        self._events.tell(event, payment.order_id, {"payment": payment.entity(), "dispute": entity})
