"""The states of a payment and of what hangs on it, and every legal move with its reason."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class PaymentStatus(StrEnum):
    INITIATED = "initiated"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


class OrderStatus(StrEnum):
    """What is known of one order at a gateway; how it ends stands on the payment."""

    CREATING = "creating"
    """The call may be under way, or its answer lost."""
    UNKNOWN = "unknown"
    """The call has ended, and what it did is not known: the next request for it asks."""
    OPEN = "open"
    """Known at the gateway."""
    REFUSED = "refused"
    """The gateway surely never made it."""
    LOST = "lost"
    """Made, perhaps, but no payer can be sent there; another took its place."""


class AttemptStatus(StrEnum):
    """One try of the customer on an order; a failed one says nothing about the order."""

    PENDING = "pending"
    PLACED = "placed"
    """Cash on delivery was promised: the gateway holds no money, and perhaps never will."""
    AUTHORIZED = "authorized"
    COLLECTED = "collected"
    """Cash on delivery that the gateway says was collected. It holds none of it: only a person accepts it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUNDED = "refunded"
    """Captured, and all of it went back."""
    VOIDED = "voided"
    """Authorised, and released or refunded without ever being captured."""


class RefundStatus(StrEnum):
    INITIATED = "initiated"
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class InboxOutcome(StrEnum):
    """What became of a webhook that is kept."""

    RECEIVED = "received"
    """Its effect is still to come: the word of a replay, else never left by a commit."""
    WAITING = "waiting"
    """Its body is no proof: the gateway is still to be asked."""
    UNMATCHED = "unmatched"
    """It names an order that is not ours, or not ours yet."""
    FAILED = "failed"
    """Its effect was rolled back; the worker tries again."""
    APPLIED = "applied"
    STORED = "stored"
    """There is nothing to apply: a settlement, or a refund's event that is only asked about."""
    IGNORED = "ignored"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    UNCONFIRMED = "unconfirmed"
    """The gateway never said the same; a person may have it tried again."""

    @classmethod
    def _missing_(cls, value: object) -> "InboxOutcome | None":
        """The version before 0005, which may run beside us, has a word of its own for unmatched."""
        return cls.UNMATCHED if value == FOREIGN else None

    @property
    def is_done(self) -> bool:
        """Nothing is left to do, so it is never due."""
        return self in INBOX_DONE


FOREIGN = "foreign"


class EntryKind(StrEnum):
    """What a row of the history is about. Its words are for ever: they are sealed with the row."""

    STATUS = "status"
    ATTEMPT = "attempt"
    REFUND = "refund"
    DISPUTE = "dispute"
    REVIEW = "review"
    NOTE = "note"


class Source(StrEnum):
    """What caused a row of the history: for ever, too."""

    CREATE_ORDER = "create-order"
    VERIFY = "verify"
    STATUS = "status"
    RETURN = "return"
    """The payer came back from the gateway."""
    WEBHOOK = "webhook"
    WORKER = "worker"
    CLOCK = "clock"
    """Its time ran out."""
    API = "api"
    """The merchant's server."""
    OPERATOR = "operator"
    """A person at the command line."""


class ReviewReason(StrEnum):
    """Why a person must look at a payment: what is told of it and what is booked do not agree."""

    AMOUNT_MISMATCH = "amount_mismatch"
    """The order, or what was captured of it, is of another sum or currency than we asked for."""
    CASH_COLLECTED = "cash_collected"
    """The gateway says that cash was collected on delivery; it holds none of that money."""
    CAPTURED_BUT_NOT_PAID = "captured_but_not_paid"
    """Money was captured, and the gateway's word for the order does not say that it is paid."""
    PAYMENT_OF_ANOTHER_ORDER = "payment_of_another_order"
    """The gateway's payment that should pay this order is booked for another payment of ours."""
    SECOND_SUCCESS = "second_success"
    """The order was paid by two attempts, also when one of them has gone back already."""
    LATE_SUCCESS = "late_success"
    """Money came after the payment was given up, where the merchant wants to see it first."""
    REFERENCE_PAID_TWICE = "reference_paid_twice"
    """The merchant's order number is paid, or about to be, by another payment."""
    REFUND_MISMATCH = "refund_mismatch"
    """The gateway tells a refund otherwise than we asked for it."""
    REFUND_NOT_ASKED_FOR = "refund_not_asked_for"
    """A refund bears our id, or our prefix, and is not the one that we asked for."""


