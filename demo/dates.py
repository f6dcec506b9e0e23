"""The days of the month on which something happens; on all the others nothing but that they begin."""

from datetime import date

TRADE = date(2026, 11, 1)
"""The month begins: shops sell, subscriptions start and are billed."""
DAY_BEFORE = date(2026, 10, 31)
BANK = date(2026, 11, 2)
CYCLE = date(2026, 11, 3)
"""The day on which the run of the billing cycle opens by itself."""
CAME_BACK = date(2026, 11, 5)
SUSPENDED = date(2026, 11, 9)
"""The day from which on some are suspended: agreed on the 5th, happens by itself."""
DUE = SUSPENDED
"""The run's bills are due; who does not pay is dunned from then on."""
CHANGED = date(2026, 11, 11)
"""The day from which on plans are others: agreed a day later."""
DISPUTES = date(2026, 11, 12)
ENDED = date(2026, 11, 15)
"""The first day on which some are not served any more: agreed on the 12th, happens by itself."""
MIDDLE = date(2026, 11, 16)
RESUMED = date(2026, 11, 20)
CHEAPER_SINCE = date(2026, 10, 20)
"""The day from which on some prices are lower: agreed a month later, after two bills."""
PAID = date(2026, 11, 23)
LAST = date(2026, 11, 30)
END = date(2026, 12, 1)
"""The month is over: it is billed, and settled with the partners."""
