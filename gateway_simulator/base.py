"""What a pretend gateway must be able to do; each gateway is one subclass and one line in the registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol

from flask import Response, jsonify
from flask.typing import ResponseReturnValue

Json = dict[str, Any]


class ImpossibleMoveError(Exception):
    """The customer, bank or dashboard cannot do this now; the control plane answers 409 with the sentence."""


class BadInputError(Exception):
    """Wrong control-plane input; answered with 400 naming the field."""

    def __init__(self, field_name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field_name = field_name


class WireError(Exception):
    """A gateway's own refusal, in the gateway's own words."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body

    def response(self) -> Response:
        response = jsonify(self.body)
        response.status_code = self.status
        return response


class Amounted(Protocol):
    amount: int


@dataclass(frozen=True)
class Move:
    """How a control-plane verb is carried out; what is None is chosen by the gateway."""

    # what the payer moves, or what is refunded or disputed
    amount_paise: int | None = None
    # what the gateway claims from now on that the order was made for; only paying verbs heed it
    order_amount_paise: int | None = None
    method: str | None = None
    outcome: str | None = None
    # how much less than the order the payer pays by an offer, which still pays the order
    offer_paise: int | None = None
    # how often the order is still told with its old word
    reads: int | None = None

    def set_amount_of(self, attempt: Amounted) -> None:
        if self.amount_paise is not None:
            attempt.amount = self.amount_paise

    def claim_amount_of(self, order: Amounted) -> None:
        if self.order_amount_paise is not None:
            order.amount = self.order_amount_paise


@dataclass(frozen=True)
class Route:
    """One path of a gateway; `operation` is the name that faults know it by."""

    http_method: str
    path: str
    view: Callable[..., ResponseReturnValue]
    operation: str | None = None
    in_flight: Callable[[], AbstractContextManager[None]] | None = None


@dataclass(frozen=True)
class AttemptView:
    paymentId: str
    status: str
    method: str
    amountPaise: int
    createdAt: int
    lateAuthorized: bool = False
    errorReason: str | None = None


@dataclass(frozen=True)
class RefundView:
    refundId: str
    paymentId: str
    amountPaise: int
    status: str


@dataclass(frozen=True)
class DisputeView:
    disputeId: str
    paymentId: str
    amountPaise: int
    status: str


@dataclass(frozen=True)
class OrderView:
    """An order as the control plane shows it: our words for the fields, the gateway's own for each status."""

    orderId: str
    gateway: str
    status: str
    amountPaise: int
    amountPaidPaise: int
    currency: str
    reference: str | None
    createdAt: int
    attempts: list[AttemptView] = field(default_factory=list)
    refunds: list[RefundView] = field(default_factory=list)
    disputes: list[DisputeView] = field(default_factory=list)


class Books(Protocol):
    """What a gateway remembers. `settings` is a frozen dataclass; world and deliveries are not remembered."""

    settings: Any

    def reset(self) -> None: ...


class Gateway(ABC):
    """One gateway: its wire format (`routes`) and what customer, bank and dashboard do (the verbs).

    Every view and every verb is called with the world's lock held and must not wait.
    Verbs raise ImpossibleMoveError; views raise WireError.
    """

    name: ClassVar[str]
    # everything of the gateway is below base_path; api_base is what a merchant configures
    base_path: ClassVar[str]
    api_base: ClassVar[str]
    operations: ClassVar[frozenset[str]]
    methods: ClassVar[frozenset[str]]
    credentials: ClassVar[Mapping[str, str]]
    # whether orders are known by an id that the gateway hands out; the merchant's own is their reference then
    names_orders: ClassVar[bool] = False
    # which settings there are, and what each may be: a tuple of values or a range of integers
    choices: ClassVar[Mapping[str, Collection[Any]]]
    # how a dispute may go on, and every type of webhook that can be sent
    dispute_outcomes: ClassVar[tuple[str, ...]] = ("won", "lost")
    event_types: ClassVar[tuple[str, ...]] = ()

    books: Books

    @abstractmethod
    def routes(self) -> tuple[Route, ...]: ...

    @abstractmethod
    def unknown_route(self, path: str) -> Response:
        """The answer to a path or method below `base_path` that the gateway does not have."""

    @abstractmethod
    def trouble(self, status: int) -> Response:
        """The gateway's own body for a 429 or a 500, as an answer to the current request."""

    def reset(self) -> None:
        self.books.reset()

    def settings(self) -> Json:
        return asdict(self.books.settings)

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings; raises BadInputError and then changes nothing."""
        for setting, value in changes.items():
            if setting not in self.choices:
                raise BadInputError(f"{self.name}.{setting}", f"{self.name} has {', '.join(self.choices)}")
            allowed = self.choices[setting]
            # True == 1, and would be in a range
            if value not in allowed or type(value) is not type(next(iter(allowed))):
                raise BadInputError(f"{self.name}.{setting}", f"must be {_said(allowed)}")
        self.books.settings = replace(self.books.settings, **changes)

    @abstractmethod
    def orders(self) -> list[OrderView]: ...

    @abstractmethod
    def order(self, order_id: str) -> OrderView | None: ...

    @abstractmethod
    def success(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def failure(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def pending(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def expire(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def authorize(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def late_success(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def second_success(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def dashboard_refund(self, order_id: str, move: Move) -> None: ...

    @abstractmethod
    def dispute(self, order_id: str, move: Move) -> None: ...

    def collect_cash(self, order_id: str, move: Move) -> None:
        """The cash of a delivery was handed over."""
        raise ImpossibleMoveError(f"{self.name} knows no cash on delivery here")

    def late_word(self, order_id: str, move: Move) -> None:
        """The order's own word stays behind its payments for some reads."""
        raise ImpossibleMoveError(f"{self.name} knows no late word of an order here")

    @abstractmethod
    def send_event(self, order_id: str, event_type: str) -> None:
        """A webhook of this type about the order as it stands, also where no verb leads to it."""

    @abstractmethod
    def settle(self) -> None:
        """The bank's transfer of all that was captured and is not settled yet, now instead of in days."""

    @abstractmethod
    def order_of_refund(self, refund_id: str) -> str | None: ...

    @abstractmethod
    def refund_success(self, refund_id: str) -> None: ...

    @abstractmethod
    def refund_failure(self, refund_id: str) -> None: ...


def _said(allowed: Collection[Any]) -> str:
    if isinstance(allowed, range):
        return f"an integer from {allowed[0]} to {allowed[-1]}"
    return "one of " + ", ".join(str(value) for value in allowed)
