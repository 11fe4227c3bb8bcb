"""`reconcile`: the gateways are asked now."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from payments_service.cli.house import Moment, house
from payments_service.cli.screen import clean
from payments_service.flows import ask, show
from payments_service.flows.ask import Answer
from payments_service.store.db import Database
from payments_service.store.tables import Payment


@click.command()
@click.argument("any_ids", metavar="[ANY_ID]...", nargs=-1)
@click.option("--since", type=Moment(), help="Payments made since then, also those that have ended.")
def reconcile(any_ids: Sequence[str], since: datetime | None) -> None:
    """Ask the gateways now: about some payments, those since a moment, or all that are watched.

    Says for each what the gateway answered and what changed. Ends with 1 when an id is unknown, or when a
    gateway could not be asked.
    """
    if any_ids and since:
        raise click.UsageError("Give either ids or --since, not both.")
    services = house()
    chosen, unknown = _chosen(services.db, any_ids, since)
    for any_id in unknown:
        click.echo(f"Nothing here has the id {clean(any_id)}.", err=True)
    not_asked = 0
    for payment in chosen:
        answer = ask.ask(services.db, services.gateways, services.urls, payment)
        not_asked += not answer.was_asked
        for line in _lines(answer):
            click.echo(line)
    click.echo(f"{len(chosen) - not_asked} payments asked about.")
    if not_asked or unknown:
        raise click.ClickException(f"{not_asked} payments not asked about; {len(unknown)} ids are unknown.")


def _chosen(db: Database, any_ids: Sequence[str], since: datetime | None) -> tuple[list[Payment], list[str]]:
    """The payments, each once, and the ids that none has."""
    if not any_ids:
        return ask.watched(db, since), []
    found = {any_id: show.find(db, any_id) for any_id in any_ids}
    chosen = {payment.id: payment for payments in found.values() for payment in payments}
    return list(chosen.values()), [any_id for any_id, payments in found.items() if not payments]


def _lines(answer: Answer) -> Iterator[str]:
    payment = answer.payment
    moved = "stays" if payment.status == answer.before else f"{answer.before} →"
    verb = "" if answer.was_asked else "could not be asked: "
    yield f"{payment.id}  {payment.order_id or '-'}  {moved} {payment.status}"
    yield f"  {payment.provider}: {verb}{clean(answer.said)}"
    for step in answer.changes:
        change = " → ".join(filter(None, (step.before, step.after)))
        evidence = json.dumps(step.evidence, ensure_ascii=False)
        yield f"  {step.kind}: {clean(change or step.what)} ({clean(step.what)}) {clean(evidence)}"
