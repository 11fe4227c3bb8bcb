"""`doctor` beside a set-up that is well, and beside broken ones: what it saw, what to do, how it ends."""

import json
import re
import shutil
import ssl
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from payments_service import cli, net
from payments_service.api import Services
from payments_service.cli import doctor_web as web
from payments_service.cli.doctor import _clock, _secrets, _skew
from payments_service.cli.findings import Finding, Verdict
from payments_service.domain.errors import Rejected, Unavailable, UnknownAtGateway
from payments_service.domain.states import AlertCode
from payments_service.settings import Settings, SettingsError
from payments_service.store import alerts, condition, heartbeats
from payments_service.store.db import Database
from tests.cli.running import Shop
from tests.gateways.conftest import certificate, self_signed
from tests.gateways.wire import Reply, Request, wire
from tests.support.environment import environment
from tests.support.house import ROOT, House
from tests.support.mailbox import mailbox
from tests.support.pgbouncer import running_pgbouncer
from tests.support.ports import free_port
from tests.support.postgres import new_node

__all__ = ["certificate", "self_signed"]

AWAY = "127.0.0.1:9"
TESTS_DATABASE = ("--skip", "database")
"""The tests' PostgreSQL runs without fsync, which is bad, and said so."""


def ran(house: House, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**house.environment, **more}, capture_output=True, text=True, timeout=60
    )


def checks(house: House, **more: str) -> dict[str, dict[str, str]]:
    """By name; of several of one name the last."""
    return {one["check"]: one for one in json.loads(ran(house, "--json", **more).stdout)["checks"]}


def settings_with(**more: str) -> Settings:
    return Settings.from_environment(environment(database_url="sqlite:///x.db", **more))


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


# ── beside the simulator ────────────────────────────────────────────────────────────────────────────


def test_a_set_up_that_is_well_has_nothing_bad_and_ends_with_0(house: House) -> None:
    house.create_order()
    ended = ran(house, *TESTS_DATABASE)
    assert ended.returncode == 0, ended.stdout
    assert "\n0 bad, " in ended.stdout
    assert ended.stderr == ""
    found = checks(house)
    good = [
        "settings",
        "secrets",
        "public address",
        "webhook round trip",
        "page's origin",
        "clock",
    ]
    good += [f"gateway {name}" for name in ("razorpay", "phonepe", "cashfree")]
    assert {name: found[name]["verdict"] for name in good} == dict.fromkeys(good, "ok")
    assert "takes this shell's credentials (test)" in found["gateway phonepe"]["saw"]
    assert found["webhook address"]["saw"] == f"{house.url}/api/webhook/cashfree"


def test_it_stores_nothing_and_refuses_no_webhook(house: House) -> None:
    def stored() -> tuple[object, object]:
        with house.database() as db, db.read() as session:
            count = session.execute(text("SELECT count(*) FROM payment_webhooks")).scalar()
            return count, heartbeats.last(session, heartbeats.REFUSED_SINCE + "razorpay")

    before = stored()
    ran(house)
    assert stored() == before


def test_wrong_credentials_of_each_gateway_are_named_with_their_variables(house: House) -> None:
    wrong = {
        "RAZORPAY_KEY_SECRET": "another_key_secret_of_ours",
        "PHONEPE_CLIENT_SECRET": "another_client_secret_of_ours",
        "CASHFREE_APP_SECRET": "another_app_secret_of_ours",
        "PHONEPE_MERCHANT_ID": "SIMULATORV1",
        "PHONEPE_SALT_KEY": "another_salt_key_of_ours",
        "PHONEPE_SALT_INDEX": "1",
    }
    ended = ran(house, "--json", **wrong)
    assert ended.returncode == 1
    found = {one["check"]: one for one in json.loads(ended.stdout)["checks"]}
    for name, variable in (
        ("razorpay", "RAZORPAY_KEY_SECRET"),
        ("phonepe", "PHONEPE_CLIENT_SECRET"),
        ("phonepe_v1", "PHONEPE_SALT_KEY"),
        ("cashfree", "CASHFREE_APP_SECRET"),
    ):
        assert found[f"gateway {name}"]["verdict"] == "bad"
        assert variable in found[f"gateway {name}"]["todo"]
    assert not [secret for secret in wrong.values() if len(secret) > 12 and secret in ended.stdout]


