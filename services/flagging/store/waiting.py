"""What districts are told of their rolls this school year: which are overdue, and what complete ones leave out."""

from collections import defaultdict
from datetime import date
from typing import NamedTuple

from contracts.calendar import first_day_of, school_year_of
from services.flagging.rules import packing
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.waiting import days_without_mark, waiting_days
from services.flagging.store.registers import Registers
from services.runtime.database import Connection

# Of nearly every page of a school the same days: a state's 8,000 pages come as a row for each school.
_SENT = """
SELECT y.district, y.school, y.school_year::int, y.calendar_version >= 0, y.school_days, y.completed, r.sent
FROM school_year y JOIN (
    SELECT district, school, school_year, array_agg(DISTINCT rolls) AS sent FROM register_page
    WHERE school_year = $1 GROUP BY district, school, school_year
) r USING (district, school, school_year)"""
_WITH_COMPLETIONS = """
SELECT district, school, school_year::int FROM school_year WHERE school_year = $1 AND completions <> ''"""

SCHOOLS_AT_A_TIME = 25


class Waiting(NamedTuple):
    """A district's school days whose marks wait for their roll, each school's for itself, and the oldest of them."""

    days: int
    oldest: date | None


NOTHING = Waiting(0, None)


async def waiting_rolls(connection: Connection, today: date) -> dict[str, Waiting]:
    """Find whose marks still wait three school days later, by district."""
    year = school_year_of(today)
    sent: dict[SchoolYear, int] = {}
    passed = (1 << (today - first_day_of(year)).days) - 1
    for district, code, _, has_calendar, school_days, completed, days_of_pages in await connection.fetch(_SENT, year):
        days = 0
        for rolls in days_of_pages:
            days |= packing.unpack_set(rolls)
        # Nearly every school is done with here; whether a day of the others needs its roll, the school says.
        taught = packing.unpack_set(school_days) if has_calendar else days
        if waiting_days(sent=days, taught=taught, settled=packing.unpack_set(completed), passed=passed):
            sent[SchoolYear(district, code, year)] = days
    registers = Registers(connection)
    found: defaultdict[str, list[int]] = defaultdict(list)
    for school in await registers.open_schools(sent):
        days = sent[school.key]
        found[school.key.district] += _places(
            waiting_days(
                sent=days,
                taught=school.school_days if school.has_calendar else days,
                settled=school.completed | school.open_days,
                passed=passed,
            )
        )
    first = first_day_of(year)
    return {
        district: Waiting(len(places), date.fromordinal(first.toordinal() + min(places)))
        for district, places in found.items()
        if places
    }


async def without_mark(connection: Connection, today: date) -> dict[str, int]:
    """Count, by district, students' days of which a complete roll of a full feed says nothing."""
    rows = await connection.fetch(_WITH_COMPLETIONS, school_year_of(today))
    found: defaultdict[str, int] = defaultdict(int)
    # A few at a time: a state's pages would be tens of megabytes, and most of a second in which nobody else has a turn.
    for at in range(0, len(rows), SCHOOLS_AT_A_TIME):
        registers = Registers(connection)
        opened = await registers.open_schools(SchoolYear(*row) for row in rows[at : at + SCHOOLS_AT_A_TIME])
        schools = [school for school in opened if _is_told_whole(school)]
        await registers.open_whole(schools)
        for school in schools:
            found[school.key.district] += days_without_mark(school, school.pages.values())
    return found


def _is_told_whole(school: School) -> bool:
    complete, full, _ = school.completions.days()
    return bool(complete & full)


def _places(days: int) -> list[int]:
    return [place for place in range(days.bit_length()) if days >> place & 1]
