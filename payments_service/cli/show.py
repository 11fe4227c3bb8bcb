"""`show`: one payment on one screen."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

import click

from payments_service.cli.house import house
from payments_service.cli.log_lines import LogLine, about
from payments_service.cli.screen import clean, ist, section, table
from payments_service.domain.flag import ADVICE
from payments_service.domain.money import Money
from payments_service.domain.states import ReviewReason
from payments_service.flows import show as flow
from payments_service.flows.history import Step
from payments_service.flows.show import Dossier
from payments_service.logs import masked_email
from payments_service.store.db import Database
from payments_service.store.tables import Payment


def lines_of(db: Database, any_id: str, log: TextIO | None) -> Iterator[str]:
    """The whole screen, or the list of those that share the id. Raises ClickException for an unknown id."""
    found = flow.find(db, any_id)
    if not found:
        raise click.ClickException(
            f"Nothing here has the id {clean(any_id)}. It may be ours or the gateway's, of a payment, order, "
            "attempt, refund, dispute or event, or the merchant's or the bank's reference. By phone, e-mail "
            "or name the merchant's server finds it: POST /api/payment/search, with a key of scope personal."
        )
    if len(found) > 1:
        yield from _list(any_id, found)
    else:
        yield from _screen(flow.dossier(db, found[0].id), log)


def _list(any_id: str, found: list[Payment]) -> Iterator[str]:
    yield f"{len(found)} payments have {clean(any_id)}; times are IST (UTC+05:30). Show one by its id:"
    heads = ("id", "status", "amount", "gateway", "order", "reference", "made", "review")
    rows = [
        (p.id, p.status, p.money, p.gateway, p.order_id, _reference(p), ist(p.created_at), p.review)
        for p in found
    ]
    yield from table([heads, *rows])


def _screen(known: Dossier, log: TextIO | None) -> Iterator[str]:
    payment = known.payment
    yield f"Payment {payment.id}: {payment.status}, {payment.money}. Times are IST (UTC+05:30)."
    for review in known.reviews:
        if review.closed_at is None:
            yield f"A person must look at it: {review.reason}. {ADVICE[ReviewReason(review.reason)]}"
    yield from table(_facts(payment))
    yield from section(
        "Orders",
        ("wire id", "gateway's id", "status", "made"),
        [(o.wire_id, o.gateway_order_id, o.status, ist(o.created_at)) for o in known.orders],
    )
    yield from section(
        "Attempts",
        (
            *("payment id", "status", "gateway says", "amount", "method", "error", "bank reference"),
            *("capture by", "first seen"),
        ),
        [
            (
                *(a.transaction_id, a.status, a.gateway_status, a.money, a.method, a.error_code),
                *(a.bank_reference, ist(a.capture_by), ist(a.created_at)),
            )
            for a in known.attempts
        ],
    )
    yield from section(
        "Refunds",
        ("id", "our wire id", "gateway's id", "status", "gateway says", "amount", "bank reference", "made"),
        [
            (
                *(r.id, r.refund_id, r.gateway_refund_id, r.status, r.gateway_status),
                *(Money(r.amount, r.currency), r.bank_reference, ist(r.created_at)),
            )
            for r in known.refunds
        ],
    )
    yield from section(
        "Reviews",
        ("opened", "reason", "evidence", "closed", "how"),
        [
            (
                *(ist(r.opened_at), r.reason, json.dumps(r.evidence, ensure_ascii=False)),
                *(ist(r.closed_at) if r.closed_at else None, r.resolution),
            )
            for r in known.reviews
        ],
    )
    yield from section(
        "Webhooks",
        ("came", "type", "event id", "outcome", "tries", "next try", "error"),
        [
            (
                *(ist(w.created_at), w.webhook_type, w.event_id, w.outcome, w.attempts),
                *(ist(w.next_try_at), w.error),
            )
            for w in known.webhooks
        ],
    )
    yield from section(
        "Events told",
        ("made", "type", "event id", "to", "state", "tries", "delivered or next try", "error"),
        [
            (
                *(ist(e.created_at), e.type, e.event_id, e.destination, e.state, e.attempts),
                *(ist(e.delivered_at or e.next_try_at) if e.state != "dead" else None, e.error),
            )
            for e in known.told
        ],
    )
    yield from _history(known, log)


def _facts(payment: Payment) -> list[tuple[object, ...]]:
    name, phone = payment.customer_name[:1], payment.customer_phone[-4:]
    return [
        ("gateway", f"{payment.provider}, {payment.mode} mode, says {clean(payment.gateway_status)}"),
        ("order", payment.order_id),
        ("paid by", f"{clean(payment.transaction_id)} {payment.payment_method or ''}"),
        ("reference", _reference(payment)),
        ("customer", f"{name}*** · {masked_email(payment.customer_email)} · ******{phone}"),
        ("made", f"{ist(payment.created_at)}, payable until {ist(payment.expires_at)}"),
        ("completed", ist(payment.completed_at)),
        ("asked next", ist(payment.next_check_at)),
    ]


def _reference(payment: Payment) -> str:
    if payment.reference is None:
        return "-"
    return f"{payment.reference} ({'vouched for' if payment.price_verified else 'a label only'})"


def _history(known: Dossier, log: TextIO | None) -> Iterator[str]:
    rows = [(step.at, *_step(step)) for step in known.history]
    if log is not None:
        rows += [(line.at, *_log_line(line)) for line in about(log, known.ids)]
        rows += [(w.created_at, "webhook", w.webhook_type, w.event_id) for w in known.webhooks]
    rows.sort(key=lambda row: row[0])
    title = "History" if log is None else f"History, woven with {getattr(log, 'name', 'the log')}"
    yield from section(title, ("when", "what", "how", "why"), [(_moment(at), *rest) for at, *rest in rows])


def _moment(at: datetime) -> str:
    return "-" if at.year == 1 else ist(at)


def _step(step: Step) -> tuple[str, str, str]:
    moved = " → ".join(filter(None, (step.before, step.after)))
    evidence = json.dumps(step.evidence, ensure_ascii=False) if step.evidence else ""
    return step.kind, moved or step.what, f"{step.what} · {step.source} {step.actor} {evidence}".rstrip()


def _log_line(line: LogLine) -> tuple[str, str, str]:
    return "log", line.level, line.text


@click.command("show")
@click.argument("any_id")
@click.option(
    "--log",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="Weave in the lines of this log (- for standard input) that are about it.",
)
def show(any_id: str, log: TextIO | None) -> None:
    """All that is known of one payment, by an id of any kind; personal data masked."""
    for line in lines_of(house().db, any_id, log):
        click.echo(line)
