"""The rules of absence. Sets of days are ints: bit n is the n-th day after 1 July. No I/O, no clock, no floats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache

from contracts.calendar import first_day_of, last_day_of, school_year_of

YEAR_DAYS = 366
SEPTEMBER = ((1 << 30) - 1) << 62
UP_TO_SEPTEMBER = (1 << 92) - 1
SEPTEMBER_ABSENCES = 2

PRESENT_CATEGORIES = (
    "in_attendance",
    "tardy",
    "early_departure",
    "school_activity",
    "remote_learning",
    "in_school_suspension",
    "alternative_education",
)
# Excused days still count: chronic absence is about missed instruction, not blame.
ABSENT_CATEGORIES = (
    "excused_absence",
    "unexcused_absence",
    "mental_health_day",
    "out_of_school_suspension",
    "expulsion",
)


class Level(IntEnum):
    """How far it has gone; the names are the contract's values."""

    none = 0
    at_risk = 1
    chronically_absent = 2
    severely_chronically_absent = 3


STANDARD_VERSION = 0
"""The standard policy's: districts' own decisions are counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a district may set. The last two are shown locally, and change no flag and no figure of the state's."""

    version: int = STANDARD_VERSION
    min_enrolled_days: int = 10
    early_absences: int = 2
    early_days: int = 20
    early_warning: bool = True
    accumulator: str = "district"
    fractions_of_a_day: bool = False
    in_school_suspension_is_absence: bool = False


STANDARD = Policy()

ONLY_AFTER_A_CHRONIC_YEAR = -1
"""A standing that is *at risk* for a student who was chronically absent last year, and nothing for anybody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StintDays:
    """One stint's part of a student's year: the counted and the absent days inside it."""

    school: str
    stint: str
    entry_date: date
    counted: int
    absent: int


def day_bit(*, day: date) -> int:
    """Give the day as a set of one, within its own school year."""
    return 1 << (day - first_day_of(school_year_of(day))).days


def days_of(*, days: int, school_year: int) -> list[date]:
    """List the dates of a set, earliest first."""
    first = first_day_of(school_year)
    return [first + timedelta(days=n) for n in range(YEAR_DAYS) if days >> n & 1]


@lru_cache(maxsize=4096)  # nearly every stint begins and ends with its year
def days_between(*, first_day: date, last_day: date, school_year: int) -> int:
    """Give the days of the year from the first to the last, both included."""
    begin = max((first_day - first_day_of(school_year)).days, 0)
    end = min((last_day - first_day_of(school_year)).days, YEAR_DAYS - 1)
    return ((1 << (end + 1)) - 1) & ~((1 << begin) - 1) if end >= begin else 0


def last_enrolled_day(*, exit_date: date | None, exit_day_counts: bool, school_year: int) -> date:
    """Give a stint's last day in a school year; whether the exit date is one is the feed's convention."""
    if exit_date is None:
        return last_day_of(school_year)
    return exit_date if exit_day_counts else exit_date - timedelta(days=1)


def is_absent(*, category: str, present_parts: int | None, day_parts: int | None) -> bool:
    """Say whether a mark's day was missed: less than half of it attended (State Board, September 2022)."""
    if present_parts is not None and day_parts is not None:
        return 2 * present_parts < day_parts
    return category in ABSENT_CATEGORIES


def _order(part: StintDays) -> tuple[date, str, str]:
    """A later entry comes later, of equal ones the larger stint id; of marks that enrol for a day the larger school."""
    return part.entry_date, part.stint, part.school


def overlay(*, parts: Iterable[StintDays]) -> tuple[int, int]:
    """Join a student's stints into (counted, absent): a day that two claim goes to the later entry.

    On equal entry it goes to the larger stint id, so that arrival never decides.
    """
    counted = absent = 0
    for part in sorted(parts, key=_order):
        absent = (absent & ~part.counted) | part.absent
        counted |= part.counted
    return counted, absent


def own_days(*, parts: Iterable[StintDays]) -> dict[str, int]:
    """Give, by school, the days that no later entry at another school claims: sums over schools count a day once."""
    own: dict[str, int] = {}
    for part in sorted(parts, key=_order):
        own = {school: days & ~part.counted for school, days in own.items()}
        own[part.school] = own.get(part.school, 0) | part.counted
    return own


