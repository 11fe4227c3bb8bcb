"""Events stay below the 20 kB of Standard Webhooks: metadata is capped in bytes where it comes in."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from payments_service.api import schemas
from payments_service.domain import decide
from payments_service.domain.money import Money
from payments_service.domain.news import LONGEST_ID, DisputeSnapshot
from payments_service.domain.payment import Actor
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.store.tables import Event
from tests.api.merchant_shop import CUSTOMER, MerchantShop, told
from tests.api.merchant_shop import shop as shop
from tests.support.deciding import deciding

CREATE, QUOTE = "/api/payment/create-order", "/api/quote"
ORDER = {"amount": 499, "gateway": "fake", "customer": CUSTOMER}
WISH = {"amount": 499, "reference": "ORDER-1001"}
DOORS = [(CREATE, ORDER), (QUOTE, WISH)]
MOST_BYTES = 20_000
CAP = schemas.MAX_METADATA_BYTES
CONTROL = "\x01"
"""JSON writes it as six bytes, UTF-8 as one."""
LETTERS = ["a", "é", "आ", "🙏", '"', "\\", CONTROL, "\x7f"]


def size(pairs: dict[str, str]) -> int:
    """As JavaScript's JSON.stringify has it."""
    return len(json.dumps(pairs, ensure_ascii=False, separators=(",", ":")).encode())


def filled(letter: str, most: int = CAP) -> dict[str, str]:
    """Fifteen pairs of this letter, as near to so many bytes as letters of an "a" bring them."""
    pairs = {f"{number:02}{letter * 20}": "" for number in range(15)}
    for name in pairs:
        while len(pairs[name]) < 500 and size({**pairs, name: pairs[name] + letter}) <= most:
            pairs[name] += letter
    for name in pairs:
        while len(pairs[name]) < 500 and size(pairs) < most:
            pairs[name] += "a"
    return pairs


@pytest.mark.parametrize("letter", LETTERS, ids=ascii)
@pytest.mark.parametrize(("path", "good"), DOORS, ids=["create-order", "quote"])
def test_metadata_is_taken_up_to_its_bytes_and_refused_by_name_beyond(
    shop: MerchantShop, path: str, good: dict[str, Any], letter: str
) -> None:
    full = filled(letter)
    if size(full) < CAP:  # fifteen pairs of 500 letters of one byte
        assert letter in ("a", "\x7f")
    assert shop.post(path, {**good, "metadata": full}).status_code == 200
    if size(full) == CAP:
        name = next(name for name, value in full.items() if len(value) < 500)
        answer = shop.post(path, {**good, "metadata": {**full, name: full[name] + "a"}})
        assert told(answer) == (400, "validation_error")
        message = f"At most {CAP} bytes in all, as JSON in UTF-8"
        assert answer.json["details"] == {"metadata": [message]}
        assert answer.json["error"] == f"metadata: {message}"


@pytest.mark.parametrize("letter", ["आ", "🙏", '"', CONTROL], ids=ascii)
@pytest.mark.parametrize(("path", "good"), DOORS, ids=["create-order", "quote"])
def test_the_most_letters_of_more_than_a_byte_are_refused(
    shop: MerchantShop, path: str, good: dict[str, Any], letter: str
) -> None:
    most = {f"{number:02}{letter * 62}": letter * 500 for number in range(15)}
    answer = shop.post(path, {**good, "metadata": most})
    assert (*told(answer), list(answer.json["details"])) == (400, "validation_error", ["metadata"])


def test_the_most_plain_letters_that_the_pairs_may_have_are_taken() -> None:
    most = {f"{n:02}{'k' * 62}": "v" * 500 for n in range(15)}
    assert schemas.quote_order({**WISH, "metadata": most}, schemas.NO_LIMITS)["metadata"] == most


# ── the largest events ──────────────────────────────────────────────────────────────────────────────

LONG = "🙏"
"""Four bytes: of what a gateway may print, the most."""


def longest(name: str) -> str:
    return name + LONG * (LONGEST_ID - len(name))


def largest(shop: MerchantShop) -> str:
    """The id of a payment whose members are all as long as create-order takes them."""
    metadata = filled(CONTROL)
    assert size(metadata) == CAP
    more = {"reference": CONTROL * 64, "userId": CONTROL * 64, "description": CONTROL * 255}
    return shop.buy(metadata=metadata, **more)


def sizes(shop: MerchantShop) -> dict[str, int]:
    """The largest body of each type of event, as it is sent."""
    found: dict[str, int] = {}
    with shop.db.read() as session:
        for event in session.scalars(select(Event)):
            found[event.type] = max(len(event.body), found.get(event.type, 0))
    return found


def pay(shop: MerchantShop, payment_id: str, *transaction_ids: str, status: AttemptStatus) -> None:
    attempts = (shop.gateway.attempt(one, status, Money(49900)) for one in transaction_ids)
    late = datetime.now(UTC) + timedelta(days=5)
    shop.gateway.attempts = tuple(replace(one, method=longest("upi"), capture_by=late) for one in attempts)
    is_held = status is AttemptStatus.AUTHORIZED
    shop.gateway.status = PaymentStatus.AUTHORIZED if is_held else PaymentStatus.COMPLETED
    shop.look(payment_id)


def test_the_largest_events_of_a_payment_its_refund_and_its_dispute_stay_below_20_kb(
    shop: MerchantShop,
) -> None:
    payment_id = largest(shop)
    shop.gateway.captures_automatically = False
    pay(shop, payment_id, longest("pay_1"), status=AttemptStatus.AUTHORIZED)
    pay(shop, payment_id, longest("pay_1"), status=AttemptStatus.SUCCEEDED)
    shop.gateway.tells_refund = lambda made: replace(
        made, gateway_refund_id=longest("rfnd_1"), bank_reference=longest("ARN")
    )
    refunds = f"/api/payment/{payment_id}/refunds"
    assert shop.post(refunds, {}, Idempotency_Key="refund-of-order-1001").status_code == 201
    for is_closed in (False, True):
        dispute = DisputeSnapshot(
            longest("disp_1"),
            longest("pay_1"),
            longest("won" if is_closed else "open"),
            Money(49900),
            is_closed,
            is_lost=False,
            needs_answer=not is_closed,
            observed_at=datetime.now(UTC),
            deducted=Money(49900),
            phase=longest("chargeback"),
            reason=longest("goods"),
            respond_by=datetime.now(UTC),
        )
        with deciding(shop.db, UUID(payment_id)) as known:
            decide.apply_dispute(known, dispute, Actor("webhook", "event_1"))
    found = sizes(shop)
    expected = {"payment.authorized", "payment.completed"}
    expected |= {"refund.completed", "dispute.opened", "dispute.closed"}
    assert found.keys() == expected
    assert min(found.values()) > CAP
    assert max(found.values()) < MOST_BYTES, found


def test_the_largest_event_for_a_person_with_a_hundred_payments_stays_below_20_kb(shop: MerchantShop) -> None:
    payment_id = largest(shop)
    many = [f"pay_{number:032}" for number in range(100)]
    pay(shop, payment_id, *many, status=AttemptStatus.SUCCEEDED)
    found = sizes(shop)
    assert found.keys() == {"payment.completed", "payment.review"}
    assert CAP < max(found.values()) < MOST_BYTES, found
