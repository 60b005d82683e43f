"""What follows from a batch: whose flag changes, whose figures are told, which days and months are tallied anew."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple
from uuid import UUID

from services.flagging import telling
from services.flagging.handlers import judging
from services.flagging.rules import months, register
from services.flagging.rules.absence import Policy
from services.flagging.rules.register import (
    CHRONIC_BEFORE,
    KNOWN_BEFORE,
    SHARED,
    WATCHED,
    Page,
    School,
    SchoolYear,
    Student,
)
from services.flagging.store import calendars, policies, rosters
from services.flagging.store.policies import Decisions
from services.flagging.store.registers import Registers
from services.flagging.store.rosters import Face
from services.flagging.telling import Figures, Moment, StudentMonth, Told
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction


class Work:
    """A transaction's registers and what districts decided; and what is to be told, which goes out when it commits."""

    def __init__(self, transaction: Transaction, registers: Registers, decisions: Decisions) -> None:
        self.transaction = transaction
        self.registers = registers
        self.decisions = decisions
        self._occurred_at = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def moment(self, district: str) -> Moment:
        """Give what everything told of a district here has in common."""
        return Moment(district, self.registers.version(district), self._occurred_at)

    def is_told(self, school: School) -> bool:
        """Say whether what is computed for the school is told: not in a rehearsal."""
        return self.decisions.status(school.key.district) != policies.REHEARSAL

    def tell(self, topic: str, district: str, told: Told) -> None:
        """Publish the event after the commit, in the order of its district."""
        self.transaction.emit(topic=topic, key=district, event=told)

    def policy(self, school: School) -> Policy:
        """Give the policy in force on the last day that is complete or marked at the school."""
        taught = school.completed or 1
        return self.decisions.of(school.key.district, telling.last_day(taught, school.key.school_year))


class Moved(NamedTuple):
    """What moved at a school: days to be tallied, and students' days in months that are told already."""

    days: int
    corrected: list[tuple[Page, int, int]]


async def conclude(work: Work, *, today: date | None = None) -> None:
    """Judge, tell and write everything that follows from what changed in the registers.

    `today` closes months that have waited long enough; without it only complete ones close.
    """
    registers = work.registers
    moved: dict[School, Moved] = {}
    figures: list[Figures] = []
    for school in list(registers.schools.values()):
        if school.pages:
            moved[school] = _follow(work, school, figures)
    for renamed, key in registers.renamed:
        school = registers.schools[key]
        if school.closed:
            before = moved.setdefault(school, Moved(0, []))
            before.corrected.append((*school.page_of(renamed), school.closed))
    for student, year in await rosters.at_several_schools(
        registers.connection, {(UUID(bytes=student), key.school_year) for student, key in registers.arrived}
    ):
        registers.to_judge.add((student.bytes, year))
    if registers.to_judge:
        asked = judging.whom_to_ask(registers.to_judge)
        judged, yielded = await judging.judge(work, asked)
        figures = [
            *judged,
            *(each for each in figures if (UUID(bytes=each.student), each.key.school_year) not in asked),
        ]
        for school, (days, students) in yielded.items():
            before = moved.setdefault(school, Moved(0, []))
            moved[school] = Moved(before.days | days, [*before.corrected, *students])
    for district, told in telling.figures(work.moment, figures):
        work.tell(telling.FLAGS, district, told)
    await _tell_days(work, moved)
    await _tell_months(work, moved, today)
    await registers.save()


def _follow(work: Work, school: School, figures: list[Figures]) -> Moved:
    """Find who is to be judged, collect the figures of the watched, and say what moved."""
    policy = work.policy(school)
    mark = work.decisions.mark(policy)
    is_another_policy = school.is_whole and school.policy_version != mark
    is_told = work.is_told(school)
    days = 0
    corrected: list[tuple[Page, int, int]] = []
    before = school.before or school.terms
    for student in register.moved_students(school, everybody=is_another_policy):
        page, at, counted_days, moved = student
        traits = page.traits[at]
        days |= moved
        if moved & school.closed:
            corrected.append((page, at, moved & school.closed))
        is_watched = traits & WATCHED and (moved or is_another_policy)
        if register.is_to_be_judged(student, policy) or (is_watched and (traits & SHARED or not counted_days.counted)):
            work.registers.to_judge.add((page.keys[at], school.key.school_year))
        elif is_watched and is_told:
            figures.append(_figures(school, student, policy))
    if is_another_policy:
        school.policy_version = mark
        school.is_changed = True
    days = days & (before.completed | school.completed) | before.completed ^ school.completed
    return Moved(days, corrected)


