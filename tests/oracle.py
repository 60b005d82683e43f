"""An independent recomputation: from the set of facts to days and flags, in plain sets and fractions.

Written from the domain's rules alone, before the code: it shares nothing with flagging, takes the facts in any order,
and is slow on purpose: nothing in it is clever. A day is a date, a rate a fraction, a child a key.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from contracts.events import (
    AttendanceRecorded,
    AttendanceRetracted,
    Category,
    EnrollmentChanged,
    Event,
    Feed,
    Grade,
    Level,
    RollCompleted,
    SchoolCalendarChanged,
)

ABSENT = {
    Category.EXCUSED_ABSENCE,
    Category.UNEXCUSED_ABSENCE,
    Category.MENTAL_HEALTH_DAY,
    Category.OUT_OF_SCHOOL_SUSPENSION,
    Category.EXPULSION,
}
MARK_ORDER = list(Category)

RecordKey = tuple[UUID, int, str]
School = tuple[str, str]
"""District and school code."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The standard policy; a test may give a district another one."""

    min_enrolled_days: int = 10
    early_absences: int = 2
    early_days: int = 20
    accumulator: str = "district"


STANDARD = Policy()


@dataclass(frozen=True, kw_only=True)
class Days:
    """One student at one school in one year. `own`: counted days that no later enrolment elsewhere claims."""

    district: str
    entry_date: date | None = None
    grade: Grade | None = None
    enrolled: frozenset[date] = frozenset()
    counted: frozenset[date] = frozenset()
    absent: frozenset[date] = frozenset()
    own: frozenset[date] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Conclusions:
    """Records with at least one enrolled day, the flags that stand, and each student's figures: (absent, counted)."""

    records: dict[RecordKey, Days] = field(default_factory=dict)
    flags: dict[tuple[UUID, int], Level] = field(default_factory=dict)
    figures: dict[tuple[UUID, int], tuple[int, int]] = field(default_factory=dict)


class World:
    """What stands once all the facts are known: the newest mark, stint and calendar of each, every completed roll."""

    def __init__(self, facts: Iterable[Event]) -> None:
        facts = list(facts)
        self.missed = _standing_marks(facts)
        self.stints = _standing_stints(facts)
        self.calendars = _standing_calendars(facts)
        self.rolls = {
            (fact.district, fact.school, fact.school_day): fact.feed
            for fact in facts
            if isinstance(fact, RollCompleted)
        }

    def is_school_day(self, school: School, day: date) -> bool:
        """Without a calendar any day may be one (9.1: a day with a complete roll, on a full feed one with marks)."""
        calendar = self.calendars.get((*school, school_year(day)))
        return calendar is None or day in calendar[0]

    def is_full_feed(self, school: School, year: int) -> bool:
        """The calendar declares the feed; until one comes, the school's rolls of that year do."""
        calendar = self.calendars.get((*school, year))
        if calendar is not None:
            return calendar[1] is Feed.FULL
        feeds = [
            feed for (*place, day), feed in self.rolls.items() if tuple(place) == school and school_year(day) == year
        ]
        return Feed.FULL in feeds

    def counts(self, stint: EnrollmentChanged, day: date) -> bool:
        """9.1: a school day, inside the enrolment, its roll complete; on a full feed a standing mark will do."""
        school = (stint.district, stint.school)
        if not _covers(stint, day) or not self.is_school_day(school, day):
            return False
        marked = self.missed.get((stint.student_key, day, stint.school)) is not None
        return (*school, day) in self.rolls or (marked and self.is_full_feed(school, school_year(day)))

    def is_absent(self, stint: EnrollmentChanged, day: date) -> bool:
        """Only a standing mark makes a day missed: silence on a complete roll is presence."""
        return self.missed.get((stint.student_key, day, stint.school)) is True


