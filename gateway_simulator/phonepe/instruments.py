"""How people pay: each method in V2's words and in V1's.

Sources: docs v2 order-status; v1 check-status-api-1.
"""

from dataclasses import dataclass

from gateway_simulator.base import Json


@dataclass(frozen=True)
class Instrument:
    """A method in V2's words (mode, rail, instrument) and in V1's."""

    mode: str
    rail: Json
    instrument: Json
    v1: Json


UPI = {"utr": "206378866112", "upiTransactionId": "YBL369f6d962de74c2680789bff8c11aec9"}
UPI_RAIL = {"type": "UPI", **UPI, "vpa": "12****78@ybl"}
ACCOUNT = {"type": "ACCOUNT", "maskedAccountNumber": "******1234", "accountType": "SAVINGS"}
V1_UPI = {"type": "UPI", **UPI, "accountType": "SAVINGS"}
CARD_RAIL = {"type": "PG", "authorizationCode": "088005"}
CARD = {
    "bankId": "HDFC",
    "brn": "520506406845",
    "geoScope": "DOMESTIC",
    "cardNetwork": "VISA",
    "maskedCardNumber": "******1234",
}
CREDIT_CARD, DEBIT_CARD = {"type": "CREDIT_CARD", **CARD}, {"type": "DEBIT_CARD", **CARD}
V1_CARD = {"type": "CARD", "pgTransactionId": "1995464773", "arn": "520506406845"}
NET_BANKING_RAIL = {"type": "PG", "transactionId": "E35244128", "serviceTransactionId": "PG123"}
V1_NET_BANKING = {
    "type": "NETBANKING",
    "pgTransactionId": "1995464773",
    "pgServiceTransactionId": "PG2212291607083344934300",
    "bankTransactionId": None,
    "bankId": "",
}

INSTRUMENTS = {
    "upi": Instrument("UPI_INTENT", UPI_RAIL, ACCOUNT, V1_UPI),
    "upi_collect": Instrument("UPI_COLLECT", UPI_RAIL, ACCOUNT, V1_UPI),
    "upi_qr": Instrument("UPI_QR", UPI_RAIL, ACCOUNT, V1_UPI),
    "card": Instrument("CARD", CARD_RAIL, CREDIT_CARD, {**V1_CARD, "cardType": "CREDIT_CARD"}),
    "debit_card": Instrument("CARD", CARD_RAIL, DEBIT_CARD, {**V1_CARD, "cardType": "DEBIT_CARD"}),
    "token": Instrument("TOKEN", CARD_RAIL, CREDIT_CARD, {**V1_CARD, "cardType": "CREDIT_CARD"}),
    "netbanking": Instrument(
        "NET_BANKING", NET_BANKING_RAIL, {"type": "NET_BANKING", "bankId": "SBIN"}, V1_NET_BANKING
    ),
    # The documents sell these, and the SDK's enumeration lacks them; their members are invented.
    "wallet": Instrument(
        "WALLET",
        {"type": "PPI_WALLET"},
        {"type": "WALLET", "walletId": "WALLET1"},
        {"type": "WALLET"},
    ),
    "corporate_netbanking": Instrument(
        "CORPORATE_NET_BANKING",
        NET_BANKING_RAIL,
        {"type": "NET_BANKING", "bankId": "SBIN"},
        V1_NET_BANKING,
    ),
    "emi": Instrument("EMI", CARD_RAIL, CREDIT_CARD, {**V1_CARD, "cardType": "CREDIT_CARD"}),
}
METHODS = frozenset(INSTRUMENTS)
USUAL_METHOD = "upi"


def methods_of(mode: str, card_types: tuple[str, ...] = ()) -> frozenset[str]:
    """The methods of a payment mode; cards only of the types that are named."""
    return frozenset(
        name
        for name, one in INSTRUMENTS.items()
        if one.mode == mode and (not card_types or one.instrument["type"] in card_types)
    )
