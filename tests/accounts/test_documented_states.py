"""What docs/accounts.md says of the life of an account is what the domain's tables hold."""

from pathlib import Path

from domain.accounts.lifecycle import ALLOWED, TRANSITIONS, WAITS

ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in (Path(__file__).parents[2] / "docs/accounts.md").read_text().splitlines()
    if line.startswith("|")
]


def test_the_documented_transitions_are_those_of_the_domain():
    """Each row of the table of commands is a transition, and each transition has its row."""
    head = ROWS.index(["command", "from", "to"])
    documented = [tuple(row) for row in ROWS[head + 2 :] if len(row) == 3 and row[0] in TRANSITIONS]
    table = [(command, old, new) for command, by_state in TRANSITIONS.items() for old, new in by_state.items()]
    assert sorted(documented) == sorted(table)


def test_what_each_state_lets_happen_is_documented():
    """Yes, no or waits, for each state and each thing that may happen."""
    head = next(n for n, row in enumerate(ROWS) if row[0] == "state" and len(row) == 9)
    things = ROWS[head][1:]
    documented = {row[0]: dict(zip(things, row[1:], strict=True)) for row in ROWS[head + 2 : head + 2 + len(ALLOWED)]}
    assert documented == {
        state: {thing: "yes" if thing in lets else "waits" if state in WAITS else "no" for thing in things}
        for state, lets in ALLOWED.items()
    }
    assert set(things) == set().union(*ALLOWED.values())
