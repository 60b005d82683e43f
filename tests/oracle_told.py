"""What must have been told once all the facts are known: months that are closed, schools' days; the oracle's words."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from uuid import UUID

from contracts.events import DistrictStatus, DistrictStatusChanged, Event
from tests.oracle import Conclusions, World, school_year
from tests.oracle_facts import School

Month = date
"""Its first day."""


def months(concluded: Conclusions) -> dict[tuple[UUID, School, Month], tuple[int, int]]:
    """Give (absent, counted) of every student's month at a school: only days that no later enrolment claims."""
    found: defaultdict[tuple[UUID, School, Month], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (student, _, school), days in concluded.records.items():
        for day in days.own:
            key = (student, (days.district, school), day.replace(day=1))
            absent, counted = found[key]
            found[key] = (absent + (day in days.absent), counted + 1)
    return dict(found)


def school_days(concluded: Conclusions) -> dict[tuple[School, date], tuple[int, int]]:
    """Give (counted, absent) of every school's day: a child whom a later enrolment claims is counted there alone."""
    found: defaultdict[tuple[School, date], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (_, _, school), days in concluded.records.items():
        for day in days.own:
            counted, absent = found[(days.district, school), day]
            found[(days.district, school), day] = (counted + 1, absent + (day in days.absent))
    return dict(found)


def taught_days(world: World, school: School, month: Month) -> set[date]:
    """List the school days of a school's month, of all its tracks: on each of them it teaches."""
    year = school_year(month)
    return {
        day
        for (*place, each, _), calendar in world.calendars.items()
        if tuple(place) == school and each == year
        for day in calendar.days
        if day.replace(day=1) == month
    }


def missing_rolls(world: World, school: School, month: Month) -> int | None:
    """Count the school days without a complete roll; nothing where no calendar says which there are."""
    if not any((*school, school_year(month)) == (*key[:3],) for key in world.calendars):
        return None
    return sum(not world.is_complete(school, day) for day in taught_days(world, school, month))


def is_closed(world: World, school: School, month: Month) -> bool:
    """9.10: every roll complete; at the latest on the tenth school day of the next month, June ten weekdays on."""
    days = taught_days(world, school, month)
    if days and missing_rolls(world, school, month) == 0:
        return True
    latest = closes_at_the_latest(world, school, month)
    return latest is not None and world.today is not None and latest <= world.today


def closes_at_the_latest(world: World, school: School, month: Month) -> date | None:
    """Give the day on which a month closes whatever is missing; nothing where the sources do not say."""
    year = school_year(month)
    # A track is of some students; the month is the school's.
    of_schools = {key: c.days for key, c in world.calendars.items() if key[3] is None and key[2] == year}
    own = of_schools.get((*school, year, None), frozenset())
    others = {day for (district, *_), days in of_schools.items() if district == school[0] for day in days}
    days = own or others
    if not days:
        return None
    if month.month == 6:
        weekdays = (max(days) + timedelta(days=n) for n in range(1, 40))
        return [day for day in weekdays if day.weekday() < 5][9]
    following = sorted(day for day in days if day.replace(day=1) == _next(month))
    return following[9] if len(following) >= 10 else None


def _next(month: Month) -> Month:
    return (month + timedelta(days=31)).replace(day=1)


def standing_status(facts: Iterable[Event], district: str) -> DistrictStatus:
    """9.7: the largest version stands; nobody's word yet means live."""
    said = [fact for fact in facts if isinstance(fact, DistrictStatusChanged) and fact.district == district]
    return max(said, key=lambda fact: fact.version).status if said else DistrictStatus.LIVE
