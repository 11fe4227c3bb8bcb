"""Sends webhooks as a gateway does: signed once, in order, again and again until the receiver answers 2xx."""

import heapq
import http.client
import threading
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gateway_simulator.faults import Faults
from gateway_simulator.world import World

ANSWER_TIMEOUT_SECONDS = 5.0
# A sender that waits for an answer is left to die with the process.
STOP_TIMEOUT_SECONDS = 1.0
MAX_TRIES = 10
GIVE_UP_AFTER_SECONDS = 24 * 3600
# A held-back event whose successor never comes is late, not lost.
REORDER_AT_MOST_SECONDS = 60.0
KEPT_ANSWER_CHARACTERS = 2000


@dataclass(frozen=True)
class Message:
    """One event, ready to send: the bytes are made once and are the same on every try."""

    gateway: str
    event_id: str
    event: str
    order_id: str
    body: bytes
    headers: Mapping[str, str]
    corrupt_headers: Mapping[str, str]
    old_secret_headers: Mapping[str, str]
    url: str | None = None
    # where the gateway has its own: the waits between tries, what it takes for success, a header that counts
    retry_seconds: tuple[float, ...] | None = None
    successes: Container[int] = range(200, 300)
    attempt_header: str | None = None


@dataclass(frozen=True)
class Try:
    number: int
    sent_at: float
    url: str
    headers: Mapping[str, str]
    status: int | None = None
    answer: str | None = None
    error: str | None = None


@dataclass(eq=False)
class Delivery:
    """An event on its way. state: waiting → sending → delivered | waiting … | given_up; or dropped."""

    message: Message
    sequence: int
    created_at: float
    due_at: float
    state: str = "waiting"
    fault: str | None = None
    tries: list[Try] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "sending")

    def next_headers(self) -> Mapping[str, str]:
        headers = self._signed_headers()
        if self.message.attempt_header is None:
            return headers
        return {**headers, self.message.attempt_header: str(len(self.tries) + 1)}

    def _signed_headers(self) -> Mapping[str, str]:
        if self.fault == "old_secret":
            return self.message.old_secret_headers
        if self.fault == "corrupt_signature" and not self.tries:
            return self.message.corrupt_headers
        return self.message.headers


