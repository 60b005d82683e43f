"""An independent recomputation: from the set of facts to absence records and flags, in plain sets and fractions.

It shares no code with flagging, takes the facts in any order, and is slow on purpose: nothing in it is clever.
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


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The standard policy; a test may give a district another one."""

    min_enrolled_days: int = 10
    early_absences: int = 2
    early_days: int = 20
    accumulator: str = "district"


@dataclass(frozen=True, kw_only=True)
class Days:
    """One student at one school in one year."""

    district: str
    entry_date: date | None = None
    grade: Grade | None = None
    enrolled: frozenset[date] = frozenset()
    counted: frozenset[date] = frozenset()
    absent: frozenset[date] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Conclusions:
    """Records with at least one enrolled or counted day, and the flags that stand."""

    records: dict[RecordKey, Days] = field(default_factory=dict)
    flags: dict[tuple[UUID, int], Level] = field(default_factory=dict)


def conclude(facts: Iterable[Event], policies: Mapping[str, Policy] | None = None) -> Conclusions:
    """Say what must be true once all the facts are known."""
    facts = list(facts)
    marks = _standing_marks(facts)
    stints = _standing_stints(facts)
    calendars = _standing_calendars(facts)
    silent = {
        (fact.district, fact.school, fact.school_day)
        for fact in facts
        if isinstance(fact, RollCompleted) and fact.feed is Feed.EXCEPTIONS
    }

    records: dict[RecordKey, Days] = {}
    for key, district in _record_keys(marks, stints, calendars, silent).items():
        days = _days(key, district, marks, stints, calendars, silent)
        if days.enrolled or days.counted:
            records[key] = days
    return Conclusions(records=records, flags=_flags(records, policies or {}))


def school_year(day: date) -> int:
    """Name the school year in which a day lies."""
    return day.year - (day < date(day.year, 7, 1))


def _standing_marks(facts: list[Event]) -> dict[tuple[UUID, date, str], tuple[str, bool | None]]:
    newest: dict[tuple[UUID, date, str], tuple[tuple[int, ...], str, bool | None]] = {}
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
            newest[key] = (rank, fact.district, missed)
    return {key: (district, missed) for key, (_, district, missed) in newest.items()}


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


def _standing_calendars(facts: list[Event]) -> dict[tuple[str, str, int], frozenset[date]]:
    newest: dict[tuple[str, str, int], tuple[tuple[Any, ...], frozenset[date]]] = {}
    for fact in facts:
        if isinstance(fact, SchoolCalendarChanged):
            first = date(fact.school_year, 7, 1)
            days = frozenset(day for day in fact.school_days if school_year(day) == fact.school_year)
            # Between two calendars of one version, the one with the earliest day that the other lacks stands.
            picture = [first + timedelta(days=n) in days for n in range(366)]
            rank = (fact.source_version, picture, fact.feed.value)
            key = (fact.district, fact.school, fact.school_year)
            if key not in newest or rank > newest[key][0]:
                newest[key] = (rank, days)
    return {key: days for key, (_, days) in newest.items()}


def _record_keys(
    marks: dict[tuple[UUID, date, str], tuple[str, bool | None]],
    stints: list[EnrollmentChanged],
    calendars: dict[tuple[str, str, int], frozenset[date]],
    silent: set[tuple[str, str, date]],
) -> dict[RecordKey, str]:
    known_years = set(calendars) | {(district, school, school_year(day)) for district, school, day in silent}
    keys = {(student, school_year(day), school): district for (student, day, school), (district, _) in marks.items()}
    for stint in stints:
        keys[stint.student_key, school_year(stint.entry_date), stint.school] = stint.district
        for district, school, year in known_years:
            if (district, school) == (stint.district, stint.school):
                keys[stint.student_key, year, school] = district
    return keys


