"""Whose turn it is to ask about one payment: seldom for the gateway, never an old answer for a payer."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import PaymentsError
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.states import PaymentStatus
from payments_service.flows import asking, verify
from payments_service.flows.payment_view import PaymentView
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, buy
from tests.support.fake_gateway import FakeGateway

WINDOW = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ASK_EVERY", WINDOW)
    monkeypatch.setattr(asking, "LOOK_EVERY_SECONDS", 0.05)


class Signed(FakeGateway):
    """What a browser brings back from it is signed, and names the payment."""

    returns_are_signed = True


def come_back(db: Database, gateway: FakeGateway, opened: PaymentView, payment_id: str = "pay_1") -> str:
    """The word of an answer: completed, or the code of what it was instead."""
    fields = {
        "orderId": opened.order_id or "",
        "proof": f"proof of {opened.order_id}",
        "paymentId": payment_id,
    }
    try:
        return verify.verify(db, gateway.name, [gateway], fields, "request-1").status.value
    except PaymentsError as error:
        return error.code


def asked(gateway: FakeGateway) -> int:
    return gateway.calls.count("fetch_payment")


def test_a_payer_is_never_told_an_earlier_not_yet(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    assert come_back(db, gateway, opened) == "payment_pending"
    gateway.paid("pay_1", PRICE)
    assert come_back(db, gateway, opened) == "completed"
    assert asked(gateway) == 2


def test_a_flood_about_one_payment_is_a_call_in_each_window_and_holds_up_no_other(
    db: Database, gateway: FakeGateway
) -> None:
    flooded, other = buy(db, gateway), buy(db, gateway)
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: come_back(db, gateway, flooded), range(60)))
        windows = (time.monotonic() - began) / WINDOW.total_seconds()
        assert set(answers) == {"payment_pending"}
        assert asked(gateway) <= windows + 2
        gateway.paid("pay_2", PRICE)
        assert come_back(db, gateway, other) == "completed"


def test_who_comes_while_a_call_is_under_way_shares_the_next_one(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    under_way, go_on = threading.Event(), threading.Event()
    ask: Callable[[OrderRef, Deadline], PaymentSnapshot] = gateway.fetch_payment

    def slowly(order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        answer = ask(order, deadline)
        under_way.set()
        go_on.wait(5)
        return answer

    gateway.fetch_payment = slowly  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(come_back, db, gateway, opened)
        under_way.wait(5)
        gateway.paid("pay_1", PRICE)  # after the first answer was made
        others = [pool.submit(come_back, db, gateway, opened) for _ in range(3)]
        time.sleep(0.2)
        go_on.set()
        assert first.result() == "payment_pending"
        assert [other.result() for other in others] == ["completed"] * 3
    assert asked(gateway) == 2


def test_a_new_genuine_return_asks_at_once_and_the_same_one_again_does_not(db: Database) -> None:
    gateway = Signed()
    opened = buy(db, gateway)
    gateway.status = PaymentStatus.PENDING
    for payment_id, calls in (("pay_1", 1), ("pay_2", 2)):
        assert come_back(db, gateway, opened, payment_id) == "payment_pending"
        assert asked(gateway) == calls
    began = time.monotonic()
    assert come_back(db, gateway, opened, "pay_2") == "payment_pending"
    assert asked(gateway) == 3
    assert time.monotonic() - began >= WINDOW.total_seconds() / 2
