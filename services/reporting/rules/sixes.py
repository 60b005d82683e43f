"""How a published count is told: by sixes, so that two releases can't be subtracted to a count under six.

Each finest part of a count lies in a six, 1 to 6, 7 to 12 and so on, and stands for the middle of it; nothing is zero.
What is shown is a sum of middles. Whoever knows every number of every release, and that most counts only grow, learns
of a part no more than its six: between two releases it grew by any of 0 to 5 where the six is the same, by a span of
at least as many where it is not. Totals are sums of what their parts stand for, so they tell nothing beside them and
all tables add up; errors of the parts, 2.5 at most each, cancel out in them.
"""

from collections.abc import Iterable

SIX = 6


def told(parts: Iterable[tuple[int, int]]) -> int:
    """Tell a sum of counts, given as (how often it counts, count): the middles of their sixes, added up.

    Rounded to a whole number, a half to the even one. A count may be negative (one number less another): it stands
    for the middle on its side of zero.
    """
    twice = sum(times * _twice_the_middle(count) for times, count in parts)
    return round(twice / 2)


def told_alone(count: int) -> int:
    """Tell one count that is no sum."""
    return told([(1, count)])


def _twice_the_middle(count: int) -> int:
    if count < 0:
        return -_twice_the_middle(-count)
    # 1 to 6 stand for 3.5, 7 to 12 for 9.5: twice, so that no half is lost before all are added.
    return 2 * SIX * -(-count // SIX) - (SIX - 1) if count else 0
