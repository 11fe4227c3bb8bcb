"""Events out: each fact reaches each destination, on a schedule, whoever is slow, dead or killed."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook

from payments_service import notify
from payments_service.domain.clock import Clock
from payments_service.flows import deliver
from payments_service.flows.deliver import JITTER, LEASE, TRIES, WAITS
from payments_service.notify import Answer
from payments_service.store import outbox
from payments_service.store.db import Database
from payments_service.store.sqlite import BUSY_SECONDS
from payments_service.store.tables import Outbox, Payment
from payments_service.store.transaction import Transaction
from tests.flows.delivering import AFTER_THE_LEASE, SECRET, HandClock, Telling, channels, deliver_due
from tests.gateways.wire import Reply, Request, Trouble, wire
from tests.support.mailbox import mailbox

ROOT = Path(__file__).parents[2]
OK, NO = Reply(b""), Reply(b"not now", 500)
MANY = 100
SENDER = """
import sys
from payments_service.domain.clock import Clock
from payments_service.store.db import Database
from payments_service.store.sqlite import BUSY_SECONDS
from tests.flows.delivering import channels, deliver_due
db = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while deliver_due(db, channels(sys.argv[2]), Clock(), 5):
    pass
"""


@pytest.fixture
def telling(db: Database) -> Telling:
    return Telling(db)


@pytest.fixture
def hands() -> HandClock:
    return HandClock()


def ids(requests: list[Request]) -> list[str]:
    return [request.headers["webhook-id"] for request in requests]


def sender(database_url: str, url: str) -> "subprocess.Popen[bytes]":
    """A process of its own that waits for the word to begin."""
    command = [sys.executable, "-c", SENDER, database_url, url]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def begin(processes: list["subprocess.Popen[bytes]"]) -> None:
    """At once, when all of them are ready."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()


