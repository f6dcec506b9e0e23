"""What the benchmarks make of their figures: expectations worked out by hand."""

import json
from dataclasses import replace
from io import StringIO
from typing import cast

import pytest
from rich.console import Console

from bench import report
from bench.figures import Goal, percentile, ratios, spread, tenths
from bench.goals import Results, goals
from bench.measure import Cpu, Round
from bench.measurements.beside import Beside
from bench.measurements.latency import Latency
from bench.measurements.long_backlog import LongBacklog
from bench.measurements.race import ALONE, PLAIN, STANDBY
from bench.measurements.start import Start
from bench.node.contestant import Node
from bench.place import Place
from bench.sizes import QUICK
from bench.stages import OURS, WHOLE, Compared, Stage
from bench.workloads import ARRAYS, CORRECTIONS, FACTS_PER_ARRAY, HOT, ORDERS, PAYMENTS

CPU = Cpu(worker=0.4, mongodb=0.3, rabbitmq=0.2, bench=0.1, machine=1.5)
NOWHERE = cast("Place", None)
"""Orders are the same wherever they are put."""
MACHINE = {
    "cores": 2,
    "processor": "P",
    "loadAverage": [0.5, 0, 0],
    "python": "3.11",
    "rabbitmq": "3.10",
    "mongodb": "6.0",
    "services": "machine",
    "libraries": {"pymongo": "4"},
    "settings": {"PAYMASTER_PREFETCH": "7"},
}


def measured(work, contestant, number, facts, seconds, **others):
    one = Round(work, contestant, number, facts, seconds, CPU, 0.5, {"invoice.issued": facts}, facts * 9, None, {})
    return replace(one, **others)


def test_a_ratio_is_taken_within_a_round():
    assert ratios({1: 10.0, 2: 9.0}, {2: 3.0, 1: 4.0}) == [2.5, 3.0]
    assert ratios({1: 10.0, 2: 9.0}, {2: 3.0}) == [3.0]
    assert ratios({1: None, 2: 9.0}, {1: 2.0, 2: 0.0}) == []


def test_a_percentile_is_one_of_the_values():
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3
    assert percentile([7.0], 0.01) == 7


def test_a_spread_goes_from_the_lowest_to_the_highest():
    assert spread([2.0, 1.04, 3.0], ".1f") == "1.0 to 3.0"
    assert spread([1.04, 1.0], ".1f") == "1.0"


