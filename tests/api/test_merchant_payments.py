"""One payment, the list, the search and the export: what each key sees, and that no payment is missed."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from payments_service.domain.money import Money
from payments_service.flows import payment_list
from payments_service.store.tables import IdempotencyKey, Payment, PaymentAttempt
from tests.api.merchant_shop import CUSTOMER, MerchantShop, secret, told
from tests.api.merchant_shop import shop as shop

LIST = "/api/payment"


def many(shop: MerchantShop, count: int) -> list[str]:
    """Ids of payments, the newest first; each three share one moment."""
    ids = [shop.buy() for _ in range(count)]
    moment = datetime.now(UTC) - timedelta(days=1)
    with shop.db.begin() as session:
        rows = {str(row.id): row for row in session.scalars(select(Payment))}
        for number, one in enumerate(ids):
            rows[one].created_at = moment + timedelta(seconds=number // 3)
    return sorted(ids, key=lambda one: (rows[one].created_at, one), reverse=True)


def listed(shop: MerchantShop, query: str = "", key: str = "owner") -> dict[str, Any]:
    answer = shop.get(f"{LIST}{query}", key)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["id"] for one in answer["payments"]]


# ── one payment ─────────────────────────────────────────────────────────────────────────────────────


def test_one_payment_is_told_with_all_that_belongs_to_it(shop: MerchantShop) -> None:
    shop.db.destinations = ("merchant",)
    payment_id = shop.paid(reference="ORDER-1", userId="u-7", metadata={"cart": "9"})
    told_payment = shop.get(f"{LIST}/{payment_id}").json["payment"]
    assert (told_payment["id"], told_payment["paymentStatus"], told_payment["amount"]) == (
        payment_id,
        "completed",
        499,
    )
    assert (told_payment["reference"], told_payment["priceVerified"], told_payment["userId"]) == (
        "ORDER-1",
        True,
        "u-7",
    )
    assert told_payment["metadata"] == {"cart": "9"}
    assert told_payment["customer"] == CUSTOMER
    assert [order["status"] for order in told_payment["orders"]] == ["open"]
    assert [one["paymentId"] for one in told_payment["attempts"]] == ["pay_1"]
    moves = [step["after"] for step in told_payment["history"] if step["kind"] == "status"]
    assert moves == ["initiated", "pending", "completed"]
    [event] = told_payment["events"]
    assert (event["type"], event["data"]["id"]) == ("payment.completed", payment_id)
    assert [one["state"] for one in event["deliveries"]] == ["pending"]


def test_only_a_key_with_the_scope_sees_people_and_each_look_is_logged(
    shop: MerchantShop, caplog: pytest.LogCaptureFixture
) -> None:
    payment_id = shop.paid()
    looks = {
        "payment": lambda key: shop.get(f"{LIST}/{payment_id}", key),
        "list": lambda key: shop.get(LIST, key),
        "export": lambda key: shop.get(LIST, key, Accept="text/csv"),
        "search": lambda key: shop.post(f"{LIST}/search", {"query": payment_id}, key),
    }
    for what, look in looks.items():
        caplog.clear()
        hidden = look("reader")
        assert hidden.status_code == 200
        assert not any(text in hidden.text for text in CUSTOMER.values())
        assert "Personal data shown" not in caplog.text
        caplog.clear()
        shown = look("clerk")
        assert all(text in shown.text for text in CUSTOMER.values())
        [line] = [record for record in caplog.records if record.getMessage() == "Personal data shown"]
        assert (line.data["key"], line.data["what"]) == ("clerk", what)  # type: ignore[attr-defined]
        assert not any(text in str(vars(record)) for text in CUSTOMER.values() for record in caplog.records)


def test_a_payment_that_is_not_there_is_404(shop: MerchantShop) -> None:
    assert told(shop.get(f"{LIST}/01900000-0000-7000-8000-000000000001")) == (404, "not_found")
    assert shop.get(f"{LIST}/nonsense").status_code == 404
    assert shop.get(f"{LIST}/create-order").status_code == 405


# ── the list ────────────────────────────────────────────────────────────────────────────────────────


def test_pages_hold_every_payment_once_newest_first_in_both_directions(shop: MerchantShop) -> None:
    expected = many(shop, 11)
    seen, query = [], "?limit=4"
    while True:
        answer = listed(shop, query)
        seen.append(ids(answer))
        if not answer["hasMore"]:
            break
        query = f"?limit=4&after={answer['after']}"
    assert [one for page in seen for one in page] == expected
    assert [len(page) for page in seen] == [4, 4, 3]
    back = listed(shop, f"?limit=4&before={answer['before']}")
    assert (ids(back), back["hasMore"]) == (seen[1], True)
    first = listed(shop, f"?limit=4&before={back['before']}")
    assert (ids(first), first["hasMore"]) == (seen[0], False)


def test_a_payment_that_is_made_while_one_reads_moves_no_page(shop: MerchantShop) -> None:
    expected = many(shop, 5)
    first = listed(shop, "?limit=3")
    new = shop.buy()
    second = listed(shop, f"?limit=3&after={first['after']}")
    assert ids(first) + ids(second) == expected
    newer = listed(shop, f"?limit=3&before={first['before']}")
    assert ids(newer) == [new]


def test_every_filter_chooses(shop: MerchantShop) -> None:
    paid = shop.paid(reference="ORDER-1", userId="u-7")
    other = shop.buy()
    with shop.db.begin() as session:
        long_ago = datetime(2025, 3, 1, tzinfo=UTC)
        values = {"created_at": long_ago, "gateway": "older", "mode": "live", "review": "late_success"}
        session.execute(update(Payment).where(Payment.user_id.is_(None)).values(**values))
    chosen = {
        "status=completed": paid,
        "status=pending": other,
        "gateway=fake": paid,
        "gateway=Fake": paid,
        "gateway=older": other,
        "mode=live": other,
        "reference=ORDER-1": paid,
        "userId=u-7": paid,
        "review=true": other,
        "review=false": paid,
        "from=2025-03-02": paid,
        "to=2025-03-02": other,
        "from=2025-03-01T00:00:00Z&to=2025-03-01T00:00:01%2B00:00": other,
        "from=2025-03-01&status=pending": other,
    }
    for query, expected in chosen.items():
        assert ids(listed(shop, f"?{query}")) == [expected], query
    assert ids(listed(shop, "?status=failed")) == []
    # A date alone is midnight in India: half past six in the evening before, in UTC.
    assert ids(listed(shop, "?to=2025-03-01T05:30:00%2B05:30")) == []


def test_an_empty_page_keeps_the_place_that_it_was_asked_for(shop: MerchantShop) -> None:
    """A program that asks until there is more must not begin anew."""
    shop.buy()
    newest = listed(shop)["before"]
    answer = listed(shop, f"?before={newest}")
    assert (answer["payments"], answer["before"], answer["after"]) == ([], newest, None)
    later = shop.buy()
    assert ids(listed(shop, f"?before={answer['before']}")) == [later]


def test_a_label_of_a_browser_is_no_reference(shop: MerchantShop) -> None:
    label = shop.buy_as_a_page(reference="ORDER-1")
    trusted = shop.buy(reference="ORDER-1")
    assert ids(listed(shop, "?reference=ORDER-1")) == [trusted]
    assert ids(listed(shop, "?reference=ORDER-1&includeLabels=true")) == [trusted, label]
    shown = {one["id"]: one for one in listed(shop)["payments"]}
    assert (shown[label]["reference"], shown[label]["label"], shown[label]["priceVerified"]) == (
        None,
        "ORDER-1",
        False,
    )
    assert (shown[trusted]["reference"], shown[trusted]["label"]) == ("ORDER-1", None)
    found = shop.post(f"{LIST}/search", {"query": "ORDER"}).json
    assert ids(found) == [trusted]
    found = shop.post(f"{LIST}/search", {"query": "ORDER", "includeLabels": True}).json
    assert ids(found) == [trusted, label]


@pytest.mark.parametrize(
    ("query", "member"),
    [
        ("status=paid", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("from=yesterday", "from"),
        ("from=2026-01-01T10:00:00", "from"),
        ("to=2026-13-01", "to"),
        ("after=nonsense", "after"),
        ("before=%00", "before"),
        ("after=%F0%9F%92%B0", "after"),
        ("review=perhaps", "review"),
        ("mode=prod", "mode"),
        ("gateway=a%00", "gateway"),
        ("reference=" + "x" * 65, "reference"),
        ("status=pending&status=completed", "status"),
        ("limit=1&limit=1", "limit"),
    ],
)
def test_a_wrong_filter_is_named(shop: MerchantShop, query: str, member: str) -> None:
    answer = shop.get(f"{LIST}?{query}")
    assert told(answer) == (400, "validation_error")
    assert list(answer.json["details"]) == [member]


def test_a_misspelt_filter_is_refused_and_both_ends_at_once_too(shop: MerchantShop) -> None:
    answer = shop.get(f"{LIST}?stauts=completed")
    assert told(answer) == (400, "unknown_field")
    assert "status" in answer.json["details"]["stauts"][0]
    shop.buy()
    cursor = listed(shop)["after"]
    assert told(shop.get(f"{LIST}?after={cursor}&before={cursor}")) == (400, "validation_error")


def test_what_went_back_is_told_for_each_payment_of_a_page(shop: MerchantShop) -> None:
    first, second = shop.paid(), shop.paid(transaction_id="pay_2")
    for amount, key in ((100, "refund-of-order-1001"), ("1.50", "refund-of-order-1002")):
        shop.post(f"{LIST}/{first}/refunds", {"amount": amount}, Idempotency_Key=key)
    refunded = {one["id"]: one["amountRefunded"] for one in listed(shop)["payments"]}
    assert {one: float(amount) for one, amount in refunded.items()} == {first: 101.5, second: 0}


# ── search ──────────────────────────────────────────────────────────────────────────────────────────


def find(shop: MerchantShop, text: str, key: str = "owner") -> list[str]:
    answer = shop.post(f"{LIST}/search", {"query": text}, key)
    assert answer.status_code == 200, answer.text
    return ids(dict(answer.json))


def test_a_payment_is_found_by_any_id_and_its_beginning(shop: MerchantShop) -> None:
    payment_id = shop.paid(reference="ORDER-1001")
    shop.post(f"{LIST}/{payment_id}/refunds", {}, Idempotency_Key="refund-of-order-1001")
    with shop.db.begin() as session:
        session.execute(update(PaymentAttempt).values(bank_reference="412345678901"))
    shop.gateway.attempts = ()
    other = shop.buy()
    shown = shop.get(f"{LIST}/{payment_id}").json["payment"]
    [order], [refund], event = shown["orders"], shown["refunds"], shown["events"][0]
    whole = [
        payment_id,
        payment_id.upper(),
        order["wireId"],
        order["gatewayOrderId"],
        "pay_1",
        "ORDER-1001",
        "412345678901",
        refund["id"],
        refund["refundId"],
        event["id"],
    ]
    for text in whole:
        assert find(shop, text, "reader") == [payment_id], text
    for text in (order["wireId"][:12], order["gatewayOrderId"][:12], "ORDER-10", "41234567", "pay_"):
        assert find(shop, text, "reader") == [payment_id], text
    for text in ("rder-1001", "12345678901", "order-1001", "ORDER-1002", "%", "_______", "\\"):
        assert find(shop, text) == [], text
    assert set(find(shop, payment_id[:6])) == {payment_id, other}


def test_people_are_found_by_e_mail_name_and_phone_with_the_scope_alone(shop: MerchantShop) -> None:
    payment_id = shop.buy()
    shop.buy(customer={"name": "अशोक कुमार", "email": "other@example.org", "phone": "9123456780"})
    phones = ("98765", "9876543210", "+91 98765 43210", "09876543210", "98765-43210")
    for text in ("asha@ex", "ASHA@EXAMPLE.COM", "asha r", "Asha Rao", *phones):
        assert find(shop, text, "clerk") == [payment_id], text
    assert len(find(shop, "अशोक", "clerk")) == 1
    for text in ("asha r", "9876543210"):
        answer = shop.post(f"{LIST}/search", {"query": text}, "reader").json
        assert (ids(answer), answer["searchedPeople"]) == ([], False)
    assert told(shop.post(f"{LIST}/search", {"query": "asha@ex"}, "reader")) == (403, "scope_missing")


def test_what_a_search_showed_is_not_kept_under_a_key(shop: MerchantShop) -> None:
    key = {"Idempotency_Key": "search-of-the-office"}
    assert ids(shop.post(f"{LIST}/search", {"query": "asha"}, **key).json) == []
    payment_id = shop.buy()
    assert ids(shop.post(f"{LIST}/search", {"query": "asha"}, **key).json) == [payment_id]
    with shop.db.read() as session:
        assert list(session.scalars(select(IdempotencyKey))) == []


def test_three_characters_list_no_customers(shop: MerchantShop) -> None:
    shop.buy()
    answer = shop.post(f"{LIST}/search", {"query": "ash"}, "clerk").json
    assert (ids(answer), answer["searchedPeople"]) == ([], False)


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": " "}, {"query": ["a"]}, {"query": "a\x00b"}])
def test_a_search_for_nothing_is_refused(shop: MerchantShop, body: dict[str, object]) -> None:
    answer = shop.post(f"{LIST}/search", body)
    assert answer.status_code == 400
    assert list(answer.json["details"]) == ["query"]


@pytest.mark.parametrize("limit", ["1e300", "1e999999", "-1e999999", "1.5", "NaN", "Infinity"])
def test_a_number_of_any_size_is_refused_before_it_is_worked_out(shop: MerchantShop, limit: str) -> None:
    """A million digits take a minute, in which the process answers no other request."""
    answer = shop.app.test_client().post(
        f"{LIST}/search",
        data=f'{{"query": "a", "limit": {limit}}}',
        headers={"Authorization": f"Bearer {secret('reader')}"},
    )
    assert (answer.status_code, answer.json["details"]) == (400, {"limit": ["Not a valid integer."]})


def test_a_search_finds_as_many_as_asked_for_and_says_that_there_are_more(shop: MerchantShop) -> None:
    expected = many(shop, 6)
    answer = shop.post(f"{LIST}/search", {"query": "psv_", "limit": 4}).json
    assert (len(ids(answer)), answer["hasMore"]) == (4, True)
    answer = shop.post(f"{LIST}/search", {"query": "psv_"}).json
    assert (ids(answer), answer["hasMore"]) == (expected, False)


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_an_export_holds_every_payment_in_pieces(shop: MerchantShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_list, "CHUNK", 3)
    for count in (0, 2, 1, 3):  # with these: none, less than a piece, a whole piece, two of them
        expected = many(shop, count) if count else []
        answer = shop.get(LIST, "reader", Accept="text/csv")
        assert answer.content_type == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["Content-Disposition"]
        told_ids = [row["id"] for row in rows_of(answer.text)]
        assert len(told_ids) == len(set(told_ids))
        assert set(told_ids) >= set(expected)
    assert [row["id"] for row in rows_of(shop.get(f"{LIST}?status=failed", Accept="text/csv").text)] == []
    paid = shop.paid(transaction_id="pay_9")
    [row] = rows_of(shop.get(f"{LIST}?status=completed", Accept="text/csv").text)
    assert (row["id"], row["amount"], row["paymentId"]) == (paid, "499", "pay_9")
    assert (row["priceVerified"], row["completedAt"] != "", row["review"]) == ("true", True, "")


def test_each_piece_of_an_export_is_a_transaction_of_its_own(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payment_list, "CHUNK", 2)
    many(shop, 5)
    pieces = payment_list.export(shop.db, payment_list.Filters())
    next(pieces)
    assert shop.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert [len(piece) for piece in pieces] == [2, 1]


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_harmless(shop: MerchantShop, beginning: str) -> None:
    shop.buy()
    evil = f"{beginning}cmd|' /C calc'!A0"
    with shop.db.begin() as session:
        session.execute(update(Payment).values(description=evil, customer_name=evil, customer_phone=evil))
    [row] = rows_of(shop.get(LIST, Accept="text/csv").text)
    assert (row["description"], row["name"], row["phone"]) == (f"'{evil}",) * 3
    assert row["amount"] == str(Money(49900).major.to_integral())


def test_an_export_of_a_store_that_is_away_is_503_and_not_half_a_file(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payments_service.domain.errors import StoreUnavailable

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(payment_list.payment_pages, "page", away)
    assert shop.get(LIST, Accept="text/csv").status_code == 503


def test_an_export_takes_the_filters_and_no_pages(shop: MerchantShop) -> None:
    assert told(shop.get(f"{LIST}?limit=5", Accept="text/csv")) == (400, "unknown_field")
