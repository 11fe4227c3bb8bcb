"""What an event is to us before any payment is looked at."""

from datetime import timedelta

from payments_service.domain.news import EventKind, WebhookEvent
from payments_service.domain.states import InboxOutcome

LEFT_TO_THE_WORKER = timedelta(seconds=30)
"""An event that could not be applied at once is tried again after this; its request is over then."""
NOT_OURS_TO_APPLY = (EventKind.IGNORED, EventKind.UNKNOWN, EventKind.UNREADABLE, EventKind.SETTLEMENT)
NOT_UNDERSTOOD = (InboxOutcome.UNKNOWN, InboxOutcome.UNREADABLE)
LEFT = {
    EventKind.PAYMENT: InboxOutcome.UNREADABLE,  # one that names nothing
    EventKind.DISPUTE: InboxOutcome.UNREADABLE,
    EventKind.IGNORED: InboxOutcome.IGNORED,
    EventKind.UNKNOWN: InboxOutcome.UNKNOWN,
    EventKind.UNREADABLE: InboxOutcome.UNREADABLE,
}


def is_for_a_payment(event: WebhookEvent) -> bool:
    return event.names_a_payment and event.kind not in NOT_OURS_TO_APPLY


def names_a_payment_at_least(event: WebhookEvent) -> bool:
    """What it says is not understood, but of which payment: that one is asked for."""
    return event.names_a_payment and event.kind in (EventKind.UNKNOWN, EventKind.UNREADABLE)


def why_left(event: WebhookEvent) -> InboxOutcome:
    """The outcome of an event that is kept and not applied."""
    return LEFT.get(event.kind, InboxOutcome.STORED)


def order_name(event: WebhookEvent) -> str | None:
    """The order that it names, in the gateway's words."""
    return (event.order.gateway_order_id or event.order.wire_id) if event.order else None
