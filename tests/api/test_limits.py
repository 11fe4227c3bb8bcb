"""How often one caller may ask, and that nothing of it can be turned against another or against the shop."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from flask import Flask
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.api import limits
from payments_service.settings import Settings, SettingsError
from payments_service.store.tables import Payment
from tests.api.test_keys import entry
from tests.support.environment import environment
from tests.support.redis import running_redis

CREATE = "/api/payment/create-order"
HERE, THERE = "203.0.113.7", "198.51.100.9"
Make = Callable[..., Flask]


@pytest.fixture
def make(database_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Make]:
    """An app with these settings; its gateways' addresses are ones where nobody listens."""
    made: list[Flask] = []

    def build(**variables: str) -> Flask:
        variables = {"ORDER_LIMITS": "3/minute, 2/minute", **variables}
        made.append(
            create_app(
                Settings.from_environment(
                    environment(database_url=database_url, simulator_port=9, **variables)
                )
            )
        )
        logging.getLogger().addHandler(caplog.handler)  # an app that is made sets up logging anew
        return made[-1]

    yield build
    for app in made:
        app.extensions["payments_service"].db.engine.dispose()


def order(app: Flask, phone: str = "9876543210", address: str = HERE, **headers: str) -> TestResponse:
    customer = {"name": "Asha", "email": "a@example.com", "phone": phone}
    body = {"amount": 499, "gateway": "razorpay", "customer": customer}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().post(
        CREATE, json=body, headers=named, environ_overrides={"REMOTE_ADDR": address}
    )


def phones(count: int) -> list[str]:
    return [f"98765432{number:02d}" for number in range(count)]


def limited(answers: list[TestResponse]) -> list[bool]:
    return [answer.status_code == 429 for answer in answers]


def test_an_address_has_its_share_of_orders_and_is_told_when_there_is_more(make: Make) -> None:
    app = make()
    answers = [order(app, phone) for phone in phones(4)]
    assert limited(answers) == [False, False, False, True]
    refused = answers[-1]
    assert refused.json is not None
    assert (refused.json["code"], refused.json["retryable"]) == ("rate_limited", True)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Policy"] == '"address";q=3;w=60'
    assert refused.headers["RateLimit"] == f'"address";r=0;t={refused.headers["Retry-After"]}'
    assert order(app, address=THERE).status_code != 429


def test_a_phone_has_its_share_from_wherever_it_is_named(make: Make) -> None:
    app = make()
    written = [("9876543210", HERE), ("+91 98765-43210", THERE), ("098765 43210", "192.0.2.3")]
    answers = [order(app, phone, address) for phone, address in written]
    assert limited(answers) == [False, False, True]
    first, _, refused = answers
    assert first.headers["RateLimit-Policy"] == '"address";q=3;w=60, "phone";q=2;w=60'
    assert first.headers["RateLimit"].startswith('"address";r=2;t=')
    assert '"phone";r=1;t=' in first.headers["RateLimit"]
    assert '"phone";r=0;t=' in refused.headers["RateLimit"]
    assert order(app, "9876543211").status_code != 429


def test_bad_input_counts_for_the_address_alone(make: Make) -> None:
    app = make()
    assert [order(app, "1").status_code for _ in range(4)] == [400, 400, 400, 429]
    assert order(app, address=THERE).status_code != 429


@pytest.mark.parametrize("forwarded", ["192.0.2.{}", "192.0.2.{}, 192.0.2.200", "10.0.0.{}", "nonsense {}"])
@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_who_is_connected_directly_has_one_budget_whatever_it_says(
    make: Make, name: str, forwarded: str
) -> None:
    app = make()
    said = [{name: forwarded.format(number)} for number in range(4)]
    assert limited([order(app, phone, **one) for phone, one in zip(phones(4), said, strict=True)])[-1]
    other = order(app, "9876543299", forwarded.format(7))
    assert other.status_code != 429


