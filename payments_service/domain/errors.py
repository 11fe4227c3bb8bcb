"""The exceptions of the house, told apart by what the caller must do next.

Every one knows its `code` (for programs) and its HTTP status. Those of a gateway also answer the
question that matters: did money move?
"""


class PaymentsError(Exception):
    """Base of all. `str(error)` is a sentence that may be shown to every caller."""

    code = "internal_error"
    http_status = 500

    def __init__(self, message: str, *, code: str | None = None, **extra: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.extra = extra
        """Further members of the JSON answer, camelCase."""


class InvalidInput(PaymentsError):
    """The caller's words are off. `details` by field."""

    code = "validation_error"
    http_status = 400

    def __init__(
        self, message: str, *, code: str | None = None, details: dict[str, list[str]] | None = None
    ) -> None:
        super().__init__(message, code=code, **({"details": details} if details else {}))


class Unauthorized(PaymentsError):
    code = "unauthorized"
    http_status = 401


class Forbidden(PaymentsError):
    """Not from here, or not with these rights."""

    code = "forbidden"
    http_status = 403


class NotFound(PaymentsError):
    code = "not_found"
    http_status = 404


class Conflict(PaymentsError):
    code = "conflict"
    http_status = 409


class TooMany(PaymentsError):
    """This caller's budget is used up; nothing was done."""

    code = "rate_limited"
    http_status = 429

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message, retryable=True)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(PaymentsError):
    """The database did not take it, as far as is known. Nothing was promised; repeat with the same key."""

    code = "store_unavailable"
    http_status = 503


class Outdated(StoreUnavailable):
    """Another process wrote one of these rows first: load again, decide again."""


class NotMigrated(StoreUnavailable):
    """The database has not the tables of this version; `str(error)` says what to do."""

    code = "not_migrated"


class OldTables(NotMigrated):
    """There are no tables, or those of an older version: nothing can be done until they are upgraded."""


class WrongEncoding(NotMigrated):
    """The database cannot keep every name. It is no use waiting: another database must be made."""


class MissingCredentials(PaymentsError):
    """A webhook that shows no credentials."""

    code = "signature_missing"
    http_status = 400


class SignatureInvalid(PaymentsError):
    """Credentials or a signature that are wrong. Believe nothing of what came with them."""

    code = "signature_invalid"
    http_status = 401


class GatewayError(PaymentsError):
    """The gateway did not do what it was asked to. `retryable`: a further try may succeed."""

    code = "gateway_error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        gateway_code: str | None = None,
        gateway_status: int | None = None,
        retry_after_seconds: int | None = None,
        existing_order_id: str | None = None,
        refuses_credentials: bool = False,
    ) -> None:
        super().__init__(message)
        self.gateway_code = gateway_code
        self.gateway_status = gateway_status
        self.retry_after_seconds = retry_after_seconds
        self.existing_order_id = existing_order_id
        """The order that the gateway says is in the way of a new one, where it says so."""
        self.refuses_credentials = refuses_credentials
        """Whether the gateway says by a word of its own, not by 401, that ours are wrong."""


class Rejected(GatewayError):
    """The gateway understood and said no. No money moved; the same words get the same answer."""

    code = "gateway_rejected"


class UnknownAtGateway(Rejected):
    """The gateway says it knows no such thing. Right after a timeout that is still unknown."""

    code = "unknown_at_gateway"


class Unavailable(GatewayError):
    """The request was not carried out: not connected, or turned away. No money moved."""

    code = "gateway_unavailable"
    retryable = True


class MoneyUnreadable(Unavailable):
    """The gateway answered, and what says that money may have come cannot be read: no clock ends a payment
    on that, and a person looks."""


class BudgetUsedUp(Unavailable):
    """We ask no more for now, by our own limit; it says nothing of how the gateway does."""


class CircuitOpen(Unavailable):
    """The gateway failed too often in a row, so nothing is sent to it for `retry_after_seconds`."""

    code = "gateway_circuit_open"
    http_status = 503


class OutcomeUnknown(GatewayError):
    """The request may have been carried out: perhaps money moved. Resolved by asking, never by resending."""

    code = "outcome_unknown"
    retryable = True
