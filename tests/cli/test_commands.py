"""The commands of a person on call: what they print, and the code they end with."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text, update

from payments_service import cli, create_app, notify, worker
from payments_service.domain.errors import StoreUnavailable, Unavailable
from payments_service.domain.flag import flag
from payments_service.domain.payment import Actor
from payments_service.domain.states import ReviewReason
from payments_service.flows.webhook import receive
from payments_service.settings import Settings, SettingsError
from payments_service.store import outbox
from payments_service.store.db import AWAY, Database
from payments_service.store.tables import Outbox, Payment, PaymentWebhook
from tests.cli.running import Shop
from tests.flows.delivering import Telling
from tests.support.deciding import deciding
from tests.support.environment import environment
from tests.support.fake_gateway import GENUINE

NOBODYS = "01990000-0000-7000-8000-000000000000"


# ── reconcile ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("any_id", ["id", "order_id", "wire"])
def test_reconcile_says_what_the_gateway_answered_and_what_changed(shop: Shop, any_id: str) -> None:
    bought = shop.buy()
    shop.pays()
    given = {"id": str(bought.id), "order_id": str(bought.order_id), "wire": str(bought.order_id)[1:]}[any_id]
    said = shop.says("reconcile", given)
    assert f"{bought.id}  {bought.order_id}  pending → completed" in said
    assert "fake: says completed; pay_1 succeeded ₹499" in said
    assert "status: pending → completed (the order is paid)" in said
    again = shop.says("reconcile", given)
    assert "stays completed" in again
    assert "status:" not in again


def test_reconcile_takes_several_ids_and_asks_about_a_payment_once(shop: Shop) -> None:
    first, second = shop.buy(reference="A-1"), shop.buy(reference="A-1")
    shop.gateway.calls.clear()
    said = shop.says("reconcile", str(first.id), "A-1", str(second.order_id))
    assert shop.gateway.calls == ["fetch_payment", "fetch_payment"]
    assert "2 payments asked about." in said


def test_reconcile_ends_with_1_when_one_is_unknown_and_asks_about_the_others(shop: Shop) -> None:
    bought = shop.buy()
    shop.pays()
    said = shop.says("reconcile", "order_nobodys", str(bought.id), exit_code=1)
    assert "Nothing here has the id order_nobodys." in said
    assert "pending → completed" in said


def test_reconcile_ends_with_1_when_the_gateway_could_not_be_asked(shop: Shop) -> None:
    bought = shop.buy()
    shop.gateway.fetch_error = Unavailable("The payment gateway cannot be reached")
    said = shop.says("reconcile", str(bought.id), exit_code=1)
    assert "stays pending" in said
    assert "could not be asked: The payment gateway cannot be reached (gateway_unavailable)" in said


def test_reconcile_ends_with_1_when_the_gateway_is_switched_off(shop: Shop) -> None:
    bought = shop.buy()
    shop.gateway.provider = "another"  # type: ignore[misc]
    assert "fake is switched off in the settings" in shop.says("reconcile", str(bought.id), exit_code=1)


def test_reconcile_since_asks_also_about_what_has_ended(shop: Shop) -> None:
    shop.buy()
    shop.pays()
    assert "1 payments asked about." in shop.says("reconcile", "--since", "2026-01-01")
    assert "0 payments asked about." in shop.says("reconcile", "--since", "2999-01-01")
    with shop.db.begin() as session:
        session.execute(update(Payment).values(next_check_at=None))
    assert "0 payments asked about." in shop.says("reconcile")
    assert "1 payments asked about." in shop.says("reconcile", "--since", "2026-01-01")


def test_reconcile_wants_either_ids_or_since(shop: Shop) -> None:
    assert "Give either ids or --since, not both." in shop.says(
        "reconcile", "x", "--since", "2026-01-01", exit_code=2
    )


# ── the inbox ───────────────────────────────────────────────────────────────────────────────────────


def test_replay_webhooks_tries_again_what_could_not_be_applied(shop: Shop) -> None:
    bought = shop.buy()
    shop.pays()
    body = shop.gateway.event(order=bought.order_id, status="completed", amount=49900, wake_up=True)
    receive(shop.db, shop.gateway, {**GENUINE, "x-event-id": "evt-1"}, body)
    with shop.db.begin() as session:
        session.execute(update(PaymentWebhook).values(outcome="unconfirmed", next_try_at=None))
    assert "0 webhooks tried again." in shop.says("replay-webhooks", "--since", "2999-01-01")
    assert "1 webhooks tried again." in shop.says("replay-webhooks", "--since", "2026-01-01")
    with shop.db.read() as session:
        assert session.get_one(Payment, bought.id).status == "completed"
        assert [row.outcome for row in session.scalars(select(PaymentWebhook))] == ["applied"]


# ── the outbox ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def telling(shop: Shop) -> Telling:
    return Telling(shop.db)


def set_row(db: Database, event_id: str, **values: object) -> None:
    with db.begin() as session:
        session.execute(update(Outbox).where(Outbox.event_id == event_id).values(**values))


def test_outbox_lists_what_waits_and_what_is_dead(shop: Shop, telling: Telling) -> None:
    payment_id = telling.payment()
    telling.tell(count=3, payment_id=payment_id)
    waits, dead, delivered = (row.event_id for row in telling.rows())
    moment = datetime(2026, 1, 31, 18, 30, tzinfo=UTC)
    set_row(shop.db, waits, attempts=4, error="HTTP 500", next_try_at=moment)
    set_row(shop.db, dead, state=outbox.DEAD, attempts=10, error="HTTP 410")
    set_row(shop.db, delivered, state=outbox.DELIVERED)
    said = shop.says("outbox")
    [heads, first, second, count] = said.splitlines()
    assert first.split() == [
        *(waits, "payment.completed", str(payment_id), "merchant", "pending", "4"),
        *("2026-02-01", "00:00:00", "HTTP", "500"),
    ]
    assert second.split()[4:] == ["dead", "10", "-", "HTTP", "410"]
    assert heads.index("state") == first.index("pending") == second.index("dead")
    assert count == "1 waiting, 1 dead."


def test_status_says_how_much_is_open_and_waits(shop: Shop, telling: Telling) -> None:
    shop.buy()
    telling.tell(count=3)
    lines = {tuple(line.split()[:3]) for line in shop.says("status").splitlines()}
    assert ("1", "open", "fake") in lines
    assert ("3", "outbox_waiting", "merchant") in lines
    assert not any(words[0] == "0" for words in lines)


def test_outbox_with_nothing_in_it_says_so(shop: Shop) -> None:
    assert shop.says("outbox") == "0 waiting, 0 dead.\n"


def test_resend_pending_sends_what_waits_now_and_nothing_else(shop: Shop, telling: Telling) -> None:
    telling.tell(count=3)
    waits, dead, delivered = (row.event_id for row in telling.rows())
    later = datetime.now(UTC) + timedelta(hours=5)
    set_row(shop.db, waits, next_try_at=later)
    set_row(shop.db, dead, state=outbox.DEAD)
    set_row(shop.db, delivered, state=outbox.DELIVERED)
    said = shop.says("resend", "--pending")
    assert waits in said
    assert "1 to merchant" in said
    [row] = telling.rows("pending")
    assert (row.event_id, row.attempts) == (waits, 0)
    assert row.next_try_at <= datetime.now(UTC)


def test_resend_pending_and_dead_are_both_and_since_narrows_them(shop: Shop, telling: Telling) -> None:
    telling.tell(count=2)
    set_row(shop.db, telling.rows()[0].event_id, state=outbox.DEAD)
    assert "0 to merchant" in shop.says("resend", "--pending", "--dead", "--since", "2999-01-01")
    assert "2 to merchant" in shop.says("resend", "--pending", "--dead", "--since", "2026-01-01")


# ── reviews ─────────────────────────────────────────────────────────────────────────────────────────


def test_reviews_lists_what_a_person_must_see(shop: Shop) -> None:
    assert shop.says("reviews") == "Nothing waits for a person.\n"
    bought = shop.buy()
    shop.gateway.paid("pay_1", wrong := bought.amount + bought.amount)
    shop.gateway.amount = wrong
    shop.says("reconcile", str(bought.id))
    assert "amount_mismatch" in shop.says("reviews")


def test_a_review_is_ended_by_its_payment_and_reason_and_a_word_is_needed(shop: Shop) -> None:
    bought = shop.buy()
    with deciding(shop.db, bought.id) as known:
        sums = {"orderedPaise": 49900, "payments": [], "gatewayPaise": 100, "gatewayCurrency": "INR"}
        twice = {"paymentIds": ["pay_1", "pay_2"]}
        flag(known, ReviewReason.AMOUNT_MISMATCH, Actor("webhook", "event-1"), sums)
        flag(known, ReviewReason.SECOND_SUCCESS, Actor("webhook", "event-1"), twice)
    assert shop.says("reviews").count(str(bought.id)) == 2
    assert "--accept or --dismiss" in shop.says("clear-review", str(bought.id), exit_code=2)
    assert "say which" in shop.says("clear-review", str(bought.id), "--dismiss", exit_code=1)
    said = shop.says("clear-review", str(bought.id), "second_success", "--accept", exit_code=1)
    assert "holds no money" in said
    shop.says("clear-review", str(bought.id), "second_success", "--dismiss", "--by", "Meera")
    shop.pays()
    shop.says("reconcile", str(bought.id))
    said = shop.says("clear-review", str(bought.id), "--accept")
    assert "amount_mismatch accepted" in said
    assert "Meera" in shop.says("show", str(bought.id))
    assert shop.says("reviews") == "Nothing waits for a person.\n"


def test_clear_review_of_what_is_not_open_ends_with_1(shop: Shop) -> None:
    said = shop.says("clear-review", NOBODYS, "--dismiss", "--by", "Meera", exit_code=1)
    assert f"Nothing is open for review under {NOBODYS}" in said


# ── what needs no gateway ───────────────────────────────────────────────────────────────────────────


def test_worker_once_does_what_is_due_and_ends(shop: Shop) -> None:
    bought = shop.buy()
    shop.pays()
    with shop.db.begin() as session:
        session.execute(update(Payment).values(next_check_at=datetime.now(UTC)))
    said = shop.says("worker", "--once")
    assert int(said.removesuffix(" done\n")) >= 2  # the payment, and the event that tells of it
    with shop.db.read() as session:
        assert session.get_one(Payment, bought.id).status == "completed"


@pytest.mark.parametrize("error", [ZeroDivisionError("card 4111"), StoreUnavailable("away")])
def test_worker_once_does_the_other_sweeps_when_one_fails_and_ends_with_1(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    bought = shop.buy()
    shop.pays()
    with shop.db.begin() as session:
        session.execute(update(Payment).values(next_check_at=datetime.now(UTC)))

    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(worker.liveness, "beat", fail)
    monkeypatch.setattr(worker.witnesses, "tell", fail)
    said = shop.says("worker", "--once", exit_code=1)
    assert "These sweeps failed, and the log says why: heartbeat, clock." in said
    assert "4111" not in said
    assert [record.message for record in caplog.records].count("Sweep failed") == 2
    with shop.db.read() as session:
        assert session.get_one(Payment, bought.id).status == "completed"


def test_worker_once_calls_the_address_outside_before_it_ends(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def slow(url: str, _seconds: float) -> notify.Answer:
        time.sleep(1)
        called.append(url)
        return notify.Answer(notify.Verdict.DELIVERED, "204")

    monkeypatch.setattr(notify, "ping", slow)
    services = shop.app.extensions["payments_service"]
    settings = replace(services.settings, heartbeat_url="https://outside.example.com/1")
    shop.app.extensions["payments_service"] = replace(services, settings=settings)
    shop.says("worker", "--once")
    assert called == ["https://outside.example.com/1"]


def test_replay_webhooks_tells_which_sweeps_failed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(worker.witnesses, "tell", fail)
    said = shop.says("replay-webhooks", exit_code=1)
    assert "0 webhooks tried again." in said
    assert "These sweeps failed, and the log says why: clock." in said


def test_db_upgrade_says_where_the_database_is_also_the_second_time(shop: Shop) -> None:
    assert shop.says("db", "upgrade") == shop.says("db", "upgrade")
    assert shop.says("db", "upgrade").startswith("Database is at 00")


def test_api_key_prints_a_key_and_the_entry_of_its_hash(shop: Shop) -> None:
    key, entry = (line.strip() for line in shop.says("api-key", "shop").splitlines()[1::2])
    name, scopes, digest = entry.split(":")
    assert (name, scopes, digest) == ("shop", "read+write", sha256(key.encode()).hexdigest())
    assert "NAME takes letters" in shop.says("api-key", "my shop", exit_code=2)


every_command = pytest.mark.parametrize(
    "arguments",
    [
        ("show", "x"),
        ("reconcile",),
        ("status",),
        ("outbox",),
        ("resend", "--dead"),
        ("replay-webhooks",),
        ("reviews",),
        ("clear-review", NOBODYS, "--dismiss"),
        ("worker", "--once"),
        ("db", "upgrade"),
    ],
    ids=lambda arguments: arguments[0],
)


@every_command
def test_without_settings_a_command_names_what_is_missing_and_ends_with_3(arguments: tuple[str, ...]) -> None:
    app = cli.app_without_settings(SettingsError({"DATABASE_URL": ["is required in production"]}))
    with app.app_context():
        ended = app.test_cli_runner().invoke(args=arguments)
    assert ended.exit_code == 3
    assert "DATABASE_URL: is required in production" in ended.output


@every_command
def test_while_the_database_is_away_a_command_says_so_and_ends_with_1(arguments: tuple[str, ...]) -> None:
    away = environment(database_url="postgresql://payments@127.0.0.1:9/away", simulator_port=9)
    app = create_app(Settings.from_environment(away))
    with app.app_context():
        ended = app.test_cli_runner().invoke(args=arguments)
    assert (ended.exit_code, ended.stdout, type(ended.exception)) == (1, "", SystemExit)
    [sentence] = ended.stderr.splitlines()
    why = "The database cannot be reached" if arguments == ("db", "upgrade") else AWAY
    assert sentence.startswith(f"Error: {why}")


def test_help_and_api_key_need_no_settings() -> None:
    app = cli.app_without_settings(SettingsError({"DATABASE_URL": ["is required in production"]}))
    runner: CliRunner = app.test_cli_runner()
    for name in app.cli.list_commands(None):  # type: ignore[arg-type]
        assert runner.invoke(app.cli, [name, "--help"]).exit_code == 0
    assert runner.invoke(app.cli, ["api-key", "shop"]).exit_code == 0


def test_every_command_of_the_document_is_there(shop: Shop) -> None:
    known = set(shop.app.cli.list_commands(None))  # type: ignore[arg-type]
    assert {
        "show",
        "status",
        "outbox",
        "resend",
        "reconcile",
        "replay-webhooks",
        "reviews",
        "clear-review",
    } <= known


# ── a row that cannot be read ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("database_kind", ["sqlite"])  # PostgreSQL takes nothing else into such a column
def test_a_damaged_row_is_a_sentence_to_show_and_leaves_the_histories_to_be_verified(shop: Shop) -> None:
    bought = shop.buy()
    with shop.db.begin() as session:
        session.execute(text("UPDATE payments SET metadata = '{half'"))
    said = shop.says("show", str(bought.id), exit_code=1)
    assert said.startswith("Error: A row that this needs cannot be read")
    assert said.count("\n") == 1
    assert "is unchanged" in shop.says("verify-ledger")
