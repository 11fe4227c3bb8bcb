"""Load payments with all that a decision may ask, locked; write what was decided, one statement a table."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from uuid6 import uuid7

from payments_service.domain.clock import utc_now
from payments_service.domain.errors import Outdated
from payments_service.domain.news import PaymentSnapshot, RefundSnapshot, WebhookEvent
from payments_service.domain.payment import (
    Attempt,
    Elsewhere,
    Entry,
    Order,
    Payment,
    PaymentRecord,
    Policy,
    Reference,
    Refund,
    Review,
)
from payments_service.domain.states import DUE_BY_NEWS, EntryKind, PaymentStatus
from payments_service.store import alerts, outbox, seal, tables
from payments_service.store.db import OUTDATED
from payments_service.store.seal import ChainKeys
from payments_service.store.transaction import Transaction
from payments_service.store.wire import COMMIT, Row, Statement, Table, Wire, wire_in

FIXED = (
    *("gateway", "provider", "mode", "user_id", "amount", "currency"),
    *("reference", "price_verified", "metadata", "closed_at"),
)
PAYMENTS = Table("payments", Payment, fixed=FIXED)
ORDERS = Table("payment_orders", Order)
ATTEMPTS = Table("payment_attempts", Attempt)
REFUNDS = Table("refunds", Refund)
REVIEWS = Table("payment_reviews", Review)
REFERENCES = Table("payment_references", Reference, key="reference")
MIRRORED = (
    tables.Payment,
    tables.PaymentOrder,
    tables.PaymentAttempt,
    tables.Refund,
    tables.PaymentReview,
    tables.PaymentReference,
)
"""What a session may have read of the same rows is older than what is written here."""
CHILDREN = (ORDERS, ATTEMPTS, REFUNDS, REVIEWS)


Result = TypeVar("Result")


class BrokenInvariant(Exception):
    """A decision of ours would break a rule of the house; nothing of it is written."""


@dataclass(frozen=True)
class HistoryRow:
    id: UUID
    payment_id: UUID
    sequence: int
    kind: str
    from_status: str | None
    to_status: str | None
    source: str
    actor: str
    reason: str
    evidence: dict[str, Any]
    created_at: datetime
    mac: str | None
    mac_key: str | None


HISTORY = Table("payment_events", HistoryRow)


@dataclass(frozen=True)
class Names:
    """What the news names of others: payment ids and refund ids of a gateway; disputes, whose past counts."""

    attempts: frozenset[str] = frozenset()
    refunds: frozenset[str] = frozenset()
    disputes: bool = False

    @classmethod
    def of(cls, *news: PaymentSnapshot | RefundSnapshot | WebhookEvent | None) -> "Names":
        attempts: set[str] = set()
        refunds: set[str] = set()
        told: list[RefundSnapshot] = []
        disputes = False
        for one in news:
            if isinstance(one, WebhookEvent):
                more = cls.of(one.snapshot, one.refund)
                attempts |= more.attempts
                refunds |= more.refunds
                disputes |= one.dispute is not None
            elif isinstance(one, PaymentSnapshot):
                attempts |= {attempt.transaction_id for attempt in one.attempts}
                told += one.refunds or ()
            elif one is not None:
                told.append(one)
        refunds |= {refund.gateway_refund_id for refund in told}
        return cls(frozenset(attempts), frozenset(refunds), disputes)


class Records:
    """Payments of one transaction by their id, and how their rows were when they were read."""

    def __init__(self, records: Iterable[PaymentRecord]) -> None:
        self._records = {record.payment.id: record for record in records}
        self._loaded = {id(row): copy(row) for record in self._records.values() for row in _rows(record)}
        for record in self._records.values():
            if record.reference is not None:
                self._loaded.setdefault(id(record.reference), copy(record.reference))

    def __getitem__(self, payment_id: UUID) -> PaymentRecord:
        return self._records[payment_id]

    def __contains__(self, payment_id: UUID) -> bool:
        return payment_id in self._records

    def __iter__(self) -> Iterator[PaymentRecord]:
        return iter(self._records.values())

    def before(self, row: Any) -> Any:
        return self._loaded.get(id(row))


# ── load ────────────────────────────────────────────────────────────────────────────────────────────


NOTHING_NAMED = Names()


def retried(change: Callable[[], Result]) -> Result:
    """Once more, from the start, when another process wrote first."""
    try:
        return change()
    except Outdated:
        return change()


def load_one(
    session: Transaction,
    payment_id: UUID,
    names: Names = NOTHING_NAMED,
    *,
    lock: bool = True,
    first: Sequence[Statement] = (),
    last: Sequence[Statement] = (),
) -> "Changes":
    """One payment for a decision, its row locked until the transaction ends; before it, its reference.

    `first` and `last` are further statements of the same round trip, before and after all else; the rows that
    the last ones find are in `Changes.told`.
    """
    wire = wire_in(session)
    told: list[list[Row]] = []
    records = load(wire, [payment_id], names, session.policy, locks=lock, first=first, last=last, told=told)
    return Changes(session, records, told)


def load(
    wire: Wire,
    payment_ids: Collection[UUID],
    names: Names,
    policy: Policy,
    *,
    locks: bool = True,
    skips: bool = False,
    first: Sequence[Statement] = (),
    last: Sequence[Statement] = (),
    told: list[list[Row]] | None = None,
) -> Records:
    """In one turn: references, then payments (ascending), locked; then, in later statements, their children.

    Read beside the lock, children would be older than the lock. With `skips`, payments whose rows another
    transaction holds are left out.
    """
    chosen = _chosen(wire, payment_ids)
    lock = wire.skip_locked if skips else wire.lock if locks else ""
    named = _named(wire, chosen, names)
    made = [*first, *([_making_references(wire, chosen)] if locks and not skips else [])]
    statements = [*made, *_locking(chosen, lock), *children_of(chosen.sql, (chosen.value,)), *named]
    found = wire.run([*statements, *last])[len(made) :]
    if told is not None:
        told += found[len(found) - len(last) :]
    references = wire.read(REFERENCES, found[0])
    payments = wire.read(PAYMENTS, found[1])
    if skips:
        known = {reference.reference for reference in references}
        payments = [one for one in payments if not one.price_verified or one.reference in {None, *known}]
    children = [wire.read(table, rows) for table, rows in zip(CHILDREN, found[2:6], strict=True)]
    elsewhere = Elsewhere(references={reference.reference: reference for reference in references})
    if named:
        for provider, transaction_id, order_id, payment_id in found[6]:
            elsewhere.attempts[provider, transaction_id] = (_uuid(order_id), _uuid(payment_id))
        for provider, refund_id, payment_id in found[7]:
            elsewhere.refunds[provider, refund_id] = _uuid(payment_id)
    records = {
        payment.id: PaymentRecord(payment, [], [], [], [], policy=policy, elsewhere=elsewhere)
        for payment in payments
    }
    hand_out(records, *children)
    if names.disputes:
        _load_disputes(wire, chosen, records)
    return Records(records.values())


def hand_out(
    records: dict[UUID, PaymentRecord],
    orders: list[Order],
    attempts: list[Attempt],
    refunds: list[Refund],
    reviews: list[Review],
) -> None:
    """Each child to its payment, in the order in which they were read."""
    by_order = {order.id: records.get(order.payment_id) for order in orders}
    for order in orders:
        if (record := records.get(order.payment_id)) is not None:
            record.orders.append(order)
    for attempt in attempts:
        if (record := by_order.get(attempt.order_id)) is not None:
            record.attempts.append(attempt)
    for refund in refunds:
        if (record := records.get(refund.payment_id)) is not None:
            record.refunds.append(refund)
    for review in reviews:
        if (record := records.get(review.payment_id)) is not None:
            record.reviews.append(review)


class Chosen(NamedTuple):
    """Which payments: `id` before `sql`, and the value of its parameter."""

    sql: str
    value: Any


def _chosen(wire: Wire, payment_ids: Collection[UUID]) -> Chosen:
    """One by equality: of a list PostgreSQL expects ten, for which it reads a small table whole."""
    if len(payment_ids) == 1:
        [payment_id] = payment_ids
        return Chosen("= %s", wire.value(payment_id))
    return Chosen(wire.among(""), wire.array(sorted(payment_ids)))


def _locking(chosen: Chosen, lock: str) -> list[Statement]:
    trusted = f"SELECT reference FROM payments WHERE id {chosen.sql} AND price_verified"
    references = (
        f"SELECT {REFERENCES.selected} FROM payment_references WHERE reference IN ({trusted})"
        f" ORDER BY reference{lock}"
    )
    payments = f"SELECT {PAYMENTS.selected} FROM payments WHERE id {chosen.sql} ORDER BY id{lock}"
    return [Statement(references, (chosen.value,)), Statement(payments, (chosen.value,))]


def children_of(chosen: str, values: Sequence[Any]) -> list[Statement]:
    """Of payments whose id is `chosen`, such as `= ANY(%s)`; for CHILDREN, one statement each."""
    attempts = (
        f"SELECT {ATTEMPTS.selected} FROM payment_attempts"
        " JOIN payment_orders ON payment_orders.id = payment_attempts.order_id"
        f" WHERE payment_orders.payment_id {chosen} ORDER BY payment_attempts.created_at, payment_attempts.id"
    )
    return [
        Statement(f"SELECT {ORDERS.selected} FROM payment_orders WHERE payment_id {chosen}", values),
        Statement(attempts, values),
        Statement(
            f"SELECT {REFUNDS.selected} FROM refunds WHERE payment_id {chosen} ORDER BY created_at, id",
            values,
        ),
        Statement(
            f"SELECT {REVIEWS.selected} FROM payment_reviews WHERE payment_id {chosen}"
            " ORDER BY opened_at, id",
            values,
        ),
    ]


def _making_references(wire: Wire, chosen: Chosen) -> Statement:
    """A trusted reference's row where it is missing: before the payments are locked, never after."""
    trusted = f"SELECT reference FROM payments WHERE id {chosen.sql} AND price_verified"
    sql = (
        "INSERT INTO payment_references (reference, created_at)"
        f" SELECT reference, %s FROM ({trusted} AND reference IS NOT NULL) AS trusted WHERE true"
        " ON CONFLICT (reference) DO NOTHING"
    )
    return Statement(sql, (wire.value(utc_now()), chosen.value))


