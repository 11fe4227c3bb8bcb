"""A process of the service that is killed at a chosen place of its one request, as by kill -9.

`python -m tests.e2e.dying GATEWAY:KEY:PLACE …` sends create-order once for each, in a process of its own, and
prints the number of the signal that ended it. Settings come from the environment, as always.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from sqlalchemy.orm import Session

from payments_service import create_app
from payments_service.store.db import Database
from tests.support.house import CUSTOMER

SIMULATOR = os.environ.get("SIMULATOR", "")
PLACES = {
    "after the claim": (2, "before"),
    "after the intent": (2, "after"),
    "in the call": (2, "once the gateway has it"),
    "after the call": (3, "before"),
    "after the answer": (4, "before"),
}
"""At which of the request's transactions that write: claim, intent, answer of the gateway, answer kept."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(place: str) -> None:
    begin, seen = Database.begin, 0
    number, when = PLACES[place]

    @contextmanager
    def deadly(self: Database) -> Iterator[Session]:
        nonlocal seen
        seen += 1
        is_here = seen == number
        if is_here and when == "before":
            die()
        with begin(self) as session:
            yield session
        if is_here and when == "after":
            die()
        if is_here:
            fault = {"gateway": "razorpay", "on": "create_order", "kind": "timeout_after", "seconds": 5}
            requests.post(SIMULATOR + "/_sim/faults", json={**fault, "count": 1}, timeout=20)
            threading.Thread(target=die_with_the_order, args=(orders(),), daemon=True).start()

    Database.begin = deadly  # type: ignore[method-assign]


def orders() -> int:
    total: int = requests.get(SIMULATOR + "/_sim/orders?limit=1", timeout=20).json()["total"]
    return total


def die_with_the_order(before: int) -> None:
    while orders() == before:
        time.sleep(0.02)
    die()


def ask(gateway: str, key: str, place: str) -> Any:
    client = create_app().test_client()
    arrange(place)
    body = {"amount": 499, "gateway": gateway, "customer": CUSTOMER}
    return client.post("/api/payment/create-order", json=body, headers={"Idempotency-Key": key})


def main() -> None:
    for word in sys.argv[1:]:
        child = os.fork()
        if not child:
            answer = ask(*word.split(":"))
            os._exit(answer.status_code % 100)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else f"it lives: {word}", flush=True)


if __name__ == "__main__":
    main()
