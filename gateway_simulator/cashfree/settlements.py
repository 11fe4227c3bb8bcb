"""The merchant's account at Cashfree, and the transfers to its bank.

Sources: OpenAPI 2025-01-01 (SettlementEntity); docs settlements-webhook, settlements-and-reconciliation.
Made up: the fee of 2 %, 11 o'clock as the hour of transfers, the 30 minutes that the bank takes, and what a
transfer that failed or came back brings: its events are part of the next one.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gateway_simulator.base import Json
from gateway_simulator.cashfree.books import Books
from gateway_simulator.cashfree.disputes import Dispute
from gateway_simulator.cashfree.records import Order, Payment
from gateway_simulator.cashfree.refunds import Refund
from gateway_simulator.cashfree.telling import Teller
from gateway_simulator.cashfree.wire import IST, CfId, Rupees, ist, ist_without_zone

FEE_PERCENT = 2
TAX_PERCENT = 18
HOUR_OF_TRANSFERS = 11
BANK_TAKES_SECONDS = 30 * 60
CREDIT, DEBIT = "CREDIT", "DEBIT"
TRANSFER = "SETTLEMENT"
BANK_REFUSED = "Bank account details are not active"
LATER = "Due to some technical issues, your amount will be settled in the next settlement cycle."


@dataclass(eq=False)
class Entry:
    """One line of the account: what a payment, a refund, a dispute brought or took; or a transfer."""

    number: int
    event_id: str
    event_type: str
    sale_type: str
    amount: int
    at: int
    due_at: float
    # of a transfer: the first of its payments
    payment: Payment
    refund: Refund | None = None
    dispute: Dispute | None = None
    settlement: "Settlement | None" = None
    charge: int = 0
    tax: int = 0

    @property
    def net(self) -> int:
        return self.amount - self.charge - self.tax if self.sale_type == CREDIT else -self.amount


@dataclass(eq=False)
class Settlement:
    """One transfer to the bank."""

    id: str
    utr: str
    initiated_at: int
    entries: list[Entry]
    status: str = "INITIATED"
    settled_at: int | None = None
    reason: str | None = None

    @property
    def payments(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.event_type == "PAYMENT"]

    @property
    def amounts(self) -> dict[str, int]:
        paid = sum(entry.amount for entry in self.payments)
        charge, tax = (sum(e.charge for e in self.payments), sum(e.tax for e in self.payments))
        total = sum(entry.net for entry in self.entries)
        return {
            "payment_amount": paid,
            "service_charge": charge,
            "service_tax": tax,
            "settlement_amount": paid - charge - tax,
            "adjustment": total - (paid - charge - tax),
            "amount_settled": total,
            "settlement_charge": 0,
            "settlement_tax": 0,
        }

    def of_order(self, entry: Entry) -> Json:
        """SettlementEntity: what this transfer brought of one payment."""
        order = entry.payment.order
        return {
            "cf_payment_id": CfId(entry.payment.id),
            "order_id": order.id,
            "entity": "settlement",
            "order_amount": Rupees(order.amount),
            "payment_time": ist(entry.payment.created_at),
            "service_charge": Rupees(entry.charge),
            "service_tax": Rupees(entry.tax),
            "settlement_amount": Rupees(entry.net),
            "cf_settlement_id": CfId(self.id),
            "transfer_id": int(self.id),
            "transfer_time": ist(self.settled_at or self.initiated_at),
            "transfer_utr": self.utr,
            "order_currency": order.currency,
            "settlement_currency": order.currency,
            "forex_conversion_handling_charge": None,
            "forex_conversion_handling_tax": None,
            "forex_conversion_rate": None,
            "charges_currency": order.currency,
        }

    def entity(self) -> Json:
        """A row of the list of settlements: no document shows one, so it is the webhook's with its id."""
        told = self.told()
        del told["settlement_id"]
        return {"entity": "settlement", "cf_settlement_id": CfId(self.id), **told, "utr": self._utr}

    def webhook(self, status: str | None = None) -> Json:
        """Ids and UTR are numbers; it may be told as if it had another status."""
        return {"settlement": {**self.told(status), "utr": None if self._utr is None else int(self._utr)}}

    def told(self, status: str | None = None) -> Json:
        times = [entry.payment.created_at for entry in self.payments]
        return {
            **{name: Rupees(amount) for name, amount in self.amounts.items()},
            "payment_from": ist_without_zone(min(times)),
            "payment_till": ist_without_zone(max(times)),
            "reason": self.reason,
            "settled_on": ist(self.settled_at) if self.settled_at else None,
            "settlement_type": "STANDARD",
            "settlement_id": int(self.id),
            "settlement_initiated_on": ist(self.initiated_at),
            "status": status or self.status,
            "utr": self._utr,
            "remarks": None,
        }

    @property
    def _utr(self) -> str | None:
        return self.utr if self.settled_at else None


