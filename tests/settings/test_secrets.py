"""Secrets that can be guessed, keys that are none."""

import hashlib

import pytest

from tests.settings.environments import LIVE, gateway_variables, load, wrong

LENGTHS = {
    name: declared.least_characters for name, (declared, hidden) in gateway_variables().items() if hidden
}
LENGTHS["SECRET_KEY"] = 16
LISTS = [n for n in LENGTHS if n == "SECRET_KEY" or gateway_variables()[n][0].is_list]


def test_every_secret_has_sixteen_characters_but_for_the_password_that_a_person_types() -> None:
    assert {name: least for name, least in LENGTHS.items() if least != 16} == {"PHONEPE_WEBHOOK_PASS": 8}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("value", ["{short}", "{short},{good}", "{good},{short}", "{good},a", "{short},"])
def test_a_short_secret_stops_the_start_and_is_not_repeated(name: str, value: str) -> None:
    if "," in value and name not in LISTS:
        value = "{short}"
    short, good = "s" * (LENGTHS[name] - 1), "g" * LENGTHS[name]
    more = {"PHONEPE_SALT_INDEX": "1,2"} if name == "PHONEPE_SALT_KEY" and value.count("}") == 2 else {}
    errors = wrong(LIVE, **{name: value.format(short=short, good=good), **more})
    assert name in errors
    assert short not in str(errors)


@pytest.mark.parametrize("name", LENGTHS)
def test_the_least_length_is_enough(name: str) -> None:
    assert wrong(LIVE, **{name: "g" * LENGTHS[name]}) == {}


@pytest.mark.parametrize("value", ["CF1:" + "s" * 15, "s" * 15, f"{'g' * 16},CF12345678901234:short"])
def test_the_id_of_a_key_adds_nothing_to_its_length(value: str) -> None:
    assert wrong(LIVE, PHONEPE_WEBHOOK_HMAC_SECRET=value).keys() == {"PHONEPE_WEBHOOK_HMAC_SECRET"}


def test_the_secret_key_is_a_list_newest_first() -> None:
    settings = load(LIVE, SECRET_KEY="new-secret-of-ours, old-secret-of-ours")
    assert settings.secret_keys == ("new-secret-of-ours", "old-secret-of-ours")
    assert settings.secret_key == "new-secret-of-ours"
    assert "secret-of-ours" not in repr(settings)


NOTHING = hashlib.sha256(b"").hexdigest()
ONE, TWO = (hashlib.sha256(key).hexdigest() for key in (b"one", b"two"))


@pytest.mark.parametrize(
    "value",
    [
        f"shop:read:{NOTHING}",
        f"shop:read:{ONE},other:write:{NOTHING}",
        f"shop:read:{ONE},other:write:{ONE}",
        f"shop:read:{ONE},other:write:{TWO},third:read:{ONE}",
        f"shop:read:{ONE},shop:write:{TWO}",
    ],
)
def test_the_key_of_nothing_and_a_key_or_name_twice_are_refused(value: str) -> None:
    assert wrong(LIVE, API_KEYS=value).keys() == {"API_KEYS"}


def test_two_keys_of_two_names_are_two_keys() -> None:
    keys = load(LIVE, API_KEYS=f"shop:read:{ONE},other:read+write:{TWO}").api_keys
    assert [key.name for key in keys] == ["shop", "other"]
