"""Indexes that find people by the beginning of an e-mail or a name, without regard to capitals; and disputes.

They stand outside the tables of the code, because no index of SQLAlchemy's says them on both databases; they
are put in place at the end of every upgrade, since a table that a revision made anew has lost them.
"""

from sqlalchemy import Connection

from payments_service.store.disputes import ID, IS_ONE

PREFIX = "ix_search_"
COLUMNS = ("customer_email", "customer_name")


def make_indexes(connection: Connection) -> None:
    is_postgres = connection.dialect.name == "postgresql"
    for column in COLUMNS:
        how = f"lower({column}) text_pattern_ops" if is_postgres else f"{column} COLLATE NOCASE"
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {PREFIX}{column} ON payments ({how})")
    how = f"{ID} text_pattern_ops" if is_postgres else "kind"  # Alembic reads no expression there
    connection.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {PREFIX}dispute ON payment_events ({how}) WHERE {IS_ONE}"
    )
