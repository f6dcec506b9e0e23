"""What is read, and every limit of what may be said, each refused with its code and a detail that names the field."""

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts.model import NewAccount, SettlementTerms
from domain.invoicing.model import CorrectsLine, TaxItem
from domain.invoicing.pricing import Item, Pricing
from domain.money import Currency, Money
from domain.ordering.completing import Order
from domain.payments.model import ReceivedPayment
from domain.settlement.adjusting import Adjustment
from domain.settlement.closing import Closing
from domain.settlement.payouts import CompletedPayout
from domain.settlement.returning import ReturnedPayout
from schemas.incoming import read
from tests.schemas.letters import (
    ACCOUNT,
    ADJUSTMENT,
    CLOSING,
    MESSAGES,
    ORDER,
    PAYMENT,
    PAYOUT,
    RETURN,
    Raw,
    accepted,
    body,
    change,
    one,
    refused,
)

# -- what a good message says


def test_an_order_is_read():
    """Each field of `order.completed` is the fact's, decimals exact and times in UTC."""
    assert accepted("order.completed", ORDER).fact == Order(
        "O-1001",
        datetime(2026, 11, 22, 10, 15, tzinfo=UTC),
        "BA-1",
        Currency("EUR", 2),
        (
            Item("1", "Fibre 500, November", Decimal(1), Decimal("39.9"), "S", Decimal("0.2"), None),
            Item("2", "Film rental", Decimal(2), Decimal("3.99"), "S", Decimal("0.2"), "SA-1"),
        ),
        # 47.88 × 0.2 = 9.576, of which the lines have 7.98 and 1.596: the cent goes to the larger remainder.
        Pricing((3990, 798), (798, 160), (TaxItem("S", Decimal("0.2"), 4788, 958),), 4788, 5746),
    )


def test_a_payment_is_read():
    """Each field of `payment.received` is the fact's, the amount in minor units."""
    assert accepted("payment.received", PAYMENT).fact == ReceivedPayment(
        "P-1",
        datetime(2026, 11, 22, 11, 0, tzinfo=UTC),
        "BA-1",
        Money("EUR", 5746),
        "transfer",
        ("INV-000000001",),
    )


def test_a_closing_and_a_payout_are_read():
    """Each field of `settlement.close` and `payout.completed` is the fact's."""
    assert accepted("settlement.close", CLOSING).fact == Closing("C-1", "SA-1", date(2026, 11, 30))
    assert accepted("payout.completed", PAYOUT).fact == CompletedPayout("PO-1", "SA-1", "C-1", Money("EUR", 638))


def test_what_corrects_statements_is_read():
    """Each field of `settlement.adjust` and `payout.returned` is the fact's; an adjustment need not correct a line."""
    on, why = date(2026, 11, 24), "as agreed"
    of_line = CorrectsLine("INV-000000001", "2")
    read = accepted("settlement.adjust", ADJUSTMENT).fact
    assert read == Adjustment("A-1", "SA-1", Money("EUR", -38), on, why, of_line)
    read = accepted("settlement.adjust", change(ADJUSTMENT, "corrects", ...)).fact
    assert read == Adjustment("A-1", "SA-1", Money("EUR", -38), on, why)
    came = datetime(2026, 12, 3, 9, tzinfo=UTC)
    assert accepted("payout.returned", RETURN).fact == ReturnedPayout("PR-1", "PO-1", came, "AC04")


@pytest.mark.parametrize("value", [0, "0", "0.00", "-0", -0.0])
def test_an_adjustment_of_nothing_is_invalid(value):
    """Either sign is right, and there must be one."""
    refusal = refused("settlement.adjust", change(ADJUSTMENT, "amount.value", value))
    assert (refusal.code, refusal.detail.startswith("amount: must not be zero")) == ("invalid", True), refusal.detail


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_adjustment_has_a_limit_on_both_sides(sign):
    """10^13 minor units, as every amount."""
    accepted("settlement.adjust", change(ADJUSTMENT, "amount.value", f"{sign}100000000000.00"))
    refusal = refused("settlement.adjust", change(ADJUSTMENT, "amount.value", f"{sign}100000000000.01"))
    assert (refusal.code, refusal.fields) == ("invalid", ("amount.value",))


def test_an_account_is_read():
    """Its document is all that was said, unknown fields included, entities typed; what is null was not said."""
    fact = accepted("account.create", {**MESSAGES["account.create"], "loyalty": {"points": 7, "since": None}}).fact
    assert fact == NewAccount(
        "SA-1",
        "SettlementAccount",
        Currency("EUR", 2),
        30,
        SettlementTerms(Decimal("0.8"), "payment"),
        {
            "@type": "SettlementAccount",
            "name": "Film studio",
            "relatedParty": [
                {
                    "@type": "RelatedPartyRefOrPartyRoleRef",
                    "role": "partner",
                    "partyOrPartyRole": {"@type": "PartyRef", "id": "42"},
                }
            ],
            "settlementTerms": {"partnerShare": 0.8, "accrueOn": "payment"},
            "loyalty": {"points": 7},
        },
    )


