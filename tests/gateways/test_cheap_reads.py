"""How many calls it takes to read an order: one for who asks again, while its word says that it is open."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.news import OrderRef
from payments_service.domain.states import PaymentStatus
from payments_service.gateways.base import Gateway
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.gateways.razorpay import RazorpayGateway
from tests.gateways import cashfree_wire, razorpay_wire
from tests.gateways.hooks import WIRE_ID
from tests.gateways.test_cashfree_contract import TestCashfreeContract as CashfreeContract
from tests.gateways.test_razorpay_contract import TestRazorpayContract as RazorpayContract
from tests.gateways.wire import Reply, Request, Wire, wire

ORDER = razorpay_wire.ORDER
COMES_AGAIN = (Urgency.PAYER, Urgency.POLLING)
WANTS_ALL = (Urgency.VERIFY, Urgency.WAKE_UP)
UNTOUCHED = {"status": "created", "attempts": 0, "amount_paid": 0, "created_at": int(time.time())}
SOON, PAST = timedelta(minutes=5), -timedelta(seconds=1)


def reads(gateway: Gateway, line: Wire, order: OrderRef, urgency: Urgency) -> list[str]:
    snapshot = gateway.fetch_payment(order, Deadline(5, urgency))
    assert (snapshot.status, snapshot.fetched) == (PaymentStatus.PENDING, True)
    return [request.path for request in line.requests]


@contextmanager
def razorpay(**members: Any) -> Iterator[tuple[RazorpayGateway, Wire]]:
    """It has the order with these members, and one failed attempt of it."""
    contract = RazorpayContract()
    failed = razorpay_wire.payment(contract.paid) | razorpay_wire.FAILED

    def answer(request: Request) -> Reply:
        if request.path.endswith("/payments"):
            return Reply.of(razorpay_wire.listed(failed))
        return Reply.of(razorpay_wire.order(contract.paid) | members)

    with wire(answer) as line:
        yield RazorpayGateway(contract.config(line.url)), line


@contextmanager
def cashfree(word: str, ends_in: timedelta | None) -> Iterator[tuple[CashfreeGateway, Wire]]:
    contract = CashfreeContract()
    entity = cashfree_wire.order(contract.paid) | {"order_status": word, "order_expiry_time": None}
    if ends_in is not None:
        entity["order_expiry_time"] = (datetime.now(UTC) + ends_in).isoformat(timespec="seconds")

    def answer(request: Request) -> Reply:
        is_list = request.path.endswith("/payments")
        return Reply.of([cashfree_wire.failed_payment(contract.paid)] if is_list else entity)

    with wire(answer) as line:
        yield CashfreeGateway(contract.config(line.url)), line


@pytest.mark.parametrize("urgency", COMES_AGAIN)
def test_a_razorpay_order_that_has_no_attempts_is_read_by_one_call(urgency: Urgency) -> None:
    with razorpay(**UNTOUCHED) as (gateway, line):
        assert reads(gateway, line, OrderRef(WIRE_ID, ORDER), urgency) == [f"/v1/orders/{ORDER}"]


@pytest.mark.parametrize(
    ("urgency", "members"),
    [
        *((urgency, {}) for urgency in WANTS_ALL),
        (Urgency.POLLING, {"status": "attempted"}),
        (Urgency.POLLING, {"attempts": 1}),
        (Urgency.POLLING, {"attempts": None}),
        (Urgency.POLLING, {"attempts": False}),
        (Urgency.POLLING, {"amount_paid": 1}),
        (Urgency.POLLING, {"created_at": int(time.time()) - 14 * 60}),  # before any clock of ours ends it
        (Urgency.POLLING, {"created_at": None}),
    ],
)
def test_otherwise_a_razorpay_orders_attempts_are_read(urgency: Urgency, members: dict[str, Any]) -> None:
    with razorpay(**UNTOUCHED | members) as (gateway, line):
        asked = reads(gateway, line, OrderRef(WIRE_ID, ORDER), urgency)
    assert asked == [f"/v1/orders/{ORDER}", f"/v1/orders/{ORDER}/payments"]


@pytest.mark.parametrize("urgency", COMES_AGAIN)
def test_a_cashfree_order_that_can_still_be_paid_is_read_by_one_call(urgency: Urgency) -> None:
    with cashfree("ACTIVE", SOON) as (gateway, line):
        assert reads(gateway, line, OrderRef(WIRE_ID), urgency) == [f"/orders/{WIRE_ID}"]


@pytest.mark.parametrize(
    ("urgency", "word", "ends_in"),
    [
        *((urgency, "ACTIVE", SOON) for urgency in WANTS_ALL),
        (Urgency.POLLING, "ACTIVE", PAST),  # before any clock of ours ends it
        (Urgency.POLLING, "ACTIVE", None),
        (Urgency.POLLING, "TERMINATION_REQUESTED", SOON),
    ],
)
def test_otherwise_a_cashfree_orders_attempts_are_read(
    urgency: Urgency, word: str, ends_in: timedelta | None
) -> None:
    with cashfree(word, ends_in) as (gateway, line):
        asked = reads(gateway, line, OrderRef(WIRE_ID), urgency)
    assert asked == [f"/orders/{WIRE_ID}", f"/orders/{WIRE_ID}/payments"]
