"""Any event about an order as it stands, also one that no move leads to."""

from gateway_simulator.base import ImpossibleMoveError, Json
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.records import Payment

# The payment that an event is most likely about; else it is about the last one.
LIKELY = {
    "payment.authorized": ("authorized",),
    "payment.captured": ("captured",),
    "payment.failed": ("failed",),
    "payment.pending": ("pending", "created"),
    "order.paid": ("captured",),
    "order.placed": ("pending",),
}


def send_event(books: LiveBooks, order_id: str, event: str) -> None:
    """Raises ImpossibleMoveError where the order has nothing that the event could tell of."""
    family = event.rpartition(".")[0]
    if family == "payment.downtime":
        books.downtimes.go_on(event.rpartition(".")[2], order_id)
    elif family == "payment.dispute":
        _send_dispute(books, order_id, event)
    elif family == "refund":
        _send_refund(books, order_id, event)
    elif family == "settlement":
        _send_settlement(books, order_id)
    elif family == "payment_link":
        _send_link(books, order_id, event)
    else:
        _send_payment(books, order_id, event)


def _send_payment(books: LiveBooks, order_id: str, event: str) -> None:
    entities: dict[str, Json] = {"payment": _payment(books, order_id, event).entity()}
    if event == "payment.pending":
        entities["payment"]["status"] = "pending"  # also of a payment that is no cash on delivery
    if event.startswith("order."):
        entities["order"] = books.orders[order_id].entity()
    books.events.tell(event, order_id, entities)


def _payment(books: LiveBooks, order_id: str, event: str) -> Payment:
    payments = books.payments_of(order_id)
    if not payments:
        raise ImpossibleMoveError(f"Order {order_id} has no payment that {event} could tell of")
    likely = [payment for payment in payments if payment.status in LIKELY.get(event, ())]
    return (likely or payments)[-1]


def _send_refund(books: LiveBooks, order_id: str, event: str) -> None:
    refunds = [refund for payment in books.payments_of(order_id) for refund in books.refunds.of(payment.id)]
    if not refunds:
        raise ImpossibleMoveError(f"Order {order_id} has no refund that {event} could tell of")
    books.refunds.tell(event, refunds[-1])


def _send_dispute(books: LiveBooks, order_id: str, event: str) -> None:
    disputes = books.disputes.of_order(order_id)
    if not disputes:
        raise ImpossibleMoveError(f"Order {order_id} has no dispute that {event} could tell of")
    books.disputes.tell(event, disputes[-1])


def _send_settlement(books: LiveBooks, order_id: str) -> None:
    settlement = books.settlements.of_order(order_id)
    if settlement is None:
        raise ImpossibleMoveError(f"Nothing of order {order_id} is settled yet: settle first")
    books.settlements.tell(settlement, order_id)


def _send_link(books: LiveBooks, order_id: str, event: str) -> None:
    link = books.links.of_order(order_id)
    if link is None:
        raise ImpossibleMoveError(f"Order {order_id} belongs to no payment link")
    payments = [payment for payment in books.payments_of(order_id) if payment.captured]
    books.links.tell(event, link, payments[-1] if payments else None)
