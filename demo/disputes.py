"""What customers dispute, and what is lost of what they owe; written with what the worker has told."""

from collections.abc import Iterable
from random import Random

from demo.dates import DISPUTES
from demo.day import SEED
from demo.facts import HOUR, RECOVERS, Fact, Message, message, moment, money
from demo.returns import BilledLine

DISPUTED = 6
LOST = 4


def disputes_and_losses(lines: Iterable[BilledLine], seed: int = SEED) -> list[Message]:
    """Of open invoices in EUR, one an account, some have a line disputed, and others are written off.

    Every third dispute is withdrawn, of the others the line is credited, and of some that is said before they are
    opened. Of every other invoice that is lost half is paid after all.
    """
    by_account = {line.account: line for line in sorted(lines, key=lambda line: line.bill_no) if line.currency == "EUR"}
    chosen = Random(seed).sample(sorted(by_account), min(DISPUTED + LOST, len(by_account)))
    sent: list[Message] = []
    for n, account in enumerate(chosen[:DISPUTED]):
        sent += _dispute(n, by_account[account])
    for n, account in enumerate(chosen[DISPUTED:]):
        sent += _loss(n, by_account[account])
    return sent


def _dispute(n: int, line: BilledLine) -> list[Message]:
    disputed: dict[str, object] = {"lineId": line.line_id, "taxExcludedAmount": money(line.net, line.currency)}
    opened: dict[str, object] = {
        "disputeId": f"DIS-{n:03d}",
        "billNo": line.bill_no,
        "openedAt": moment(8.5 * HOUR, DISPUTES),
        "reason": "never came",
        "items": [disputed],
    }
    told = [message("dispute.open", opened, f"disputed-{n:03d}", Fact("dispute.open", note="lines that are disputed"))]
    if n % 3 == 2:
        ended: dict[str, object] = {"disputeId": f"DIS-{n:03d}", "withdrawnAt": moment(9 * HOUR, DISPUTES)}
        fact = Fact("dispute.withdraw", note="disputes that are withdrawn")
        told.append(message("dispute.withdraw", ended, f"withdrawn-{n:03d}", fact))
    else:
        ended = {"disputeId": f"DIS-{n:03d}", "settledAt": moment(9 * HOUR, DISPUTES), "approved": [disputed]}
        fact = Fact("dispute.settle", account=line.account, amount=line.total, note="disputes that are settled")
        told.insert(n % 2, message("dispute.settle", ended, f"settled-{n:03d}", fact))
    return told


def _loss(n: int, line: BilledLine) -> list[Message]:
    lost = {
        "writeOffId": f"LOSS-{n:03d}",
        "billNo": line.bill_no,
        "writtenOffAt": moment(8.5 * HOUR, DISPUTES),
        "reason": "insolvent",
        "taxRelief": n % 2 == 0,
    }
    fact = Fact("invoice.write-off", account=line.account, amount=line.remaining, note="invoices that are written off")
    told = [message("invoice.write-off", lost, f"lost-{n:03d}", fact)]
    half = line.remaining // 2
    if n % 2 == 0 and half:
        paid = {
            "paymentId": f"LATE-{n:03d}",
            "receivedAt": moment(9.5 * HOUR, DISPUTES),
            "billingAccount": {"id": line.account},
            "amount": money(half, line.currency),
            "invoices": [line.bill_no],
        }
        fact = Fact("payment.received", account=line.account, amount=half, note=RECOVERS, orders=(line.order_id,))
        told.append(message("payment.received", paid, f"late-{n:03d}", fact))
    return told
