"""reviews with their evidence, bank references, events that name a payment only"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from uuid6 import uuid7

from payments_service.store.db import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_reviews",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("opened_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("closed_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_payment_reviews_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_reviews")),
    )
    op.create_index(op.f("ix_payment_reviews_payment_id"), "payment_reviews", ["payment_id"])
    op.add_column("payment_attempts", sa.Column("bank_reference", sa.Text(), nullable=True))
    op.create_index(op.f("ix_payment_attempts_bank_reference"), "payment_attempts", ["bank_reference"])
    op.add_column("refunds", sa.Column("bank_reference", sa.Text(), nullable=True))
    op.create_index(op.f("ix_refunds_bank_reference"), "refunds", ["bank_reference"])
    op.add_column("payment_webhooks", sa.Column("transaction_id", sa.Text(), nullable=True))
    _name_orders_as_their_gateway_knows_them()
    _keep_what_was_flagged()


def _name_orders_as_their_gateway_knows_them() -> None:
    """Where the gateway knows an order by our own id, its number beside it is no name any more."""
    orders = sa.table(
        "payment_orders",
        *(sa.column(name, sa.Text()) for name in ("wire_id", "gateway_order_id", "checkout")),
    )
    is_numbered = sa.cast(orders.c.checkout, sa.Text()).like('%"cfOrderId"%')
    named = sa.update(orders).where(orders.c.gateway_order_id.is_not(None), is_numbered)
    op.get_bind().execute(named.values(gateway_order_id=orders.c.wire_id))


def _keep_what_was_flagged() -> None:
    """Every flag of the history becomes a review, the one that a payment bears now an open one."""
    connection = op.get_bind()
    payments = sa.table("payments", sa.column("id", sa.Uuid()), sa.column("review", sa.Text()))
    history = sa.table(
        "payment_events",
        sa.column("payment_id", sa.Uuid()),
        sa.column("sequence", sa.Integer()),
        sa.column("kind", sa.Text()),
        sa.column("reason", sa.Text()),
        sa.column("evidence", sa.JSON()),
        sa.column("created_at", UtcDateTime()),
    )
    reviews = sa.table(
        "payment_reviews",
        *(sa.column(name, sa.Uuid()) for name in ("id", "payment_id")),
        sa.column("reason", sa.Text()),
        sa.column("evidence", sa.JSON()),
        *(sa.column(name, UtcDateTime()) for name in ("opened_at", "closed_at")),
        sa.column("resolution", sa.Text()),
    )
    flags = (
        sa.select(history, payments.c.review)
        .join(payments, payments.c.id == history.c.payment_id)
        .where(history.c.kind == "review", history.c.reason != "cleared")
        .order_by(history.c.payment_id, history.c.sequence)
    )
    newest: dict[Any, int] = {}
    rows = connection.execute(flags).all()
    for row in rows:
        if row.reason == row.review:
            newest[row.payment_id] = row.sequence
    now = datetime.now(UTC)
    for row in rows:
        is_open = newest.get(row.payment_id) == row.sequence
        values = {
            "id": uuid7(),
            "payment_id": row.payment_id,
            "reason": row.reason,
            "evidence": row.evidence,
            "opened_at": row.created_at,
            "closed_at": None if is_open else now,
            "resolution": None if is_open else "dismissed",
        }
        connection.execute(sa.insert(reviews).values(values))


def downgrade() -> None:
    raise NotImplementedError("the payments' history is never dropped; restore a backup instead")
