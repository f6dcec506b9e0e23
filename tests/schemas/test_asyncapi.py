"""The AsyncAPI document: whole, valid, and true of what is taken and sent."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from pamqp import commands, frame

from adapters.rabbitmq import publisher, topology
from adapters.rabbitmq.frames import publish_frames
from domain.accounts.model import AccountResult
from domain.accounts.specifications import SpecificationChanged, SpecificationResult
from domain.billing.model import BillOnDemandResult, ChargeResult
from domain.billing.runs import BillRunResult
from domain.billing.subscriptions import SubscriptionResult
from domain.billing.usage import UsageResult
from domain.corrections.model import DisputeResult, NoteResult, RefundResult, ReversalResult, WriteOffResult
from domain.dunning.model import Dunning, DunningResult
from domain.invoicing.model import InvoicePaid, InvoiceStateResult
from domain.ledger.books import Emitted
from domain.money import Currency, Money
from domain.ordering.completing import OrderResult
from domain.parties.model import SellerResult
from domain.payments.model import FailedPaymentResult, PaymentResult
from domain.settlement.accepting import DocumentStateResult
from domain.settlement.adjusting import AdjustmentResult
from domain.settlement.advances import AdvanceResult
from domain.settlement.agreeing import AgreementResult
from domain.settlement.closing import ClosingResult
from domain.settlement.comparing import ComparisonResult
from domain.settlement.payouts import PayoutResult
from domain.settlement.releasing import ReserveResult
from schemas.accounts.queries import account_document, specification_document, standing_json
from schemas.accounts.tmf666 import Happened
from schemas.asyncapi import asyncapi
from schemas.asyncapi.document import QUEUES
from schemas.asyncapi.outgoing import ERRORS
from schemas.billing.events import bill_run_json, charge_json, subscription_json, usage_json
from schemas.billing.queries import credit_note_preview, invoice_preview, subscription_with_history
from schemas.corrections.events import credit_note_json, dispute_json, refund_json
from schemas.dunning.queries import dunning_json
from schemas.event import OutgoingEvent
from schemas.events import EVENTS, message_parked, outgoing
from schemas.incoming import read
from schemas.invoicing.events import invoice_json
from schemas.messages import MESSAGES, result_json
from schemas.ordering.messages import ITEMS_MAX
from schemas.parties.events import seller_json
from schemas.payments.events import payment_with_allocations
from schemas.payments.messages import NAMED_INVOICES_MAX
from schemas.queries import QUERIES, read_query
from schemas.settlement.events import agreement_json, document_json, report_json, reserve_json, settlement_json
from schemas.settlement.queries import agreement_with_history, settlement_preview
from schemas.wire import FACTS_MAX
from tests.schemas import test_events as sample
from tests.schemas.letters import SELLER
from tests.schemas.test_digest_versions import PROCEDURE
from tests.support import messages
from tests.support.json_schema import Schemas

ROOT = Path(__file__).parents[2]
DOCUMENT = asyncapi()
SCHEMAS = Schemas(DOCUMENT)
COMPONENTS = DOCUMENT["components"]
REPLIES = "replies"
CONTRACT_ORDER = """{"orderId": "O-1001", "completedAt": "2026-11-22T10:15:00Z", "billingAccount": {"id": "BA-1"},
 "currency": "EUR", "items": [
  {"id": "1", "description": "Fibre 500, November", "quantity": 1, "unitPrice": "39.90",
   "tax": {"category": "S", "rate": "0.20"}},
  {"id": "2", "description": "Film rental", "quantity": 2, "unitPrice": "3.99",
   "tax": {"category": "S", "rate": "0.20"}, "onBehalfOf": {"id": "SA-1"}}]}"""


def payload(message: str) -> Any:
    """The schema of a message's body: of `command.<routing key>`, `event.<routing key>`, `query.<type>` and so on."""
    return COMPONENTS["messages"][message]["payload"]


def references(value: Any) -> Iterator[str]:
    """Every reference within a part of the document."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(inner)
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        assert len(value) == 1, f"what stands beside a reference is not looked at: {value}"
        yield value["$ref"]


# -- the document


def test_what_asyncapi_wants_is_there():
    """The version, and of the API its title and version."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= server.keys()
        assert set(re.findall(r"{(\w+)}", server["host"] + server["pathname"])) == server["variables"].keys()
    for name in (name for members in COMPONENTS.values() for name in members):
        assert re.fullmatch(r"[\w.-]+", name)


