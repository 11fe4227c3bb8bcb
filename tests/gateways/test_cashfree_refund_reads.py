"""Cashfree lets refunds be read 30 times a minute: a budget of their own, which costs payers nothing."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import BudgetUsedUp, OutcomeUnknown, Unavailable
from payments_service.domain.news import OrderRef, PaymentSnapshot, RefundRef
from payments_service.domain.states import PaymentStatus
from payments_service.gateways.bounds import CLOSED, FAILURES_IN_A_ROW, ReadBudget
from payments_service.gateways.cashfree import CashfreeGateway
from tests.gateways.cashfree_wire import PAYMENT, error_reply
from tests.gateways.hooks import REFUND_ID, WIRE_ID
from tests.gateways.test_cashfree import POST_REFUND, REFUND, REFUNDS, Talk, contract, talk
from tests.gateways.wire import Reply, Wire

__all__ = ["talk"]

ORDER = OrderRef(WIRE_ID)
OURS = RefundRef(REFUND_ID, ORDER, PAYMENT)
THEIRS = RefundRef("", ORDER, PAYMENT, "1553338")
TOO_MANY = Reply.of({"message": "slow down"}, 429, **{"x-ratelimit-retry": "40"})
WITHOUT_PATIENCE = [urgency for urgency in Urgency if urgency is not Urgency.REFUND]


def fetch(gateway: CashfreeGateway, urgency: Urgency = Urgency.VERIFY) -> PaymentSnapshot:
    return gateway.fetch_payment(ORDER, Deadline(5, urgency))


def refund_reads(line: Wire) -> int:
    return sum("/refunds" in request.path and request.method == "GET" for request in line.requests)


def use_up(gateway: CashfreeGateway, reads_per_second: float) -> None:
    gateway.refund_reads = ReadBudget("cashfree refunds", reads_per_second)
    gateway.refund_reads.lower(60)


def test_thirty_a_minute_are_read_and_no_more() -> None:
    gateway = contract.gateway_type(contract.config("http://localhost:9"))
    assert isinstance(gateway, CashfreeGateway)
    assert gateway.refund_reads._per_second == 0.5
    assert gateway.refund_reads is not gateway.session.reads


def test_twenty_paid_orders_at_once_are_all_told_and_their_refunds_are_not_all_read(talk: Talk) -> None:
    gateway, line = talk()
    told = [fetch(gateway) for _ in range(20)]
    assert {one.status for one in told} == {PaymentStatus.COMPLETED}
    assert told[0].refunds
    assert told[-1].refunds is None
    assert refund_reads(line) < 5


def test_payers_leave_reads_of_refunds_to_webhooks_that_may_tell_of_one(talk: Talk) -> None:
    gateway, _ = talk()
    for _ in range(3):
        fetch(gateway, Urgency.VERIFY)
    assert fetch(gateway, Urgency.VERIFY).refunds is None
    assert fetch(gateway, Urgency.WAKE_UP).refunds


@pytest.mark.parametrize("urgency", WITHOUT_PATIENCE)
def test_refunds_beyond_their_budget_are_not_asked_for_and_not_waited_for(
    talk: Talk, urgency: Urgency
) -> None:
    gateway, line = talk()
    use_up(gateway, reads_per_second=4.0)  # a turn comes within half a second
    snapshot = fetch(gateway, urgency)
    assert (snapshot.status, snapshot.refunds) == (PaymentStatus.COMPLETED, None)
    assert refund_reads(line) == 0


def test_a_refund_that_is_about_to_be_sent_waits_for_its_turn(talk: Talk) -> None:
    gateway, _ = talk()
    use_up(gateway, reads_per_second=4.0)
    assert fetch(gateway, Urgency.REFUND).refunds


def calls(gateway: CashfreeGateway) -> list[Callable[[], Any]]:
    return [
        lambda: fetch(gateway, Urgency.REFUND),
        lambda: gateway.fetch_refund(OURS, Deadline(5, Urgency.POLLING)),
        lambda: gateway.fetch_refund(THEIRS, Deadline(5, Urgency.POLLING)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_429_for_refunds_holds_up_no_other_read(talk: Talk, number: int) -> None:
    gateway, _ = talk({REFUNDS: TOO_MANY, REFUND: TOO_MANY})
    with suppress(Unavailable):  # a payment is read without its refunds
        calls(gateway)[number]()
    assert fetch(gateway, Urgency.PAYER).status is PaymentStatus.COMPLETED
    assert gateway.refund_reads.left < 0.1
    for _ in range(FAILURES_IN_A_ROW):
        gateway.refund_reads = ReadBudget("cashfree refunds", 0.5)
        with suppress(Unavailable):
            calls(gateway)[number]()
    assert gateway.session.readings.state == CLOSED
    assert gateway.session.reads._lowered_until <= gateway.session.reads._counted_at


@pytest.mark.parametrize("ref", [OURS, THEIRS])
def test_a_question_about_one_refund_takes_from_the_same_budget(talk: Talk, ref: RefundRef) -> None:
    gateway, line = talk()
    use_up(gateway, reads_per_second=0.5)
    with pytest.raises(BudgetUsedUp):
        gateway.fetch_refund(ref, Deadline(0.2, Urgency.POLLING))
    assert refund_reads(line) == 0


def test_a_refused_refund_that_may_be_there_is_looked_for_with_patience(talk: Talk) -> None:
    gateway, _ = talk({POST_REFUND: error_reply("400")})
    use_up(gateway, reads_per_second=4.0)
    assert contract.call("create_refund", gateway).refund_id == REFUND_ID
    use_up(gateway, reads_per_second=0.5)
    with pytest.raises(OutcomeUnknown):
        contract.call("create_refund", gateway, seconds=0.5)