def _named(wire: Wire, chosen: Chosen, names: Names) -> list[Statement]:
    """Whose the ids are that the news names, of whichever payment they are booked for."""
    if not names.attempts and not names.refunds:
        return []
    provider = f"provider IN (SELECT provider FROM payments WHERE id {chosen.sql})"
    attempts = (
        "SELECT payment_attempts.provider, transaction_id, order_id, payment_id FROM payment_attempts"
        " JOIN payment_orders ON payment_orders.id = payment_attempts.order_id"
        f" WHERE payment_attempts.{provider} AND {wire.among('transaction_id')}"
    )
    refunds = (
        f"SELECT provider, gateway_refund_id, payment_id FROM refunds"
        f" WHERE {provider} AND {wire.among('gateway_refund_id')}"
    )
    return [
        Statement(attempts, (chosen.value, wire.array(sorted(names.attempts)))),
        Statement(refunds, (chosen.value, wire.array(sorted(names.refunds)))),
    ]


def _load_disputes(wire: Wire, chosen: Chosen, records: dict[UUID, PaymentRecord]) -> None:
    past = (
        f"SELECT {HISTORY.selected} FROM payment_events WHERE payment_id {chosen.sql}"
        " AND kind = %s ORDER BY sequence"
    )
    [found] = wire.run([Statement(past, (chosen.value, EntryKind.DISPUTE.value))])
    for row in wire.read(HISTORY, found):
        if row.payment_id in records:
            records[row.payment_id].disputes[row.evidence["disputeId"]] = row.evidence


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _rows(record: PaymentRecord) -> Iterable[Any]:
    yield record.payment
    yield from record.orders
    yield from record.attempts
    yield from record.refunds
    yield from record.reviews


