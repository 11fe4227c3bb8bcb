"""What a gateway's verbs cost: counted by verb and outcome, and told to the unit of work that called."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from payments_service import logs, metrics
from payments_service.domain.clock import utc_now
from payments_service.domain.errors import BudgetUsedUp, GatewayError
from payments_service.domain.news import PaymentSnapshot, WebhookEvent
from payments_service.gateways.base import Gateway

VERBS = (
    "create_order",
    "fetch_payment",
    "capture",
    "void",
    "close",
    "create_refund",
    "fetch_refund",
    "fetch_dispute",
    "find_by_payment_id",
)
"""The verbs that ask the gateway; each may be several requests."""
REFUSALS = (401, 403)
LONGEST_LAG = timedelta(days=30)
"""An event that is older has no date: PhonePe V1 tells none."""

Measured = TypeVar("Measured", bound=Gateway)
_verb: ContextVar[str | None] = ContextVar("verb", default=None)


def measured(gateway: Measured) -> Measured:
    """The same gateway, its verbs counted from now on. A verb that calls another one counts once."""
    for name in VERBS:
        setattr(gateway, name, _counted(gateway, name, getattr(gateway, name)))
    gateway.read_webhook = _told(gateway, gateway.read_webhook)  # type: ignore[method-assign]
    return gateway


def _told(gateway: Gateway, read: Callable[..., WebhookEvent]) -> Callable[..., WebhookEvent]:
    @wraps(read)
    def told(*args: Any, **options: Any) -> WebhookEvent:
        logs.note(gateway=gateway.name, mode=gateway.mode, provider=gateway.provider)
        event = read(*args, **options)
        logs.note(
            type=event.type,
            kind=event.kind.value,
            eventId=event.event_id,
            paymentStatus=_status(event),
            transactionId=event.transaction_id or (event.snapshot and _transaction(event.snapshot)),
        )
        if event.snapshot is not None:
            lag = utc_now() - event.snapshot.observed_at
            if lag < LONGEST_LAG:
                metrics.LAG.labels(gateway.name).observe(max(0.0, lag.total_seconds()))
        return event

    return told


def _status(event: WebhookEvent) -> str | None:
    """The status that it tells or claims."""
    told = event.snapshot.status if event.snapshot else event.claims
    return told.value if told else None


def _transaction(snapshot: PaymentSnapshot) -> str | None:
    return next((attempt.transaction_id for attempt in snapshot.attempts), None)


def current_verb() -> str | None:
    return _verb.get()


def _counted(gateway: Gateway, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(verb)
    def counted(*args: Any, **options: Any) -> Any:
        if _verb.get() is not None:
            return verb(*args, **options)
        token, began, outcome = _verb.set(name), time.perf_counter(), "ok"
        try:
            return verb(*args, **options)
        except GatewayError as error:
            outcome = "budget_used_up" if isinstance(error, BudgetUsedUp) else error.code
            if error.gateway_status in REFUSALS or error.refuses_credentials:
                metrics.REFUSALS.labels(gateway.provider).inc()
            raise
        except Exception:
            outcome = "crashed"
            raise
        finally:
            _verb.reset(token)
            seconds = time.perf_counter() - began
            logs.spent("gateway", seconds, gatewayCalls=1)
            metrics.CALLS.labels(gateway.provider, name, outcome).inc()
            metrics.CALL_DURATIONS.labels(gateway.provider).observe(seconds)

    return counted
