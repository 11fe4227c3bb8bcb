"""What news of an order claims in the light of what its attempts add up to. Only reads."""

from typing import Any

from payments_service.domain.money import Money
from payments_service.domain.news import PaymentSnapshot
from payments_service.domain.payment import Payment, Standing
from payments_service.domain.states import CAPTURED, AttemptStatus, PaymentStatus

ENDED = frozenset({PaymentStatus.FAILED, PaymentStatus.EXPIRED})


def pays(standing: Standing, ordered: Money) -> bool:
    """Whether the gateway's word "paid" can be true: it holds, or held, what it speaks of.

    Without any attempt its word stands alone. Less than the order is an offer, unless there is cash, too.
    """
    if not standing.ever_captured:
        return not (standing.held or standing.has_cash)
    return not standing.has_cash or sum(a.amount for a in standing.ever_captured) >= ordered.minor


def both_sums(standing: Standing, payment: Payment) -> dict[str, Any]:
    """Evidence: what was ordered, and what each attempt took, whether or not it went back since."""
    told = [a for a in standing.attempts if a.status in {*CAPTURED, AttemptStatus.COLLECTED}]
    return {
        "orderedPaise": payment.amount,
        "payments": sorted(
            ({"paymentId": a.transaction_id, "amountPaise": a.amount} for a in told),
            key=lambda one: str(one["paymentId"]),
        ),
    }


def claimed_status(
    payment: Payment, snapshot: PaymentSnapshot, standing: Standing
) -> tuple[PaymentStatus | None, bool]:
    """What the news says the payment is; and whether a hold is proven to have been released.

    None for an order word that is not known, as long as no attempt holds money.
    """
    claimed = snapshot.status
    if claimed is PaymentStatus.COMPLETED and not pays(standing, payment.money):
        claimed = PaymentStatus.PENDING
    if claimed is not PaymentStatus.COMPLETED and standing.held and not standing.captured:
        return PaymentStatus.AUTHORIZED, False
    if claimed is PaymentStatus.AUTHORIZED and standing.attempts and not standing.held:
        claimed = PaymentStatus.PENDING  # told late: what was held was let go since
    was_held = payment.status == PaymentStatus.AUTHORIZED
    if was_held and standing.is_released and claimed in (PaymentStatus.PENDING, *ENDED):
        return PaymentStatus.FAILED, True
    return claimed, standing.is_released


def is_stale_word(payment: Payment, claimed: PaymentStatus | None, standing: Standing) -> bool:
    """Money was captured, and the order's word does not say paid."""
    is_paid = PaymentStatus.COMPLETED in (claimed, payment.status)
    return bool(standing.captured) and not is_paid


def amounts_differ(payment: Payment, snapshot: PaymentSnapshot) -> bool:
    """The order's amount must be ours; and another sum of an attempt counts only if the gateway, asked, says
    that the order is paid all the same (offers, fees)."""
    if snapshot.amount != payment.money:
        return True
    is_paid_for_sure = snapshot.fetched and snapshot.status is PaymentStatus.COMPLETED
    return not is_paid_for_sure and any(
        attempt.status is AttemptStatus.SUCCEEDED and attempt.amount != payment.money
        for attempt in snapshot.attempts
    )
