"""An independent recomputation: from the set of facts to days and flags, in plain sets and fractions.

Written from the domain's rules alone, before the code: it shares nothing with flagging, takes the facts in any order,
and is slow on purpose: nothing in it is clever. A day is a date, a rate a fraction, a child a key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from uuid import UUID

from contracts.events import DistrictPolicyDecided, Event, Grade, Level, TransferConfirmed
from tests.oracle_facts import Stint, World, school_year, whole_year

__all__ = ["Conclusions", "Days", "Policy", "RecordKey", "World", "conclude", "school_year", "whole_year"]

RecordKey = tuple[UUID, int, str]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The standard policy; a test may give a district another one."""

    min_enrolled_days: int = 10
    early_warning: bool = True
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


Verdicts = dict[date, bool]
"""Of each counted day, if it was missed."""


@dataclass(frozen=True, kw_only=True)
class Conclusions:
    """Records with at least one enrolled day, the flags that stand, and each student's figures: (absent, counted).

    `verdicts` are the days behind the figures; `chronic_before` names whose last year was chronic.
    """

    records: dict[RecordKey, Days] = field(default_factory=dict)
    flags: dict[tuple[UUID, int], Level] = field(default_factory=dict)
    figures: dict[tuple[UUID, int], tuple[int, int]] = field(default_factory=dict)
    verdicts: dict[tuple[UUID, int], Verdicts] = field(default_factory=dict)
    chronic_before: frozenset[tuple[UUID, int]] = frozenset()


def conclude(
    facts: Iterable[Event], policies: Mapping[str, Policy] | None = None, *, today: date | None = None
) -> Conclusions:
    """Say what must be true once all the facts are known; `policies` are in force before any that the facts decide."""
    facts = list(facts)
    world = World(facts, today)
    decided = [fact for fact in facts if isinstance(fact, DistrictPolicyDecided)]
    stints_of = world.stints_by_year()
    chronic = {key for key, stints in stints_of.items() if _is_chronic(_verdicts(world, key[1], _judged(stints)))}
    found = Conclusions(
        chronic_before=frozenset(key for key in stints_of if _was_chronic(*key, stints_of, chronic, facts))
    )
    for (student, year), stints in stints_of.items():
        found.records.update(_records(world, student, year, stints))
        whole = _verdicts(world, year, _judged(stints))
        if not whole:
            found.figures[student, year] = (0, 0)
            continue
        district = stints[0].district
        policy = in_force(decided, district, max(whole), (policies or {}).get(district, STANDARD))
        warned = _begins_to_miss(whole, (student, year) in found.chronic_before, policy)
        level, verdicts = _worst(_groups(world, year, _judged(stints), policy), policy, warned=warned)
        found.verdicts[student, year] = verdicts
        found.figures[student, year] = (sum(verdicts.values()), len(verdicts))
        if level is not Level.NONE:
            found.flags[student, year] = level
    return found


def in_force(decided: Iterable[DistrictPolicyDecided], district: str, day: date, before: Policy = STANDARD) -> Policy:
    """9.13: the largest version whose day has come by the as-of day judges."""
    come = [each for each in decided if each.district == district and each.effective_from <= day]
    if not come:
        return before
    newest = max(come, key=lambda each: each.version).absence
    return Policy(
        min_enrolled_days=newest.min_enrolled_days,
        early_warning=newest.early_warning,
        early_absences=newest.early_absences,
        early_days=newest.early_days,
        accumulator=newest.accumulator.value,
    )


def _records(world: World, student: UUID, year: int, stints: list[Stint]) -> dict[RecordKey, Days]:
    claims = _claims(world, year, stints)
    found: dict[RecordKey, Days] = {}
    for school in {stint.place for stint in stints}:
        here = [stint for stint in stints if stint.place == school]
        days = whole_year(year)
        enrolled = {day for day in days if any(s.covers(day) and world.is_school_day(s, day) for s in here)}
        counted = {day for day in days if any(world.counts(stint, day) for stint in here)}
        latest = max(here, key=lambda stint: stint.order)
        if enrolled:
            found[student, year, school[1]] = Days(
                district=school[0],
                entry_date=None if latest.grade is None else latest.entry_date,
                grade=latest.grade,
                enrolled=frozenset(enrolled),
                counted=frozenset(counted),
                absent=frozenset(day for day in counted if any(world.is_absent(stint, day) for stint in here)),
                own=frozenset(day for day in counted if claims[day].school == school[1]),
            )
    return found


