"""Money and states, for all values: no paisa is lost, nothing leaves completed."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_service.domain.money import Money, json_number
from payments_service.domain.states import (
    INBOX_MOVES,
    MOVES,
    ORDER_MOVES,
    RANK,
    IllegalMove,
    InboxOutcome,
    OrderStatus,
    PaymentStatus,
    may_move,
    order_becomes,
    outcome_becomes,
)

amounts = st.integers(min_value=-(10**15), max_value=10**15)
statuses = st.sampled_from(PaymentStatus)


@given(amounts)
def test_rupees_and_paise_are_the_same_money(minor: int) -> None:
    money = Money(minor)
    assert Money.from_major(money.major) == money
    assert Money.from_major(str(money.major)) == money
    assert json.loads(json.dumps(json_number(money)), parse_float=Decimal) == money.major


@given(amounts, amounts)
def test_sums_are_exact(one: int, other: int) -> None:
    assert (Money(one) + Money(other)) - Money(other) == Money(one)
    assert (Money(one) <= Money(other)) is (one <= other)


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_from_major_is_exact_or_refuses(major: Decimal) -> None:
    try:
        money = Money.from_major(major)
    except ValueError:
        return
    assert money.major == major


TOO_FINE = [
    "100." + "0" * 31 + "1",
    "100." + "0" * 29 + "1",
    "100." + "0" * 26 + "1",
    "99.99" + "9" * 30,
    "100.0005" + "0" * 40,
    "-100." + "0" * 31 + "1",
    "1234567890123456.78" + "0" * 12 + "1",
    "0." + "0" * 60 + "1",
    "1e-2000000",
]
"""Amounts that are a whole number of paise only after they are rounded to 28 digits, and their neighbours."""


@pytest.mark.parametrize("text", TOO_FINE)
@pytest.mark.parametrize("kind", [str, Decimal])
@pytest.mark.parametrize("currency", ["INR", "JPY", "KWD"])
def test_no_digit_is_rounded_away_before_the_decimals_are_counted(
    text: str, kind: type, currency: str
) -> None:
    with pytest.raises(ValueError, match="more decimals"):
        Money.from_major(kind(text), currency)


@pytest.mark.parametrize(
    ("text", "paise"),
    [
        ("100." + "0" * 40, 10000),
        ("100.05" + "0" * 40, 10005),
        ("1e2", 10000),
        ("9" * 16 + ".99", 10**18 - 1),
        ("0E-2000000", 0),
    ],
)
def test_noughts_behind_the_paise_change_no_amount(text: str, paise: int) -> None:
    assert Money.from_major(text) == Money(paise)


@pytest.mark.parametrize("wrong", [1.0, True, "1", None, Decimal(1)])
def test_minor_units_are_whole_numbers_and_nothing_else(wrong: object) -> None:
    with pytest.raises(TypeError):
        Money(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [1.0, True, None])
def test_a_float_never_becomes_money(wrong: object) -> None:
    with pytest.raises(TypeError):
        Money.from_major(wrong)  # type: ignore[arg-type]


def test_currencies_do_not_mix() -> None:
    for mix in (Money.__add__, Money.__sub__, Money.__lt__, Money.__le__):
        with pytest.raises(ValueError, match="do not mix"):
            mix(Money(1), Money(1, "USD"))
    assert Money(1) != Money(1, "USD")


@given(statuses, st.booleans(), st.booleans())
def test_nothing_leaves_completed(claimed: PaymentStatus, newer: bool, released: bool) -> None:
    assert may_move(PaymentStatus.COMPLETED, claimed, newer=newer, released=released) is None


@given(statuses, statuses)
def test_older_news_never_lowers_a_payment(current: PaymentStatus, claimed: PaymentStatus) -> None:
    if may_move(current, claimed, newer=False, released=True):
        assert RANK[claimed] > RANK[current]


@given(st.lists(st.tuples(statuses, st.booleans(), st.booleans()), max_size=20))
def test_however_news_arrives_a_success_among_it_wins(news: list[tuple[PaymentStatus, bool, bool]]) -> None:
    current = PaymentStatus.INITIATED
    for claimed, newer, released in news:
        if may_move(current, claimed, newer=newer, released=released):
            assert (current, claimed) in MOVES
            current = claimed
    if PaymentStatus.COMPLETED in [claimed for claimed, _, _ in news]:
        assert current is PaymentStatus.COMPLETED


@pytest.mark.parametrize("ended", [PaymentStatus.FAILED, PaymentStatus.EXPIRED])
def test_failed_and_expired_are_not_final(ended: PaymentStatus) -> None:
    assert may_move(ended, PaymentStatus.COMPLETED, newer=False)
    assert may_move(ended, PaymentStatus.PENDING, newer=True) is None


def test_a_hold_is_left_only_with_proof_that_it_was_released() -> None:
    held, failed = PaymentStatus.AUTHORIZED, PaymentStatus.FAILED
    assert may_move(held, failed, newer=True) is None
    assert may_move(held, failed, newer=False, released=True) is None
    assert may_move(held, failed, newer=True, released=True)


@given(st.sampled_from(OrderStatus), st.sampled_from(OrderStatus))
def test_an_order_makes_its_legal_moves_and_stays_and_no_other(before: OrderStatus, to: OrderStatus) -> None:
    if before is to or (before, to) in ORDER_MOVES:
        assert order_becomes(before, to) is to
    else:
        with pytest.raises(IllegalMove):
            order_becomes(before, to)


@given(st.sampled_from(InboxOutcome), st.sampled_from(InboxOutcome))
def test_an_event_makes_its_legal_moves_and_stays_and_no_other(
    before: InboxOutcome, to: InboxOutcome
) -> None:
    if before is to or (before, to) in INBOX_MOVES:
        assert outcome_becomes(before, to) is to
    else:
        with pytest.raises(IllegalMove):
            outcome_becomes(before, to)


def test_what_is_done_with_stays_so_but_for_a_replay_and_what_is_not_can_be_done_with() -> None:
    leaves_done = [move for move in INBOX_MOVES if move[0].is_done]
    assert leaves_done == [(InboxOutcome.UNCONFIRMED, InboxOutcome.RECEIVED)]
    ends = {before for before, to in INBOX_MOVES if to.is_done}
    assert ends == {outcome for outcome in InboxOutcome if not outcome.is_done}


def test_the_word_of_the_version_before_is_understood_and_not_written() -> None:
    assert InboxOutcome("foreign") is InboxOutcome.UNMATCHED
    assert outcome_becomes("foreign", InboxOutcome.APPLIED) is InboxOutcome.APPLIED
    assert "foreign" not in list(InboxOutcome)
    with pytest.raises(ValueError, match="whatever"):
        InboxOutcome("whatever")


def test_a_gateways_word_opens_every_order_and_nothing_leaves_a_lost_one() -> None:
    lost, opened = OrderStatus.LOST, OrderStatus.OPEN
    assert all(order_becomes(before, opened) for before in OrderStatus if before is not lost)
    assert not any(before is lost for before, _ in ORDER_MOVES)


@pytest.mark.parametrize(
    ("paise", "text"),
    [
        (100, "₹1"),
        (1050, "₹10.50"),
        (99999, "₹999.99"),
        (1_000_00, "₹1,000"),
        (1_00_000_00, "₹1,00,000"),
        (12_34_56_789_05, "₹12,34,56,789.05"),
    ],
)
def test_amounts_are_written_as_in_india(paise: int, text: str) -> None:
    assert str(Money(paise)) == text
