"""Service and worker as processes, before a database that fails over, hangs or has a PgBouncer in front."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from payments_service.store.tables import Payment
from tests.infrastructure.conftest import Load, create, create_many, under_load
from tests.support.house import House, running_house
from tests.support.pgbouncer import running_pgbouncer
from tests.support.postgres import running_pair, running_postgres
from tests.support.switch import Switch, running_switch

pytestmark = pytest.mark.check
CREATES = 64
SOME = 20
TRANSACTIONS = ["pool_mode = transaction", "default_pool_size = 5"]


@contextmanager
def house_behind(switch: Switch, server: str, folder: Path) -> Iterator[House]:
    url = make_url(server).set(port=switch.port).render_as_string(hide_password=False)
    with running_house(url, folder) as house:
        house.start_worker()
        yield house


def wait_for(load: Load, status: int, more: int = SOME) -> None:
    """Until so many more callers got this answer."""
    enough = load.count(status) + more
    House.until(lambda: load.count(status), lambda count: count >= enough, 60)


def assert_the_worker_works(house: House) -> None:
    """A payment whose webhooks are lost and whose page is closed ends by the worker alone."""
    house.simulate("faults", {"gateway": "razorpay", "on": "webhook", "kind": "drop", "count": 100})
    order = house.create_order()["order"]["orderId"]
    house.simulate(f"orders/{order}/success")
    house.kill_worker()
    house.start_worker(time_scale=100)
    house.until(lambda: stored_status(house, order), lambda status: status == "completed", 60)


def stored_status(house: House, order: str) -> str:
    with house.database() as db, db.read() as session:
        return session.scalars(select(Payment.status).where(Payment.order_id == order)).one()


def test_a_switchover_under_load_costs_answers_of_503_and_no_restart(tmp_path: Path) -> None:
    with (
        running_pair() as (first, second),
        running_switch(tmp_path, first.port) as switch,
        house_behind(switch, first.url, tmp_path) as house,
    ):
        with under_load(house) as load:
            wait_for(load, 200)
            first.stop()
            second.promote()
            first.follow(second)
            first.start()
            wait_for(load, 503)  # the endpoint still leads to the node that was demoted
            switch.lead_to(second.port)
            wait_for(load, 200, CREATES)
        load.assert_honest()
        assert {answer.status_code for answer in create_many(house, CREATES)} == {200}
        assert_the_worker_works(house)
        assert "Traceback" not in house.log()


def test_a_database_that_hangs_under_load_holds_no_caller_and_wakes_unnoticed(tmp_path: Path) -> None:
    with (
        running_postgres() as server,
        running_switch(tmp_path, port_of(server)) as switch,
        house_behind(switch, server, tmp_path) as house,
    ):
        with under_load(house) as load:
            wait_for(load, 200)
            switch.freeze()
            wait_for(load, 503)
            switch.wake()
            wait_for(load, 200, CREATES)
        load.assert_honest()
        assert {answer.status_code for answer in create_many(house, CREATES)} == {200}
        assert_the_worker_works(house)
        assert "Traceback" not in house.log()


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        (["default_pool_size = 60"], {}),
        (TRANSACTIONS, {"DATABASE_POOLER": "true"}),
        (
            [*TRANSACTIONS, "ignore_startup_parameters = options,extra_float_digits"],
            {"DATABASE_POOLER": "true"},
        ),
    ],
    ids=["sessions", "transactions", "transactions, options ignored"],
)
def test_behind_a_pgbouncer_every_create_is_served(
    tmp_path: Path, settings: list[str], variables: dict[str, str]
) -> None:
    with (
        running_postgres() as server,
        running_pgbouncer(server, *settings) as url,
        running_house(url, tmp_path, **variables) as house,
    ):
        answers = create_many(house, CREATES)
        assert [answer.status_code for answer in answers] == [200] * CREATES, answers[0].text
        house.start_worker()
        assert_the_worker_works(house)
        assert "Traceback" not in house.log()


def test_a_pgbouncer_that_restarts_is_well_by_itself(tmp_path: Path) -> None:
    with ExitStack() as first, running_postgres() as server, running_switch(tmp_path, 1) as switch:
        switch.lead_to(port_of(first.enter_context(running_pgbouncer(server, *TRANSACTIONS))))
        url = make_url(server).set(port=switch.port).render_as_string(hide_password=False)
        with running_house(f"{url}?pgbouncer=true", tmp_path) as house:
            assert create(house).status_code == 200
            first.close()
            assert create(house).status_code == 503
            with running_pgbouncer(server, *TRANSACTIONS) as second:
                switch.lead_to(port_of(second))
                assert {answer.status_code for answer in create_many(house, CREATES)} == {200}


def port_of(url: str) -> int:
    return make_url(url).port or 0