def test_what_is_away_is_named_and_the_rest_is_looked_at_all_the_same(house: House) -> None:
    away = {"RAZORPAY_API_URL": f"http://{AWAY}", "BACKEND_URL": f"http://{AWAY}"}
    found = checks(house, **away, SMTP_URL=f"smtp://{AWAY}", MAIL_FROM="pay@example.com")
    bad_ones = {name for name, one in found.items() if one["verdict"] == "bad"} - {"database"}
    assert bad_ones == {"gateway razorpay", "public address", "webhook round trip", "mail"}
    assert "refuses to connect" in found["public address"]["saw"]
    assert found["gateway cashfree"]["verdict"] == "ok"


def test_a_check_can_be_left_out(house: House) -> None:
    assert ran(house, *TESTS_DATABASE, BACKEND_URL=f"http://{AWAY}").returncode == 1
    skipped = [*TESTS_DATABASE, "--skip", "public address", "--skip", "webhook round trip"]
    assert ran(house, *skipped, BACKEND_URL=f"http://{AWAY}").returncode == 0


# ── settings ────────────────────────────────────────────────────────────────────────────────────────


def test_wrong_settings_are_one_line_each_and_end_with_3() -> None:
    app = cli.app_without_settings(SettingsError({"DATABASE_URL": ["is required"], "PORT": ["is no number"]}))
    with app.app_context():
        ended = app.test_cli_runner().invoke(args=["doctor"])
        as_json = app.test_cli_runner().invoke(args=["doctor", "--json"])
    assert ended.exit_code == as_json.exit_code == 3
    assert "bad   settings  DATABASE_URL is required\n" in ended.output
    assert [one["saw"] for one in json.loads(as_json.output)["checks"]] == [
        "DATABASE_URL is required",
        "PORT is no number",
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("two halves of a secret", "has a space"),
        ("'quoted-secret-of-ours-12'", "quotation marks"),
        ("your_key_secret_goes_here", "placeholder"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "different characters"),
    ],
)
def test_a_secret_of_an_odd_shape_is_named_and_never_shown(value: str, problem: str) -> None:
    finding = only(_secrets(settings_with(RAZORPAY_KEY_SECRET=value)))
    assert finding.verdict is Verdict.BAD
    assert problem in finding.saw
    assert "RAZORPAY_KEY_SECRET" in finding.saw
    assert value not in str(finding)


def test_one_secret_for_two_uses_is_named() -> None:
    good = {
        "APP_ENV": "production",
        "FRONTEND_URL": "https://shop.example.com",
        "BACKEND_URL": "https://pay.example.com",
        "MERCHANT_NAME": "Shop",
        "DATABASE_URL": "sqlite:///x.db",
        "SECRET_KEY": "sixteen-characters-or-more",
        "REQUIRE_QUOTE": "false",
        "RAZORPAY_KEY_ID": "rzp_live_1",
        "RAZORPAY_KEY_SECRET": "one-secret-for-both-uses",
        "RAZORPAY_WEBHOOK_SECRET": "one-secret-for-both-uses",
    }
    finding = only(_secrets(Settings.from_environment(good)))
    assert finding.saw == "RAZORPAY_WEBHOOK_SECRET is the same as RAZORPAY_KEY_SECRET"


# ── the database ────────────────────────────────────────────────────────────────────────────────────


def line(shop: Shop, check: str, exit_code: int = 1) -> str:
    """What is said of one thing."""
    shop.gateway.fetch_error = UnknownAtGateway("fake knows no such order")
    said = json.loads(shop.says("doctor", "--json", exit_code=exit_code))
    return "; ".join(f"{one['verdict']} {one['saw']}" for one in said["checks"] if one["check"] == check)


def test_the_database_is_seen_with_its_revision(shop: Shop) -> None:
    said = line(shop, "database")
    if shop.db.is_sqlite:
        assert re.fullmatch(r"ok SQLite [\d.]+, at \d{4}, primary, UTF-8, durable", said)
    else:
        assert re.fullmatch(r"bad PostgreSQL [\d.]+.*, at \d{4}: fsync is off", said)
        step = "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();"
        assert step in shop.says("doctor", exit_code=1)


