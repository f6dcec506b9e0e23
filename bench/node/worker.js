// The Node.js peer's process: `node worker.js`, until SIGTERM.

import { randomUUID } from "node:crypto";

import amqplib from "amqplib";
import { MongoClient } from "mongodb";

import { eventsOf } from "./events.js";
import { accountIds, accrualsOf, entryOf, invoiceOf, readOrder } from "./order.js";

const IN = "node.in";
const QUEUE = "node.work";
const OUT = "node.out";
const IN_FLIGHT = 32;
const DUPLICATE_KEY = 11000;

const client = await new MongoClient(process.env.PAYMASTER_MONGODB_URL, {
  writeConcern: { w: "majority" },
  maxPoolSize: 2 * IN_FLIGHT,
}).connect();
const database = client.db(process.env.PAYMASTER_DATABASE);
const [inbox, invoices, entries, accruals, accounts, counters] = [
  "inbox",
  "invoices",
  "entries",
  "accruals",
  "accounts",
  "counters",
].map((name) => database.collection(name));

const underWay = new Set();
let finish;

const connection = await amqplib.connect(process.env.PAYMASTER_RABBITMQ_URL, {
  noDelay: true,
  // A lost connection is made again, and everything on it; what was not acknowledged comes again by itself.
  recovery: { initialMaxRetries: 0, setup: consume },
});
connection.on("error", (error) => console.error("the connection:", error.message));

/** Declare what is consumed and published to, and begin. */
async function consume(model) {
  const [incoming, outgoing] = await Promise.all([model.createChannel(), model.createConfirmChannel()]);
  for (const channel of [incoming, outgoing]) channel.on("error", giveUp);
  await outgoing.assertExchange(OUT, "topic", { durable: true });
  await incoming.assertExchange(IN, "topic", { durable: true });
  await incoming.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
  await incoming.bindQueue(QUEUE, IN, "#");
  await incoming.prefetch(IN_FLIGHT);
  const { consumerTag } = await incoming.consume(QUEUE, (message) => {
    if (message === null) giveUp(new Error("the broker has cancelled the consumer"));
    const work = handle(message, incoming, outgoing).finally(() => underWay.delete(work));
    underWay.add(work);
  });
  finish = async () => {
    await incoming.cancel(consumerTag);
    await Promise.all(underWay);
    await incoming.close(); // the connection's own close could overtake the last acknowledgements
  };
}

/** What only a person can put right, such as a queue that is gone: whoever started this is to notice. */
function giveUp(error) {
  console.error(error);
  process.exit(1);
}

/** Do what a message asks for; it is acknowledged after the commit and the events' confirms, else delivered again. */
async function handle(message, incoming, outgoing) {
  let done = false;
  try {
    await complete(message, outgoing);
    done = true;
  } catch (error) {
    console.error(error);
  }
  try {
    if (done) incoming.ack(message);
    else incoming.nack(message, false, true);
  } catch (error) {
    console.error(error.message); // the channel is gone, and the message with it
  }
}

/** Invoice an order and publish its events. */
async function complete({ content, properties }, outgoing) {
  const order = readOrder(content.toString());
  const correlationId = properties.correlationId ?? randomUUID();
  const invoice = await book(order, properties.messageId);
  const events = eventsOf(invoice, order.identity, correlationId);
  await Promise.all(events.map((event) => publish(outgoing, event, order.identity, correlationId)));
}

/** The order's invoice, made now or, when the order was delivered before, then. */
async function book(order, messageId) {
  const number = await nextNumber();
  try {
    return await client.withSession((session) =>
      session.withTransaction(() => bookWithin(session, order, number, messageId), {
        readConcern: { level: "snapshot" },
        writeConcern: { w: "majority" },
      }),
    );
  } catch (error) {
    if (error.code !== DUPLICATE_KEY) throw error; // in the inbox
    return await invoices.findOne({ orderId: order.orderId });
  }
}

async function bookWithin(session, order, number, messageId) {
  const now = new Date();
  await inbox.insertOne({ _id: order.identity, messageId, appliedAt: now, billNo: number }, { session });
  const ids = accountIds(order);
  const found = await accounts.find({ _id: { $in: ids } }, { session }).toArray();
  if (found.length < ids.length) throw new Error(`${order.identity} names accounts that do not exist`);
  const invoice = invoiceOf(order, number, new Map(found.map((account) => [account._id, account])), now);
  await invoices.insertOne(invoice, { session });
  await entries.insertOne(entryOf(order, invoice), { session });
  const rows = accrualsOf(invoice);
  if (rows.length > 0) await accruals.insertMany(rows, { session });
  // Last, so that the one document that others write too is held for the shortest time.
  const owed = { $inc: { receivable: invoice.taxIncludedAmount } };
  await accounts.updateOne({ _id: order.billingAccount }, owed, { session });
  return invoice;
}

/** The next invoice number; taken once a message, not once an attempt. */
async function nextNumber() {
  const counter = await counters.findOneAndUpdate(
    { _id: "invoices" },
    { $inc: { last: 1 } },
    { upsert: true, returnDocument: "after" },
  );
  return `INV-${String(counter.last).padStart(9, "0")}`;
}

/** Publish an event, persistent, and wait for the broker's confirm. */
function publish(channel, event, identity, correlationId) {
  const properties = {
    persistent: true,
    messageId: event.id,
    type: event.type,
    correlationId,
    appId: "node",
    contentType: "application/json",
    timestamp: Math.floor(Date.now() / 1_000),
    headers: { "causation-id": identity, "account-id": event.account, "schema-version": 1 },
  };
  return new Promise((resolve, reject) => {
    channel.publish(OUT, event.type, event.body, properties, (error) => (error ? reject(error) : resolve()));
  });
}

process.once("SIGTERM", async () => {
  await finish();
  await connection.close();
  await client.close();
});
