"""bank references of attempts and refunds"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("payment_attempts", "refunds"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("bank_reference", sa.Text(), nullable=True))
            batch_op.create_index(batch_op.f(f"ix_{table}_bank_reference"), ["bank_reference"], unique=False)
