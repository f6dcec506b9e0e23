// An order and what it comes to: decimals exactly, as BigInt, until the cent; integers from there, which a number holds
// exactly up to 2^53.

const DECIMAL = /^(-?)(\d{1,20})(?:\.(\d{1,10}))?$/;
const CURRENCY = /^[A-Z]{3}$/;
// With an offset: without one, JavaScript would take it for this machine's time.
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const ITEMS_MAX = 1_000;

/** The order in the body of an `order.completed` message; throws when it is none. */
export function readOrder(body) {
  const order = JSON.parse(body);
  if (!Array.isArray(order.items) || order.items.length < 1 || order.items.length > ITEMS_MAX) {
    throw new Error(`items: 1 to ${ITEMS_MAX} are needed`);
  }
  const orderId = text(order.orderId, "orderId", 64, 1);
  return {
    identity: `order.completed:${orderId}`, // what has one effect
    orderId,
    completedAt: moment(order.completedAt, "completedAt"),
    billingAccount: reference(order.billingAccount, "billingAccount"),
    currency: matching(order.currency, "currency", CURRENCY),
    items: order.items.map(readItem),
  };
}

function readItem(item) {
  const rate = decimal(item.tax?.rate, "tax.rate");
  if (rate.units < 0n || rate.units > 10n ** rate.places) throw new Error("tax.rate: 0 to 1 is needed");
  return {
    id: text(item.id, "id"),
    description: item.description == null ? null : text(item.description, "description", 1_000),
    quantity: decimal(item.quantity, "quantity"),
    unitPrice: decimal(item.unitPrice, "unitPrice"),
    category: text(item.tax.category, "tax.category"),
    rate,
    onBehalfOf: item.onBehalfOf == null ? null : reference(item.onBehalfOf, "onBehalfOf"),
  };
}

function text(value, field, max = Infinity, min = 0) {
  if (typeof value !== "string" || value.length < min || value.length > max) throw new Error(`${field}: no such text`);
  return value;
}

function matching(value, field, pattern) {
  if (typeof value !== "string" || !pattern.test(value)) throw new Error(`${field}: ${value} is none`);
  return value;
}

function moment(value, field) {
  const result = new Date(matching(value, field, MOMENT));
  if (Number.isNaN(result.getTime())) throw new Error(`${field}: ${value} is no moment`);
  return result;
}

function reference(value, field) {
  return text(value?.id, `${field}.id`, 64, 1);
}

/** A decimal as it is written, and as `units` with that many decimal `places`. */
function decimal(value, field) {
  const [, sign, whole, fraction = ""] = DECIMAL.exec(value) ?? [];
  if (whole === undefined) throw new Error(`${field}: ${value} is no decimal`);
  return { text: String(value), units: BigInt(sign + whole + fraction), places: BigInt(fraction.length) };
}

/** `units` with that many decimal places as an integer, half away from zero. */
function rounded(units, places) {
  const one = 10n ** places;
  const half = units < 0n ? -one / 2n : one / 2n;
  const result = Number((units + half) / one);
  if (!Number.isSafeInteger(result)) throw new Error(`${units} is too much`);
  return result;
}

/** An amount of cents times a rate or share. */
function part(cents, { units, places }) {
  return rounded(BigInt(cents) * units, places);
}

/** The ids of the accounts that an order names, each once. */
export function accountIds(order) {
  const partners = order.items.filter((item) => item.onBehalfOf !== null).map((item) => item.onBehalfOf);
  return [...new Set([order.billingAccount, ...partners])];
}

