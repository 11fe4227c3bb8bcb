"""API keys: who calls create-order is believed more with one, and a wrong one is never ignored."""

import hmac
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.api import guards
from payments_service.settings import Settings, SettingsError
from payments_service.store.tables import IdempotencyKey, Payment
from tests.api.test_idempotency import GOOD, KEY, Shop
from tests.support.environment import environment

SECRETS = {"shop": "psk_shop", "other": "psk_other", "reader": "psk_reader"}
SCOPES = {"shop": "read+write", "other": "write", "reader": "read"}


def entry(name: str) -> str:
    return f"{name}:{SCOPES[name]}:{sha256(SECRETS[name].encode()).hexdigest()}"


def made(database_url: str, api_keys: str) -> Flask:
    variables = environment(database_url=database_url, simulator_port=9, API_KEYS=api_keys)
    return create_app(Settings.from_environment(variables))


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    app = made(database_url, ", ".join(map(entry, SECRETS)))
    yield Shop(app)
    app.extensions["payments_service"].db.engine.dispose()


def ask(
    shop: Shop,
    authorization: str | None = None,
    key: str | None = None,
    origin: str | None = None,
    **changes: object,
) -> TestResponse:
    headers = {"Authorization": authorization, "Idempotency-Key": key, "Origin": origin}
    given = {name: value for name, value in headers.items() if value is not None}
    return shop.app.test_client().post("/api/payment/create-order", json={**GOOD, **changes}, headers=given)


def bearer(name: str) -> str:
    return f"Bearer {SECRETS[name]}"


def stored(shop: Shop) -> list[Payment]:
    with shop.db.read() as session:
        return list(session.scalars(select(Payment).order_by(Payment.created_at)))


PAGE = "http://localhost:3000"
LOGINS = [
    "Bearer eyJhbGciOiJIUzI1NiJ9.e30.sig",
    "Bearer null",
    "Bearer undefined",
    "Bearer ",
    "",
    "Basic YTpi",
]
"""What HTTP clients of pages send with every request: what their own site logs in by, or nothing of it."""


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "origin", [PAGE, "http://localhost"], ids=["of FRONTEND_URL", "of the service's host"]
)
def test_what_a_page_logs_in_by_at_its_own_site_is_no_key(shop: Shop, login: str, origin: str) -> None:
    answer = ask(shop, login, origin=origin, reference="A-1")
    assert answer.status_code == 200
    assert [(row.reference, row.price_verified) for row in stored(shop)] == [("A-1", False)]


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        *((login, None) for login in LOGINS),
        *((login, "https://evil.example") for login in LOGINS),
        ("Bearer psk_wrong", PAGE),
        ("psk_shop", PAGE),
        (bearer("shop") + "x", PAGE),
    ],
)
def test_any_other_authorization_that_is_no_valid_key_is_refused(
    shop: Shop, given: str, origin: str | None
) -> None:
    answer = ask(shop, given, origin=origin)
    assert (answer.status_code, answer.json and answer.json["code"]) == (401, "unauthorized")
    assert stored(shop) == []


def test_only_with_a_key_amount_and_reference_are_the_merchants_word(shop: Shop) -> None:
    browser = [ask(shop, reference="A-1") for _ in range(2)]
    merchant = [ask(shop, bearer("shop"), reference="A-1"), ask(shop, "bearer  psk_other", reference="A-1")]
    assert {answer.status_code for answer in browser + merchant} == {200}
    assert merchant[0].data == merchant[1].data
    assert [payment.price_verified for payment in stored(shop)] == [False, False, True]
    assert ask(shop, bearer("shop"), reference="A-1", amount=1).status_code == 409


def test_every_caller_has_keys_of_its_own(shop: Shop) -> None:
    """Nobody gets the answer to somebody else's key."""
    callers = (None, bearer("shop"), bearer("other"))
    firsts = [ask(shop, caller, KEY).data for caller in callers]
    assert len(set(firsts)) == 3
    again = [ask(shop, caller, KEY) for caller in callers]
    assert [answer.data for answer in again] == firsts
    assert {answer.headers.get("Idempotency-Replayed") for answer in again} == {"true"}
    with shop.db.read() as session:
        browser, *servers = sorted({row.owner for row in session.scalars(select(IdempotencyKey))}, key=len)[
            ::-1
        ]
    assert (len(browser), servers) == (64, ["other", "shop"])


