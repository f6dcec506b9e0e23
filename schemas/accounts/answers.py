"""What the answers to queries are made of: accounts with their money and revision, balances by name, specifications."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic_core import to_json

from domain.accounts.model import FINANCIAL, Account, Standing
from domain.accounts.specifications import Specification
from schemas.events import BALANCES as BY_TYPE
from schemas.events import account_json, account_money, specification_json
from schemas.values import money_json

Json = dict[str, Any]

BALANCES = BY_TYPE[FINANCIAL]
"""All that an account's money is told by."""


def time_json(moment: datetime) -> str:
    """A time in UTC as it goes out, to the millisecond."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def account_document(account: Account, standing: Standing | None) -> Json:
    """An account as the events have it, with its revision; without balances where no `standing` is told."""
    return {**account_json(account, standing), "revision": account.revision}


def account_written(document: bytes, type_: str, currency: str, standing: Standing) -> bytes:
    """What `account_document` of an account and its standing is as JSON, of what it is without a standing."""
    return document[:-1] + b"," + to_json(account_money(type_, currency, standing))[1:]


def standing_json(standing: Standing, currency: str) -> Json:
    """All balances of an account by name, whatever its type, and the payment status of one that has it."""
    out: Json = {balance: money_json(standing.amount(balance), currency) for balance in BALANCES}
    if standing.payment_status is not None:
        out["paymentStatus"] = standing.payment_status
    return out


def specification_document(specification: Specification) -> Json:
    """A specification as the events have it, with its revision."""
    return {**specification_json(specification), "revision": specification.revision}
