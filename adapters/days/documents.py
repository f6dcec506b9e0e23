"""How the days that were begun are kept."""

from __future__ import annotations

from adapters.codec import Key, Layout
from adapters.kept import Collection, Kept
from domain.days.model import Calendar, Day

KEPT = (
    Kept(
        Layout(Calendar),
        Collection(
            "calendar",
            id="`calendar`: there is one",
            written="by `day.begin`",
            fields={"first": "the first day that was begun", "newest": "the newest one: all between them were begun"},
        ),
    ),
    Kept(
        Layout(Day, keys=(Key("_id", "date"), "booked_at", "cause"), read=False),
        Collection(
            "days",
            id="the date",
            written="once, one row a day that was begun",
            fields={"bookedAt": "when it was begun", "cause": "an identity in `inbox`: `day.begin:<date>`"},
            append_only=True,
        ),
        # The day after waits for it.
        awaited={"day": {}},
    ),
)
