"""Run by Alembic, with the connection that `migrations.upgrade` hands over."""

from alembic import context

from payments_service.ledger.migrations import VERSION_TABLE, is_ours
from payments_service.ledger.tables import Base

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a large table takes its time
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
