"""Messages to send: each builder gives the routing key and the body of one fact."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Message = tuple[str, Json]


def eur(value: Any) -> Json:
    """An amount in euro."""
    return {"unit": "EUR", "value": value}


def customer(account_id: str, **fields: Any) -> Message:
    """`account.create` of a billing account."""
    return "account.create", {
        "id": account_id,
        "@type": "BillingAccount",
        "name": f"Customer {account_id}",
        "relatedParty": [{"role": "customer", "partyOrPartyRole": {"id": "C-1", "name": "Ada"}}],
        "currency": "EUR",
        **fields,
    }


def partner(account_id: str, share: Any = "0.8", accrue_on: str = "invoice", **fields: Any) -> Message:
    """`account.create` of a settlement account."""
    return "account.create", {
        "id": account_id,
        "@type": "SettlementAccount",
        "name": f"Partner {account_id}",
        "relatedParty": [{"role": "partner", "partyOrPartyRole": {"id": "P-1", "name": "Films"}}],
        "currency": "EUR",
        "settlementTerms": {"partnerShare": share, "accrueOn": accrue_on},
        **fields,
    }


def agent_of(account_id: str, accrue_on: str = "invoice", commission: Any = "0.1", **terms: Any) -> Message:
    """`account.create` of a settlement account of a partner in whose name we sell."""
    tax = {"category": "S", "rate": "0.2"}
    said = {"model": "agent", "commission": commission, "commissionTax": tax, "accrueOn": accrue_on, **terms}
    return partner(account_id, settlementTerms=said)


def item(number: int | str, price: Any, *, quantity: Any = 1, rate: Any = "0.20", sold_for: str | None = None) -> Json:
    """A line of an order."""
    line: Json = {
        "id": str(number),
        "description": f"Line {number}",
        "quantity": quantity,
        "unitPrice": price,
        "tax": {"category": "S", "rate": rate},
    }
    if sold_for is not None:
        line["onBehalfOf"] = {"id": sold_for}
    return line


def order(order_id: str, account_id: str, *items: Json, **fields: Any) -> Message:
    """`order.completed`: unless told otherwise one line of 10.00, which is 12.00 with its tax."""
    return "order.completed", {
        "orderId": order_id,
        "completedAt": "2026-11-22T10:15:00Z",
        "billingAccount": {"id": account_id},
        "currency": "EUR",
        "items": list(items) or [item(1, "10.00")],
        **fields,
    }


def payment(payment_id: str, account_id: str, value: Any, **fields: Any) -> Message:
    """`payment.received`."""
    return "payment.received", {
        "paymentId": payment_id,
        "receivedAt": "2026-11-23T08:00:00Z",
        "billingAccount": {"id": account_id},
        "amount": eur(value),
        **fields,
    }


def closing(closing_id: str, account_id: str, period_end: str = "2026-11-30") -> Message:
    """`settlement.close`."""
    return "settlement.close", {
        "closingId": closing_id,
        "settlementAccount": {"id": account_id},
        "periodEnd": period_end,
    }


def payout(payout_id: str, account_id: str, settlement_id: str, value: Any) -> Message:
    """`payout.completed`."""
    return "payout.completed", {
        "payoutId": payout_id,
        "settlementAccount": {"id": account_id},
        "settlementId": settlement_id,
        "amount": eur(value),
    }


def payout_return(return_id: str, payout_id: str, **fields: Any) -> Message:
    """`payout.returned`."""
    return "payout.returned", {
        "returnId": return_id,
        "payoutId": payout_id,
        "returnedAt": "2026-11-26T09:00:00Z",
        "reason": "AC04",
        **fields,
    }


def adjustment(adjustment_id: str, account_id: str, value: Any, **fields: Any) -> Message:
    """`settlement.adjust`."""
    return "settlement.adjust", {
        "adjustmentId": adjustment_id,
        "settlementAccount": {"id": account_id},
        "amount": eur(value),
        "date": "2026-11-26",
        "reason": "as agreed",
        **fields,
    }


def report(report_id: str, settlement_id: str, figures: dict[str, Any], **fields: Any) -> Message:
    """`statement.report`: a partner's figures by `<orderId>/<lineId>`."""
    names = {key: key.split("/") for key in figures}
    lines = [{"orderId": names[key][0], "lineId": names[key][1], "amount": eur(figures[key])} for key in figures]
    return "statement.report", {"reportId": report_id, "settlementId": settlement_id, "lines": lines, **fields}


def agreement(agreement_id: str, account_id: str, since: str, share: str | None, **terms: Any) -> Message:
    """`agreement.create`, without an end; without a share where its terms have tiers."""
    return "agreement.create", {
        "agreementId": agreement_id,
        "settlementAccount": {"id": account_id},
        "validFor": {"startDateTime": f"{since}T00:00:00Z"},
        "terms": {**({} if share is None else {"share": share}), **terms},
    }


