"""aio-pika without a database and without a framework: the same as `bench.faststream_only`, one layer down."""

IN, QUEUE, OUT = "aio_pika_only.in", "aio_pika_only.work", "aio_pika_only.out"
IN_FLIGHT = 32
"""Tried: 5 to 500. From 10 to 100 no difference is beyond the noise; 500 is slower."""
