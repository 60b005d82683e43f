"""What is told: crossings, figures, school days and student months, as their events. No I/O."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from contracts.calendar import first_day_of
from services.flagging.rules import absence
from services.flagging.rules.absence import STANDARD_VERSION, Level
from services.flagging.rules.page import GRADES, NO_GRADE
from services.flagging.rules.register import SchoolYear
from services.runtime.delivery.transaction import Written

FLAGS, MONTHS, DAYS, RECEIPTS = "flags", "school-months", "day-tallies", "receipt-progress"
STUDENTS_OF_A_RECORD = 1_000

_encode = msgspec.json.Encoder().encode
_LEVELS = [level.name for level in Level]


class Moment(NamedTuple):
    """What everything told in one transaction of one district has in common."""

    district: str
    version: int
    occurred_at: str


class Crossing(NamedTuple):
    """A student's flag, raised, changed or cleared."""

    student_key: UUID
    household_key: UUID | None
    school: str
    school_year: int
    grade: str | None
    accumulator: str
    level: int
    previous_level: int
    counted: int
    absent: int
    absent_before: int
    as_of: date
    policy_version: int
    chronic_last_year: bool | None
    first_reached: date | None
    first_flagged: date | None


class Figures(NamedTuple):
    """Today's figures of a student who is or was flagged this year."""

    student: bytes
    key: SchoolYear
    grade: str | None
    level: int
    counted: int
    absent: int
    as_of: date
    policy_version: int
    chronic_last_year: bool | None


class StudentMonth(NamedTuple):
    """A student's month at a school."""

    student_key: UUID
    person_key: UUID | None
    entered: date | None
    grade: str | None
    days_enrolled: int
    days_absent: int


def crossing(moment: Moment, crossed: Crossing) -> Written:
    """Tell that a line was crossed, or that a flag belongs to another household."""
    kind = "cleared" if not crossed.level else "raised" if not crossed.previous_level else "changed"
    # The same crossing has the same identity, whoever publishes it.
    event_id = _id(f"absence-flag/{crossed.student_key}/{crossed.school_year}/{moment.version}")
    return _told(
        f"absence-flag.{kind}.v1", event_id, moment,
        school=crossed.school,
        student_key=crossed.student_key,
        household_key=crossed.household_key,
        grade=crossed.grade,
        school_year=crossed.school_year,
        accumulator=crossed.accumulator,
        level=_LEVELS[crossed.level],
        previous_level=_LEVELS[crossed.previous_level],
        days_absent=crossed.absent.bit_count(),
        days_enrolled=crossed.counted.bit_count(),
        as_of=crossed.as_of,
        **_policy(crossed.policy_version),
        version=moment.version,
        absent_days=dates(crossed.absent, crossed.school_year),
        corrected_days=dates(crossed.absent_before & ~crossed.absent, crossed.school_year),
        recent=absence.recent_days(counted=crossed.counted, absent=crossed.absent),
        chronic_last_year=crossed.chronic_last_year,
        first_reached=crossed.first_reached,
        first_flagged=crossed.first_flagged,
    )  # fmt: skip


def figures(moment_of: Callable[[str], Moment], students: Iterable[Figures]) -> Iterator[tuple[str, Written]]:
    """Tell figures as columns, one record per school and as-of day, with the district of each record."""
    groups: defaultdict[tuple[SchoolYear, date, int], list[Figures]] = defaultdict(list)
    for each in students:
        groups[each.key, each.as_of, each.policy_version].append(each)
    for (key, as_of, policy_version), group in groups.items():
        moment = moment_of(key.district)
        for part in _parts(sorted(group)):
            keys = [key_text(each.student) for each in part]
            event_id = _id(f"absence-figures/{key.school_year}/{moment.version}/{' '.join(keys)}")
            yield key.district, _told(
                "absence-flag.figures-updated.v1", event_id, moment,
                school=key.school,
                school_year=key.school_year,
                as_of=as_of,
                **_policy(policy_version),
                students=keys,
                grades=[each.grade for each in part],
                levels=[_LEVELS[each.level] for each in part],
                versions=[moment.version] * len(part),
                days_absent=[each.absent.bit_count() for each in part],
                days_enrolled=[each.counted.bit_count() for each in part],
                absent_days=[dates(each.absent, key.school_year) for each in part],
                recent=[absence.recent_days(counted=each.counted, absent=each.absent) for each in part],
                chronic_last_year=[each.chronic_last_year for each in part],
            )  # fmt: skip


