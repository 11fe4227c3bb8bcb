"""Which kind of trouble a database is in, told by its codes: its words may hold values, or the URL."""

import re

KINDS_OF_POSTGRES = (
    ("53100", "full"),
    ("53300", "too many connections"),
    ("55P03", "locked"),
    ("40P01", "locked"),
    ("57014", "slow"),
    ("57P", "shutting down"),
    ("28", "password"),
    ("25006", "read-only"),
    ("58030", "disk"),
    ("XX00", "damaged"),
    ("08", "unreachable"),
)
"""SQLSTATEs, or how they begin."""
KINDS_OF_SQLITE = (
    ("SQLITE_FULL", "full"),
    ("SQLITE_BUSY", "locked"),
    ("SQLITE_LOCKED", "locked"),
    ("SQLITE_READONLY", "read-only"),
    ("SQLITE_CANTOPEN", "unreachable"),
    ("SQLITE_PERM", "unreachable"),
    ("SQLITE_AUTH", "unreachable"),
    ("SQLITE_IOERR", "disk"),
    ("SQLITE_CORRUPT", "damaged"),
    ("SQLITE_NOTADB", "damaged"),
)
WORDS_OF_A_REFUSED_CONNECTION = (
    (re.compile("too many clients|connection slots|too many connections"), "too many connections"),
    (re.compile("database system is (shutting down|starting up|in recovery)"), "shutting down"),
    (re.compile("read-only|recovery mode|hot standby"), "read-only"),
    (re.compile("authentication failed|no password supplied|pg_hba.conf|role .* does not exist"), "password"),
)
"""A server that refuses to connect gives no code, only these words of its own."""


def facts(error: BaseException) -> dict[str, str]:
    """`kind`, the class of the error and, where there is one, the database's own code: for the log."""
    cause = getattr(error, "orig", None) or error
    state, name = getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorname", None)
    told = {"kind": _kind(cause, state, name), "error": type(error).__name__}
    if state or name:
        told["sqlstate" if state else "code"] = str(state or name)
    return told


def _kind(cause: BaseException, state: str | None, name: str | None) -> str:
    if state:
        return _of_beginning(KINDS_OF_POSTGRES, state)
    if name:
        return _of_beginning(KINDS_OF_SQLITE, name)
    if type(cause).__name__ == "TimeoutError":  # SQLAlchemy's: every connection of the pool is in use
        return "pool used up"
    words = str(cause)
    found = (kind for pattern, kind in WORDS_OF_A_REFUSED_CONNECTION if pattern.search(words))
    return next(found, "unreachable")


def _of_beginning(kinds: tuple[tuple[str, str], ...], code: str) -> str:
    return next((kind for beginning, kind in kinds if code.startswith(beginning)), "other")