class AlertCode(StrEnum):
    """Trouble beside single payments; docs/handbook.md says what to do about each."""

    WEBHOOK_SILENCE = "webhook_silence"
    CAPTURE_FAILS = "capture_fails"
    CAPTURE_ENDS = "capture_ends"
    """Money that only the merchant takes goes back soon."""
    REFUND_UNRESOLVED = "refund_unresolved"
    UNKNOWN_ORDER = "unknown_order"
    DISPUTE_UNCONFIRMED = "dispute_unconfirmed"
    DISPUTE_OPENED = "dispute_opened"
    """Told as the event `dispute.opened`, not as `ops.alert`."""
    DESTINATION_GONE = "destination_gone"
    GATEWAY_GONE = "gateway_gone"
    """Its variables are not set any more, and it has payments or refunds that no process can ask about."""
    EVENT_UNDELIVERED = "event_undelivered"
    GATEWAY_DOWN = "gateway_down"
    CREDENTIALS_REFUSED = "credentials_refused"
    WEBHOOKS_REFUSED = "webhooks_refused"
    WORKER_SILENT = "worker_silent"
    CLOCK_LEAP = "clock_leap"
    NO_ORDERS = "no_orders"
    ORDERS_FAIL = "orders_fail"
    INBOX_WAITS = "inbox_waits"
    OUTBOX_WAITS = "outbox_waits"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CAPTURE_WINDOW = "capture_window"
    DISPUTE_DUE = "dispute_due"
    REVIEW_WAITS = "review_waits"
    SWEEP_SILENT = "sweep_silent"
    HISTORY_BROKEN = "history_broken"
    DATABASE_AWAY = "database_away"
    """Cannot be stored while it lasts: told by the web process's own letter."""


class ReviewResolution(StrEnum):
    ACCEPTED = "accepted"
    """A person says that the payment is paid."""
    DISMISSED = "dismissed"
    """A person has seen it; the status stays as it is."""
    ANSWERED = "answered"
    """The gateway's later word answered the question."""


class IllegalMove(Exception):
    """A move that its table does not have: a fault of ours, so nothing of the change is kept."""


_I, _P, _A, _C, _F, _E = (
    PaymentStatus.INITIATED,
    PaymentStatus.PENDING,
    PaymentStatus.AUTHORIZED,
    PaymentStatus.COMPLETED,
    PaymentStatus.FAILED,
    PaymentStatus.EXPIRED,
)

RANK = {_I: 0, _P: 1, _F: 2, _E: 2, _A: 3, _C: 4}
"""How far a payment has come. Older news may raise it, never lower it."""

MOVES: dict[tuple[PaymentStatus, PaymentStatus], str] = {
    (_I, _P): "the gateway has a payable order",
    (_I, _A): "found at the gateway, authorised",
    (_I, _C): "found at the gateway, paid",
    (_I, _F): "no order came to be at the gateway",
    (_I, _E): "found at the gateway, expired",
    (_P, _A): "the bank holds the money for us",
    (_P, _C): "the order is paid",
    (_P, _F): "the order can no longer be paid",
    (_P, _E): "time ran out",
    (_A, _C): "captured",
    (_A, _F): "the authorisation was refunded or voided uncaptured",
    (_F, _A): "late authorisation",
    (_F, _C): "late success",
    (_E, _A): "late authorisation",
    (_E, _C): "late success",
}
"""Every legal move. Nothing leaves completed; failed and expired are not final."""

OPEN = frozenset({_I, _P, _A})
"""Still asked for by status pages; the others are answered from the database."""

ORDER_MOVES: dict[tuple[OrderStatus, OrderStatus], str] = {
    (OrderStatus.CREATING, OrderStatus.OPEN): "the gateway told its id",
    (OrderStatus.CREATING, OrderStatus.UNKNOWN): "the call ended without an answer",
    (OrderStatus.CREATING, OrderStatus.REFUSED): "the gateway made none",
    (OrderStatus.CREATING, OrderStatus.LOST): "it never came to be, or has no address",
    (OrderStatus.UNKNOWN, OrderStatus.CREATING): "the same is asked for again",
    (OrderStatus.UNKNOWN, OrderStatus.OPEN): "found at the gateway",
    (OrderStatus.OPEN, OrderStatus.LOST): "its address was lost",
    (OrderStatus.REFUSED, OrderStatus.CREATING): "the same is asked for again",
    (OrderStatus.REFUSED, OrderStatus.OPEN): "found at the gateway after all",
}
"""Every legal move of an order. What a gateway says may open it from wherever it is, but for a lost one."""

