"""A fact's identity is its type and business key; its content is compared by a digest of what it says."""

import json
import re
from hashlib import sha256
from typing import Any

import pytest

from domain.accounts.model import NewAccount
from schemas.incoming import read
from schemas.message import DIGEST_VERSION
from tests.schemas.letters import (
    ACCOUNT,
    MESSAGES,
    ORDER,
    PAYMENT,
    PAYOUT,
    Raw,
    accepted,
    body,
    change,
    one,
    refused,
)

# -- identity


@pytest.mark.parametrize(
    ("routing_key", "identity"),
    [
        ("account.create", "account.create:SA-1"),
        ("order.completed", "order.completed:O-1001"),
        ("payment.received", "payment.received:P-1"),
        ("settlement.close", "settlement.close:C-1"),
        ("payout.completed", "payout.completed:PO-1"),
        ("credit-note.issue", "credit-note.issue:N-1"),
        ("refund.completed", "refund.completed:R-1"),
        ("payment.reversed", "payment.reversed:X-1"),
        ("invoice.write-off", "invoice.write-off:W-1"),
        ("dispute.open", "dispute.open:D-1"),
        ("dispute.settle", "dispute.settle:D-1"),
        ("dispute.withdraw", "dispute.withdraw:D-1"),
        ("payout.returned", "payout.returned:PR-1"),
        ("settlement.adjust", "settlement.adjust:A-1"),
        ("statement.report", "statement.report:R-1"),
        ("credit.grant", "credit.grant:C-1"),
        ("credit.transfer", "credit.transfer:T-1"),
        ("charge.add", "charge.add:C-1"),
        ("subscription.create", "subscription.create:S-1"),
        ("usage.record", "usage.record:U-1"),
        ("bill.demand", "bill.demand:D-1"),
        ("payment.promise", "payment.promise:PR-1"),
        ("payment.failed", "payment.failed:INV-000000001"),
        ("bill-run.start", "bill-run.start:R-1"),
    ],
)
def test_the_identity_is_type_and_business_key(routing_key, identity):
    """The message's id plays no part where there is a business key, and need not be there."""
    for message_id in (None, "m-1", "m-2", "not an id"):
        assert accepted(routing_key, MESSAGES[routing_key], message_id).identity == identity


def test_an_account_without_an_id_is_known_by_its_message():
    """Its key is the message's id; the id that it gets is made of that, so that a second delivery makes the same."""
    without = change(ACCOUNT, "id", ...)
    first, again = accepted("account.create", without, "m-1"), accepted("account.create", without, "m-1")
    other = accepted("account.create", without, "m-2")
    assert (first.identity, other.identity) == ("account.create:m-1", "account.create:m-2")
    assert first == again
    assert isinstance(first.fact, NewAccount)
    assert isinstance(other.fact, NewAccount)
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", first.fact.id)
    assert first.fact.id != other.fact.id
    assert first.digest == other.digest


@pytest.mark.parametrize("message_id", [None, "", "a b", "x" * 129])
def test_an_account_with_neither_id_needs_one(message_id):
    """Without an id of its own and a usable message id it is `invalid`, and the detail says what is missing."""
    refusal = refused("account.create", change(ACCOUNT, "id", ...), message_id)
    assert refusal.code == "invalid"
    assert "message_id" in refusal.detail


def test_accounts_of_an_array_are_known_by_their_place():
    """`<message_id>:<n>` is the key of the n-th account without an id."""
    without = change(ACCOUNT, "id", ...)
    facts = read("account.create", body([without, ACCOUNT, without]), "m-1", {}, None)
    assert [fact.identity for fact in facts] == ["account.create:m-1:1", "account.create:SA-1", "account.create:m-1:3"]


def test_accounts_of_an_array_may_have_a_message_id_of_full_length():
    """A message id of 128 characters is as good for an array as for one message."""
    facts = read("account.create", body([change(ACCOUNT, "id", ...)]), "m" * 128, {}, None)
    assert [fact.refusal for fact in facts] == [None]


