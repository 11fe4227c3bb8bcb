"""What the service says to PostgreSQL is what a pooler between them understands."""

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url, text

from payments_service.settings import Settings, SettingsError
from payments_service.store import migrations
from payments_service.store.db import Database
from tests.infrastructure.tap import Tap, tapped
from tests.support.environment import environment

TAKEN_BY_PGBOUNCER = {
    "user",
    "database",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
}
"""Its documentation: any other parameter at the start must be listed in ignore_startup_parameters."""
TIMES = 12
"""More often than the driver waits before it has a statement prepared."""
on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"])


@pytest.fixture
def tap(database_url: str) -> Iterator[Tap]:
    with tapped(make_url(database_url).port or 0) as tap:
        yield tap


def through(tap: Tap, database_url: str, **variables: str) -> Database:
    """As the settings lead to it."""
    url = make_url(database_url).set(port=tap.port).render_as_string(hide_password=False)
    url += variables.pop("parameters", "")
    return Database(Settings.from_environment(environment(database_url=url, **variables)).database_url)


def work(db: Database) -> None:
    for _ in range(TIMES):
        with db.begin() as session:
            session.execute(text("SELECT count(*) FROM payments WHERE amount > :sum"), {"sum": 1})
    db.engine.dispose()


@on_postgresql
def test_the_start_of_a_connection_has_no_word_that_a_pooler_refuses(tap: Tap, database_url: str) -> None:
    work(through(tap, database_url))
    for line in tap.lines:
        assert line.parameters.keys() <= TAKEN_BY_PGBOUNCER


@on_postgresql
def test_limits_travel_with_begin_in_one_message(tap: Tap, database_url: str) -> None:
    work(through(tap, database_url))
    begins = [query for line in tap.lines for query in line.simple_queries if "BEGIN" in query]
    assert len(begins) == TIMES + 1  # once it looked whether the tables are there
    for query in begins:
        for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            assert f"SET LOCAL {limit} = " in query


@on_postgresql
@pytest.mark.parametrize("said", [{"DATABASE_POOLER": "true"}, {"parameters": "?pgbouncer=true"}])
def test_behind_a_pooler_no_statement_is_left_at_the_server(
    tap: Tap, database_url: str, said: dict[str, str]
) -> None:
    work(through(tap, database_url, **said))
    assert [line.prepared for line in tap.lines] == [[]] * len(tap.lines)


@on_postgresql
def test_without_a_pooler_statements_are_prepared(tap: Tap, database_url: str) -> None:
    work(through(tap, database_url))
    assert any(line.prepared for line in tap.lines)


@on_postgresql
def test_options_of_the_url_are_kept_beside_ours(database_url: str) -> None:
    own = Database(database_url)
    with own.engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA pay"))
    own.engine.dispose()
    db = Database(database_url + "?options=-csearch_path%3Dpay")
    migrations.upgrade(db)
    with db.begin() as session:
        assert session.execute(text("SELECT 'payments'::regclass::text")).scalar_one() == "payments"
        assert session.execute(text("SELECT current_setting('lock_timeout')")).scalar_one() == "8s"
        where = text("SELECT to_regclass('pay.payments') IS NOT NULL")
        assert session.execute(where).scalar_one() is True
    db.engine.dispose()


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgres://u:Geheim-1@h/db?schema=public", ["schema"]),
        (
            "postgresql://u:Geheim-1@h/db?connection_limit=5&schema=x&sslmode=require",
            ["connection_limit", "schema"],
        ),
        ("postgresql://u:Geheim-1@h/db?pgbouncer=yes", ["pgbouncer"]),
        ("sqlite:///x.db?journal_mode=wal", ["journal_mode"]),
    ],
)
def test_parameters_that_the_driver_does_not_know_are_named_at_the_start(url: str, names: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(environment(database_url=url))
    said = str(raised.value)
    assert "DATABASE_URL" in said
    assert all(name in said for name in names)
    assert "sslmode" not in said
    assert "Geheim" not in said


def test_a_password_that_looks_like_parameters_is_not_shown() -> None:
    url = "postgresql://u:an@unquoted?2heim=x@h/db"
    with pytest.raises(SettingsError, match="DATABASE_URL") as raised:
        Settings.from_environment(environment(database_url=url))
    assert "2heim" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/db?sslmode=require&application_name=shop",
        "postgresql://u:p@/db?host=h1:5432&host=h2:5432&target_session_attrs=read-write",
        "postgres://u@h/db?options=-csearch_path%3Dpay&connect_timeout=9",
        "sqlite:///x.db?timeout=5",
    ],
)
def test_parameters_that_the_driver_knows_are_taken(url: str) -> None:
    assert Settings.from_environment(environment(database_url=url)).database_url == url


def test_a_folder_of_sockets_may_stand_where_the_host_does(postgres_server: str) -> None:
    server = Database(postgres_server)
    with server.engine.connect() as connection:
        folder: str = connection.execute(text("SHOW unix_socket_directories")).scalar_one()
    server.engine.dispose()
    port = make_url(postgres_server).port
    db = Database(f"postgresql://payments@{folder.replace('/', '%2F')}:{port}/postgres")
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT inet_client_addr()")).scalar_one() is None
    db.engine.dispose()
