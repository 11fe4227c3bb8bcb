"""What the attempts of a payment add up to, and what news of its order claims in their light. Only reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from payments_service.domain.money import Money
from payments_service.domain.news import PaymentSnapshot
from payments_service.domain.states import CAPTURED, HOLDS_MONEY, AttemptStatus, PaymentStatus

if TYPE_CHECKING:
    from payments_service.domain.payment import Attempt, Payment

ENDED = frozenset({PaymentStatus.FAILED, PaymentStatus.EXPIRED})


@dataclass(frozen=True)
class Standing:
    """The attempts of one payment. `returned` are those of which all went back, by status or by refunds."""

    attempts: Sequence["Attempt"]
    returned: frozenset[str]

    def of(self, *statuses: AttemptStatus) -> list["Attempt"]:
        """Attempts in one of these states whose money has not gone back."""
        return [a for a in self.attempts if a.status in statuses and a.transaction_id not in self.returned]

    @property
    def held(self) -> list["Attempt"]:
        """Money that the bank holds and that is not captured."""
        return self.of(AttemptStatus.AUTHORIZED)

    @property
    def captured(self) -> list["Attempt"]:
        """Money that the gateway holds for the merchant."""
        return self.of(AttemptStatus.SUCCEEDED)

    @property
    def collected(self) -> list["Attempt"]:
        """Cash that the gateway says was collected, and that it does not hold."""
        return self.of(AttemptStatus.COLLECTED)

    @property
    def has_cash(self) -> bool:
        return bool(self.of(AttemptStatus.PLACED, AttemptStatus.COLLECTED))

    @property
    def holds_money(self) -> bool:
        """While this is so, the payment neither fails nor expires."""
        return bool(self.of(*HOLDS_MONEY))

    @property
    def stops_our_clock(self) -> bool:
        """Money, or cash that is still to come: only the gateway or a person says how it ends."""
        return self.holds_money or self.has_cash

    @property
    def ever_captured(self) -> list["Attempt"]:
        """Also what has gone back since."""
        return [a for a in self.attempts if a.status in CAPTURED]

    @property
    def is_released(self) -> bool:
        """A hold that was let go uncaptured, and nothing else holds or took money."""
        return any(a.status == AttemptStatus.VOIDED for a in self.attempts) and not any(
            a.status in HOLDS_MONEY | CAPTURED for a in self.attempts
        )

    @property
    def deciding(self) -> "Attempt | None":
        """The attempt that paid, else the one that holds money, else the cash that was promised."""
        order = (
            AttemptStatus.SUCCEEDED,
            AttemptStatus.REFUNDED,
            AttemptStatus.AUTHORIZED,
            AttemptStatus.COLLECTED,
            AttemptStatus.PLACED,
        )
        return next((a for status in order for a in self.attempts if a.status == status), None)

    def pays(self, ordered: Money) -> bool:
        """Whether the gateway's word "paid" can be true: it holds, or held, what it speaks of.

        Without any attempt its word stands alone. Less than the order is an offer, unless there is cash, too.
        """
        if not self.ever_captured:
            return not (self.held or self.has_cash)
        return not self.has_cash or sum(a.amount for a in self.ever_captured) >= ordered.minor

    def evidence(self, payment: "Payment") -> dict[str, Any]:
        """Both sums: what was ordered, and what each attempt took, whether or not it went back since."""
        told = [a for a in self.attempts if a.status in {*CAPTURED, AttemptStatus.COLLECTED}]
        return {
            "orderedPaise": payment.amount,
            "payments": sorted(
                ({"paymentId": a.transaction_id, "amountPaise": a.amount} for a in told),
                key=lambda one: str(one["paymentId"]),
            ),
        }


def claimed_status(
    payment: "Payment", snapshot: PaymentSnapshot, standing: Standing
) -> tuple[PaymentStatus | None, bool]:
    """What the news says the payment is; and whether a hold is proven to have been released.

    None for an order word that is not known, as long as no attempt holds money.
    """
    claimed = snapshot.status
    if claimed is PaymentStatus.COMPLETED and not standing.pays(payment.money):
        claimed = PaymentStatus.PENDING
    if claimed is not PaymentStatus.COMPLETED and standing.held and not standing.captured:
        return PaymentStatus.AUTHORIZED, False
    was_held = payment.status == PaymentStatus.AUTHORIZED
    if was_held and standing.is_released and claimed in (PaymentStatus.PENDING, *ENDED):
        return PaymentStatus.FAILED, True
    return claimed, standing.is_released


def is_stale_word(payment: "Payment", claimed: PaymentStatus | None, standing: Standing) -> bool:
    """Money was captured, and the order's word does not say paid."""
    is_paid = PaymentStatus.COMPLETED in (claimed, payment.status)
    return bool(standing.captured) and not is_paid


def amounts_differ(payment: "Payment", snapshot: PaymentSnapshot) -> bool:
    """The order's amount must be ours; and another sum of an attempt counts only if the gateway, asked, says
    that the order is paid all the same (offers, fees)."""
    if snapshot.amount != payment.money:
        return True
    is_paid_for_sure = snapshot.fetched and snapshot.status is PaymentStatus.COMPLETED
    return not is_paid_for_sure and any(
        attempt.status is AttemptStatus.SUCCEEDED and attempt.amount != payment.money
        for attempt in snapshot.attempts
    )
