"""The Node.js peer: the plain worker's work in another language, as a good engineer writes it with amqplib and mongodb.

It is what `bench.plain` is, step by step: a transaction a message, which writes the inbox row, the invoice, the entry,
the accruals and, last, what the account owes; the invoice's number from a counter outside it; 32 messages in flight;
an acknowledgement after the commit and the events' confirms. The same collections, indexes and events, and the same
cents: `tests/bench/test_peers.py` holds its arithmetic against the plain worker's. It promises as little as that one.

`order.js` and `events.js` need nothing but Node.js; what `worker.js` needs, `npm ci` installs from the lock file.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
IN, QUEUE, OUT = "node.in", "node.work", "node.out"
"""The same as in worker.js."""
