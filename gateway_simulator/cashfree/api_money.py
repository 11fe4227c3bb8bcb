"""What a merchant's server asks of settlements, reports and disputes, and the sandbox's simulations.

Sources: OpenAPI 2025-01-01; cashfree_pg 6.0.1. The codes of refusals here are made up.
"""

from collections.abc import Sequence
from typing import Any

from flask import request

from gateway_simulator.base import Json, Route
from gateway_simulator.cashfree import checks, recon
from gateway_simulator.cashfree.answers import Answers, View
from gateway_simulator.cashfree.disputes import Dispute
from gateway_simulator.cashfree.moves import LiveBooks
from gateway_simulator.cashfree.records import Order
from gateway_simulator.cashfree.refusals import not_found, refusal
from gateway_simulator.cashfree.settlements import BANK_REFUSED, TRANSFER
from gateway_simulator.cashfree.testdata import DECLINED, declined_with

SIMULATED = ("SUCCESS", "FAILED", "PENDING", "USER_DROPPED")
SIMULATED_SETTLEMENTS = ("SUCCESS", "FAILED", "PENDING")


class MoneyApi:
    def __init__(self, books: LiveBooks, answers: Answers) -> None:
        self._books = books
        self._answers = answers

    def routes(self) -> tuple[Route, ...]:
        table: tuple[tuple[str, str, View], ...] = (
            ("GET", "/orders/<order_id>/settlements", self.settlement),
            ("POST", "/settlements", self.settlements),
            ("POST", "/settlement/recon", self.settlement_recon),
            ("POST", "/recon", self.recon),
            ("GET", "/disputes/<int:dispute_id>", self.dispute),
            ("GET", "/orders/<order_id>/disputes", self.disputes_of_order),
            ("GET", "/payments/<payment_id>/disputes", self.disputes_of_payment),
            ("PUT", "/disputes/<int:dispute_id>/accept", self.accept),
            ("POST", "/disputes/<int:dispute_id>/documents", self.contest),
            ("POST", "/simulate", self.simulate),
            ("GET", "/simulate/<simulation_id>", self.simulation),
            ("POST", "/simulate/settlement", self.simulate_settlement),
            ("GET", "/simulate/settlement/<simulation_id>", self.simulation),
        )
        return tuple(
            Route(method, f"/pg{path}", self._answers.answering(view), _operation(method, path))
            for method, path, view in table
        )

    # Settlements and reports

    def settlement(self, order_id: str) -> Json:
        """Of an order whose money is not at the bank yet there is none."""
        entry = self._books.settlements.transferred(self._order(order_id))
        if entry is None or entry.settlement is None:
            raise not_found("settlement")
        return entry.settlement.of_order(entry)

    def settlements(self) -> Json:
        asked = checks.report(checks.body_of(request.get_data()))
        found = self._books.settlements.found(asked.ids, asked.utrs, asked.times)
        return _page([(int(number), one.entity()) for number, one in enumerate(found, 1)], asked)

    def settlement_recon(self) -> Json:
        """Events that are part of a transfer, by transfer or by its time."""
        asked = checks.report(checks.body_of(request.get_data()))
        found = self._books.settlements.found(asked.ids, asked.utrs, asked.times)
        entries = [
            entry
            for entry in self._books.settlements.entries
            if entry.settlement in found and entry.event_type != TRANSFER
        ]
        return _page([(entry.number, recon.row(entry, "payment_mode")) for entry in entries], asked)

    def recon(self) -> Json:
        """All events of the account between two moments, transferred or not."""
        asked = checks.report(checks.body_of(request.get_data()), by_time_only=True)
        entries = [e for e in self._books.settlements.entries if asked.times[0] <= e.at <= asked.times[1]]
        is_flat = self._books.settings.recon_rows == "flat"
        rows = [
            (entry.number, recon.flat_row(entry) if is_flat else recon.row(entry, "payment_group"))
            for entry in entries
        ]
        return _page(rows, asked)

    def _order(self, order_id: str) -> Order:
        order = self._books.order(order_id)
        if order is None:
            raise not_found("order")
        return order

    # Disputes

    def dispute(self, dispute_id: int) -> Json:
        return self._dispute(dispute_id).entity()

    def disputes_of_order(self, order_id: str) -> list[Json]:
        return [dispute.entity() for dispute in self._books.disputes.of(self._order(order_id))]

    def disputes_of_payment(self, payment_id: str) -> list[Json]:
        payment = self._books.payments.get(payment_id)
        if payment is None:
            raise not_found("payment")
        return [d.entity() for d in self._books.disputes.of(payment.order) if d.payment is payment]

    def accept(self, dispute_id: int) -> Json:
        dispute = self._open_dispute(dispute_id)
        self._books.disputes.go_on(dispute, "accepted")
        return dispute.entity()

    def contest(self, dispute_id: int) -> list[Json]:
        """A document, as a form with a file; the official SDK sends the file's field as a text."""
        dispute = self._open_dispute(dispute_id)
        file, kind = request.files.get("file"), request.form.get("doc_type")
        name = file.filename if file else request.form.get("file")
        if not name or not kind:
            missing = "doc_type" if name else "file"
            raise refusal(f"{missing} : is missing in the request", f"{missing}_missing")
        self._books.disputes.take_evidence(dispute, name, kind)
        return [dispute.entity()]

    def _dispute(self, dispute_id: int) -> Dispute:
        dispute = self._books.disputes.get(str(dispute_id))
        if dispute is None:
            raise not_found("dispute")
        return dispute

    def _open_dispute(self, dispute_id: int) -> Dispute:
        dispute = self._dispute(dispute_id)
        if not dispute.is_open:
            raise refusal(f"Dispute is {dispute.status} already", "dispute_closed")
        return dispute

    # The sandbox

    def simulate(self) -> Json:
        asked = checks.body_of(request.get_data())
        checks.only(asked, ("entity", "entity_id", "entity_simulation"))
        wanted = checks.part(asked, "entity_simulation", ("payment_status", "payment_error_code"))
        status = wanted.get("payment_status")
        if asked.get("entity") != "PAYMENTS" or status not in SIMULATED:
            raise refusal("entity_simulation : invalid value", "entity_simulation_invalid")
        payment = self._books.payments.get(str(asked.get("entity_id")))
        if payment is None:
            raise not_found("payment")
        if payment.status in ("SUCCESS", "CANCELLED"):
            raise refusal(f"Payment is {payment.status} already", "entity_simulation_invalid")
        if status == "SUCCESS":
            self._books.succeed(payment)
        elif status != "PENDING":
            self._books.fail(payment, declined_with(wanted.get("payment_error_code")) or DECLINED, status)
        return self._simulated("PAYMENTS", {"entity_id": payment.id, "entity_simulation": wanted})

    def simulate_settlement(self) -> Json:
        """The transfer of these orders' money, now; a pending one stays with the bank."""
        asked = checks.body_of(request.get_data())
        checks.only(asked, ("merchantOrderIds", "txnTime", "status", "errorReason"))
        ids, status = asked.get("merchantOrderIds"), asked.get("status")
        if not isinstance(ids, list) or not ids or status not in SIMULATED_SETTLEMENTS:
            raise refusal("merchantOrderIds or status : invalid value", "request_invalid")
        orders = [self._order(str(order_id)) for order_id in ids]
        books = self._books.settlements
        settlement = books.start(lambda entry: entry.payment.order in orders)
        if settlement is None:
            raise refusal("these orders have nothing to settle", "settlement_not_allowed")
        if status != "PENDING":
            books.finish(settlement.id, status, str(asked.get("errorReason") or BANK_REFUSED))
        told = {"settlement_ids": [int(settlement.id)], "simulation_status": status}
        return self._simulated("SETTLEMENTS", told)

    def _simulated(self, entity: str, told: Json) -> Json:
        simulation_id = f"sim_{self._books.new_number()}"
        self._books.simulations[simulation_id] = {"simulation_id": simulation_id, "entity": entity, **told}
        return self._books.simulations[simulation_id]

    def simulation(self, simulation_id: str) -> Json:
        if simulation_id not in self._books.simulations:
            raise not_found("simulation")
        return self._books.simulations[simulation_id]


def _operation(method: str, path: str) -> str | None:
    """What faults on "fetch" hit: all that only reads, also where it is a POST."""
    reads = method == "GET" or path in ("/settlements", "/settlement/recon", "/recon")
    return "fetch" if reads and not path.startswith("/simulate") else None


def _page(rows: Sequence[tuple[int, Any]], asked: checks.Report) -> Json:
    data, cursor = recon.page(list(rows), asked.limit, asked.cursor)
    return {"cursor": cursor, "limit": asked.limit, "data": data}
