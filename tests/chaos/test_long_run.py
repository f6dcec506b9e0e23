"""What long runs are judged by: whether the worker's memory stays flat, and whether accounts take more at the end."""

from __future__ import annotations

import pytest

from tests.chaos.long_run import AS_FAST_FROM, Course, Look

MEBIBYTE = 2**20
TENTH = AS_FAST_FROM // 10


def course(
    memory: list[int],
    cpu: list[float],
    seconds: list[float] | None = None,
    others: list[float] | None = None,
    tenth: int = TENTH,
) -> Course:
    """A run whose tenths had so much memory (MiB), took so much CPU time and so long, and others as much (seconds)."""
    looks = [Look(0.0, 1, memory[0] * MEBIBYTE, 7.0, 0.0)]
    for number, size in enumerate(memory):
        last = looks[-1]
        for part in (0.5, 1):
            at, used, busy = ((some or EVEN)[number] * part for some in (seconds, cpu, others))
            done = 1 + number * tenth + int(part * tenth)
            looks.append(Look(last.at + at, done, size * MEBIBYTE, last.used + used, last.others + busy))
    return Course.of(looks)


EVEN = [1.0] * 10
SAME = [100] * 10


def test_a_run_that_takes_the_same_all_the_time_is_well():
    """As much memory and CPU time in each tenth; or a little more than in the first."""
    for one in (course(SAME, EVEN), course([100, 110, *[105] * 8], [*[1.0] * 9, 1.1])):
        one.assert_flat()
        one.assert_as_fast()


@pytest.mark.parametrize("tenth", [1, 5, 8])
def test_memory_that_grows_is_found_in_whichever_tenth(tenth: int):
    """A tenth has an eighth more than the first."""
    memory = [100] * 10
    memory[tenth] = 113
    with pytest.raises(AssertionError, match=r"memory grew to 1\.13 times as much"):
        course(memory, EVEN).assert_flat()


def test_accounts_that_take_more_and_more_are_found():
    """The last tenth takes an eighth more CPU time than the first."""
    with pytest.raises(AssertionError, match=r"0\.89 times as fast"):
        course(SAME, [*[1.0] * 9, 1.125]).assert_as_fast()


def test_a_machine_that_others_take_meanwhile_is_no_slowdown():
    """Each tenth takes as much CPU time, the last three times as long."""
    slow = course(SAME, EVEN, [*[1.0] * 9, 3.0])
    slow.assert_as_fast()
    assert slow.rates[0] == pytest.approx(3 * slow.rates[-1])


def test_what_others_do_later_than_the_first_tenth_lets_nothing_be_judged_by_cpu_time():
    """They take the caches too: the last tenth takes half as much again, beside a core more; or a tenth of one."""
    dearer = [*[1.0] * 9, 1.5]
    late = course(SAME, dearer, others=[*[0.5] * 9, 1.5])
    late.assert_as_fast()
    assert str(late).endswith("whether it was as fast is not judged")
    with pytest.raises(AssertionError, match=r"0\.67 times as fast"):
        course(SAME, dearer, others=[*[0.5] * 9, 0.6]).assert_as_fast()


def test_of_few_accounts_nothing_is_said():
    """What a worker does and keeps once is most of what they take."""
    few = course([100, *[150] * 9], [*[1.0] * 9, 2.0], tenth=TENTH // 50)
    few.assert_flat()
    few.assert_as_fast()