@pytest.mark.parametrize("routing_key", MESSAGES)
def test_an_unknown_field_is_ignored(routing_key):
    """A field that nobody knows does not make a message wrong."""
    accepted(routing_key, {**MESSAGES[routing_key], "unheardOf": [1, {"x": None}]})


@pytest.mark.parametrize(
    ("routing_key", "field"),
    [
        *[("order.completed", field) for field in ("orderId", "completedAt", "billingAccount", "currency", "items")],
        *[("order.completed", f"items.0.{field}") for field in ("id", "quantity", "unitPrice", "tax")],
        *[("order.completed", f"items.1.{field}") for field in ("tax.category", "tax.rate", "onBehalfOf.id")],
        *[("payment.received", field) for field in ("paymentId", "receivedAt", "billingAccount.id", "amount")],
        *[("settlement.close", field) for field in ("closingId", "settlementAccount", "periodEnd")],
        *[("payout.completed", field) for field in ("payoutId", "settlementAccount.id", "settlementId", "amount")],
        *[("payout.returned", field) for field in ("returnId", "payoutId", "returnedAt", "reason")],
        *[("settlement.adjust", field) for field in ("adjustmentId", "settlementAccount.id", "amount", "date")],
        *[("settlement.adjust", field) for field in ("reason", "corrects.billNo", "corrects.lineId")],
        *[("account.create", field) for field in ("@type", "name", "currency", "settlementTerms")],
    ],
)
@pytest.mark.parametrize("value", [..., None, [], 17.5])
def test_a_field_that_is_needed(routing_key, field, value):
    """A needed field that is absent, null or of another kind is `invalid`, and the detail names it."""
    if value == 17.5 and field in ("items.0.quantity", "items.0.unitPrice"):
        value = True
    refusal = refused(routing_key, change(MESSAGES[routing_key], field, value))
    assert refusal.code == "invalid"
    assert field in refusal.detail


TAX = {"category": "S", "rate": "0.2"}


@pytest.mark.parametrize(
    ("terms", "detail"),
    [
        ({}, "settlementTerms: partnerShare: is needed, but of the model agent"),
        ({"partnerShare": None}, "settlementTerms: partnerShare: is needed, but of the model agent"),
        ({"partnerShare": "x"}, "settlementTerms.partnerShare: must be a decimal"),
        (
            {"partnerShare": 1, "commission": "0.1"},
            "settlementTerms: commission: only terms of the model agent have it",
        ),
        ({"partnerShare": 1, "series": "A-"}, "settlementTerms: series: only terms of the model agent have it"),
        ({"model": "agent", "commissionTax": TAX}, "settlementTerms: commission: is needed"),
        ({"model": "agent", "commission": "0.1"}, "settlementTerms: commissionTax: is needed"),
        (
            {"model": "agent", "commission": "0.1", "commissionTax": TAX, "partnerShare": 1},
            "settlementTerms: partnerShare: terms of the model agent have none",
        ),
        (
            {"model": "agent", "commission": "0.1", "commissionTax": TAX, "series": "A-1"},
            "settlementTerms.series: must have at most 100 characters and end with one of . _ : -",
        ),
        ({"model": "reseller", "partnerShare": 1}, "settlementTerms.model: must be 'principal' or 'agent'"),
    ],
)
def test_terms_are_of_their_model(terms, detail):
    """A share, or a commission with its tax: each model has what it goes by, and nothing of the other."""
    refusal = refused("account.create", {**MESSAGES["account.create"], "settlementTerms": terms})
    assert refusal.code == "invalid"
    assert detail in refusal.detail


@pytest.mark.parametrize(
    ("routing_key", "field"),
    [
        ("order.completed", "items.0.description"),
        ("order.completed", "items.1.onBehalfOf"),
        ("payment.received", "method"),
        ("payment.received", "invoices"),
    ],
)
def test_a_field_that_may_be_absent(routing_key, field):
    """An optional field that is null says as much as one that is absent."""
    absent = accepted(routing_key, change(MESSAGES[routing_key], field, ...))
    null = accepted(routing_key, change(MESSAGES[routing_key], field, None))
    assert absent.fact == null.fact
    assert absent.digest == null.digest


def test_every_wrong_field_is_named():
    """The detail names each wrong field by its path, with what was given."""
    wrong = change(change(change(ORDER, "orderId", "a b"), "completedAt", "today"), "items.1.unitPrice", "cheap")
    detail = refused("order.completed", wrong).detail
    for part in ("orderId", "a b", "completedAt", "today", "items.1.unitPrice", "cheap"):
        assert part in detail


def test_a_detail_stays_readable():
    """A thousand wrong lines make a detail of bounded length."""
    wrong = change(ORDER, "items", [{"id": "ä" * 5_000}] * 1_000)
    assert len(refused("order.completed", wrong).detail) <= 1_000


# -- decimals


