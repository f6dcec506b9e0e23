"""What amounts mean does not depend on what a library says of currencies today."""

import iso4217

from schemas.currencies import DIGITS, NO_MINOR_UNIT
from schemas.values import is_current, money_json, parse_money
from tests.schemas.letters import ACCOUNT, PAYMENT, accepted, change, one


def test_the_table_has_all_currencies_of_the_library():
    """A new one is added to it, and none is ever taken out or changed: what is stored means what it means by it."""
    valid = {one.code: one.exponent for one in iso4217.Currency if one.exponent is not None}
    assert valid.items() <= DIGITS.items()
    assert {one.code for one in iso4217.Currency if one.exponent is None} <= NO_MINOR_UNIT


def test_withdrawn_currencies_have_their_digits():
    """Those that came before the euro, and the like; none of them is current."""
    digits = {"BGN": 2, "HRK": 2, "ITL": 0, "BYR": 0, "TRL": 0, "VEF": 2, "DEM": 2}
    assert {code: DIGITS[code] for code in digits} == digits
    assert not any(map(is_current, digits))
    assert is_current("EUR")


def test_an_amount_in_a_withdrawn_currency_is_read_and_told():
    """A payment of it may be for an account that is kept in it."""
    amount = parse_money({"unit": "BGN", "value": "12.34"})
    assert (amount.currency, amount.amount) == ("BGN", 1234)
    assert money_json(1234, "BGN") == {"unit": "BGN", "value": 12.34}
    accepted("payment.received", change(PAYMENT, "amount.unit", "BGN"))


def test_the_digits_that_an_account_is_kept_with_count():
    """Not those that its currency's code has by now."""
    assert money_json(1234, "BGN", 3) == {"unit": "BGN", "value": 1.234}
    assert money_json(1234, "XYZ", 0) == {"unit": "XYZ", "value": 1234}


def test_an_account_in_a_withdrawn_currency_is_only_refused_when_it_is_new():
    """It can be read, as it may be known already; as a new one it is like what can't be read."""
    incoming = accepted("account.create", {**ACCOUNT, "currency": "BGN"})
    assert incoming.if_new is not None
    assert (incoming.if_new.code, incoming.if_new.detail) == (
        "invalid",
        "currency: was withdrawn from ISO 4217 (got 'BGN')",
    )
    new = incoming.refused_as_new()
    assert new.identity.startswith("unreadable:")
    assert new.refusal is incoming.if_new
    assert one("account.create", ACCOUNT).if_new is None
