"""What a gateway is asked for, and what it says: frozen values that check themselves.

Text that no database takes is refused where it enters (TypeError, ValueError), so it is never half stored.
"""

import dataclasses
import secrets
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from payments_service.domain.money import Money
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus

LONGEST_ID = 255
"""Of a gateway's id: the index of a database takes no text of any length."""

# ── values in ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Customer:
    """The payer, as typed: any Unicode name; `phone` is ten digits."""

    id: str
    name: str = dataclasses.field(repr=False)
    email: str = dataclasses.field(repr=False)
    phone: str = dataclasses.field(repr=False)


@dataclass(frozen=True)
class NewOrder:
    """What a payable order is made of. `wire_id` is ours, unique for ever, and safe for every gateway."""

    wire_id: str
    amount: Money
    customer: Customer
    description: str
    return_url: str
    webhook_url: str
    expires_at: datetime


@dataclass(frozen=True)
class OrderRef:
    """An order: our wire id always, the gateway's id when known.

    News from a gateway may name the order by only one of the two; the wire id is "" then.
    """

    wire_id: str
    gateway_order_id: str | None = None

    def __post_init__(self) -> None:
        _must_be_text(self.wire_id)
        _may_be_text(self.gateway_order_id)


WIRE_PREFIX, REFUND_PREFIX = "psv_", "psr_"
"""How our order and refund ids begin. They differ: some gateways tell news of both under one name."""


def new_id(prefix: str) -> str:
    """Ours, for ever unique, at most 34 of `[A-Za-z0-9_]`: the strictest gateway takes it."""
    return prefix + b32encode(secrets.token_bytes(15)).decode().lower()


@dataclass(frozen=True)
class NewRefund:
    """`refund_id` is ours; sending the same one again must be harmless at the gateway."""

    refund_id: str
    order: OrderRef
    transaction_id: str
    amount: Money
    reason: str
    webhook_url: str = ""
    speed: str = "normal"
    """normal, or optimum: as fast as the gateway can; one that has no speeds takes no notice."""


@dataclass(frozen=True)
class RefundRef:
    """A refund: our id, "" for one that did not begin here, which the gateway's own id must be enough for."""

    refund_id: str
    order: OrderRef
    transaction_id: str
    gateway_refund_id: str | None = None


# ── values out ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Checkout:
    """A payable order, as the browser needs it. `fields` are this gateway's further members of the
    answer to create-order (camelCase, JSON values); bearer links may be among them.
    """

    gateway_order_id: str
    gateway_status: str
    amount: Money
    fields: Mapping[str, str | int] = dataclasses.field(repr=False)

    def __post_init__(self) -> None:
        texts = (value for value in self.fields.values() if not isinstance(value, int))
        _must_be_text(self.gateway_order_id, self.gateway_status, self.amount.currency, *texts)


@dataclass(frozen=True)
class AttemptSnapshot:
    """One try of the customer. `status` is None for a word that we do not know."""

    transaction_id: str
    status: AttemptStatus | None
    gateway_status: str
    amount: Money
    method: str | None = None
    error_code: str | None = None
    capture_by: datetime | None = None
    """When money that is held goes back unless it is captured."""
    bank_reference: str | None = None
    """The bank's own number of it (UPI's RRN or UTR, a card's RRN, ...), by which a payer may ask for it."""

    def __post_init__(self) -> None:
        _must_be_text(self.transaction_id, self.gateway_status, self.amount.currency)
        _may_be_text(self.method, self.error_code, self.bank_reference)
        if not 0 < len(self.transaction_id) <= LONGEST_ID:
            raise ValueError("an attempt needs its id")
        if self.amount.minor < 0:
            raise ValueError("no attempt takes less than nothing")


@dataclass(frozen=True)
class RefundSnapshot:
    """A refund as the gateway tells it; `refund_id` is None when it was not begun by us."""

    gateway_refund_id: str
    refund_id: str | None
    transaction_id: str
    status: RefundStatus | None
    gateway_status: str
    amount: Money
    gateway_chose: bool = False
    """Asked for by the order alone: which of the order's attempts went back was the gateway's choice."""
    bank_reference: str | None = None
    """ARN, RRN or UTR, once the gateway knows it."""

    def __post_init__(self) -> None:
        _must_be_text(self.gateway_refund_id, self.transaction_id)
        _must_be_text(self.gateway_status, self.amount.currency)
        _may_be_text(self.refund_id, self.bank_reference)
        if not (0 < len(self.gateway_refund_id) <= LONGEST_ID and self.transaction_id):
            raise ValueError("a refund needs its id and that of its payment")