def is_chronically_absent(*, days_absent: int, days_enrolled: int, min_enrolled_days: int) -> bool:
    """Apply the 10 % test of CGS 10-198c, once the student was enrolled long enough for it to speak."""
    return days_enrolled >= min_enrolled_days and 10 * days_absent >= days_enrolled


def has_begun_to_miss(*, counted: int, absent: int, chronic_last_year: bool, policy: Policy) -> bool:
    """Look for the early warning: absences among the first counted days, or September after a chronic year.

    It holds while the first days last, and after them for as long as the student misses 5 % or more.
    """
    days_enrolled = counted.bit_count()
    if not policy.early_warning or (days_enrolled > policy.early_days and 20 * absent.bit_count() < days_enrolled):
        return False
    if _come_within(days=policy.early_days, counted=counted, absent=absent, absences=policy.early_absences):
        return True
    if not chronic_last_year:
        return False
    if counted & UP_TO_SEPTEMBER:
        return (absent & SEPTEMBER).bit_count() >= SEPTEMBER_ABSENCES
    # Who comes after September has no September: those first days stand for it.
    return _come_within(days=policy.early_days, counted=counted, absent=absent, absences=SEPTEMBER_ABSENCES)


def chronic_level(*, counted: int, absent: int, policy: Policy) -> Level:
    """Say which of the two lines of 10 % and 20 % is reached, if any."""
    days_absent, days_enrolled = absent.bit_count(), counted.bit_count()
    if not is_chronically_absent(
        days_absent=days_absent, days_enrolled=days_enrolled, min_enrolled_days=policy.min_enrolled_days
    ):
        return Level.none
    severe = 5 * days_absent >= days_enrolled
    return Level.severely_chronically_absent if severe else Level.chronically_absent


def standing(*, counted: int, absent: int, policy: Policy) -> int:
    """Judge one set of days by itself: a level's number, or ONLY_AFTER_A_CHRONIC_YEAR."""
    days_absent = absent.bit_count()
    if 10 * days_absent >= counted.bit_count() and (
        reached := chronic_level(counted=counted, absent=absent, policy=policy)
    ):
        return reached
    if days_absent < SEPTEMBER_ABSENCES and days_absent < policy.early_absences:
        return Level.none  # nearly everybody, nearly always
    if has_begun_to_miss(counted=counted, absent=absent, chronic_last_year=False, policy=policy):
        return Level.at_risk
    if has_begun_to_miss(counted=counted, absent=absent, chronic_last_year=True, policy=policy):
        return ONLY_AFTER_A_CHRONIC_YEAR
    return Level.none


def level(*, counted: int, absent: int, chronic_last_year: bool, policy: Policy) -> Level:
    """Judge one set of days, with the year before."""
    judged = standing(counted=counted, absent=absent, policy=policy)
    if judged == ONLY_AFTER_A_CHRONIC_YEAR:
        return Level.at_risk if chronic_last_year else Level.none
    return Level(judged)


def was_chronic(*, parts: Iterable[StintDays]) -> bool | None:
    """Judge a former year over the district by the standard policy, whatever the district's own says; None: no days."""
    counted, absent = overlay(parts=parts)
    if not counted:
        return None
    return is_chronically_absent(
        days_absent=absent.bit_count(),
        days_enrolled=counted.bit_count(),
        min_enrolled_days=STANDARD.min_enrolled_days,
    )


def judged(
    *, parts: Sequence[StintDays], chronic_last_year: bool, policy: Policy
) -> tuple[Level, int, int, StintDays | None]:
    """Judge a student's stints by the policy's accumulator: the level, counted, absent, and the latest stint of these.

    The statute counts "at such school": there nothing of another school is laid over, and of several schools the one
    where it has gone furthest speaks, then the one with the most absences, then the last by its code.
    """
    groups: dict[str, list[StintDays]] = {}
    for part in sorted(parts, key=_order):
        groups.setdefault(part.school if policy.accumulator == "school" else "", []).append(part)
    counted, absent = overlay(parts=parts)
    # The first days are the student's own over all schools of the district, whatever the accumulator.
    has_begun = has_begun_to_miss(counted=counted, absent=absent, chronic_last_year=chronic_last_year, policy=policy)
    verdicts = []
    for group in groups.values():
        counted, absent = overlay(parts=group)
        reached = chronic_level(counted=counted, absent=absent, policy=policy)
        verdicts.append((reached or Level(has_begun), counted, absent, group[-1]))
    return max(
        verdicts,
        key=lambda verdict: (verdict[0], verdict[2].bit_count(), verdict[3].school),
        default=(Level.none, 0, 0, None),
    )