@pytest.mark.parametrize(("field", "other"), [("quantity", "unitPrice"), ("unitPrice", "quantity")])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", "1"),
        ("0", "0"),
        ("-0.0", "0"),
        ("1.50", "1.5"),
        ("-2.5", "-2.5"),
        ('"1.50"', "1.5"),
        ('"-0.00000001"', "-0.00000001"),
        ("0.12345678", "0.12345678"),
        ("99999999999", "99999999999"),
        ("10000000000", "10000000000"),
        ('"99999999999.99999999"', "99999999999.99999999"),
        ("12345678901.2345", "12345678901.2345"),
        ("100000000.000001", "100000000.000001"),
        ('"12345678901.23456"', "12345678901.23456"),
        # What a binary float would not keep.
        ("0.1", "0.1"),
        ("1.005", "1.005"),
    ],
)
def test_a_decimal_is_read_exactly(field, other, written, value):
    """A JSON number or a string that holds one is read to the digit."""
    free = change(ORDER, f"items.0.{other}", 0)  # however much of it: an order has a limit, and is not below zero
    fact = accepted("order.completed", change(free, f"items.0.{field}", Raw(written))).fact
    assert isinstance(fact, Order)
    item = fact.items[0]
    number = item.quantity if field == "quantity" else item.unit_price
    assert number == Decimal(value)
    assert f"{number:f}" == value  # normalised: no trailing zeros


@pytest.mark.parametrize(
    "written",
    [
        "1e3",
        "1E-2",
        '"1e3"',
        '"1E+999999999"',
        "1E+999999999",
        "-1E+999999999",
        "1E-999999999",
        "1e999",
        "123456789012",
        '"123456789012"',
        "1.123456789",
        '"1.123456789"',
        "12345678901.23456",  # sixteen significant digits
        "1234567890.123456",
        "100000000.0000001",
        str(2**53 + 1),
        str(-(10**400)),
        '"NaN"',
        '"Infinity"',
        '"-inf"',
        '"+1"',
        '".5"',
        '"1."',
        '""',
        '" 1"',
        '"1\\n"',
        '"1,5"',
        '"1_000"',
        '"0x10"',
        '"１"',
        '"٣"',
        "true",
    ],
)
@pytest.mark.parametrize("field", ["items.0.quantity", "items.0.unitPrice", "items.0.tax.rate"])
def test_what_is_no_decimal(written, field):
    """Exponents, too many digits, infinities and what else is no plain decimal are `invalid`, and named, at once."""
    since = time.process_time()
    refusal = refused("order.completed", change(ORDER, field, Raw(written)))
    assert refusal.code == "invalid"
    assert field in refusal.detail
    assert time.process_time() - since < 5


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_invalid(written):
    """NaN and the infinities, written as many JSON writers do, are `invalid`, and the field is named."""
    refusal = refused("order.completed", change(ORDER, "items.0.quantity", Raw(written)))
    assert refusal.code == "invalid"
    assert "items.0.quantity" in refusal.detail


def test_an_integer_of_any_length_is_invalid():
    """An integer of 5,000 digits is JSON and no decimal of ours: `invalid`, named, and fast."""
    refusal = refused("order.completed", change(ORDER, "items.0.quantity", Raw("9" * 5_000)))
    assert refusal.code == "invalid"
    assert "items.0.quantity" in refusal.detail


def test_a_number_of_a_million_digits_is_refused_fast():
    """No number that fits a body takes long to refuse, wherever it stands."""
    since = time.process_time()
    for digits in ("1." + "3" * 1_000_000, "0." + "0" * 1_000_000 + "1", "3" * 1_000_000, "1E-" + "9" * 1_000_000):
        assert refused("order.completed", change(ORDER, "items.0.quantity", Raw(digits))).code != ""
        assert one("account.create", {**MESSAGES["account.create"], "creditLimit": {"value": Raw(digits)}}).identity
    assert time.process_time() - since < 5


@pytest.mark.parametrize(("rate", "fits"), [("0", True), ("1", True), ("-0.01", False), ("1.00000001", False)])
def test_a_rate_and_a_share_are_parts_of_one(rate, fits):
    """A tax rate or a partner's share is between 0 and 1, since 0.2 is 20 %."""
    tax = one("order.completed", change(ORDER, "items.0.tax.rate", rate))
    share = one("account.create", change(ACCOUNT, "settlementTerms.partnerShare", rate))
    assert (tax.refusal is None, share.refusal is None) == (fits, fits)


# -- money