# ── write ───────────────────────────────────────────────────────────────────────────────────────────


class Changes:
    """A record loaded in a session, and the way to write it there."""

    def __init__(self, session: Transaction, records: Records, told: list[list[Row]]) -> None:
        self._session, self._records, self.told = session, records, told

    @property
    def record(self) -> PaymentRecord:
        [record] = self._records
        return record

    def write(self, *, commits: bool = False) -> None:
        """Raises Outdated when another process wrote first, and BrokenInvariant; then nothing may be kept.

        With `commits` the transaction ends in the same turn, unless there is more to write than a turn holds.
        """
        session = self._session
        wire = wire_in(session)
        statements = writing(wire, self._records, session.chain_keys)
        commits = commits and not any(record.alerts for record in self._records)
        if commits:
            statements.append(COMMIT)
        if statements:
            run(wire, statements)
        for record in self._records:
            if record.facts:
                session.wakes.add("outbox")
            for change in record.alerts:
                alerts.change(session, change, record.entries[-1].created_at)
            session.lines += record.lines
            record.entries, record.facts, record.alerts, record.lines = [], [], [], []
        for row in session.identity_map.values():
            if isinstance(row, MIRRORED):
                session.expire(row)


def run(wire: Wire, statements: Sequence[Statement]) -> None:
    """In one turn. Raises Outdated when another process wrote first."""
    try:
        wire.run(statements)
    except wire.conflicts as error:
        raise Outdated(OUTDATED) from error