def test_every_reference_leads_somewhere():
    """To a part of the document."""
    for reference in references(DOCUMENT):
        assert SCHEMAS.at(reference) is not None


def test_every_component_is_used():
    """From the channels, operations and servers, directly or not."""
    seen: set[str] = set()
    todo = [{name: part for name, part in DOCUMENT.items() if name != "components"}]
    while todo:
        new = set(references(todo.pop())) - seen
        seen |= new
        todo += [SCHEMAS.at(reference) for reference in new]
    everything = {f"#/components/{kind}/{name}" for kind, members in COMPONENTS.items() for name in members}
    assert everything - seen == set()


def test_operations_speak_of_their_channels_messages():
    """Each receives or sends messages of its channel, and is replied to by messages of the reply's."""
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        for of_it in (operation, operation.get("reply", operation)):
            channel = of_it["channel"]["$ref"]
            assert channel.rpartition("/")[0] == "#/channels"
            assert of_it["messages"]
            for message in of_it["messages"]:
                assert message["$ref"].startswith(f"{channel}/messages/")
        if "reply" in operation:
            assert operation["reply"]["address"].keys() == {"$ref"}


def test_every_channel_has_its_bindings():
    """A routing key of an exchange, or a queue; replies go where the request says."""
    for name, channel in DOCUMENT["channels"].items():
        if name == REPLIES:
            assert channel["address"] is None
            continue
        assert channel["address"] == re.sub(r"^(command|event|query)\.", "", name)
        binding = channel["bindings"]["amqp"]
        assert (binding["is"], *(binding.keys() - {"is", "bindingVersion"})) in {
            ("routingKey", "exchange"),
            ("queue", "queue"),
        }


def test_all_that_comes_in_is_there():
    """Every message and query of the registries has an operation, a payload and a reply with a result of its own."""
    received = {name.removeprefix("receive.") for name in DOCUMENT["operations"] if name.startswith("receive.")}
    incoming = {*(("command", name) for name in MESSAGES), *(("query", name) for name in QUERIES)}
    assert received == {*(f"{kind}.{name}" for kind, name in incoming), "dead-letter"}
    for kind, name in incoming:
        operation = DOCUMENT["operations"][f"receive.{kind}.{name}"]
        assert operation["messages"] == [{"$ref": f"{operation['channel']['$ref']}/messages/{kind}.{name}"}]
        assert operation["reply"]["messages"] == [{"$ref": f"#/channels/{REPLIES}/messages/{kind}-reply.{name}"}]


@pytest.mark.parametrize(("kind", "exchange", "queue"), [("command", "in", "work"), ("query", "ask", "queries")])
def test_what_comes_in_has_an_address_of_its_own(kind: str, exchange: str, queue: str) -> None:
    """The routing key by which it is published, at an exchange that leads to the queue; with what is replied."""
    names = [*(MESSAGES if kind == "command" else QUERIES)]
    channels, operations = DOCUMENT["channels"], DOCUMENT["operations"]
    assert channels[f"paymaster.{queue}"]["messages"].keys() == {f"{kind}.{name}" for name in names}
    for name in names:
        channel = channels[f"{kind}.{name}"]
        assert (channel["address"], [*channel["messages"]]) == (name, [f"{kind}.{name}"])
        binding = channel["bindings"]["amqp"]
        assert (binding["is"], binding["exchange"]["name"]) == ("routingKey", f"paymaster.{exchange}")
        operation = operations[f"receive.{kind}.{name}"]
        assert operation["channel"] == {"$ref": f"#/channels/{kind}.{name}"}
        [replied] = operation["reply"]["messages"]
        assert replied["$ref"].endswith(f"/messages/{kind}-reply.{name}")
    bound = [(bound["exchange"], bound["routingKey"]) for bound in channels[f"paymaster.{queue}"]["x-bindings"]]
    assert bound == [(f"paymaster.{exchange}", "#")]


def test_all_that_goes_out_is_there():
    """Every event that can be made has an operation."""
    assert {f"account.{happened}" for happened in get_args(Happened)} < EVENTS.keys()
    sent = {name.removeprefix("send.") for name in DOCUMENT["operations"] if name.startswith("send.")}
    assert sent == {f"event.{routing_key}" for routing_key in EVENTS}


