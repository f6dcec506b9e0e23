"""Digests are kept for ever, so each version of them goes on giving what it gave: of a message of each type."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from schemas import incoming as reading
from schemas import message as messages
from schemas.incoming import Incoming, read, said
from schemas.message import DIGEST_VERSION, DIGESTS, Message
from schemas.messages import HELD_MESSAGES, INTERNAL_MESSAGES, MESSAGES, internal
from tests.schemas.letters import (
    ACCEPTANCE,
    ACCOUNT,
    ADJUSTMENT,
    ADVANCE,
    AGREEMENT,
    AGREEMENT_CHANGE,
    BILL_RUN,
    CHARGE,
    CLOSING,
    CREDIT_NOTE,
    DEMAND,
    DISPUTE,
    DISPUTE_SETTLING,
    DISPUTE_WITHDRAWAL,
    DOCUMENT_DISPUTE,
    GRANT,
    ORDER,
    PAYMENT,
    PAYMENT_FAILED,
    PAYOUT,
    PROMISE,
    REFUND,
    RELEASE,
    REPORT,
    RETURN,
    REVERSAL,
    SELLER,
    SENDING,
    SUBSCRIPTION,
    SUBSCRIPTION_CHANGE,
    SUBSCRIPTION_COMMAND,
    TRANSFER,
    USAGE,
    VALIDATION,
    WRITE_OFF,
    Json,
    body,
)

COMMAND: Json = {"id": "BA-1", "reason": "as agreed, é", "ifRevision": 2}
FORMAT: Json = {"id": "F-1", "@type": "BillFormat", "name": "Übersicht", "description": "One page", "extra": [1, 2.5]}
MEDIUM: Json = {"id": "F-1", "name": "E-mail", "validFor": {"startDateTime": "2026-01-01T00:00:00+01:00"}}
CYCLE: Json = {"id": "F-1", "name": "Monthly", "billingDateShift": 3, "frequency": "monthly", "note": None}
PATCH: Json = {"id": "F-1", "ifRevision": 4, "changes": {"name": "Other", "description": None}}
PROCEDURE: Json = {
    "id": "F-1",
    "name": "Mild",
    "threshold": {"unit": "EUR", "value": "5.00"},
    "steps": [
        {"after": 5, "action": "remind"},
        {
            "after": 10,
            "action": "charge",
            "item": {"id": "fee", "quantity": 1, "unitPrice": "4.50", "tax": {"category": "E", "rate": 0}},
        },
    ],
}
ACT: Json = {"ids": ["P-1", "P-2", "P-1"], "why": " as agreed "}

SAMPLES: dict[str, Json] = {
    "account.create": ACCOUNT,
    "account.update": {"id": "BA-1", "@type": "BillingAccount", "ifRevision": 1, "changes": {"name": "New"}},
    "account.suspend": COMMAND,
    "account.resume": COMMAND,
    "account.close": COMMAND,
    "account.reopen": COMMAND,
    "account.delete": COMMAND,
    "billing-cycle-specification.create": CYCLE,
    "billing-cycle-specification.update": PATCH,
    "billing-cycle-specification.delete": {"id": "F-1", "ifRevision": 4},
    "bill-format.create": FORMAT,
    "bill-format.update": PATCH,
    "bill-format.delete": {"id": "F-1"},
    "bill-presentation-media.create": MEDIUM,
    "bill-presentation-media.update": PATCH,
    "bill-presentation-media.delete": {"id": "F-1", "ifRevision": 4},
    "dunning-procedure.create": PROCEDURE,
    "dunning-procedure.update": PATCH,
    "dunning-procedure.delete": {"id": "F-1", "ifRevision": 4},
    "seller.update": SELLER,
    "order.completed": ORDER,
    "payment.received": PAYMENT,
    "settlement.close": CLOSING,
    "payout.completed": PAYOUT,
    "credit-note.issue": CREDIT_NOTE,
    "refund.completed": REFUND,
    "payment.reversed": REVERSAL,
    "invoice.write-off": WRITE_OFF,
    "dispute.open": DISPUTE,
    "dispute.settle": DISPUTE_SETTLING,
    "dispute.withdraw": DISPUTE_WITHDRAWAL,
    "invoice.validate": VALIDATION,
    "invoice.send": SENDING,
    "payout.returned": RETURN,
    "settlement.adjust": ADJUSTMENT,
    "statement.report": REPORT,
    "agreement.create": AGREEMENT,
    "agreement.change": AGREEMENT_CHANGE,
    "advance.paid": ADVANCE,
    "reserve.release": RELEASE,
    "self-billing.accept": ACCEPTANCE,
    "self-billing.dispute": DOCUMENT_DISPUTE,
    "credit.grant": GRANT,
    "credit.transfer": TRANSFER,
    "charge.add": CHARGE,
    "subscription.create": SUBSCRIPTION,
    "subscription.change": SUBSCRIPTION_CHANGE,
    "subscription.suspend": SUBSCRIPTION_COMMAND,
    "subscription.resume": SUBSCRIPTION_COMMAND,
    "subscription.terminate": SUBSCRIPTION_COMMAND,
    "usage.record": USAGE,
    "subscription.turn": {"subscriptionId": "S-1", "revision": 2, "date": "2026-12-24"},
    "bill.demand": DEMAND,
    "bill.continue": {**DEMAND, "made": 2},
    "payment.promise": PROMISE,
    "payment.failed": PAYMENT_FAILED,
    "dunning.complete": {"date": "2026-11-30"},
    "dunning.look": {"billingAccount": {"id": "BA-1"}, "date": "2026-11-30", "sequence": 7},
    "bill-run.start": BILL_RUN,
    "bill-run.open": {"date": "2026-12-01"},
    "settlement.due": {"date": "2026-12-01"},
    "reserve.due": {"date": "2026-12-01"},
    "reserve.continue": {"settlementId": "C-1", "releasedAt": "2027-05-29T00:00:00Z"},
    "netting.apply": {
        "settlementId": "C-1-2",
        "settlementAccount": {"id": "SA-1"},
        "billingAccount": {"id": "BA-1"},
    },
    "settlement.correct": {"agreementId": "AG-1", "revision": 2, "billNo": "INV-000000001"},
    "agreement.complete": {"agreementId": "AG-1", "revision": 2},
    "bill.account": {"billRunId": "R-1", "billingAccount": {"id": "BA-1"}, "billingDate": "2026-12-01"},
    "bill-run.complete": {"billRunId": "R-1", "parked": 2},
    "parked.replay": ACT,
    "parked.discard": ACT,
    "parked.undo": ACT,
    "parked.note": ACT,
    "parked.edit": {"id": "P-1", "body": '{"orderId": "O-1"}', "why": "a typing error"},
    "credit.deallocate": {
        "billingAccount": {"id": "BA-1"},
        "paymentId": "transfer~T-1~1",
        "amount": 500,
        "at": "2026-11-24T10:00:00Z",
        "sequence": 7,
    },
    "credit.allocate": {"billingAccount": {"id": "BA-1"}, "sequence": 7},
    "settlement.continue": {**CLOSING, "made": 8},
    "day.begin": {"date": "2026-11-30"},
}

FROZEN: dict[int, dict[str, str]] = {
    1: {
        "account.create": "17b4b9eed38ddd3dee036f738a29538e86acc918e7755dd5c0bb0126e7c6b8f6",
        "account.update": "3fd06448f9e3fb15021071df9d3778318e9c57de0017126383031350840de247",
        "account.suspend": "dcca5d90536d94afdd78657de7c70ceb9b49b3678cab06ec19a6530d9d044332",
        "account.resume": "dcca5d90536d94afdd78657de7c70ceb9b49b3678cab06ec19a6530d9d044332",
        "account.close": "dcca5d90536d94afdd78657de7c70ceb9b49b3678cab06ec19a6530d9d044332",
        "account.reopen": "dcca5d90536d94afdd78657de7c70ceb9b49b3678cab06ec19a6530d9d044332",
        "account.delete": "dcca5d90536d94afdd78657de7c70ceb9b49b3678cab06ec19a6530d9d044332",
        "billing-cycle-specification.create": "8587e16d78b0f40d9c7f6401d89998ae9fb04e09d2e6836220b8b11314066bbf",
        "billing-cycle-specification.update": "451bf7e6c780d7a71f2921bf7ed0dcb5b9d0ad6247ed866bb10aef01e0124a0b",
        "billing-cycle-specification.delete": "a3b947e6b464fb5812c943aab753de693f3096ba526906b2ca47159d5f49cf13",
        "bill-format.create": "3be3db4688017b23999507d9f239dd39714989847280aad624f37b8da1e02758",
        "bill-format.update": "451bf7e6c780d7a71f2921bf7ed0dcb5b9d0ad6247ed866bb10aef01e0124a0b",
        "bill-format.delete": "0f9ac26c2eab157791450fb74501f1141bece459a0e3470b8f949064c6fa6865",
        "bill-presentation-media.create": "65b9c834e4b332213f4015a2f996b5ff49f0b7a9de8b4b1c993f05915593a88c",
        "bill-presentation-media.update": "451bf7e6c780d7a71f2921bf7ed0dcb5b9d0ad6247ed866bb10aef01e0124a0b",
        "bill-presentation-media.delete": "a3b947e6b464fb5812c943aab753de693f3096ba526906b2ca47159d5f49cf13",
        "dunning-procedure.create": "78b8bd33f0540825470dd7f586129e047b83317243a73b18ff5f640ba634b428",
        "dunning-procedure.update": "451bf7e6c780d7a71f2921bf7ed0dcb5b9d0ad6247ed866bb10aef01e0124a0b",
        "dunning-procedure.delete": "a3b947e6b464fb5812c943aab753de693f3096ba526906b2ca47159d5f49cf13",
        "seller.update": "6917fbedc60d10f974ea81ed972cc1ab1ffa10e97f6a3290892a36f3f251275c",
        "order.completed": "3f780a96f4d2df2c383c693d38b9686173d61925c08e94d0e6692c92d99027e8",
        "payment.received": "725de75a5ddcf799d473666f470994b19dd4f5f144708001e44b0b20733a802d",
        "settlement.close": "acaee2019da3c0f495a84bb63755bcac10c5676af2f498173c443e0d7afef09a",
        "refund.completed": "a57af4cda9b765b1d85139fbe868adb8f344486d0cd5b50bf8f8bae2fabdf3d1",
        "payment.reversed": "26daab37c72e7ee8755092285456a7c77e471633e9b7c8a3938d0c089aeeca6d",
        "agreement.create": "fb49e4101a51a82dee4a66b032d7aca8de4daae66a220a1a3f6e2a54701e471a",
        "agreement.change": "a987158261b9cc00079c61e92428901f3f51f5f6e19678b133c80a3b2f9b4e08",
        "advance.paid": "9765d8ee3cd18656c8518764573f8293e1e71507488b3905801463eca1fc9db2",
        "reserve.release": "0375579b2955c04e85151636f34e9a7da21e031b2260ff709fcd1112e9e23078",
        "self-billing.accept": "90807b56c38b4865de027711468d9704626fa2c92d29eb2733feefe5bc234cea",
        "self-billing.dispute": "3aba2cade416bf7ab93092580382a4b3be737ca378de97be96953eb0fe487ec7",
        "reserve.due": "d238af1f9fb98c75d8bb48546d1931a4ff697e0e08643393d58d46832e4f9dc7",
        "reserve.continue": "b31c6d9412a5561543fd896063435949e1ab5e5a1c08f64442e03b5c9232677b",
        "netting.apply": "8c7eb0bd6e34b29be650f829a2d91fb78faaaf000ea43e78d34423ed2eab1ba0",
        "settlement.correct": "c24f5c4b5079a9c61f8258d7b7dda0cb35abd3e387d77af370e088076c447430",
        "agreement.complete": "415a17526567ee751128c2d782bb1cf7924e8bd120c0e6141ca4707ae931ad69",
        "settlement.adjust": "0ca89101868c9adf7949b68dd77ed5921645d4d4c53fe46aea3cef7255fff771",
        "statement.report": "b3035af2d467f6c023f488ae8bca52bc9a87219823578fef12f01c0caa147ba5",
        "payout.returned": "17b2826c4a15749b01f0a5434a7f231c33f575260a5d7dd433d58a4d667188ad",
        "credit.grant": "02d691da27d7b29aa48edb2cc76f75cfc9a833a5b508784589023cf4317b3faf",
        "charge.add": "c55011801acdb32947f04ed4eb10c1649820b971d01d1c3bb47b980397819ec6",
        "subscription.create": "6b166e74fb521e99b2353637381ad1167ce435b00c1608d28773c287f7975310",
        "subscription.change": "9f4c856403f903be3d0dafe8e620d4a52094751f7ffbe6ec8a419a6d2e92ff77",
        "subscription.suspend": "69182d8aedc24f23405de4d9260f72a2f0d671af36e057a0d2b0e823a46a4143",
        "subscription.resume": "69182d8aedc24f23405de4d9260f72a2f0d671af36e057a0d2b0e823a46a4143",
        "subscription.terminate": "69182d8aedc24f23405de4d9260f72a2f0d671af36e057a0d2b0e823a46a4143",
        "usage.record": "7c17cd153b81af1d460cf2b5dcc3aed9befa656d1d695ccd1a3cd03b86575422",
        "subscription.turn": "8086cd671eb2903fad9117414ba6aec7392354b913d1fb396a81292cd0d31a9a",
        "bill.demand": "2f8c987b51dcce1523a7cfa076586901be38c725e59dea687d3771d4c8364e09",
        "bill.continue": "77eaffae0c623c7bc3d92023a8738f4989486d598e15fad9c1d5549d44d1834d",
        "payment.failed": "d3311ea2695dd499e9584a8514bc8fc84aeda2bfd2709283b76d783b68da5026",
        "dunning.complete": "41e08d052c54c0bd88aeba13cd284587343d32331de4dbcab25a2824a64741d5",
        "payment.promise": "a8bdf0993ce773988e762816da283bc51df693df968b60fd9e4f9e8c7c5341a2",
        "dunning.look": "e9360de59b1063659b55f34d2188614d7f1203bc7d37ba3df33c961ccd852a53",
        "bill-run.start": "0b7b5474fac36952866df20b4479b7d8a51b189db22cf88b138e59fdb99413ff",
        "bill-run.open": "d238af1f9fb98c75d8bb48546d1931a4ff697e0e08643393d58d46832e4f9dc7",
        "bill.account": "3a0e63bc6bcc0d67e2810684eddd5f38aafcfd46f692f146a78b887347e036ab",
        "bill-run.complete": "a6ff8826290ee13b7d28196be2dd9bef97bf7052f1fcdb977d7cc730a9acceb4",
        "credit.transfer": "b7a97ad82654d567a2e8123731edfa7c2c951413e97c3b97741f191ac3fc2ce9",
        "credit-note.issue": "b639deb1e330adf1b21231f8f28606f6981863265f432b79d70c3e8fde490ea5",
        "invoice.write-off": "febf8fc66e6129a81c9df1a3bfc29a95ab0f66ba11541b57ef492e677534266b",
        "dispute.open": "afb3e3f6cd6fcf4d7e4d725c3eb9120294bd2767a0861ca9fff4f402cd3341be",
        "dispute.settle": "c8b561964da5eb17f3211d5077a4321ea1b62b76bcf65118799a30c6927b562d",
        "dispute.withdraw": "ea65684a1de3f28a440a7c6a3d80b946fa7094d14bf3ad848f334b10bc29ddfe",
        "invoice.validate": "c59978b1203ced95aa3b66496c778bc71aa1cd6f785aacb86d7d45788cbaa429",
        "invoice.send": "b5534e65bcfbdab8a8bd85c4cc12a1bfc6b9fc9a0c93eedfde16cf395a65ff9c",
        "payout.completed": "58378ba601db2a39ddfd38f7437ffec38baf32b6a45874e247ca879654e5e544",
        "parked.replay": "ff4975c31670a8a6fa7739440cf955b5913c3b1214aa8d4561921bdc33a37093",
        "parked.discard": "ff4975c31670a8a6fa7739440cf955b5913c3b1214aa8d4561921bdc33a37093",
        "parked.undo": "ff4975c31670a8a6fa7739440cf955b5913c3b1214aa8d4561921bdc33a37093",
        "parked.note": "ff4975c31670a8a6fa7739440cf955b5913c3b1214aa8d4561921bdc33a37093",
        "parked.edit": "283c319258c590adf6986a000e8b477eafc4a071320f9927f292f04b3b502b3b",
        "credit.deallocate": "974ddb369adb2949c3ee3923456ea96afd60d6b3a9ecb712247a72fb692921ae",
        "credit.allocate": "a3479d785b8089723978c2c4b64410b841a2388615b93f8ebe0b9e677db91670",
        "settlement.due": "d238af1f9fb98c75d8bb48546d1931a4ff697e0e08643393d58d46832e4f9dc7",
        "settlement.continue": "792843b599abeea21403da6b0701ef804a13acc951fdb9e3e7e6042849327c96",
        "day.begin": "41e08d052c54c0bd88aeba13cd284587343d32331de4dbcab25a2824a64741d5",
    },
}
"""What each version made of the samples. Nothing here is ever changed; a new version, or type, is added."""


def incoming(routing_key: str, sample: Any) -> Incoming:
    """A sample that is fine, as it comes in."""
    [found] = read(routing_key, body(sample), "m-1", {}, None, HELD_MESSAGES)
    assert found.refusal is None, found.refusal
    return found


def test_a_message_of_each_type_is_frozen_in_each_version() -> None:
    """Whoever adds a message, or a version, freezes what is made of it."""
    assert SAMPLES.keys() == HELD_MESSAGES.keys() >= MESSAGES.keys()
    assert FROZEN.keys() == DIGESTS.keys()
    for version, digests in FROZEN.items():
        assert digests.keys() <= SAMPLES.keys(), version
    assert FROZEN[DIGEST_VERSION].keys() == SAMPLES.keys()
    assert max(DIGESTS) == DIGEST_VERSION


@pytest.mark.parametrize("version", FROZEN)
@pytest.mark.parametrize("routing_key", SAMPLES)
def test_a_version_gives_what_it_gave(version: int, routing_key: str) -> None:
    """The digest that is recorded in a version is for ever that of the same message."""
    if routing_key in FROZEN[version]:
        assert incoming(routing_key, SAMPLES[routing_key]).digest_in(version) == FROZEN[version][routing_key]


@pytest.mark.parametrize("routing_key", [message.TYPE for message in INTERNAL_MESSAGES.values()])
def test_what_we_say_to_ourselves_is_what_is_read_of_it(routing_key: str) -> None:
    """It is not read as it is said, and may be held: then it is read of its bytes."""
    ours = said(internal(incoming(routing_key, SAMPLES[routing_key]).fact))
    [found] = read(routing_key, ours.body, None, {}, None, HELD_MESSAGES)
    assert ours == found


def pretend_version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a later version made digests in another way."""

    def digest_2(message: Message) -> str:
        return sha256(b"2" + message.model_dump_json(by_alias=True).encode()).hexdigest()

    monkeypatch.setitem(messages.DIGESTS, 2, digest_2)
    monkeypatch.setattr(messages, "DIGEST_VERSION", 2)
    monkeypatch.setattr(reading, "DIGEST_VERSION", 2)


