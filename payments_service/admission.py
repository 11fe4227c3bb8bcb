"""How many create-orders of one process work at the same time; one that waits for a gateway does not count.

Without it a crowd of them takes every turn of the process, and what comes beside it, a webhook or /health,
waits until the last of the crowd has been sent to the gateway.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import BoundedSemaphore

from payments_service.domain.errors import StoreUnavailable

AT_ONCE = 8
"""Most of their time goes to the processor, of which a process has one; the rest goes to the database."""
WAIT_SECONDS = 8.0
"""In a crowd; then the answer is 503. A busy machine takes seconds for fifty orders."""


@dataclass
class _Stay:
    places: BoundedSemaphore
    has_place: bool


_stay: ContextVar[_Stay | None] = ContextVar("stay", default=None)


class Admission:
    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = BoundedSemaphore(at_once)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Work, as soon as there is room. Raises StoreUnavailable when there is none in time."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise StoreUnavailable("Too many orders at once, please try again")
        mine = _Stay(self._places, has_place=True)
        before = _stay.set(mine)
        try:
            yield
        finally:
            _stay.reset(before)
            if mine.has_place:
                self._places.release()


@contextmanager
def waiting_outside() -> Iterator[None]:
    """Around a call whose answer takes long: another may work meanwhile.

    Who comes back to a full house waits as long as a new one, and then works all the same: the order is made.
    """
    mine = _stay.get()
    if mine is None or not mine.has_place:
        yield
        return
    mine.has_place = False
    mine.places.release()
    try:
        yield
    finally:
        mine.has_place = mine.places.acquire(timeout=WAIT_SECONDS)
