"""What every gateway can do: the verbs.

`Gateway` has no default implementations on purpose: a new gateway must answer every question.
The verbs raise the errors of `payments_service.domain.errors`: Rejected and Unavailable (no money moved),
OutcomeUnknown (perhaps; ask, never resend), UnknownAtGateway, SignatureInvalid, MissingCredentials.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from payments_service.domain.deadline import Deadline
from payments_service.domain.money import Money
from payments_service.domain.news import (
    Checkout,
    DisputeSnapshot,
    NewOrder,
    NewRefund,
    OrderRef,
    PaymentSnapshot,
    RefundRef,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.domain.schedule import Polling
from payments_service.gateways.health import Health


@dataclass(frozen=True)
class VerifyField:
    """A field that verify-payment takes for this gateway, with the other names it is known by."""

    name: str
    aliases: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class AnswerField:
    """A text that the answer of create-order has for this gateway, beside what it has for all."""

    name: str
    about: str
    example: str
    required: bool = True


class Gateway(ABC):
    """One API generation of one gateway (a *provider*), with one set of credentials."""

    name: ClassVar[str]
    """What the API calls the gateway: razorpay, phonepe, cashfree."""
    provider: ClassVar[str]
    """Name and generation, stored with each payment for life."""
    config_type: ClassVar[type]
    """A frozen dataclass of `variable(...)` fields."""
    verify_fields: ClassVar[tuple[VerifyField, ...]]
    answer_fields: ClassVar[tuple[AnswerField, ...]]
    """Every member that `Checkout.fields` may have: what is not declared here is not answered."""
    webhook_headers: ClassVar[tuple[str, ...]]
    """Where its webhooks bring their proof: one of these headers."""
    minimum_amount: ClassVar[Money]
    browser_knows_wire_id: ClassVar[bool]
    """Whether the API's `orderId` is our wire id, else the gateway's own order id."""
    order_id_names: ClassVar[tuple[str, ...]]
    """The names under which pages of this gateway read the order id: orderId, and for some another."""
    payment_url_names: ClassVar[tuple[str, ...]]
    """The names under which they read the address of our hosted page: paymentUrl, and for some another."""
    polling: ClassVar[Polling]
    """How often an open order may be asked for in its first twenty minutes, by age."""
    lists_refunds: ClassVar[bool]
    """Whether `fetch_payment` tells the refunds of money that came in, also those that began elsewhere."""
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


def gateway_of(provider: str, gateways: Iterable[Gateway]) -> Gateway | None:
    """The one that talks to this provider; None when it is off."""
    return next((gateway for gateway in gateways if gateway.provider == provider), None)
