"""`trigger`: a signed event to the shop's own handler, to see what it does with it. Nothing is stored."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import click

from payments_service.cli.house import house
from payments_service.cli.screen import clean
from payments_service.domain.clock import utc_now
from payments_service.domain.facts import ALERT, EVENTS, REFUND_EVENTS, REVIEW, TYPES
from payments_service.domain.states import AlertCode, PaymentStatus, RefundStatus, ReviewReason
from payments_service.notify import Answer, Verdict, post

PRICE_PAISE = 49900
SEQUENCE = 4
"""Of the event; one that happened before it has a lower one."""
STATUS = {event: status for status, event in EVENTS.items()}


@dataclass(frozen=True)
class Sending:
    """One POST, and whether a handler that does its duty answers it with 2xx."""

    what: str
    event_id: str
    body: bytes
    secrets: tuple[str, ...]
    must_be_taken: bool = True


@click.command()
@click.argument("event_type", metavar="TYPE", type=click.Choice(TYPES))
@click.option("--duplicate", is_flag=True, help="Twice, under the same id: it must be taken both times.")
@click.option("--reorder", is_flag=True, help="And then an event that happened before it (lower sequence).")
@click.option("--bad-signature", is_flag=True, help="Signed with another secret: it must be refused.")
def trigger(event_type: str, duplicate: bool, reorder: bool, bad_signature: bool) -> None:
    """Send an event of TYPE to MERCHANT_WEBHOOK_URL, really signed, and say what was answered.

    Its mode is test, and its ids are those of no payment. Refused where a gateway is live. Ends with 1 when
    the handler does not do its duty: 2xx for what is genuine, also the second time, else anything but 2xx.
    """
    services = house()
    url, keys = services.channels.webhook_url, tuple(services.channels.webhook_secrets)
    if any(gateway.mode == "live" for gateway in services.gateways):
        raise click.ClickException("A gateway is live here: a handler that delivers for real is not tried.")
    if url is None:
        raise click.ClickException("MERCHANT_WEBHOOK_URL is not set: there is no handler to send it to.")
    if reorder and event_type == ALERT:
        raise click.UsageError(f"An {ALERT} has no sequence, so that none comes before it.")
    name = services.gateway_names()[0] if services.gateways else "none"
    sendings = _sendings(
        event_type, name, keys, duplicate=duplicate, reorder=reorder, is_forged=bad_signature
    )
    undone = [sending.what for sending in sendings if not _send(url, sending)]
    if undone:
        raise click.ClickException(f"The handler does not do its duty: {', '.join(undone)}.")


def _sendings(
    event_type: str, gateway: str, keys: tuple[str, ...], *, duplicate: bool, reorder: bool, is_forged: bool
) -> Iterator[Sending]:
    payment = _payment(gateway)
    body = _body(event_type, payment, SEQUENCE)
    event_id = f"evt_trigger_{secrets.token_hex(12)}"
    if is_forged:
        yield Sending("with a bad signature", event_id, body, (_other_secret(),), must_be_taken=False)
        return
    yield Sending("the first time", event_id, body, keys)
    if duplicate:
        yield Sending("the second time", event_id, body, keys)
    if reorder:
        earlier = "payment.failed" if event_type == "payment.authorized" else "payment.authorized"
        older = _body(earlier, payment, SEQUENCE - 1)
        yield Sending(f"an earlier {earlier}", f"evt_trigger_{secrets.token_hex(12)}", older, keys)


def _send(url: str, sending: Sending) -> bool:
    began = time.monotonic()
    answer = post(url, sending.secrets, sending.event_id, sending.body)
    took = round((time.monotonic() - began) * 1000)
    is_right = _is_right(answer, sending)
    click.echo(f"{sending.event_id}  {sending.what}: {answer.reason} in {took} ms, {_word(answer, is_right)}")
    if answer.words:
        click.echo(f"    {clean(answer.words)}")
    return is_right


def _is_right(answer: Answer, sending: Sending) -> bool:
    is_taken = answer.verdict is Verdict.DELIVERED
    return is_taken if sending.must_be_taken else not is_taken and answer.status is not None


def _word(answer: Answer, is_right: bool) -> str:
    if is_right:
        return "as it should be"
    return "it was not taken" if answer.verdict is not Verdict.DELIVERED else "it was taken"


def _other_secret() -> str:
    return "whsec_" + "A" * 43 + "="


# ── what is sent ────────────────────────────────────────────────────────────────────────────────────


def _body(event_type: str, payment: Mapping[str, Any], sequence: int) -> bytes:
    now = utc_now()
    data = {**payment, "sequence": sequence, **_more(event_type, payment)}
    if event_type == ALERT:
        detail = {"calls": ["create_order"], "hint": "This is a trial: flask trigger sent it."}
        data = {
            "id": str(uuid4()),
            "code": AlertCode.GATEWAY_DOWN.value,
            "subject": "trial",
            "detail": detail,
        }
    return json.dumps({"type": event_type, "timestamp": now.isoformat(), "data": data}).encode()


def _payment(gateway: str) -> dict[str, Any]:
    """A payment that there is not: ids that no gateway gives, and a reference that no shop has."""
    mark = secrets.token_hex(8)
    return {
        "id": str(uuid4()),
        "gateway": gateway,
        "mode": "test",
        "orderId": f"trigger_order_{mark}",
        "paymentId": f"trigger_payment_{mark}",
        "reference": f"TRIGGER-{mark}",
        "userId": None,
        "metadata": {"trigger": "true"},
        "status": PaymentStatus.COMPLETED.value,
        "amountPaise": PRICE_PAISE,
        "amountRefundedPaise": 0,
        "currency": "INR",
        "method": "upi",
        "priceVerified": True,
    }


def _more(event_type: str, payment: Mapping[str, Any]) -> dict[str, Any]:
    """What this type has beside a payment."""
    later = (utc_now() + timedelta(days=5)).isoformat()
    if event_type in STATUS:
        told: dict[str, Any] = {"status": STATUS[event_type].value}
        if event_type == "payment.authorized":
            told["captureBy"] = later
        return told
    if event_type in REFUND_EVENTS.values():
        is_made = event_type == REFUND_EVENTS[RefundStatus.COMPLETED]
        return {"amountRefundedPaise": PRICE_PAISE if is_made else 0, "refund": _refund(event_type, payment)}
    if event_type == REVIEW:
        evidence = {"paymentIds": [payment["paymentId"], f"{payment['paymentId']}_2"]}
        reason = ReviewReason.SECOND_SUCCESS.value
        return {"review": {"reason": reason, "evidence": evidence, "whatToDo": "Nothing: this is a trial."}}
    return {"dispute": _dispute(payment, later, is_closed=event_type == "dispute.closed")}


def _refund(event_type: str, payment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "refundId": f"trigger_refund_{secrets.token_hex(8)}",
        "paymentId": payment["paymentId"],
        "amountPaise": PRICE_PAISE,
        "status": event_type.partition(".")[2],
        "bankReference": None,
    }


def _dispute(payment: Mapping[str, Any], respond_by: str, *, is_closed: bool) -> dict[str, Any]:
    return {
        "disputeId": f"trigger_dispute_{secrets.token_hex(8)}",
        "paymentId": payment["paymentId"],
        "amountPaise": PRICE_PAISE,
        "amountDeductedPaise": 0,
        "gatewayStatus": "won" if is_closed else "open",
        "phase": "chargeback",
        "reason": "goods_not_received",
        "respondBy": None if is_closed else respond_by,
    }