@pytest.mark.parametrize(
    ("unit", "written", "minor"),
    [
        ("EUR", "39.9", 3990),
        ("EUR", '"39.90"', 3990),
        ("EUR", "20", 2000),
        ("EUR", "0.01", 1),
        ("JPY", "1235", 1235),
        ("JPY", '"99999999999"', 99_999_999_999),
        ("KWD", "1.235", 1235),
        ("CLF", "0.0001", 1),
    ],
)
def test_an_amount_is_in_minor_units(unit, written, minor):
    """Money has as many decimals as its currency: 2 in euros, none in yen, 3 in dinars, 4 in Chilean units."""
    fact = accepted("payment.received", change(PAYMENT, "amount", {"unit": unit, "value": Raw(written)})).fact
    assert isinstance(fact, ReceivedPayment)
    assert fact.money == Money(unit, minor)


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("EUR", "0.001"),
        ("EUR", '"39.901"'),
        ("JPY", "1.5"),
        ("KWD", "1.0001"),
        ("CLF", "0.00001"),
        ("EUR", "0"),
        ("EUR", "-1"),
        ("EUR", "1e2"),
        ("EUR", "100000000000.01"),
        ("JPY", "10000000000001"),
        ("EUR", '"NaN"'),
        ("EUR", "null"),
        ("EUR", "{}"),
        ("eur", "1"),
        ("EURO", "1"),
        ("ZZZ", "1"),
        ("XAU", "1"),  # gold has no minor unit
        ("XXX", "1"),
        ("", "1"),
        ("€", "1"),
    ],
)
def test_what_is_no_amount(unit, written):
    """Too many decimals, too much, nothing, less than nothing, or no currency: `invalid`, and the amount is named."""
    refusal = refused("payment.received", change(PAYMENT, "amount", {"unit": unit, "value": Raw(written)}))
    assert refusal.code == "invalid"
    assert "amount" in refusal.detail


@pytest.mark.parametrize("amount", [39.9, "39.90", [], {"unit": "EUR"}, {"value": 1}, {"unit": 978, "value": 1}])
def test_an_amount_has_a_unit_and_a_value(amount):
    """Money is TMF's object, nothing less."""
    assert "amount" in refused("payment.received", change(PAYMENT, "amount", amount)).detail


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("EUR", "100000000000"),
        ("EUR", "100000000000.00"),
        ("EUR", '"100000000000.00"'),
        ("JPY", "10000000000000"),
        ("JPY", "100000000000"),
    ],
)
def test_the_largest_amount(unit, written):
    """Money is at most 10^13 minor units, and that much may come in."""
    accepted("payment.received", change(PAYMENT, "amount", {"unit": unit, "value": Raw(written)}))


@pytest.mark.parametrize("code", ["eur", "EU", "ZZZ", "XAU", "XTS", "", 978, None, ["EUR"]])
def test_a_currency_is_one_of_iso_4217(code):
    """An order's or an account's currency is a code of ISO 4217 that has a minor unit."""
    for routing_key in ("order.completed", "account.create"):
        refusal = refused(routing_key, change(MESSAGES[routing_key], "currency", code))
        assert (refusal.code, "currency" in refusal.detail) == ("invalid", True)


# -- texts and ids


TEXTS = [
    ("order.completed", "items.0.description"),
    ("payment.received", "method"),
    ("payment.received", "invoices.0"),
    ("account.create", "name"),
    ("account.create", "description"),
    ("account.create", "unheardOf"),
]


@pytest.mark.parametrize("text", ["", "x" * 1000, "😀" * 1000, "line\nbreak\ttab", "\x01", "é"])
@pytest.mark.parametrize(("routing_key", "field"), TEXTS)
def test_a_text_is_taken_as_it_is(routing_key, field, text):
    """Up to 1,000 characters of any kind are a text, counted as characters and not as bytes."""
    accepted(routing_key, change(MESSAGES[routing_key], field, text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * 1001, "longer than 1000"),
        ("a\x00b", "NUL"),
        ("\ud800", "lone surrogate"),
        ("\udc00\ud800", "lone surrogate"),
        ("ok \udfff", "lone surrogate"),
    ],
)
@pytest.mark.parametrize(("routing_key", "field"), TEXTS)
def test_a_text_that_cannot_be_kept(routing_key, field, text, why):
    """Too long, a NUL or half of a surrogate pair is `invalid`, and the field is named; the detail itself is UTF-8."""
    if (field, why) == ("unheardOf", "longer than 1000"):  # which may be a file, or a document of another standard
        accepted(routing_key, change(MESSAGES[routing_key], field, text))
        return
    refusal = refused(routing_key, change(MESSAGES[routing_key], field, text))
    assert refusal.code == "invalid"
    assert field in refusal.detail
    assert why in refusal.detail
    refusal.detail.encode()


@pytest.mark.parametrize("key", ["a\x00", "\ud800"])
def test_a_name_that_cannot_be_kept(key):
    """What an account's document keeps has names that a database can hold, at every depth."""
    for extra in ({key: 1}, {"contact": [{"deep": {key: 1}}]}):
        assert refused("account.create", {**MESSAGES["account.create"], **extra}).code == "invalid"
    accepted("order.completed", {**ORDER, key: 1})  # ignored, and not kept


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 10**100, Raw("1e400"), Raw("1.2345678901234567")])
def test_a_number_that_cannot_be_kept(number):
    """An integer beyond ±2^53, or a number that a double does not keep, is `invalid` in what a document keeps."""
    refusal = refused("account.create", {**MESSAGES["account.create"], "contact": [{"number": number}]})
    assert refusal.code == "invalid"
    assert "contact.0.number" in refusal.detail


def test_the_largest_integers_can_be_kept():
    """Integers of ±2^53 are kept as they are."""
    fact = accepted("account.create", {**MESSAGES["account.create"], "extra": [2**53, -(2**53)]}).fact
    assert isinstance(fact, NewAccount)
    assert fact.document["extra"] == [9007199254740992, -9007199254740992]


