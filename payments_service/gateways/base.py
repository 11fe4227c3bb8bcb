"""What every gateway can do, and the frozen values that go in and out.

`Gateway` has no default implementations on purpose: a new gateway must answer every question.
The verbs raise the errors of `payments_service.errors`: Rejected and Unavailable (no money moved),
OutcomeUnknown (perhaps; ask, never resend), UnknownAtGateway, SignatureInvalid, MissingCredentials.
"""

import dataclasses
import secrets
import string
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Any, ClassVar, cast

from payments_service.gateways.health import Health
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus, RefundStatus

# ── settings that a gateway declares ────────────────────────────────────────────────────────────────


SHORTEST_SECRET = 16
"""Characters. A shorter secret can be guessed."""


@dataclass(frozen=True)
class Variable:
    """One environment variable of a gateway. Without `default` it is needed once the gateway is on.

    A gateway is on when a `credential` of it is set; everything else only says how it works then.
    `live_when` is on the one that tells the mode: how its value begins where money is real.
    """

    name: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    is_list: bool = False
    is_url: bool = False
    credential: bool = False
    live_when: str | None = None
    least_characters: int = 0


def variable(name: str, *, secret: bool = False, least_characters: int = SHORTEST_SECRET, **more: Any) -> Any:
    """A field of a gateway's frozen `Config`, the rest as in `Variable`.

    A secret never shows in a repr, and a short one (each of a list) stops the start.
    """
    declared = Variable(name, least_characters=least_characters if secret else 0, **more)
    return dataclasses.field(repr=not secret, metadata={"variable": declared})


def variables_of(config: type) -> Iterator[tuple[str, Variable]]:
    """Field name and declaration of each variable of a gateway's `Config`."""
    for field in dataclasses.fields(config):
        yield field.name, cast(Variable, field.metadata["variable"])


