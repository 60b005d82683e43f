"""When school is: the planned year of a district, its snow days, and a school that must close by itself."""

import random
from dataclasses import dataclass
from datetime import date, timedelta

from contracts.calendar import is_business_day, last_day_of, school_year_of

SCHOOL_DAYS_A_YEAR = 180
STORMS_A_YEAR = (3, 5)
CLOSES_IN_A_STORM = 0.8
_MONDAY, _THURSDAY = 0, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A planned school day that did not take place, and its make-up day in June. `school` is None for the district."""

    day: date
    make_up: date
    school: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictYear:
    """A district's planned school days, in order, and what closed them. A closure is announced on its own day."""

    planned: tuple[date, ...]
    closures: tuple[Closure, ...]

    def school_days(self, *, school: str, known_on: date) -> tuple[date, ...]:
        """Give the calendar of one school as the district knew it in the evening of `known_on`."""
        days = set(self.planned)
        for closure in self.closures:
            if closure.day <= known_on and closure.school in (None, school):
                days.discard(closure.day)
                days.add(closure.make_up)
        return tuple(sorted(days))


def first_school_day(school_year: int) -> date:
    """Give the last Monday of August."""
    return _last_weekday(school_year, 8, _MONDAY)


def latest_day_worth_replaying(today: date) -> date:
    """Give today, or in the summer the end of the school year that is over."""
    if today < first_school_day(school_year_of(today)):
        return last_possible_day(school_year_of(today) - 1)
    return today


def last_possible_day(school_year: int) -> date:
    """Give the day on which every district's year, make-up days included, is over."""
    return last_day_of(school_year)


def district_year(
    *, school_year: int, schools: tuple[str, ...], storms: tuple[date, ...], rng: random.Random
) -> DistrictYear:
    """Plan one district's year: 180 school days, its snow days, and one school's burst pipe in the autumn."""
    holidays = _holidays(school_year)
    day = first_school_day(school_year) + timedelta(days=rng.choice((0, 0, 1, 2)))
    teaching: list[date] = []
    while len(teaching) < SCHOOL_DAYS_A_YEAR + STORMS_A_YEAR[1] + 1:
        if is_business_day(day) and day not in holidays:
            teaching.append(day)
        day += timedelta(days=1)
    planned, spare = teaching[:SCHOOL_DAYS_A_YEAR], iter(teaching[SCHOOL_DAYS_A_YEAR:])

    burst_pipe = Closure(day=rng.choice(planned[8:50]), make_up=next(spare), school=rng.choice(schools))
    # Drawn for every storm, closed or not: the later draws must not depend on what the calendar happened to hold.
    closes = [(storm, rng.random() < CLOSES_IN_A_STORM) for storm in storms]
    snow = [Closure(day=storm, make_up=next(spare)) for storm, closed in closes if closed and storm in planned]
    return DistrictYear(planned=tuple(planned), closures=(burst_pipe, *snow))


def draw_storms(*, school_year: int, rng: random.Random) -> tuple[date, ...]:
    """Draw the winter's storms, which the districts share: three to five weekdays, December to March."""
    first = date(school_year, 12, 5)
    weekdays = [day for day in (first + timedelta(days=n) for n in range(100)) if is_business_day(day)]
    return tuple(sorted(rng.sample(weekdays, rng.randint(*STORMS_A_YEAR))))


def _holidays(school_year: int) -> set[date]:
    autumn, spring = school_year, school_year + 1
    thanksgiving = _nth_weekday(autumn, 11, _THURSDAY, 4)
    winter, april = date(autumn, 12, 24), _nth_weekday(spring, 4, _MONDAY, 2)
    presidents = _nth_weekday(spring, 2, _MONDAY, 3)
    return {
        _nth_weekday(autumn, 9, _MONDAY, 1),
        _nth_weekday(autumn, 10, _MONDAY, 2),
        _nth_weekday(autumn, 11, _MONDAY, 1) + timedelta(days=1),
        date(autumn, 11, 11),
        thanksgiving,
        thanksgiving + timedelta(days=1),
        *(winter + timedelta(days=n) for n in range(9)),
        _nth_weekday(spring, 1, _MONDAY, 3),
        presidents,
        presidents + timedelta(days=1),
        *(april + timedelta(days=n) for n in range(5)),
        _last_weekday(spring, 5, _MONDAY),
        date(spring, 6, 19),
    }


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _last_weekday(year: int, month: int, weekday: int) -> date:
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)
