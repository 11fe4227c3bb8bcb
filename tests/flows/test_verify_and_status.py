"""verify and status: nothing unpaid is a success, and a known payment is always told of."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import NotFound, StoreUnavailable, Unavailable
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.states import PaymentStatus
from payments_service.flows import asking
from payments_service.flows.payment_view import PaymentView
from payments_service.flows.status import status
from payments_service.flows.verify import NotCompletedYet, UnderReview, VerificationFailed, verify
from payments_service.store import payments
from payments_service.store.db import Database
from tests.flows.conftest import PRICE, Ledger, buy
from tests.support.fake_gateway import FakeGateway


def check(db: Database, gateway: FakeGateway, payment: PaymentView, proof: str | None = None) -> PaymentView:
    fields = {"orderId": payment.order_id or "", "proof": proof or f"proof of {payment.order_id}"}
    return verify(db, "fake", [gateway], fields, "request-9")


def let_time_run_out(db: Database, payment_id: UUID) -> None:
    with db.begin() as session:
        payments.lock(session, payment_id).expires_at = datetime.now(UTC) - timedelta(seconds=1)


def test_a_forged_proof_is_refused_also_when_the_payment_is_completed(
    db: Database, gateway: FakeGateway
) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    with pytest.raises(VerificationFailed) as raised:
        check(db, gateway, opened, "forged")
    assert (raised.value.http_status, raised.value.message) == (400, "Payment signature verification failed")
    assert check(db, gateway, opened).status is PaymentStatus.COMPLETED
    with pytest.raises(VerificationFailed):
        check(db, gateway, opened, "forged")


def test_a_completed_payment_is_verified_from_the_ledger(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    gateway.paid("pay_1", PRICE)
    check(db, gateway, opened)
    gateway.fetch_error = Unavailable("away")
    gateway.calls.clear()
    assert check(db, gateway, opened).payment_id == "pay_1"
    assert gateway.calls == []


@pytest.mark.parametrize("trouble", [None, Unavailable("away")])
def test_what_is_not_paid_is_pending_whether_or_not_the_gateway_can_be_asked(
    db: Database, gateway: FakeGateway, trouble: Unavailable | None
) -> None:
    opened = buy(db, gateway)
    gateway.fetch_error = trouble
    with pytest.raises(NotCompletedYet) as raised:
        check(db, gateway, opened)
    assert raised.value.http_status == 402
    assert raised.value.extra == {"paymentStatus": "pending", "retryable": True}


def test_verifications_that_repeat_take_no_read_that_another_payer_needs(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "may_ask", lambda *_: True)
    urgencies: list[Urgency] = []
    fetch = gateway.fetch_payment

    def fetch_payment(order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        urgencies.append(deadline.urgency)
        return fetch(order, deadline)

    monkeypatch.setattr(gateway, "fetch_payment", fetch_payment)
    opened, other = buy(db, gateway), buy(db, gateway)
    for payment in (*[opened] * (asking.MOST_URGENT + 2), other):
        with pytest.raises(NotCompletedYet):
            check(db, gateway, payment)
    urgent = [Urgency.VERIFY] * asking.MOST_URGENT
    assert urgencies == [*urgent, Urgency.LOOKUP, Urgency.LOOKUP, Urgency.VERIFY]


def test_an_expired_payment_has_failed_only_when_the_gateway_was_asked_just_now(
    db: Database, gateway: FakeGateway
) -> None:
    opened = buy(db, gateway)
    let_time_run_out(db, opened.id)
    with pytest.raises(VerificationFailed) as failed:
        check(db, gateway, opened)
    assert failed.value.extra == {"status": "pending", "paymentStatus": "expired"}
    gateway.fetch_error = Unavailable("away")
    with pytest.raises(NotCompletedYet) as pending:
        check(db, gateway, opened)
    assert pending.value.extra["paymentStatus"] == "expired"


def test_our_clock_ends_a_payment_also_when_the_gateway_cannot_be_asked(
    db: Database, gateway: FakeGateway
) -> None:
    opened = buy(db, gateway)
    let_time_run_out(db, opened.id)
    gateway.fetch_error = Unavailable("away")
    assert status(db, "fake", [gateway], str(opened.id), "r").status is PaymentStatus.EXPIRED


def test_a_payment_under_review_is_neither_paid_nor_failed(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    with db.begin() as session:
        payments.lock(session, opened.id).review = "amount_mismatch"
    with pytest.raises(UnderReview) as raised:
        check(db, gateway, opened)
    assert raised.value.http_status == 409


def test_polling_pages_ask_the_gateway_once_in_a_while(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    gateway.calls.clear()
    for _ in range(20):
        status(db, "fake", [gateway], str(opened.id), "r")
    assert gateway.calls == ["fetch_payment"]


@pytest.mark.parametrize("ended", [PaymentStatus.COMPLETED, PaymentStatus.FAILED, PaymentStatus.EXPIRED])
def test_a_payment_that_ended_is_told_from_the_ledger(
    db: Database, gateway: FakeGateway, ended: PaymentStatus
) -> None:
    opened = buy(db, gateway)
    gateway.status = ended
    status(db, "fake", [gateway], str(opened.id), "r")
    gateway.calls.clear()
    assert status(db, "fake", [gateway], str(opened.id), "r").status is ended
    assert gateway.calls == []


def test_a_payment_is_told_of_when_its_gateway_is_switched_off(db: Database, gateway: FakeGateway) -> None:
    opened = buy(db, gateway)
    assert status(db, "fake", [], str(opened.id), "r").id == opened.id


def test_a_payment_is_told_of_while_the_store_takes_no_writes(
    db: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = buy(db, gateway)

    def refuse() -> Iterator[None]:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(db, "begin", refuse)
    assert status(db, "fake", [gateway], str(opened.id), "r").status is PaymentStatus.PENDING


def test_a_payment_id_that_nobody_told_us_is_looked_up_once(
    db: Database, gateway: FakeGateway, ledger: Ledger
) -> None:
    opened = buy(db, gateway)
    gateway.owner_of_payment_id = OrderRef("", opened.order_id)
    gateway.fetch_error = Unavailable("away")
    ours = f"pay_{opened.id.hex}"
    assert {status(db, "fake", [gateway], ours, "r").id for _ in range(5)} == {opened.id}
    assert gateway.calls.count("find_by_payment_id") == 1
    gateway.owner_of_payment_id = None
    for _ in range(5):
        with pytest.raises(NotFound):
            status(db, "fake", [gateway], f"pay_x{opened.id.hex}", "r")
    assert gateway.calls.count("find_by_payment_id") == 2
