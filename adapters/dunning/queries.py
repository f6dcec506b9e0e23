"""How far an account's dunning is."""

from __future__ import annotations

from datetime import date

from adapters.dunning.codecs import decode_dunning
from adapters.dunning.documents import SUSPENDED
from adapters.mongodb.view import BY_ID, Json, Reads, View
from domain.accounts.model import BILLING
from domain.dunning.model import Dunning
from schemas.dunning.queries import SUSPENDED_MAX, DunningGet, dunning_json


async def dunning(query: DunningGet, view: View) -> Json:
    """`dunning.get`."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    account = await view.account(query.billing_account)
    row = await view.one("dunnings", {"_id": query.billing_account}, index=BY_ID)
    found = Dunning(query.billing_account) if row is None else decode_dunning(row)
    position = await view.one("positions", {"_id": query.billing_account}, fields={"oldestDue": 1}, index=BY_ID)
    oldest = None if position is None else position["oldestDue"]
    suspended = await view.find(
        "dunningSuspensions",
        {"billingAccount": query.billing_account, **SUSPENDED},
        fields={"subscription": 1},
        sort=[("step", 1), ("_id", 1)],
        limit=SUSPENDED_MAX,
        index="open",
    )
    procedure = next((one["id"] for one in account["references"] if one["kind"] == "dunningProcedure"), None)
    return dunning_json(
        found,
        (account["currency"], account["currencyDigits"]),
        procedure,
        None if oldest is None else date.fromisoformat(oldest),
        [one["subscription"] for one in suspended],
    )


READS: Reads = ((DunningGet, dunning),)
