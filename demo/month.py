"""The month in its order: what happens on which day, written with what the worker has told by then."""

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo import dates
from demo.agreements import advances, agreed_on
from demo.bills import bills_of, demands, direct_debits
from demo.charges import Charged, billed_for, charged, charges
from demo.checks import Outcome, Previewed, Wave
from demo.consumers import Consumers, providers_open
from demo.cycle import LADDER, RUN, Member, agreed, members, paid
from demo.day import depositors, make_day
from demo.disputes import disputes_and_losses
from demo.evening import (
    adjustments,
    as_requested,
    bank_file,
    closing_id,
    closings,
    own_figures,
    payouts,
    said_of,
)
from demo.facts import Made, Message, tally
from demo.partners import Partners, partner_buys, partner_opens, releases, sold_so_far
from demo.plans import Subscription
from demo.returns import bounced, charged_back, put_right, returns
from demo.stage import Worker
from demo.subscribers import (
    BACKDATED,
    EARLY,
    LATE,
    OCTOBER,
    PAUSE,
    SEATS,
    UPGRADE,
    changes,
    days_between,
    not_in_force,
    starts,
    subscriptions,
    usage,
)
from demo.traffic import Traffic
from demo.wares import CARTO, HALFMOON, PARTNERS, PROVIDERS, Partner

DUNNED = [dates.DUE + timedelta(days=after) for after, _ in LADDER]
"""The days on which steps of dunning are taken."""


