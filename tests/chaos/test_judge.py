"""The judge by hand: the one end that is neither paid, failed nor expired, and nothing looser than it.

And its sabotages: a rule that cannot be taken out any more proves nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import checker
from tests.chaos.books import TABLES
from tests.chaos.checker import Facts
from tests.chaos.payers import Diary
from tests.chaos.sabotage import SABOTAGES, Sabotage
from tests.chaos.storm import Outcome
from tests.chaos.town import ROOT, Options
from tests.support.patching import patched

Books = dict[str, list[dict[str, Any]]]
PAID_AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
HELD, PAID = "held", "paid"


def books() -> Books:
    """One order number, paid by one payment while the bank holds the money of another for it."""
    made: Books = {table: [] for table in TABLES}
    common = {"reference": "ORDER-1", "price_verified": True, "amount": 100, "transaction_id": None}
    made["payments"] = [
        {"id": HELD, "status": "authorized", **common},
        {"id": PAID, "status": "completed", **common},
    ]
    made["payment_orders"] = [{"id": "order", "payment_id": HELD, "wire_id": "psv_1"}]
    made["payment_attempts"] = [{"transaction_id": "pay_1", "order_id": "order"}]
    made["payment_references"] = [{"reference": "ORDER-1", "paid_by": PAID}]
    made["payment_reviews"] = [{"payment_id": HELD, "reason": "reference_paid_twice", "closed_at": None}]
    made["payment_events"] = [
        move(PAID, "completed", PAID_AT),
        move(HELD, "authorized", PAID_AT - timedelta(seconds=5)),
    ]
    return made


def move(payment: str, to: str, at: datetime) -> dict[str, Any]:
    return {"payment_id": payment, "kind": "status", "sequence": 1, "to_status": to, "created_at": at}


def outcome(of: Books, log: str = "") -> Outcome:
    paid = {"wireId": "psv_2", "status": "paid", "attempts": []}
    of["payment_orders"].append({"id": "other", "payment_id": PAID, "wire_id": "psv_2"})
    return Outcome(
        options=Options(),
        folder=Path(),
        database_url="",
        books=of,
        orders=[{"orderId": "order_2", "gateway": "razorpay", "amountPaise": 100, "refunds": []} | paid],
        deliveries=[],
        told=[],
        diary=Diary(),
        log=log,
        secrets=(),
    )


def ends(of: Books) -> list[str]:
    found = checker.every_payment_ends_as_its_gateway_says(Facts(outcome(of)))
    return [what for subject, what in found if subject == HELD]


def test_money_that_is_held_for_a_paid_reference_may_stay_so_while_a_person_is_asked() -> None:
    assert ends(books()) == []


def not_asked(of: Books) -> None:
    of["payment_reviews"].clear()


def answered(of: Books) -> None:
    of["payment_reviews"][0]["closed_at"] = PAID_AT


def asked_something_else(of: Books) -> None:
    of["payment_reviews"][0]["reason"] = "second_success"


def asked_of_another(of: Books) -> None:
    of["payment_reviews"][0]["payment_id"] = PAID


def not_paid(of: Books) -> None:
    of["payment_references"][0]["paid_by"] = None


def paid_by_itself(of: Books) -> None:
    of["payment_references"][0]["paid_by"] = HELD


def not_vouched_for(of: Books) -> None:
    of["payments"][0]["price_verified"] = False


def not_held(of: Books) -> None:
    of["payments"][0]["status"] = "pending"


@pytest.mark.parametrize(
    "change",
    [
        not_asked,
        answered,
        asked_something_else,
        asked_of_another,
        not_paid,
        paid_by_itself,
        not_vouched_for,
        not_held,
    ],
)
def test_whatever_else_is_left_open_is_not_an_end(change: Callable[[Books], None]) -> None:
    of = books()
    change(of)
    assert ends(of) == [f"still {of['payments'][0]['status']}"]


@pytest.mark.parametrize(
    ("sent_after", "held_after", "is_wrong"),
    [
        (2, -5, False),  # decided before the other one had paid
        (30, -5, True),
        (2, 1.5, True),
    ],
)
def test_it_must_not_be_captured_once_the_other_has_paid(
    sent_after: float, held_after: float, *, is_wrong: bool
) -> None:
    of = books()
    of["payment_events"][1] = move(HELD, "authorized", PAID_AT + timedelta(seconds=held_after))
    at = (PAID_AT + timedelta(seconds=sent_after, milliseconds=250)).isoformat()
    line = f'[{at}] [INFO] Gateway call {{"method": "POST", "path": "/razorpay/v1/payments/pay_1/capture"'
    log = f'a line\n{line}, "milliseconds": 250}}\n{line}'
    found = list(checker.money_held_for_a_paid_reference_is_not_captured(Facts(outcome(of, log))))
    assert [subject for subject, _ in found] == ([HELD] if is_wrong else [])


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_a_sabotage_fits_the_package_and_expects_a_rule_of_the_judge(sabotage: Sabotage) -> None:
    patched(ROOT / "payments_service", sabotage.patches)
    assert set(sabotage.expects) <= {rule.__name__.replace("_", " ") for rule in checker.RULES}