TO_TAKE_EFFECT = (InboxOutcome.RECEIVED, InboxOutcome.UNMATCHED, InboxOutcome.FAILED)
"""The event is read (again), and what follows from it is written."""

INBOX_DONE = frozenset(InboxOutcome) - {*TO_TAKE_EFFECT, InboxOutcome.WAITING}

_TAKEN = {
    InboxOutcome.APPLIED: "it took effect",
    InboxOutcome.STORED: "there is nothing to apply",
    InboxOutcome.WAITING: "its body is no proof",
    InboxOutcome.UNMATCHED: "no order of ours is known by that name",
    InboxOutcome.FAILED: "its effect could not be written",
    InboxOutcome.IGNORED: "of no use here",
    InboxOutcome.UNKNOWN: "its type is not known",
    InboxOutcome.UNREADABLE: "its body cannot be read",
}

INBOX_MOVES: dict[tuple[InboxOutcome, InboxOutcome], str] = {
    **{(before, to): why for before in TO_TAKE_EFFECT for to, why in _TAKEN.items() if before is not to},
    (InboxOutcome.WAITING, InboxOutcome.APPLIED): "the gateway says the same",
    (InboxOutcome.WAITING, InboxOutcome.UNCONFIRMED): "the gateway never said the same",
    (InboxOutcome.UNMATCHED, InboxOutcome.UNCONFIRMED): "its order was never found",
    (InboxOutcome.FAILED, InboxOutcome.UNCONFIRMED): "it failed to the last try",
    (InboxOutcome.UNCONFIRMED, InboxOutcome.RECEIVED): "a person has it tried again",
}
"""Every legal move of an event that is kept. What is done with stays so, but for a replay."""

ATTEMPT_RANK = {
    AttemptStatus.PENDING: 0,
    AttemptStatus.PLACED: 1,
    AttemptStatus.FAILED: 2,
    AttemptStatus.AUTHORIZED: 3,
    AttemptStatus.VOIDED: 4,
    AttemptStatus.COLLECTED: 5,
    AttemptStatus.SUCCEEDED: 6,
    AttemptStatus.REFUNDED: 7,
}
"""A failed try may still succeed (late authorisation, a second go in the UPI app); nothing goes back."""

REFUND_RANK = {
    RefundStatus.INITIATED: 0,
    RefundStatus.PENDING: 1,
    RefundStatus.FAILED: 2,
    RefundStatus.COMPLETED: 2,
}


HOLDS_MONEY = frozenset({AttemptStatus.AUTHORIZED, AttemptStatus.SUCCEEDED, AttemptStatus.COLLECTED})
"""While an attempt is so, its payment neither fails nor expires; a whole refund takes it out."""

CAPTURED = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.REFUNDED})
"""The money is or was the merchant's: what can be refunded, and what pays an order."""

REFUND_OPEN = frozenset({RefundStatus.INITIATED, RefundStatus.PENDING})
DUE_BY_NEWS = (RefundStatus.PENDING, RefundStatus.FAILED)
"""Refunds that are asked about when there is news of one: one that failed may have been made after all. One
without an answer is not made due, as the call that sends it may be alive."""


def may_move(
    current: PaymentStatus, claimed: PaymentStatus, *, newer: bool, released: bool = False
) -> str | None:
    """The reason when news claiming `claimed` may move a payment on from `current`, else None.

    `newer`: the news was observed after all that has been applied. `released`: it carries proof
    that an authorisation was refunded or voided, without which nothing leaves authorized downwards.
    """
    reason = MOVES.get((current, claimed))
    if reason is None:
        return None
    if RANK[claimed] > RANK[current]:
        return reason
    return reason if newer and released else None


def order_becomes(before: str, to: OrderStatus) -> OrderStatus:
    """`to`, when an order may become that, or is it. Raises IllegalMove."""
    return _becomes(OrderStatus(before), to, ORDER_MOVES)


def outcome_becomes(before: str, to: InboxOutcome) -> InboxOutcome:
    """`to`, when an event's outcome may become that, or is it. Raises IllegalMove."""
    return _becomes(InboxOutcome(before), to, INBOX_MOVES)


_Word = TypeVar("_Word", bound=StrEnum)


def _becomes(before: _Word, to: _Word, moves: Mapping[tuple[_Word, _Word], str]) -> _Word:
    if before is not to and (before, to) not in moves:
        raise IllegalMove(f"{type(to).__name__}: {before} would become {to}")
    return to
