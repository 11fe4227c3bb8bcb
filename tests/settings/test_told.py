"""What a start tells: gateways with their mode, the database, who is told, what is off."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from payments_service import create_app
from payments_service.gateways.base import Gateway
from payments_service.settings import Settings
from payments_service.settings.told import tell
from payments_service.store import migrations
from payments_service.store.db import Database
from tests.settings.environments import LIVE, load
from tests.support.environment import environment
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
TOLD = {
    "MERCHANT_WEBHOOK_URL": "https://shop.example.com/hooks/hidden",
    "MERCHANT_WEBHOOK_SECRET": "whsec_" + "A" * 32,
    "SMTP_URL": "smtp://mailer:word@mail.example.com",
    "MAIL_FROM": "pay@shop.example.com",
    "OPS_EMAIL": "ops@shop.example.com",
}
WATCHING = ("METRICS_TOKEN", "HEARTBEAT_URL", "SENTRY_DSN")
HIDDEN = ("word", "user", "mailer", "hidden", "ops@", "secret", "whsec_", "rzp_live_1", "SHOPONLINE")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    told = [record for record in caplog.records if record.name == "payments_service.settings.told"]
    assert {record.levelno for record in told} <= {logging.INFO}
    return [(record.getMessage(), record.data) for record in told]  # type: ignore[attr-defined]


def gateways_of(settings: Settings) -> list[Gateway]:
    return [gateway(config) for gateway, config in settings.gateways]


def test_a_line_each_and_no_secret_in_any(caplog: pytest.LogCaptureFixture) -> None:
    settings = load(LIVE, **TOLD)
    with caplog.at_level(logging.INFO, "payments_service"):
        tell(settings, gateways_of(settings))
    gateways = {
        "razorpay": "live, api.razorpay.com",
        "phonepe": "live, api.phonepe.com",
        "phonepe_v1": "live, api.phonepe.com",
        "cashfree": "live, api.cashfree.com",
    }
    mail = "by mail through mail.example.com"
    assert lines(caplog) == [
        ("Gateways", {"env": "production", **gateways}),
        ("Database", {"kind": "postgresql", "host": "db.example.com"}),
        ("Told", {"merchant": "shop.example.com", "payers": mail, "operators": mail}),
        ("Off", {"off": ["API_KEYS", "CELERY_BROKER_URL", *WATCHING]}),
    ]
    assert not [hidden for hidden in HIDDEN if hidden in str(lines(caplog))]


def test_what_is_off_is_told(caplog: pytest.LogCaptureFixture) -> None:
    settings = load({"APP_ENV": "development", "DATABASE_URL": "sqlite:///some.db"})
    with caplog.at_level(logging.INFO, "payments_service"):
        tell(settings, [])
    [_, database, told, off] = lines(caplog)
    assert database == ("Database", {"kind": "sqlite", "file": "some.db"})
    assert told == ("Told", {})
    gateways = ["razorpay", "phonepe", "phonepe_v1", "cashfree"]
    names = ["MERCHANT_WEBHOOK_URL", "SMTP_URL", "OPS_EMAIL", "API_KEYS", "CELERY_BROKER_URL", *WATCHING]
    assert off == ("Off", {"off": [*gateways, *names]})


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgres://u:word@h1:5432/n", "h1"),
        ("postgresql:///n?host=/var/run/postgresql", "/var/run/postgresql"),
        ("postgresql:///n", "local socket"),
    ],
)
def test_where_the_database_is(url: str, host: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = load({"APP_ENV": "development", "DATABASE_URL": url})
    with caplog.at_level(logging.INFO, "payments_service"):
        tell(settings, [])
    assert lines(caplog)[1] == ("Database", {"kind": "postgresql", "host": host})


def test_a_start_tells_it_once_and_requests_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    database = Database(url)
    migrations.upgrade(database)
    database.engine.dispose()
    capsys.readouterr()
    app = create_app(load({"APP_ENV": "development", "DATABASE_URL": url}))
    app.test_client().get("/nothing")
    app.test_client().get("/health")  # a probe's line is not worth its place while all is well
    app.test_client().get("/nothing")
    sentences = [line.split()[2] for line in capsys.readouterr().err.splitlines()]
    assert sentences == ["Gateways", "Database", "Told", "Off", "Request", "Request"]
    app.extensions["payments_service"].db.engine.dispose()


@pytest.mark.parametrize("command", ["gunicorn --bind 127.0.0.1:0 wsgi:app", "payments_service.worker"])
def test_web_and_worker_tell_it_as_they_start(command: str, tmp_path: Path) -> None:
    variables = environment(database_url=f"sqlite:///{tmp_path / 'x.db'}", simulator_port=free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        told = []
        for line in process.stderr:
            told += [word for word in ("Gateways", "Database", "Told", "Off") if f"[INFO] {word} {{" in line]
            if told[-1:] == ["Off"]:
                break
        process.terminate()
    assert told == ["Gateways", "Database", "Told", "Off"]