IDS = [
    ("order.completed", "orderId"),
    ("order.completed", "billingAccount.id"),
    ("order.completed", "items.0.id"),
    ("order.completed", "items.0.tax.category"),
    ("order.completed", "items.1.onBehalfOf.id"),
    ("payment.received", "paymentId"),
    ("settlement.close", "closingId"),
    ("settlement.close", "settlementAccount.id"),
    ("payout.completed", "payoutId"),
    ("payout.completed", "settlementId"),
    ("payout.returned", "returnId"),
    ("settlement.adjust", "adjustmentId"),
    ("account.create", "id"),
]


@pytest.mark.parametrize(("routing_key", "field"), IDS)
def test_an_id_is_of_one_alphabet(routing_key, field):
    """An id is 1 to 128 of `A-Z a-z 0-9 . _ : -`; anything else is `invalid`, and named."""
    for good in ("A", "z" * 128, "a.b_c:d-9", "0"):
        accepted(routing_key, change(MESSAGES[routing_key], field, good))
    for bad in ("", "z" * 129, "a b", "a/b", "ä", "a\n", "\n", "a\x00", "\ud800", "１", 7, True, ["A"], {"id": "A"}):
        refusal = refused(routing_key, change(MESSAGES[routing_key], field, bad))
        assert (refusal.code, field in refusal.detail) == ("invalid", True), bad


@pytest.mark.parametrize("name", ["", "z" * 129, "Rechnung 7/2026", "a b", "ä", "１", "INV-1\n"])
def test_a_payment_may_name_what_is_no_bill_number(name):
    """A name that is no id is an unknown invoice's, which is skipped and listed: it is kept as it is."""
    fact = accepted("payment.received", change(PAYMENT, "invoices", ["INV-000000001", name])).fact
    assert isinstance(fact, ReceivedPayment)
    assert fact.invoices == ("INV-000000001", name)


@pytest.mark.parametrize("name", [7, 1.5, True, None, ["A"], {"id": "A"}])
def test_the_name_of_an_invoice_is_a_text(name):
    """Anything but a text is `invalid`, and named by its place."""
    refusal = refused("payment.received", change(PAYMENT, "invoices", ["INV-000000001", name]))
    assert (refusal.code, "invoices.1: must be a text" in refusal.detail) == ("invalid", True)


@pytest.mark.parametrize("stem", ["C-1", "z" * 128])
def test_the_name_of_a_part_of_a_statement_is_payable(stem):
    """`<closingId>-2` names a statement also where the closing's id has all of its 128 characters."""
    fact = accepted("payout.completed", change(PAYOUT, "settlementId", f"{stem}-2")).fact
    assert isinstance(fact, CompletedPayout)
    assert fact.settlement_id == f"{stem}-2"


# -- times and dates


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-22T10:15:00Z", "2026-11-22T10:15:00"),
        ("2026-11-22t10:15:00z", "2026-11-22T10:15:00"),
        ("2026-11-22T10:15:00+00:00", "2026-11-22T10:15:00"),
        ("2026-11-22T10:15:00-00:00", "2026-11-22T10:15:00"),
        ("2026-11-22T10:15:00+05:45", "2026-11-22T04:30:00"),
        ("2026-11-22T10:15:00-03:30", "2026-11-22T13:45:00"),
        ("2026-01-01T00:30:00+14:00", "2025-12-31T10:30:00"),
        ("2026-12-31T23:59:59.999-12:00", "2027-01-01T11:59:59.999"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00"),
        # What is beyond milliseconds is cut off, as the database would.
        ("2026-11-22T10:15:00.1239Z", "2026-11-22T10:15:00.123"),
        ("2026-11-22T10:15:00.000999999Z", "2026-11-22T10:15:00"),
    ],
)
def test_a_time_is_kept_in_utc(written, utc):
    """An RFC 3339 time of whatever offset is the same moment in UTC."""
    fact = accepted("order.completed", change(ORDER, "completedAt", written)).fact
    assert isinstance(fact, Order)
    assert fact.completed_at == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert fact.completed_at.utcoffset() == UTC.utcoffset(None)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T10:15:00",
        "2026-11-22 10:15:00Z",
        "2026-11-22",
        "2026-11-22T10:15Z",
        "2026-11-22T10:15:00+0545",
        "2026-11-22T10:15:00+24:00",
        "2026-11-22T10:15:00 Z",
        "2026-11-22T10:15:00.Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-02-29T10:15:00Z",
        "2026-13-01T10:15:00Z",
        "2026-11-31T10:15:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-11-22T10:15:00Z\n",
        "２０２６-11-22T10:15:00Z",
        1795342500,
        1795342500.5,
        None,
    ],
)
def test_what_is_no_time(written):
    """A time without an offset, that does not exist, or in another form is `invalid`, and named."""
    for routing_key, field in (("order.completed", "completedAt"), ("payment.received", "receivedAt")):
        refusal = refused(routing_key, change(MESSAGES[routing_key], field, written))
        assert (refusal.code, field in refusal.detail) == ("invalid", True)