def test_a_command_an_event_and_a_query_may_have_one_name():
    """Each stands in the document beside the others, and whatever is of another name stays as it was."""
    name = "payment.received"
    document = asyncapi(
        queries={**QUERIES, name: QUERIES["invoice.get"]},
        events={**EVENTS, name: replace(EVENTS["payment.allocated"], routing_key=name)},
    )
    found, others = document["components"]["messages"], COMPONENTS["messages"]
    assert found[f"command.{name}"]["payload"] == payload("command.payment.received")
    assert found[f"event.{name}"]["payload"]["properties"]["eventType"] == {"const": name}
    assert found[f"query.{name}"]["payload"] == payload("query.invoice.get")
    assert found[f"command-reply.{name}"]["payload"] == payload("command-reply.payment.received")
    assert found[f"query-reply.{name}"]["payload"] == payload("query-reply.invoice.get")
    exchanges = {
        kind: document["channels"][f"{kind}.{name}"]["bindings"]["amqp"]["exchange"]["name"]
        for kind in ("command", "event", "query")
    }
    assert exchanges == {"command": "paymaster.in", "event": "paymaster.out", "query": "paymaster.ask"}
    assert {f"receive.command.{name}", f"receive.query.{name}", f"send.event.{name}"} <= document["operations"].keys()
    assert {other: found[other] for other in others} == others
    assert len(found) == len(others) + 3


def test_every_error_is_there():
    """Each code that is written anywhere in the code."""
    source = "".join(
        path.read_text()
        for room in ("domain", "schemas", "adapters", "handlers")
        for path in (ROOT / room).rglob("*.py")
    )
    codes = set(re.findall(r'(?:Refused|MustWait|_error)\(\s*"([a-z-]+)"', source))
    codes |= {f"unknown-{kind}" for kind in re.findall(r'unknown\(\s*"([a-z]+)"', source)}
    assert "unknown-invoice" in codes
    assert codes - ERRORS.keys() == set()
    assert [kind["const"] for kind in COMPONENTS["schemas"]["ErrorCode"]["oneOf"]] == list(ERRORS)


class Topology:
    """A channel that notes what is declared on it."""

    def __init__(self) -> None:
        self.exchanges: dict[str, str] = {}
        self.queues: dict[str, Any] = {}
        self.bindings: set[tuple[str, str, str]] = set()

    async def declare_exchange(self, name, kind, *, durable):
        """As of aio-pika's channels."""
        assert durable
        self.exchanges[name] = kind.value
        return name

    async def declare_queue(self, name, *, durable, arguments=None):
        """As of aio-pika's channels."""
        assert durable
        self.queues[name] = arguments or {}
        topology = self

        class Queue:
            declaration_result = commands.Queue.DeclareOk(consumer_count=0)

            async def bind(self, exchange, routing_key=""):
                topology.bindings.add((name, exchange, routing_key))

        return Queue()


async def test_the_topology_is_what_the_worker_declares():
    """Exchanges, queues, their arguments and bindings."""
    declared = Topology()
    await topology.declare_topology(declared, single_active_consumer=True)  # type: ignore[arg-type]
    amqp = [channel["bindings"]["amqp"] for name, channel in DOCUMENT["channels"].items() if name != REPLIES]
    exchanges = {found["exchange"]["name"]: found["exchange"]["type"] for found in amqp if "exchange" in found}
    bindings = {
        (queue, bound["exchange"], bound.get("routingKey", "")) for queue, (_, all_) in QUEUES.items() for bound in all_
    }
    exchanges |= {bound["exchange"]: bound["type"] for _, all_ in QUEUES.values() for bound in all_}
    assert exchanges == declared.exchanges
    assert bindings == declared.bindings
    assert {name: arguments for name, (arguments, _) in QUEUES.items()} == declared.queues
    assert {found["queue"]["name"] for found in amqp if "queue" in found} == declared.queues.keys()


# -- what comes in


def test_values_are_told_as_we_read_them():
    """No text or number of a message is described as any text or number: each value has its pattern."""

    def bare(value: Any) -> Iterator[Any]:
        types = value.get("type", []) if isinstance(value, dict) else []
        plain = {"string", "number", "integer"} & {*([types] if isinstance(types, str) else types)}
        if plain and not {"enum", "pattern", "minimum", "format", "anyOf", "maxLength"} & value.keys():
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from bare(inner)

    incoming = [payload(f"command.{name}") for name in MESSAGES] + [payload(f"query.{name}") for name in QUERIES]
    seen: set[str] = set()
    while incoming:
        part = incoming.pop()
        assert list(bare(part)) == []
        new = set(references(part)) - seen
        seen |= new
        incoming += [SCHEMAS.at(reference) for reference in new]


