"""The records every contestant reads: real facts in the contract's JSON, and real landing records."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from contracts.events import Category, EnrollmentChanged, Feed, Grade, SchoolCalendarChanged
from contracts.topics import PARTITIONS, landing_topics
from deploy.demo import records
from services.runtime.delivery.publisher import Message, Publisher, cloud_event_headers, partition_of

STUDENTS = 20_000
ABSENT, TARDY, CORRECTED = 0.09, 0.04, 0.05
_FIRST_DAY = date(2026, 8, 31)
_CHUNK = 20_000
_SCHOOLS = 40
_encode = msgspec.json.Encoder().encode


class AttendanceRecorded(
    msgspec.Struct, tag_field="event_type", tag="attendance.recorded.v1", omit_defaults=True, gc=False
):
    """A mark as a record of its own, as ingest wrote it before rolls."""

    event_id: str
    occurred_at: str
    district: str
    school: str
    student_key: str
    school_day: date
    category: Category
    source_version: int


def marks(count: int, *, seed: int = 7) -> Iterator[AttendanceRecorded]:
    """Give marks of 20,000 students, day after school day, one in twenty corrected a little later."""
    rng = random.Random(seed)
    keys = _students(rng, count)
    sent, school_day = 0, _FIRST_DAY
    while True:
        for nth, key in enumerate(keys):
            for version in (1, 2) if rng.random() < CORRECTED else (1,):
                luck = rng.random()
                yield AttendanceRecorded(
                    event_id=_uuid_text(rng),
                    occurred_at=f"{school_day.isoformat()}T14:{sent % 60:02d}:00.000Z",
                    district="hartford",
                    school=_school(nth),
                    student_key=key,
                    school_day=school_day,
                    category=(
                        Category.UNEXCUSED_ABSENCE
                        if luck < ABSENT
                        else Category.TARDY
                        if luck < ABSENT + TARDY
                        else Category.IN_ATTENDANCE
                    ),
                    source_version=version,
                )
                sent += 1
                if sent == count:
                    return
        school_day += timedelta(days=3 if school_day.weekday() == 4 else 1)


def roster(count: int, *, seed: int = 7) -> Iterator[EnrollmentChanged | SchoolCalendarChanged]:
    """Give the enrolment of each of those students and the calendars of their schools: a full feed, every weekday."""
    rng = random.Random(seed)
    spoken = datetime(2026, 8, 1, tzinfo=UTC)
    weekdays = [day for n in range(300) if (day := _FIRST_DAY + timedelta(days=n)).weekday() < 5]
    envelope: dict[str, Any] = {"occurred_at": spoken, "district": "hartford", "source_version": 1}
    for nth in range(_SCHOOLS):
        yield SchoolCalendarChanged(
            event_id=uuid4(), event_type="school-calendar.changed.v1", school=_school(nth), school_year=2026,
            feed=Feed.FULL, school_days=tuple(weekdays), **envelope,
        )  # fmt: skip
    for nth, key in enumerate(_students(rng, count)):
        yield EnrollmentChanged(
            event_id=uuid4(), event_type="enrollment.changed.v1", school=_school(nth), student_key=UUID(key),
            stint="s", grade=Grade.G4, entry_date=_FIRST_DAY, **envelope,
        )  # fmt: skip


def _students(rng: random.Random, count: int) -> list[str]:
    return [_uuid_text(rng) for _ in range(min(STUDENTS, max(1, count // 15)))]


def _school(nth: int) -> str:
    return f"E{nth % _SCHOOLS:02d}"


def values(count: int) -> Iterator[bytes]:
    """Give the values that `fill_attendance` publishes."""
    return map(_encode, marks(count))


async def fill_attendance(publisher: Publisher, count: int) -> None:
    """Publish `count` marks to `attendance`, as ingest would: same bytes, keys, partitions and headers."""
    waiting: dict[int, list[Message]] = {partition: [] for partition in range(PARTITIONS)}
    for nth, mark in enumerate(marks(count), start=1):
        headers = cloud_event_headers(
            event_id=mark.event_id, event_type="attendance.recorded.v1", source="district/hartford"
        )
        key = mark.student_key
        waiting[partition_of(key, PARTITIONS)].append((key.encode(), _encode(mark), headers))
        if nth % _CHUNK == 0 or nth == count:
            await publisher.publish_batches("attendance", waiting)
            waiting = {partition: [] for partition in range(PARTITIONS)}


async def fill_landing(publisher: Publisher, count: int, districts: tuple[str, ...]) -> None:
    """Publish `count` marks to the districts' landing topics, in equal parts."""
    share, rest = divmod(count, len(districts))
    for nth, district in enumerate(districts):
        rows: list[Message] = [
            (None, landing_mark(student=f"{nth}-{row % 5_000}", school="E01", day=_FIRST_DAY, version=row + 1), [])
            for row in range(share + (nth < rest))
        ]
        for start in range(0, len(rows), _CHUNK):
            await publisher.publish_batches(landing_topics(district)[0], {0: rows[start : start + _CHUNK]})


def landing_mark(*, student: str, school: str, day: date, version: int, absent: bool = False) -> bytes:
    """Write one mark as a district sends it."""
    category = "unexcused_absence" if absent else "in_attendance"
    return records.mark(records.Mark(student, school, day.isoformat(), category, version)).value


def _uuid_text(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
