"""`show`: everything about a payment by any of its ids, on one screen, personal data masked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from payments_service.domain.flag import flag
from payments_service.domain.payment import Actor
from payments_service.domain.states import EntryKind, ReviewReason
from payments_service.flows import refund, webhook
from payments_service.store.tables import Outbox, Payment, PaymentAttempt, PaymentOrder, Refund
from tests.cli.running import REQUEST, Shop
from tests.flows.conftest import PRICE
from tests.support.deciding import deciding
from tests.support.fake_gateway import GENUINE

KINDS = (
    *("our id", "order id", "wire id", "gateway's order id", "payment id", "reference", "bank reference"),
    *("refund", "our wire id of the refund", "gateway's refund id", "bank reference of the refund"),
    *("event told", "event of the gateway", "dispute"),
)


def a_whole_life(shop: Shop) -> dict[str, str]:
    """Ordered, paid, told by webhook, refunded; its ids by kind."""
    bought = shop.buy(reference="A-17", price_verified=True)
    shop.pays("pay_1")
    body = shop.gateway.event(order=bought.order_id, status="completed", amount=49900)
    webhook.receive(shop.db, shop.gateway, {**GENUINE, "x-event-id": "evt-of-the-gateway"}, body)
    refund.refund(shop.db, shop.gateway, bought.id, PRICE, "", Actor("operator", "Meera"))
    with deciding(shop.db, bought.id) as known:
        disputed = {"disputeId": "disp_1", "gatewayStatus": "open"}
        known.append(EntryKind.DISPUTE, Actor("webhook", "evt-of-the-dispute"), "disputed", disputed)
    with shop.db.begin() as session:
        session.execute(update(PaymentAttempt).values(bank_reference="RRN412345678901"))
        session.execute(update(Refund).values(bank_reference="ARN74332744148"))
        order = session.scalars(select(PaymentOrder)).one()
        returned = session.scalars(select(Refund)).one()
        told = session.scalars(select(Outbox)).first()
        assert told
        return dict(
            zip(
                KINDS,
                [
                    *(str(bought.id), str(bought.order_id), order.wire_id, str(order.gateway_order_id)),
                    *("pay_1", "A-17", "RRN412345678901"),
                    *(str(returned.id), str(returned.refund_id), str(returned.gateway_refund_id)),
                    *("ARN74332744148", told.event_id, "evt-of-the-gateway", "disp_1"),
                ],
                strict=True,
            )
        )


def test_a_payment_is_shown_by_an_id_of_any_kind(shop: Shop) -> None:
    ids = a_whole_life(shop)
    screens = {shop.says("show", any_id) for any_id in ids.values()}
    assert len(screens) == 1
    [screen] = screens
    for kind in KINDS:
        assert ids[kind] in screen, kind


def test_the_screen_has_all_that_is_stored(shop: Shop) -> None:
    screen = shop.says("show", a_whole_life(shop)["our id"])
    for heading in ("Orders", "Attempts", "Refunds", "Webhooks", "Events told", "History"):
        assert f"\n{heading}\n" in screen
    assert "completed, ₹499. Times are IST (UTC+05:30)." in screen
    assert "A-17 (vouched for)" in screen
    assert "initiated → pending" in screen
    assert "pending → completed" in screen
    assert REQUEST in screen
    assert "payment.completed" in screen


def test_columns_stand_under_each_other(shop: Shop) -> None:
    lines = shop.says("show", a_whole_life(shop)["our id"]).splitlines()
    for heading in ("Attempts", "Webhooks", "Events told"):
        start = lines.index(heading)
        heads, row = lines[start + 1 : start + 3]
        for number, word in enumerate(heads.split("  ")):
            if word.strip() and number:
                assert row[heads.index(word) - 1] == " ", (heading, word)


def test_an_attempt_says_until_when_its_money_is_held(shop: Shop) -> None:
    payment_id = a_whole_life(shop)["our id"]
    with shop.db.begin() as session:
        session.execute(update(PaymentAttempt).values(capture_by=datetime(2026, 12, 24, 10, tzinfo=UTC)))
    assert "2026-12-24 15:30:00" in shop.says("show", payment_id)


def test_times_are_indian(shop: Shop) -> None:
    bought = shop.buy()
    moment = datetime(2026, 1, 31, 18, 45, 7, tzinfo=UTC)
    with shop.db.begin() as session:
        session.execute(update(Payment).values(created_at=moment))
    assert "2026-02-01 00:15:07" in shop.says("show", str(bought.id))


def test_personal_data_is_masked_as_in_the_log(shop: Shop) -> None:
    screen = shop.says("show", a_whole_life(shop)["our id"])
    assert "a***@example.com" in screen
    assert "******3210" in screen
    for secret in ("Asha", "Rao", "asha@", "9876543210", "987654"):
        assert secret not in screen


def test_what_there_is_none_of_is_said(shop: Shop) -> None:
    screen = shop.says("show", str(shop.buy().id))
    for heading in ("Attempts", "Refunds", "Webhooks", "Events told"):
        assert f"{heading}: none" in screen


def test_a_payment_under_review_says_so_at_the_top(shop: Shop) -> None:
    bought = shop.buy()
    with deciding(shop.db, bought.id) as known:
        flag(known, ReviewReason.SECOND_SUCCESS, Actor("webhook", "e"), {"paymentIds": ["pay_1"]})
    line = shop.says("show", str(bought.id)).splitlines()[1]
    assert line.startswith("A person must look at it: second_success. The customer paid twice.")


def test_a_reference_of_several_payments_lists_them_all(shop: Shop) -> None:
    bought = [shop.buy(reference="A-17") for _ in range(3)]
    screen = shop.says("show", "A-17")
    assert screen.startswith("3 payments have A-17")
    assert [line.split()[0] for line in screen.splitlines()[2:]] == [str(one.id) for one in bought]
    assert "A-17 (a label only)" in screen


NOBODYS = ("order_nobodys", "", " ", "%", "01990000-0000-7000-8000-000000000000", "x" * 36)


@pytest.mark.parametrize("any_id", [*NOBODYS, "\x1b[2J", "\udcff"])
def test_an_unknown_id_ends_with_1_and_a_sentence(shop: Shop, any_id: str) -> None:
    shop.buy()
    said = shop.says("show", "--", any_id, exit_code=1)
    assert "Nothing here has the id" in said
    assert "POST /api/payment/search" in said, "by which a phone or an e-mail is found"
    assert "\x1b" not in said


def test_what_a_buyer_wrote_cannot_move_the_cursor(shop: Shop) -> None:
    bought = shop.buy(reference="A\x1b[2J\n\u202e17")
    screen = shop.says("show", str(bought.id))
    assert "A\\x1b[2J\\x0a\\x202e17" in screen


# ── with the log ────────────────────────────────────────────────────────────────────────────────────


def line(log_format: str, at: datetime, message: str, **facts: object) -> str:
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
    if log_format == "json":
        return json.dumps({"time": stamp, "level": "WARNING", "message": message, **facts}) + "\n"
    return f"[{stamp}] [WARNING] {message} {json.dumps(facts)}\n"


@pytest.mark.parametrize("prefix", ["", "Jan 31 18:00:00 host web[7]: "], ids=["plain", "behind a prefix"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_logs_lines_about_it_are_woven_in_by_time(
    shop: Shop, tmp_path: Path, log_format: str, prefix: str
) -> None:
    ids = a_whole_life(shop)
    before, after = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    lines = [
        line(log_format, after, "Last of it", id=ids["our id"]),
        line(log_format, before, "First of it", orderId=ids["order id"]),
        line(log_format, before, "By its request", requestId=REQUEST),
        line(log_format, before, "Of another", orderId=ids["order id"] + "x"),
        line(log_format, before, "Of nothing"),
    ]
    log = tmp_path / "service.log"
    log.write_text("".join(prefix + one for one in lines))
    screen = shop.says("show", ids["payment id"], "--log", str(log))
    story = screen[screen.index("History, woven with") :].splitlines()
    assert [one.partition("WARNING")[2].split("{")[0].strip() for one in (*story[2:4], story[-1])] == [
        *("First of it", "By its request"),
        "Last of it",
    ]
    assert "Of another" not in screen
    assert "Of nothing" not in screen
    assert any("webhook" in one and "evt-of-the-gateway" in one for one in story)


def test_a_trace_goes_with_its_line(shop: Shop, tmp_path: Path) -> None:
    bought = shop.buy()
    now = datetime.now(UTC)
    log = tmp_path / "service.log"
    log.write_text(
        line("text", now, "Broke", id=str(bought.id))
        + "builtins.ValueError\n  at sync.py:7 in apply\n"
        + line("text", now, "Another broke", id="order_nobodys")
        + "builtins.KeyError\n"
    )
    screen = shop.says("show", str(bought.id), "--log", str(log))
    assert "builtins.ValueError" in screen
    assert "at sync.py:7 in apply" in screen
    assert "KeyError" not in screen


def test_the_log_may_come_from_standard_input_and_need_not_be_text(shop: Shop) -> None:
    bought = shop.buy()
    given = line("text", datetime.now(UTC), "Seen \x1b[2J", id=str(bought.id)) + "\ufffd{]\n"
    screen = shop.says("show", str(bought.id), "--log", "-", given=given)
    assert "Seen \\x1b[2J" in screen
    assert "\x1b" not in screen


def test_a_log_that_is_not_there_is_told(shop: Shop) -> None:
    assert "No such file" in shop.says("show", str(shop.buy().id), "--log", "nowhere.log", exit_code=2)