def writing(wire: Wire, records: Records, keys: ChainKeys) -> list[Statement]:
    """One statement for each table that has something new, rows sorted by what makes them unique."""
    history: list[HistoryRow] = []
    for record in records:
        _keep_the_rules(record, records.before(record.payment))
        history += [chained(record, entry, keys) for entry in record.entries]
    statements = []
    for table, rows in (
        (REFERENCES, list({id(r.reference): r.reference for r in records if r.reference}.values())),
        (PAYMENTS, [r.payment for r in records]),
        (ORDERS, [row for r in records for row in r.orders]),
        (ATTEMPTS, sorted((a for r in records for a in r.attempts), key=lambda a: a.transaction_id)),
        (REFUNDS, [row for r in records for row in r.refunds]),
        (REVIEWS, [row for r in records for row in r.reviews]),
    ):
        if fresh := [row for row in rows if records.before(row) is None]:
            statements.append(wire.insert(table, fresh))
        if changed := [row for row in rows if records.before(row) not in (None, row)]:
            statements.append(wire.update(table, changed))
    if history:
        statements.append(wire.insert(HISTORY, history))
    statements += [_asking_for_refunds(wire, r) for r in records if r.asks_for_refunds_at is not None]
    return statements + outbox.inserting(wire, [fact for record in records for fact in record.facts])


def _asking_for_refunds(wire: Wire, record: PaymentRecord) -> Statement:
    """An event tells that there is news of a refund, and not what can be believed: the gateway is asked."""
    assert record.asks_for_refunds_at is not None  # noqa: S101 (the caller looked)
    due = wire.value(record.asks_for_refunds_at)
    ids = wire.array([record.payment.id])
    sql = f"UPDATE refunds SET next_check_at = %s WHERE {wire.among('payment_id')} AND {wire.among('status')}"
    return Statement(sql, (due, ids, wire.array(status.value for status in DUE_BY_NEWS)))


def _keep_the_rules(record: PaymentRecord, before: Payment) -> None:
    """Our moves are refused when they break a rule that held before; old violations can still be written."""
    payment = record.payment
    if before.status == PaymentStatus.COMPLETED != payment.status:
        raise BrokenInvariant(f"payment {payment.id} would leave completed for {payment.status}")
    has_ended = payment.status in (PaymentStatus.FAILED, PaymentStatus.EXPIRED)
    if has_ended and before.status != payment.status and record.standing.holds_money:
        raise BrokenInvariant(f"payment {payment.id} would be {payment.status}, and money is held")
    if (before.amount, before.currency) != (payment.amount, payment.currency):
        raise BrokenInvariant(f"the amount of payment {payment.id} would change")
    is_written = any(entry.kind == EntryKind.STATUS for entry in record.entries)
    if payment.status != before.status and not is_written:
        raise BrokenInvariant(f"payment {payment.id} would be {payment.status} without a row of history")


def chained(record: PaymentRecord, entry: Entry, keys: ChainKeys) -> HistoryRow:
    """The entry with its seal, which counts on the payment's row."""
    payment = record.payment
    mac, key_id = seal.link(keys, payment.history_head, entry)
    if mac is None:
        payment.history_unchained += 1
    else:
        payment.history_head = mac
    return HistoryRow(id=uuid7(), **vars(entry), mac=mac, mac_key=key_id)
