"""${message}"""

import sqlalchemy as sa
from alembic import op

from payments_service.store.db import UtcDateTime
${imports if imports else ""}

revision = "${up_revision}"
down_revision = ${repr(down_revision).replace("'", '"')}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise NotImplementedError("the payments' history is never dropped; restore a backup instead")
