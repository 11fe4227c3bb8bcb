"""A payment's first rows, written before any gateway hears of it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from payments_service.domain import payment
from payments_service.domain.payment import PaymentRecord
from payments_service.store.record import HISTORY, ORDERS, chained
from payments_service.store.wire import COMMIT, Table, wire_in


@dataclass
class NewPayment(payment.Payment):
    """The row with what only its first writer knows: who pays, what for, and where to go afterwards."""

    customer_name: str
    customer_email: str
    customer_phone: str
    description: str | None
    return_url: str


PAYMENTS = Table("payments", NewPayment)


def write(session: Session, record: PaymentRecord, *, commits: bool) -> None:
    """In one turn: the payment, its order and its history; with `commits` the transaction ends in it."""
    wire = wire_in(session)
    keys = session.info["chain_keys"]
    history = [chained(record, entry, keys) for entry in record.entries]
    statements = [
        wire.insert(PAYMENTS, [record.payment]),
        wire.insert(ORDERS, record.orders),
        wire.insert(HISTORY, history),
    ]
    wire.run([*statements, COMMIT] if commits else statements)
