"""PhonePe's variables: either generation, both, or none, and what must fit together."""

from typing import Any

import pytest

from payments_service.settings import Settings, SettingsError

SALT, OTHER_SALT = "salt-key-of-16-chars", "other-salt-of-16-chars"
SHARED = {"PHONEPE_WEBHOOK_USER": "hook_user", "PHONEPE_WEBHOOK_PASS": "Passw0rd1"}
V2 = {
    "PHONEPE_CLIENT_ID": "c",
    "PHONEPE_CLIENT_SECRET": "client-secret-of-ours",
    "PHONEPE_CLIENT_VERSION": "1",
    **SHARED,
}
V1 = {"PHONEPE_MERCHANT_ID": "M", "PHONEPE_SALT_KEY": SALT, "PHONEPE_SALT_INDEX": "1"}


def configured(**variables: str) -> dict[str, Any]:
    settings = Settings.from_environment({"APP_ENV": "development", **variables})
    return {gateway.provider: config for gateway, config in settings.gateways}


def errors(**variables: str) -> dict[str, list[str]]:
    with pytest.raises(SettingsError) as raised:
        configured(**variables)
    return raised.value.errors


def test_each_generation_is_switched_on_by_variables_of_its_own() -> None:
    assert list(configured(**V2)) == ["phonepe"]
    assert list(configured(**V1)) == ["phonepe_v1"]
    assert list(configured(**V1, **V2)) == ["phonepe", "phonepe_v1"]
    defaults = {"PHONEPE_ENV": "production", "PHONEPE_API_URL": "http://localhost:9"}
    assert configured(**SHARED, **defaults, PHONEPE_V1_REQUIRE_BASIC="true") == {}
    assert list(configured(**V2, PHONEPE_V1_REQUIRE_BASIC="true")) == ["phonepe"]


def test_what_is_missing_is_named() -> None:
    both_kinds = {"PHONEPE_WEBHOOK_HMAC_SECRET"}  # its sentence names the other kind, too
    needed = {"PHONEPE_CLIENT_SECRET", "PHONEPE_CLIENT_VERSION"}
    assert set(errors(PHONEPE_CLIENT_ID="c")) == needed | both_kinds
    assert set(errors(PHONEPE_CLIENT_ID="c", **SHARED)) == needed
    assert set(errors(PHONEPE_MERCHANT_ID="M")) == {"PHONEPE_SALT_KEY", "PHONEPE_SALT_INDEX"}


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        (
            {**V2, "PHONEPE_WEBHOOK_USER": "a,b", "PHONEPE_WEBHOOK_PASS": "password1,password2,password3"},
            "PHONEPE_WEBHOOK_USER",
        ),
        ({**V2, "PHONEPE_WEBHOOK_USER": "a,b"}, "PHONEPE_WEBHOOK_USER"),
        ({**V2, "PHONEPE_WEBHOOK_USER": ""}, "PHONEPE_WEBHOOK_USER"),
        ({**V2, "PHONEPE_WEBHOOK_PASS": ""}, "PHONEPE_WEBHOOK_HMAC_SECRET"),
        ({**V2, "PHONEPE_WEBHOOK_HMAC_SECRET": "CF1:short"}, "PHONEPE_WEBHOOK_HMAC_SECRET"),
        ({**V1, "PHONEPE_SALT_KEY": f"{SALT},{OTHER_SALT}"}, "PHONEPE_SALT_INDEX"),
        (
            {**V1, "PHONEPE_SALT_KEY": f"{SALT},{OTHER_SALT}", "PHONEPE_SALT_INDEX": "1,1"},
            "PHONEPE_SALT_INDEX",
        ),
        ({**V1, "PHONEPE_V1_REQUIRE_BASIC": "true"}, "PHONEPE_V1_REQUIRE_BASIC"),
        ({**V1, "PHONEPE_V1_REQUIRE_BASIC": "yes"}, "PHONEPE_V1_REQUIRE_BASIC"),
        ({**V2, "PHONEPE_ENV": "live"}, "PHONEPE_ENV"),
        ({**V2, "PHONEPE_API_URL": "localhost"}, "PHONEPE_API_URL"),
    ],
)
def test_what_does_not_fit_together_stops_the_start_and_is_named(
    variables: dict[str, str], name: str
) -> None:
    assert list(errors(**variables)) == [name]


def test_lists_are_for_rotation() -> None:
    rotating = configured(
        **{**V2, "PHONEPE_WEBHOOK_PASS": "new-pass,old-pass"},
        **{**V1, "PHONEPE_SALT_KEY": f"{SALT},{OTHER_SALT}", "PHONEPE_SALT_INDEX": "2,1"},
    )
    assert rotating["phonepe"].webhook_passwords == ("new-pass", "old-pass")
    assert rotating["phonepe_v1"].salts == {"2": SALT, "1": OTHER_SALT}