def test_tenths_are_read_off_the_line_between_samples():
    # 10 a second for five seconds, then 5 a second for ten.
    samples = [(100.0, 0), (105.0, 50), (115.0, 100)]
    assert tenths(samples, 100) == pytest.approx([1, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    with pytest.raises(ValueError, match="60 were done"):
        tenths([(0.0, 0), (1.0, 60)], 100)


def test_samples_in_which_nothing_moved_lengthen_the_tenth_they_are_in():
    assert tenths([(0.0, 0), (1.0, 5), (4.0, 5), (5.0, 10)], 10) == pytest.approx(
        [0.2, 0.2, 0.2, 0.2, 0.2, 3.2, 0.2, 0.2, 0.2, 0.2]
    )


@pytest.mark.parametrize(
    ("goal", "measured", "verdict"),
    [
        (Goal("w", "a", 10, (9.0, 11.0, 10.0)), 10, "reached"),
        (Goal("w", "a", 10, (9.0, 11.0, 9.9)), 9.9, "missed"),
        (Goal("w", "a", 2, (1.0, 3.0), at_most=True), 2, "reached"),
        (Goal("w", "a", 2, (2.1,), at_most=True), 2.1, "missed"),
        (Goal("w", "a", None, (2.1,)), 2.1, "shown"),
        (Goal("w", "a", 2), None, "not measured"),
        (Goal("w", "a", None), None, "not measured"),
    ],
)
def test_the_median_of_the_rounds_says_whether_a_goal_is_reached(goal, measured, verdict):
    assert goal.measured == measured
    assert goal.verdict == verdict


def test_cores_that_were_busy_elsewhere_are_what_nobody_here_used():
    # 1.5 s of the machine, 1.0 s of them ours, within 2 s.
    assert measured("orders", "a", 1, 100, 2.0).foreign_cores == pytest.approx(0.25)


@pytest.fixture
def results():
    """Two rounds of everything but the peers other than the plain worker."""
    ours, plain = "Paymaster", PLAIN.name
    rounds = [
        one
        for number, factor in ((1, 1.0), (2, 2.0))
        for one in (
            measured(ORDERS.name, ours, number, 1200, factor),
            measured(ORDERS.name, plain, number, 100, factor),
            measured(HOT.name, ours, number, 900, factor),
            measured(HOT.name, plain, number, 10, factor),
            measured(PAYMENTS.name, ours, number, 600, factor),
            measured(CORRECTIONS.name, ours, number, 360, factor),
            measured(ARRAYS.name, ours, number, 2500, factor),
            measured(ALONE, ours, number, 1000, 1.0),
            measured(STANDBY, ours, number, 960 if number == 1 else 900, 1.0),
        )
    ]
    return Results(
        missing={Node.name: "there is no node here"},
        failures={"start, [a]": "it did not start"},
        rounds=rounds,
        takeovers=[0.5, 2.5],
        latencies=[Latency(ours, 1, 250, 4.0, 30.0, 31.0), Latency(plain, 1, 250, 8.0, 20.0, 22.0)],
        besides=[Beside(1, 1_000, 1_000.0, 400.0, 50, 30.0, 72.5, 90.0)],
        backlog=LongBacklog(1000, 10.0, [100.0] * 9 + [80.0], [100 << 20] + [105 << 20] * 9, {}),
        starts=[Start(ours, 1, 1.5), Start(ours, 2, 1.0), Start(plain, 1, 0.7)],
        stages=[Stage("receive", "the frames", 10.0, 9.0), Stage("decode", "the bodies", 90.0, 80.0)],
        compared=[Compared(WHOLE, OURS, 420.0, 400.0)],
    )


def test_goals_are_worked_out_from_what_was_measured(results):
    found = [
        (goal.work, goal.against, goal.bound, goal.measured and round(goal.measured, 3), goal.verdict)
        for goal in goals(results, QUICK)
    ]
    assert found == [
        ("orders", "plain worker", 10, 12, "reached"),
        ("orders", "Node.js peer", 6, None, "not measured"),
        ("orders", "FastStream only", 2, None, "not measured"),
        ("orders", "FastStream only, no injection", None, None, "not measured"),
        ("orders", "aio-pika only", None, None, "not measured"),
        ("hot account", "orders over 200 accounts", 0.7, 0.75, "reached"),
        ("hot account", "plain worker on its own spread", None, 0.1, "shown"),
        ("payments", "orders", 0.7, 0.5, "missed"),
        ("corrections", "payments", 0.5, 0.6, "reached"),
        ("bills", "orders of three lines", 0.6, None, "not measured"),
        ("bills of subscriptions", "orders of three lines", 0.6, None, "not measured"),
        ("a bill run", "orders of three lines", 0.6, None, "not measured"),
        ("a bill run", "orders of three lines, each on its own account", None, None, "not measured"),
        ("usage in arrays", "orders in arrays", 3, None, "not measured"),
        ("arrays", "plain worker, orders", 25, 25, "reached"),
        ("with a standby", "without a standby", 0.95, 0.93, "missed"),
        ("takeover after kill -9", "first event", 2, 1.5, "reached"),
        ("takeover after kill -9", "first event, the worst", 0.5, 2.5, "missed"),
        ("50 messages a second, p50", "plain worker", 1, 0.5, "reached"),
        ("50 messages a second, p99", "plain worker", 1, 1.5, "missed"),
        ("50 payments a second beside a run", "p99", 100, 72.5, "reached"),
        ("a bill run beside payments", "a bill run by itself", 0.5, 0.4, "missed"),
        ("a backlog of 1,000", "rate in the last tenth / in the first", 0.9, 0.8, "missed"),
        ("a backlog of 1,000", "most memory later / in the first tenth", 1.1, 1.05, "reached"),
        ("a large database", "an empty database", 0.8, None, "not measured"),
        ("start to the first event", "", 2, 1.25, "reached"),
        ("start to the first event", "plain worker", None, 0.7, "shown"),
        ("orders of a partner's lines, in its name", "the same in our name, CPU time", 1.1, 1.05, "reached"),
        (
            "orders of a partner's lines and ours, its in its name",
            "the same in our name, CPU time",
            1.25,
            None,
            "not measured",
        ),
        ("orders with two lines of a partner's, by tiers", "by a share, CPU time", 1.1, None, "not measured"),
        ("orders, with an access file", "without one, CPU time", 1.03, None, "not measured"),
        ("orders of a sender who is limited to a party", "without one, CPU time", 1.1, None, "not measured"),
    ]
    notes = {(goal.work, goal.against): goal.note for goal in goals(results, QUICK)}
    assert notes["orders", "Node.js peer"] == "there is no node here"
    assert notes["50 messages a second, p50", "plain worker"] == "4.0 ms and 8.0 ms"
    assert notes["a backlog of 1,000", "most memory later / in the first tenth"] == "100 MiB, later at most 105 MiB"
    assert notes["a large database", "an empty database"] == "10,000 accounts, 50,000 entries"


def test_what_was_measured_is_shown_and_kept(results, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    console = Console(file=StringIO(), width=160)
    report.show(console, MACHINE, QUICK, results)
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    for text in (
        "PAYMASTER_PREFETCH is set to 7",
        "there is no node here",
        "start, [a] was not measured: it did not",
        "█",
        "a whole worker",
        report.SMALL,
    ):
        assert text in shown
    assert "Something else kept" in shown
    assert shown.index("goals") > shown.index("facts a second")
    kept = json.loads(report.save(MACHINE, QUICK, ["orders", "hot"], results).read_text())
    assert kept["workload"] == "orders,hot"
    assert kept["rounds"][0]["rate"] == 1200
    assert kept["goals"][0]["verdict"] == "reached"
    assert kept["goals"][0]["values"] == [12, 12]
    assert kept["missing"] == {"Node.js peer": "there is no node here"}


def test_rounds_that_came_to_other_amounts_are_told(results):
    console = Console(file=StringIO(), width=160)
    results.rounds = [
        measured(ORDERS.name, "a", 1, 10, 1.0, invoiced=5),
        measured(ORDERS.name, "b", 1, 10, 1.0, invoiced=6, problems={"events": "9 instead of 10"}),
    ]
    report.show(console, MACHINE, QUICK, results)
    assert isinstance(console.file, StringIO)
    assert "did not invoice the same amounts" in console.file.getvalue()
    assert "round 1, orders, b: events: 9 instead of 10" in console.file.getvalue()


def test_arrays_carry_the_same_orders():
    count = FACTS_PER_ARRAY + 3
    [full, rest] = ARRAYS.bodies(count, NOWHERE)
    orders = [json.loads(body) for body in ORDERS.bodies(count, NOWHERE)]
    assert json.loads(full) + json.loads(rest) == orders
    assert len(json.loads(rest)) == 3


def test_the_hot_account_has_the_same_orders():
    hot = [json.loads(body) for body in HOT.bodies(50, NOWHERE)]
    spread_out = [json.loads(body) for body in ORDERS.bodies(50, NOWHERE)]
    assert {order["billingAccount"]["id"] for order in hot} == {"BA-0000"}
    assert [order["items"] for order in hot] == [order["items"] for order in spread_out]