def test_arrays_have_their_limits():
    """Facts of a body, items of an order, invoices of a payment."""
    schemas = COMPONENTS["schemas"]
    assert payload("command.order.completed")["oneOf"][1]["maxItems"] == FACTS_MAX
    items = schemas["OrderCompleted"]["properties"]["items"]
    assert (items["minItems"], items["maxItems"]) == (1, ITEMS_MAX)
    assert schemas["PaymentReceived"]["properties"]["invoices"]["anyOf"][0]["maxItems"] == NAMED_INVOICES_MAX


MEDIA = [{"@type": "EmailContactMedium", "emailAddress": "ada@example.org"}, {"contactType": "any"}]
STRUCTURE = {"format": {"id": "F-1"}, "presentationMedia": [{"@type": "BillPresentationMedia", "name": "Paper"}]}
TAKEN: list[messages.Message] = [
    ("order.completed", json.loads(CONTRACT_ORDER)),
    messages.customer("BA-1", creditLimit=messages.eur("50.00"), state="Defined", loyalty={"points": 7}),
    messages.customer("BA-1", contact=[{"contactType": "owner", "contactMedium": MEDIA}], billStructure=STRUCTURE),
    messages.customer("BA-1", accountRelationship=[messages.relationship("payer", "BA-2", "2026-11-22T10:15:00Z")]),
    messages.partner("SA-1", 1, "payment"),
    messages.account("FinancialAccount", "FA-1", settlementTerms=None),
    messages.update("BA-1", {"name": "New", "creditLimit": None}, ifRevision=3),
    messages.command("close", "BA-1"),
    messages.command("delete", "BA-1", reason=None),
    messages.order("O-1", "BA-1", messages.item(1, "-1.5"), messages.item(2, "12345678901.12345678")),
    messages.payment("P-1", "BA-1", 0.01, invoices=["INV-000000001"], method=None),
    messages.payment("P-1", "BA-1", "0.01"),
    messages.payment("P-1", "BA-1", "0.01", paymentRequestId="INV-000000001"),
    messages.closing("C-1", "SA-1"),
    messages.payout("PO-1", "SA-1", f"{'C' * 128}-12", 1),
    ("account.create", {name: field for name, field in messages.customer("BA-1")[1].items() if name != "id"}),
    ("bill-format.create", {"id": "F-1", "@type": "BillFormat", "name": "Summary", "pages": 2}),
    ("billing-cycle-specification.create", {"name": "Monthly", "billingDateShift": 5}),
    ("bill-presentation-media.update", {"id": "M-1", "changes": {"description": None}}),
    ("bill-format.delete", {"id": "F-1", "ifRevision": 1}),
    ("dunning-procedure.create", PROCEDURE),
    messages.customer("BA-1", dunningProcedure={"id": "D-1"}),
    ("seller.update", SELLER),
    messages.seller(name=None, address={"country": None}, contact=None),
    messages.customer("BA-1", legalEntity=SELLER["changes"]),
    messages.customer("BA-1", legalEntity=None),
    messages.update("BA-1", {"legalEntity": {"vatId": None, "address": {"city": "Rome"}}}),
    messages.update("BA-1", {"legalEntity": None}),
]
REFUSED: list[messages.Message] = [
    messages.customer("B A"),
    messages.customer("BA-1", **{"@type": "Account"}),
    messages.customer("BA-1", relatedParty=[{}]),
    messages.customer("BA-1", settlementTerms={"partnerShare": 1}),
    messages.customer("BA-1", paymentTermDays=-1),
    messages.customer("BA-1", currency="euro"),
    messages.partner("SA-1", "1.1"),
    messages.partner("SA-1", 2),
    messages.partner("SA-1", settlementTerms=None),
    messages.update("BA-1", {}, ifRevision=0),
    messages.update("BA-1", []),  # type: ignore[arg-type]
    ("account.close", {"id": "BA-1"}),
    messages.order("O-1", "BA-1", messages.item(1, "1e3")),
    messages.order("O-1", "BA-1", messages.item(1, "1.123456789")),
    messages.order("O-1", "BA-1", messages.item(1, 1, rate="20 %")),
    messages.order("O-1", "BA-1", items=[]),
    messages.order("O-1", "BA-1", completedAt="2026-11-22T10:15:00"),
    messages.payment("P-1", "BA-1", 0),
    messages.payment("P-1", "BA-1", "-1"),
    messages.payment("P-1", "BA-1", "0.00"),
    messages.payment("P-1", "BA-1", 10**14),
    messages.payment("P-1", "BA-1", 1, invoices=["I"] * (NAMED_INVOICES_MAX + 1)),
    messages.closing("C-1", "SA-1", "2026-11-31"),
    messages.payout("PO-1", "SA-1", "C" * 129, 1),
    ("bill-format.create", {"id": "F-1", "@type": "BillPresentationMedia", "name": "Summary"}),
    ("bill-format.create", {"id": "F-1"}),
    ("dunning-procedure.create", {**PROCEDURE, "steps": [{"after": 0, "action": "remind"}]}),
    ("dunning-procedure.create", {**PROCEDURE, "steps": [{"after": 5, "action": "shout"}]}),
    ("dunning-procedure.create", {**PROCEDURE, "steps": None}),
    ("dunning-procedure.create", {**PROCEDURE, "threshold": {"unit": "EUR", "value": 0}}),
    messages.customer("BA-1", dunningProcedure="D-1"),
    ("seller.update", {"ifRevision": 0, "changes": {}}),
    ("seller.update", {"changes": []}),
    ("seller.update", {}),
    messages.seller(address="Rome"),
    messages.seller(address={"country": "de"}),
    messages.seller(name=5),
    messages.customer("BA-1", legalEntity="Ada"),
    messages.update("BA-1", {"legalEntity": {"name": ["Ada"]}}),
]