def local_absence(*, category: str, present_parts: int | None, day_parts: int | None, policy: Policy) -> Fraction:
    """Say how much of a day was missed as the district counts it for itself: all, nothing, or its share."""
    if policy.in_school_suspension_is_absence and category == "in_school_suspension":
        return Fraction(1)
    if policy.fractions_of_a_day and present_parts is not None and day_parts is not None:
        return 1 - Fraction(present_parts, day_parts)
    return Fraction(is_absent(category=category, present_parts=present_parts, day_parts=day_parts))


def first_reached(*, counted: int, absent: int, reached: Level, chronic_last_year: bool, policy: Policy) -> int:
    """Give the first day up to which these days alone reach the level, as a set of one; 0: none does.

    Today's facts say when, and not the day on which they came. A line is reached on a day that is missed, or on the
    day on which the student has been enrolled long enough for it.
    """
    enough = _come_at(counted, policy.min_enrolled_days)
    rest = absent | enough
    while rest:
        day = rest & -rest
        until = 2 * day - 1
        if (
            level(counted=counted & until, absent=absent & until, chronic_last_year=chronic_last_year, policy=policy)
            >= reached
        ):
            return day
        rest ^= day
    return 0


def recent_days(*, counted: int, absent: int) -> dict[str, int]:
    """Say how it has been going lately: the last 20 counted days, the 20 before, and days missed in a row."""
    last, before = _place_of_last(counted, 20), _place_of_last(counted, 40)
    attended = counted & ~absent
    last_counted, last_absent = (counted >> last).bit_count(), (absent >> last).bit_count()
    return {
        "last_20_absent": last_absent,
        "last_20_counted": last_counted,
        "before_20_absent": (absent >> before).bit_count() - last_absent,
        "before_20_counted": (counted >> before).bit_count() - last_counted,
        "spell": (counted >> attended.bit_length()).bit_count(),
    }


@lru_cache(maxsize=4096)  # a school's students nearly all have the same days
def _place_of_last(days: int, count: int) -> int:
    """Give the place from which on there are so many days of a set, at most."""
    low, high = 0, YEAR_DAYS
    while low < high:
        middle = (low + high) // 2
        if (days >> middle).bit_count() > count:
            low = middle + 1
        else:
            high = middle
    return low


def why(*, level: Level, days_absent: int, days_enrolled: int, policy: Policy) -> str:
    """Say in one plain sentence what the figures mean. Before the minimum of days no share is compared with 10 %."""
    share = f"Absent on {days_absent} of {days_enrolled} enrolled days"
    if level is Level.severely_chronically_absent:
        return f"{share}: 20 % or more."
    if level is Level.chronically_absent:
        return f"{share}: 10 % or more."
    # The first days are the student's own: for who enters in January they lie in January.
    early = ", with absences among the first days" if level is Level.at_risk else ""
    if days_enrolled < policy.min_enrolled_days:
        begun = ", but begun to miss" if level is Level.at_risk else ""
        needed = policy.min_enrolled_days
        return f"{share}{early}: too few days yet for the 10 % test, which needs {needed}{begun}."
    return f"{share}{early}: under 10 %, and {'begun to miss' if level is Level.at_risk else 'no early warning'}."


def _come_at(days: int, count: int) -> int:
    """Give the so-manieth day of a set, as a set of one; 0: it has fewer."""
    for _ in range(count - 1):
        days &= days - 1
    return days & -days


def _come_within(*, days: int, counted: int, absent: int, absences: int) -> bool:
    """Say whether so many absences lie among the first so many counted days."""
    last = _come_at(absent, absences)
    return bool(last) and (counted & (2 * last - 1)).bit_count() <= days
