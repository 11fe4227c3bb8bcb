"""Run by Alembic, with the connection that `migrations.upgrade` hands over."""

from alembic import context

from payments_service.store.migrations import is_ours
from payments_service.store.revision import VERSION_TABLE
from payments_service.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_object=is_ours,
    render_as_batch=True,
    user_module_prefix="",
)
with context.begin_transaction():
    context.run_migrations()
