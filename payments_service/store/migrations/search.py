"""Indexes that find people by the beginning of an e-mail or a name, without regard to capitals.

They stand outside the tables of the code, because no index of SQLAlchemy's says them on both databases; they
are put in place at the end of every upgrade, since a table that a revision made anew has lost them.
"""

from sqlalchemy import Connection

PREFIX = "ix_search_"
COLUMNS = ("customer_email", "customer_name")


def index_people(connection: Connection) -> None:
    for column in COLUMNS:
        how = (
            f"lower({column}) text_pattern_ops"
            if connection.dialect.name == "postgresql"
            else f"{column} COLLATE NOCASE"
        )
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {PREFIX}{column} ON payments ({how})")
