"""Every `code` of an error: its sentence, what it means, what to do. /docs/errors shows them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    sentence: str
    """An example of `error`; the real one may name more."""
    about: str
    """What it means for the caller, and what to do."""
    retry_after: bool = False
    """The answer tells by `Retry-After` when another try makes sense."""


CODES: Mapping[str, Code] = {
    # ── what was asked for ──
    "validation_error": Code(
        "Minimum amount is ₹1",
        "Something in the request is missing or wrong. `details` names every such member with its "
        "sentences; `error` is the first of them. Show the sentences at the fields, and send the request "
        "again once they are mended.",
    ),
    "unknown_field": Code(
        "Unknown field refrence; the nearest known one is reference",
        "A request with an API key has a member that this service does not know. It is refused, because a "
        "misspelt `reference` would let an order be paid twice. `details` names the nearest known member.",
    ),
    "missing_fields": Code(
        "Missing required fields: orderId, paymentId, signature",
        "verify-payment lacks fields that this gateway needs. `details` names them.",
    ),
    "invalid_json": Code(
        "The body is not valid JSON",
        "The body cannot be read as JSON, or is no JSON object. Look at what your program really sends.",
    ),
    "invalid_address": Code(
        "The address is not valid UTF-8",
        "The path or query of the address holds bytes that are no UTF-8. Encode ids with your language's "
        "URL function.",
    ),
    "bad_request": Code(
        "The browser (or proxy) sent a request that this server could not understand.",
        "The request breaks a rule of HTTP, so that nothing of it was read.",
    ),
    "body_too_large": Code(
        "The body is larger than 64 KiB",
        "The body is longer than this route takes: 64 KiB, for webhooks 1 MiB. Nothing of it was kept.",
    ),
    "not_found": Code(
        "Payment not found",
        "There is no such address here, or no such payment. An id of one gateway is not found under another.",
    ),
    "method_not_allowed": Code(
        "Method Not Allowed",
        "The address exists, and takes another method: `Allow` names those that it takes.",
    ),
    # ── who asks ──
    "unauthorized": Code(
        "A valid API key is required",
        "The Authorization header has no valid API key: `Authorization: Bearer psk_…`. The answer is the "
        "same whether or not what was asked for exists. Keys are made by `flask --app wsgi api-key NAME`.",
    ),
    "scope_missing": Code(
        "This API key lacks the scope write",
        "The key is valid, and is not made for this. Make one with the scope that the sentence names.",
    ),
    "quote_required": Code(
        "This shop fixes its prices: a quote is required",
        "REQUIRE_QUOTE is true here, and a browser named an amount itself. Let your server make a quote by "
        "POST /api/quote, and send it as `quote` instead of `amount`.",
    ),
    "quote_expired": Code(
        "The quote has expired; ask the shop for a new one",
        "The time of this quote is over. Let your server make a new one; an order that was opened before "
        "stays open.",
    ),
    "quote_invalid": Code(
        "The quote is not one of this service",
        "The quote was changed on its way, is of the other mode (test or live), or was signed with a "
        "SECRET_KEY that is no longer in the list. Let your server make a new one.",
    ),
    "address_not_allowed": Code(
        "Webhooks are not taken from this address",
        "WEBHOOK_ALLOWED_IPS is set, and this webhook came from elsewhere. Was the gateway's address added "
        "to the list?",
    ),
    "rate_limited": Code(
        "Too many requests; try again later",
        "This address, or this phone, made more requests than ORDER_LIMITS takes. Nothing was done. Wait "
        "for the seconds of `Retry-After`; the RateLimit fields tell what is left.",
        retry_after=True,
    ),
    # ── an order ──
    "reference_paid": Code(
        "This reference is paid",
        "Your order number is paid, by the payment that `id` names. Deliver; open no further order for it.",
    ),
    "reference_open": Code(
        "This reference is open with ₹500",
        "An order is open for this reference with another amount, is being paid, is under review, or was "
        "begun at another gateway at the same moment; `id` names it. Wait until it has ended, or use another "
        "reference.",
    ),
    "order_paid": Code(
        "This order is paid",
        "The order that this Idempotency-Key opened is paid, so that its payment page is of no use any more.",
    ),
    "order_expired": Code(
        "This order can no longer be paid",
        "The order that this Idempotency-Key opened has ended. Use a new key for a new order.",
    ),
    "payment_review": Code(
        "Payment is under review",
        "What the gateway tells of this payment does not agree with what was ordered, and a person must "
        "look at it. Nothing more is to be paid. `flask --app wsgi reviews` lists what is open.",
    ),
    "request_in_progress": Code(
        "A request with this Idempotency-Key is still running",
        "The first request with this key, or for this reference, has not ended. Send the same request again "
        "after `Retry-After`: it gets the first one's answer.",
        retry_after=True,
    ),
    "idempotency_key_reused": Code(
        "This Idempotency-Key was used for another request",
        "The key belongs to a request with another body. Use a new key for each new intention, and the same "
        "key only for the same body.",
    ),
    "outcome_unknown": Code(
        "The outcome of the first try is not known yet",
        "The gateway may or may not have done it. Send the same request again with the same key or "
        "reference: the service asks the gateway before it makes anything, so nothing happens twice. `id` "
        "names the payment.",
        retry_after=True,
    ),
    # ── a payment ──
    "payment_pending": Code(
        "Payment is not completed yet",
        "Not paid as far as is known; also when the gateway could not be asked. Ask again after "
        "`Retry-After`, or wait for the event.",
        retry_after=True,
    ),
    "payment_failed": Code(
        "Payment verification failed",
        "The gateway, asked just now, says that the order can no longer be paid. `paymentStatus` is failed "
        "or expired. Money may still come late: then the event payment.completed follows.",
    ),
    "not_refundable": Code(
        "Only a completed payment can be refunded",
        "Nothing was captured that could go back, or the gateway cannot be told which payment of the order "
        "to refund. Where money was captured for a payment that is not completed, `error` asks for its "
        "`paymentId`.",
    ),
    "refund_in_progress": Code(
        "Another refund of this payment is under way",
        "This gateway takes one refund of a payment at a time, or one that was sent has no answer yet. Wait "
        "until it has ended.",
        retry_after=True,
    ),
    "refund_exceeds_captured": Code(
        "Only ₹100 can still be refunded",
        "Together with what went back before, this is more than was captured. `refundablePaise` says what "
        "is left.",
    ),
    "disputed": Code(
        "A dispute of this payment is open, was lost or took a part of the money",
        "The payer's bank asks for the money as well, or gave it back: a refund now could pay twice. Answer "
        "the dispute, or send `force: true`.",
    ),
    "refund_failed": Code(
        "This refund failed and nothing was sent back; to try again, use a new Idempotency-Key",
        "The refund under this key is final, and nothing was sent back. `refund` tells it as it stands. Use "
        "a new key.",
    ),
    "being_paid": Code(
        "This payment is being paid",
        "Money is held for it, or its order is being made, so that it cannot be closed now.",
        retry_after=True,
    ),
    "payment_closed": Code(
        "This payment was closed", "The merchant closed it: money that came later is for a person to look at."
    ),
    "not_capturable": Code(
        "Only money that is held can be captured",
        "Nothing is held for this payment that the merchant could take.",
    ),
    "not_voidable": Code(
        "Only money that is held can be let go",
        "Nothing is held for this payment, or its gateway lets it go by itself.",
    ),
    # ── events ──
    "no_destination": Code(
        "No webhook of the merchant is configured",
        "MERCHANT_WEBHOOK_URL is not set, so that there is no server to tell. The events can be read all "
        "the same.",
    ),
    "invalid_cursor": Code(
        "Must be a cursor of an earlier answer",
        "`after` is none that this service gave out. Begin without one, or with the last that you stored.",
    ),
    # ── webhooks ──
    "signature_missing": Code(
        "The signature is missing",
        "The webhook shows no credentials. Is it really the gateway's, and does a proxy keep its headers?",
    ),
    "signature_invalid": Code(
        "The signature is wrong",
        "The signature, or the credentials, are not right: a webhook's, or those that a browser brought "
        "back from a gateway. Nothing of what came with them is believed. Is the secret of the same mode, "
        "and the newest one?",
    ),
    "gateway_off": Code(
        "This gateway is switched off",
        "No credentials of this gateway are set, so its webhooks are not taken.",
    ),
    # ── a gateway ──
    "gateway_error": Code(
        "Failed to create order",
        "The gateway's answer cannot be used. `retryable` says whether another try makes sense.",
    ),
    "gateway_rejected": Code(
        "Failed to create order",
        "The gateway said no; no money moved. The same request gets the same answer: `flask --app wsgi show "
        "ID` says why.",
    ),
    "unknown_at_gateway": Code("Failed to create order", "The gateway says that it knows no such thing."),
    "gateway_unavailable": Code(
        "Failed to create order",
        "The gateway was not reached, or turned the request away; no money moved. Try again after "
        "`Retry-After`, or offer another gateway.",
        retry_after=True,
    ),
    "gateway_circuit_open": Code(
        "Failed to create order",
        "The gateway failed too often in a row, so nothing is sent to it for a while. Try again after "
        "`Retry-After`, or offer another gateway.",
        retry_after=True,
    ),
    # ── this service ──
    "store_unavailable": Code(
        "The database cannot be reached",
        "The database did not take it, as far as is known. Send the same request again, with the same "
        "Idempotency-Key or reference, after `Retry-After`.",
        retry_after=True,
    ),
    "not_migrated": Code(
        "The database has not the tables of this version",
        "The database is of another version than the service. Run `flask --app wsgi db upgrade`.",
        retry_after=True,
    ),
    "internal_error": Code(
        "Internal server error",
        "A fault of this service. Its log has the reason under the `X-Request-Id` of the answer.",
    ),
}
