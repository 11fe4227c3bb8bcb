"""What webhooks make necessary at their gateways, done after their 200 by the process that took them in.

The worker leaves such an event alone for half a minute (`LEFT_TO_THE_WORKER`). So long it is this process's,
which asks a few things at once of each gateway, and asks again where the gateway does not say yet what its
event told. What it does not come to in time, and what was under way when it died, the worker does.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, Thread, Timer

from payments_service import logs
from payments_service.domain.clock import REAL_TIME
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError, StoreUnavailable
from payments_service.flows import reconcile, webhook
from payments_service.flows.lines import Line, Place, is_well
from payments_service.flows.webhook import Wanted
from payments_service.gateways.base import Gateway
from payments_service.store import inbox
from payments_service.store.db import Database

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Questions of one process to one gateway; its payers' own are not among them."""
MOST_WAITING = 500
BUDGET_SECONDS = 8.0
"""For the question that a webhook makes necessary, after its answer."""
BEGUN_WITHIN_SECONDS = 18.0
"""With the budget it ends before the worker begins with it."""
AGAIN_AFTER_SECONDS = (2.0, 5.0, 10.0)
"""The word of some gateways lags behind their webhooks."""
LOOK_SECONDS = 0.5
"""While the gateway's calls are all taken, this often for a free one."""


@dataclass
class _Due:
    wanted: Wanted
    taken_at: float
    tries: int = 0


@dataclass
class _Queue:
    """Of one gateway."""

    line: Line[_Due]
    waiting: deque[_Due]
    is_worked_on: bool = False


class FollowUps:
    """Of one process."""

    def __init__(
        self,
        db: Database,
        gateways: Sequence[Gateway],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._gateways, self._monotonic = db, gateways, monotonic
        self._lock = Lock()
        self._queues = {gateway.provider: self._queue(gateway) for gateway in gateways}

    def begin(self) -> None:
        """Once the process serves: what an earlier one has left. Never waits."""
        Thread(target=self._take_over, name="follow-ups", daemon=True).start()

    def add(self, wanted: Wanted) -> None:
        """Have it done, soon and elsewhere. Never waits, and what is too much is left to the worker."""
        self._add(_Due(wanted, self._monotonic()))

    def _queue(self, gateway: Gateway) -> _Queue:
        waiting: deque[_Due] = deque()

        def claim(limit: int) -> list[_Due]:
            """The youngest first."""
            with self._lock:
                return [waiting.pop() for _ in range(min(limit, len(waiting)))]

        line = Line(f"follow-ups {gateway.provider}", Place(AT_ONCE), claim, self._do, gateway=gateway)
        return _Queue(line, waiting)

    def _add(self, due: _Due) -> None:
        queue = self._queues[due.wanted.gateway.provider]
        with self._lock:
            if len(queue.waiting) >= MOST_WAITING:
                return
            queue.waiting.append(due)
            if queue.is_worked_on:
                return
            queue.is_worked_on = True
        Thread(target=self._work, args=(queue,), name=queue.line.name, daemon=True).start()

    def _work(self, queue: _Queue) -> None:
        while self._has_more(queue):
            try:
                begun = queue.line.run()
            except Exception:
                begun = 0
                log.exception("Webhook follow-up failed")
            if not begun:
                time.sleep(LOOK_SECONDS)

    def _has_more(self, queue: _Queue) -> bool:
        """Whether there is something that is not the worker's by now."""
        with self._lock:
            began = self._monotonic() - BEGUN_WITHIN_SECONDS
            ours = [due for due in queue.waiting if due.taken_at > began]
            queue.waiting.clear()
            queue.waiting.extend(ours)
            queue.is_worked_on = bool(ours)
            return queue.is_worked_on

    def _do(self, due: _Due) -> bool | None:
        logs.note(**due.wanted.about, batch=1)
        well: bool | None = True
        is_done = False
        try:
            deadline = Deadline(BUDGET_SECONDS, Urgency.WAKE_UP)
            is_done = webhook.follow_up(self._db, due.wanted, deadline)
        except GatewayError as error:
            log.warning(
                "Webhook follow-up left open", extra={"data": {**due.wanted.about, "error": error.code}}
            )
            logs.note(code=error.code)
            well = is_well(error)
        logs.note(outcome="done" if is_done else "open")
        if not is_done:
            self._again(due)
        return well

    def _again(self, due: _Due) -> None:
        if due.tries == len(AGAIN_AFTER_SECONDS):
            return
        left = due.taken_at + AGAIN_AFTER_SECONDS[due.tries] - self._monotonic()
        due.tries += 1
        again = Timer(max(0.0, left), self._add, (due,))
        again.daemon = True
        again.start()

    def _take_over(self) -> None:
        for gateway in self._gateways:
            try:
                if inbox.has_due(self._db, gateway.provider, REAL_TIME.now()):
                    reconcile.sweep_inbox(self._db, gateway, REAL_TIME)
            except StoreUnavailable:
                return
            except Exception:
                log.exception("What was left could not be done")
