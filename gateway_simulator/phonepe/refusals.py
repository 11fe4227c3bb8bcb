"""PhonePe's error bodies. Sources: docs v2 error-codes, authorization, tests of phonepe-pg-sdk-python 3.0.1;
v1 pay-api-1. What V1 answers with which HTTP status is not documented. The codes of unknown refunds, disputes
and transactions in V2 differ from one official SDK or page to the next; these are of one of them each.
"""

from gateway_simulator.base import Json, WireError

TROUBLE: dict[int, Json] = {
    429: {"code": "TOO_MANY_REQUESTS", "message": "Too many requests. Please try again in a while."},
    500: {
        "code": "INTERNAL_SERVER_ERROR",
        "message": "There is an error trying to process your transaction at the moment."
        " Please try again in a while.",
    },
}
V1_TROUBLE = {status: {"success": False, **body} for status, body in TROUBLE.items()}
NO_SUCH_PATH: Json = {"code": "NOT_FOUND", "message": "HTTP 404 Not Found"}
V1_STATUS = {"AUTHORIZATION_FAILED": 401, "TRANSACTION_NOT_FOUND": 404}


def bad_request(why: str) -> WireError:
    """The reason is this simulator's: PhonePe says no more than to check one's inputs."""
    message = f"Please check the inputs you have provided. [{why}]"
    return WireError(400, {"code": "BAD_REQUEST", "message": message})


def wrong_client() -> WireError:
    body = {
        "code": "INVALID_CLIENT",
        "errorCode": "OIM000",
        "message": "Bad Request: Invalid Client, trackingId: simulator",
        "context": {"error_description": "Client authentication failure"},
    }
    return WireError(400, body)


def wrong_token() -> WireError:
    message = "Authorization failed [message = Please check the authorization token and try again]"
    body = {"success": False, "code": "AUTHORIZATION_FAILED", "message": message, "data": {}}
    return WireError(401, body)


def forbidden() -> WireError:
    """The code is documented, its sentence is not."""
    return WireError(403, {"code": "FORBIDDEN", "message": "The client may not make this call"})


def id_reused(code: str) -> WireError:
    """The documents disagree about the code."""
    status = 400 if code == "ORDER_ALREADY_EXISTS" else 417
    return WireError(status, {"code": code, "message": "Order ID has already been used", "success": False})


def unknown_order() -> WireError:
    message = "No entry found for given merchant order id"
    return WireError(400, {"code": "INVALID_MERCHANT_ORDER_ID", "message": message})


def unknown_refund() -> WireError:
    message = "No entry found for given merchant refund id"
    return WireError(404, {"code": "REFUND_NOT_FOUND", "message": message})


def unknown_dispute() -> WireError:
    """The code is documented, its sentence is not."""
    return WireError(404, {"code": "DISPUTE_NOT_FOUND", "message": "No such dispute"})


def unknown_transaction() -> WireError:
    message = "No entry found for given transaction id"
    return WireError(400, {"code": "INVALID_TRANSACTION_ID", "message": message})


def unknown_settlement() -> WireError:
    """Code and status are invented."""
    message = "No entry found for given settlement id"
    return WireError(400, {"code": "INVALID_SETTLEMENT_ID", "message": message})


def too_old(days: int) -> WireError:
    """The code is documented; that it comes as an answer, and with which status, is invented."""
    message = f"The payment is more than {days} days old"
    return WireError(400, {"code": "REFUND_FOR_TXN_OLDER_THAN_LIMIT", "message": message})


def v1_refusal(code: str, message: str) -> WireError:
    body = {"success": False, "code": code, "message": message, "data": {}}
    return WireError(V1_STATUS.get(code, 400), body)


def v1_bad_request(why: str) -> WireError:
    return v1_refusal("BAD_REQUEST", f"Please check the inputs you have provided. [{why}]")
