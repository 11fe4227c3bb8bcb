"""the history is numbered and sealed; the merchant's server: a stream of events, refunds' keys, search"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from payments_service.store.db import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BEGINNINGS = (
    ("payments", "order_id", True),
    ("payments", "transaction_id", True),
    ("payments", "reference", True),
    ("payments", "customer_phone", False),
    ("payment_orders", "gateway_order_id", False),
    ("payment_attempts", "transaction_id", False),
    ("payment_attempts", "bank_reference", True),
    ("refunds", "gateway_refund_id", False),
    ("refunds", "bank_reference", True),
)
"""Table, column, and whether it had an index: each is found by its beginning from now on."""
OF_UNIQUE = (("payment_orders", "wire_id"), ("refunds", "refund_id"))
"""Columns with a unique constraint, whose own index serves beginnings on SQLite alone."""


def upgrade() -> None:
    _seal_the_history()
    _let_the_outcome_say_it()
    _make_events()
    op.add_column("payments", sa.Column("closed_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("refunds", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.add_column("refunds", sa.Column("fingerprint", sa.Text(), nullable=True))
    op.add_column("refunds", sa.Column("speed", sa.Text(), nullable=True))
    op.add_column(
        "refunds",
        sa.Column("awaits_first_send", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    key = ["payment_id", "idempotency_key"]
    op.create_index("uq_refunds_payment_id_idempotency_key", "refunds", key, unique=True)
    _index_lists()
    _index_beginnings()


def _seal_the_history() -> None:
    op.add_column("payment_events", sa.Column("mac", sa.Text(), nullable=True))
    op.add_column("payment_events", sa.Column("mac_key", sa.Text(), nullable=True))
    for name in ("history_count", "history_unchained"):
        op.add_column("payments", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("payments", sa.Column("history_head", sa.Text(), nullable=True))
    if op.get_bind().execute(sa.text("SELECT 1 FROM payments LIMIT 1")).first():
        _count_what_is_there()
        _count_what_the_version_before_writes()


def _count_what_is_there() -> None:
    """Rows from before bear no seal; their number is known, so that one more or less is noticed."""
    payments = sa.table(
        "payments",
        sa.column("id", sa.Uuid()),
        sa.column("history_count", sa.Integer()),
        sa.column("history_unchained", sa.Integer()),
    )
    history = sa.table("payment_events", sa.column("payment_id", sa.Uuid()))
    number = (
        sa.select(sa.func.count())
        .select_from(history)
        .where(history.c.payment_id == payments.c.id)
        .scalar_subquery()
    )
    op.get_bind().execute(sa.update(payments).values(history_count=number, history_unchained=number))


def _count_what_the_version_before_writes() -> None:
    """It serves for a while yet and numbers its rows without the count, by which the next row is numbered.

    Ends by itself an hour later, when no such version is left: a row that no version of ours wrote must not
    be counted.
    """
    ends = datetime.now(UTC) + timedelta(hours=1)
    counting = (
        "UPDATE payments SET history_count = NEW.sequence, history_unchained = history_unchained + 1"
        " WHERE id = NEW.payment_id AND history_count < NEW.sequence;"
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER payment_events_counted AFTER INSERT ON payment_events"
            f" WHEN NEW.mac IS NULL AND unixepoch() < {int(ends.timestamp())} BEGIN {counting} END"
        )
        return
    op.execute(
        "CREATE FUNCTION payment_events_counted() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF now() < '{ends.isoformat()}' THEN {counting} END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER payment_events_counted AFTER INSERT ON payment_events"
        " FOR EACH ROW WHEN (NEW.mac IS NULL) EXECUTE FUNCTION payment_events_counted()"
    )


def _let_the_outcome_say_it() -> None:
    """What is done with by its outcome is never due. `processed` is filled by a default from now on: the
    version before still writes it, and reads it beside `next_try_at`, so that it takes up what is due alone.
    """
    op.drop_index(op.f("ix_payment_webhooks_processed_next_try_at"), "payment_webhooks")
    with op.batch_alter_table("payment_webhooks") as table:
        table.alter_column(
            "processed", existing_type=sa.Boolean(), existing_nullable=False, server_default=sa.false()
        )
    op.execute("UPDATE payment_webhooks SET outcome = 'unmatched' WHERE outcome = 'foreign'")
    op.execute("UPDATE payment_webhooks SET next_try_at = NULL WHERE processed AND next_try_at IS NOT NULL")
    op.execute(
        "UPDATE payment_webhooks SET outcome = 'received'"  # a person is having it tried again
        " WHERE outcome = 'unconfirmed' AND next_try_at IS NOT NULL"
    )
    is_due = sa.text("next_try_at IS NOT NULL")
    columns = ["provider", "next_try_at"]
    op.create_index(
        "ix_payment_webhooks_due", "payment_webhooks", columns, sqlite_where=is_due, postgresql_where=is_due
    )


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_events_event_id")),
        sa.UniqueConstraint("fact", name=op.f("uq_events_fact")),
        sa.UniqueConstraint("position", name=op.f("uq_events_position")),
    )
    op.create_index(op.f("ix_events_payment_id"), "events", ["payment_id"])
    op.create_index(op.f("ix_events_type_position"), "events", ["type", "position"])
    is_new = sa.text("position IS NULL")
    op.create_index(
        "ix_events_unnumbered", "events", ["created_at"], sqlite_where=is_new, postgresql_where=is_new
    )
    # What was told before is the beginning of the stream: one event a fact, in the order of its making.
    op.execute(
        "INSERT INTO events (id, event_id, fact, type, payment_id, body, created_at, position)"
        " SELECT id, event_id, fact, type, payment_id, body, created_at,"
        " row_number() OVER (ORDER BY created_at, id) FROM ("
        " SELECT outbox.*, row_number() OVER ("
        " PARTITION BY fact ORDER BY CASE destination WHEN 'merchant' THEN 0 ELSE 1 END, created_at, id"
        ") AS nth FROM outbox) AS told WHERE nth = 1"
    )


def _index_lists() -> None:
    """Newest first, by each filter: one that chooses few rows would read all the others without."""
    op.create_index(op.f("ix_payments_created_at_id"), "payments", ["created_at", "id"])
    for column in ("gateway", "mode"):
        op.create_index(op.f(f"ix_payments_{column}_created_at_id"), "payments", [column, "created_at", "id"])
    for column in ("status", "user_id"):
        op.drop_index(f"ix_payments_{column}", "payments")
        columns = [column, "created_at", "id"]
        op.create_index(op.f(f"ix_payments_{column}_created_at_id"), "payments", columns)
    is_flagged = sa.text("review IS NOT NULL")
    op.create_index(
        "ix_payments_flagged",
        "payments",
        ["created_at", "id"],
        sqlite_where=is_flagged,
        postgresql_where=is_flagged,
    )


def _index_beginnings() -> None:
    """An index in a locale's order serves no beginnings; one of this operator class serves both."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table, column, had_index in BEGINNINGS:
        if had_index and not is_postgres:
            continue
        if had_index:
            op.drop_index(f"ix_{table}_{column}", table)
        pattern = {column: "text_pattern_ops"}
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], postgresql_ops=pattern)
    for table, column in OF_UNIQUE:
        op.create_index(
            op.f(f"ix_{table}_{column}"), table, [column], postgresql_ops={column: "text_pattern_ops"}
        )


def downgrade() -> None:
    raise NotImplementedError("the payments' history is never dropped; restore a backup instead")
