"""What a gateway's contract test brings along: data, hooks, and the helpers that the contract uses."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import GatewayError
from payments_service.domain.money import Money
from payments_service.domain.news import (
    Customer,
    EventKind,
    NewOrder,
    NewRefund,
    OrderRef,
    RefundRef,
    WebhookEvent,
)
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.gateways.base import Gateway
from payments_service.gateways.bounds import ReadBudget
from tests.gateways.wire import Answer, Reply, Request, Trouble, Wire, wire

WIRE_ID = "psv_0123456789abcdefghijklmn"
OTHER_WIRE_ID = "psv_nmlkjihgfedcba9876543210"
REFUND_ID = "psr_0123456789abcdef"
CUSTOMER = Customer("c0ffee", "Aśa Rāo-Secretname", "hidden.buyer@example.com", "9123456780")
AMOUNT = Money(10015)
PLENTY = 100_000.0
"""Reads a second: a contract asks thousands of times, and how much may be asked is another test's matter."""
SLOW = (Trouble.HANG, Trouble.SLOW_HEAD, Trouble.SLOW_BODY)


@dataclasses.dataclass
class World:
    """One order at the gateway with what happened to it, in the gateway's own words."""

    order_word: str
    attempt_word: str
    refund_word: str
    amount: Money = AMOUNT
    wire_id: str = WIRE_ID

    def but(self, **changes: Any) -> "World":
        return dataclasses.replace(self, **changes)