class Queue:
    """What waits to be sent for one gateway, the next one first, also when the queue is long."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, Delivery]] = []
        self._pushed = 0

    def push(self, delivery: Delivery) -> None:
        """Also after its time has changed: what stands here for the old time is then passed over."""
        self._pushed += 1
        heapq.heappush(self._heap, (delivery.due_at, delivery.sequence, self._pushed, delivery))

    def first(self) -> Delivery | None:
        while self._heap:
            due_at, sequence, _, delivery = self._heap[0]
            if delivery.state == "waiting" and (due_at, sequence) == (delivery.due_at, delivery.sequence):
                return delivery
            heapq.heappop(self._heap)
        return None


class Deliveries:
    """One sender per gateway, so first tries arrive in order; a waiting retry does not hold up the others."""

    def __init__(self, world: World, faults: Faults, webhooks: str, backoff_seconds: float) -> None:
        self.webhooks = webhooks.rstrip("/")
        self._world = world
        self._faults = faults
        self._usual_waits = tuple(backoff_seconds * 2**n for n in range(MAX_TRIES - 1))
        self._changed = threading.Condition(world.lock)
        self._senders: dict[str, threading.Thread] = {}
        self._last_number = 0
        self._held: dict[str, Delivery] = {}
        self._deliveries: list[Delivery] = []
        # found again from the deliveries after a restart
        self._by_order: defaultdict[str, list[Delivery]] = defaultdict(list)
        self._queues: defaultdict[str, Queue] = defaultdict(Queue)
        self._being_sent: dict[str, Delivery] = {}

    def send(self, message: Message) -> None:
        """Queue an event; the webhook fault that is due decides what becomes of it."""
        with self._changed:
            held = self._held.pop(message.gateway, None)
            fault = None if held else self._faults.take(message.gateway, "webhook")
            delivery = self._new(message, fault.kind if fault else None)
            if fault and fault.kind == "duplicate":
                self._queue(self._new(message, "duplicate"))
            elif fault and fault.kind == "drop":
                delivery.state = "dropped"
            elif fault and fault.kind == "delay":
                delivery.due_at += fault.seconds or 0.0
            elif fault and fault.kind == "reorder":
                delivery.due_at += REORDER_AT_MOST_SECONDS
                self._held[message.gateway] = delivery
            self._queue(delivery)
            if held:
                self._release(held)
            self._start_sender(message.gateway)
            self._note_change()

    def all(self) -> list[Delivery]:
        with self._changed:
            return list(self._deliveries)

    def of_order(self, order_id: str) -> list[Delivery]:
        with self._changed:
            return list(self._by_order.get(order_id, ()))

    def clock_moved(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def state(self) -> dict[str, Any]:
        """What a restart must not lose; what was being sent is to be sent again."""
        kept = ("_deliveries", "_held", "_last_number")
        return {name: getattr(self, name) for name in kept}

    def resume(self) -> None:
        """Go on with what a restart left open."""
        with self._changed:
            for delivery in self._deliveries:
                self._by_order[delivery.message.order_id].append(delivery)
                if delivery.is_open:
                    delivery.state = "waiting"
                    self._queue(delivery)
                    self._start_sender(delivery.message.gateway)

    def reset(self) -> None:
        with self._changed:
            self._deliveries.clear()
            self._by_order.clear()
            self._queues.clear()
            self._held.clear()
            self._being_sent.clear()
            self._changed.notify_all()

    def wait_until_idle(self, seconds: float, order_id: str | None = None) -> bool:
        """Wait in real time until nothing (of this order) is being sent or due; False when it still is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle(order_id), seconds)

    def stop(self) -> None:
        """End the senders; call after the world was told to stop."""
        with self._changed:
            self._changed.notify_all()
            senders = list(self._senders.values())
        for sender in senders:
            sender.join(STOP_TIMEOUT_SECONDS)

    def _new(self, message: Message, fault: str | None) -> Delivery:
        now = self._world.now()
        delivery = Delivery(message, self._next_number(), now, now, fault=fault)
        self._deliveries.append(delivery)
        self._by_order[message.order_id].append(delivery)
        return delivery

    def _queue(self, delivery: Delivery) -> None:
        self._queues[delivery.message.gateway].push(delivery)

    def _release(self, held: Delivery) -> None:
        held.due_at = self._world.now()
        held.sequence = self._next_number()
        self._queue(held)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _note_change(self) -> None:
        self._world.touch()
        self._changed.notify_all()

    def _idle(self, order_id: str | None) -> bool:
        if order_id is not None:
            return not any(self._is_due(delivery) for delivery in self._by_order.get(order_id, ()))
        return not self._being_sent and not any(
            self._is_due(first) for queue in self._queues.values() if (first := queue.first())
        )

    def _is_due(self, delivery: Delivery) -> bool:
        is_due = delivery.state == "waiting" and delivery.due_at <= self._world.now()
        return is_due or delivery.state == "sending"

    def _start_sender(self, gateway: str) -> None:
        if gateway not in self._senders:
            sender = threading.Thread(
                target=self._send_all, args=(gateway,), name=f"{gateway}-webhooks", daemon=True
            )
            self._senders[gateway] = sender
            sender.start()

    def _send_all(self, gateway: str) -> None:
        while (delivery := self._next_due(gateway)) is not None:
            outcome = self._post(delivery)
            with self._changed:
                # After a reset the delivery is no longer the one being sent: its outcome is not recorded.
                if self._being_sent.get(gateway) is delivery:
                    del self._being_sent[gateway]
                    self._record(delivery, outcome)
                self._note_change()

    def _next_due(self, gateway: str) -> Delivery | None:
        with self._changed:
            while not self._world.stopping.is_set():
                first = self._queues[gateway].first()
                if first and first.due_at <= self._world.now():
                    first.state = "sending"
                    self._being_sent[gateway] = first
                    return first
                self._changed.wait(first.due_at - self._world.now() if first else None)
        return None

    def _record(self, delivery: Delivery, outcome: Try) -> None:
        delivery.tries.append(outcome)
        if outcome.status in delivery.message.successes:
            delivery.state = "delivered"
            return
        waits = delivery.message.retry_seconds or self._usual_waits
        wait = waits[outcome.number - 1] if outcome.number <= len(waits) else GIVE_UP_AFTER_SECONDS
        delivery.due_at = self._world.now() + wait
        if delivery.due_at >= delivery.created_at + GIVE_UP_AFTER_SECONDS:
            delivery.state = "given_up"
        else:
            delivery.state = "waiting"
            self._queue(delivery)

    def _post(self, delivery: Delivery) -> Try:
        message, number, sent_at = delivery.message, len(delivery.tries) + 1, self._world.now()
        url = message.url or f"{self.webhooks}/{message.gateway}"
        headers = delivery.next_headers()
        try:
            status, answer = post(url, message.body, headers)
        except (OSError, http.client.HTTPException) as error:
            return Try(number, sent_at, url, headers, error=f"{type(error).__name__}: {error}")
        return Try(number, sent_at, url, headers, status=status, answer=answer)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """One POST without redirects or proxies; raises OSError or HTTPException when no answer came in time."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST", parts.path + (f"?{parts.query}" if parts.query else ""), body, dict(headers)
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")[:KEPT_ANSWER_CHARACTERS]
    finally:
        connection.close()