class Settlements:
    """Everything here runs under the world's lock."""

    def __init__(self, books: Books, teller: Teller) -> None:
        self._books = books
        self._teller = teller
        self.entries: list[Entry] = []
        # those of them that no transfer has taken, and of payments all of them, by their payment's id
        self._waiting: dict[int, Entry] = {}
        self._of_payment: dict[str, Entry] = {}
        self._by_id: dict[str, Settlement] = {}

    def all(self) -> list[Settlement]:
        return list(self._by_id.values())

    def of(self, order: Order) -> list[Settlement]:
        return [one for one in self.all() if any(e.payment.order is order for e in one.entries)]

    def transferred(self, order: Order) -> Entry | None:
        """The order's payment that is at the bank, if one is."""
        entries = (self._of_payment.get(payment.id) for payment in self._books.payments_of(order))
        return next((e for e in entries if e and e.settlement and e.settlement.status == "SUCCESS"), None)

    # What happens on the account

    def book_payment(self, payment: Payment) -> None:
        charge = _share(payment.taken, FEE_PERCENT)
        entry = self._book(payment.id, "PAYMENT", CREDIT, payment.taken, payment)
        entry.charge, entry.tax = charge, _share(charge, TAX_PERCENT)
        entry.due_at = self._next_transfer(self._books.settings.settlement_days)
        self._of_payment[payment.id] = entry
        self._books.world.at(entry.due_at, self.run)

    def book_refund(self, refund: Refund) -> None:
        self._book(refund.cf_id, "REFUND", DEBIT, refund.amount, refund.payment).refund = refund

    def book_dispute(self, dispute: Dispute) -> None:
        """Takes its amount; once the merchant has won, brings it back."""
        is_reversal = dispute.stage == "MERCHANT_WON"
        kind = "CHARGEBACK" if dispute.kind == "CHARGEBACK" else "DISPUTE"
        kind, sale = (f"{kind}_REVERSAL", CREDIT) if is_reversal else (kind, DEBIT)
        self._book(dispute.id, kind, sale, dispute.amount, dispute.payment).dispute = dispute

    def _book(self, event_id: str, kind: str, sale: str, amount: int, payment: Payment) -> Entry:
        now = self._books.now()
        entry = Entry(len(self.entries) + 1, event_id, kind, sale, amount, now, now, payment)
        self.entries.append(entry)
        self._waiting[entry.number] = entry
        return entry

    # Transfers

    def run(self) -> None:
        """By the clock: transfer what is due; the bank takes a while."""
        now = self._books.world.now()
        settlement = self.start(lambda entry: entry.due_at <= now)
        if settlement:
            end = partial(self.finish, settlement.id)
            self._books.world.at(now + BANK_TAKES_SECONDS, end)

    def settle(self) -> None:
        """Transfer all there is, at once."""
        self.start(lambda _: True)
        for settlement in self.all():
            self.finish(settlement.id)

    def start(self, is_part: Callable[[Entry], bool]) -> Settlement | None:
        """What cannot be paid out of this transfer's payments waits for the next."""
        waiting = [entry for entry in self._waiting.values() if is_part(entry)]
        chosen, total = [], 0
        for entry in sorted(waiting, key=lambda entry: (entry.sale_type != CREDIT, entry.number)):
            if total + entry.net >= 0:
                chosen.append(entry)
                total += entry.net
        if not any(entry.event_type == "PAYMENT" for entry in chosen):
            return None
        number, utr = self._books.new_number(7), self._books.new_number(16)
        settlement = Settlement(number, utr, self._books.now(), chosen)
        self._by_id[number] = settlement
        for entry in chosen:
            entry.settlement = settlement
            del self._waiting[entry.number]
        self.tell("SETTLEMENT_INITIATED", settlement)
        return settlement

    def finish(self, settlement_id: str, outcome: str | None = None, reason: str | None = None) -> None:
        """SUCCESS, FAILED, or SUCCESS that the bank sends back; without `outcome` the settings say."""
        settlement = self._by_id[settlement_id]
        if settlement.status != "INITIATED":
            return
        outcome = outcome or self._books.settings.settlement_outcome
        if outcome == "FAILED":
            self._undo(settlement, outcome, reason or BANK_REFUSED)
            return
        settlement.status, settlement.settled_at = "SUCCESS", self._books.now()
        self.tell("SETTLEMENT_SUCCESS", settlement)
        amount = settlement.amounts["amount_settled"]
        transfer = self._book(settlement.id, TRANSFER, CREDIT, amount, settlement.payments[0].payment)
        transfer.settlement = settlement
        del self._waiting[transfer.number]
        if outcome == "REVERSED":
            self._undo(settlement, outcome, reason or LATER)

    def _undo(self, settlement: Settlement, status: str, reason: str) -> None:
        settlement.status, settlement.reason = status, reason
        for entry in settlement.entries:
            entry.settlement, entry.due_at = None, self._next_transfer(1)
            self._waiting[entry.number] = entry
        self._books.world.at(self._next_transfer(1), self.run)
        self.tell(f"SETTLEMENT_{status}", settlement)

    def tell(self, event: str, settlement: Settlement, status: str | None = None) -> None:
        """Under the order of its first payment: a transfer of many orders is told once."""
        order = settlement.payments[0].payment.order
        self._teller.tell(event, order, settlement.webhook(status), is_of_order=False)

    def _next_transfer(self, days: int) -> float:
        day = datetime.fromtimestamp(self._books.now(), IST) + timedelta(days=days)
        return day.replace(hour=HOUR_OF_TRANSFERS, minute=0, second=0, microsecond=0).timestamp()

    # Looking up

    def found(
        self, ids: Collection[str], utrs: Collection[str], times: tuple[float, float]
    ) -> list[Settlement]:
        """By any of the ids or UTRs, and within the times (transferred, or begun where it is not)."""
        return [
            one
            for one in self.all()
            if (not ids or one.id in ids)
            and (not utrs or one.utr in utrs)
            and times[0] <= (one.settled_at or one.initiated_at) <= times[1]
        ]


def _share(amount: int, percent: int) -> int:
    """Of an amount in paise; halves upwards."""
    return (amount * percent + 50) // 100
