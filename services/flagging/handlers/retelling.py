"""Telling a district's whole present state again, to receivers who may know what flagging no longer does.

A database that was restored reads the log again in other batches. What was told in the span that it lost, and was
reverted inside one of these, it never tells again, and receivers keep it. The topics on which it was told still say it:
from them flagging learns what stands there, and then tells everything anew, newer than all that was told.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from contracts.calendar import first_day_of, school_year_of
from services.flagging import telling
from services.flagging.handlers.forgetting import STUDENT
from services.flagging.rules import packing
from services.flagging.rules.absence import STANDARD_VERSION, Level, days_between
from services.flagging.rules.register import SchoolYear
from services.flagging.store import flags, policies
from services.flagging.store.flags import Flag
from services.flagging.store.registers import Registers
from services.runtime import clock
from services.runtime.database import Connection
from services.runtime.delivery import forgotten as memory
from services.runtime.delivery.forgotten import Kept

TOPICS = (telling.FLAGS, telling.MONTHS, telling.DAYS)
"""On which flagging tells what others keep."""


class _Crossing(Struct, tag_field="event_type", gc=False):
    student_key: UUID
    school_year: int
    district: str
    school: str
    level: str
    previous_level: str
    version: int
    days_absent: int
    days_enrolled: int
    as_of: date
    policy_version: int
    absent_days: list[date] = []
    household_key: UUID | None = None
    standard_policy: bool | None = None


class _Raised(_Crossing, tag="absence-flag.raised.v1"): ...


class _Changed(_Crossing, tag="absence-flag.changed.v1"): ...


class _Cleared(_Crossing, tag="absence-flag.cleared.v1"): ...


class _Figures(Struct, tag_field="event_type", tag="absence-flag.figures-updated.v1", gc=False):
    district: str
    versions: list[int]


class _Months(Struct, tag_field="event_type", tag="student-months.tallied.v1", gc=False):
    district: str
    school: str
    month: date
    version: int


class _Day(Struct, tag_field="event_type", tag="school-day.tallied.v2", gc=False):
    district: str
    school: str
    school_day: date
    version: int


_decoder = msgspec.json.Decoder(_Raised | _Changed | _Cleared | _Figures | _Months | _Day)


@dataclass(slots=True)
class Told:
    """What its topics say was told of a district: each student's last crossing, months, days, the newest version."""

    crossings: dict[tuple[UUID, int], _Crossing] = field(default_factory=dict)
    months: defaultdict[SchoolYear, int] = field(default_factory=lambda: defaultdict(int))
    days: defaultdict[SchoolYear, int] = field(default_factory=lambda: defaultdict(int))
    newest: int = 0

    def hear(self, value: bytes) -> None:
        """Take one event of the topics, in their order. Raises msgspec.MsgspecError where it is none that is known."""
        event = _decoder.decode(value)
        if isinstance(event, _Figures):
            self.newest = max(self.newest, *event.versions)
            return
        self.newest = max(self.newest, event.version)
        if isinstance(event, _Months):
            key = SchoolYear.of_day(event.district, event.school, event.month)
            following = (event.month + timedelta(days=31)).replace(day=1)
            self.months[key] |= days_between(
                first_day=event.month, last_day=following - timedelta(days=1), school_year=key.school_year
            )
        elif isinstance(event, _Day):
            key = SchoolYear.of_day(event.district, event.school, event.school_day)
            self.days[key] |= _set_of([event.school_day])
        else:
            who = event.student_key, event.school_year
            if who not in self.crossings or self.crossings[who].version < event.version:
                self.crossings[who] = event


class Retold(NamedTuple):
    """What was found: flags, and schools' years, of which others had been told what was not known here any more."""

    flags: int
    schools: int


async def retell(connection: Connection, district: str, told: Told) -> Retold:
    """Take up what was told of a district, and let the service tell all of it anew; the timer does so at once.

    In one transaction of the caller's. It may be done at any time, and again: flags that stand as they were told cross
    no line, and newer figures, months and days only stand in the place of the same ones.
    """
    registers = Registers(connection)
    now_us = int((clock.now() - clock.moved()).timestamp() * 1_000_000)
    await registers.lock([district], newest_us=max(told.newest, now_us))
    others = await _take_up_flags(registers, told)
    schools = await _take_up_days(registers, told)
    registers.version(district)  # what the timer tells of the district comes after all of it
    await registers.save()
    await policies.tell_all(connection, [district])
    return Retold(others, schools)


async def _take_up_flags(registers: Registers, told: Told) -> int:
    students = {student for student, _ in told.crossings}
    known = await flags.read(registers.connection, students)
    gone = await memory.read(registers.connection, STUDENT, students)
    # Of equal versions it is the same crossing; where ours is newer, it is on its way to the topic.
    others = [
        (_flag(crossing), int(Level[crossing.previous_level]))
        for who, crossing in sorted(told.crossings.items())
        if (who not in known or known[who].version < crossing.version) and not _is_erased(crossing, gone)
    ]
    await flags.save(registers.connection, others)
    return len(others)


def _is_erased(crossing: _Crossing, gone: Mapping[UUID, Kept]) -> bool:
    """Tell whether a flag isn't known as its child's figures were erased; one that still stands is to be cleared."""
    kept = gone.get(crossing.student_key)
    return kept is not None and kept.is_forgotten and kept.figures == "erased" and not Level[crossing.level]


async def _take_up_days(registers: Registers, told: Told) -> int:
    changed = 0
    for school in await registers.open_schools(sorted({*told.months, *told.days})):
        closed, tallied = school.closed | told.months[school.key], school.tallied | told.days[school.key]
        if school.is_new:  # not read again yet: there is nothing of it to tell
            del registers.schools[school.key]
        elif (closed, tallied) != (school.closed, school.tallied):
            school.closed, school.tallied, school.is_changed = closed, tallied, True
            changed += 1
    return changed


def _flag(crossing: _Crossing) -> Flag:
    return Flag(
        student_key=crossing.student_key,
        school_year=crossing.school_year,
        district=crossing.district,
        school=crossing.school,
        household_key=crossing.household_key,
        level=int(Level[crossing.level]),
        version=crossing.version,
        days_absent=crossing.days_absent,
        days_enrolled=crossing.days_enrolled,
        as_of=crossing.as_of,
        policy_version=STANDARD_VERSION if crossing.standard_policy else crossing.policy_version,
        absent=packing.pack_set(_set_of(crossing.absent_days)),
    )


def _set_of(days: Collection[date]) -> int:
    return sum(1 << (day - first_day_of(school_year_of(day))).days for day in days)
