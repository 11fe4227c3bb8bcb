"""DATABASE_URL as platforms and people write it, and what its parameters may say."""

from urllib.parse import unquote

from sqlalchemy import URL, make_url

POOLER = "pgbouncer"
"""`?pgbouncer=true`: a pooler in transaction mode stands between."""
OF_SQLITE = {"timeout", "check_same_thread", "detect_types", "cached_statements", "uri"}


def normalized_url(url: str) -> str:
    """`postgres://` as platforms hand it out, and plain `postgresql://`, both for psycopg 3.

    A folder of sockets in the host's place (%2Frun%2Fpostgresql) means what it means to libpq.
    """
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.host and parsed.host.lower().startswith("%2f"):
        place = {"host": unquote(parsed.host)} | ({"port": str(parsed.port)} if parsed.port else {})
        name, password = parsed.username, parsed.password
        parsed = URL.create(parsed.drivername, name, password, database=parsed.database, query=parsed.query)
        parsed = parsed.update_query_dict(place)
    return parsed.render_as_string(hide_password=False)


def without_pooler(url: URL) -> tuple[URL, bool]:
    """The address for the driver, and whether it said that a pooler stands between."""
    return url.difference_update_query([POOLER]), url.query.get(POOLER) == "true"


def unknown_parameters(url: URL) -> list[str]:
    """Names that the driver would refuse, so that the start says so and not the first payer's request."""
    if url.drivername == "sqlite":
        is_uri = (url.database or "").startswith("file:")
        return [] if is_uri else sorted(url.query.keys() - OF_SQLITE)
    from psycopg import pq  # a service on SQLite has no need of it

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    return sorted(url.query.keys() - known - {POOLER})