def _claims(world: World, year: int, stints: Iterable[Stint]) -> dict[date, Stint]:
    """9.9: a day that two enrolments claim goes to the later entry, equal entry to the larger stint id."""
    claims: dict[date, Stint] = {}
    for stint in sorted(stints, key=lambda stint: stint.order):
        claims |= {day: stint for day in whole_year(year) if world.counts(stint, day)}
    return claims


def _verdicts(world: World, year: int, stints: Iterable[Stint]) -> Verdicts:
    return {day: world.is_absent(stint, day) for day, stint in _claims(world, year, stints).items()}


def _judged(stints: Iterable[Stint]) -> list[Stint]:
    """Pre-kindergarten is outside; a grade that nobody told is not."""
    return [stint for stint in stints if stint.grade is not Grade.PK]


def _groups(world: World, year: int, stints: list[Stint], policy: Policy) -> list[Verdicts]:
    """The statute counts "at such school": there nothing of another school is laid over."""
    if policy.accumulator == "district":
        return [_verdicts(world, year, stints)]
    schools = sorted({stint.school for stint in stints})
    return [_verdicts(world, year, [s for s in stints if s.school == school]) for school in schools]


def _worst(groups: list[Verdicts], policy: Policy, *, warned: bool) -> tuple[Level, Verdicts]:
    """Of several schools the worst speaks, then the one with the most absences, then the last by its code."""
    level, verdicts = Level.NONE, Verdicts()
    for group in groups:
        said = _line(group, policy) or (Level.AT_RISK if warned else Level.NONE)
        if (list(Level).index(said), sum(group.values())) >= (list(Level).index(level), sum(verdicts.values())):
            level, verdicts = said, group
    return level, verdicts


def _line(verdicts: Verdicts, policy: Policy) -> Level | None:
    if not _is_chronic(verdicts, policy.min_enrolled_days):
        return None
    return Level.SEVERELY_CHRONICALLY_ABSENT if _rate(verdicts) >= Fraction(1, 5) else Level.CHRONICALLY_ABSENT


def _is_chronic(verdicts: Verdicts, minimum: int = STANDARD.min_enrolled_days) -> bool:
    return len(verdicts) >= minimum and _rate(verdicts) >= Fraction(1, 10)


def _rate(verdicts: Verdicts) -> Fraction:
    return Fraction(sum(verdicts.values()), len(verdicts)) if verdicts else Fraction(0)


def _begins_to_miss(verdicts: Verdicts, chronic_before: bool, policy: Policy) -> bool:
    """9.14: over all schools of the district; it ends when the first days are over and under 5 % are missed."""
    days = sorted(verdicts)
    early = days[: policy.early_days]
    # Who comes after September has no September: those first days stand for it.
    september = [day for day in days if day.month == 9] if days[0] < date(school_year(days[0]), 10, 1) else early
    warned = sum(verdicts[day] for day in early) >= policy.early_absences
    warned = warned or (chronic_before and sum(verdicts[day] for day in september) >= 2)
    over = len(days) > policy.early_days and _rate(verdicts) < Fraction(1, 20)
    return policy.early_warning and warned and not over


def _was_chronic(
    student: UUID,
    year: int,
    stints_of: Mapping[tuple[UUID, int], list[Stint]],
    chronic: set[tuple[UUID, int]],
    facts: Iterable[Event],
) -> bool:
    """9.14: by the standard policy; it follows over schools, and over districts that both confirmed the transfer."""
    if (student, year - 1) in chronic:
        return True
    here = stints_of[student, year]
    confirmed = {
        (fact.person_key, fact.from_district)
        for fact in facts
        if isinstance(fact, TransferConfirmed) and fact.district == here[0].district
    }
    persons = {stint.person for stint in here}
    return any(
        stint.person in persons and (stint.person, stint.district) in confirmed
        for other, other_year in chronic
        if other_year == year - 1
        for stint in stints_of[other, other_year]
    )
