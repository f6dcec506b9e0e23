"""The plain worker: the same work as a good engineer would write it with FastStream and Motor, a transaction a message.

It keeps what can be kept without a design of its own: an order has one effect, a message is acknowledged after its
commit and its events' confirms, and a redelivered order publishes its events again. It promises less than Paymaster,
which is in its favour here:

- invoice numbers are taken outside the transaction, so they can have gaps: a counter inside it is written by all 32
  transactions in flight, and every one but one of them is run again;
- what a partner is owed is the sum of its accruals, never a balance: a balance of one of five partners would be
  written by a fifth of all that is in flight;
- its events have no sequence by which a reader could see that one is missing, and a message that cannot be read is
  retried without end;
- orders on accounts that do not exist yet are retried too, and credit is not consumed: the workload has neither.
"""

IN, QUEUE, OUT = "plain.in", "plain.work", "plain.out"
IN_FLIGHT = 32
