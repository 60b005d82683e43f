"""What a district's software writes: landing records as JSON bytes, and the kinds by which they are counted."""

import random
from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

import msgspec

from deploy.demo.population import Household, Student

MARKS_OF_A_ROLL = 1_000
"""What surely stays under 64 KB, which a landed roll may have."""

Kind = Literal["marks", "retractions", "rolls", "roster", "garbage"]
_encode = msgspec.json.Encoder().encode


class Sent(NamedTuple):
    """One landing record. `repeat` marks bytes that were sent before, unaltered; `marks` is how many it holds."""

    kind: Kind
    value: bytes
    repeat: bool = False
    marks: int = 0


class Mark(msgspec.Struct, tag_field="type", tag="mark", omit_defaults=True, gc=False):
    student: str
    school: str
    date: str
    category: str
    version: int
    present_parts: int | None = None
    day_parts: int | None = None


class Retraction(msgspec.Struct, tag_field="type", tag="retraction", gc=False):
    student: str
    school: str
    date: str
    version: int


class _Roll(msgspec.Struct, tag_field="type", tag="roll", omit_defaults=True, gc=False):
    school: str
    date: str
    feed: str
    marks: list[tuple[str | int, ...]]
    complete: bool = False


class CompletedRoll(msgspec.Struct, tag_field="type", tag="roll_completed", gc=False):
    school: str
    date: str
    feed: str


class _Enrollment(msgspec.Struct, tag_field="type", tag="enrollment", omit_defaults=True):
    id: str
    student: str
    state_student: str
    household: str
    school: str
    grade: str
    entry_date: date
    version: int
    exit_date: date | None = None
    exit_day_counts: bool = False


class _Calendar(msgspec.Struct, tag_field="type", tag="calendar"):
    school: str
    school_year: int
    feed: str
    school_days: tuple[date, ...]
    version: int


class _NamedStudent(msgspec.Struct):
    student: str
    given_name: str
    family_name: str


class _Household(msgspec.Struct, tag_field="type", tag="household"):
    household: str
    contact_name: str
    phones: tuple[str, ...]
    address: str
    language: str
    interpreter_needed: bool
    students: tuple[_NamedStudent, ...]
    version: int


def mark(record: Mark) -> Sent:
    """Write one mark."""
    return Sent("marks", _encode(record), marks=1)


def retraction(record: Retraction) -> Sent:
    """Write that a mark is taken back."""
    return Sent("retractions", _encode(record))


def roll(record: CompletedRoll) -> Sent:
    """Write that a school has taken attendance for a day."""
    return Sent("rolls", _encode(record))


def whole_roll(roll: CompletedRoll, marks: Sequence[Mark]) -> list[Sent]:
    """Write a school's day as a whole: one roll, or several where it is large, the last of which completes it."""
    pieces = [marks[n : n + MARKS_OF_A_ROLL] for n in range(0, len(marks), MARKS_OF_A_ROLL)] or [marks]
    return [
        Sent(
            "rolls",
            _encode(_Roll(roll.school, roll.date, roll.feed, [*map(_in_a_roll, piece)], complete=nth == len(pieces))),
            marks=len(piece),
        )
        for nth, piece in enumerate(pieces, start=1)
    ]


def _in_a_roll(record: Mark) -> tuple[str | int, ...]:
    told = (record.student, record.category, record.version)
    if record.present_parts is None or record.day_parts is None:
        return told
    return (*told, record.present_parts, record.day_parts)


def calendar(*, school: str, school_year: int, feed: str, school_days: tuple[date, ...], version: int) -> Sent:
    """Write the whole calendar of one school's year."""
    return Sent("roster", _encode(_Calendar(school, school_year, feed, school_days, version)))


def enrollment(
    student: Student,
    *,
    stint: int,
    school: str,
    entry: date,
    version: int,
    exit_date: date | None = None,
    exit_day_counts: bool = False,
) -> Sent:
    """Write one stint of a student at a school."""
    record = _Enrollment(
        id=f"{student.number}-{stint}",
        student=student.number,
        state_student=student.state_number,
        household=student.household,
        school=school,
        grade=student.grade,
        entry_date=entry,
        version=version,
        exit_date=exit_date,
        exit_day_counts=exit_day_counts,
    )
    return Sent("roster", _encode(record))


def household(living_together: Household) -> Sent:
    """Write how to reach a household and who lives in it."""
    record = _Household(
        household=living_together.code,
        contact_name=living_together.contact_name,
        phones=(living_together.phone,),
        address=living_together.address,
        language=living_together.language,
        interpreter_needed=living_together.interpreter_needed,
        students=tuple(
            _NamedStudent(student.number, student.given_name, student.family_name)
            for student in living_together.students
        ),
        version=1,
    )
    return Sent("roster", _encode(record))


def garbage(*, school: str, day: str, rng: random.Random) -> Sent:
    """Write something no reader can take for a mark, each kind the way broken exports really look."""
    good = _encode(Mark("100000", school, day, "excused_absence", 1))
    broken = rng.choice(
        (
            good[: rng.randint(5, len(good) - 5)],
            good.replace(b"excused_absence", b"EXC?"),
            good.replace(day.encode(), b"2026-02-30"),
            good.replace(b'"100000"', b"null,"),
            good.replace(b'"student"', b'"pupil"'),
            good.replace(b'"type":"mark"', b'"type":"murk"'),
            good.replace(b"excused_absence", b"\xff\xfeexcused"),
            good[:-1] + b',"district":"elsewhere"}',
            b"",
        )
    )
    return Sent("garbage", broken)
