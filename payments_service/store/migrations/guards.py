"""What guards the history beside the triggers of revision 0001, put in place at the end of every upgrade.

On SQLite, INSERT OR REPLACE deletes the older row without a word to the DELETE trigger, unless the connection
asks for it, which other programs do not. A table that a revision made anew has also lost its triggers.
"""

from sqlalchemy import Connection

SQLITE = {
    "update": "BEFORE UPDATE ON payment_events",
    "delete": "BEFORE DELETE ON payment_events",
    "replace": """BEFORE INSERT ON payment_events WHEN EXISTS (
        SELECT 1 FROM payment_events
        WHERE rowid = NEW.rowid OR id = NEW.id OR (payment_id = NEW.payment_id AND sequence = NEW.sequence)
    )""",
}


def guard_history(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        for verb, when in SQLITE.items():
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS payment_events_no_{verb} {when}"
                " BEGIN SELECT RAISE(ABORT, 'payment_events is append-only'); END"
            )
