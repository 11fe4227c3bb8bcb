"""Callers of a house that never stop while its database is disturbed, and what they were answered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import requests

from tests.support.house import CUSTOMER, House

THREADS = 8
MOST_SECONDS = 15
ORDER = {"amount": 499, "gateway": "razorpay", "customer": CUSTOMER}


def create(house: House) -> requests.Response:
    """On a connection of its own. Raises when there is no answer in time."""
    return requests.post(house.url + "/api/payment/create-order", json=ORDER, timeout=MOST_SECONDS)


def create_many(house: House, number: int) -> list[requests.Response]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: create(house), range(number)))


@dataclass
class Load:
    """What callers were answered, who asked all the time."""

    answers: list[requests.Response] = field(default_factory=list)

    def count(self, status: int) -> int:
        return sum(answer.status_code == status for answer in self.answers)

    def assert_honest(self) -> None:
        """Each was served, or told to come again."""
        others = [a.text for a in self.answers if a.status_code not in (200, 503)]
        assert not others, others[:3]
        assert all("Retry-After" in a.headers for a in self.answers if a.status_code == 503)


@contextmanager
def under_load(house: House) -> Iterator[Load]:
    load, over = Load(), Event()

    def call() -> None:
        while not over.is_set():
            load.answers.append(create(house))

    with ThreadPoolExecutor(THREADS) as pool:
        callers = [pool.submit(call) for _ in range(THREADS)]
        try:
            yield load
        finally:
            over.set()
        for caller in callers:
            caller.result()
