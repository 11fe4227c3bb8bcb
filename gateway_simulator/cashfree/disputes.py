"""Disputes: how they are written down, and how they go on.

Sources: OpenAPI 2025-01-01 and cashfree_pg 6.0.1 (DisputesEntity; where the example has numbers, the SDK
insists on texts); docs dispute-webhooks. Made up: that silence loses, that a review begins a day after the
documents, the word STATUS_UPDATE (TYPE_UPDATE is recorded), and how a resolved time with nine digits ends.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from gateway_simulator.base import Json
from gateway_simulator.cashfree.books import Books
from gateway_simulator.cashfree.records import Order, Payment
from gateway_simulator.cashfree.telling import Teller
from gateway_simulator.cashfree.wire import IST, Rupees, ist, ist_without_zone

RESPOND_WITHIN_DAYS = 3
REVIEW_AFTER_SECONDS = 24 * 3600
NEVER = "9999-09-09T00:00:00"
STAGES = {
    "won": "MERCHANT_WON",
    "lost": "MERCHANT_LOST",
    "accepted": "MERCHANT_ACCEPTED",
    "docs_received": "DOCS_RECEIVED",
    "under_review": "UNDER_REVIEW",
    "insufficient_evidence": "INSUFFICIENT_EVIDENCE",
}
KINDS = {
    kind.lower(): kind for kind in ("DISPUTE", "CHARGEBACK", "RETRIEVAL", "PRE_ARBITRATION", "ARBITRATION")
}
"""What the control plane may say of a dispute: its next stage, or into what it turns."""
FINAL = ("MERCHANT_WON", "MERCHANT_LOST", "MERCHANT_ACCEPTED")
UNANSWERED = ("CREATED", "INSUFFICIENT_EVIDENCE")
EVIDENCE = {
    "document_type": "Delivery/Service Proof",
    "document_description": "Proof that the cardholder/customer received the goods or services.",
}


@dataclass
class Dispute:
    id: str
    payment: Payment
    amount: int
    created_at: int
    respond_by: float
    kind: str = "DISPUTE"
    stage: str = "CREATED"
    updated_at: int = 0
    resolved_at: int | None = None
    update: str | None = None
    evidence: list[Json] = field(default_factory=list)

    @property
    def status(self) -> str:
        return f"{self.kind}_{self.stage}"

    @property
    def is_open(self) -> bool:
        return self.stage not in FINAL

    def entity(self) -> Json:
        def time(moment: float) -> str:
            return ist_without_zone(moment, "T")

        return {
            "dispute_id": int(self.id),
            "dispute_type": self.kind,
            "reason_code": "1402",
            "reason_description": "Duplicate Processing",
            "dispute_amount": Rupees(self.amount),
            "dispute_amount_currency": self.payment.order.currency,
            "created_at": time(self.created_at),
            "respond_by": time(self.respond_by),
            "updated_at": time(self.updated_at or self.created_at),
            "resolved_at": time(self.resolved_at) if self.resolved_at else NEVER,
            "dispute_status": self.status,
            "cf_dispute_remarks": "Dispute is created, please take action",
            "preferred_evidence": [EVIDENCE],
            "dispute_evidence": self.evidence,
            "order_details": {**self._order_details(), "cf_payment_id": self.payment.id},
            "customer_details": self.payment.order.disputes_customer(),
        }

    def webhook(self) -> Json:
        told = {
            "dispute_id": self.id,
            "dispute_type": self.kind,
            "reason_code": "1402",
            "reason_description": "Duplicate Processing",
            "dispute_amount": Rupees(self.amount),
            "created_at": ist(self.created_at),
            "updated_at": ist(self.updated_at or self.created_at),
            "respond_by": ist(self.respond_by),
            "dispute_status": self.status,
            "cf_dispute_remarks": "Dispute is created, please take action",
            "dispute_action_on": "MERCHANT" if self.stage in UNANSWERED else "CASHFREE",
        }
        if self.update:
            told["dispute_update"] = self.update
        if self.resolved_at:
            told["resolved_at"] = f"{ist_without_zone(self.resolved_at, 'T')}.000000000+05:30"
        order_details = {**self._order_details(), "cf_payment_id": int(self.payment.id)}
        customer = self.payment.order.disputes_customer()
        return {"dispute": told, "order_details": order_details, "customer_details": customer}

    def _order_details(self) -> Json:
        order = self.payment.order
        return {
            "order_id": order.id,
            "order_currency": order.currency,
            "order_amount": Rupees(order.amount),
            "payment_currency": order.currency,
            "payment_amount": Rupees(self.payment.amount),
        }


class Disputes:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, teller: Teller, book: Callable[[Dispute], None]) -> None:
        """`book` enters one in the merchant's account, which stands above and knows what it holds."""
        self._books = books
        self._teller = teller
        self._book = book
        self._by_id: dict[str, Dispute] = {}
        self._by_order: defaultdict[str, list[Dispute]] = defaultdict(list)

    def get(self, dispute_id: str) -> Dispute | None:
        return self._by_id.get(dispute_id)

    def of(self, order: Order) -> list[Dispute]:
        return self._by_order.get(order.id, [])

    def open(self, payment: Payment, amount: int, kind: str = "DISPUTE") -> None:
        now = self._books.now()
        dispute = Dispute(self._books.new_number(9), payment, amount, now, _end_of_day(now), kind)
        self._by_id[dispute.id] = dispute
        self._by_order[payment.order.id].append(dispute)
        self._book(dispute)
        self._await_answer(dispute)
        self.tell("DISPUTE_CREATED", dispute)

    def go_on(self, dispute: Dispute, outcome: str) -> None:
        """A further stage, or another kind, which begins anew."""
        dispute.updated_at = self._books.now()
        if outcome in KINDS:
            dispute.kind, dispute.stage, dispute.update = KINDS[outcome], "CREATED", "TYPE_UPDATE"
            dispute.respond_by = _end_of_day(self._books.now())
            self._await_answer(dispute)
        else:
            dispute.stage, dispute.update = STAGES[outcome], "STATUS_UPDATE"
        if dispute.is_open:
            self.tell("DISPUTE_UPDATED", dispute)
            return
        dispute.resolved_at = dispute.updated_at
        if dispute.stage == "MERCHANT_WON":
            self._book(dispute)
        self.tell("DISPUTE_CLOSED", dispute)

    def take_evidence(self, dispute: Dispute, document_name: str, document_type: str) -> None:
        number = int(self._books.new_number(5))
        dispute.evidence.append(
            {"document_id": number, "document_name": document_name, "document_type": document_type}
        )
        self.go_on(dispute, "docs_received")
        begins = self._books.world.now() + REVIEW_AFTER_SECONDS
        self._books.world.at(begins, partial(self.begin_review, dispute.id))

    def lose_unanswered(self, dispute_id: str) -> None:
        dispute = self._by_id[dispute_id]
        if dispute.stage in UNANSWERED and dispute.respond_by <= self._books.world.now():
            self.go_on(dispute, "lost")

    def begin_review(self, dispute_id: str) -> None:
        if self._by_id[dispute_id].stage == "DOCS_RECEIVED":
            self.go_on(self._by_id[dispute_id], "under_review")

    def _await_answer(self, dispute: Dispute) -> None:
        self._books.world.at(dispute.respond_by, partial(self.lose_unanswered, dispute.id))

    def tell(self, event: str, dispute: Dispute) -> None:
        self._teller.tell(event, dispute.payment.order, dispute.webhook())


def _end_of_day(now: float) -> float:
    day = datetime.fromtimestamp(now, IST) + timedelta(days=RESPOND_WITHIN_DAYS)
    return day.replace(hour=23, minute=59, second=59, microsecond=0).timestamp()