def _days(
    key: RecordKey,
    district: str,
    marks: dict[tuple[UUID, date, str], tuple[str, bool | None]],
    stints: list[EnrollmentChanged],
    calendars: dict[tuple[str, str, int], frozenset[date]],
    silent: set[tuple[str, str, date]],
) -> Days:
    student, year, school = key
    whole_year = {date(year, 7, 1) + timedelta(days=n) for n in range(366)} - {date(year + 1, 7, 1)}
    school_days = calendars.get((district, school, year), whole_year)
    own = [stint for stint in stints if (stint.student_key, stint.school) == (student, school)]
    own = [stint for stint in own if stint.entry_date in whole_year or stint.entry_date < date(year, 7, 1)]
    own = [stint for stint in own if stint.exit_date is None or stint.exit_date >= date(year, 7, 1)]
    enrolled = {day for day in school_days if any(_covers(stint, day) for stint in own)}
    missed = {day: marks[student, day, school][1] for day in whole_year if (student, day, school) in marks}
    marked = {day for day in school_days if missed.get(day) is not None}
    latest = max(own, key=lambda stint: (stint.entry_date, stint.stint), default=None)
    return Days(
        district=district,
        entry_date=latest.entry_date if latest else None,
        grade=latest.grade if latest else None,
        enrolled=frozenset(enrolled),
        counted=frozenset(marked | {day for day in enrolled if (district, school, day) in silent}),
        absent=frozenset(day for day in marked if missed[day]),
    )


def _covers(stint: EnrollmentChanged, day: date) -> bool:
    if day < stint.entry_date:
        return False
    return stint.exit_date is None or day < stint.exit_date or (stint.exit_day_counts and day == stint.exit_date)


def _flags(records: dict[RecordKey, Days], policies: Mapping[str, Policy]) -> dict[tuple[UUID, int], Level]:
    parts: dict[tuple[UUID, int], list[tuple[str, Days]]] = defaultdict(list)
    for (student, year, school), days in records.items():
        if days.grade is not Grade.PK:
            parts[student, year].append((school, days))
    flags: dict[tuple[UUID, int], Level] = {}
    for (student, year), schools in parts.items():
        policy = policies.get(schools[0][1].district, Policy())
        chronic_before = any(
            _is_chronic(counted, absent, policy)
            for counted, absent in _accumulated(parts.get((student, year - 1), []), policy)
        )
        level = max(
            (_level(counted, absent, chronic_before, policy) for counted, absent in _accumulated(schools, policy)),
            key=list(Level).index,
        )
        if level is not Level.NONE:
            flags[student, year] = level
    return flags


def _accumulated(schools: list[tuple[str, Days]], policy: Policy) -> list[tuple[set[date], set[date]]]:
    if policy.accumulator == "school":
        return [(set(days.counted), set(days.absent)) for _, days in schools]
    verdict: dict[date, bool] = {}
    for _, days in sorted(schools, key=lambda part: (part[1].entry_date or date.min, part[0])):
        verdict.update({day: day in days.absent for day in days.counted})
    return [(set(verdict), {day for day, absent in verdict.items() if absent})]


def _is_chronic(counted: set[date], absent: set[date], policy: Policy) -> bool:
    return len(counted) >= policy.min_enrolled_days and Fraction(len(absent), len(counted)) >= Fraction(10, 100)


def _level(counted: set[date], absent: set[date], chronic_before: bool, policy: Policy) -> Level:
    if _is_chronic(counted, absent, policy):
        severe = Fraction(len(absent), len(counted)) >= Fraction(20, 100)
        return Level.SEVERELY_CHRONICALLY_ABSENT if severe else Level.CHRONICALLY_ABSENT
    first_days = sorted(counted)[: policy.early_days]
    early = sum(day in absent for day in first_days) >= policy.early_absences
    september = chronic_before and sum(day.month == 9 for day in absent) >= 2
    still = len(counted) <= policy.early_days or Fraction(len(absent), len(counted)) >= Fraction(5, 100)
    return Level.AT_RISK if (early or september) and still else Level.NONE