def school_day(moment: Moment, school: str, day: date, tally: tuple[int, int]) -> Written:
    """Tell for how many students a day counts at a school, and how many of them missed it."""
    return _told(
        "school-day.tallied.v2", _id(f"school-day/{moment.district}/{school}/{day}/{moment.version}"), moment,
        school=school,
        school_day=day,
        students_counted=tally[0],
        students_absent=tally[1],
        version=moment.version,
    )  # fmt: skip


def student_months(
    moment: Moment, school: str, month: date, students: Sequence[StudentMonth], *, missing_rolls: int | None
) -> Iterator[Written]:
    """Tell a month of a school's students as columns."""
    for part in _parts(sorted(students, key=lambda each: each.student_key)):
        keys, persons, entered, grades, enrolled, absent = zip(*part, strict=True)
        who = " ".join(map(str, keys))
        event_id = _id(f"student-months/{moment.district}/{school}/{month}/{moment.version}/{who}")
        yield _told(
            "student-months.tallied.v1", event_id, moment,
            school=school,
            month=month,
            students=keys,
            persons=persons,
            entered=entered,
            grades=grades,
            days_enrolled=enrolled,
            days_absent=absent,
            missing_rolls=missing_rolls,
            version=moment.version,
        )  # fmt: skip


class Rows(NamedTuple):
    """Rows of one upload: the offset of the roll that told them, how many had an effect, how many were known."""

    offset: int | None
    accepted: int
    duplicate: int


def receipt(moment: Moment, receipt_id: UUID, rows: Sequence[Rows]) -> Written:
    """Tell an upload how many of its rows had an effect, and how many were known already.

    Roll by roll: a restored database reads them in other batches, and each must count once all the same.
    """
    event_id = _id(f"receipt/{moment.district}/{receipt_id}/{moment.version}")
    accepted, duplicate = sum(each.accepted for each in rows), sum(each.duplicate for each in rows)
    # A row that was told by itself, as before there were rolls, has no such offset: then the event counts as one.
    rolls = None if any(each.offset is None for each in rows) else [each._asdict() for each in sorted(rows)]
    return _told(
        "receipt.progressed.v1", event_id, moment,
        receipt=receipt_id, accepted=accepted, duplicate=duplicate, rolls=rolls,
    )  # fmt: skip


def _policy(version: int) -> dict[str, Any]:
    """Tell by which policy was judged. Districts' versions begin with 1, and events have no smaller one."""
    return {"policy_version": version or 1, "standard_policy": version == STANDARD_VERSION}


def grade_of(code: int) -> str | None:
    """Name a grade; None where no enrolment tells it."""
    return None if code == NO_GRADE else GRADES[code]


def dates(days: int, school_year: int) -> list[str]:
    """List the dates of a set of days, oldest first, as events spell them."""
    texts = _texts_of_year(school_year)
    found = []
    while days:
        lowest = days & -days
        found.append(texts[lowest.bit_length() - 1])
        days ^= lowest
    return found


def last_day(counted: int, school_year: int) -> date:
    """Give the last day of a set that is not empty."""
    return _day(counted.bit_length() - 1, school_year)


@lru_cache(maxsize=8 * absence.YEAR_DAYS)
def _day(place: int, school_year: int) -> date:
    return first_day_of(school_year) + timedelta(days=place)


def key_text(student: bytes) -> str:
    """Write a student's key as events spell it."""
    digits = student.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@lru_cache(maxsize=16)
def _texts_of_year(school_year: int) -> list[str]:
    first = first_day_of(school_year)
    return [(first + timedelta(days=n)).isoformat() for n in range(absence.YEAR_DAYS)]


def _told(event_type: str, event_id: UUID, moment: Moment, **fields: Any) -> Written:
    envelope = {"event_type": event_type, "event_id": event_id, "occurred_at": moment.occurred_at}
    return Written(event_id, event_type, _encode(envelope | {"district": moment.district} | fields).decode())


def _parts(students: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (students[at : at + STUDENTS_OF_A_RECORD] for at in range(0, len(students), STUDENTS_OF_A_RECORD))


def _id(identity: str) -> UUID:
    return UUID(bytes=hashlib.blake2b(identity.encode(), digest_size=16).digest())