def _figures(school: School, student: Student, policy: Policy) -> Figures:
    page, at, days, _ = student
    traits = page.traits[at]
    return Figures(
        page.keys[at],
        school.key,
        telling.grade_of(page.grades[at]),
        page.levels[at],
        days.counted,
        days.absent,
        telling.last_day(days.counted, school.key.school_year),
        policy.version,
        bool(traits & CHRONIC_BEFORE) if traits & KNOWN_BEFORE else None,
    )


async def _tell_days(work: Work, moved: dict[School, Moved]) -> None:
    tallied = {school: each.days for school, each in moved.items() if each.days and work.is_told(school)}
    await work.registers.open_whole(tallied)
    for school, days in tallied.items():
        district, code, year = school.key
        for day in months.each_day(days):
            told = telling.school_day(work.moment(district), code, telling.last_day(day, year), school.tally(day))
            work.tell(telling.DAYS, district, told)


async def _tell_months(work: Work, moved: dict[School, Moved], today: date | None) -> None:
    """Tell the months that close now of everybody with days in them, and corrected ones of whom the correction is."""
    closing = await _closing(work, today)
    await work.registers.open_whole(closing)
    wanted: defaultdict[School, dict[int, list[tuple[Page, int]]]] = defaultdict(dict)
    for school, days in closing.items():
        school.closed |= days
        school.is_changed = True
        for month in _months_in(school, days):
            wanted[school][month] = [each for each in school.everybody() if school.own_days(*each).counted & month]
    for school, each in moved.items():
        corrected: defaultdict[int, set[tuple[Page, int]]] = defaultdict(set)
        for page, at, days in each.corrected:
            for month in _months_in(school, days):
                corrected[month].add((page, at))
        for month, found in corrected.items():
            wanted[school].setdefault(month, list(found))
    told = {school: by_month for school, by_month in wanted.items() if by_month and work.is_told(school)}
    faces = await rosters.faces_of(work.registers.connection, [school.key for school in told])
    for school, by_month in told.items():
        for month, students in by_month.items():
            _tell_month(work, school, month, [_student_month(school, month, each, faces) for each in students])


def _months_in(school: School, days: int) -> Iterable[int]:
    return (month for month in months.months_of(school.key.school_year) if month & days) if days else ()


def _student_month(
    school: School, month: int, student: tuple[Page, int], faces: Mapping[tuple[SchoolYear, UUID], Face]
) -> StudentMonth:
    page, at = student
    days = school.own_days(page, at)
    key = UUID(bytes=page.keys[at])
    face = faces.get((school.key, key))
    return StudentMonth(
        key,
        face and face.person_key,
        face and face.entered(telling.last_day(month, school.key.school_year)),
        telling.grade_of(page.grades[at]),
        (days.counted & month).bit_count(),
        (days.absent & month).bit_count(),
    )


def _tell_month(work: Work, school: School, month: int, students: list[StudentMonth]) -> None:
    if not students:
        return
    district, code, year = school.key
    first_day = telling.last_day(month & -month, year)
    missing = (school.school_days & month & ~school.completed).bit_count() if school.has_calendar else None
    told = telling.student_months(work.moment(district), code, first_day, students, missing_rolls=missing)
    for each in told:
        work.tell(telling.MONTHS, district, each)


async def _closing(work: Work, today: date | None) -> dict[School, int]:
    """Give the days of the months that close now, of schools whose rolls or calendar changed or that are looked at."""
    schools = [
        school
        for school in work.registers.schools.values()
        if today is not None or (school.before is not None and school.has_calendar)
    ]
    district_days = await calendars.of_districts(work.registers.connection, schools) if today is not None else {}
    closing = {
        school: months.closing_days(
            school_year=school.key.school_year,
            school_days=school.school_days if school.has_calendar else None,
            district_days=district_days.get((school.key.district, school.key.school_year), 0),
            completed=school.completed,
            closed=school.closed,
            today=today,
        )
        for school in schools
    }
    return {school: days for school, days in closing.items() if days}