class WrongVariables(ValueError):
    """A `Config` whose variables do not fit together: for each variable to look at, a sentence.

    A `Config` is also made when a variable is missing (empty then), so that all that is wrong is told.
    """

    def __init__(self, sentences: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {sentence}" for name, sentence in sentences.items()))
        self.sentences = sentences


@dataclass(frozen=True)
class VerifyField:
    """A field that verify-payment takes for this gateway, with the other names it is known by."""

    name: str
    aliases: tuple[str, ...] = ()
    required: bool = True


# ── time ────────────────────────────────────────────────────────────────────────────────────────────


class Urgency(Enum):
    """Who waits for the answer: it decides who goes first when a gateway's read budget runs short."""

    VERIFY = auto()
    """A payer who is back from paying; an old page asks once and believes the answer."""
    PAYER = auto()
    """A person in front of a page that asks again."""
    WAKE_UP = auto()
    """A webhook's follow-up, which the worker does again where it was left out."""
    POLLING = auto()
    """The worker, which comes by again."""
    LOOKUP = auto()
    """An id that a caller may have guessed."""


class Deadline:
    """The seconds that are left for everything one request still has to do at a gateway, and for whom."""

    CONNECT_SECONDS = 3.0
    READ_SECONDS = 10.0

    def __init__(
        self,
        seconds: float,
        urgency: Urgency = Urgency.PAYER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.urgency = urgency
        self._clock = clock
        self._ends = clock() + seconds

    def remaining(self) -> float:
        return max(0.0, self._ends - self._clock())

    def timeouts(self) -> tuple[float, float]:
        """(connect, read) in seconds for one HTTP call, never zero, which would mean "at once"."""
        left = max(0.05, self.remaining())
        return min(self.CONNECT_SECONDS, left), min(self.READ_SECONDS, left)


Polling = tuple[tuple[timedelta, timedelta], ...]
"""(until which age, how often), ascending."""


def polling(*seconds: tuple[int, int]) -> Polling:
    return tuple((timedelta(seconds=until), timedelta(seconds=every)) for until, every in seconds)


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
    return prefix + "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(24))


@dataclass(frozen=True)
class NewRefund:
    """`refund_id` is ours; sending the same one again must be harmless at the gateway."""

    refund_id: str
    order: OrderRef
    transaction_id: str
    amount: Money
    reason: str
    webhook_url: str = ""


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
        if not self.transaction_id:
            raise ValueError("an attempt needs its id")


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
        if not (self.gateway_refund_id and self.transaction_id):
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

    def __post_init__(self) -> None:
        _must_be_text(self.gateway_status, self.amount.currency)


@dataclass(frozen=True)
class DisputeSnapshot:
    """A payer's bank wants money back. Closed, `gateway_status` says how it ended; it may be reopened."""

    dispute_id: str
    transaction_id: str
    gateway_status: str
    amount: Money
    is_closed: bool
    observed_at: datetime
    """The event's own time, else the start of the fetch: an older word of a dispute changes nothing."""
    phase: str | None = None
    """The stage in the gateway's word: chargeback, pre-arbitration, ..."""
    reason: str | None = None
    respond_by: datetime | None = None
    """Until when the merchant must answer, where the gateway says so."""

    def __post_init__(self) -> None:
        _must_be_text(self.dispute_id, self.transaction_id, self.gateway_status, self.amount.currency)
        _may_be_text(self.phase, self.reason)
        if not self.dispute_id:
            raise ValueError("a dispute needs its id")


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
    of the raw body. `order` is None when the event names no order; `transaction_id` then is the payment
    that it names, if any. `snapshot`, `refund` and `dispute` are there when the body is signed and says
    enough. `wake_up` asks the caller to fetch instead, and the event counts as processed once the payment
    has reached what it `claims`; with a `dispute_id` the dispute is fetched, too. An authentic event that
    lacks or spoils a member is a wake-up with all of these that could be read.
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

    def __post_init__(self) -> None:
        _must_be_text(self.event_id, self.type)
        _may_be_text(self.transaction_id, self.dispute_id)

    @property
    def asks_for_dispute(self) -> bool:
        """A dispute is told by a body that proves nothing, so it has to be fetched."""
        return self.dispute_id is not None and self.dispute is None


# ── the verbs ───────────────────────────────────────────────────────────────────────────────────────


class Gateway(ABC):
    """One API generation of one gateway (a *provider*), with one set of credentials."""

    name: ClassVar[str]
    """What the API calls the gateway: razorpay, phonepe, cashfree."""
    provider: ClassVar[str]
    """Name and generation, stored with each payment for life."""
    config_type: ClassVar[type]
    """A frozen dataclass of `variable(...)` fields."""
    verify_fields: ClassVar[tuple[VerifyField, ...]]
    minimum_amount: ClassVar[Money]
    browser_knows_wire_id: ClassVar[bool]
    """Whether the API's `orderId` is our wire id, else the gateway's own order id."""
    order_id_names: ClassVar[tuple[str, ...]]
    """The names under which pages of this gateway read the order id: orderId, and for some another."""
    payment_url_names: ClassVar[tuple[str, ...]]
    """The names under which they read the address of our hosted page: paymentUrl, and for some another."""
    polling: ClassVar[Polling]
    """How often an open order may be asked for in its first twenty minutes, by age."""
    one_refund_at_a_time: ClassVar[bool]
    refunds_name_the_attempt: ClassVar[bool]
    """False where a refund only names the order, so that of two payments of one order the gateway chooses."""
    refunds_up_to_the_order: ClassVar[bool]
    """True where no more than the order's amount goes back, also when the attempt moved more."""
    returns_are_signed: ClassVar[bool]
    """Whether what a browser brings back proves that a payer was at the gateway."""
    our_clock_expires: ClassVar[bool]
    """True where orders never end at the gateway, so that our ORDER_EXPIRY ends them here."""
    reads_per_second: ClassVar[float]
    """What one process asks of it at most in the long run: its published limits, else a cautious guess."""
    webhook_secret_names: ClassVar[tuple[str, ...]]
    """The variables to look at when a webhook is refused."""
    credential_names: ClassVar[tuple[str, ...]]
    """The variables to look at when the gateway refuses our calls."""
    health: Health
    """How this process gets on with it."""
    config: Any
    """Its `config_type`, which always has an `api_url`."""

    @abstractmethod
    def __init__(self, config: Any) -> None:
        """Take a `config_type`; nothing is sent until a verb is called."""

    @property
    @abstractmethod
    def mode(self) -> str:
        """`test` or `live`, told by the credentials."""

    @property
    @abstractmethod
    def captures_automatically(self) -> bool:
        """Whether a machine takes money that is held here; else it is left to the merchant."""

    @abstractmethod
    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        """Open a payable order. Sent once: after OutcomeUnknown, ask with `fetch_payment`."""

    @abstractmethod
    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """Raise SignatureInvalid when what the browser brought back is not genuine.

        A genuine return still says nothing about status or amount: fetch.
        """

    @abstractmethod
    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        """The order and every attempt on it; our wire id alone must be enough."""

    @abstractmethod
    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        """Take money that is held; `amount` is the order's. The caller then fetches, also after an error."""

    @abstractmethod
    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        """Let money go that is held; Rejected where it only goes back by itself. The caller then fetches."""

    @abstractmethod
    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        """Whether this provider is the one to read it, told by its shape alone; believes nothing yet.

        Two generations of one gateway share one address.
        """

    @abstractmethod
    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        """Authenticate over the raw bytes, then read. Header names are in lower case.

        Raises only when it is not authentic (MissingCredentials, SignatureInvalid).
        """

    @abstractmethod
    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        """Read once more what `read_webhook` authenticated before. Only for rows of our own inbox."""

    @abstractmethod
    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        """End an open order at the gateway; None where it cannot be ended there."""

    @abstractmethod
    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        """Send money back. The same `refund_id` again never sends it twice."""

    @abstractmethod
    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        """One refund; our refund id alone (with its payment's) must be enough."""

    @abstractmethod
    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        """One dispute by the gateway's id; UnknownAtGateway where it cannot be asked for."""

    @abstractmethod
    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        """Which order a payment id of the gateway belongs to; None for an id that cannot be one."""
