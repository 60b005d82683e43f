"""What flagging's tables hold of school days, read by the auditor's own code from the packed columns."""

from collections.abc import Collection, Iterator
from struct import unpack
from typing import Any

import asyncpg

from contracts.calendar import first_day_of, school_year_of
from deploy.audit.sent import Said, SchoolDay, Sent

# What the tables' numbers mean; 0: taken back.
_CATEGORIES = (
    None, "in_attendance", "tardy", "early_departure", "school_activity", "remote_learning", "in_school_suspension",
    "alternative_education", "excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension",
    "expulsion",
)  # fmt: skip
_KEY, _DAYS = 16, 46
_OTHER_NUMBERS = 16
"""This trait says that marks of another number of the child's count for its days too."""

_MARKS = """
SELECT school, school_day, students, codes, versions, parts FROM flagging.roll_page
WHERE district = $1 AND (school, school_day) IN (SELECT * FROM unnest($2::text[], $3::date[]))"""
_REGISTERS = """
SELECT school, school_year::int, students, traits, marked, missed FROM flagging.register_page
WHERE district = $1 AND school = ANY ($2::text[]) AND school_year = ANY ($3::int[])"""

# Landing places are kept by log: its topic and partition, and behind an @ what tells it from others of that name.
_LOGS = """
SELECT count(DISTINCT log) > count(DISTINCT split_part(log, '@', 1)) FROM flagging.landing_place WHERE district = $1"""


class Kept:
    """What is kept of some school days: the marks, and on which of them registers say that a child was missed.

    `is_only_log` is False where a landing topic of the district was made anew: what stood on the former one is kept,
    and the log that there is now says nothing of it.
    """

    def __init__(self) -> None:
        self.is_only_log = True
        self.marks: dict[SchoolDay, list[Sent]] = {}
        self.registers: dict[SchoolDay, list[tuple[bytes, bool]]] = {}


async def read(connection: "asyncpg.Connection[Any]", district: str, days: Collection[SchoolDay]) -> Kept:
    """Read what the tables hold of these days, both kinds at one moment."""
    found = Kept()
    schools, dates = [day.school for day in days], [day.day for day in days]
    years = sorted({school_year_of(day) for day in dates})
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for school, day, *columns in await connection.fetch(_MARKS, district, schools, dates):
            found.marks.setdefault(SchoolDay(school, day), []).extend(_marks(*columns))
        found.is_only_log = not await connection.fetchval(_LOGS, district)
        pages = await connection.fetch(_REGISTERS, district, sorted(set(schools)), years)
    wanted: dict[tuple[str, int], list[SchoolDay]] = {}
    for each in days:
        wanted.setdefault((each.school, school_year_of(each.day)), []).append(each)
    for school, year, students, traits, marked, missed in pages:
        keys = [students[at : at + _KEY] for at in range(0, len(students), _KEY)]
        of_marked, of_missed = list(_sets(marked, len(keys))), list(_sets(missed, len(keys)))
        for each in wanted.get((school, year), ()):
            bit = 1 << (each.day - first_day_of(year)).days
            found.registers.setdefault(each, []).extend(
                (key, bool(of_missed[at] & bit))
                for at, key in enumerate(keys)
                if of_marked[at] & bit and not traits[at] & _OTHER_NUMBERS
            )
    return found


def _marks(students: bytes, codes: bytes, versions: bytes, parts: bytes) -> Iterator[Sent]:
    of_each = unpack(f"<{len(versions) // 8}q", versions)
    if len(of_each) == 1:
        of_each *= len(codes)
    shares = unpack(f"<{len(parts) // 4}i", parts) if parts else (-1,) * (2 * len(codes))
    for at, code in enumerate(codes):
        present, of_day = (None if each < 0 else each for each in shares[2 * at : 2 * at + 2])
        yield Sent(students[_KEY * at : _KEY * at + _KEY], of_each[at], Said(_CATEGORIES[code], present, of_day))


def _sets(packed: bytes, count: int) -> Iterator[int]:
    """Read a set of days for each student: all in a row, or the commonest once and the others with their place."""
    if packed[:1] == b"\0":
        others = {at: packed[1 + _DAYS * at : 1 + _DAYS * (at + 1)] for at in range(count)}
        common = b""
    else:
        common = packed[1 : 1 + _DAYS]
        step = 1 + _DAYS
        others = {packed[at]: packed[at + 1 : at + step] for at in range(1 + _DAYS, len(packed), step)}
    for at in range(count):
        yield int.from_bytes(others.get(at, common), "little")