def test_what_cannot_be_read_is_known_by_its_bytes():
    """The digest of routing key and bytes is the key: the same again is the same, other bytes or keys are not."""
    unreadable = one("order.completed", b"\xff")
    digest = sha256(b"order.completed\x00\xff").hexdigest()
    assert unreadable.identity == f"unreadable:{digest}"
    assert one("order.completed", b"\xff", "m-2").identity == unreadable.identity
    assert one("order.completed", b"\xfe").identity != unreadable.identity
    assert one("payment.received", b"\xff").identity != unreadable.identity
    assert one("unknown", b"\xff").identity not in (unreadable.identity, one("unknown", b"\xfe").identity)


# -- content


def digest_of(routing_key: str, message: Any) -> str:
    """The digest of a message that is fine."""
    return accepted(routing_key, message).digest


@pytest.mark.parametrize("rate", [Raw("0.2"), Raw("0.20"), "0.200", "0.20000000", "00.2"])
def test_one_decimal_has_one_digest(rate):
    """0.2, 0.20 and "0.200" are one rate."""
    assert digest_of("order.completed", change(ORDER, "items.0.tax.rate", rate)) == digest_of("order.completed", ORDER)


@pytest.mark.parametrize(
    ("routing_key", "field", "same"),
    [
        ("order.completed", "items.0.quantity", [1, Raw("1.0"), "1", "1.000"]),
        ("order.completed", "items.0.quantity", [0, Raw("-0.0"), "0.00"]),
        ("order.completed", "items.0.quantity", [10, "10.0", Raw("10.00")]),
        ("payment.received", "amount.value", [Raw("57.46"), "57.46", Raw("57.460")]),
        ("payment.received", "amount.value", [20, "20", "20.00", Raw("20.0")]),
        ("account.create", "settlementTerms.partnerShare", [1, "1", "1.0", Raw("1.00")]),
        ("account.create", "settlementTerms.partnerShare", [Raw("0.80"), "0.8"]),
        (
            "account.create",
            "creditLimit",
            [{"unit": "EUR", "value": Raw("0.5")}, {"unit": "EUR", "value": Raw("0.50")}],
        ),
    ],
)
def test_one_number_has_one_digest_however_it_is_written(routing_key, field, same):
    """As a number or a string, with or without zeros at its end, a decimal or amount is one content."""
    assert len({digest_of(routing_key, change(MESSAGES[routing_key], field, written)) for written in same}) == 1


def test_one_credit_limit_has_one_digest():
    """1000, 1000.0 and 1000.00 are one amount in a field of TMF666, too."""
    written = [1000, Raw("1000.0"), Raw("1000.00")]
    limits = [{**ACCOUNT, "creditLimit": {"unit": "EUR", "value": value}} for value in written]
    assert len({digest_of("account.create", limit) for limit in limits}) == 1


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T10:15:00+00:00",
        "2026-11-22t10:15:00z",
        "2026-11-22T10:15:00.000Z",
        "2026-11-22T16:00:00+05:45",
        "2026-11-21T22:15:00-12:00",
    ],
)
def test_one_moment_has_one_digest(written):
    """A time is the same in whatever offset it is said."""
    assert digest_of("order.completed", change(ORDER, "completedAt", written)) == digest_of("order.completed", ORDER)