def taken(message: messages.Message) -> bool:
    """Whether the worker takes a message, as far as it can tell by itself."""
    [incoming] = read(message[0], json.dumps(message[1]).encode(), "m-1", {}, None)
    return incoming.refusal is incoming.if_new is None


@pytest.mark.parametrize("message", TAKEN, ids=[message[0] for message in TAKEN])
def test_what_is_taken_fits(message):
    """What the worker takes fits the document, alone and in an array."""
    routing_key, body = message
    assert taken(message)
    assert SCHEMAS.problems(payload(f"command.{routing_key}"), body) == []
    assert SCHEMAS.problems(payload(f"command.{routing_key}"), [body] * 2) == []


@pytest.mark.parametrize("message", REFUSED, ids=[message[0] for message in REFUSED])
def test_what_is_refused_does_not_fit(message):
    """What the worker refuses for its form does not fit the document either."""
    routing_key, body = message
    assert not taken(message)
    assert SCHEMAS.problems(payload(f"command.{routing_key}"), body) != []


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("account.get", {"id": "BA-1", "at": "2026-11-22T10:15:00+01:00"}),
    ("account.list", {"@type": "BillingAccount", "state": "active", "limit": 500, "after": None}),
    ("account.statement", {"id": "BA-1", "from": "2026-11-01", "to": "2026-11-22T10:15:00Z"}),
    ("invoice.list", {"billingAccount": "BA-1", "state": "partiallyPaid"}),
    ("invoice.list", {"seller": "SA-1", "party": "77"}),
    ("bill-format.list", {"namePrefix": "Sum"}),
    ("seller.get", {"version": 1}),
    ("seller.get", {"at": "2026-11-22T10:15:00+01:00"}),
]
NOT_ASKED: list[tuple[str, dict[str, Any]]] = [
    ("account.get", {}),
    ("account.list", {"@type": "Account"}),
    ("account.list", {"limit": 501}),
    ("account.statement", {"id": "BA-1", "from": "yesterday"}),
    ("invoice.list", {"billingAccount": "BA-1", "after": 7}),
    ("seller.get", {"version": 0}),
    ("invoice.list", {"billingAccount": "BA-1", "party": 77}),
]


@pytest.mark.parametrize(("name", "arguments"), ASKED)
def test_what_is_asked_fits(name, arguments):
    read_query(name, json.dumps(arguments).encode(), {}, None)
    assert SCHEMAS.problems(payload(f"query.{name}"), arguments) == []


