"""A payment with all that its row has, personal data too: its first writing, what is open for its reference,
and a look that decides nothing.

Each is one turn on the wire.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from payments_service.domain import payment
from payments_service.domain.clock import utc_now
from payments_service.domain.payment import PaymentRecord, Reference
from payments_service.domain.states import OPEN
from payments_service.store.db import Database
from payments_service.store.payments import REFERENCE, uuid_or_none
from payments_service.store.record import (
    CHILDREN,
    HISTORY,
    ORDERS,
    REFERENCES,
    chained,
    children_of,
    hand_out,
)
from payments_service.store.seal import ChainKeys
from payments_service.store.wire import COMMIT, Statement, Table, Wire, wire_in


@dataclass
class WholePayment(payment.Payment):
    customer_name: str
    customer_email: str
    customer_phone: str
    description: str | None
    return_url: str


PAYMENTS = Table("payments", WholePayment)
BY_OUR_ID = "SELECT id FROM payments WHERE gateway = %s AND id = %s"
BY_ANY_ID = (
    "SELECT id FROM payments WHERE gateway = %s AND order_id = %s"
    " UNION SELECT payments.id FROM payments JOIN payment_orders ON payment_orders.payment_id = payments.id"
    " WHERE gateway = %s AND gateway_order_id = %s"
    " UNION SELECT payments.id FROM payments JOIN payment_orders ON payment_orders.payment_id = payments.id"
    " WHERE gateway = %s AND wire_id = %s"
    " UNION SELECT payments.id FROM payments JOIN payment_orders ON payment_orders.payment_id = payments.id"
    " JOIN payment_attempts ON payment_attempts.order_id = payment_orders.id"
    " WHERE gateway = %s AND payment_attempts.transaction_id = %s"
)


@dataclass
class Whole:
    """A payment as it is stored, and its row once more, with what no decision asks for."""

    record: PaymentRecord
    row: WholePayment


def writing_first(wire: Wire, record: PaymentRecord, keys: ChainKeys) -> list[Statement]:
    """The payment, its order and its history, before any gateway hears of it."""
    history = [chained(record, entry, keys) for entry in record.entries]
    return [
        wire.insert(PAYMENTS, [record.payment]),
        wire.insert(ORDERS, record.orders),
        wire.insert(HISTORY, history),
    ]


def lock_with_what_is_open(session: Session, reference: str) -> tuple[Reference, list[WholePayment]]:
    """The row of a trusted reference, made where it is missing, locked until the transaction ends; and its
    payments, at any gateway, that are open or wait for a person, newest first: read once it is locked."""
    wire = wire_in(session)
    make = (
        "INSERT INTO payment_references (reference, created_at) VALUES (%s, %s)"
        " ON CONFLICT (reference) DO NOTHING"
    )
    lock = f"SELECT {REFERENCES.selected} FROM payment_references WHERE reference = %s{wire.lock}"
    begun = (
        f"SELECT {PAYMENTS.selected} FROM payments WHERE reference = %s AND price_verified"
        f" AND (review IS NOT NULL OR {wire.among('status')}) ORDER BY created_at DESC, id DESC"
    )
    _, locked, found = wire.run(
        [
            Statement(make, (reference, wire.value(utc_now()))),
            Statement(lock, (reference,)),
            Statement(begun, (reference, wire.array(status.value for status in OPEN))),
        ]
    )
    [row] = wire.read(REFERENCES, locked)
    return row, wire.read(PAYMENTS, found)


def pointing(wire: Wire, reference: str, payment_id: UUID) -> Statement:
    """A reference's row tells which payment was opened for it last."""
    sql = "UPDATE payment_references SET payment_id = %s WHERE reference = %s"
    return Statement(sql, (wire.value(payment_id), reference))


def find(db: Database, gateway: str, reference: str) -> Whole | None:
    """A payment by our id, its order id or any id that the gateway has for it.

    Where ids of several payments are alike, that of the browser's own order goes first.
    """
    if not REFERENCE.fullmatch(reference):
        return None
    with db.wire(reads=True) as (wire, begin):
        ids, values = _ids(wire, gateway, reference)
        payments = Statement(f"SELECT {PAYMENTS.selected} FROM payments WHERE id IN ({ids})", values)
        children = children_of(f"IN ({ids})", values)
        found = wire.run([*begin, payments, *children, COMMIT])[len(begin) : -1]
        rows = wire.read(PAYMENTS, found[0])
        read = [wire.read(table, rows) for table, rows in zip(CHILDREN, found[1:], strict=True)]
    if not rows:
        return None
    row = next((row for row in rows if row.order_id == reference), rows[0])
    records = {one.id: PaymentRecord(one, [], [], [], []) for one in rows}
    hand_out(records, *read)
    return Whole(records[row.id], row)


def _ids(wire: Wire, gateway: str, reference: str) -> tuple[str, tuple[object, ...]]:
    our_id = uuid_or_none(reference)
    if our_id is not None:
        return BY_OUR_ID, (gateway, wire.value(our_id))
    return BY_ANY_ID, (gateway, reference) * 4
