"""What is put right on a later day: goods and money come back, debits bounce, a payment was another account's.

Written with what the worker has told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from demo.dates import CAME_BACK
from demo.day import SEED
from demo.evening import OpenInvoice
from demo.facts import HOUR, PAID_IN_FULL, Fact, Message, message, moment, money, rounded
from demo.wares import Customer

RETURNS = 12
BOUNCED = 5
CHARGED_BACK = 3
CHARGEBACKS = "chargebacks after a refund"
ASTRAY = 3
SORRY = 4


@dataclass(frozen=True)
class BilledLine:
    """A line of an invoice, as the events have told of it; the net and what remains of the invoice in minor units."""

    bill_no: str
    order_id: str
    line_id: str
    account: str
    currency: str
    net: int
    rate: Decimal
    remaining: int

    @property
    def total(self) -> int:
        """The line with its tax: what a note of all of it comes to where it is the invoice's first."""
        return self.net + rounded(self.net * self.rate)


def returns(lines: Iterable[BilledLine], seed: int = SEED) -> list[Message]:
    """Credit notes of lines, one an invoice: of every other one the money goes back, else it is credit.

    Some of the money is told of before its note.
    """
    by_invoice = {line.bill_no: line for line in sorted(lines, key=lambda line: line.bill_no)}
    sent: list[Message] = []
    for n, bill_no in enumerate(sorted(Random(seed).sample(sorted(by_invoice), min(RETURNS, len(by_invoice))))):
        line, goes_back = by_invoice[bill_no], n % 2 == 0
        note = {
            "creditNoteId": f"RET-{n:03d}",
            "billNo": bill_no,
            "issuedAt": moment(6 * HOUR, CAME_BACK),
            "reason": "goods returned",
            "lines": [{"lineId": line.line_id, "taxExcludedAmount": money(line.net, line.currency)}],
            "excess": "refund" if goes_back else "credit",
        }
        fact = Fact("credit-note.issue", account=line.account, amount=line.total, note="lines that came back")
        told = [message("credit-note.issue", note, f"return-{n:03d}", fact)]
        if goes_back:
            refund = {
                "refundId": f"BACK-{n:03d}",
                "billingAccount": {"id": line.account},
                "amount": money(line.total, line.currency),
                "refundedAt": moment(8 * HOUR, CAME_BACK),
                "creditNoteId": f"RET-{n:03d}",
            }
            fact = Fact("refund.completed", account=line.account, amount=line.total, note="money that went back")
            told.insert(n // 2 % 2, message("refund.completed", refund, f"refund-{n:03d}", fact))
        sent += told
    return sent


def bounced(bank: Sequence[Message], of_partners: set[str], seed: int = SEED) -> list[Message]:
    """Some of the bank's payments come back whole: of those that paid in full what no partner has a share in."""
    paid = _paid_in_full(bank, of_partners)
    chosen = Random(seed).sample(paid, min(BOUNCED, len(paid)))
    return [
        _reversal(f"RDT-{n:03d}", f"bounced-{n:03d}", "AM04", fact, "debits that bounced")
        for n, fact in enumerate(chosen)
    ]


def charged_back(bank: Sequence[Message], of_partners: set[str], touched: set[str]) -> list[Message]:
    """Some of the bank's payments are given back to the customer, whose bank then takes them back as well.

    They are of accounts that nothing else came back of, which are `touched`.
    """
    untouched = [fact for fact in _paid_in_full(bank, of_partners) if fact.account not in touched]
    sent: list[Message] = []
    for n, fact in enumerate(untouched[:CHARGED_BACK]):
        refund = {
            "refundId": f"SWAP-{n:03d}",
            "billingAccount": {"id": fact.account},
            "amount": money(fact.amount, fact.currency),
            "refundedAt": moment(6 * HOUR, CAME_BACK),
            "paymentId": fact.id,
        }
        back = Fact("refund.completed", account=fact.account, amount=fact.amount, note="money that went back")
        sent.append(message("refund.completed", refund, f"swap-{n:03d}", back))
        sent.append(_reversal(f"CBK-{n:03d}", f"charged-back-{n:03d}", "MD06", fact, CHARGEBACKS))
    return sent


def _paid_in_full(bank: Sequence[Message], of_partners: set[str]) -> list[Fact]:
    return [
        fact
        for sent in bank
        for fact in sent.facts
        if fact.type == "payment.received" and fact.note == PAID_IN_FULL and of_partners.isdisjoint(fact.orders)
    ]


def _reversal(reversal_id: str, message_id: str, reason: str, paid: Fact, note: str) -> Message:
    content = {
        "reversalId": reversal_id,
        "paymentId": paid.id,
        "reversedAt": moment(7 * HOUR, CAME_BACK),
        "reason": reason,
    }
    fact = Fact("payment.reversed", account=paid.account, amount=paid.amount, orders=paid.orders, note=note)
    return message("payment.reversed", content, message_id, fact)


def put_right(invoices: Iterable[OpenInvoice], depositors: Sequence[Customer]) -> list[Message]:
    """Payments that came in on a depositor's account, and are transferred to that of an open invoice; and goodwill.

    Every other transfer is told of before its payment. Goodwill is a tenth of what is open of an invoice.
    """
    by_account = {invoice.account: invoice for invoice in sorted(invoices, key=lambda i: i.bill_no, reverse=True)}
    of_depositors = {depositor.id for depositor in depositors}
    others = [invoice for account, invoice in sorted(by_account.items()) if account not in of_depositors]
    sent: list[Message] = []
    for n in range(ASTRAY):
        depositor = depositors[n % len(depositors)]
        wrong = depositor.id
        invoice = [one for one in others if one.currency == depositor.currency][n]
        all_of_it = money(invoice.remaining, invoice.currency)
        payment = {
            "paymentId": f"ASTRAY-{n:03d}",
            "receivedAt": moment(4 * HOUR, CAME_BACK),
            "billingAccount": {"id": wrong},
            "amount": all_of_it,
        }
        transfer = {
            "transferId": f"RIGHT-{n:03d}",
            "from": {"id": wrong},
            "to": {"id": invoice.account},
            "amount": all_of_it,
            "transferredAt": moment(6 * HOUR, CAME_BACK),
            "reason": "the customer's payment, booked on another's account",
            "paymentId": f"ASTRAY-{n:03d}",
        }
        came = Fact("payment.received", account=wrong, amount=invoice.remaining, orders=(invoice.order,))
        went = Fact(
            "credit.transfer",
            account=wrong,
            to=invoice.account,
            amount=invoice.remaining,
            note="payments of the wrong account",
        )
        told = [
            message("payment.received", payment, f"astray-{n:03d}", came),
            message("credit.transfer", transfer, f"right-{n:03d}", went),
        ]
        sent += reversed(told) if n % 2 else told
    for n, invoice in enumerate(others[-SORRY:]):
        amount = max(invoice.remaining // 10, 1)
        grant = {
            "creditId": f"SORRY-{n:03d}",
            "billingAccount": {"id": invoice.account},
            "amount": money(amount, invoice.currency),
            "grantedAt": moment(5 * HOUR, CAME_BACK),
            "reason": "for a night without films",
        }
        fact = Fact("credit.grant", account=invoice.account, amount=amount, note="goodwill")
        sent.append(message("credit.grant", grant, f"sorry-{n:03d}", fact))
    return sent