def credit_note(note_id: str, bill_no: str, *lines: Json, **fields: Any) -> Message:
    """`credit-note.issue`: unless told otherwise, of all that is left of an invoice."""
    return "credit-note.issue", {
        "creditNoteId": note_id,
        "billNo": bill_no,
        "issuedAt": "2026-11-24T09:00:00Z",
        "reason": "returned",
        **({"lines": list(lines)} if lines else {}),
        **fields,
    }


def refund(refund_id: str, account_id: str, value: Any, **fields: Any) -> Message:
    """`refund.completed`: unless told otherwise, of the account's credit."""
    return "refund.completed", {
        "refundId": refund_id,
        "billingAccount": {"id": account_id},
        "amount": eur(value),
        "refundedAt": "2026-11-25T09:00:00Z",
        **fields,
    }


def reversal(reversal_id: str, payment_id: str, value: Any = None, **fields: Any) -> Message:
    """`payment.reversed`: unless told otherwise, of all that is left of the payment."""
    return "payment.reversed", {
        "reversalId": reversal_id,
        "paymentId": payment_id,
        "reversedAt": "2026-11-25T09:00:00Z",
        "reason": "AM04",
        **({} if value is None else {"amount": eur(value)}),
        **fields,
    }


def write_off(write_off_id: str, bill_no: str, value: Any = None, **fields: Any) -> Message:
    """`invoice.write-off`: unless told otherwise, of all that remains."""
    return "invoice.write-off", {
        "writeOffId": write_off_id,
        "billNo": bill_no,
        "writtenOffAt": "2026-11-26T09:00:00Z",
        "reason": "insolvent",
        **({} if value is None else {"amount": eur(value)}),
        **fields,
    }


def dispute(dispute_id: str, bill_no: str, *lines: Json) -> Message:
    """`dispute.open`."""
    return "dispute.open", {
        "disputeId": dispute_id,
        "billNo": bill_no,
        "openedAt": "2026-11-24T10:00:00Z",
        "reason": "never came",
        "items": list(lines),
    }


def dispute_settled(dispute_id: str, *approved: Json) -> Message:
    """`dispute.settle`: unless told otherwise, nothing is approved."""
    return "dispute.settle", {
        "disputeId": dispute_id,
        "settledAt": "2026-11-25T10:00:00Z",
        "approved": list(approved),
    }


def dispute_withdrawn(dispute_id: str) -> Message:
    """`dispute.withdraw`."""
    return "dispute.withdraw", {"disputeId": dispute_id, "withdrawnAt": "2026-11-25T10:00:00Z"}


def validated(bill_no: str, **fields: Any) -> Message:
    """`invoice.validate`."""
    return "invoice.validate", {"billNo": bill_no, "at": "2026-11-24T08:00:00Z", **fields}


def sent(bill_no: str, **fields: Any) -> Message:
    """`invoice.send`."""
    return "invoice.send", {"billNo": bill_no, "at": "2026-11-23T18:00:00Z", **fields}


def grant(credit_id: str, account: str, value: Any, **fields: Any) -> Message:
    """`credit.grant`."""
    return "credit.grant", {
        "creditId": credit_id,
        "billingAccount": {"id": account},
        "amount": eur(value),
        "grantedAt": "2026-11-24T10:00:00Z",
        "reason": "sorry",
        **fields,
    }


def transfer(transfer_id: str, value: Any, by: str, to: str, **fields: Any) -> Message:
    """`credit.transfer`."""
    return "credit.transfer", {
        "transferId": transfer_id,
        "from": {"id": by},
        "to": {"id": to},
        "amount": eur(value),
        "transferredAt": "2026-11-24T11:00:00Z",
        "reason": "wrong account",
        **fields,
    }


def charge(charge_id: str, account_id: str, price: Any, *, rate: Any = "0.20", **fields: Any) -> Message:
    """An item for the next bill."""
    body: Json = {
        "chargeId": charge_id,
        "billingAccount": {"id": account_id},
        "date": "2026-11-22",
        "currency": "EUR",
        "item": item(1, price, rate=rate, sold_for=fields.pop("sold_for", None)),
    }
    return "charge.add", {**body, **fields}


def monthly(price_id: str, price: Any, *, sold_for: str | None = None, **fields: Any) -> Json:
    """A price of a subscription that is charged each month in advance."""
    made = {
        "id": price_id,
        "name": "Fibre 500",
        "priceType": "recurring",
        "unitPrice": price,
        "billed": "inAdvance",
        "recurringChargePeriodType": "month",
        "tax": {"category": "S", "rate": "0.20"},
    }
    return {**made, **({} if sold_for is None else {"onBehalfOf": {"id": sold_for}}), **fields}