WRONG = [
    "Bearer psk_wrong",
    "Bearer",
    "Bearer ",
    "",
    "psk_shop",
    "Basic psk_shop",
    "Bearer psk_shop psk_shop",
    "Bearer " + sha256(b"psk_shop").hexdigest(),
    "Bearer PSK_SHOP",
    "Bearer пароль".encode().decode("latin-1"),
    "Bearer " + "x" * 7000,
]


def test_anything_but_a_key_that_may_write_is_refused_in_the_same_words(shop: Shop) -> None:
    answers = [ask(shop, wrong) for wrong in WRONG]
    answers += [ask(shop, wrong, amount=-1) for wrong in WRONG[:2]]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert (answers[0].json or {})["code"] == "unauthorized"
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    assert stored(shop) == []


def test_a_key_without_the_scope_is_told_so_and_does_nothing(shop: Shop) -> None:
    answer = ask(shop, bearer("reader"))
    assert (answer.status_code, (answer.json or {})["code"]) == (403, "scope_missing")
    assert stored(shop) == []


def test_keys_are_compared_in_constant_time_and_all_of_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def compare(stored: str, given: str) -> bool:
        compared.append(stored)
        return hmac.compare_digest(stored, given)

    monkeypatch.setattr(guards, "compare_digest", compare)
    for name in ("shop", "reader"):
        ask(shop, bearer(name))
        assert compared == [sha256(secret.encode()).hexdigest() for secret in SECRETS.values()]
        compared.clear()


def test_no_key_and_no_digest_stands_in_a_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ask(shop, bearer("shop"), KEY)
    ask(shop, bearer("reader"))
    ask(shop, "Bearer psk_wrong")
    lines = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "Creating order" in lines
    for secret in (*SECRETS.values(), "psk_wrong"):
        assert secret not in lines
        assert sha256(secret.encode()).hexdigest() not in lines
    assert sha256(b"psk_shop").hexdigest() not in repr(shop.app.extensions["payments_service"].settings)


@pytest.mark.parametrize("scopes", ["read+write", "write+refund+personal", "read"])
def test_the_command_prints_a_key_and_the_entry_that_makes_it_work(
    app: Flask, database_url: str, scopes: str
) -> None:
    result = app.test_cli_runner().invoke(args=["api-key", "shop.1", "--scopes", scopes])
    assert result.exit_code == 0, result.output
    _, key, _, printed = result.output.splitlines()
    assert len(key.strip()) > 40
    assert key.strip() not in printed
    working = made(database_url, f"{entry('other')},{printed.strip()}")
    answer = ask(Shop(working), f"Bearer {key.strip()}")
    working.extensions["payments_service"].db.engine.dispose()
    assert answer.status_code == (403 if scopes == "read" else 200)


@pytest.mark.parametrize("args", [["a b"], ["a:b"], [""], ["shop", "--scopes", "admin"], ["x" * 41]])
def test_the_command_makes_no_entry_that_would_not_be_taken(args: list[str], tmp_path: Path) -> None:
    app = made(f"sqlite:///{tmp_path / 'payments.db'}", "")
    result = app.test_cli_runner().invoke(args=["api-key", *args])
    app.extensions["payments_service"].db.engine.dispose()
    assert (result.exit_code, "psk_" in result.output) == (2, False)


@pytest.mark.parametrize(
    "value",
    [
        "shop",
        "shop:write",
        f"shop:admin:{'0' * 64}",
        f"shop::{'0' * 64}",
        f"shop:write:{'0' * 63}",
        f"shop:write:{'G' * 64}",
        f"shop:write:{'0' * 64},",
        f"shop:write:{'0' * 64},shop:read:{'1' * 64}",
        f"sh op:write:{'0' * 64}",
        "psk_shop",
    ],
)
def test_a_wrong_entry_is_named_at_the_start_without_its_words(value: str) -> None:
    variables = environment(database_url="sqlite:///x.db", simulator_port=9, API_KEYS=value)
    if value.endswith(","):
        assert [key.name for key in Settings.from_environment(variables).api_keys] == ["shop"]
        return
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(variables)
    assert list(raised.value.errors) == ["API_KEYS"]
    assert value not in str(raised.value)


def test_without_any_key_configured_every_key_is_wrong(shop: Shop) -> None:
    services = shop.app.extensions["payments_service"]
    object.__setattr__(services, "settings", replace(services.settings, api_keys=()))
    assert [ask(shop, bearer("shop")).status_code, ask(shop).status_code] == [401, 200]