@pytest.mark.parametrize("written", ["2026-11-30", "2028-02-29", "9999-12-31"])
def test_a_date(written):
    """An ISO 8601 date."""
    fact = accepted("settlement.close", change(CLOSING, "periodEnd", written)).fact
    assert isinstance(fact, Closing)
    assert fact.period_end.isoformat() == written


@pytest.mark.parametrize(
    "written",
    [
        "2026-02-29",
        "2026-11-31",
        "2026-00-10",
        "20261130",
        "2026-W48-1",
        "2026-11-30T00:00:00Z",
        "30.11.2026",
        20261130,
    ],
)
def test_what_is_no_date(written):
    """A date that does not exist or in another form is `invalid`, and named."""
    refusal = refused("settlement.close", change(CLOSING, "periodEnd", written))
    assert (refusal.code, "periodEnd" in refusal.detail) == ("invalid", True)


# -- accounts


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("@type", "CheckingAccount", "@type"),
        ("settlementTerms", ..., "settlementTerms"),
        ("@type", "BillingAccount", "settlementTerms"),
        ("settlementTerms.accrueOn", "order", "settlementTerms.accrueOn"),
        ("relatedParty", ..., "relatedParty"),
        ("relatedParty", {}, "relatedParty"),
        ("paymentTermDays", -1, "paymentTermDays"),
        ("paymentTermDays", "30", "paymentTermDays"),
        ("paymentTermDays", 1.5, "paymentTermDays"),
        ("paymentTermDays", 10**9, "paymentTermDays"),
    ],
)
def test_an_account_that_does_not_fit(field, value, named):
    """An unknown type, terms on the wrong type, no related party, odd terms: `invalid`, and named."""
    refusal = refused("account.create", change(ACCOUNT, field, value))
    assert refusal.code == "invalid"
    assert named in refusal.detail


@pytest.mark.parametrize("party", [..., None])
@pytest.mark.parametrize("kind", ["BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount"])
def test_an_account_needs_a_related_party(kind, party):
    """Without one, or with null, it is `invalid`, and `relatedParty` is named."""
    account = change(ACCOUNT, "@type", kind)
    if kind != "SettlementAccount":
        account = change(account, "settlementTerms", ...)
    accepted("account.create", account)
    refusal = refused("account.create", change(account, "relatedParty", party))
    assert (refusal.code, refusal.detail.startswith("relatedParty: ")) == ("invalid", True)


@pytest.mark.parametrize("kind", ["BillingAccount", "PartyAccount", "FinancialAccount"])
def test_every_type_of_account(kind):
    """Each type of TMF666 is opened; `accrueOn` and the term have their defaults."""
    fact = accepted("account.create", change(change(ACCOUNT, "@type", kind), "settlementTerms", ...)).fact
    assert isinstance(fact, NewAccount)
    assert (fact.type, fact.payment_term_days, fact.settlement_terms) == (kind, 30, None)
    partner = accepted("account.create", change(ACCOUNT, "settlementTerms.accrueOn", ...)).fact
    assert isinstance(partner, NewAccount)
    assert partner.settlement_terms == SettlementTerms(Decimal("0.8"), "invoice")


# -- size, depth, number


def test_a_body_of_one_mebibyte():
    """1,048,576 bytes are read, one more is `malformed`, and says how many there are."""
    text = body(ORDER)
    accepted("order.completed", text + b" " * (2**20 - len(text)))
    refusal = refused("order.completed", text + b" " * (2**20 + 1 - len(text)))
    assert refusal.code == "malformed"
    assert "1048577" in refusal.detail
    assert "1048576" in refusal.detail


def nested(depth: int) -> Raw:
    """A JSON array in an array … `depth` deep."""
    return Raw("[" * depth + "]" * depth)


def test_json_of_depth_32():
    """The message is one level, what nests in it may have 31 more; one more than that is `malformed`, at any depth."""
    accepted("order.completed", {**ORDER, "x": nested(31)})
    for depth in (32, 100, 1_000, 100_000, 500_000):
        since = time.process_time()
        refusal = refused("order.completed", {**ORDER, "x": nested(depth)})
        assert refusal.code == "malformed"
        assert time.process_time() - since < 5
    assert "32" in refused("order.completed", {**ORDER, "x": nested(32)}).detail


def test_objects_count_for_depth_and_neighbours_do_not():
    """Depth is what is nested, not how much there is."""
    deep = Raw('{"x":' * 31 + "1" + "}" * 31)
    accepted("order.completed", {**ORDER, "x": deep})
    assert refused("order.completed", {**ORDER, "x": Raw('{"x":' * 32 + "1" + "}" * 32)}).code == "malformed"
    accepted("order.completed", {**ORDER, "x": [[[]], {}] * 1_000})


def items(count: int) -> list[dict[str, Any]]:
    """That many lines of an order."""
    return [{**ORDER["items"][0], "id": str(n)} for n in range(count)]


def test_an_order_has_1_to_1000_items():
    """A thousand items are read; none, or one more, are `invalid`, and `items` is named."""
    fact = accepted("order.completed", change(ORDER, "items", items(1000))).fact
    assert isinstance(fact, Order)
    assert len(fact.items) == 1000
    for count, why in ((0, "items: must hold at least one"), (1001, "items: holds 1001, more than 1000")):
        refusal = refused("order.completed", change(ORDER, "items", items(count)))
        assert (refusal.code, refusal.detail) == ("invalid", why)