/** The invoice as it is kept: nets by line, tax by group of rate, the partners' shares. */
export function invoiceOf(order, number, accounts, now) {
  const nets = order.items.map(({ quantity, unitPrice }) =>
    rounded(quantity.units * unitPrice.units * 100n, quantity.places + unitPrice.places),
  );
  const { taxes, taxItem } = taxesOf(order.items, nets);
  const net = sum(nets);
  return {
    _id: number,
    orderId: order.orderId,
    billingAccount: order.billingAccount,
    currency: order.currency,
    state: "new",
    bookedAt: now,
    completedAt: order.completedAt,
    paymentTermDays: accounts.get(order.billingAccount).paymentTermDays,
    buyerVersion: accounts.get(order.billingAccount).version,
    sellerVersion: null, // the workload tells nothing of the seller
    taxExcludedAmount: net,
    taxIncludedAmount: net + sum(taxes),
    taxItem,
    lines: order.items.map((item, index) => lineOf(item, nets[index], taxes[index], accounts)),
  };
}

/** The tax of each line, and of each group of a category and rate; a group's last line takes what rounding leaves. */
function taxesOf(items, nets) {
  const groups = new Map();
  items.forEach(({ category, rate }, index) => {
    // 0.2 and 0.20 are one rate.
    const key = `${rate.units * 10n ** (10n - rate.places)} ${category}`;
    if (!groups.has(key)) groups.set(key, { category, rate, members: [] });
    groups.get(key).members.push(index);
  });
  const taxes = [];
  const taxItem = [];
  for (const { category, rate, members } of groups.values()) {
    const net = sum(members.map((index) => nets[index]));
    const tax = part(net, rate);
    let left = tax;
    for (const index of members.slice(0, -1)) {
      taxes[index] = part(nets[index], rate);
      left -= taxes[index];
    }
    taxes[members.at(-1)] = left;
    taxItem.push({ category, rate: rate.text, taxExcludedAmount: net, taxAmount: tax });
  }
  return { taxes, taxItem };
}

function lineOf(item, net, tax, accounts) {
  const line = {
    id: item.id,
    description: item.description,
    quantity: item.quantity.text,
    unitPrice: item.unitPrice.text,
    category: item.category,
    rate: item.rate.text,
    taxExcludedAmount: net,
    taxAmount: tax,
  };
  if (item.onBehalfOf !== null) {
    const share = decimal(accounts.get(item.onBehalfOf).partnerShare, "partnerShare");
    line.onBehalfOf = { id: item.onBehalfOf, share: part(net, share) };
  }
  return line;
}

/** The journal entry, debits positive, which sums to zero. */
export function entryOf(order, invoice) {
  const sums = new Map();
  const post = (account, amount) => sums.set(account, (sums.get(account) ?? 0) + amount);
  post(`receivable:${invoice.billingAccount}`, invoice.taxIncludedAmount);
  for (const { onBehalfOf, taxExcludedAmount } of invoice.lines) {
    if (onBehalfOf) post(`payable:${onBehalfOf.id}`, -onBehalfOf.share);
    post(onBehalfOf ? "commission" : "revenue", (onBehalfOf?.share ?? 0) - taxExcludedAmount);
  }
  for (const { category, rate, taxAmount } of invoice.taxItem) post(`tax:${category}:${rate}`, -taxAmount);
  if (sum([...sums.values()]) !== 0) throw new Error(`the entry of ${order.identity} does not sum to zero`);
  return {
    _id: order.identity,
    occurredAt: order.completedAt,
    bookedAt: invoice.bookedAt,
    postings: [...sums].map(([account, amount]) => ({ account, currency: order.currency, amount })),
  };
}

/** A row for each line that was sold on behalf of a partner. */
export function accrualsOf(invoice) {
  return invoice.lines
    .filter((line) => line.onBehalfOf)
    .map((line) => ({
      _id: `${invoice._id}/${line.id}`,
      settlementAccount: line.onBehalfOf.id,
      orderId: invoice.orderId,
      billNo: invoice._id,
      lineId: line.id,
      amount: line.onBehalfOf.share,
      bookedAt: invoice.bookedAt,
    }));
}

export function sum(amounts) {
  return amounts.reduce((total, amount) => total + amount, 0);
}
