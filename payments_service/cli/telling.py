"""`outbox`, `resend`: what was or will be told, and telling it again."""

from collections import Counter
from datetime import datetime

import click

from payments_service.cli.house import Moment, house
from payments_service.cli.screen import ist, table
from payments_service.domain.clock import utc_now
from payments_service.store import outbox as store


@click.command("outbox")
def outbox() -> None:
    """List events that wait to be sent, and those that were given up."""
    with house().db.read() as session:
        rows = store.undelivered(session)
    if rows:
        heads = ("event id", "type", "payment", "to", "state", "tries", "next try (IST)", "error")
        lines = [
            (
                *(row.event_id, row.type, row.payment_id, row.destination, row.state, row.attempts),
                *(ist(row.next_try_at) if row.state == store.PENDING else None, row.error),
            )
            for row in rows
        ]
        for line in table([heads, *lines]):
            click.echo(line)
    count = Counter(row.state for row in rows)
    click.echo(f"{count[store.PENDING]} waiting, {count[store.DEAD]} dead.")


@click.command()
@click.argument("event_id", required=False)
@click.option("--pending", is_flag=True, help="Events that wait for their next try.")
@click.option("--dead", is_flag=True, help="Events that were given up.")
@click.option("--since", type=Moment(), help="Events made since then; alone, also delivered ones.")
@click.option(
    "--to",
    "destination",
    type=click.Choice([store.MERCHANT, store.CUSTOMER, store.OPERATOR]),
    default=store.MERCHANT,
    show_default=True,
    help="Who gets them again. A server ignores a repeated id; a person gets the e-mail twice.",
)
def resend(event_id: str | None, pending: bool, dead: bool, since: datetime | None, destination: str) -> None:
    """Send events again, now, under the same ids: one by its id, or all that the options choose."""
    states = [state for state, is_on in ((store.PENDING, pending), (store.DEAD, dead)) if is_on]
    if (event_id is None) == (not states and since is None):
        raise click.UsageError("Give either EVENT_ID, or one or more of --pending, --dead, --since.")
    with house().db.begin() as session:
        rows = store.send_again(
            session, destination, utc_now(), event_id=event_id, states=states, since=since
        )
        lines = [f"{row.event_id}  {row.type}  of {row.created_at.isoformat()}" for row in rows]
    for line in lines:
        click.echo(line)
    click.echo(f"{len(lines)} to {destination}; a worker sends them now.")
    if event_id is not None and not lines:
        raise click.ClickException(f"No event {event_id} to {destination}.")
