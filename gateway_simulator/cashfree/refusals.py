"""Cashfree's error bodies. Sources: OpenAPI 2025-01-01, docs api-reference/payments/errors."""

from gateway_simulator.base import Json, WireError


def body_of(message: str, code: str, kind: str = "invalid_request_error") -> Json:
    return {"message": message, "code": code, "type": kind}


# status → body of the troubles that come from Cashfree's side
TROUBLE: dict[int, Json] = {
    429: body_of("Too many requests from IP. Check headers", "request_failed", "rate_limit_error"),
    500: body_of("internal Server Error", "internal_error", "api_error"),
}
BAD_URL = body_of("bad URL, please check API documentation", "request_failed")


def refusal(message: str, code: str = "request_failed", status: int = 400) -> WireError:
    return WireError(status, body_of(message, code))


def not_found(what: str) -> WireError:
    return refusal(f"{what.capitalize()} Reference Id does not exist", f"{what}_not_found", 404)


def wrong_keys() -> WireError:
    return WireError(401, body_of("authentication Failed", "request_failed", "authentication_error"))


def key_reused() -> WireError:
    message = "idempotency key was used with another request"
    return WireError(422, body_of(message, "request_invalid", "idempotency_error"))


def order_exists() -> WireError:
    return refusal("order with same id is already present", "order_already_exists", 409)
