// The events of an invoice, with the same content as Paymaster's and the plain worker's: TMF678's CustomerBill with its
// lines.

import { sum } from "./order.js";

const DAY = 24 * 60 * 60 * 1_000;

/** `invoice.issued`, and `settlement.accrued` for each partner; an event's id is the same however often it is made. */
export function eventsOf(invoice, identity, correlationId) {
  const number = invoice._id;
  const event = (id, type, account, content) => ({
    id,
    type,
    account,
    body: Buffer.from(
      JSON.stringify({ eventId: id, eventType: type, eventTime: invoice.bookedAt, correlationId, event: content }),
    ),
  });
  const issued = { invoice: bill(invoice), orderId: invoice.orderId };
  return [
    event(`${number}:issued`, "invoice.issued", invoice.billingAccount, issued),
    ...[...soldByPartner(invoice)].map(([partner, lines]) =>
      event(`${number}:accrued:${partner}`, "settlement.accrued", partner, accrued(partner, lines, invoice, identity)),
    ),
  ];
}

function money(amount, invoice) {
  return { unit: invoice.currency, value: amount / 100 };
}

function reference(account, type) {
  return { "@type": `${type}Ref`, "@referredType": type, id: account };
}

function dateOf(moment) {
  return moment.toISOString().slice(0, 10);
}

function paymentReference(number) {
  const letters = number.replace("-", "");
  const digits = [...`${letters}RF00`].map((character) => parseInt(character, 36)).join("");
  return `RF${String(98n - (BigInt(digits) % 97n)).padStart(2, "0")}${letters}`;
}

function bill(invoice) {
  const total = money(invoice.taxIncludedAmount, invoice);
  const account = reference(invoice.billingAccount, "BillingAccount");
  return {
    "@type": "CustomerBill",
    id: invoice._id,
    billNo: invoice._id,
    paymentReference: paymentReference(invoice._id),
    orderId: invoice.orderId,
    billDate: dateOf(invoice.bookedAt),
    paymentDueDate: dateOf(new Date(invoice.bookedAt.getTime() + invoice.paymentTermDays * DAY)),
    taxPointDate: dateOf(invoice.completedAt),
    state: invoice.state,
    billingAccount: account,
    sellerVersion: invoice.sellerVersion,
    buyerVersion: invoice.buyerVersion,
    taxExcludedAmount: money(invoice.taxExcludedAmount, invoice),
    taxIncludedAmount: total,
    taxItem: invoice.taxItem.map((item) => ({
      "@type": "TaxItem",
      taxCategory: item.category,
      taxRate: Number(item.rate),
      taxExcludedAmount: money(item.taxExcludedAmount, invoice),
      taxAmount: money(item.taxAmount, invoice),
    })),
    amountDue: total,
    remainingAmount: total,
    appliedPayment: [],
    lines: invoice.lines.map((line) => billLine(line, account, invoice)),
  };
}

function billLine(line, account, invoice) {
  const out = {
    "@type": "AppliedCustomerBillingRate",
    id: line.id,
    description: line.description,
    isBilled: true,
    bill: { "@type": "CustomerBillRef", id: invoice._id },
    billingAccount: account,
    quantity: Number(line.quantity),
    unitPrice: Number(line.unitPrice),
    taxExcludedAmount: money(line.taxExcludedAmount, invoice),
    taxIncludedAmount: money(line.taxExcludedAmount + line.taxAmount, invoice),
    appliedTax: [
      {
        "@type": "AppliedBillingTaxRate",
        taxCategory: line.category,
        taxRate: Number(line.rate),
        taxAmount: money(line.taxAmount, invoice),
      },
    ],
  };
  if (line.onBehalfOf) out.onBehalfOf = reference(line.onBehalfOf.id, "SettlementAccount");
  return out;
}

function soldByPartner(invoice) {
  const sold = new Map();
  for (const line of invoice.lines.filter((each) => each.onBehalfOf)) {
    const partner = line.onBehalfOf.id;
    if (!sold.has(partner)) sold.set(partner, []);
    sold.get(partner).push(line);
  }
  return sold;
}

function accrued(partner, lines, invoice, identity) {
  return {
    settlementAccount: reference(partner, "SettlementAccount"),
    amount: money(sum(lines.map((line) => line.onBehalfOf.share)), invoice),
    cause: identity,
    lines: lines.map((line) => ({
      orderId: invoice.orderId,
      billNo: invoice._id,
      lineId: line.id,
      amount: money(line.onBehalfOf.share, invoice),
    })),
  };
}
