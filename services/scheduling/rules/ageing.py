"""How old a request is, in the school days of its district; days on which the family asked for time don't count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import QUEUED, Stage

_ONE_DAY = timedelta(days=1)

Pause = tuple[date, date]
"""First day that doesn't count, first day that counts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A district's school days: those on which any of its schools teaches, for the school years it has sent.

    In a year without a calendar, Monday to Friday count: a request must not stand still for want of a file.
    """

    days: frozenset[date] = frozenset()
    years: frozenset[int] = frozenset()

    def is_school_day(self, day: date) -> bool:
        """Tell whether the day counts."""
        if school_year_of(day) in self.years:
            return day in self.days
        return day.weekday() < 5


def school_year_of(day: date) -> int:
    """Name the school year of a day, by the calendar year in which its July lies."""
    return day.year if day.month >= 7 else day.year - 1


def age(*, since: date, today: date, pauses: Sequence[Pause] = (), calendar: Calendar) -> int:
    """Count the school days after `since` up to and including today, without those of the pauses."""
    days = 0
    day = since + _ONE_DAY
    while day <= today:
        days += _counts(day, pauses, calendar)
        day += _ONE_DAY
    return days


def due_day(*, since: date, target: int, pauses: Sequence[Pause] = (), calendar: Calendar) -> date:
    """Name the day on which the age reaches the target: the last one that is in time.

    A calendar that ends the search (no school day within two years) gives the last day looked at.
    """
    day = since
    left = target
    while left > 0 and (day - since).days < 2 * 366:
        day += _ONE_DAY
        left -= _counts(day, pauses, calendar)
    return day


def target_days(*, stage: Stage, contacted: bool, policy: Policy) -> int | None:
    """Give the target that stands, in school days: first contact, then agreement; none from there on."""
    if stage not in QUEUED:
        return None
    return policy.agreed_days if contacted else policy.first_contact_days


def days_beyond(*, due_on: date | None, today: date, pauses: Sequence[Pause] = (), calendar: Calendar) -> int:
    """Count the school days by which the target is missed; 0 while there is time, or no target."""
    return 0 if due_on is None else age(since=due_on, today=today, pauses=pauses, calendar=calendar)


def business_days(*, since: date, today: date) -> int:
    """Count Monday to Friday after `since` up to and including today: how long a log has been due."""
    return age(since=since, today=today, calendar=Calendar())


def with_pause(pauses: Sequence[Pause], *, begins: date, ends: date) -> tuple[Pause, ...]:
    """Add a pause from `begins` up to, not including, `ends`; a standing one ends where the new begins."""
    return (*without_future(pauses, today=begins), (begins, ends)) if begins < ends else tuple(pauses)


def without_future(pauses: Sequence[Pause], *, today: date) -> tuple[Pause, ...]:
    """End every pause today: the family has been heard again."""
    return tuple((begins, min(ends, today)) for begins, ends in pauses if begins < today)


def _counts(day: date, pauses: Sequence[Pause], calendar: Calendar) -> bool:
    paused = any(begins <= day < ends for begins, ends in pauses)
    return not paused and calendar.is_school_day(day)
