"""What keeps a payer from a payment of a trusted reference: money that came, and another order."""

from uuid import UUID

from payments_service.domain import payment as domain
from payments_service.domain.errors import Conflict
from payments_service.domain.states import PaymentStatus
from payments_service.store import payments, references
from payments_service.store.record import load_one
from payments_service.store.tables import Payment
from payments_service.store.transaction import Transaction


def holds_money(session: Transaction, payment_id: UUID) -> bool:
    """Also while the word of its order lags behind, and its status says nothing of it yet."""
    return load_one(session, payment_id, lock=False).record.standing.holds_money


def refuse_beside_money(session: Transaction, payment: Payment | domain.Payment) -> None:
    """Raises Conflict where another payment of its reference is paid (`reference_paid`), or money has come to
    one, or a person looks at it (`reference_open`)."""
    if not (payment.price_verified and payment.reference):
        return
    if paid_by := payments.reference_paid_by(session, payment):
        raise Conflict("This reference is paid", code="reference_paid", id=str(paid_by))
    for other in payments.open_for_reference(session, payment.reference):
        is_decided_on = other.status == PaymentStatus.AUTHORIZED or other.review
        if other.id != payment.id and (is_decided_on or holds_money(session, other.id)):
            raise Conflict("This reference is being paid", code="reference_open", id=str(other.id))


def refuse_beside_another(session: Transaction, payment: Payment | domain.Payment) -> None:
    """The same, and where the payer went on to another payment of its reference, which is open."""
    refuse_beside_money(session, payment)
    if not (payment.price_verified and payment.reference):
        return
    begun_last = references.current_payment(session, payment.reference)
    if begun_last in {one.id for one in references.left_open(session, payment.reference, payment.id)}:
        raise elsewhere(begun_last)


def elsewhere(payment_id: UUID | None) -> Conflict:
    return Conflict("This reference goes on at another gateway", code="reference_open", id=str(payment_id))
