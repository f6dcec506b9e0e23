"""Many messages published with one write to the socket and one wait for all their confirms.

This goes below aio-pika's surface, to the channel of aiormq: there a publish costs a lock, a task, two futures and a
drain of its own, which was the largest part of the CPU time of an order. Nothing else knows of these insides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiormq.abc import ChannelFrame

from adapters.rabbitmq.frames import Outgoing, publish_frames


class _Confirm:
    """What aiormq takes for the future of one confirm; it counts down the chunk that it belongs to."""

    __slots__ = ("_chunk", "outcome")

    def __init__(self, chunk: _Chunk) -> None:
        self._chunk = chunk
        self.outcome: Any = None

    def done(self) -> bool:
        return self.outcome is not None

    def cancelled(self) -> bool:
        return False

    def set_result(self, frame: Any) -> None:
        self.outcome = frame
        self._chunk.count_down()

    def set_exception(self, error: BaseException) -> None:
        self.outcome = error
        self._chunk.count_down()


class _Chunk:
    __slots__ = ("_left", "all_confirmed")

    def __init__(self, size: int) -> None:
        self._left = size
        self.all_confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count_down(self) -> None:
        self._left -= 1
        if self._left == 0 and not self.all_confirmed.done():
            self.all_confirmed.set_result(None)


async def publish_chunk(channel: Any, exchange: str, messages: Sequence[Outgoing], *, seconds_max: float) -> list[Any]:
    """Publish messages, mandatory, on an aiormq channel with publisher confirms; returns what became of each.

    That is the broker's `Basic.Ack` frame, the returned message when no queue is bound for it, the `DeliveryError` of
    a refusal, the `ValueError` of a message that AMQP can't say, what the channel was closed with before
    one of these came, or None when `seconds_max` were over. Raises what writing to a closed channel raises.
    """
    chunk = _Chunk(len(messages))
    confirms = [_Confirm(chunk) for _ in messages]
    payload: list[bytes] = []
    async with channel.lock:
        for message, confirm in zip(messages, confirms, strict=True):
            try:
                frames = publish_frames(channel.number, exchange, message, channel.max_content_size)
            except ValueError as error:
                confirm.set_exception(error)
                continue
            # The broker numbers the publishes of a channel in the order of its frames, and so does the channel.
            channel.delivery_tag += 1
            channel.confirmations[channel.delivery_tag] = confirm
            channel.message_id_delivery_tag[message.message_id] = channel.delivery_tag
            payload.append(frames)
        await channel.write_queue.put(ChannelFrame(payload=b"".join(payload), should_close=False))
    # Each look at `closing` is a future of its own, which the channel keeps until it is done with.
    closing = channel.closing
    try:
        await asyncio.wait([chunk.all_confirmed, closing], timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
        closed = _reason(closing)
    finally:
        if not channel.is_closed:
            closing.cancel()
        for message in messages:
            channel.message_id_delivery_tag.pop(message.message_id, None)
    return [closed if confirm.outcome is None else confirm.outcome for confirm in confirms]


def _reason(closing: asyncio.Future[Any]) -> BaseException | None:
    """What a channel was closed with; None while it is open."""
    if not closing.done():
        return None
    return ConnectionError("closed") if closing.cancelled() else closing.exception() or ConnectionError("closed")
