"""The keys of pretend PhonePe's merchants, well-known on purpose, and what is computed with them.

Sources: docs v2 webhook; v1 pay-api-1, server-to-server-callback-5. PGTESTPAYUAT and its salt are the
merchant of the published samples, so that these are answered as they stand. How a webhook of the newer kind
is signed (HMAC) is known from integrators only.
"""

import hashlib
import hmac

CLIENT_ID = "SIMULATORUAT"
CLIENT_SECRET = "simulator_phonepe_client_secret"  # noqa: S105
CLIENT_VERSION = "1"
WEBHOOK_USER = "simulator_hook"
WEBHOOK_PASSWORD = "simulator_Passw0rd1"  # noqa: S105
OLD_WEBHOOK_PASSWORD = "simulator_OldPassw0rd1"  # noqa: S105
WEBHOOK_KEY_ID = "CF2611290900000000000001"
WEBHOOK_HMAC_SECRET = "simulator_phonepe_hmac_secret"  # noqa: S105
OLD_WEBHOOK_HMAC_SECRET = "simulator_phonepe_old_hmac_secret"  # noqa: S105
MERCHANT_ID = "SIMULATORV1"
SALT_KEY, SALT_INDEX = "simulator_phonepe_salt_key", "1"
OLD_SALT_KEY, OLD_SALT_INDEX = "simulator_phonepe_old_salt_key", "2"
PUBLIC_MERCHANT_ID = "PGTESTPAYUAT"
PUBLIC_SALT_KEY = "099eb0cd-02cf-4e2a-8aca-3e6c6aff0399"
SALTS = {
    MERCHANT_ID: {SALT_INDEX: SALT_KEY, OLD_SALT_INDEX: OLD_SALT_KEY},
    PUBLIC_MERCHANT_ID: {SALT_INDEX: PUBLIC_SALT_KEY, OLD_SALT_INDEX: OLD_SALT_KEY},
}
"""By merchant and index; several may be live while salts are changed."""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def checksum(body: bytes, secret: str = WEBHOOK_HMAC_SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def x_verify(merchant_id: str, payload: str, path: str, index: str = SALT_INDEX) -> str:
    return f"{sha256(payload + path + SALTS[merchant_id][index])}###{index}"