def end(processes: list["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.communicate(timeout=60)


# ── told once ───────────────────────────────────────────────────────────────────────────────────────


def test_an_event_arrives_as_it_was_stored_and_once(telling: Telling) -> None:
    telling.tell()
    with wire(OK) as line:
        assert deliver_due(telling.db, channels(line.url), Clock(), MANY) == 1
        assert deliver_due(telling.db, channels(line.url), Clock(), MANY) == 0
    [request], row = line.requests, telling.row()
    Webhook(SECRET).verify(request.body, dict(request.headers))
    assert (request.body, ids(line.requests)) == (row.body, [row.event_id])
    assert (row.state, row.attempts, row.error) == ("delivered", 1, None)
    assert row.delivered_at is not None


def test_threads_that_send_at_once_send_each_event_once(telling: Telling) -> None:
    telling.tell(count=40)
    with wire(OK) as line:
        work = [
            threading.Thread(target=deliver_due, args=(telling.db, channels(line.url), Clock(), MANY))
            for _ in range(8)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert Counter(ids(line.requests)) == Counter(row.event_id for row in telling.rows("delivered"))
    assert len(line.requests) == 40


def test_processes_that_send_at_once_send_each_event_once(telling: Telling, database_url: str) -> None:
    telling.tell(count=40)
    with wire(OK) as line:
        processes = [sender(database_url, line.url) for _ in range(3)]
        begin(processes)
        end(processes)
        assert [process.returncode for process in processes] == [0, 0, 0]
    assert Counter(ids(line.requests)) == Counter(row.event_id for row in telling.rows("delivered"))
    assert len(line.requests) == 40


def test_nothing_is_locked_while_an_event_is_sent(telling: Telling) -> None:
    """On SQLite an open transaction would keep out every writer; on PostgreSQL, whoever wants the row."""
    seconds: list[float] = []

    def receive(_: Request) -> Reply:
        started = time.monotonic()
        with telling.db.begin() as session:
            session.execute(update(Outbox).values(error="looked at"))
        seconds.append(time.monotonic() - started)
        return OK

    telling.tell()
    with wire(receive) as line:
        deliver_due(telling.db, channels(line.url), Clock(), MANY)
    assert telling.row().state == "delivered"
    assert seconds[0] < BUSY_SECONDS / 2


def test_a_sender_that_is_killed_in_the_middle_is_followed_by_another(
    telling: Telling, database_url: str
) -> None:
    telling.tell()
    with wire(Trouble.HANG) as line:
        process = sender(database_url, line.url)
        begin([process])
        wait_until(lambda: len(line.requests) == 1)
        process.kill()
        end([process])
        assert telling.row().state == "pending"
        line.answer = OK
        assert deliver_due(telling.db, channels(line.url), Clock(), MANY) == 0, "its lease has not ended"
        later = Clock(now=lambda: datetime.now(UTC) + AFTER_THE_LEASE)
        assert deliver_due(telling.db, channels(line.url), later, MANY) == 1
    assert ids(line.requests) == [telling.row().event_id] * 2
    assert (telling.row().state, telling.row().attempts) == ("delivered", 2)


def test_a_sender_that_was_taken_over_writes_nothing(telling: Telling) -> None:
    late = datetime.now(UTC) + AFTER_THE_LEASE

    def receive(_: Request) -> Reply:
        """While the first sender waits, its lease ends, and a second one takes the row."""
        with telling.db.begin() as session:
            outbox.claim(session, outbox.MERCHANT, late, late + LEASE)
        return NO

    telling.tell()
    with wire(receive) as line:
        deliver_due(telling.db, channels(line.url), Clock(), 1)
    row = telling.row()
    assert (row.state, row.next_try_at, row.error) == ("pending", late + LEASE, None)


def test_the_lease_is_longer_than_any_try_and_a_minute_more() -> None:
    defaults = (notify.post.__defaults__ or ()) + (notify.mail.__defaults__ or ())
    assert len(defaults) == 2
    assert max(defaults) + timedelta(minutes=1) <= LEASE


# ── told again ──────────────────────────────────────────────────────────────────────────────────────


def test_tries_follow_the_schedule_under_one_id_until_the_event_is_dead(
    telling: Telling, hands: HandClock
) -> None:
    telling.db.destinations = (outbox.MERCHANT,)
    telling.tell(now=hands.moment)
    started = hands.moment
    waits: list[timedelta] = []
    with wire(NO) as line:
        for _ in range(TRIES):
            assert deliver_due(telling.db, channels(line.url), hands.clock, 1) == 1
            event, *_ = telling.rows()
            if event.state == "pending":
                waits.append(event.next_try_at - hands.moment)
                hands.moment = event.next_try_at - timedelta(seconds=1)
                assert deliver_due(telling.db, channels(line.url), hands.clock, MANY) == 0
                hands.advance(timedelta(seconds=1))
    assert ids(line.requests) == [event.event_id] * 10
    assert all(abs(wait / planned - 1) <= JITTER + 0.001 for wait, planned in zip(waits, WAITS, strict=True))
    assert len({wait / planned for wait, planned in zip(waits, WAITS, strict=True)}) > 5, "jitter"
    assert timedelta(hours=67) < hands.moment - started < timedelta(hours=84)
    assert sum(WAITS, timedelta(0)) == timedelta(hours=75, minutes=35, seconds=5)
    assert (event.state, event.attempts, event.error) == ("dead", 10, "HTTP 500: not now")
    assert telling.alerts() == [("event_undelivered", "merchant")]
    [_, alarm] = telling.rows()
    assert (alarm.type, alarm.state) == ("ops.alert", "pending")
    assert json.loads(alarm.body)["data"]["detail"]["eventId"] == event.event_id


def test_days_of_trying_pass_quickly_on_a_fast_clock(telling: Telling) -> None:
    telling.tell()
    with wire(NO) as line:
        deliver_due(telling.db, channels(line.url), Clock(scale=1000), 1)
    left = telling.row().next_try_at - datetime.now(UTC)
    assert left < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("3600", 3600, 3600), ("1", 4, 6), ("999999", 86400, 86400), ("soon", 4, 6)],
)
def test_a_destination_that_asks_for_more_time_gets_it(
    telling: Telling, hands: HandClock, header: str, least: int, most: int
) -> None:
    telling.tell(now=hands.moment)
    with wire(Reply(b"", 429, {"Retry-After": header})) as line:
        deliver_due(telling.db, channels(line.url), hands.clock, MANY)
    assert least <= (telling.row().next_try_at - hands.moment).total_seconds() <= most


def test_gone_is_a_failure_and_an_alarm(telling: Telling) -> None:
    telling.tell()
    with wire(Reply(b"", 410)) as line:
        deliver_due(telling.db, channels(line.url), Clock(), MANY)
    assert telling.alerts() == [("destination_gone", "merchant")]
    assert (telling.row().state, telling.row().error) == ("pending", "HTTP 410")


def test_an_alarm_about_an_alarm_is_one_alarm(telling: Telling, hands: HandClock) -> None:
    """The alarm goes to the same dead destination; its end must not raise the next."""
    telling.db.destinations = (outbox.MERCHANT,)
    telling.tell(now=hands.moment)
    with wire(NO) as line:
        for _ in range(3 * TRIES):
            deliver_due(telling.db, channels(line.url), hands.clock, MANY)
            hands.advance(timedelta(hours=30))
    assert [row.state for row in telling.rows()] == ["dead", "dead"]
    assert telling.alerts() == [("event_undelivered", "merchant")]


# ── no destination holds up another ─────────────────────────────────────────────────────────────────


def test_a_letter_arrives_while_the_merchant_does_not_answer(telling: Telling) -> None:
    telling.tell(outbox.MERCHANT, outbox.OPERATOR, event="payment.review")
    with mailbox() as box:

        def receive(_: Request) -> Reply:
            assert box.arrived.wait(10), "the letter waits for the merchant"
            return OK

        with wire(receive) as line:
            assert deliver_due(telling.db, channels(line.url, box.url), Clock(), MANY) == 2
    assert [row.state for row in telling.rows()] == ["delivered", "delivered"]


def test_a_destination_that_keeps_failing_is_left_alone_until_the_next_sweep(telling: Telling) -> None:
    telling.tell(count=10)
    with wire(NO) as line:
        assert deliver_due(telling.db, channels(line.url), Clock(), MANY) == 3
        line.answer = OK
        assert deliver_due(telling.db, channels(line.url), Clock(), MANY) == 7


def test_what_happens_now_is_told_before_all_that_an_outage_left(telling: Telling) -> None:
    for days in (1, 0, 2):
        telling.tell(now=datetime.now(UTC) - timedelta(days=days))
    *_, newest = telling.rows()
    with wire(OK) as line:
        deliver_due(telling.db, channels(line.url), Clock(), 1)
    assert ids(line.requests) == [newest.event_id]


def test_a_row_that_cannot_be_sent_does_not_stop_those_behind_it(telling: Telling) -> None:
    telling.tell()
    with telling.db.begin() as session:
        session.execute(update(Outbox).values(body=b"\xff"))
    telling.tell()
    with wire(OK) as line:
        assert deliver_due(telling.db, channels(line.url), Clock(), MANY) == 2
    broken, whole = telling.rows()
    assert (broken.state, broken.error, whole.state) == ("pending", "UnicodeDecodeError", "delivered")


def test_events_that_cannot_be_recorded_do_not_starve_one_that_waits_longer(
    telling: Telling, hands: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (2, 1, 0):
        telling.tell(now=hands.moment - timedelta(days=days))
    oldest, *_ = telling.rows()
    write_down = deliver._write_down

    def fail_but_for_the_oldest(session: Transaction, row: Outbox, answer: Answer, clock: Clock) -> None:
        if row.id != oldest.id:
            raise ZeroDivisionError
        write_down(session, row, answer, clock)

    monkeypatch.setattr(deliver, "_write_down", fail_but_for_the_oldest)
    with wire(OK) as receiver:
        [line] = deliver.lines(telling.db, channels(receiver.url), hands.clock)
        for _ in range(3):
            with suppress(ZeroDivisionError):
                line.run_out(2)
            hands.advance(AFTER_THE_LEASE)
    assert {row.id: row.state for row in telling.rows()}[oldest.id] == "delivered"


def test_no_more_than_the_limit_is_sent_at_once(telling: Telling) -> None:
    telling.tell(count=5)
    with wire(OK) as line:
        assert deliver_due(telling.db, channels(line.url), Clock(), 2) == 2
    assert len(line.requests) == 2


def test_what_is_for_nobody_waits(telling: Telling) -> None:
    telling.tell(outbox.MERCHANT, outbox.CUSTOMER, outbox.OPERATOR)
    assert channels().destinations == ()
    assert deliver_due(telling.db, channels(), Clock(), MANY) == 0
    assert {row.state for row in telling.rows()} == {"pending"}
    assert channels("http://x", "smtp://x").destinations == ("merchant", "customer", "operator")


# ── letters ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("mode", "is_test"), [("live", False), ("test", True)])
def test_the_payer_gets_a_confirmation(telling: Telling, mode: str, is_test: bool) -> None:
    payment_id = telling.payment(mode=mode)
    telling.tell(outbox.CUSTOMER, payment_id=payment_id)
    with mailbox() as box:
        assert deliver_due(telling.db, channels(smtp_url=box.url), Clock(), MANY) == 1
    [letter] = box.letters
    assert (letter["To"], letter["From"]) == ("dilip@example.com", "pay@shop.example.com")
    subject = "Asha's Courses: payment of ₹1,24,999 received"
    assert letter["Subject"] == (f"Test: {subject}" if is_test else subject)
    english, hindi = letter.get_content().split("\n\n\n")
    for text in (english, hindi):
        assert all(part in text for part in ("Asha's Courses", "₹1,24,999", str(payment_id), "pay_1"))
    assert ("This was a test payment" in english, "टेस्ट भुगतान" in hindi) == (is_test, is_test)
    assert letter["Message-ID"] == f"<{telling.row().event_id}.customer@shop.example.com>"


@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_payers_letter_names_the_merchants_order_where_the_merchant_vouches_for_it(
    telling: Telling, is_trusted: bool
) -> None:
    payment_id = telling.payment(reference="A-1001", price_verified=is_trusted)
    telling.tell(outbox.CUSTOMER, payment_id=payment_id)
    with mailbox() as box:
        deliver_due(telling.db, channels(smtp_url=box.url), Clock(), MANY)
    [letter] = box.letters
    assert letter.get_content().count("A-1001") == (2 if is_trusted else 0)


def test_the_payers_address_is_read_when_the_letter_is_sent(telling: Telling) -> None:
    telling.tell(outbox.CUSTOMER, payment_id=telling.payment())
    with telling.db.begin() as session:
        session.execute(update(Payment).values(customer_email="new@example.com"))
    assert b"example.com" not in telling.row().body
    with mailbox() as box:
        deliver_due(telling.db, channels(smtp_url=box.url), Clock(), MANY)
    assert box.envelopes[0].rcpt_tos == ["new@example.com"]


@pytest.mark.parametrize("event", ["payment.failed", "payment.review", "ops.alert"])
def test_payers_are_told_of_nothing_else(telling: Telling, event: str) -> None:
    telling.tell(outbox.CUSTOMER, event=event, payment_id=telling.payment())
    with mailbox() as box:
        deliver_due(telling.db, channels(smtp_url=box.url), Clock(), MANY)
    assert box.envelopes == []
    assert telling.row().state == "dead"


def test_the_operator_is_told_of_trouble(telling: Telling) -> None:
    telling.tell(outbox.OPERATOR, event="payment.review")
    with mailbox() as box:
        deliver_due(telling.db, channels(smtp_url=box.url), Clock(), MANY)
    [letter] = box.letters
    assert letter["To"] == "ops@shop.example.com"
    assert letter["Subject"].startswith("Asha's Courses: payment.review")
    assert telling.row().event_id in letter.get_content()
    assert '"amountPaise": 49900' in letter.get_content()


def test_a_letter_about_an_alarm_says_what_is_wrong_for_how_long_and_what_to_ask() -> None:
    detail = {"measure": "review_oldest_seconds", "value": 90_061.5, "limit": 86_400.0, "paymentIds": ["p-1"]}
    said = list(deliver._about_alert({"code": "review_waits", "detail": detail}))
    assert said[:3] == [
        "A payment has waited for a person for more than a day.",
        "Now 25 hours, limit 24 hours",
        "flask --app wsgi show p-1",
    ]
    assert said[3].endswith("docs/handbook.md#review_waits")


@pytest.mark.parametrize(
    ("refusal", "state", "alerts"),
    [("550 nobody", "dead", [("event_undelivered", "customer")]), ("451 later", "pending", [])],
)
def test_a_letter_that_is_refused_for_good_is_dead_at_once(
    telling: Telling, refusal: str, state: str, alerts: list[tuple[str, str]]
) -> None:
    telling.tell(outbox.CUSTOMER, payment_id=telling.payment())
    with mailbox(RCPT=f"{refusal} dilip@example.com") as box:
        deliver_due(telling.db, channels(smtp_url=box.url), Clock(), MANY)
    assert (telling.row().state, telling.row().error) == (state, f"SMTP {refusal[:3]}")
    assert telling.alerts() == alerts


# ── said in the log ─────────────────────────────────────────────────────────────────────────────────


def test_the_log_has_a_line_for_each_try_and_nothing_secret_in_it(
    telling: Telling, caplog: pytest.LogCaptureFixture
) -> None:
    telling.tell(outbox.MERCHANT, outbox.CUSTOMER, payment_id=telling.payment())
    with caplog.at_level(logging.DEBUG), mailbox() as box, wire(NO) as line:
        deliver_due(telling.db, channels(f"{line.url}/token", box.url_with_password), Clock(), MANY)
    lines = [record for record in caplog.records if record.message == "Event sent"]
    told = {record.data["destination"]: record.data for record in lines}  # type: ignore[attr-defined]
    assert told["merchant"]["outcome"] == "not_now"
    assert (told["merchant"]["answer"], told["merchant"]["try"]) == ("HTTP 500", 1)
    assert told["customer"]["outcome"] == "delivered"
    assert "milliseconds" in told["customer"]
    said = "".join(record.getMessage() + str(vars(record).get("data")) for record in ours(caplog))
    for hidden in (SECRET, "/token", "p%40ss", "p@ss", "dilip@example.com", "49900", "not now"):
        assert hidden not in said


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is logged in production: of libraries, warnings only."""
    return [
        record
        for record in caplog.records
        if record.name.startswith("payments_service") or record.levelno >= logging.WARNING
    ]


def test_the_channels_show_no_secret() -> None:
    shown = repr(channels("http://x/token", "smtp://user:password@host"))
    assert not [hidden for hidden in (SECRET, "token", "password") if hidden in shown]
    assert deliver.TRIES == 10


def wait_until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)
