"""Trouble that no single payment shows: a webhook that is silent, money that is held and not taken."""

from datetime import timedelta

from payments_service.domain.clock import Clock
from payments_service.domain.states import AlertCode
from payments_service.flows import liveness, witnesses
from payments_service.flows.alerts import raise_alert
from payments_service.flows.idempotency import KEPT
from payments_service.gateways.base import Gateway
from payments_service.store import keys, monitors
from payments_service.store.db import Database

SILENT_PAYMENTS = 5
"""As many paid orders in a row of which no webhook told are no accident."""
GRACE = timedelta(minutes=10)
"""How late a webhook may be before it counts as missing."""
WINDOW = timedelta(days=1)
CAPTURE_ENDS_WITHIN = timedelta(days=1)
"""What the merchant captures by hand, or lets go, is called to mind so long before it goes back by itself."""
HELD_TOO_LONG = timedelta(hours=1)
"""An automatic capture takes seconds."""


def watch(db: Database, gateway: Gateway, clock: Clock) -> int:
    """Look around at one gateway and raise what is not known yet; how many alerts are new."""
    now = clock.now()
    with db.begin() as session:
        raised = 0
        told = monitors.webhooks_of_completed(
            session,
            gateway.provider,
            since=now - WINDOW / clock.scale,
            until=now - GRACE / clock.scale,
            limit=SILENT_PAYMENTS,
        )
        if len(told) == SILENT_PAYMENTS and not any(told):
            about = {"paidWithoutWebhook": len(told), "hint": "Your webhook there is probably disabled"}
            raised += raise_alert(session, AlertCode.WEBHOOK_SILENCE, gateway.provider, about, clock)
        held = monitors.held_since(session, gateway.provider, now - HELD_TOO_LONG / clock.scale)
        for payment in held if gateway.captures_automatically else ():
            about = {"heldSince": payment.updated_at.isoformat(), "amountPaise": payment.amount}
            raised += raise_alert(session, AlertCode.CAPTURE_FAILS, str(payment.id), about, clock)
        ending = monitors.holds_ending(session, gateway.provider, now + CAPTURE_ENDS_WITHIN)
        for payment, capture_by in () if gateway.captures_automatically else ending:
            about = {"captureBy": capture_by.isoformat(), "amountPaise": payment.amount}
            raised += raise_alert(session, AlertCode.CAPTURE_ENDS, str(payment.id), about, clock)
        liveness.end_refused_webhooks(session, gateway, clock)
        return raised + liveness.hear_of_calls(session, gateway, clock)


def tidy(db: Database, clock: Clock) -> int:
    """Forget idempotency keys that are older than they are kept, unless our clock may be wrong."""
    with db.begin() as session:
        return keys.forget(session, clock.now() - KEPT) if witnesses.agree(session, clock) else 0
