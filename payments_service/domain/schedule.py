"""When an open payment or refund is asked for again, and when the worker stops asking (see docs/worker.md).

Each gateway declares how densely it may be asked in the first twenty minutes; the rest is the same for all.
Banks decide what they left open within five days, so that is how long we watch.
"""

from datetime import datetime, timedelta

from payments_service.domain.clock import Clock
from payments_service.domain.states import OPEN, PaymentStatus

Polling = tuple[tuple[timedelta, timedelta], ...]
"""(until which age, how often), ascending."""


def polling(*seconds: tuple[int, int]) -> Polling:
    return tuple((timedelta(seconds=until), timedelta(seconds=every)) for until, every in seconds)


LATER: Polling = (
    (timedelta(hours=1), timedelta(minutes=5)),
    (timedelta(days=1), timedelta(hours=1)),
    (timedelta(days=5), timedelta(hours=6)),
)
"""Until which age, how often: after the gateway's own dense part."""

READ_AGAIN = (timedelta(hours=1), timedelta(days=1), timedelta(days=5))
"""After its completion a payment is read again at these ages: for second payments and refunds elsewhere."""


DAILY: Polling = ((timedelta(days=60), timedelta(days=1)),)
"""For payments that no clock of ours ends: money is held or captured, cash is on its way, a person looks; and
for one that has ended, whose last question had no answer."""


def next_check(
    status: PaymentStatus,
    polling: Polling,
    created_at: datetime,
    completed_at: datetime | None,
    clock: Clock,
    *,
    is_unsettled: bool = False,
    was_answered: bool = True,
) -> datetime | None:
    """The moment of the next question, None when there is none left to ask.

    `is_unsettled`: money, or a review, keeps an unpaid payment from ending by our clock. A question that was
    not answered is asked again within the hour; the last one, about a payment that has ended, daily.
    """
    is_left = not was_answered and status not in OPEN
    if status is PaymentStatus.COMPLETED and completed_at:
        age = _age(completed_at, clock)
        planned = next((clock.after(moment - age) for moment in READ_AGAIN if moment > age), None)
        again = _again(planned, clock, was_answered=was_answered)
        return again or (next_follow_up(DAILY, completed_at, clock) if is_left else None)
    daily = DAILY if is_unsettled or is_left else ()
    planned = next_follow_up((*polling, *LATER, *daily), created_at, clock)
    return _again(planned, clock, was_answered=was_answered or is_left)


def next_refund_check(
    polling: Polling, since: datetime, clock: Clock, *, was_answered: bool = True
) -> datetime | None:
    """Banks take longer to give back: after five days once a day, for a month. A question that was not
    answered is asked again within the hour: news may have made it due."""
    month: Polling = ((timedelta(days=30), timedelta(days=1)),)
    return _again(next_follow_up((*polling, *LATER, *month), since, clock), clock, was_answered=was_answered)


def _again(planned: datetime | None, clock: Clock, *, was_answered: bool) -> datetime | None:
    return planned if was_answered or planned is None else min(planned, clock.after(UNANSWERED))


UNANSWERED = timedelta(hours=1)
"""A question that the gateway did not answer is asked again by then."""
REFERENCE_COMES_AT = (timedelta(hours=1), timedelta(days=1), timedelta(days=3), timedelta(days=7))
"""After its end a refund without the bank's reference is asked for again at these ages."""


def next_reference_check(ended_at: datetime, clock: Clock) -> datetime | None:
    """When a completed refund is asked for its bank reference next; None when it is asked no more."""
    age = _age(ended_at, clock)
    return next((clock.after(moment - age) for moment in REFERENCE_COMES_AT if moment > age), None)


def next_follow_up(polling: Polling, since: datetime, clock: Clock) -> datetime | None:
    age = _age(since, clock)
    return next((clock.after(every) for until, every in (*polling, *LATER) if age < until), None)


def _age(since: datetime, clock: Clock) -> timedelta:
    """What a clock that was ahead has dated is as if it were of now."""
    return max(clock.age(since), timedelta(0))
