"""Disputes and settlements: what the banks do afterwards.

Sources: Razorpay docs api/disputes (accept, contest), api/settlements (fetch-recon), api/payments/downtime.
"""

from typing import Any

from flask import request

from gateway_simulator.base import Json
from gateway_simulator.razorpay import checks
from gateway_simulator.razorpay.asking import Row, asked, found, listed
from gateway_simulator.razorpay.disputes import DOCUMENTS, Dispute
from gateway_simulator.razorpay.lists import number, page
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.recon import recon
from gateway_simulator.razorpay.records import collection
from gateway_simulator.razorpay.refusals import list_refusal, refusal

MAX_SUMMARY_CHARACTERS = 1000
# Assumed, as no source records how the API refuses a dispute that is over.
NOT_OPEN = "Action not allowed for dispute in current state"


class BankApi:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def table(self) -> tuple[Row, ...]:
        return (
            ("GET", "/disputes", self.list_disputes, "fetch"),
            ("GET", "/disputes/<dispute_id>", self.fetch_dispute, "fetch"),
            ("POST", "/disputes/<dispute_id>/accept", self.accept, None),
            ("PATCH", "/disputes/<dispute_id>/contest", self.contest, None),
            ("GET", "/settlements", self.list_settlements, "fetch"),
            ("GET", "/settlements/recon/combined", self.recon, "fetch"),
            ("GET", "/settlements/<settlement_id>", self.fetch_settlement, "fetch"),
            ("GET", "/payments/downtimes", self.list_downtimes, "fetch"),
            ("GET", "/payments/downtimes/<downtime_id>", self.fetch_downtime, "fetch"),
        )

    # Disputes

    def list_disputes(self) -> Json:
        return listed(self._books.disputes.all.values())

    def fetch_dispute(self, dispute_id: str) -> Json:
        return found(self._books.disputes.all, dispute_id).entity()

    def accept(self, dispute_id: str) -> Json:
        """The merchant gives in: lost, for the whole amount."""
        dispute = self._open(dispute_id)
        checks.only(asked(), ())
        self._books.disputes.go_on(dispute, "lost")
        return dispute.entity()

    def contest(self, dispute_id: str) -> Json:
        """A draft can be added to; what was submitted is under review."""
        dispute, data = self._open(dispute_id), asked()
        checks.only(data, ("amount", "summary", *DOCUMENTS, "action"))
        action = data.pop("action", "draft")
        if action not in ("draft", "submit"):
            raise refusal("The selected action is invalid.", field="action")
        self._books.disputes.contest(dispute, _evidence(dispute, data), submit=action == "submit")
        return dispute.entity()

    def _open(self, dispute_id: str) -> Dispute:
        dispute = found(self._books.disputes.all, dispute_id)
        if dispute.status != "open":
            raise refusal(NOT_OPEN)
        return dispute

    # Settlements and downtimes

    def list_settlements(self) -> Json:
        return listed(self._books.settlements.all.values())

    def fetch_settlement(self, settlement_id: str) -> Json:
        return found(self._books.settlements.all, settlement_id).entity()

    def recon(self) -> Json:
        parameters = request.args
        asked_page = page(parameters)
        month = number(parameters, "month")
        if not 1 <= month <= 12:
            raise list_refusal("month", "The month must be between 1 and 12.")
        day = number(parameters, "day") if "day" in parameters else None
        rows = recon(self._books, number(parameters, "year"), month, day)
        return collection(rows[asked_page.skip : asked_page.skip + asked_page.count])

    def list_downtimes(self) -> Json:
        return listed(self._books.downtimes.all.values())

    def fetch_downtime(self, downtime_id: str) -> Json:
        return found(self._books.downtimes.all, downtime_id).entity()


def _evidence(dispute: Dispute, data: Json) -> Json:
    if "amount" in data:
        data["amount"] = checks.amount(data)
        if data["amount"] > dispute.amount:
            raise refusal("The amount may not be greater than the dispute's.", field="amount")
    summary = data.get("summary")
    if summary is not None and (not isinstance(summary, str) or len(summary) > MAX_SUMMARY_CHARACTERS):
        raise refusal("The summary may not be greater than 1000 characters.", field="summary")
    for field in DOCUMENTS:
        if field in data and not _is_evidence(field, data[field]):
            raise refusal(f"The {field} must be an array.", field=field)
    return data


def _is_evidence(field: str, value: Any) -> bool:
    """Ids of documents; `others` are objects with a type and the ids."""
    kind = dict if field == "others" else str
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)
