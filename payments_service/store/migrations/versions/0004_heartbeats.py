"""heartbeats: which worker lives, since when webhooks are refused"""

import sqlalchemy as sa
from alembic import op

from payments_service.store.db import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )


def downgrade() -> None:
    raise NotImplementedError("the payments' history is never dropped; restore a backup instead")