@pytest.mark.parametrize("count", [1, 1000, 1001])
def test_a_bad_line_says_nothing_of_how_many_there_are(count):
    """Where a line is wrong the detail names it, and not a number of lines that is counted without it."""
    refusal = refused("order.completed", change(ORDER, "items", [{**items(1)[0], "id": "a b"}, *items(count)[1:]]))
    assert refusal.code == "invalid"
    assert refusal.detail.startswith("items.0.id: must be an id")
    assert "hold" not in refusal.detail


def test_a_line_has_its_own_id():
    """Two lines of one id can't be told apart in an accrual: `invalid`."""
    refusal = refused("order.completed", change(ORDER, "items.1.id", "1"))
    assert (refusal.code, "items" in refusal.detail) == ("invalid", True)


def test_a_payment_names_up_to_100_invoices():
    """A hundred invoices may be named, one more is `invalid`, and `invoices` is named."""
    accepted("payment.received", change(PAYMENT, "invoices", [f"INV-{n}" for n in range(100)]))
    refusal = refused("payment.received", change(PAYMENT, "invoices", [f"INV-{n}" for n in range(101)]))
    assert (refusal.code, refusal.detail) == ("invalid", "invoices: holds 101, more than 100")


def test_a_payment_may_name_no_invoice():
    """An empty list of names is a payment that names none."""
    fact = accepted("payment.received", change(PAYMENT, "invoices", [])).fact
    assert isinstance(fact, ReceivedPayment)
    assert fact.invoices == ()


# -- what an order comes to


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("items.0.quantity", -1, "items: the invoice's total is "),
        ("items.0.quantity", "99999999999", "items.0: the net comes to "),
        ("items.1.unitPrice", "-99999999999", "items.1: the net comes to "),
        ("items.0.unitPrice", "90000000000", "items: the invoice's total comes to "),
    ],
)
def test_an_order_is_worked_out_when_it_is_read(field, value, named):
    """A total below zero or an amount beyond the limit is `invalid` at the door; a corrected order may follow."""
    good = {**ORDER, "orderId": "O-1"}
    wrong = one("order.completed", change(good, field, value))
    assert wrong.refusal is not None
    assert (wrong.refusal.code, wrong.fact) == ("invalid", None)
    assert wrong.refusal.detail.startswith(named)
    assert wrong.identity == f"unreadable:{wrong.digest}"
    assert accepted("order.completed", good).identity == "order.completed:O-1"


# -- arrays


def many(count: int) -> list[object]:
    """That many closings."""
    return [change(CLOSING, "closingId", f"C-{n}") for n in range(1, count + 1)]


def test_an_array_carries_many_facts():
    """Each fact has its own identity, its own text and a message id that counts; all in the order of the array."""
    text = b' [ {"closingId": "C-1", "settlementAccount": {"id": "SA-1"}, "periodEnd": "2026-11-30"} ,\n' + body(PAYOUT)
    text += b"\t]\r\n"
    first, second = read("settlement.close", text, "m-1", {}, None)
    assert (first.identity, first.message_id) == ("settlement.close:C-1", "m-1:1")
    assert first.body == b'{"closingId": "C-1", "settlementAccount": {"id": "SA-1"}, "periodEnd": "2026-11-30"}'
    assert (second.message_id, second.body) == ("m-1:2", body(PAYOUT))
    assert second.refusal is not None
    alone = read("settlement.close", body(many(1)), None, {}, None)
    assert [(fact.identity, fact.message_id) for fact in alone] == [("settlement.close:C-1", None)]


@pytest.mark.parametrize("count", [1, 2, 500])
def test_an_array_has_up_to_500_facts(count):
    """One to five hundred facts are read, all of them."""
    facts = read("settlement.close", body(many(count)), "m-1", {}, None)
    assert [fact.identity for fact in facts] == [f"settlement.close:C-{n}" for n in range(1, count + 1)]
    assert all(fact.refusal is None for fact in facts)


@pytest.mark.parametrize("text", [body(many(501)), b"[]", b" [ ] "])
def test_an_array_of_none_or_too_many_is_refused_whole(text):
    """No fact, or 501, are one refusal as `invalid`."""
    assert refused("settlement.close", text).code == "invalid"


@pytest.mark.parametrize("good", [b"{}", b"1", body(CLOSING)])
@pytest.mark.parametrize("pattern", [b"[%s", b"[%s,", b"[%s,]", b"[,%s]", b"[%s %s]", b"[%s]]", b"[%s],", b"[%s}"])
def test_a_broken_array_is_refused_whole(good, pattern):
    """An array that is not JSON is one `malformed` refusal, and nothing of it is applied."""
    refusal = refused("settlement.close", pattern.replace(b"%s", good))
    assert refusal.code == "malformed"
    assert "JSON" in refusal.detail


