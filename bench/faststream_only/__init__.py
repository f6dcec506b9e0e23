"""FastStream without a database: what taking an order and publishing an event costs by itself.

Each order is read by pydantic and goes out again as the content of one event, persistent and confirmed; then it is
acknowledged. Nothing is kept, so nothing is worth keeping here: an order delivered twice is two events, and the books
are somebody else's. What it does per second is a bound for whoever takes one message at a time through FastStream.
"""

IN, QUEUE, OUT = "faststream_only.in", "faststream_only.work", "faststream_only.out"
IN_FLIGHT = 32
"""Tried: 5 to 500. It is the processor that bounds it, so from 10 to 100 no difference is beyond the noise."""