def turned(value: Any) -> Any:
    """The same JSON with the fields of every object the other way round."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("routing_key", MESSAGES)
def test_how_it_is_written_does_not_count(routing_key):
    """Unknown fields, the order of fields, white space and escapes are no content."""
    message = MESSAGES[routing_key]
    digest = digest_of(routing_key, message)
    assert digest_of(routing_key, {**message, "unheardOf": 1}) == digest
    assert digest_of(routing_key, turned(message)) == digest
    assert digest_of(routing_key, json.dumps(message, indent=3).encode()) == digest
    escaped = re.sub("[A-Za-z]", lambda letter: f"\\u{ord(letter[0]):04x}", "SA-1")
    assert digest_of(routing_key, body(message).replace(b"SA-1", escaped.encode())) == digest


def test_unknown_fields_within_do_not_count():
    """An unknown field of a line, a reference or an amount is no content either."""
    line = {**ORDER["items"][0], "unheardOf": 1, "tax": {**ORDER["items"][0]["tax"], "@type": "Tax"}}
    assert digest_of("order.completed", change(ORDER, "items.0", line)) == digest_of("order.completed", ORDER)
    reference = {"id": "BA-1", "@type": "BillingAccountRef", "name": "Ada"}
    for routing_key in ("order.completed", "payment.received"):
        message = MESSAGES[routing_key]
        assert digest_of(routing_key, change(message, "billingAccount", reference)) == digest_of(routing_key, message)
    amount = {"unit": "EUR", "value": "57.46", "@type": "Money"}
    assert digest_of("payment.received", change(PAYMENT, "amount", amount)) == digest_of("payment.received", PAYMENT)


def test_a_default_is_what_it_stands_for():
    """Saying the default is saying nothing."""
    terms = change(ACCOUNT, "settlementTerms.accrueOn", ...)
    assert digest_of("account.create", {**ACCOUNT, "paymentTermDays": 30}) == digest_of("account.create", ACCOUNT)
    assert digest_of("account.create", change(terms, "settlementTerms.accrueOn", "invoice")) == digest_of(
        "account.create", terms
    )


@pytest.mark.parametrize("field", ["description", "creditLimit", "contact", "state", "paymentPlan"])
def test_a_null_field_of_an_account_is_no_content(field):
    """A field of TMF666 that is null says as much as one that is absent, and is not kept."""
    null = accepted("account.create", {**ACCOUNT, field: None})
    assert null.digest == digest_of("account.create", ACCOUNT)
    assert isinstance(null.fact, NewAccount)
    assert field not in null.fact.document


@pytest.mark.parametrize(
    ("routing_key", "field", "value"),
    [
        ("account.create", "id", "SA-2"),
        ("account.create", "name", "Another studio"),
        ("account.create", "description", "x"),
        ("account.create", "currency", "USD"),
        ("account.create", "paymentTermDays", 31),
        ("account.create", "settlementTerms.partnerShare", 0.81),
        ("account.create", "settlementTerms.accrueOn", "invoice"),
        ("account.create", "relatedParty.0.role", "owner"),
        ("account.create", "creditLimit", {"unit": "EUR", "value": 1}),
        ("order.completed", "orderId", "O-1002"),
        ("order.completed", "completedAt", "2026-11-22T10:15:01Z"),
        ("order.completed", "billingAccount.id", "BA-2"),
        ("order.completed", "currency", "USD"),
        ("order.completed", "items.0.id", "3"),
        ("order.completed", "items.0.description", "Fibre 500"),
        ("order.completed", "items.0.quantity", 2),
        ("order.completed", "items.0.unitPrice", "39.91"),
        ("order.completed", "items.0.tax.category", "AA"),
        ("order.completed", "items.0.tax.rate", "0.21"),
        ("order.completed", "items.1.onBehalfOf.id", "SA-2"),
        ("order.completed", "items.1.onBehalfOf", ...),
        ("order.completed", "items.1", ...),
        ("payment.received", "amount.value", 57.47),
        ("payment.received", "amount.unit", "USD"),
        ("payment.received", "receivedAt", "2026-11-22T11:00:01Z"),
        ("payment.received", "billingAccount.id", "BA-2"),
        ("payment.received", "method", "card"),
        ("payment.received", "invoices", ["INV-000000002"]),
        ("payment.received", "invoices", ["INV-000000001 "]),
        ("payment.received", "invoices", []),
        ("settlement.close", "settlementAccount.id", "SA-2"),
        ("settlement.close", "periodEnd", "2026-12-31"),
        ("payout.completed", "settlementAccount.id", "SA-2"),
        ("payout.completed", "settlementId", "C-2"),
        ("payout.completed", "amount.value", "6.39"),
        ("credit-note.issue", "billNo", "INV-000000002"),
        ("credit-note.issue", "issuedAt", "2026-11-23T09:00:01Z"),
        ("credit-note.issue", "reason", "broken"),
        ("credit-note.issue", "lines", ...),
        ("credit-note.issue", "lines.0.taxExcludedAmount.value", "3.98"),
        ("credit-note.issue", "excess", "credit"),
        ("refund.completed", "amount.value", "4.80"),
        ("payout.returned", "payoutId", "PO-2"),
        ("payout.returned", "returnedAt", "2026-12-03T09:00:01Z"),
        ("payout.returned", "reason", "AC06"),
        ("agreement.create", "settlementAccount.id", "SA-2"),
        ("agreement.create", "validFor.startDateTime", "2026-11-01T00:00:01Z"),
        ("agreement.create", "validFor.endDateTime", ...),
        ("agreement.create", "terms.share", "0.74"),
        ("agreement.create", "terms.accrueOn", "invoice"),
        ("agreement.change", "agreementId", "AG-2"),
        ("agreement.change", "ifRevision", 2),
        ("agreement.change", "validFrom", "2026-12-02"),
        ("agreement.change", "terms.share", "0.81"),
        ("agreement.create", "terms.guarantee", {"amount": {"unit": "EUR", "value": 1}, "period": "month"}),
        ("agreement.create", "terms.advance", {"amount": {"unit": "EUR", "value": 1}}),
        ("agreement.create", "terms.holdback", {"rate": "0.1", "releaseAfterDays": 1}),
        ("agreement.change", "terms.payoutThreshold", {"unit": "EUR", "value": 1}),
        ("advance.paid", "agreementId", "AG-2"),
        ("advance.paid", "amount.value", "300.01"),
        ("advance.paid", "paidAt", "2026-11-22T09:00:01Z"),
        ("reserve.release", "settlementId", "C-2"),
        ("reserve.release", "releasedAt", "2026-12-03T09:00:01Z"),
        ("reserve.release", "amount", ...),
        ("reserve.release", "amount.value", "40.01"),
        ("settlement.adjust", "settlementAccount.id", "SA-2"),
        ("settlement.adjust", "amount.value", "0.38"),
        ("settlement.adjust", "date", "2026-11-25"),
        ("settlement.adjust", "reason", "agreed"),
        ("settlement.adjust", "corrects", ...),
        ("settlement.adjust", "corrects.lineId", "1"),
        ("self-billing.accept", "number", "SB-SA-1-000000002"),
        ("self-billing.accept", "at", "2026-12-03T09:00:01Z"),
        ("self-billing.dispute", "number", "SB-SA-1-000000002"),
        ("self-billing.dispute", "at", "2026-12-03T09:00:01Z"),
        ("self-billing.dispute", "reason", "two lines are missing"),
        ("agreement.create", "terms.selfBilling", {"series": "SB-", "tax": {"category": "S", "rate": "0.2"}}),
        (
            "agreement.create",
            "terms.fixedFee",
            {"amount": {"unit": "EUR", "value": 1}, "period": "month", "tax": {"category": "S", "rate": "0.2"}},
        ),
        ("statement.report", "settlementId", "C-1"),
        ("statement.report", "tolerance", ...),
        ("statement.report", "tolerance.value", "0.04"),
        ("statement.report", "lines", []),
        ("credit.grant", "billingAccount.id", "BA-2"),
        ("credit.grant", "amount.value", "4.80"),
        ("credit.grant", "grantedAt", "2026-11-24T10:00:01Z"),
        ("credit.grant", "reason", "so sorry"),
        ("charge.add", "billingAccount.id", "BA-2"),
        ("charge.add", "date", "2026-11-23"),
        ("charge.add", "currency", "USD"),
        ("charge.add", "item.id", "2"),
        ("charge.add", "item.unitPrice", "-19.94"),
        ("charge.add", "item.quantity", 2),
        ("charge.add", "item.tax.rate", "0.19"),
        ("charge.add", "periodCoverage", ...),
        ("charge.add", "periodCoverage.endDateTime", "2026-12-02T00:00:00Z"),
        ("charge.add", "subscriptionId", ...),
        ("charge.add", "corrects", ...),
        ("charge.add", "corrects.lineId", "2"),
        ("subscription.create", "billingAccount.id", "BA-2"),
        ("subscription.create", "startDate", "2026-11-23"),
        ("subscription.create", "currency", "USD"),
        ("subscription.create", "name", ...),
        ("subscription.create", "trialEndDate", ...),
        ("subscription.create", "terminationDate", ...),
        ("subscription.create", "billingAnchor", ...),
        *[
            ("subscription.create", f"productPrice.{field}", value)
            for field, value in (
                ("0.id", "P-9"),
                ("0.name", "fibre"),
                ("0.unitPrice", "39.91"),
                ("0.quantity", 2),
                ("0.billed", "inArrears"),
                ("0.recurringChargePeriodType", "week"),
                ("0.recurringChargePeriodLength", 2),
                ("0.tax.rate", "0.19"),
                ("0.onBehalfOf", ...),
                ("0.proration", "none"),
                ("2.unitOfMeasure", "MB"),
                ("2.tiers.mode", "volume"),
                ("2.tiers.steps.0.upTo", 11),
                ("2.tiers.steps.0.flatFee", ...),
                ("2.tiers.steps.1.unitPrice", "0.06"),
                ("3.amount", "9.91"),
            )
        ],
        ("subscription.change", "subscriptionId", "S-2"),
        ("subscription.change", "effectiveDate", "2026-12-25"),
        ("subscription.change", "ifRevision", ...),
        ("subscription.change", "changes.name", ...),
        ("subscription.change", "changes.name", "Home"),
        ("subscription.change", "changes.productPrice", ...),
        ("subscription.change", "changes.billingAnchor", None),
        ("subscription.terminate", "effectiveDate", "2026-12-25"),
        ("usage.record", "subscriptionId", "S-2"),
        ("usage.record", "usageDate", "2026-11-22T10:15:00Z"),
        ("usage.record", "priceId", "P-4"),
        ("usage.record", "quantity", "2.51"),
        ("bill.demand", "billingAccount.id", "BA-2"),
        ("bill.demand", "billingDate", ...),
        ("bill.demand", "billingDate", "2026-11-23"),
        ("payment.promise", "billingAccount.id", "BA-2"),
        ("payment.failed", "reason", "MD06"),
        ("payment.failed", "failedAt", "2026-11-24T09:00:01Z"),
        ("payment.promise", "until", "2026-12-25"),
        ("payment.promise", "amount", ...),
        ("payment.promise", "amount.value", 19.96),
        ("bill-run.start", "cycleSpecification.id", "OTHER"),
        ("bill-run.start", "billingDate", "2026-11-23"),
        ("credit.transfer", "from.id", "BA-3"),
        ("credit.transfer", "to.id", "BA-3"),
        ("credit.transfer", "amount.value", "4.80"),
        ("credit.transfer", "transferredAt", "2026-11-24T11:00:01Z"),
        ("credit.transfer", "reason", "another account"),
        ("credit.transfer", "paymentId", ...),
        ("payment.reversed", "paymentId", "P-2"),
        ("payment.reversed", "amount", ...),
        ("payment.reversed", "fee", ...),
        ("payment.reversed", "reason", "MD06"),
        ("payment.reversed", "reversedAt", "2026-11-25T09:00:01Z"),
        ("invoice.write-off", "billNo", "INV-000000002"),
        ("invoice.write-off", "writtenOffAt", "2026-11-26T09:00:01Z"),
        ("invoice.write-off", "reason", "gone"),
        ("invoice.write-off", "amount", ...),
        ("invoice.write-off", "taxRelief", False),
        ("dispute.open", "billNo", "INV-000000002"),
        ("dispute.open", "openedAt", "2026-11-23T10:00:01Z"),
        ("dispute.open", "reason", "broken"),
        ("dispute.open", "items.0.taxExcludedAmount.value", "3.98"),
        ("dispute.settle", "settledAt", "2026-11-24T10:00:01Z"),
        ("dispute.settle", "approved.0.lineId", "1"),
        ("dispute.settle", "approved", []),
        ("dispute.withdraw", "withdrawnAt", "2026-11-24T10:00:01Z"),
        ("refund.completed", "creditNoteId", ...),
        ("refund.completed", "paymentId", "P-2"),
        ("refund.completed", "refundedAt", "2026-11-24T09:00:01Z"),
        ("refund.completed", "method", ...),
    ],
)
def test_other_content_has_another_digest(routing_key, field, value):
    """Each field that is known counts."""
    message = MESSAGES[routing_key]
    assert digest_of(routing_key, change(message, field, value)) != digest_of(routing_key, message)


def test_the_order_of_lines_and_names_counts():
    """Lines have an order, and so have the invoices that a payment names."""
    other_way = {**ORDER, "items": ORDER["items"][::-1]}
    assert digest_of("order.completed", other_way) != digest_of("order.completed", ORDER)
    named = change(PAYMENT, "invoices", ["A", "B"])
    assert digest_of("payment.received", named) != digest_of("payment.received", change(named, "invoices", ["B", "A"]))


# What version 1 made of a message of each type.
PINNED = {
    "account.create": "17b4b9eed38ddd3dee036f738a29538e86acc918e7755dd5c0bb0126e7c6b8f6",
    "order.completed": "3f780a96f4d2df2c383c693d38b9686173d61925c08e94d0e6692c92d99027e8",
    "payment.received": "725de75a5ddcf799d473666f470994b19dd4f5f144708001e44b0b20733a802d",
    "settlement.close": "acaee2019da3c0f495a84bb63755bcac10c5676af2f498173c443e0d7afef09a",
    "refund.completed": "a57af4cda9b765b1d85139fbe868adb8f344486d0cd5b50bf8f8bae2fabdf3d1",
    "payment.reversed": "26daab37c72e7ee8755092285456a7c77e471633e9b7c8a3938d0c089aeeca6d",
    "agreement.create": "fb49e4101a51a82dee4a66b032d7aca8de4daae66a220a1a3f6e2a54701e471a",
    "agreement.change": "a987158261b9cc00079c61e92428901f3f51f5f6e19678b133c80a3b2f9b4e08",
    "advance.paid": "9765d8ee3cd18656c8518764573f8293e1e71507488b3905801463eca1fc9db2",
    "reserve.release": "0375579b2955c04e85151636f34e9a7da21e031b2260ff709fcd1112e9e23078",
    "settlement.adjust": "0ca89101868c9adf7949b68dd77ed5921645d4d4c53fe46aea3cef7255fff771",
    "self-billing.accept": "90807b56c38b4865de027711468d9704626fa2c92d29eb2733feefe5bc234cea",
    "self-billing.dispute": "3aba2cade416bf7ab93092580382a4b3be737ca378de97be96953eb0fe487ec7",
    "statement.report": "b3035af2d467f6c023f488ae8bca52bc9a87219823578fef12f01c0caa147ba5",
    "payout.returned": "17b2826c4a15749b01f0a5434a7f231c33f575260a5d7dd433d58a4d667188ad",
    "credit.grant": "02d691da27d7b29aa48edb2cc76f75cfc9a833a5b508784589023cf4317b3faf",
    "charge.add": "c55011801acdb32947f04ed4eb10c1649820b971d01d1c3bb47b980397819ec6",
    "subscription.create": "6b166e74fb521e99b2353637381ad1167ce435b00c1608d28773c287f7975310",
    "subscription.change": "9f4c856403f903be3d0dafe8e620d4a52094751f7ffbe6ec8a419a6d2e92ff77",
    "subscription.suspend": "69182d8aedc24f23405de4d9260f72a2f0d671af36e057a0d2b0e823a46a4143",
    "subscription.resume": "69182d8aedc24f23405de4d9260f72a2f0d671af36e057a0d2b0e823a46a4143",
    "usage.record": "7c17cd153b81af1d460cf2b5dcc3aed9befa656d1d695ccd1a3cd03b86575422",
    "subscription.terminate": "69182d8aedc24f23405de4d9260f72a2f0d671af36e057a0d2b0e823a46a4143",
    "bill.demand": "2f8c987b51dcce1523a7cfa076586901be38c725e59dea687d3771d4c8364e09",
    "payment.failed": "d3311ea2695dd499e9584a8514bc8fc84aeda2bfd2709283b76d783b68da5026",
    "payment.promise": "a8bdf0993ce773988e762816da283bc51df693df968b60fd9e4f9e8c7c5341a2",
    "bill-run.start": "0b7b5474fac36952866df20b4479b7d8a51b189db22cf88b138e59fdb99413ff",
    "credit.transfer": "b7a97ad82654d567a2e8123731edfa7c2c951413e97c3b97741f191ac3fc2ce9",
    "credit-note.issue": "b639deb1e330adf1b21231f8f28606f6981863265f432b79d70c3e8fde490ea5",
    "invoice.write-off": "febf8fc66e6129a81c9df1a3bfc29a95ab0f66ba11541b57ef492e677534266b",
    "dispute.open": "afb3e3f6cd6fcf4d7e4d725c3eb9120294bd2767a0861ca9fff4f402cd3341be",
    "dispute.settle": "c8b561964da5eb17f3211d5077a4321ea1b62b76bcf65118799a30c6927b562d",
    "dispute.withdraw": "ea65684a1de3f28a440a7c6a3d80b946fa7094d14bf3ad848f334b10bc29ddfe",
    "payout.completed": "58378ba601db2a39ddfd38f7437ffec38baf32b6a45874e247ca879654e5e544",
}


@pytest.mark.parametrize("routing_key", MESSAGES)
def test_a_digest_is_for_ever(routing_key):
    """The inbox keeps digests for ever: a change of one raises `DIGEST_VERSION` and keeps the old way too."""
    assert DIGEST_VERSION == 1
    fact = accepted(routing_key, MESSAGES[routing_key])
    assert (fact.digest_version, fact.digest) == (1, PINNED[routing_key])


ODD_ORDER = {
    **ORDER,
    "completedAt": "2026-11-22T11:15:00.123456+01:00",
    "currency": "JPY",
    "items": [
        {
            "id": "a.b_c:d-9",
            "quantity": "0010.50",
            "unitPrice": Raw("100.00"),
            "tax": {"category": "AE", "rate": 0},
        },
        {
            "id": "2",
            "description": "Größe 😀",
            "quantity": Raw("-0.0"),
            "unitPrice": "-0.00000001",
            "tax": {"category": "S", "rate": "1.000"},
        },
    ],
}


@pytest.mark.parametrize(
    ("routing_key", "message", "digest"),
    [
        ("order.completed", ODD_ORDER, "e985469ca5fdf4b23808a1793ac04809103e5fdf4b368bc30252faaa68e35ac4"),
        (
            "payment.received",
            {**PAYMENT, "amount": {"unit": "JPY", "value": "99999999999"}, "method": None, "invoices": []},
            "c627fc8b7baca9838aab864cd6c4c6486f23d4e103c9ad25a80e5326fa7e50b8",
        ),
        (
            "payout.completed",
            {**PAYOUT, "settlementId": "C-1-2", "amount": {"unit": "KWD", "value": Raw("1.2350")}},
            "e30751392acad89ff027e2e8d474ec58327d411807e7c9cba2356877f70cc3b7",
        ),
        (
            "account.suspend",
            {"id": "BA-1", "reason": "unpaid", "ifRevision": 3},
            "fba759b22d4d805cd2283fa5ab9822118cd6234ba5ce6ed7c28e222a61838d71",
        ),
        (
            "account.update",
            {"id": "BA-1", "@type": "BillingAccount", "changes": {"name": "New", "description": None}},
            "a0579aa664d3153260f1bd013991d6770198fc08b76cfea9c703fbefce6f83ee",
        ),
    ],
)
def test_a_digest_of_what_is_written_oddly_is_for_ever(routing_key, message, digest):
    """Cut zeros and times, signs of zero, letters beyond ASCII, nulls: each is in the content as it always was."""
    assert digest_of(routing_key, message) == digest


@pytest.mark.parametrize("value", ["50.00", "50", 50.0, 50])
def test_an_amount_of_a_document_is_one_content_however_it_is_written(value):
    """A credit limit is one amount as text or as number, and is kept as a number."""
    limited = accepted("account.create", {**ACCOUNT, "creditLimit": {"unit": "EUR", "value": value}})
    assert limited.digest == digest_of("account.create", {**ACCOUNT, "creditLimit": {"unit": "EUR", "value": 50}})
    assert isinstance(limited.fact, NewAccount)
    assert limited.fact.document["creditLimit"] == {"unit": "EUR", "value": 50}
