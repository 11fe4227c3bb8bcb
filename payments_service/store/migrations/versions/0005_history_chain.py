"""the history is numbered and sealed on its payment"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payment_events", sa.Column("mac", sa.Text(), nullable=True))
    op.add_column("payment_events", sa.Column("mac_key", sa.Text(), nullable=True))
    for name in ("history_count", "history_unchained"):
        op.add_column("payments", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("payments", sa.Column("history_head", sa.Text(), nullable=True))
    _count_what_is_there()
    op.execute("UPDATE payment_webhooks SET outcome = 'unmatched' WHERE outcome = 'foreign'")


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


def downgrade() -> None:
    raise NotImplementedError("a payment ledger does not forget; restore a backup instead")