def subscription(subscription_id: str, account_id: str, *prices: Json, start: str, **fields: Any) -> Message:
    """What an account is charged for over time."""
    body: Json = {
        "subscriptionId": subscription_id,
        "billingAccount": {"id": account_id},
        "startDate": start,
        "currency": "EUR",
        "productPrice": list(prices) or [monthly("P-1", "39.90")],
    }
    return "subscription.create", {**body, **fields}


def subscribed(what: str, subscription_id: str, on: str, **fields: Any) -> Message:
    """`subscription.change`, `.suspend`, `.resume` or `.terminate`, from a date on."""
    return f"subscription.{what}", {"subscriptionId": subscription_id, "effectiveDate": on, **fields}


def metered(price_id: str, price: Any, **fields: Any) -> Json:
    """A price of usage, of months."""
    made = {
        "id": price_id,
        "name": "Data",
        "priceType": "usage",
        "unitOfMeasure": "GB",
        "unitPrice": price,
        "recurringChargePeriodType": "month",
        "tax": {"category": "S", "rate": "0.20"},
    }
    return {**made, **fields}


def usage(
    usage_id: str,
    subscription_id: str,
    quantity: Any = 1,
    at: str = "2026-11-22T10:00:00Z",
    price_id: str = "P-1",
    **fields: Any,
) -> Message:
    """So much was used of a subscription's price."""
    body: Json = {
        "usageId": usage_id,
        "subscriptionId": subscription_id,
        "usageDate": at,
        "priceId": price_id,
        "quantity": quantity,
    }
    return "usage.record", {**body, **fields}


def demand(demand_id: str, account_id: str, on: str = "2026-11-22") -> Message:
    """A bill of what is due up to a date."""
    return "bill.demand", {"id": demand_id, "billingAccount": {"id": account_id}, "billingDate": on}


def promise(promise_id: str, account_id: str, until: str, value: Any = None) -> Message:
    """`payment.promise`: unless told otherwise, of all that is overdue."""
    amount = {} if value is None else {"amount": eur(value)}
    return "payment.promise", {
        "promiseId": promise_id,
        "billingAccount": {"id": account_id},
        "until": until,
        **amount,
    }


def procedure(procedure_id: str, *steps: tuple[int, str], fee: Any = "4.50", **fields: Any) -> Message:
    """`dunning-procedure.create`: days after the due date, and what is done; what is charged is a fee without tax."""
    item = {"id": "fee", "quantity": 1, "unitPrice": fee, "tax": {"category": "E", "rate": 0}}
    return "dunning-procedure.create", {
        "id": procedure_id,
        "name": procedure_id,
        "steps": [
            {"after": after, "action": action, **({"item": item} if action == "charge" else {})}
            for after, action in steps
        ],
        **fields,
    }


def cycle(cycle_id: str = "MONTHLY", **fields: Any) -> Message:
    """A billing cycle specification to be created."""
    return "billing-cycle-specification.create", {"id": cycle_id, "name": "Monthly", **fields}


def in_cycle(account_id: str, cycle_id: str = "MONTHLY", **fields: Any) -> Message:
    """A billing account of a cycle to be created."""
    return customer(account_id, billStructure={"cycleSpecification": {"id": cycle_id}}, **fields)


def bill_run(run_id: str, cycle_id: str = "MONTHLY", on: str = "2026-11-22") -> Message:
    """A run over the accounts of a cycle up to a date."""
    body = {"billRunId": run_id, "cycleSpecification": {"id": cycle_id}, "billingDate": on}
    return "bill-run.start", body


def credited(line: int | str, value: Any) -> Json:
    """How much of a line's net a credit note takes back."""
    return {"lineId": str(line), "taxExcludedAmount": eur(value)}


def account(type_: str, account_id: str, **fields: Any) -> Message:
    """`account.create` of a party or financial account."""
    return "account.create", {
        "id": account_id,
        "@type": type_,
        "name": f"Account {account_id}",
        "relatedParty": [{"role": "owner", "partyOrPartyRole": {"id": "O-1", "@type": "PartyRef"}}],
        "currency": "EUR",
        **fields,
    }


def update(account_id: str, changes: Json, type_: str = "BillingAccount", **fields: Any) -> Message:
    """`account.update`: a merge patch."""
    return "account.update", {"id": account_id, "@type": type_, "changes": changes, **fields}


def seller(**changes: Any) -> Message:
    """`seller.update`: a merge patch."""
    return "seller.update", {"changes": changes}


def command(name: str, account_id: str, **fields: Any) -> Message:
    """`account.suspend`, `.resume`, `.close` and so on."""
    reason = {"reason": "as agreed"} if name == "close" else {}
    return f"account.{name}", {"id": account_id, **reason, **fields}


def relationship(type_: str, account_id: str, since: str | None = None, until: str | None = None) -> Json:
    """An account relationship, from a time and until another."""
    period = {"startDateTime": since, "endDateTime": until}
    valid_for = {"validFor": {end: time for end, time in period.items() if time}} if since or until else {}
    return {"relationshipType": type_, "account": {"id": account_id}, **valid_for}
