"""What comes back in the evening: goods, money, and debits that bounce; written with what the worker has told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from demo.day import SEED
from demo.facts import HOUR, PAID_IN_FULL, Fact, Message, message, moment, money, rounded

RETURNS = 12
BOUNCED = 5


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
            "issuedAt": moment(23.6 * HOUR),
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
                "refundedAt": moment(23.8 * HOUR),
                "creditNoteId": f"RET-{n:03d}",
            }
            fact = Fact("refund.completed", account=line.account, amount=line.total, note="money that went back")
            told.insert(n // 2 % 2, message("refund.completed", refund, f"refund-{n:03d}", fact))
        sent += told
    return sent


def bounced(bank: Sequence[Message], of_partners: set[str], seed: int = SEED) -> list[Message]:
    """Some of the bank's payments come back whole: of those that paid in full what no partner has a share in."""
    paid = [
        fact
        for sent in bank
        for fact in sent.facts
        if fact.type == "payment.received" and fact.note == PAID_IN_FULL and of_partners.isdisjoint(fact.orders)
    ]
    chosen = Random(seed).sample(paid, min(BOUNCED, len(paid)))
    return [
        message(
            "payment.reversed",
            {
                "reversalId": f"RDT-{n:03d}",
                "paymentId": fact.id,
                "reversedAt": moment(23.7 * HOUR),
                "reason": "AM04",
            },
            f"bounced-{n:03d}",
            Fact(
                "payment.reversed",
                account=fact.account,
                amount=fact.amount,
                orders=fact.orders,
                note="debits that bounced",
            ),
        )
        for n, fact in enumerate(chosen)
    ]
