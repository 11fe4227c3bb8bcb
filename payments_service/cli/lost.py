"""`lost`: after a backup was restored, the orders that the database lost, and what became of them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from payments_service.cli.house import house
from payments_service.cli.screen import clean, table
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError, UnknownAtGateway
from payments_service.domain.money import Money
from payments_service.domain.news import WIRE_PREFIX, OrderRef, PaymentSnapshot
from payments_service.domain.states import CAPTURED
from payments_service.flows import show
from payments_service.gateways.base import Gateway

ASK_SECONDS = 10.0
"""For each order that a gateway is asked about."""
ORDERS = re.compile(rf'\b({WIRE_PREFIX}[a-z0-9]+)\b|"orderId": ?"([A-Za-z0-9_-]{{1,64}})"')
"""How a line of the log names an order: by our id of it, or as the browser knows it."""
GATEWAY = re.compile(r'"gateway": ?"([a-z0-9_]+)"')


@dataclass(frozen=True)
class Lost:
    """An order that is not known here, and what a gateway says of it."""

    order_id: str
    provider: str
    says: str
    captured: Money | None
    payment_ids: tuple[str, ...] = ()
    wire_id: str = ""
    """The same for each name that the order goes by, where the gateway tells it."""


@click.command("lost")
@click.argument("order_ids", metavar="[ORDER_ID]...", nargs=-1)
@click.option(
    "--log",
    "logs",
    type=click.File(errors="replace"),
    multiple=True,
    help="Also orders that this log names.",
)
def lost(order_ids: Sequence[str], logs: Sequence[TextIO]) -> None:
    """After a restored backup: find orders that this database does not know, and ask the gateways about them.

    The ids come from your application's orders and from the service's log. Nothing is changed. Ends with 1
    when one of them was paid, or could not be asked about.
    """
    if not order_ids and not logs:
        raise click.UsageError("Give order ids, or a log file that names orders (--log).")
    services = house()
    named = {order_id: "" for order_id in order_ids} | dict(_of_logs(logs))
    unknown = {one: name for one, name in named.items() if not show.find(services.db, one)}
    answers = [answer for one, name in unknown.items() for answer in _ask(services.gateways, one, name)]
    found = list({(one.provider, one.wire_id or one.order_id): one for one in answers}.values())
    rows = [(one.order_id, one.provider, one.says, one.captured, ", ".join(one.payment_ids)) for one in found]
    if rows:
        for line in table([("order", "gateway", "says", "captured", "payment ids"), *rows]):
            click.echo(line)
    paid = [one for one in found if one.captured]
    not_asked = len({one.order_id for one in found if not one.provider})
    click.echo(f"{len(named)} orders named, {len(unknown)} unknown here, {len(paid)} of these were paid.")
    if paid:
        click.echo("Deliver them or give the money back in the dashboard: docs/operations.md, the lost hour.")
    if paid or not_asked:
        click.get_current_context().exit(1)


def _of_logs(logs: Iterable[TextIO]) -> Iterator[tuple[str, str]]:
    """Each order with the gateway that its line names, or with none."""
    for log in logs:
        for line in log:
            gateway = GATEWAY.search(line)
            for ours, browsers in ORDERS.findall(line):
                yield ours or browsers, gateway[1] if gateway else ""


def _ask(gateways: Sequence[Gateway], order_id: str, name: str) -> Iterator[Lost]:
    """What those say that may know it; one that could not be asked has no name of a provider."""
    is_ours = order_id.startswith(WIRE_PREFIX)
    order = OrderRef(order_id) if is_ours else OrderRef("", order_id)
    asked = [one for one in gateways if is_ours or not one.browser_knows_wire_id]
    for gateway in [one for one in asked if name in ("", one.name, one.provider)]:
        try:
            yield _lost(
                order_id, gateway, gateway.fetch_payment(order, Deadline(ASK_SECONDS, Urgency.POLLING))
            )
        except UnknownAtGateway:
            continue
        except GatewayError as error:
            yield Lost(order_id, "", f"{gateway.provider} could not be asked: {clean(error.message)}", None)


def _lost(order_id: str, gateway: Gateway, told: PaymentSnapshot) -> Lost:
    taken = [attempt for attempt in told.attempts if attempt.status in CAPTURED]
    captured = sum((attempt.amount.minor for attempt in taken), 0)
    return Lost(
        order_id=order_id,
        provider=gateway.provider,
        says=f"{told.gateway_status} {told.amount}",
        captured=Money(captured, told.amount.currency) if captured else None,
        payment_ids=tuple(attempt.transaction_id for attempt in taken),
        wire_id=told.order.wire_id,
    )
