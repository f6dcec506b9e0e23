"""Documents of statements, through a worker: issued, corrected, disputed and accepted, asked for, and audited."""

from __future__ import annotations

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, assert_clean, position
from tests.support.client import Client
from tests.support.messages import agreement, closing, credit_note, customer, eur, item, order, partner, payout
from tests.support.workers import working

SERIES = "SB-SA-1-"
TERMS = {
    "selfBilling": {"series": SERIES, "tax": {"category": "S", "rate": "0.2"}},
    "fixedFee": {"amount": eur(5), "period": "month", "tax": {"category": "S", "rate": "0.2"}},
}


async def test_documents_are_issued_disputed_accepted_and_corrected(
    settings: Settings, client: Client, database: Books
) -> None:
    """80.00 earned, 16.00 of tax, 6.00 of a fee: 90.00. Of a note of 16.00 the second has 16.00 and 3.20 less."""
    document = {"number": f"{SERIES}000000001", "at": "2026-11-23T09:00:00Z"}
    async with working(settings):
        for message in (
            customer("BA-1"),
            partner("SA-1"),
            agreement("AG-1", "SA-1", "2026-10-20", "1", **TERMS),
            order("O-1", "BA-1", item(1, "80.00", sold_for="SA-1")),
            closing("C-1", "SA-1", "2026-11-22"),
        ):
            assert (await client.ask(message))["outcome"] == "applied", message
        ask = Asker(client)
        statement = await ask("settlement.get", id="C-1")
        assert [(line["kind"], line["amount"]["value"]) for line in statement["lines"]] == [
            ("accrual", 80.0),
            ("fee", -6.0),
            ("selfBilledTax", 16.0),
        ]
        assert [(one["id"], one["typeCode"]) for one in statement["documents"]] == [
            ("INV-000000002", "380"),
            (f"{SERIES}000000001", "389"),
        ]
        told = await client.ask(("self-billing.dispute", {**document, "reason": "one line is missing"}))
        assert told["result"] == {"number": f"{SERIES}000000001", "state": "disputed"}
        assert (await ask("settlement.get", id="C-1"))["heldBy"] == [f"{SERIES}000000001"]
        refused = await client.ask(payout("PO-1", "SA-1", "C-1", "90.00"))
        assert (refused["outcome"], refused["error"]["code"]) == ("parked", "wrong-state")
        assert (await client.ask(("self-billing.accept", document)))["outcome"] == "applied"
        assert (await client.ask(payout("PO-2", "SA-1", "C-1", "90.00")))["outcome"] == "applied"
        await client.ask(credit_note("N-1", "INV-000000001", {"lineId": "1", "taxExcludedAmount": eur(16)}))
        await client.ask(closing("C-2", "SA-1", "2026-12-31"))
        [first, second] = (await ask("self-billing.list", settlementAccount="SA-1"))["items"]
        assert (first["state"], first["credited"]["taxExcludedAmount"]) == ("accepted", eur(16.0))
        assert second == await ask("self-billing.get", number=f"{SERIES}000000002")
        assert (second["typeCode"], second["correctedBillNo"]) == ("261", f"{SERIES}000000001")
        assert (second["taxExcludedAmount"], second["taxIncludedAmount"]) == (eur(16.0), eur(19.2))
        ours = (await ask("settlement-document.list", settlementAccount="SA-1"))["items"]
        assert [one["billNo"] for one in ours] == ["INV-000000002", "INV-000000003"]
        assert ours[0] == await ask("settlement-document.get", number="INV-000000002")
        counted = client.counted()
        assert (counted["self-billing.issued"], counted["settlement.invoiced"]) == (2, 2)
        assert (counted["self-billing.disputed"], counted["self-billing.accepted"]) == (1, 1)
    assert position(database, "SA-1") == {"payable": -2520}
    await assert_clean(client, database)