@pytest.mark.parametrize("routing_key", SAMPLES)
def test_a_later_version_gives_an_earlier_one_s(routing_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in after an upgrade has a digest of now, and the one that was recorded before."""
    pretend_version_2(monkeypatch)
    found = incoming(routing_key, SAMPLES[routing_key])
    assert found.digest_version == 2
    assert found.digest == found.digest_in(2) != FROZEN[1][routing_key]
    assert found.digest_in(1) == FROZEN[1][routing_key]


def test_facts_of_an_array_have_an_earlier_version_s_digest_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has that of its own part; what can't be read has one of its bytes, in all versions the same."""
    pretend_version_2(monkeypatch)
    [first, bad, last] = read("order.completed", body([ORDER, {}, ORDER]), "m-1", {}, None)
    assert first.digest_in(1) == last.digest_in(1) == FROZEN[1]["order.completed"]
    assert bad.digest_in(1) == bad.digest_in(2) == bad.digest
    [alone] = read("order.completed", body([ORDER]), "m-1", {}, None)
    assert alone.digest_in(1) == FROZEN[1]["order.completed"]


def test_a_version_that_never_was_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a later version can't be compared with: that is no duplicate and no conflict."""
    with pytest.raises(KeyError):
        incoming("order.completed", ORDER).digest_in(99)


def test_within_one_version_nothing_is_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """To compare with what was recorded in the version of now takes no second digest: it is the hot path."""
    found = incoming("order.completed", ORDER)
    monkeypatch.setattr(messages, "DIGESTS", {})
    assert found.digest_in(DIGEST_VERSION) == FROZEN[DIGEST_VERSION]["order.completed"]