@pytest.mark.parametrize(
    "bad",
    [
        {"closingId": "a b"},
        change(CLOSING, "periodEnd", "soon"),
        [],
        [CLOSING],
        None,
        7,
        "text",
        # Defects until they pass: one number that can't be read takes the facts beside it along.
        pytest.param(change(CLOSING, "periodEnd", Raw("NaN")), id="NaN"),
        pytest.param(change(CLOSING, "periodEnd", Raw("9" * 5_000)), id="5000 digits"),
    ],
)
def test_one_bad_fact_among_good_ones_stands_alone(bad):
    """The facts beside a bad one are read as if it was not there; it is refused with its own text."""
    first, second, third = read("settlement.close", body([many(2)[0], bad, many(2)[1]]), "m-1", {}, None)
    assert (first.refusal, third.refusal) == (None, None)
    assert second.refusal is not None
    assert (second.refusal.code, second.message_id, second.body) == ("invalid", "m-1:2", body(bad))
    assert [first.identity, third.identity] == ["settlement.close:C-1", "settlement.close:C-2"]


@pytest.mark.parametrize("depth", [32, 100, 500])
def test_a_fact_that_is_too_deep_stands_alone_too(depth):
    """Of an array only the fact that is nested too deep is `malformed`; the array itself is no level of its facts."""
    deep = {**CLOSING, "x": nested(depth)}
    good, also_good = ({**fact, "x": nested(31)} for fact in (change(CLOSING, "closingId", f"C-{n}") for n in (1, 2)))
    first, second, third = read("settlement.close", body([good, deep, also_good]), "m-1", {}, None)
    assert (first.refusal, third.refusal) == (None, None)
    assert [first.identity, third.identity] == ["settlement.close:C-1", "settlement.close:C-2"]
    assert (first.message_id, third.message_id) == ("m-1:1", "m-1:3")
    assert second.refusal is not None
    assert (second.refusal.code, "32" in second.refusal.detail) == ("malformed", True)
    assert (second.identity, second.fact) == (f"unreadable:{second.digest}", None)
    assert (second.message_id, second.body) == ("m-1:2", body(deep))


# -- what cannot be read


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"{}{}",
        b"{'a': 1}",
        b"{,}",
        b'{"a": 01}',
        b'{"a": .5}',
        b'{"a": +1}',
        b"nothing",
        b"\x00",
        body(ORDER)[:-1],
        body(ORDER) + b"x",
        body(ORDER).replace(b'"currency":', b'"currency'),
        b'{"a": "\x01"}',
        b'{"a": "\\x"}',
        b'{"a": "\\u12"}',
        b"\xff" + body(ORDER),
        json.dumps(ORDER).encode("utf-16"),
        '{"name": "Café"}'.encode("latin-1"),
        b'{"a": "\xed\xa0\x80"}',  # a surrogate, written as if it were a character
    ],
)
@pytest.mark.parametrize("routing_key", ["order.completed", "account.create"])
def test_what_is_not_json_in_utf8_is_malformed(routing_key, text):
    """Anything but JSON in UTF-8 is `malformed`, with a detail that says what is wrong."""
    refusal = refused(routing_key, text)
    assert refusal.code == "malformed"
    assert "JSON" in refusal.detail or "UTF-8" in refusal.detail


@pytest.mark.parametrize("text", [b"null", b"1", b'"text"', b"true", b"{}"])
@pytest.mark.parametrize("routing_key", MESSAGES)
def test_json_that_is_no_message_is_invalid(routing_key, text):
    """JSON that says nothing of the kind is `invalid`."""
    assert refused(routing_key, text).code == "invalid"


def test_other_encodings_are_malformed():
    """A body that says it is packed in a way that we do not know is not read; UTF-8, by either name, is."""
    [zipped] = read("order.completed", body(ORDER), "m-1", {}, "br")
    assert zipped.refusal is not None
    assert (zipped.refusal.code, "'br'" in zipped.refusal.detail) == ("malformed", True)
    for encoding in (None, "", "utf-8", "UTF-8", "utf8"):
        [plain] = read("order.completed", body(ORDER), "m-1", {}, encoding)
        assert plain.refusal is None


@pytest.mark.parametrize(
    "routing_key", ["order.cancelled", "", "order", "Order.Completed", "order.completed ", "é\ud800"]
)
def test_a_type_that_nothing_handles(routing_key):
    """A routing key without a handler is `unknown-type`, whatever the body."""
    for text in (body(ORDER), b"\xff"):
        refusal = refused(routing_key, text)
        assert refusal.code == "unknown-type"
        assert repr(routing_key) in refusal.detail


def test_another_version_of_the_schema_is_invalid():
    """The header `schema-version` is 1 or absent; another says that we can't know what the message says."""
    for version in (1, "1"):
        [fact] = read("order.completed", body(ORDER), "m-1", {"schema-version": version}, None)
        assert fact.refusal is None
    for unknown in (2, "2", 0, None, "one", [1]):
        [fact] = read("order.completed", body(ORDER), "m-1", {"schema-version": unknown}, None)
        assert fact.refusal is not None
        assert (fact.refusal.code, "schema-version" in fact.refusal.detail) == ("invalid", True)
