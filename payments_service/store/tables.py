"""The tables. Money is whole paise in BIGINT columns; times are UTC; keys are time-ordered UUIDs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid6 import uuid7

from payments_service.domain.clock import utc_now
from payments_service.domain.money import Money
from payments_service.store.db import UtcDateTime


def _by_beginning(table: str, column: str) -> Index:
    """An index that finds a text by its beginning, also where the database sorts by a locale."""
    return Index(f"ix_{table}_{column}", column, postgresql_ops={column: "text_pattern_ops"})


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own name)
        datetime: UtcDateTime,
        str: Text,
        UUID: Uuid,
        dict[str, Any]: JSON,
    }


class Payment(Base):
    """What one payer owes us once. Everything else hangs on it; its row is the lock."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_is_positive"),
        Index(None, "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        Index(None, "user_id", "created_at", "id"),
        Index(None, "gateway", "created_at", "id"),
        Index(None, "mode", "created_at", "id"),
        Index(
            "ix_payments_flagged",
            "created_at",
            "id",
            sqlite_where=text("review IS NOT NULL"),
            postgresql_where=text("review IS NOT NULL"),
        ),
        *(_by_beginning("payments", name) for name in ("order_id", "transaction_id", "reference")),
        _by_beginning("payments", "customer_phone"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    gateway: Mapped[str]
    provider: Mapped[str]
    mode: Mapped[str]
    order_id: Mapped[str | None]
    """The current order as the browser knows it."""
    transaction_id: Mapped[str | None]
    """The attempt that paid; the API's paymentId."""
    user_id: Mapped[str | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    status: Mapped[str]
    gateway_status: Mapped[str | None]
    payment_method: Mapped[str | None]
    customer_name: Mapped[str]
    customer_email: Mapped[str]
    customer_phone: Mapped[str]
    description: Mapped[str | None]
    reference: Mapped[str | None]
    """The merchant's order number; a label only, unless the merchant's server vouches for it."""
    price_verified: Mapped[bool] = mapped_column(default=False)
    """Amount and reference come from the merchant's own server, by API key or quote."""
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    return_url: Mapped[str]
    webhook_data: Mapped[dict[str, Any] | None]
    """The last applied event, without personal data."""
    review: Mapped[str | None]
    """Reason of its oldest open review (`payment_reviews`); while set and not completed, it is not paid."""
    expires_at: Mapped[datetime]
    observed_at: Mapped[datetime | None]
    """When the newest applied news was true."""
    asked_at: Mapped[datetime | None]
    """When a status page last made us ask the gateway."""
    completed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    """When the merchant stopped it: money that comes later is flagged, and no machine captures it."""
    next_check_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the worker asks the gateway next; while it does, when its lease ends. None: never again."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
    """When the payment last changed in the eyes of its merchant; asking alone does not count."""
    history_count: Mapped[int] = mapped_column(default=0, server_default="0")
    """Rows of its history; the last one's number."""
    history_unchained: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many of them bear no seal: written before there was one, or by an older version."""
    history_head: Mapped[str | None]
    """The seal of the last row that has one (`store/chain.py`)."""

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class PaymentReference(Base):
    """A merchant's order number that the merchant vouches for: paid once, by any number of payments."""

    __tablename__ = "payment_references"

    reference: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))
    """The payment that is open for it, the newest."""
    paid_by: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class IdempotencyKey(Base):
    """One request of a caller, however often it is sent."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("endpoint", "owner", "key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    endpoint: Mapped[str]
    owner: Mapped[str]
    """Name of the API key, for browsers a digest of the buyer: the answer to a key is its owner's alone."""
    key: Mapped[str]
    fingerprint: Mapped[str]
    """SHA-256 of the body, so that a key is not used for another request."""
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))
    generation: Mapped[int] = mapped_column(default=1)
    leased_until: Mapped[datetime]
    """Until then the first request may still be running; past it, the next with this key takes over."""
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The body of the 200, once there was one."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class PaymentOrder(Base):
    """One order at a gateway, by our wire id. A payment has several when one was lost."""

    __tablename__ = "payment_orders"
    __table_args__ = (
        UniqueConstraint("provider", "gateway_order_id"),
        _by_beginning("payment_orders", "wire_id"),
        _by_beginning("payment_orders", "gateway_order_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    provider: Mapped[str]
    wire_id: Mapped[str] = mapped_column(unique=True)
    gateway_order_id: Mapped[str | None]
    status: Mapped[str]
    """Of `OrderStatus`: creating · unknown · open · refused · lost."""
    generation: Mapped[int] = mapped_column(default=1)
    """Who answers for the call: a request that takes it over raises this, and no older answer is written."""
    leased_until: Mapped[datetime]
    checkout: Mapped[dict[str, Any] | None]
    """The answer to create-order beyond the common members."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class PaymentAttempt(Base):
    """One try of the payer on an order."""

    __tablename__ = "payment_attempts"
    __table_args__ = (
        UniqueConstraint("provider", "transaction_id"),
        _by_beginning("payment_attempts", "transaction_id"),
        _by_beginning("payment_attempts", "bank_reference"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("payment_orders.id"), index=True)
    provider: Mapped[str]
    transaction_id: Mapped[str]
    status: Mapped[str]
    gateway_status: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    method: Mapped[str | None]
    error_code: Mapped[str | None]
    bank_reference: Mapped[str | None]
    """The bank's own number: UPI's RRN or UTR, a card's RRN."""
    capture_by: Mapped[datetime | None]
    """When money that is held goes back unless it is captured."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class PaymentWebhook(Base):
    """The inbox: every authenticated webhook, raw, before it was answered.

    `processed` is there as well until the next release's migration drops it: only the version before reads
    or writes it (`migrations.LEAVING`).
    """

    __tablename__ = "payment_webhooks"
    __table_args__ = (
        UniqueConstraint("gateway", "event_id"),
        Index(None, "provider", "order_id"),
        Index(
            "ix_payment_webhooks_due",
            "provider",
            "next_try_at",
            sqlite_where=text("next_try_at IS NOT NULL"),
            postgresql_where=text("next_try_at IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    gateway: Mapped[str]
    provider: Mapped[str]
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"), index=True)
    order_id: Mapped[str | None]
    """The order that the event names, in the gateway's words (its id, else our wire id)."""
    transaction_id: Mapped[str | None]
    """The gateway's payment id, of an event that does not name our id of the order."""
    webhook_type: Mapped[str]
    event_id: Mapped[str]
    headers: Mapped[dict[str, Any]]
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    outcome: Mapped[str]
    """Of `InboxOutcome`: received · waiting · unmatched · failed, and what is done with: applied · stored ·
    ignored · unknown · unreadable · unconfirmed."""
    attempts: Mapped[int] = mapped_column(default=1)
    next_try_at: Mapped[datetime | None]
    """When the worker tries again. None for what is done with, and what has nothing to be asked."""
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class PaymentEvent(Base):
    """The history: one row per change, never changed (triggers see to it), no personal data."""

    __tablename__ = "payment_events"
    __table_args__ = (UniqueConstraint("payment_id", "sequence"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    sequence: Mapped[int]
    kind: Mapped[str]
    """Of `EntryKind`: status · attempt · refund · dispute · review · note."""
    from_status: Mapped[str | None]
    to_status: Mapped[str | None]
    source: Mapped[str]
    """Of `Source`."""
    actor: Mapped[str]
    """The gateway's event id or the request id that caused it."""
    reason: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    mac: Mapped[str | None]
    """HMAC-SHA256 over this row and the seal before it."""
    mac_key: Mapped[str | None]
    """Which key it was made with."""


class PaymentReview(Base):
    """A question for a person about one payment. The same evidence is asked about once, ever."""

    __tablename__ = "payment_reviews"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    reason: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    """Ids and amounts that stay the same while the question does: no times, no status words."""
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
    """accepted · dismissed · answered."""


class Refund(Base):
    """Money on its way back, begun by us or at the gateway."""

    __tablename__ = "refunds"
    __table_args__ = (
        UniqueConstraint("provider", "gateway_refund_id"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        Index("uq_refunds_payment_id_idempotency_key", "payment_id", "idempotency_key", unique=True),
        *(_by_beginning("refunds", name) for name in ("refund_id", "gateway_refund_id", "bank_reference")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("payment_attempts.id"))
    provider: Mapped[str]
    refund_id: Mapped[str | None] = mapped_column(unique=True)
    """Our wire id; none for a refund that began in the gateway's dashboard."""
    reason: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    """The caller's, kept for ever: with the payment it names one refund."""
    fingerprint: Mapped[str | None]
    """SHA-256 of what was asked for under that key."""
    speed: Mapped[str | None]
    """normal or optimum, as it was asked for."""
    awaits_first_send: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The request that asked for it did not reach its call: only that request, repeated, may make it."""
    generation: Mapped[int] = mapped_column(default=1)
    next_check_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the worker asks for it next; until then the request that sends or asks has it alone."""
    gateway_refund_id: Mapped[str | None]
    bank_reference: Mapped[str | None]
    """ARN, RRN or UTR, once the gateway has told it."""
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    gateway_status: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
    """When its status changed last: a question or a lease is no change."""


class Event(Base):
    """A fact that is told, once for ever, whether or not a destination was configured when it came to be."""

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "type", "position"),
        Index(
            "ix_events_unnumbered",
            "created_at",
            sqlite_where=text("position IS NULL"),
            postgresql_where=text("position IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    event_id: Mapped[str] = mapped_column(unique=True)
    fact: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    payment_id: Mapped[UUID | None] = mapped_column(index=True)
    sequence: Mapped[int | None]
    """Its number among the payment's own changes."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    """Its place in the stream, given after the commit, under one lock: None until then."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Outbox(Base):
    """A delivery: one row per fact and destination, written with the change that it tells of."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("fact", "destination"), Index(None, "state", "next_try_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    event_id: Mapped[str] = mapped_column(index=True)
    """The same on every try and at every destination."""
    fact: Mapped[str]
    """What must be told once only, such as `payment.completed:<payment id>`."""
    type: Mapped[str]
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"), index=True)
    destination: Mapped[str]
    """merchant (a signed POST) · customer, operator (an e-mail)."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """The JSON as it is sent and signed."""
    state: Mapped[str] = mapped_column(default="pending")
    """pending · delivered · dead."""
    attempts: Mapped[int] = mapped_column(default=0)
    generation: Mapped[int] = mapped_column(default=1)
    next_try_at: Mapped[datetime] = mapped_column(default=utc_now)
    """While it is being sent, when the lease of the sender ends."""
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    delivered_at: Mapped[datetime | None]


class Alert(Base):
    """What a person should look at beside single payments; the same trouble is told once while open."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "uq_alerts_open",
            "code",
            "subject",
            unique=True,
            sqlite_where=text("cleared_at IS NULL"),
            postgresql_where=text("cleared_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    code: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    cleared_at: Mapped[datetime | None]


class Heartbeat(Base):
    """When something of this name last happened; what all processes must know of each other."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
