"""What closings add to what was earned, through a worker, and what a day releases of it."""

from __future__ import annotations

from pathlib import Path

from adapters.settings import Settings
from tests.days.test_days import ClockFile
from tests.integration.test_queries import Asker
from tests.support.books import Books, assert_clean, position
from tests.support.client import Client
from tests.support.messages import agreement, closing, customer, eur, item, order, partner
from tests.support.waiting import wait_for
from tests.support.workers import working

TERMS = {
    "guarantee": {"amount": eur(100), "period": "month"},
    "advance": {"amount": eur(30)},
    "holdback": {"rate": "0.1", "releaseAfterDays": 1},
    "payoutThreshold": eur(50),
}


async def test_a_closing_adds_what_is_agreed(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """60.00 earned of 100.00, 30.00 recouped, 7.00 held back: 2.00 of that released at once, 5.00 by the day."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    paid = {"advanceId": "AV-1", "agreementId": "AG-1", "amount": eur(30), "paidAt": "2026-11-22T09:00:00Z"}
    release = {"releaseId": "RR-1", "settlementId": "C-1", "releasedAt": "2026-11-29T11:00:00Z", "amount": eur(2)}
    async with working(by_file, days=True):
        for message in (
            customer("BA-1"),
            partner("SA-1"),
            agreement("AG-1", "SA-1", "2026-11-01", "1", **TERMS),
        ):
            assert (await client.ask(message))["outcome"] == "applied", message
        assert (await client.ask(("advance.paid", paid)))["result"] == {"advance": eur(30.0)}
        await client.ask(order("O-1", "BA-1", item(1, "60.00", sold_for="SA-1")))
        assert (await client.ask(closing("C-1", "SA-1")))["result"] == {"settlementIds": ["C-1"]}
        told = (await client.ask(("reserve.release", release)))["result"]
        assert told == {"released": eur(2.0), "reserve": eur(5.0)}
        ask = Asker(client)
        assert position(database, "SA-1") == {"payable": 6500, "reserve": 500}
        stated = await ask("settlement.get", id="C-1")
        assert [(line["kind"], line["amount"]["value"]) for line in stated["lines"]] == [
            ("accrual", 60.0),
            ("guarantee", 40.0),
            ("recoupment", -30.0),
            ("holdback", -7.0),
        ]
        [held] = (await ask("reserve.list", settlementAccount="SA-1", state="held"))["items"]
        assert (held["settlementId"], held["remainingAmount"], held["releaseOn"]) == ("C-1", eur(5.0), "2026-12-01")
    clock.show("2026-12-01T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: position(database, "SA-1") == {"payable": 7000})
        await client.ask(closing("C-2", "SA-1", "2026-12-01"))
        ask = Asker(client)
        below = await ask("settlement.get", id="C-2")
        assert (below["state"], below["total"], below["payoutThreshold"]) == ("carriedForward", eur(7.0), eur(50.0))
        [released] = (await ask("reserve.list", settlementAccount="SA-1", state="released"))["items"]
        assert [one.get("releaseId") for one in released["releases"]] == ["RR-1", None]
    assert database["held"].count_documents({}) == 0
    await assert_clean(client, database)