@dataclass(frozen=True)
class PaymentSnapshot:
    """What a gateway says about one order, from a fetch or from a webhook whose body it signed.

    `status` is the order's (None: a word we do not know; it changes nothing). `amount` is the order's
    too; what the customer paid stands on the attempt. `observed_at` is the start of the fetch, or the
    event's own time. `refunds` is None where the source does not list them.
    """

    order: OrderRef
    status: PaymentStatus | None
    gateway_status: str
    amount: Money
    observed_at: datetime
    attempts: tuple[AttemptSnapshot, ...] = ()
    refunds: tuple[RefundSnapshot, ...] | None = None
    fetched: bool = False
    """True for the answer to a fetch, which decides where an event only hints."""
    checkout: Checkout | None = None
    """How to open the order in a browser, where the gateway tells it a second time."""
    misses_money: bool = False
    """The order says that money came to it, and none of its attempts does."""

    def __post_init__(self) -> None:
        _must_be_text(self.gateway_status, self.amount.currency)

    @property
    def may_hide_money(self) -> bool:
        """Whether some of it is not understood, so that it may say of money that it is there."""
        return self.status is None or self.misses_money or any(one.status is None for one in self.attempts)


@dataclass(frozen=True)
class DisputeSnapshot:
    """A payer's bank wants money back. Closed, `gateway_status` says how it ended; it may be reopened."""

    dispute_id: str
    transaction_id: str
    gateway_status: str
    amount: Money
    is_closed: bool
    is_lost: bool
    """Closed, and the money is the payer's: lost, or given up by the merchant."""
    needs_answer: bool
    """Whether it is the merchant's turn now: without an answer the dispute is lost."""
    observed_at: datetime
    """The event's own time, else the start of the fetch: an older word of a dispute changes nothing."""
    asks_again: bool = False
    """It needs an answer because the one that was given is not enough, where the gateway's word says so."""
    deducted: Money | None = None
    """What it has taken from the merchant, where the gateway says so: also a part, of one that was won."""
    phase: str | None = None
    """The stage in the gateway's word: chargeback, pre-arbitration, ..."""
    reason: str | None = None
    respond_by: datetime | None = None
    """Until when the merchant must answer, where the gateway says so."""

    def __post_init__(self) -> None:
        _must_be_text(self.dispute_id, self.transaction_id, self.gateway_status, self.amount.currency)
        _may_be_text(self.phase, self.reason)
        if not 0 < len(self.dispute_id) <= LONGEST_ID:
            raise ValueError("a dispute needs its id")

    @property
    def takes_money(self) -> bool:
        """Whether the payer has got money by it, or still may.

        A lost one counts with any figure, and with none: the figure may lag behind the word.
        """
        is_deducted = self.deducted is not None and self.deducted.minor > 0
        return not self.is_closed or self.is_lost or is_deducted


class EventKind(StrEnum):
    """What an authenticated webhook is to us. Ignored is on purpose; unknown is loud."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    SETTLEMENT = "settlement"
    IGNORED = "ignored"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class WebhookEvent:
    """An authenticated webhook.

    `event_id` tells deliveries of one event from other events: the gateway's id header, else a digest
    of the raw body. `order` is None when the event names no order; `transaction_id` is the payment that
    it names, if any, where it does not name our id of the order. `refund_id` is the refund, by our id or the
    gateway's, where it names neither order nor payment. `snapshot`, `refund` and `dispute` are there when
    the body is signed and says enough. `wake_up` asks the caller to fetch instead, and the event counts as
    applied once the payment has reached what it `claims`; with a `dispute_id` the dispute is fetched, too. An
    authentic event that lacks or spoils a member is a wake-up with all of these that could be read.
    """

    event_id: str
    type: str
    kind: EventKind
    order: OrderRef | None = None
    snapshot: PaymentSnapshot | None = None
    wake_up: bool = False
    claims: PaymentStatus | None = None
    refund: RefundSnapshot | None = None
    dispute: DisputeSnapshot | None = None
    transaction_id: str | None = None
    dispute_id: str | None = None
    refund_id: str | None = None

    def __post_init__(self) -> None:
        _must_be_text(self.event_id, self.type)
        _may_be_text(self.transaction_id, self.dispute_id, self.refund_id)

    @property
    def names_a_payment(self) -> bool:
        return any((self.order, self.transaction_id, self.refund_id))

    @property
    def asks_for_dispute(self) -> bool:
        """A dispute is told by a body that proves nothing, so it has to be fetched."""
        return self.dispute_id is not None and self.dispute is None


# ── text ────────────────────────────────────────────────────────────────────────────────────────────


def _must_be_text(*values: object) -> None:
    """What a gateway tells us is stored and logged: TypeError or ValueError for what no database takes."""
    for value in values:
        if value is None:
            raise TypeError("must be there")
        _may_be_text(value)


def _may_be_text(*values: object) -> None:
    """The same, for what may be missing (None)."""
    for value in values:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"must be text, not {type(value).__name__}")
        if value is not None and "\0" in value.encode().decode():  # a lone surrogate has no encoding
            raise ValueError("must not contain NUL")