@pytest.mark.parametrize(("name", "arguments"), NOT_ASKED)
def test_what_can_not_be_asked_does_not_fit(name, arguments):
    assert SCHEMAS.problems(payload(f"query.{name}"), arguments) != []


def test_each_query_says_what_it_tells_a_party():
    """That it is refused to one, too."""
    said = {name: payload(f"query.{name}")["properties"]["party"]["description"] for name in QUERIES}
    assert "as if only what is related to it were there" in said["account.list"]
    assert "told what anybody is" in said["bill-format.get"]
    refused = {name for name, words in said.items() if "`forbidden`" in words}
    assert refused == {name for name, query in QUERIES.items() if query.SEEN_BY_A_PARTY == "nothing"}


# -- what goes out


def assert_told(message: str, body: Any) -> None:
    """A body fits its message, which tells of all its fields."""
    assert SCHEMAS.problems(payload(message), body) == []
    assert SCHEMAS.undescribed(payload(message), body) == []


def assert_headers(event: OutgoingEvent) -> None:
    """An event's properties and headers are those that its message has always."""
    frames = publish_frames(1, topology.OUT, publisher.message_of(event), 100_000)
    size, _, _ = frame.unmarshal(frames)
    header: Any
    _, _, header = frame.unmarshal(frames[size:])
    sent = header.properties
    given = {
        "message_id": sent.message_id,
        "correlation_id": sent.correlation_id,
        "type": sent.message_type,
        "timestamp": event.booked_at.isoformat(),
        "app_id": sent.app_id,
        "content_type": sent.content_type,
        **(sent.headers or {}),
    }
    [trait] = COMPONENTS["messages"][f"event.{event.routing_key}"]["traits"]
    headers = SCHEMAS.at(trait["$ref"])["headers"]
    assert SCHEMAS.problems(headers, given) == []
    assert given.keys() == set(headers["required"]) == headers["properties"].keys()


FACTS = [(routing_key, fact) for routing_key, fact, _ in sample.EVENTS]


@pytest.mark.parametrize(("routing_key", "fact"), FACTS, ids=[name for name, _ in FACTS])
def test_an_event_is_as_it_is_told(routing_key, fact):
    """Body and headers."""
    event = sample.sent(fact)
    assert_told(f"event.{routing_key}", json.loads(event.body))
    assert_headers(event)


@pytest.mark.parametrize("happened", ["created", "changed", "deleted"])
def test_a_specifications_event_is_as_it_is_told(happened):
    """Body and headers, without an account's."""
    fact = SpecificationChanged(happened, sample.FORMAT, ("name",))
    event = outgoing(
        Emitted("bill-format/F-1:3", None, None, "bill-format.update:m-1", fact), "corr-1", sample.BOOKED_AT
    )
    assert_told(f"event.bill-format.{happened}", json.loads(event.body))
    assert_headers(event)


@pytest.mark.parametrize("message_id", [None, "m-1"])
def test_a_parked_message_is_as_it_is_told(message_id):
    """Body and headers, without an account's."""
    event = message_parked(
        parked_id="3f2a",
        attempt=1,
        message_type="order.completed",
        message_id=message_id,
        account="BA-1",
        business_key=None,
        reason="invalid",
        detail="items: is missing",
        correlation_id="corr-1",
        identity="unreadable:00",
        booked_at=sample.BOOKED_AT,
    )
    assert_told("event.message.parked", json.loads(event.body))
    assert_headers(event)


def test_what_was_changed_in_an_event_does_not_fit():
    """The checks above can fail: a field too many, one too few, and one of another kind."""
    body = json.loads(sample.sent(InvoicePaid(sample.INVOICE)).body)
    invoice = body["event"]["invoice"]
    invoice["more"] = 1
    invoice["lines"][0]["appliedTax"][0]["more"] = 1
    assert SCHEMAS.undescribed(payload("event.invoice.paid"), body) == [
        ".event.invoice.lines.0.appliedTax.0.more",
        ".event.invoice.more",
    ]
    assert SCHEMAS.problems(payload("event.invoice.issued"), body) == [".eventType: is not 'invoice.issued'"]
    del invoice["taxItem"]
    invoice["total"] = invoice.pop("amountDue")
    invoice["billDate"] = "22.11.2026"
    assert len(SCHEMAS.problems(payload("event.invoice.paid"), body)) == 4


