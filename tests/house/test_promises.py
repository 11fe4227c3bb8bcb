"""Promises of the house that no single flow keeps: guards, settings, secrets, the history."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from payments_service import settings as settings_module
from payments_service.api.guards import GUARD
from payments_service.domain.news import WIRE_PREFIX, new_id
from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings import Settings, SettingsError
from payments_service.store import migrations
from payments_service.store.db import Database, normalized_url
from tests.flows.conftest import buy
from tests.support.environment import environment
from tests.support.fake_gateway import FakeGateway

ROOT = Path(__file__).parents[2]


def test_every_route_declares_its_guard(app: Flask) -> None:
    open_doors = [
        r.rule for r in app.url_map.iter_rules() if not hasattr(app.view_functions[r.endpoint], GUARD)
    ]
    assert open_doors == []


def test_the_example_environment_names_every_variable_and_only_those() -> None:
    written = set(re.findall(r"^([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.M))
    assert written == set(settings_module.variable_names())


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.provider)
def test_a_gateway_names_variables_of_its_own_to_look_at(gateway: type[Gateway]) -> None:
    declared = {variable.name for _, variable in variables_of(gateway.config_type)}
    for names in (gateway.webhook_secret_names, gateway.credential_names):
        assert names
        assert set(names) <= declared


def test_the_example_environment_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    values = {k: v or "" for k, v in dotenv_values(ROOT / ".env.example").items()}
    configured = [gateway.name for gateway, _ in Settings.from_environment(values).gateways]
    assert configured == list(dict.fromkeys(gateway.name for gateway in GATEWAYS))


def test_every_wrong_variable_is_named_in_one_message() -> None:
    wrong = {
        "APP_ENV": "live",
        "PORT": "http",
        "FRONTEND_URL": "https://shop.example.com/path",
        "ORDER_EXPIRY": "5",
        "MIN_AMOUNT": "1.001",
        "DATABASE_URL": "mysql://x",
        "REDIS_URL": "http://x",
        "WEBHOOK_ALLOWED_IPS": "203.0.113.0/24, gateway",
        "REQUIRE_QUOTE": "yes",
        "RAZORPAY_KEY_ID": "rzp_test_1",
        "RAZORPAY_CAPTURE": "never",
    }
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(wrong)
    expected = set(wrong) - {"RAZORPAY_KEY_ID"} | {"RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET"}
    assert expected <= set(raised.value.errors)
    assert all(name in str(raised.value) for name in expected)


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_forgets_or_is_not_known_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(environment(database_url=url))
    assert set(raised.value.errors) == {"DATABASE_URL"}


def test_a_wrong_setting_stops_the_start_with_one_message(tmp_path: Path) -> None:
    wrong = {**environment(database_url=f"sqlite:///{tmp_path / 'x.db'}"), "ORDER_EXPIRY": "5"}
    for command in (
        ["flask", "--app", "wsgi", "db", "upgrade"],
        ["gunicorn", "--bind", "127.0.0.1:0", "wsgi:app"],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "WEB_CONCURRENCY": "1", **wrong},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ended.returncode == 3
        assert "The settings are not usable:\n  ORDER_EXPIRY: " in ended.stderr
        assert "Traceback" not in ended.stderr


def test_production_needs_its_settings_and_refuses_the_simulators() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"APP_ENV": "production"})
    required = {"FRONTEND_URL", "BACKEND_URL", "MERCHANT_NAME", "DATABASE_URL", "SECRET_KEY", "REQUIRE_QUOTE"}
    assert required <= set(raised.value.errors)
    simulated = {**environment(database_url="sqlite:///x.db"), "APP_ENV": "production"}
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({**simulated, "RAZORPAY_API_URL": "http://api.example.com"})
    assert {"RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET", "RAZORPAY_API_URL"} <= set(raised.value.errors)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRONTEND_URL", "https://*"),
        ("FRONTEND_URL", "https://*.example.com"),
        ("FRONTEND_URL", "https://shop.example.com:443"),
        ("FRONTEND_URL", "https://shop.example.com/path"),
        ("FRONTEND_URL", "http://shop.example.com"),
        ("BACKEND_URL", "http://["),
        ("BACKEND_URL", "http://pay.example.com"),
        ("RETURN_URL", "http://shop.example.com/done"),
        ("SECRET_KEY", "development-only-secret"),
        ("RAZORPAY_WEBHOOK_SECRET", ","),
        ("RAZORPAY_API_URL", "http://127.0.0.1:8090/razorpay"),
    ],
)
def test_production_refuses_what_would_be_a_hole(name: str, value: str) -> None:
    good = {
        "FRONTEND_URL": "https://shop.example.com",
        "BACKEND_URL": "https://pay.example.com",
        "MERCHANT_NAME": "Shop",
        "DATABASE_URL": "sqlite:///x.db",
        "SECRET_KEY": "sixteen-characters-or-more",
        "REQUIRE_QUOTE": "false",
        "RAZORPAY_KEY_ID": "rzp_live_1",
        "RAZORPAY_KEY_SECRET": "key-secret-of-ours",
        "RAZORPAY_WEBHOOK_SECRET": "slash-in-the-end-of-it/,other-secret-of-ours",
    }
    [(_, config)] = Settings.from_environment(good).gateways
    assert config.webhook_secrets == ("slash-in-the-end-of-it/", "other-secret-of-ours")
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({**good, name: value})
    assert list(raised.value.errors) == [name]


def test_an_empty_variable_counts_as_one_that_is_not_set() -> None:
    empty = {name: "" for name in settings_module.variable_names()}
    loaded = Settings.from_environment({**empty, "APP_ENV": "development"})
    assert loaded.gateways == ()
    assert loaded.port == 5000


def test_no_secret_shows_in_the_repr_of_what_the_service_is_made_of(app: Flask, settings: Settings) -> None:
    shown = repr(settings) + repr(app.extensions["payments_service"])
    secrets = [settings.secret_key, "simulator_razorpay_key_secret", "simulator_razorpay_webhook_secret"]
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda g: g.provider)
def test_a_gateways_secrets_are_declared_as_such(gateway: type) -> None:
    fields = gateway.config_type.__dataclass_fields__
    for name, declared in variables_of(gateway.config_type):
        if re.search("SECRET|PASS|SALT_KEY", declared.name):
            assert not fields[name].repr, declared.name


def test_the_tables_in_code_and_the_migrated_database_agree(db: Database) -> None:
    assert migrations.difference(db) == []


def test_a_table_of_somebody_else_is_left_alone(db: Database) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("CREATE TABLE somebody_elses (id INTEGER PRIMARY KEY)"))
    assert migrations.difference(db) == []
    migrations.upgrade(db)
    with db.engine.begin() as connection:
        connection.execute(text("SELECT * FROM somebody_elses"))


@pytest.mark.parametrize(
    "statement", ["UPDATE payment_events SET reason = 'x'", "DELETE FROM payment_events"]
)
def test_the_history_cannot_be_rewritten(db: Database, statement: str) -> None:
    buy(db, FakeGateway())
    with pytest.raises(DBAPIError, match="append-only"), db.engine.begin() as connection:
        connection.execute(text(statement))


def test_our_wire_ids_suit_the_strictest_gateway() -> None:
    ids = {new_id(WIRE_PREFIX) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"psv_[a-z0-9]{1,30}", one) for one in ids)


def test_database_urls_as_platforms_write_them_are_understood() -> None:
    for given in ("postgres://u:p@h/n", "postgresql://u:p@h/n", "postgresql+psycopg://u:p@h/n"):
        assert normalized_url(given) == "postgresql+psycopg://u:p@h/n"
    assert normalized_url("sqlite:///x.db") == "sqlite:///x.db"


def test_no_float_comes_near_money() -> None:
    """One call makes a JSON number of rupees; nothing else in the service may say float()."""
    package = ROOT / "payments_service"
    found = [
        f"{path.relative_to(package)}:{number}"
        for path in package.rglob("*.py")
        if "simulator" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\bfloat\(", line)
    ]
    assert [place.split(":")[0] for place in found] == ["domain/money.py"]