class GatewayHooks:
    gateway_type: ClassVar[type[Gateway]]
    paid: ClassVar[World]
    """An order that was paid by `transaction_id` and partly refunded."""
    transaction_id: ClassVar[str]
    gateway_order_id: ClassVar[str]
    writes: ClassVar[tuple[str, ...]] = ("create_order", "capture", "create_refund")
    reads: ClassVar[tuple[str, ...]] = ("fetch_payment", "fetch_refund", "find_by_payment_id")
    paises: ClassVar[Mapping[int, str]]
    """Amounts in paise, each as the very text in which it must stand in a request."""
    order_words: ClassVar[Mapping[str, PaymentStatus]]
    attempt_words: ClassVar[Mapping[str, AttemptStatus]]
    refund_words: ClassVar[Mapping[str, RefundStatus]]
    event_names: ClassVar[Mapping[str, EventKind]]
    """Every documented word and event, with what it means; the first two events tell of a payment."""
    quiet: ClassVar[Mapping[str, str]] = {}
    """Words of a world in which the order's own word decides."""
    refusal: ClassVar[Reply]
    wrong_keys: ClassVar[Reply]
    unknown_order: ClassVar[Reply]
    api_secrets: ClassVar[tuple[str, ...]]
    webhook_secrets: ClassVar[tuple[str, str]]
    body_is_signed: ClassVar[bool] = True
    refunds_at: ClassVar[str | None] = None
    """How the address of an order's refunds ends, which a payment may be read without."""
    wakes: ClassVar[frozenset[str]] = frozenset()
    """Events that say too little for a snapshot and only wake, although their body is signed."""
    kept: ClassVar[frozenset[str]] = frozenset()
    """Events of which nothing is believed and after which there is nothing to ask: they are stored."""
    credential_headers: ClassVar[tuple[str, ...]]

    # ── hooks ───────────────────────────────────────────────────────────────────────────────────────

    def config(self, url: str) -> Any:
        raise NotImplementedError

    def serve(self, request: Request, world: World) -> Reply:
        """What a healthy gateway answers."""
        raise NotImplementedError

    def is_login(self, request: Request) -> bool:
        return False

    def sent_amount(self, request: Request) -> str:
        raise NotImplementedError

    def sent_id(self, request: Request) -> str:
        """Our own id in a create-order request."""
        raise NotImplementedError

    def event(self, name: str, world: World) -> bytes:
        """A documented event, as the gateway writes it."""
        raise NotImplementedError

    def sign(self, raw: bytes, secret: str, number: int = 1) -> dict[str, str]:
        """The headers of the `number`th event, names in lower case."""
        raise NotImplementedError

    def enclose(self, content: bytes) -> bytes:
        """Anything at all, in the place where the gateway puts what it signs."""
        return content

    def content(self, raw: bytes) -> Any:
        """What `enclose` enclosed, as JSON."""
        return json.loads(raw)

    def rewritten(self, raw: bytes) -> list[bytes]:
        """The same event as other JSON text: what a parser and a printer make of it."""
        value = json.loads(raw)
        texts = (json.dumps(value), json.dumps(value, indent=1), json.dumps(value, sort_keys=True))
        return [*(text.encode() for text in texts), raw + b"\n", b" " + raw]

    def genuine_return(self, order: OrderRef, transaction_id: str) -> dict[str, str] | None:
        """What a browser brings back, by verify field; None where the gateway signs nothing of it."""
        raise NotImplementedError

    # ── helpers ─────────────────────────────────────────────────────────────────────────────────────

    def gateway(self, url: str = "http://localhost:9") -> Gateway:
        made: Any = self.gateway_type(self.config(url))
        session = getattr(made, "session", None) or made.client.session
        session.reads = ReadBudget(made.provider, PLENTY)
        if hasattr(made, "refund_reads"):
            made.refund_reads = ReadBudget(made.provider, PLENTY)
        return cast(Gateway, made)

    def healthy(self, world: World | None = None) -> Callable[[Request], Reply]:
        return lambda request: self.serve(request, world or self.paid)

    def healthy_but(self, path: str, answer: Answer) -> Callable[[Request], Answer]:
        return lambda request: answer if request.path == path else self.serve(request, self.paid)

    def new_order(self, amount: Money) -> NewOrder:
        url = "https://shop.example.com/back"
        return NewOrder(
            WIRE_ID, amount, CUSTOMER, "Course «Algebra»", url, url, datetime(2099, 1, 1, tzinfo=UTC)
        )

    def call(self, verb: str, gateway: Gateway, amount: Money = AMOUNT, seconds: float = 5) -> Any:
        """A verb with our own ids only, where those must be enough."""
        deadline, order = Deadline(seconds), OrderRef(WIRE_ID)
        match verb:
            case "create_order":
                return gateway.create_order(self.new_order(amount), deadline)
            case "capture":
                return gateway.capture(order, self.transaction_id, amount, deadline)
            case "create_refund":
                refund = NewRefund(REFUND_ID, order, self.transaction_id, amount, "returned goods")
                return gateway.create_refund(refund, deadline)
            case "fetch_payment":
                return gateway.fetch_payment(order, deadline)
            case "fetch_refund":
                return gateway.fetch_refund(RefundRef(REFUND_ID, order, self.transaction_id), deadline)
            case "close":
                return gateway.close(order, deadline)
            case _:
                return gateway.find_by_payment_id(self.transaction_id, deadline)

    def in_trouble(self, verb: str, answer: Answer) -> tuple[GatewayError, list[Request]]:
        """The error of a verb that meets this answer, and the requests it sent."""
        with wire(
            lambda request: dataclasses.replace(
                self.serve(request, self.paid), headers={"Connection": "close"}
            )
        ) as line:
            gateway = self.gateway(line.url)
            self.call("fetch_payment", gateway)  # whoever must log in has done so
            line.requests.clear()
            line.answer = answer
            with pytest.raises(GatewayError) as caught:
                self.call(verb, gateway, seconds=0.4 if answer in SLOW else 5)
            return caught.value, line.requests

    def read(self, raw: bytes, secret: str | None = None, number: int = 1) -> WebhookEvent:
        headers = self.sign(raw, self.webhook_secrets[0] if secret is None else secret, number)
        return self.gateway().read_webhook(headers, raw)

    def snapshot(self, world: World) -> Any:
        with wire(self.healthy(world)) as line:
            return self.call("fetch_payment", self.gateway(line.url))

    def sent_writes(self, line: Wire) -> list[Request]:
        return [
            request for request in line.requests if request.method != "GET" and not self.is_login(request)
        ]
