"""Many payments at once: a page of a list, what a search finds, an export piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from payments_service.domain.money import Money
from payments_service.store import payment_pages, search
from payments_service.store.db import Database
from payments_service.store.payment_pages import Filters, Place
from payments_service.store.tables import Payment

__all__ = ["Filters", "ListedPayment", "Page", "Place", "export", "find", "page"]

CHUNK = 500
"""Rows of an export that one transaction reads: none is open for as long as a slow reader takes."""


@dataclass(frozen=True)
class ListedPayment:
    """A payment as it stands in a list."""

    row: Payment
    amount_refunded: Money

    @property
    def place(self) -> Place:
        return self.row.created_at, self.row.id

    @property
    def amount(self) -> Money:
        return self.row.money

    @property
    def reference(self) -> str | None:
        """The merchant's order number where the merchant vouches for it."""
        return self.row.reference if self.row.price_verified else None

    @property
    def label(self) -> str | None:
        """What a browser called it."""
        return None if self.row.price_verified else self.row.reference


@dataclass(frozen=True)
class Page:
    payments: Sequence[ListedPayment]
    has_more: bool
    """In the direction in which the caller reads."""


def page(
    db: Database, filters: Filters, limit: int, *, after: Place | None = None, before: Place | None = None
) -> Page:
    """One page of the list, newest first."""
    with db.read() as session:
        found = payment_pages.page(session, filters, limit + 1, after=after, before=before)
        has_more = len(found) > limit
        kept = found[-limit:] if before is not None else found[:limit]
        return Page(_listed(session, kept), has_more)


def find(
    db: Database,
    text: str,
    limit: int,
    *,
    people: bool,
    phone: str | None = None,
    includes_labels: bool,
) -> Page:
    """What begins with this text: ids, references, and with `people` e-mails, names and phones.

    `phone` is the text as digits, where it is a phone as people write it.
    """
    with db.read() as session:
        found = search.beginning_with(
            session, text, limit + 1, people=people, phone=phone or text, includes_labels=includes_labels
        )
        return Page(_listed(session, found[:limit]), len(found) > limit)


def export(db: Database, filters: Filters) -> Iterator[Sequence[ListedPayment]]:
    """All that the filters choose, newest first, in pieces; what is made meanwhile is not in it."""
    after = None
    while True:
        with db.read() as session:
            piece = _listed(session, payment_pages.page(session, filters, CHUNK, after=after))
        if piece:
            yield piece
        if len(piece) < CHUNK:
            return
        after = piece[-1].place


def _listed(session: Session, rows: Sequence[Payment]) -> list[ListedPayment]:
    refunded = payment_pages.amounts_refunded(session, rows)
    return [ListedPayment(row, Money(refunded.get(row.id, 0), row.currency)) for row in rows]