def conclude(facts: Iterable[Event], policies: Mapping[str, Policy] | None = None) -> Conclusions:
    """Say what must be true once all the facts are known."""
    world = World(facts)
    stints_of: defaultdict[tuple[UUID, int], list[EnrollmentChanged]] = defaultdict(list)
    years = {school_year(day) for _, _, day in world.rolls} | {year for _, _, year in world.calendars}
    years |= {school_year(day) for _, day, _ in world.missed} | {school_year(s.entry_date) for s in world.stints}
    for stint in world.stints:
        for year in years:
            if any(_covers(stint, day) for day in whole_year(year)):
                stints_of[stint.student_key, year].append(stint)
    records: dict[RecordKey, Days] = {}
    flags: dict[tuple[UUID, int], Level] = {}
    figures: dict[tuple[UUID, int], tuple[int, int]] = {}
    for (student, year), stints in stints_of.items():
        records |= _records(world, student, year, stints)
        policy = (policies or {}).get(stints[0].district, STANDARD)
        level, figures[student, year] = _judged(world, year, stints, stints_of.get((student, year - 1), []), policy)
        if level is not Level.NONE:
            flags[student, year] = level
    return Conclusions(records=records, flags=flags, figures=figures)


def whole_year(year: int) -> list[date]:
    """List the days of a school year, from 1 July."""
    first = date(year, 7, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 7, 1) - first).days)]


def _records(world: World, student: UUID, year: int, stints: list[EnrollmentChanged]) -> dict[RecordKey, Days]:
    claims = _claims(world, year, stints)
    found: dict[RecordKey, Days] = {}
    for school in {(stint.district, stint.school) for stint in stints}:
        here = [stint for stint in stints if (stint.district, stint.school) == school]
        days = whole_year(year)
        enrolled = {d for d in days if world.is_school_day(school, d) and any(_covers(stint, d) for stint in here)}
        counted = {day for day in days if any(world.counts(stint, day) for stint in here)}
        latest = max(here, key=lambda stint: (stint.entry_date, stint.stint))
        if enrolled:
            found[student, year, school[1]] = Days(
                district=school[0],
                entry_date=latest.entry_date,
                grade=latest.grade,
                enrolled=frozenset(enrolled),
                counted=frozenset(counted),
                absent=frozenset(day for day in counted if any(world.is_absent(stint, day) for stint in here)),
                own=frozenset(day for day in counted if claims[day].school == school[1]),
            )
    return found


def _claims(world: World, year: int, stints: list[EnrollmentChanged]) -> dict[date, EnrollmentChanged]:
    """9.9: a day that two enrolments claim goes to the later entry, equal entry to the larger stint id."""
    claims: dict[date, EnrollmentChanged] = {}
    for stint in sorted(stints, key=lambda stint: (stint.entry_date, stint.stint)):
        claims |= {day: stint for day in whole_year(year) if world.counts(stint, day)}
    return claims


def _judged(
    world: World, year: int, stints: list[EnrollmentChanged], before: list[EnrollmentChanged], policy: Policy
) -> tuple[Level, tuple[int, int]]:
    """Pre-kindergarten is outside; the year before is judged over the district, by the standard policy (9.14)."""
    last = _verdicts(world, year - 1, [stint for stint in before if stint.grade is not Grade.PK])
    chronic_before = _is_chronic(last, STANDARD)
    older = [stint for stint in stints if stint.grade is not Grade.PK]
    # The statute counts "at such school": there nothing of another school is laid over.
    groups = [[s for s in older if s.school == school] for school in {stint.school for stint in older}]
    accumulated = [older] if policy.accumulator == "district" else sorted(groups, key=lambda group: group[0].school)
    verdict, best = Level.NONE, (0, 0)
    for verdicts in (_verdicts(world, year, group) for group in accumulated):
        level, figures = _level(verdicts, chronic_before, policy), (sum(verdicts.values()), len(verdicts))
        # Of several schools the worst speaks, then the one with the most absences, then the last by its code.
        if (list(Level).index(level), figures[0]) >= (list(Level).index(verdict), best[0]):
            verdict, best = level, figures
    return verdict, best


def _verdicts(world: World, year: int, stints: list[EnrollmentChanged]) -> dict[date, bool]:
    return {day: world.is_absent(stint, day) for day, stint in _claims(world, year, stints).items()}


def _is_chronic(verdicts: Mapping[date, bool], policy: Policy) -> bool:
    return len(verdicts) >= policy.min_enrolled_days and Fraction(sum(verdicts.values()), len(verdicts)) >= Fraction(
        1, 10
    )