@pytest.mark.parametrize("hops", [1, 2])
def test_behind_trusted_hops_only_what_they_added_counts(make: Make, hops: int) -> None:
    app = make(TRUSTED_PROXY_HOPS=str(hops))
    added = ["", ", 10.0.0.2"][hops - 1]

    def ask(said: str, caller: str, phone: str) -> bool:
        forwarded = {"X-Forwarded-For": f"{said}{caller}{added}"}
        return order(app, phone, "10.0.0.1", **forwarded).status_code == 429

    spoofed = [f"192.0.2.{number}, " for number in range(4)]
    assert [ask(*one) for one in zip(spoofed, [HERE] * 4, phones(4), strict=True)][-1]
    for number in range(4):  # and not one of those that it named pays for it
        assert not ask("", f"192.0.2.{number}", f"98765433{number:02d}")


def test_a_proxy_that_is_not_counted_does_not_make_one_caller_of_all_payers(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The address of a private network is no payer's: only the phone counts, and the log says why."""
    app = make()
    behind = [order(app, phone, "10.0.0.1", **{"X-Forwarded-For": HERE}) for phone in phones(5)]
    assert not any(limited(behind))
    assert limited([order(app, "9876543200", "10.0.0.1", **{"X-Forwarded-For": HERE}) for _ in range(2)])[-1]
    told = [record for record in caplog.records if "TRUSTED_PROXY_HOPS" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING"]


def test_one_homes_ipv6_addresses_are_one_caller(make: Make) -> None:
    app = make()
    homes = [f"2001:db8:1:2::{number}" for number in range(4)]
    assert limited([order(app, *one) for one in zip(phones(4), homes, strict=True)])[-1]
    assert order(app, "9876543299", "2001:db8:1:3::1").status_code != 429


def test_who_has_a_key_is_not_counted_and_who_has_a_wrong_one_is_nobody(make: Make) -> None:
    app = make(API_KEYS=entry("shop"))
    with_key = [order(app, Authorization="Bearer psk_shop") for _ in range(5)]
    assert not any(limited(with_key))
    assert "RateLimit" not in with_key[0].headers
    assert order(app, Authorization="Bearer guess").status_code == 401
    assert not any(limited([order(app), order(app)]))


def status(app: Flask, reference: str, address: str = HERE) -> TestResponse:
    path = f"/api/payment/status/razorpay/{reference}"
    return app.test_client().get(path, environ_overrides={"REMOTE_ADDR": address})


def verification(app: Flask, reference: str, address: str = HERE) -> TestResponse:
    fields = {"gateway": "razorpay", "orderId": reference, "paymentId": "pay_1", "signature": "00"}
    return app.test_client().post(
        "/api/payment/verify-payment", json=fields, environ_overrides={"REMOTE_ADDR": address}
    )


@pytest.mark.parametrize("ask", [status, verification])
def test_guessing_ids_ends_soon_and_known_payments_are_answered_all_the_same(
    make: Make, ask: Callable[..., TestResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNKNOWN_LOOKUPS", "3/minute")
    app = make()
    known = known_payment(app)
    answers = [ask(app, f"order_{number}") for number in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert answers[-1].headers["RateLimit-Policy"] == '"unknown";q=3;w=60'
    assert "Retry-After" in answers[-1].headers
    for _ in range(5):
        assert status(app, known).status_code == 200
    assert ask(app, "order_0", THERE).status_code == 404


def known_payment(app: Flask) -> str:
    """Our id of a payment whose gateway was never reached: failed, and found."""
    services = app.extensions["payments_service"]
    answer = order(app, "9876543277", "192.0.2.77")
    assert answer.status_code == 500
    with services.db.read() as session:
        [payment] = session.query(Payment).all()
        return str(payment.id)


def test_webhooks_and_health_are_never_limited(make: Make) -> None:
    app = make(ORDER_LIMITS="1/minute, 1/minute")
    client = app.test_client()
    for _ in range(40):
        assert client.post("/api/webhook/razorpay", data=b"{}").status_code == 400
        assert client.get("/health").status_code == 200


def test_off_is_off(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNKNOWN_LOOKUPS", "1/minute")
    app = make(ORDER_LIMITS="off")
    assert not any(limited([order(app) for _ in range(5)] + [status(app, "order_0") for _ in range(3)]))


def test_neither_phone_nor_address_is_what_is_kept_or_logged(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis() as url:
        for variables in ({}, {"REDIS_URL": url}):
            caplog.set_level(logging.DEBUG)
            app = make(**variables)
            for _ in range(4):
                order(app)
            storage = app.extensions["payments_service"].budgets._limiter.storage
            kept = (
                [key.decode() for key in storage.storage.scan_iter()] if variables else list(storage.storage)
            )
            assert len(kept) == 2
            assert not [key for key in kept if "9876543210" in key or HERE in key]
            if variables:
                storage.storage.close()
    lines = "\n".join(str(vars(record)) for record in caplog.records)
    assert "9876543210" not in lines
    assert HERE not in lines


def test_processes_with_a_redis_count_together(make: Make) -> None:
    with running_redis() as url:
        apps = [make(REDIS_URL=url), make(REDIS_URL=url)]
        assert limited([order(apps[number % 2], phone) for number, phone in enumerate(phones(4))])[-1]
        close(apps)
    apart = [make(), make()]
    assert not any(limited([order(apart[number % 2], phone) for number, phone in enumerate(phones(4))]))


def close(apps: list[Flask]) -> None:
    for app in apps:
        app.extensions["payments_service"].budgets._limiter.storage.storage.close()


@pytest.mark.parametrize("kind", ["frozen", "frozen from the start", "gone"])
def test_a_redis_that_does_not_answer_limits_nothing_and_is_waited_for_once(
    make: Make, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    with running_redis() as url, redis.Redis.from_url(url) as direct:
        app = make(REDIS_URL=url, ORDER_LIMITS="1/minute, 1/minute")
        budgets = app.extensions["payments_service"].budgets
        monkeypatch.setattr(budgets, "_clock", lambda: now[0])
        waits = count_waits(budgets, monkeypatch)
        pid = direct.info()["process_id"]
        if kind != "frozen from the start":
            assert limited([order(app), order(app)]) == [False, True]
        os.kill(pid, signal.SIGKILL if kind == "gone" else signal.SIGSTOP)
        waits.clear()
        assert not any(limited([order(app) for _ in range(5)]))
        assert waits == ["failed"]
        now[0] += limits.REDIS_PAUSE_SECONDS
        assert not any(limited([order(app) for _ in range(5)]))
        assert waits == ["failed", "failed"]
        if kind != "gone":
            os.kill(pid, signal.SIGCONT)
            now[0] += limits.REDIS_PAUSE_SECONDS
            assert limited([order(app, address=THERE), order(app, address=THERE)])[-1]
        close([app])
    told = [record for record in caplog.records if record.levelname == "WARNING" and "Redis" in record.msg]
    assert len(told) == 2
    assert url not in caplog.text


def count_waits(budgets: limits.Budgets, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every exchange with Redis, and how it ended. None is longer than the client's timeout."""
    seen: list[str] = []
    client = budgets._limiter.storage.storage
    options = client.connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (0.1, 0.1)
    execute = client.execute_command

    def counted(*args: Any, **more: Any) -> Any:
        try:
            answer = execute(*args, **more)
        except redis.RedisError:
            seen.append("failed")
            raise
        seen.append("answered")
        return answer

    monkeypatch.setattr(client, "execute_command", counted)
    return seen


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", {"address": "60/minute", "phone": "10/minute"}),
        ("off", {}),
        ("5/second,7/hour", {"address": "5/second", "phone": "7/hour"}),
        ("60/minute an address, 10/minute a phone", {"address": "60/minute", "phone": "10/minute"}),
    ],
)
def test_limits_are_set_as_the_example_says(written: str, expected: dict[str, str]) -> None:
    variables = environment(database_url="sqlite:///x.db", ORDER_LIMITS=written)
    assert Settings.from_environment(variables).order_limits == expected


@pytest.mark.parametrize(
    "written", ["0/minute,1/minute", "60/minute", "60,10", "60/minute 10/minute", "none"]
)
def test_other_limits_stop_the_start(written: str) -> None:
    with pytest.raises(SettingsError, match="ORDER_LIMITS"):
        Settings.from_environment(environment(database_url="sqlite:///x.db", ORDER_LIMITS=written))


@pytest.mark.parametrize("url", ["redis", "http://h", "memory://", "redis+sentinel://h"])
def test_other_stores_stop_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        Settings.from_environment(environment(database_url="sqlite:///x.db", REDIS_URL=url))
