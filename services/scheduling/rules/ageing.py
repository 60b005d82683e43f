"""How old a request is, in the school days of its district; days on which the family asked for time don't count."""

from collections.abc import Sequence
from datetime import date, timedelta

from contracts.calendar import SchoolDays
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import QUEUED, Stage

_ONE_DAY = timedelta(days=1)

Pause = tuple[date, date]
"""First day that doesn't count, first day that counts again."""


def age(*, since: date, today: date, pauses: Sequence[Pause] = (), calendar: SchoolDays) -> int:
    """Count the school days after `since` up to and including today, without those of the pauses."""
    days = 0
    day = since + _ONE_DAY
    while day <= today:
        days += _counts(day, pauses, calendar)
        day += _ONE_DAY
    return days


def due_day(*, since: date, target: int, pauses: Sequence[Pause] = (), calendar: SchoolDays) -> date:
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


def days_beyond(*, due_on: date | None, today: date, pauses: Sequence[Pause] = (), calendar: SchoolDays) -> int:
    """Count the school days by which the target is missed; 0 while there is time, or no target."""
    return 0 if due_on is None else age(since=due_on, today=today, pauses=pauses, calendar=calendar)


def with_pause(pauses: Sequence[Pause], *, begins: date, ends: date) -> tuple[Pause, ...]:
    """Add a pause from `begins` up to, not including, `ends`; a standing one ends where the new begins."""
    return (*without_future(pauses, today=begins), (begins, ends)) if begins < ends else tuple(pauses)


def without_future(pauses: Sequence[Pause], *, today: date) -> tuple[Pause, ...]:
    """End every pause today: the family has been heard again."""
    return tuple((begins, min(ends, today)) for begins, ends in pauses if begins < today)


def _counts(day: date, pauses: Sequence[Pause], calendar: SchoolDays) -> bool:
    paused = any(begins <= day < ends for begins, ends in pauses)
    return not paused and calendar.is_school_day(day)
