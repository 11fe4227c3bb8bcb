"""The alarms: one list that Prometheus rules, mail, event, handbook and dashboard are made from.

An alarm is a number with a limit. The number is a gauge of `/metrics`; most are measured in the database, so
that every process on every machine sees the same. Its least traffic is in the gauge, its least time in
`minutes`, in the gauge's own window, or in the age that the limit is about. It ends by itself when the number
is on the good side again, is told again when it comes back, and once a day while it lasts.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from payments_service.domain.states import AlertCode

PREFIX = "payments_"
OPEN_ALERT = "alert_open"
MINUTE, HOUR = 60.0, 3600.0
REMINDED_EVERY = timedelta(days=1)
"""How often what lasts is told again, and how long a person who has dismissed it is left in peace."""


class Urgency(StrEnum):
    PAGE = "page"
    """Money or orders are lost meanwhile: wake a person."""
    TICKET = "ticket"
    """Within the working day."""


@dataclass(frozen=True)
class Alarm:
    code: AlertCode
    measure: str
    """Name of the gauge, as in store/gauges.py; of an alarm that processes hear themselves, `alert_open`."""
    limit: float
    summary: str
    """One sentence for people: what is wrong."""
    urgency: Urgency
    by: tuple[str, ...] = ()
    """Labels that tell one trouble from another; they are the subject of the alert."""
    is_floor: bool = False
    """Whether the number must not fall below the limit; else it must not rise above it."""
    minutes: int = 1
    """How long Prometheus waits before it tells: two scrapes that agree."""
    subject: str = "service"
    """Of the alert, where there is but one trouble of the kind."""
    is_heard: bool = False
    """Whether it is raised where it is noticed, with its own facts; else the worker compares the number."""

    def is_over(self, value: float) -> bool:
        """Whether this number is trouble."""
        return value < self.limit if self.is_floor else value > self.limit

    @property
    def expression(self) -> str:
        """In PromQL. Every process tells the same, so the worst of them counts."""
        chosen = f'{{alarm="{self.code}"}}' if self.measure == OPEN_ALERT else ""
        worst, sign = ("min", "<") if self.is_floor else ("max", ">")
        by = f" by ({', '.join(self.by)})" if self.by else ""
        return f"{worst}{by} ({PREFIX}{self.measure}{chosen}) {sign} {self.limit:g}"


def _heard(code: AlertCode, summary: str, urgency: Urgency, by: tuple[str, ...] = ("subject",)) -> Alarm:
    return Alarm(code, OPEN_ALERT, 0, summary, urgency, by=by, is_heard=True)


ALARMS = (
    Alarm(
        AlertCode.NO_ORDERS,
        "orders_missing",
        4,
        "No order was made for an hour, and there were some in this hour a week ago.",
        Urgency.PAGE,
        minutes=5,
    ),
    Alarm(
        AlertCode.ORDERS_FAIL,
        "orders_failing_ratio",
        0.05,
        "More than one in twenty orders of five minutes, or each of the last five, failed at the gateway.",
        Urgency.PAGE,
        by=("gateway",),
    ),
    _heard(AlertCode.GATEWAY_DOWN, "Every read, or every write, at the gateway fails.", Urgency.PAGE),
    _heard(AlertCode.CREDENTIALS_REFUSED, "The gateway refuses our credentials.", Urgency.PAGE),
    Alarm(
        AlertCode.WEBHOOK_SILENCE,
        "paid_without_webhook",
        4,
        "Five orders in a row were paid, and no webhook came for them.",
        Urgency.TICKET,
        by=("gateway",),
        is_heard=True,
    ),
    Alarm(
        AlertCode.WEBHOOKS_REFUSED,
        "webhooks_refused_seconds",
        10 * MINUTE,
        "Webhooks have been refused for ten minutes, and no valid one came.",
        Urgency.PAGE,
        by=("gateway",),
        is_heard=True,
    ),
    Alarm(
        AlertCode.INBOX_WAITS,
        "inbox_oldest_seconds",
        5 * MINUTE,
        "A stored webhook could not be applied for five minutes.",
        Urgency.PAGE,
        by=("gateway",),
    ),
    Alarm(
        AlertCode.OUTBOX_WAITS,
        "outbox_oldest_seconds",
        15 * MINUTE,
        "An event has waited for 15 minutes to be sent.",
        Urgency.TICKET,
        by=("destination",),
    ),
    Alarm(
        AlertCode.EVENT_UNDELIVERED,
        "outbox_dead",
        0,
        "An event was given up after 75 hours, or refused for good.",
        Urgency.TICKET,
        by=("destination",),
        is_heard=True,
    ),
    Alarm(
        AlertCode.OUTCOME_UNKNOWN,
        "unknown_outcome_oldest_seconds",
        30 * MINUTE,
        "For half an hour it is not known whether the gateway made an order or a refund.",
        Urgency.TICKET,
        by=("gateway", "kind"),
    ),
    Alarm(
        AlertCode.CAPTURE_WINDOW,
        "capture_window_seconds",
        12 * HOUR,
        "Held money goes back to the payer within twelve hours unless it is captured.",
        Urgency.PAGE,
        by=("gateway",),
        is_floor=True,
    ),
    _heard(AlertCode.DISPUTE_OPENED, "A payer's bank wants money back.", Urgency.TICKET, by=()),
    Alarm(
        AlertCode.DISPUTE_DUE,
        "dispute_due_seconds",
        48 * HOUR,
        "A dispute must be answered within two days.",
        Urgency.PAGE,
        by=("gateway",),
        is_floor=True,
    ),
    Alarm(
        AlertCode.REVIEW_WAITS,
        "review_oldest_seconds",
        24 * HOUR,
        "A payment has waited for a person for more than a day.",
        Urgency.TICKET,
    ),
    Alarm(
        AlertCode.WORKER_SILENT,
        "worker_silent_seconds",
        3 * MINUTE,
        "No worker has written a heartbeat for three minutes.",
        Urgency.PAGE,
        subject="worker",
        is_heard=True,
    ),
    Alarm(
        AlertCode.SWEEP_SILENT,
        "sweep_silent_seconds",
        3 * MINUTE,
        "A part of the worker's work has failed for three minutes.",
        Urgency.PAGE,
        by=("sweep",),
        is_heard=True,
    ),
    Alarm(
        AlertCode.HISTORY_BROKEN,
        "history_broken",
        0,
        "A payment's history was changed by another person or program.",
        Urgency.PAGE,
    ),
    Alarm(
        AlertCode.DATABASE_AWAY,
        "database_up",
        1,
        "The database does not answer, or nothing can be written to it.",
        Urgency.PAGE,
        is_floor=True,
        is_heard=True,
    ),
)
"""Fifteen troubles; a dispute has two alarms (opened, due), the worker two (itself, one sweep), and that the
database is away cannot be told by it."""
