"""What follows the trade, written with what the worker has answered: bill numbers, and the totals of statements."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from random import Random
from typing import Any

from demo.dates import BANK, END, LAST
from demo.day import SEED
from demo.facts import APPLIED, HOUR, PAID_IN_FULL, PARTIAL, REPEATED, Fact, Message, message, minor, moment, money
from demo.wares import Partner, Provider


@dataclass(frozen=True)
class OpenInvoice:
    """An invoice that is not paid, as the events have told of it; the amount is in minor units."""

    bill_no: str
    order: str
    account: str
    currency: str
    remaining: int


@dataclass(frozen=True)
class OpenStatement:
    """A partner's statement that is not paid; the amount is in minor units."""

    id: str
    account: str
    currency: str
    total: int


def bank_file(invoices: Iterable[OpenInvoice], seed: int = SEED) -> list[Message]:
    """The bank's file of the day after: payments of 80 customers that name one or two of their open invoices.

    Every tenth names another customer's invoice as well, which must not be paid by it; every seventh pays too little.
    """
    by_account: dict[str, list[OpenInvoice]] = {}
    for invoice in sorted(invoices, key=lambda invoice: invoice.bill_no):
        by_account.setdefault(invoice.account, []).append(invoice)
    chosen = Random(seed).sample(sorted(by_account), min(80, len(by_account)))
    sent = []
    for n, account in enumerate(chosen):
        own = by_account[account][-1 - n % 2 :]  # not the oldest, which would be covered without being named
        names = [invoice.bill_no for invoice in own]
        amount = sum(invoice.remaining for invoice in own)
        note = PAID_IN_FULL
        if n % 7 == 6:
            amount, note = max(amount // 2, 1), PARTIAL
        if n % 10 == 9:
            names.insert(0, by_account[chosen[n - 1]][0].bill_no)
        content = {
            "paymentId": f"BANK-{n:04d}",
            "receivedAt": moment(6 * HOUR, BANK),
            "billingAccount": {"id": account},
            "amount": money(amount, own[0].currency),
            "invoices": names,
        }
        orders = tuple(invoice.order for invoice in own)
        id_ = f"BANK-{n:04d}"
        fact = Fact(
            "payment.received",
            account=account,
            amount=amount,
            orders=orders,
            note=note,
            id=id_,
            currency=own[0].currency,
        )
        sent.append(message("payment.received", content, f"bank-{n:04d}", fact))
    return sent


def closing_id(partner: Partner | Provider, period_end: date) -> str:
    """What a closing is called, and the one statement that it makes."""
    return f"{partner.id[3:]}-{period_end:%m%d}"


def closings(partners: Iterable[Partner | Provider], period_end: date) -> list[Message]:
    """Closings of partners' periods."""
    return [
        message(
            "settlement.close",
            {
                "closingId": closing_id(partner, period_end),
                "settlementAccount": {"id": partner.id},
                "periodEnd": period_end.isoformat(),
            },
            f"close-{partner.id}-{period_end:%m%d}",
            Fact("settlement.close", account=partner.id),
        )
        for partner in partners
    ]


def adjustments(partners: Sequence[Partner]) -> list[Message]:
    """What was agreed with partners beside their shares: one has a bonus, one pays for an advertisement."""
    return [
        message(
            "settlement.adjust",
            {
                "adjustmentId": f"ADJ-{n:03d}",
                "settlementAccount": {"id": partner.id},
                "amount": money(amount, partner.currency),
                "date": LAST.isoformat(),
                "reason": reason,
            },
            f"adjust-{n:03d}",
            Fact("settlement.adjust", account=partner.id, amount=amount, note="adjustments of what partners earned"),
        )
        for n, (partner, amount, reason) in enumerate(
            zip(partners, (1_500, -250), ("bonus", "advertisement"), strict=False)
        )
    ]


def figures_of(statement: Mapping[str, Any]) -> Counter[tuple[str, str, str]]:
    """What a statement says of each line that accrued: of which order, or bill, and of which of its lines."""
    found: Counter[tuple[str, str, str]] = Counter()
    for line in statement["lines"]:
        if line["kind"] == "accrual":
            name = "orderId" if "orderId" in line else "billNo"
            found[name, line[name], line["lineId"]] += minor(line["amount"])
    return found


def own_figures(partner: Partner, statement: Mapping[str, Any], number: int) -> Message:
    """A partner's report of its statement: the first has a whole unit more of one line, the next is as ours is."""
    figures = figures_of(statement)
    if number == 1:
        figures[min(figures)] += 100
    content = {
        "reportId": f"FIGURES-{statement['id']}-{number}",
        "settlementId": statement["id"],
        "lines": [
            {name: of, "lineId": line, "amount": money(amount, partner.currency)}
            for (name, of, line), amount in figures.items()
        ],
    }
    fact = Fact("statement.report", account=partner.id, note="a partner's own figures of a statement")
    return message("statement.report", content, f"figures-{statement['id']}-{number}", fact)


def payouts(statements: Iterable[OpenStatement]) -> list[Message]:
    """Payouts: of four statements, one is paid in whole, one in two parts, one in part, and one not yet.

    The first is also paid too much, which must be parked, and one payout is sent twice. The second part of the second
    comes back, and is paid anew, as it is then requested.
    """
    sent: list[Message] = []
    for n, statement in enumerate(sorted(statements, key=lambda statement: statement.id)):
        whole, half = statement.total, max(statement.total // 2, 1)
        for part in ([whole], [half, whole - half], [half], [])[n % 4]:
            sent.append(_payout(statement, part, f"PO-{len(sent) + 1:04d}", APPLIED))
        if n == 1:
            back, anew = whole - half, f"{statement.id}-r2"
            sent += [_return(statement, back, f"PO-{len(sent):04d}"), _payout(statement, back, anew, APPLIED)]
        if n == 0:
            sent.append(replace(sent[0], facts=(Fact("payout.completed", REPEATED),)))
            sent.append(_payout(statement, whole + 1, f"PO-{len(sent) + 1:04d}", "overpaid-payout"))
    return sent


def said_of(issued: Iterable[dict[str, Any]], statements: Iterable[OpenStatement]) -> tuple[list[Message], Message]:
    """What a partner says of what is issued in its name: it disputes its last invoice, and accepts all else.

    Meanwhile that invoice's statement is not paid, which is tried. Returns what it accepts in the end beside that.
    """
    documents = sorted((one["document"] for one in issued), key=lambda one: str(one["billNo"]))
    last = [one for one in documents if one["typeCode"] == "389"][-1]
    sent = [_said("accept", one, "documents accepted") for one in documents if one is not last]
    sent.append(_said("dispute", last, "documents disputed", reason="the launch of the 12th is missing"))
    held = next(one for one in statements if one.id == last["settlementId"])
    sent.append(_payout(held, held.total, "PO-HELD", "wrong-state"))
    return sent, _said("accept", last, "documents accepted")


def _said(what: str, document: dict[str, Any], note: str, **more: str) -> Message:
    number = document["billNo"]
    content = {"number": number, "at": moment(8 * HOUR, END), **more}
    fact = Fact(f"self-billing.{what}", account=document["settlementAccount"]["id"], note=note)
    return message(f"self-billing.{what}", content, f"{what}-{number}".lower(), fact)


def as_requested(requests: Iterable[dict[str, Any]]) -> list[Message]:
    """Payouts of what was requested where that is not all transferred: the rest was netted, or is withheld as tax."""
    sent = []
    for request in requests:
        netted, tax = minor(request["netted"]), minor(request["taxWithheld"])
        if not (netted or tax):
            continue
        amount, currency = minor(request["amount"]), request["amount"]["unit"]
        content = {
            "payoutId": request["payoutId"],
            "settlementAccount": {"id": request["settlementAccount"]["id"]},
            "settlementId": request["settlementId"],
            "amount": money(amount, currency),
            "transferred": money(minor(request["transferred"]), currency),
        }
        fact = Fact(
            "payout.completed",
            account=request["settlementAccount"]["id"],
            amount=amount - netted,
            statement=request["settlementId"],
            note="payouts that say what was transferred",
        )
        sent.append(message("payout.completed", content, f"paid-{request['payoutId']}", fact))
    return sent


def _return(statement: OpenStatement, amount: int, payout_id: str) -> Message:
    content = {
        "returnId": f"RET-{payout_id}",
        "payoutId": payout_id,
        "returnedAt": moment(9 * HOUR, END),
        "reason": "AC04",
    }
    fact = Fact(
        "payout.returned", APPLIED, statement.account, amount, statement=statement.id, note="payouts that bounced"
    )
    return message("payout.returned", content, f"return-of-{payout_id.lower()}", fact)


def _payout(statement: OpenStatement, amount: int, payout_id: str, outcome: str) -> Message:
    content = {
        "payoutId": payout_id,
        "settlementAccount": {"id": statement.account},
        "settlementId": statement.id,
        "amount": money(amount, statement.currency),
    }
    fact = Fact("payout.completed", outcome, statement.account, amount, statement=statement.id)
    return message("payout.completed", content, payout_id.lower(), fact)