def _level(verdicts: Mapping[date, bool], chronic_before: bool, policy: Policy) -> Level:
    if not verdicts:
        return Level.NONE
    rate = Fraction(sum(verdicts.values()), len(verdicts))
    if _is_chronic(verdicts, policy):
        return Level.SEVERELY_CHRONICALLY_ABSENT if rate >= Fraction(1, 5) else Level.CHRONICALLY_ABSENT
    days = sorted(verdicts)
    early = days[: policy.early_days]
    # Who comes after September has no September: those first days stand for it.
    september = [day for day in days if day.month == 9] if days[0] < date(school_year(days[0]), 10, 1) else early
    warned = sum(verdicts[day] for day in early) >= policy.early_absences
    warned = warned or (chronic_before and sum(verdicts[day] for day in september) >= 2)
    over = len(days) > policy.early_days and rate < Fraction(1, 20)
    return Level.AT_RISK if warned and not over else Level.NONE


def school_year(day: date) -> int:
    """Name the school year in which a day lies."""
    return day.year - (day < date(day.year, 7, 1))


def _standing_marks(facts: list[Event]) -> dict[tuple[UUID, date, str], bool | None]:
    """Newest version, then content; None where the source took the mark back."""
    newest: dict[tuple[UUID, date, str], tuple[tuple[int, ...], bool | None]] = {}
    for fact in facts:
        rank: tuple[int, ...]
        if isinstance(fact, AttendanceRecorded):
            present = -1 if fact.present_parts is None else fact.present_parts
            parts = -1 if fact.day_parts is None else fact.day_parts
            rank = (fact.source_version, 1 + MARK_ORDER.index(fact.category), present, parts)
            if present >= 0 and parts >= 0:
                missed: bool | None = Fraction(present, parts) < Fraction(1, 2)
            else:
                missed = fact.category in ABSENT
        elif isinstance(fact, AttendanceRetracted):
            rank, missed = (fact.source_version, 0, -1, -1), None
        else:
            continue
        key = (fact.student_key, fact.school_day, fact.school)
        if key not in newest or rank > newest[key][0]:
            newest[key] = (rank, missed)
    return {key: missed for key, (_, missed) in newest.items()}


def _standing_stints(facts: list[Event]) -> list[EnrollmentChanged]:
    newest: dict[tuple[UUID, str], EnrollmentChanged] = {}
    for fact in facts:
        if isinstance(fact, EnrollmentChanged):
            key = (fact.student_key, fact.stint)
            if key not in newest or _stint_rank(fact) > _stint_rank(newest[key]):
                newest[key] = fact
    return [stint for stint in newest.values() if not stint.withdrawn]


def _stint_rank(fact: EnrollmentChanged) -> tuple[Any, ...]:
    return (
        fact.source_version,
        fact.withdrawn,
        fact.school,
        fact.grade.value,
        fact.entry_date,
        fact.exit_date or date.max,
        fact.exit_day_counts,
        str(fact.person_key or ""),
        str(fact.household_key or ""),
    )


def _standing_calendars(facts: list[Event]) -> dict[tuple[str, str, int], tuple[frozenset[date], Feed]]:
    newest: dict[tuple[str, str, int], tuple[tuple[Any, ...], frozenset[date], Feed]] = {}
    for fact in facts:
        if isinstance(fact, SchoolCalendarChanged):
            first = date(fact.school_year, 7, 1)
            days = frozenset(day for day in fact.school_days if school_year(day) == fact.school_year)
            # Between two calendars of one version, the one with the earliest day that the other lacks stands.
            picture = [first + timedelta(days=n) in days for n in range(366)]
            rank = (fact.source_version, picture, fact.feed.value)
            key = (fact.district, fact.school, fact.school_year)
            if key not in newest or rank > newest[key][0]:
                newest[key] = (rank, days, fact.feed)
    return {key: (days, feed) for key, (_, days, feed) in newest.items()}


def _covers(stint: EnrollmentChanged, day: date) -> bool:
    """Whether the exit day counts is the feed's convention; the entry day always does."""
    if day < stint.entry_date:
        return False
    return stint.exit_date is None or day < stint.exit_date or (stint.exit_day_counts and day == stint.exit_date)