RESULTS_OF: list[tuple[str, object]] = [
    ("account.create", AccountResult(sample.ACCOUNT, sample.STANDING)),
    ("account.update", AccountResult(sample.BILLING, sample.EXCEEDED.standing)),
    ("bill-format.create", SpecificationResult(sample.FORMAT)),
    ("order.completed", OrderResult(("INV-000000001",))),
    ("payment.received", PaymentResult(("INV-000000001",))),
    ("settlement.close", ClosingResult(("C-1", "C-1-2"))),
    ("payout.completed", PayoutResult("C-1", "paid")),
    ("payout.returned", PayoutResult("C-1", "open")),
    ("agreement.create", AgreementResult("AG-1", 1)),
    ("advance.paid", AdvanceResult(Money("EUR", 30000))),
    ("reserve.release", ReserveResult(Money("EUR", 4000), Money("EUR", 8006))),
    ("settlement.adjust", AdjustmentResult(Money("EUR", -38))),
    ("self-billing.accept", DocumentStateResult("SB-SA-1-000000001", "accepted")),
    ("statement.report", ComparisonResult(1, 1, 2)),
    ("seller.update", SellerResult(sample.SELLER)),
    ("credit-note.issue", NoteResult("CN-000000001")),
    ("refund.completed", RefundResult(Money("EUR", 300))),
    ("payment.reversed", ReversalResult(Money("EUR", 300), Money("EUR", 0))),
    ("invoice.write-off", WriteOffResult(Money("EUR", 9000))),
    ("dispute.settle", DisputeResult("settled", "CN-000000001")),
    ("dispute.withdraw", DisputeResult("withdrawn")),
    ("invoice.send", InvoiceStateResult("sent")),
    ("charge.add", ChargeResult(Money("EUR", -1995))),
    ("subscription.create", SubscriptionResult(sample.SUBSCRIPTION)),
    ("usage.record", UsageResult("S-1", "P-3", date(2026, 11, 22))),
    ("bill.demand", BillOnDemandResult("done", ("INV-000000001",), ("CN-000000001",))),
    ("bill.demand", BillOnDemandResult("inProgress", (), ())),
    ("payment.promise", DunningResult(2)),
    ("payment.failed", FailedPaymentResult("INV-000000001")),
    ("bill-run.start", BillRunResult("R-1", "running")),
]


@pytest.mark.parametrize(("routing_key", "result"), RESULTS_OF, ids=[name for name, _ in RESULTS_OF])
def test_a_reply_is_as_it_is_told(routing_key, result):
    """With the result, or the error."""
    assert_told(f"command-reply.{routing_key}", {"outcome": "applied", "result": result_json(result)})
    assert_told(f"command-reply.{routing_key}", {"outcome": "duplicate", "result": result_json(result)})
    assert_told(f"command-reply.{routing_key}", {"outcome": "parked", "error": {"code": "invalid", "detail": "x: y"}})
    assert SCHEMAS.problems(payload(f"command-reply.{routing_key}"), {"outcome": "waiting"}) != []


