"""Which school days and student months are tallied anew, and told: those that closed, and those that are corrected."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from services.flagging import telling
from services.flagging.handlers.work import Work
from services.flagging.rules import months
from services.flagging.rules.page import Days, Page
from services.flagging.rules.register import School
from services.flagging.store import calendars, rosters
from services.flagging.store.rosters import Face, StudentAtSchool
from services.flagging.telling import StudentMonth
from services.runtime.database import uuid_of


@dataclass(slots=True)
class Moved:
    """What moved at a school: days of anybody's, and students' days in months that are told already."""

    days: int = 0
    corrected: list[tuple[Page, int, int]] = field(default_factory=list)

    def add(self, other: "Moved") -> None:
        """Let what moved otherwise be among it."""
        self.days |= other.days
        self.corrected += other.corrected


class Counted(NamedTuple):
    """A student, with the days that sums over schools count here."""

    student: bytes
    grade: int
    days: Days


Wanted = dict[School, dict[int, list[Counted]]]
"""The students whose months are told, by school and month."""


async def tell_days(work: Work, moved: Mapping[School, Moved], today: date | None) -> None:
    """Tell the whole tally of each school day that closed or was corrected.

    With `today` a school is looked at for days that nobody was told of, whenever they closed.
    """
    tallied = {
        school: days
        for school, each in moved.items()
        if work.is_told(school) and (days := _days_to_tell(school, each, is_looked_at=today is not None))
    }
    await work.registers.open_whole(tallied)
    for school, days in tallied.items():
        district, code, year = school.key
        for day, tally in school.tally(months.each_day(days)).items():
            # A day that counts for nobody, a Saturday's roll, is told of only where it counted before.
            if tally[0] or day & school.tallied:
                told = telling.school_day(work.moment(district), code, telling.last_day(day, year), tally)
                work.tell(telling.DAYS, district, told)
                school.tallied |= day
                school.is_changed = True


def _days_to_tell(school: School, moved: Moved, *, is_looked_at: bool) -> int:
    """Give the complete days that nobody was told of, and those that moved since somebody was."""
    if school.is_told_anew:
        return school.completed | school.tallied
    # A day nobody was told of counts for nobody. That changes with the school, or with whom it begins to count for.
    untold = school.completed & ~school.tallied if school.before is not None or is_looked_at else 0
    return moved.days & (school.completed | school.tallied) | untold


async def tell_months(work: Work, moved: Mapping[School, Moved], today: date | None) -> None:
    """Tell the months that close today of everybody with days in them, and corrected ones of whom the correction is.

    Without `today` none closes: the timer is asked to look at the schools whose months are complete by now. A month's
    last rolls come from a thousand schools at once, and nobody's flag is to wait behind half a million student months.
    """
    if today is None:
        _ask_for_closing(work)
    closing = await _closing(work, today) if today is not None else {}
    await work.registers.open_whole(closing)
    wanted: Wanted = {school: _closed_months(school, days) for school, days in closing.items()}
    for school in (school for school in moved if school.is_told_anew):
        everybody = [(page, at, school.closed) for page, at in school.everybody()]
        wanted[school] = wanted.get(school, {}) | _corrected_months(school, everybody)
    for school in moved:
        if days := _months_with_other_rolls(school) & ~closing.get(school, 0):
            everybody = [(page, at, days) for page, at in school.everybody()]
            wanted[school] = _corrected_months(school, everybody) | wanted.get(school, {})
    for school, each in moved.items():
        corrected = _corrected_months(school, each.corrected)
        wanted[school] = corrected | wanted.get(school, {})
    told = {school: by_month for school, by_month in wanted.items() if by_month and work.is_told(school)}
    faces = await rosters.faces_of(
        work.registers.connection,
        {
            StudentAtSchool(uuid_of(each.student), school.key.school_year, school.key.school)
            for school, by_month in told.items()
            for students in by_month.values()
            for each in students
        },
    )
    for school, by_month in told.items():
        for month, students in by_month.items():
            _tell_month(work, school, month, [_student_month(school, month, each, faces) for each in students])


def _months_with_other_rolls(school: School) -> int:
    """Give the days of told months that say another number of missing rolls by now."""
    if school.before is None or not school.has_calendar:
        return 0
    before, now = school.before, school.terms
    return sum(
        month
        for month in months.months_of(school.key.school_year)
        if month & school.closed
        and (before.taught & month & ~before.completed).bit_count() != (now.taught & month & ~now.completed).bit_count()
    )


def _closed_months(school: School, days: int) -> dict[int, list[Counted]]:
    """Mark the months of these days as told, and give everybody with days in them."""
    school.closed |= days
    school.is_changed = True
    everybody = [
        Counted(student, grade, own)
        for page in school.pages.values()
        for student, grade, own in zip(page.keys, page.grades, school.own_days_of_all(page), strict=True)
    ]
    return {month: [each for each in everybody if each.days.counted & month] for month in _months_in(school, days)}


def _corrected_months(school: School, corrected: Iterable[tuple[Page, int, int]]) -> dict[int, list[Counted]]:
    found: defaultdict[int, dict[bytes, Counted]] = defaultdict(dict)
    for page, at, days in corrected:
        counted = Counted(page.keys[at], page.grades[at], school.own_days(page, at))
        for month in _months_in(school, days):
            found[month][counted.student] = counted
    return {month: list(students.values()) for month, students in found.items()}


def _months_in(school: School, days: int) -> Iterable[int]:
    return (month for month in months.months_of(school.key.school_year) if month & days)


def _student_month(school: School, month: int, counted: Counted, faces: Mapping[StudentAtSchool, Face]) -> StudentMonth:
    year = school.key.school_year
    key = uuid_of(counted.student)
    face = faces.get(StudentAtSchool(key, year, school.key.school))
    return StudentMonth(
        key,
        face and face.person_key,
        face and face.entered(telling.last_day(month, year)),
        telling.grade_of(counted.grade),
        (counted.days.counted & month).bit_count(),
        (counted.days.absent & month).bit_count(),
    )


def _tell_month(work: Work, school: School, month: int, students: list[StudentMonth]) -> None:
    if not students:
        return
    district, code, year = school.key
    first_day = telling.last_day(month & -month, year)
    missing = (school.terms.taught & month & ~school.completed).bit_count() if school.has_calendar else None
    told = telling.student_months(work.moment(district), code, first_day, students, missing_rolls=missing)
    for each in told:
        work.tell(telling.MONTHS, district, each)


def _ask_for_closing(work: Work) -> None:
    for school in work.registers.schools.values():
        if school.before is not None and work.is_told(school) and _complete_months(school):
            school.checked_on, school.is_changed = date.min, True


def _complete_months(school: School) -> int:
    return months.closing_days(
        school_year=school.key.school_year,
        taught=school.terms.taught if school.has_calendar else None,
        calendar=0,
        completed=school.completed,
        closed=school.closed,
        today=None,
    )


async def _closing(work: Work, today: date) -> dict[School, int]:
    """Give the days of the months that close today, of the schools that are looked at."""
    schools = [school for school in work.registers.schools.values() if work.is_told(school)]
    await work.registers.open_whole([school for school in schools if not school.has_calendar and school.open_days])
    district_days = await calendars.of_districts(work.registers.connection, schools)
    closing = {
        school: months.closing_days(
            school_year=school.key.school_year,
            taught=school.terms.taught if school.has_calendar else None,
            calendar=(school.school_days if school.has_calendar else 0)
            or district_days.get((school.key.district, school.key.school_year), 0),
            completed=school.completed | school.sent_days(),
            closed=school.closed,
            today=today,
        )
        for school in schools
    }
    return {school: days for school, days in closing.items() if days}
