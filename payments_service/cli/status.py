"""`status`: what is open and what waits, at a glance; the numbers are those of `/metrics`."""

from datetime import timedelta

import click

from payments_service.cli.house import house
from payments_service.domain.clock import utc_now
from payments_service.store import gauges
from payments_service.store.gauges import HELPS, Sample


@click.command("status")
def status() -> None:
    """Print what is open and what waits, with how many or for how long; what is 0 is left out."""
    with house().db.read() as session:
        samples = gauges.read(session, utc_now(), session.policy.destinations)
        found = [sample for sample in samples if sample.value]
    for sample in found:
        click.echo(f"{_shown(sample):>16}  {_name(sample):<40}  {HELPS[sample.measure]}")
    if not found:
        click.echo("Nothing is open, and nothing waits.", err=True)


def _shown(sample: Sample) -> str:
    if sample.measure.endswith("_seconds"):
        return str(timedelta(seconds=round(sample.value)))
    return f"{sample.value:g}"


def _name(sample: Sample) -> str:
    return " ".join([sample.measure, *(value for _, value in sample.labels)])
