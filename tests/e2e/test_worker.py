"""The worker as a process: it finds out what nobody told, and another one goes on when it is killed."""

import signal
from pathlib import Path

from sqlalchemy import select

from payments_service.store.tables import Alert, Outbox, Payment
from tests.chaos.books import Books
from tests.flows.delivering import SECRET, Telling
from tests.gateways.wire import Reply, Trouble, wire
from tests.support.house import House, running_house

GATEWAYS = ("razorpay", "phonepe", "cashfree")
SILENT = 5
FAST = 120
SECONDS = 120
"""For a machine with much else to do; most of these tests take a tenth of it."""


def statuses(house: House) -> set[str]:
    with house.database() as db, db.read() as session:
        return set(session.scalars(select(Payment.status)))


def alerts(house: House) -> dict[str, str]:
    with house.database() as db, db.read() as session:
        return {alert.code: alert.subject for alert in session.scalars(select(Alert))}


def let_waits_end(house: House) -> None:
    """Seconds and minutes pass. Only while no worker runs."""
    with Books(house.database_url) as books:
        books.let_waits_end()


def test_when_no_webhook_ever_comes_every_payment_completes_and_the_silence_is_noticed(
    database_url: str, tmp_path: Path
) -> None:
    with (
        wire(Reply(b"")) as merchant,
        running_house(
            database_url, tmp_path, MERCHANT_WEBHOOK_URL=merchant.url, MERCHANT_WEBHOOK_SECRET=SECRET
        ) as house,
    ):
        house.simulate("faults/storm", {"rate": 1, "kinds": ["drop"], "on": ["webhook"]})
        bought = [house.create_order(499, "razorpay") for _ in range(SILENT)]
        bought += [house.create_order(499, gateway) for gateway in GATEWAYS]
        for one in bought:
            house.simulate(f"orders/{one['order']['orderId']}/success")
        assert statuses(house) == {"pending"}
        let_waits_end(house)
        house.start_worker(time_scale=FAST)
        house.until(lambda: statuses(house), lambda seen: seen == {"completed"}, SECONDS)
        house.until(lambda: alerts(house), lambda seen: "webhook_silence" in seen, SECONDS)
        assert alerts(house) == {"webhook_silence": "razorpay"}
        assert [one["tries"] for one in house.simulated("deliveries")["events"]].count(0) >= len(bought)
        told = house.until(
            lambda: [request.json() for request in merchant.requests],
            lambda told: (
                sum(one["type"] == "payment.completed" for one in told) == len(bought)
                and any(one["type"] == "ops.alert" for one in told)
            ),
            SECONDS,
        )
        completed = [one["data"]["id"] for one in told if one["type"] == "payment.completed"]
        assert sorted(completed) == sorted(one["id"] for one in bought)


def test_the_only_worker_is_killed_in_the_middle_of_a_delivery_and_the_event_arrives_under_its_id(
    database_url: str, tmp_path: Path
) -> None:
    with (
        wire(Trouble.HANG) as merchant,
        running_house(
            database_url, tmp_path, MERCHANT_WEBHOOK_URL=merchant.url, MERCHANT_WEBHOOK_SECRET=SECRET
        ) as house,
    ):
        order_id = house.create_order()["order"]["orderId"]
        house.simulate(f"orders/{order_id}/success")
        house.wait_for_status(order_id, "completed", seconds=SECONDS)
        house.start_worker()
        house.until(lambda: len(merchant.requests), lambda count: count == 1, SECONDS)
        house.kill_worker()
        merchant.answer = Reply(b"")
        assert outbox(house)[0].state == "pending"
        let_waits_end(house)  # the lease of the dead
        house.start_worker()
        house.until(
            lambda: [row.state for row in outbox(house)],
            lambda states: set(states) == {"delivered"},
            SECONDS,
        )
        ids: dict[str, set[str]] = {}
        for request in merchant.requests:
            ids.setdefault(request.json()["type"], set()).add(request.headers["webhook-id"])
        assert ids["payment.completed"] == {
            row.event_id for row in outbox(house) if row.type == "payment.completed"
        }
        assert all(len(same) == 1 for same in ids.values()), "one fact, one id"
        assert len(merchant.requests) == len(outbox(house)) + 1, "what was being told came twice"


def outbox(house: House) -> list[Outbox]:
    with house.database() as db, db.read() as session:
        return list(session.scalars(select(Outbox).order_by(Outbox.created_at)))


# ── told to end ─────────────────────────────────────────────────────────────────────────────────────


def end_worker(house: House) -> int:
    """SIGTERM, as every host sends it; hosts kill after ten seconds, or later."""
    assert house.worker is not None
    house.worker.send_signal(signal.SIGTERM)
    return house.worker.wait(10)


def test_a_worker_ends_in_time_while_a_receiver_hangs_and_many_events_wait(
    database_url: str, tmp_path: Path
) -> None:
    with (
        wire(Trouble.HANG) as merchant,
        running_house(
            database_url, tmp_path, MERCHANT_WEBHOOK_URL=merchant.url, MERCHANT_WEBHOOK_SECRET=SECRET
        ) as house,
    ):
        with house.database() as db:
            Telling(db).tell(count=20)
        house.start_worker()
        house.until(lambda: len(merchant.requests), lambda count: count == 1, SECONDS)
        assert end_worker(house) == 0
        assert [row.state for row in outbox(house)] == ["pending"] * 20
        assert sum(row.attempts for row in outbox(house)) == 1, "the others were not begun"


def test_a_worker_ends_in_time_while_a_gateway_is_slow_and_many_payments_are_due(
    database_url: str, tmp_path: Path
) -> None:
    with running_house(database_url, tmp_path) as house:
        for _ in range(12):
            house.create_order()
        slow = {"gateway": "razorpay", "on": "fetch", "kind": "slow", "seconds": 4, "count": 100}
        house.simulate("faults", slow)
        let_waits_end(house)
        house.start_worker()
        house.until(lambda: house.simulated("faults")["faults"][0]["remaining"], lambda left: left < 100)
        assert end_worker(house) == 0
        assert statuses(house) == {"pending"}


def test_without_a_worker_a_webhook_that_proves_nothing_is_confirmed_by_the_process_that_took_it(
    database_url: str, tmp_path: Path
) -> None:
    """PhonePe's only wakes. No page asks, and the API is slower than a gateway waits for our answer."""
    with running_house(database_url, tmp_path) as house:
        bought = house.create_order(499, "phonepe")
        slow = {"gateway": "phonepe", "on": "fetch", "kind": "slow", "seconds": 3, "count": 1}
        house.simulate("faults", slow)
        house.simulate(f"orders/{bought['order']['orderId']}/success")
        house.until(lambda: statuses(house), lambda seen: seen == {"completed"})
