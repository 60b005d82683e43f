"""What a district is told of its rolls: marks that wait for a completion, and students of whom a roll says nothing.

Sets of days are ints: bit n is the n-th day after 1 July. No I/O, no clock.
"""

from collections.abc import Iterable

from services.flagging.rules.page import Page, days_of_all
from services.flagging.rules.register import DAYS_OF_GRACE, School


def waiting_days(*, sent: int, taught: int, settled: int, passed: int) -> int:
    """Give the school days whose marks still wait although so many school days have passed since.

    `sent` are the days of which marks came, `settled` those whose roll is complete or whose marks count without that,
    `passed` all days before today.
    """
    waiting, days = 0, sent & taught & ~settled & passed
    while days:
        day = days & -days
        later = taught & passed & ~(2 * day - 1)
        if later.bit_count() < DAYS_OF_GRACE:
            break  # of the days that follow, fewer have passed
        waiting |= day
        days ^= day
    return waiting


def days_without_mark(school: School, pages: Iterable[Page]) -> int:
    """Count students' days on which a complete roll of a full feed says nothing of somebody enrolled.

    Such a day counts, and is not missed; a mark that was taken back leaves the same.
    """
    complete, full, _ = school.completions.days()
    told_whole, terms = complete & full, school.terms
    if not told_whole:
        return 0
    found = 0
    for page in pages:
        for days, marked in zip(days_of_all(terms, page.says()), page.marked, strict=True):
            found += (days.counted & told_whole & ~marked).bit_count()
    return found