def test_a_database_without_tables_says_how_they_are_made(shop: Shop) -> None:
    with shop.db.engine.begin() as connection:
        connection.execute(text("UPDATE payments_service_version SET version_num = '0001'"))
    assert "this version needs" in line(shop, "migrations")
    assert "db upgrade" in shop.says("doctor", exit_code=1)


def test_a_database_that_is_away_is_one_line_and_the_rest_is_looked_at(shop: Shop) -> None:
    services: Services = shop.app.extensions["payments_service"]
    gone = Database(f"postgresql://payments@{AWAY}/payments")
    shop.app.extensions["payments_service"] = replace(services, db=gone)
    shop.gateway.fetch_error = UnknownAtGateway("fake knows no such order")
    said = {one["check"]: one for one in json.loads(shop.command("doctor", "--json").output)["checks"]}
    assert said["database"]["saw"] == "no answer: unreachable"
    assert said["gateway fake"]["verdict"] == "ok"
    assert "worker" not in said


def test_a_file_whose_disk_passes_is_not_durable(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none / ext4 rw 0 0\nnone {tmp_path} tmpfs rw 0 0\n")
    monkeypatch.setattr(condition, "MOUNTS", mounts)
    database = Database(f"sqlite:///{tmp_path / 'payments.db'}")
    assert condition.look(database).unsafe == ("the file is on tmpfs, which is empty after a restart",)
    database.engine.dispose()


def test_a_disk_that_fills_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shop.db.is_sqlite:
        pytest.skip("a server's disk is not ours to see")
    usage = namedtuple("usage", "total used free")(10, 9, 5 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert line(shop, "disk") == "bad 5 MiB are left beside the database"


def test_a_server_that_may_lose_commits_or_has_another_encoding_is_bad() -> None:
    with new_node() as node:
        node.start()
        server = Database(node.url)
        seen = condition.look(server)
        server.engine.dispose()
    assert seen.unsafe == ("fsync is off",)
    assert not seen.has_pooler
    assert replace(seen, is_primary=False, encoding="SQL_ASCII").troubles == (
        "fsync is off",
        "it is a standby",
        "its encoding is SQL_ASCII",
    )


# ── worker, gateways, webhooks, clock ───────────────────────────────────────────────────────────────


def test_a_worker_is_missed_before_and_after_its_life(shop: Shop) -> None:
    assert line(shop, "worker") == "warn none has run yet"
    with shop.db.begin() as session:
        heartbeats.beat(session, heartbeats.WORKER, datetime.now(UTC) - timedelta(hours=5))
    assert line(shop, "worker") == "bad no heartbeat for 5 hours"
    with shop.db.begin() as session:
        heartbeats.beat(session, heartbeats.WORKER, datetime.now(UTC))
    assert line(shop, "worker").startswith("ok alive")


def test_a_gateway_is_told_apart_by_what_it_does_with_a_harmless_question(shop: Shop) -> None:
    assert line(shop, "gateway fake").startswith("ok answers in ")
    for error, todo in (
        (Rejected("fake answered 401: no"), "Compare FAKE"),
        (Unavailable("The gateway could not be reached (reason: dns)"), "status page"),
    ):
        shop.gateway.fetch_error = error
        said = shop.says("doctor", exit_code=1)
        assert re.search(f"bad +gateway fake +{re.escape(error.message)}", said)
        assert todo in said
    shop.gateway.fetch_error = KeyError("a fault of ours")  # type: ignore[assignment]
    assert "could not be checked: KeyError" in shop.says("doctor", exit_code=1)


def test_an_open_alarm_about_webhooks_is_bad(shop: Shop) -> None:
    assert line(shop, "webhooks fake") == "warn none has come yet"
    now = datetime.now(UTC)
    with shop.db.begin() as session:
        alerts.open_once(session, AlertCode.WEBHOOK_SILENCE, "fake", {}, now)
    assert line(shop, "webhooks fake").startswith("bad they do not come")
    with shop.db.begin() as session:
        alerts.open_once(session, AlertCode.WEBHOOKS_REFUSED, "fake", {}, now)
    assert line(shop, "webhooks fake").startswith("bad they are refused")


@pytest.mark.parametrize(("seconds", "verdict"), [(-3, "ok"), (45, "warn"), (400, "bad"), (-400, "bad")])
def test_a_clock_is_compared_with_the_gateways(seconds: int, verdict: str) -> None:
    finding = only(_skew("the gateways'", timedelta(seconds=seconds)))
    assert finding.verdict == verdict
    if verdict != "ok":
        assert finding.saw == f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the gateways'"


def test_without_any_answer_nothing_is_said_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments_service.domain.clock.WATCH._gateways", {})
    assert only(_clock()).saw == "not compared: no gateway answered"


# ── from outside ────────────────────────────────────────────────────────────────────────────────────


def seen_from_outside(reply: Any, check: Any, **more: str) -> tuple[Finding, list[Request]]:
    """The first finding with such an answer at BACKEND_URL, and what was asked."""
    with wire(reply) as line:
        finding = next(iter(check(settings_with(BACKEND_URL=line.url, **more))))
        return finding, list(line.requests)


def echoing(status: int, body: object, **headers: str) -> Any:
    return lambda request: Reply.of(
        body, status, **{"X-Request-Id": request.headers["x-request-id"], **headers}
    )


def test_another_program_at_the_public_address_is_noticed() -> None:
    finding, _ = seen_from_outside(Reply.of({"hello": 1}), web.public_address)
    assert (finding.verdict, "answers 200" in finding.saw) == (Verdict.BAD, True)
    finding, _ = seen_from_outside(
        Reply(b"", 301, {"Location": "https://www.example.com/x?secret=1"}), web.public_address
    )
    assert "to https://www.example.com/x" in finding.saw
    assert "secret" not in finding.saw


def test_a_proxy_that_drops_headers_is_worth_a_look() -> None:
    finding, _ = seen_from_outside(Reply.of({"status": "ok"}), web.public_address)
    assert (finding.verdict, finding.check) == (Verdict.WARN, "public address")
    finding, _ = seen_from_outside(echoing(200, {"status": "ok"}), web.public_address)
    assert finding.verdict is Verdict.OK


def test_the_webhook_that_is_sent_is_long_and_names_no_gateway() -> None:
    finding, [request] = seen_from_outside(echoing(404, {"code": "gateway_off"}), web.webhook_door)
    assert finding.verdict is Verdict.OK
    assert (request.method, request.target) == ("POST", "/api/webhook/doctor")
    assert len(request.body) > 45_000


@pytest.mark.parametrize(
    ("reply", "saw"),
    [
        (
            Reply(b"", 308, {"Location": "https://pay.example.com/api/webhook/doctor"}),
            "is redirected, to https://pay",
        ),
        (Reply(b"<html>bot check</html>", 403), "answers 403"),
        (Reply.of({"code": "gateway_off"}, 404), "answers 404 gateway_off"),
        (Reply(b"too large", 413), "answers 413"),
    ],
)
def test_what_stops_a_webhook_on_its_way_is_named(reply: Reply, saw: str) -> None:
    finding, _ = seen_from_outside(reply, web.webhook_door)
    assert finding.verdict is Verdict.BAD
    assert saw in finding.saw


def test_a_service_that_takes_webhooks_from_some_networks_only_is_well() -> None:
    finding, _ = seen_from_outside(Reply.of({"code": "address_not_allowed"}, 403), web.webhook_door)
    assert finding.verdict is Verdict.OK


def test_a_page_that_the_running_service_does_not_let_call_is_named() -> None:
    finding, [request, *_] = seen_from_outside(
        Reply.of({}), web.pages_allowed, FRONTEND_URL="https://shop.test"
    )
    assert finding.saw == "https://shop.test is refused by browsers"
    assert (request.method, request.headers["origin"]) == ("OPTIONS", "https://shop.test")


def test_a_page_that_leads_on_to_another_origin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "is_loopback", lambda _url: False)
    with wire(Reply(b"", 302, {"Location": "https://www.shop.test/"})) as page:
        allowed = Reply(b"", 200, {"Access-Control-Allow-Origin": page.url})
        finding, _ = seen_from_outside(allowed, web.pages_allowed, FRONTEND_URL=page.url)
    assert finding.saw == f"{page.url} leads on to https://www.shop.test"
    assert "add https://www.shop.test to FRONTEND_URL" in finding.todo


STRICT = {"Strict-Transport-Security": "x"}


@pytest.mark.parametrize(
    ("headers", "hops", "verdict"), [({}, 1, "warn"), (STRICT, 1, "ok"), (STRICT, 0, "warn")]
)
def test_whether_the_service_knows_how_it_was_asked_is_told_by_its_answer(
    headers: dict[str, str], hops: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(
        settings_with(), env="production", backend_url="https://pay.test", trusted_proxy_hops=hops
    )
    answer = web.Answer(404, {name.lower(): value for name, value in headers.items()}, b"", 1, None)
    monkeypatch.setattr(web, "call", lambda *_: answer)
    assert only(web._scheme_known(settings)).verdict == verdict


def test_a_certificate_that_is_not_trusted_is_named(self_signed: ssl.SSLContext) -> None:
    with wire(Reply.of({"status": "ok"}), tls=self_signed) as line:
        finding = next(web.public_address(settings_with(BACKEND_URL=line.url)))
    assert "its certificate is refused" in finding.saw


def test_a_certificate_that_ends_soon_is_told_with_its_days(
    certificate: Path, self_signed: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(net, "tls_context", lambda: trusting)
    with wire(echoing(200, {"status": "ok"}), tls=self_signed) as line:
        _, tls = web.public_address(settings_with(BACKEND_URL=line.url))
    assert (tls.check, tls.verdict) == ("TLS", Verdict.BAD)
    assert tls.saw == "the certificate is good for 1 more days"


def test_a_port_to_which_no_gateway_delivers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = web.Answer(200, {}, b'{"status": "ok"}', 1, datetime.now(UTC) + timedelta(days=60))
    monkeypatch.setattr(web, "call", lambda *_: answer)
    settings = replace(settings_with(), env="production", backend_url="https://pay.example.com:8443")
    found = {finding.check: finding for finding in web.public_address(settings)}
    assert found["webhook port"].saw == "BACKEND_URL has port 8443"
    assert found["TLS"].verdict is Verdict.OK


def test_mail_is_tried_to_the_log_in_and_no_letter_is_sent() -> None:
    with mailbox() as box:
        settings = settings_with(SMTP_URL=box.url_with_password, MAIL_FROM="pay@example.com")
        assert only(web.mail(settings)).verdict is Verdict.WARN  # OPS_EMAIL is not set
        alarmed = replace(settings, ops_email="ops@example.com")
        assert only(web.mail(alarmed)).verdict is Verdict.OK
        refused = replace(alarmed, smtp_url=f"smtp://someone:wrong@localhost:{box.port}")
        assert only(web.mail(refused)).saw == "localhost: SMTP 535"
    assert box.envelopes == []


def test_the_merchants_address_is_reached_and_sent_nothing() -> None:
    with wire(Reply.of({})) as line:
        told = {"MERCHANT_WEBHOOK_SECRET": "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
        settings = settings_with(MERCHANT_WEBHOOK_URL=f"{line.url}/hooks", **told)
        assert only(web.merchant_address(settings)).verdict is Verdict.OK
        assert line.requests == []
    away = replace(settings, merchant_webhook_url=f"http://127.0.0.1:{free_port()}/hooks")
    assert only(web.merchant_address(away)).verdict is Verdict.BAD
    assert only(web.merchant_address(settings_with())).verdict is Verdict.WARN


def test_a_helper_that_is_away_is_told_by_what_suffers() -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    found = {one.check: one for one in web.helpers(settings_with(REDIS_URL=away, CELERY_BROKER_URL=away))}
    assert found["REDIS_URL"].verdict is Verdict.WARN
    assert found["CELERY_BROKER_URL"].verdict is Verdict.BAD
    with wire(Reply.of({})) as line:
        there = settings_with(REDIS_URL=line.url.replace("http", "redis"))
        assert only(web.helpers(there)).verdict is Verdict.OK
    assert list(web.helpers(settings_with())) == []


@pytest.mark.check
def test_a_pooler_is_seen_by_who_answers_and_told_of_where_the_settings_do_not(postgres_server: str) -> None:
    with running_pgbouncer(postgres_server, "pool_mode = transaction") as through:
        for url, has_pooler in ((f"{through}?pgbouncer=true", True), (postgres_server, False)):
            database = Database(url)
            assert condition.look(database).has_pooler is has_pooler
            database.engine.dispose()
