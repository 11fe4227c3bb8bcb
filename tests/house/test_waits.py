"""Every wait has its reason, and docs/timing.md says them all; those that depend on each other agree."""

from collections import defaultdict
from datetime import timedelta

import pytest

from tests.house.waits import PAGE, Wait, page, said, waits

FOUND = list(waits())
SECONDS: defaultdict[str, dict[str, float]] = defaultdict(dict)
for one in FOUND:
    if isinstance(one.value, timedelta | int | float):
        is_moment = isinstance(one.value, timedelta)
        SECONDS[one.file][one.name] = one.value.total_seconds() if is_moment else float(one.value)

DATABASE = 3 * SECONDS["store/postgres.py"]["ANSWER_SECONDS"]
"""The most that is written before a call, between two and after it."""


def of(file: str, name: str) -> float:
    return SECONDS[file][name]


def budget(flow: str) -> float:
    return of(f"flows/{flow}.py", "BUDGET_SECONDS")


def lease(flow: str) -> float:
    return of(f"flows/{flow}.py", "LEASE")


def test_the_page_says_what_the_code_does() -> None:
    assert page() == PAGE.read_text(), "make it again: python -m tests.house.waits"


def test_most_waits_of_the_package_are_found() -> None:
    assert len(FOUND) > 100


@pytest.mark.parametrize("wait", FOUND, ids=lambda wait: f"{wait.file}-{wait.name}")
def test_every_wait_says_why(wait: Wait) -> None:
    assert wait.reason, f"{wait.file}: {wait.name} = {said(wait.value, wait.name)} needs a docstring"


LONGER = {
    "a create-order is over before another takes over its call": (
        lease("intent"),
        budget("moving") + budget("intent") + of("flows/create_order.py", "FOLLOW_UP_SECONDS") + DATABASE,
    ),
    "a refund is over before it is sent again": (lease("refund"), budget("refund") + DATABASE),
    "a refund's intent is committed before its first call is due": (
        lease("refund_intent"),
        of("store/postgres.py", "ANSWER_SECONDS"),
    ),
    "a refund is over before its key is free": (
        lease("repeat"),
        budget("refund_intent") + budget("refund") + DATABASE,
    ),
    "a capture is over before its key is free": (lease("repeat"), budget("capture") + DATABASE),
    "a cancellation is over before its key is free": (lease("repeat"), budget("close") + DATABASE),
    "a question of the worker is over before another asks": (
        lease("reconcile"),
        budget("reconcile") + DATABASE,
    ),
    "a delivery is over before another sends it": (
        lease("deliver"),
        of("notify/webhook.py", "POST_TIMEOUT") + DATABASE,
    ),
    "a letter is over before another sends it": (
        lease("deliver"),
        of("notify/letter.py", "MAIL_TIMEOUT") + DATABASE,
    ),
    "what follows a webhook is over before the worker begins with it": (
        of("flows/arrivals.py", "LEFT_TO_THE_WORKER"),
        of("flows/follow_ups.py", "BEGUN_WITHIN_SECONDS") + budget("follow_ups"),
    ),
    "a lock that is held too long is told as such": (
        of("store/postgres.py", "STATEMENT_SECONDS"),
        of("store/postgres.py", "LOCK_SECONDS"),
    ),
    "a server that lives ends its statement itself": (
        of("store/postgres.py", "ANSWER_SECONDS"),
        of("store/postgres.py", "STATEMENT_SECONDS"),
    ),
    "a worker ends within the ten seconds that hosts allow": (10.0, of("worker.py", "LAST_SECONDS")),
}


@pytest.mark.parametrize("why", LONGER)
def test_what_bounds_is_longer_than_what_it_bounds(why: str) -> None:
    longer, shorter = LONGER[why]
    assert longer > shorter