ANSWERED: list[tuple[str, dict[str, Any]]] = [
    ("account.get", account_document(sample.ACCOUNT, sample.STANDING)),
    ("account.list", {"items": [account_document(sample.BILLING, None)], "after": None}),
    ("bill-format.get", specification_document(sample.FORMAT)),
    ("bill-format.list", {"items": [specification_document(sample.FORMAT)], "after": "WyJh"}),
    ("invoice.get", invoice_json(sample.INVOICE)),
    ("seller.get", seller_json(sample.SELLER)),
    (
        "seller.history",
        {
            "items": [
                {
                    "version": 2,
                    "bookedAt": "2026-11-22T12:00:00.007Z",
                    "changed": ["fax"],
                    "cause": "seller.update:m-1",
                    "messageId": "m-1",
                    "userId": None,
                    "actingUser": None,
                    "appId": "crm",
                    "correlationId": "corr-1",
                    "seller": seller_json(sample.SELLER),
                }
            ],
            "after": None,
        },
    ),
    ("settlement.list", {"items": [settlement_json(sample.SETTLEMENT)], "after": None}),
    ("settlement.get", {**settlement_json(sample.COMPARED), "report": report_json(sample.REPORT)}),
    ("credit-note.get", credit_note_json(sample.CREDIT_NOTE)),
    ("payment.get", payment_with_allocations(sample.PAYMENT, {"INV-000000001": 2000})),
    ("payment.get", payment_with_allocations(sample.GOODWILL, {})),
    ("payment.list", {"items": [payment_with_allocations(sample.PAYMENT, {})], "after": None}),
    ("dispute.get", dispute_json(sample.DISPUTE)),
    ("dispute.list", {"items": [dispute_json(sample.DISPUTE)], "after": None}),
    ("dispute.list", {"items": [dispute_json(replace(sample.DISPUTE, seller="SA-1"))], "after": None}),
    ("refund.list", {"items": [refund_json(sample.REFUND)], "after": None}),
    ("credit-note.list", {"items": [credit_note_json(sample.CREDIT_NOTE)], "after": None}),
    ("agreement.get", agreement_with_history(sample.AGREED_ANEW)),
    ("agreement.list", {"items": [agreement_json(sample.AGREED)], "after": None}),
    ("agreement.get", agreement_with_history(sample.AGREED_FOR_CLOSINGS)),
    ("settlement.list", {"items": [settlement_json(sample.STATEMENT_OF_STEPS)], "after": None}),
    ("reserve.list", {"items": [reserve_json(sample.RESERVE), reserve_json(sample.RELEASED)], "after": None}),
    ("self-billing.get", document_json(sample.SELF_BILLED)),
    ("self-billing.list", {"items": [document_json(sample.SELF_BILLED_NOTE)], "after": None}),
    ("settlement-document.get", document_json(sample.OUR_INVOICE)),
    ("settlement-document.list", {"items": [document_json(sample.OUR_INVOICE)], "after": None}),
    ("settlement.get", settlement_json(sample.HELD_STATEMENT)),
    ("settlement.preview", {"settlements": [settlement_preview(sample.SETTLEMENT)]}),
    (
        "settlement.preview",
        {"settlements": [settlement_preview(sample.STATEMENT_OF_STEPS, [sample.SELF_BILLED, sample.SELF_BILLED_NOTE])]},
    ),
    ("charge.list", {"items": [charge_json(sample.CHARGE), charge_json(sample.BILLED)], "after": None}),
    ("subscription.get", subscription_with_history(sample.SUBSCRIPTION, date(2026, 12, 1))),
    ("subscription.get", subscription_with_history(sample.RENAMED, date(2026, 12, 1))),
    ("subscription.list", {"items": [subscription_json(sample.SUBSCRIPTION, date(2026, 12, 1))], "after": None}),
    ("dunning.get", dunning_json(Dunning("BA-1"), ("EUR", 2), None, None, [])),
    ("dunning.get", dunning_json(sample.DUNNING, ("EUR", 2), "D-1", date(2026, 11, 20), ["S-1"])),
    ("usage.list", {"items": [usage_json(sample.USAGE)], "after": None}),
    ("bill-run.get", bill_run_json(sample.COMPLETED_RUN, 1)),
    ("bill-run.list", {"items": [bill_run_json(sample.BILL_RUN, 0, 12)], "after": None}),
    (
        "bill.preview",
        {"invoices": [invoice_preview(sample.BILL)], "creditNotes": [credit_note_preview(sample.CREDIT_NOTE)]},
    ),
    (
        "account.balance",
        {
            "id": "SA-1",
            "@type": "BillingAccount",
            "currency": "EUR",
            **standing_json(sample.EXCEEDED.standing, Currency("EUR", 2)),
            "tree": {"accounts": 1, "balances": [standing_json(sample.STANDING, Currency("EUR", 2))]},
        },
    ),
]


@pytest.mark.parametrize(("name", "result"), ANSWERED, ids=[name for name, _ in ANSWERED])
def test_an_answer_is_as_it_is_told(name, result):
    """With the result, or the error."""
    assert_told(f"query-reply.{name}", json.loads(json.dumps({"result": result})))
    assert_told(f"query-reply.{name}", {"error": {"code": "unknown-invoice", "detail": "billNo: no invoice X"}})


# -- the command


def test_the_command_needs_nothing_and_prints_the_same_always(tmp_path):
    """Without any setting, wherever it stands, whatever the hashes' seed."""
    for seed, options in (("1", []), ("2", ["--indent", "2"])):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("paymaster")), "asyncapi", *options],
            env={"PYTHONHASHSEED": seed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        assert done.stdout == json.dumps(DOCUMENT, indent=2 if options else None) + "\n"