class Month:
    """Lives through the month with a worker; `live` does, and says what came of it."""

    def __init__(self, console: Console, traffic: Traffic, worker: Worker) -> None:
        self._console = console
        self._traffic = traffic
        self._worker = worker
        self._events = traffic.events
        self._sent: list[Message] = []
        self._waves: list[Wave] = []
        self._previews: list[Previewed] = []
        self._partners = Partners()

    async def live(self) -> Outcome:
        """All of the month, then the worker's end and the audit of its books."""
        await self._traffic.worker_ready(self._worker)
        await self._begin(dates.TRADE)
        await self._wave("the day of trade", make_day())
        in_euro = {id_ for id_, one in self._events.accounts.items() if id_[:3] == "BA-" and one["currency"] == "EUR"}
        in_euro -= {customer.id for customer in depositors()}
        subscribed = subscriptions(in_euro)
        await self._first_day(subscribed)
        cycle = members()
        consumers = Consumers(cycle)
        bank = await self._bank(cycle)
        run = await self._run()
        await self._corrections(bank, subscribed, consumers)
        await self._changes(subscribed, cycle, consumers)
        await self._middle(subscribed, charged(in_euro - {one.account for one in subscribed}), cycle, consumers)
        await self._last_days(subscribed)
        await self._end(subscribed, consumers)
        code = await asyncio.to_thread(self._worker.stop)
        left = await self._traffic.left_in_queue()
        audit = await asyncio.to_thread(self._worker.audit)
        return Outcome(
            self._sent,
            self._waves,
            self._events,
            subscribed,
            self._previews,
            cycle,
            run,
            self._partners,
            consumers,
            code,
            left,
            audit,
        )

    async def _first_day(self, subscribed: Sequence[Subscription]) -> None:
        """Subscriptions start, most in the past; what was used in October is told, some of it before they are."""
        used = usage(subscribed, days_between(OCTOBER, LATE), "october")
        await self._wave("subscriptions, October's usage", used[:1] + starts(subscribed) + used[1:])
        await self._bills("the first bills", bills_of(subscribed, dates.TRADE), dates.TRADE)

    async def _bank(self, cycle: Sequence[Member]) -> list[Message]:
        """Bill numbers and totals are known from the events only, as they would be to a bank's customer."""
        await self._begin(dates.BANK)
        advanced = advances()
        self._partners.advance(advanced)
        await self._close("closings, an advance", {CARTO: dates.TRADE, HALFMOON: dates.DAY_BEFORE}, advanced)
        bank = bank_file(self._events.open_invoices())
        await self._wave("the bank's file", bank)
        await self._wave("providers, a cycle of consumers", providers_open() + agreed(cycle))
        return bank

    async def _run(self) -> dict[str, Any]:
        """The cycle's run opens by itself, on its day."""
        await self._begin(dates.CYCLE)
        run = await self._traffic.run_completed(self._worker, RUN)
        await self._traffic.drained(tally(self._sent).effects, self._worker, lambda _: None)
        return run

    async def _corrections(
        self, bank: Sequence[Message], subscribed: Sequence[Subscription], consumers: Consumers
    ) -> None:
        await self._begin(dates.CAME_BACK)
        of_partners = {order for order, fact in tally(self._sent).orders.items() if fact.sold}
        back = returns(self._events.first_lines(paid=True)) + bounced(bank, of_partners)
        back += charged_back(bank, of_partners, {fact.account for message in back for fact in message.facts})
        back += put_right(self._events.open_invoices(), depositors())
        await self._wave("what came back", back + changes(subscribed, PAUSE, "suspend", dates.SUSPENDED))
        await self._wave("orders of several sellers", consumers.orders())

    async def _changes(self, subscribed: Sequence[Subscription], cycle: Sequence[Member], consumers: Consumers) -> None:
        """Plans change within the month; what is agreed for a day to come happens by itself on it."""
        await self._begin(dates.SUSPENDED)
        late = usage(subscribed, days_between(LATE, dates.TRADE), "late")
        week = usage(subscribed, days_between(dates.TRADE, dates.SUSPENDED), "first-week")
        await self._wave("usage, some of it late", late + week + not_in_force(subscribed))
        await self._wave("consumers pay", consumers.take(paid(cycle, dates.DUE) + consumers.pay()))
        await self._begin(dates.DISPUTES)
        plans = changes(subscribed, UPGRADE, "change", dates.CHANGED)
        plans += changes(subscribed, SEATS, "change", dates.CHANGED)
        plans += changes(subscribed, EARLY, "terminate", dates.ENDED)
        disputed = disputes_and_losses(self._events.first_lines(paid=False))
        late = consumers.take(paid(cycle, dates.DISPUTES))
        noted = consumers.notes(self._events.run_bills.values())
        await self._wave("other plans, disputes, losses", plans + disputed + late + noted)

    async def _middle(
        self,
        subscribed: Sequence[Subscription],
        charged_to: Charged,
        cycle: Sequence[Member],
        consumers: Consumers,
    ) -> None:
        await self._begin(dates.ENDED)
        await self._begin(dates.MIDDLE)
        used = usage(subscribed, days_between(dates.SUSPENDED, dates.MIDDLE), "second-week")
        bought = [partner_opens(), partner_buys(dates.MIDDLE)]
        await self._wave("usage, charges, a partner buys", used + charges(charged_to) + bought)
        bills = bills_of(subscribed, dates.MIDDLE) | billed_for(charged_to)
        await self._bills("the bills in the middle", bills, dates.MIDDLE)
        await self._begin(dates.RESUMED)
        resumed = changes(subscribed, PAUSE, "resume", dates.RESUMED)
        cheaper = changes(subscribed, BACKDATED, "change", dates.CHEAPER_SINCE)
        late = consumers.take(paid(cycle, dates.RESUMED))
        await self._wave("resumed, cheaper since October", resumed + cheaper + late)
        agreed_now = [sent for partner in PARTNERS for sent in agreed_on(partner, dates.RESUMED)]
        await self._wave("other terms since 1 November", agreed_now)

    async def _last_days(self, subscribed: Sequence[Subscription]) -> None:
        """Bills are paid, usage is told, adjustments are agreed with partners."""
        await self._begin(dates.PAID)
        bought = [partner_buys(dates.PAID)]
        await self._wave("bills are paid", direct_debits(self._events.bills.values()) + bought)
        await self._begin(dates.LAST)
        used = usage(subscribed, days_between(dates.MIDDLE, dates.LAST), "the-rest")
        await self._wave("usage, adjustments", used + adjustments(PARTNERS))

    async def _end(self, subscribed: Sequence[Subscription], consumers: Consumers) -> None:
        await self._begin(dates.END)
        await self._wave("the last day's usage", usage(subscribed, [dates.LAST], "last-day"))
        await self._bills("the last bills", bills_of(subscribed, dates.END), dates.END)
        for provider in PROVIDERS:
            self._partners.close_provider(provider, dates.LAST, consumers)
        of_providers = closings(PROVIDERS, dates.LAST)
        await self._close("the closings", dict.fromkeys(PARTNERS, dates.LAST), of_providers)
        said, accepted = said_of(self._events.of_partners["self-billing.issued"], self._events.open_statements())
        await self._wave("documents: a dispute", said)
        await self._wave("and its end", [accepted])
        reported = self._events.statements[closing_id(HALFMOON, dates.LAST)]
        for number in (1, 2):
            await self._wave("a partner's own figures", [own_figures(HALFMOON, reported, number)])
        released = releases(self._partners)
        self._partners.release(released)
        requested = as_requested(self._events.of_partners["payout.requested"])
        await self._wave("the payouts", payouts(self._events.open_statements()) + requested + released)

    async def _close(self, name: str, ends: Mapping[Partner, date], more: Sequence[Message] = ()) -> None:
        """Close partners, each up to a day; what their statements must be is worked out of what was told until now."""
        must = tally(self._sent)
        sold = sold_so_far(must, self._events)
        for partner, until in ends.items():
            self._partners.close(partner, until, sold, must, self._worker.day)
        closing = [sent for partner, until in ends.items() for sent in closings([partner], until)]
        await self._wave(name, [*more, *closing])

    async def _begin(self, day: date) -> None:
        """Let a day begin, and all before it that have not; wait for what happens by itself on them."""
        self._worker.begin(day)
        await self._traffic.day_begun(self._worker)
        if day in DUNNED:
            await self._traffic.looked_at(self._worker)
        await self._traffic.drained(tally(self._sent).effects, self._worker, lambda _: None)

    async def _bills(self, name: str, bills: dict[str, Made], day: date) -> None:
        """Look at what bills would be, then demand them."""
        previews = await self._preview(bills, day)
        await self._wave(name, demands(bills, day))
        self._previews += previews

    async def _preview(self, accounts: Iterable[str], day: date) -> list[Previewed]:
        async def of(account: str) -> Previewed:
            told = await self._traffic.ask("bill.preview", billingAccount=account, billingDate=day.isoformat())
            return Previewed(account, day, told)

        return list(await asyncio.gather(*map(of, accounts)))

    async def _wave(self, name: str, messages: Sequence[Message]) -> None:
        """Publish messages and wait until nothing is left to do."""
        done = tally(self._sent).effects
        self._sent.extend(messages)
        effects = tally(self._sent).effects
        before, began = self._events.distinct, time.monotonic()
        with _progress(self._console) as progress:
            published = progress.add_task(f"{name}: published", total=len(messages))
            handled = progress.add_task(f"{name}: applied or parked", total=effects - done)

            def told(so_far: int) -> None:
                progress.update(handled, completed=so_far - done)

            draining = asyncio.create_task(self._traffic.drained(effects, self._worker, told))
            sending = self._traffic.publish(messages, lambda more: progress.advance(published, more))
            await asyncio.gather(sending, draining)
        events, seconds = self._events.distinct - before, self._events.last_at - began
        day = self._worker.day
        self._console.print(f"{day.day:2} {day:%b}  {name:<30} {len(messages):5,} messages, {events:5,} events")
        self._waves.append(Wave(name, len(messages), events, seconds))


def _progress(console: Console) -> Progress:
    """A progress bar, where somebody watches."""
    columns = (TextColumn("{task.description:46}"), BarColumn(10), MofNCompleteColumn(), TimeElapsedColumn())
    watched = sys.stdout.isatty() and console.is_interactive
    return Progress(*columns, console=console, transient=True, disable=not watched)
