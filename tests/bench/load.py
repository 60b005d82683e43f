"""The records every contestant reads: the same marks, one by one, as rolls, and as a district lands them."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec

from contracts.events import CATEGORY_LETTERS, Category, EnrollmentChanged, Feed, Grade, SchoolCalendarChanged
from contracts.topics import PARTITIONS, landing_topics
from deploy.demo import records
from services.ingest.rules.attendance import Completion, RollRecorded
from services.runtime.delivery.publisher import Message, Publisher, cloud_event_headers, partition_of

STUDENTS = 20_000
ABSENT, TARDY, CORRECTED = 0.09, 0.04, 0.05
FIRST_DAY = date(2026, 8, 31)
LAST_DAY = date(2027, 6, 18)
SCHOOLS = 40
LANDING_DISTRICT = "hartford"
"""The one district of the contest that begins at the landing topic: a peer reads one topic there, as we do."""
_CHUNK = 20_000
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


class Roll(NamedTuple):
    """One record of `rolls`: its district, its JSON, and how many marks are in it."""

    district: str
    value: bytes
    marks: int


def marks(count: int, *, seed: int = 7) -> Iterator[AttendanceRecorded]:
    """Give marks of 20,000 students, day after school day, one in twenty corrected a little later."""
    rng = random.Random(seed)
    keys = _students(rng, count)
    sent, school_day = 0, FIRST_DAY
    while True:
        for nth, key in enumerate(keys):
            for version in (1, 2) if rng.random() < CORRECTED else (1,):
                luck = rng.random()
                yield AttendanceRecorded(
                    event_id=_uuid_text(rng),
                    occurred_at=f"{school_day.isoformat()}T14:{sent % 60:02d}:00.000Z",
                    district=_district(nth),
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


def rolls(count: int) -> Iterator[Roll]:
    """Give the same marks as ingest writes those of whole rolls: a record for each school and day.

    Complete, but for the last day, on which some students may have no mark.
    """
    day: list[list[AttendanceRecorded]] = []
    for _, of_day in groupby(marks(count), key=lambda mark: mark.school_day):
        yield from (_roll(each, complete=True) for each in day)
        by_school: dict[str, list[AttendanceRecorded]] = {}
        for mark in of_day:
            by_school.setdefault(mark.school, []).append(mark)
        day = list(by_school.values())
    yield from (_roll(each, complete=False) for each in day)


def _roll(its: list[AttendanceRecorded], *, complete: bool) -> Roll:
    told = RollRecorded(
        event_id=its[0].event_id,
        occurred_at=its[-1].occurred_at,
        district=its[0].district,
        school=its[0].school,
        school_day=its[0].school_day,
        students=[mark.student_key for mark in its],
        categories="".join(CATEGORY_LETTERS[mark.category] for mark in its),
        versions=[mark.source_version for mark in its],
        completed=Completion(Feed.FULL, 1) if complete else None,
    )
    return Roll(told.district, _encode(told), len(its))


def roster(
    count: int, *, key_of: Callable[[str], str] | None = None, seed: int = 7
) -> Iterator[EnrollmentChanged | SchoolCalendarChanged]:
    """Give the enrolment of each of those students and the calendars of their schools: a full feed, every weekday.

    With `key_of` they are all of one district, the landing one, under the keys that ingest will give them.
    """
    rng = random.Random(seed)
    spoken = datetime(2026, 8, 1, tzinfo=UTC)
    days = tuple(
        day for n in range((LAST_DAY - FIRST_DAY).days + 1) if (day := FIRST_DAY + timedelta(days=n)).weekday() < 5
    )
    envelope: dict[str, Any] = {"occurred_at": spoken, "source_version": 1}
    for nth in range(SCHOOLS):
        yield SchoolCalendarChanged(
            event_id=uuid4(), event_type="school-calendar.changed.v1", school=_school(nth), school_year=2026,
            district=LANDING_DISTRICT if key_of else _district(nth), feed=Feed.FULL, school_days=days, **envelope,
        )  # fmt: skip
    for nth, key in enumerate(_students(rng, count)):
        yield EnrollmentChanged(
            event_id=uuid4(), event_type="enrollment.changed.v1", school=_school(nth), stint="s", grade=Grade.G4,
            district=LANDING_DISTRICT if key_of else _district(nth), entry_date=FIRST_DAY,
            student_key=UUID(key_of(key) if key_of else key), **envelope,
        )  # fmt: skip


def student_keys(count: int, *, seed: int = 7) -> list[str]:
    """Give the students whose marks these are; on the landing topic the same texts are their numbers."""
    return _students(random.Random(seed), count)


def _students(rng: random.Random, count: int) -> list[str]:
    return [_uuid_text(rng) for _ in range(min(STUDENTS, max(1, count // 15)))]


def _school(nth: int) -> str:
    return f"E{nth % SCHOOLS:02d}"


def _district(nth: int) -> str:
    # Each school a district of its own: they spread over the lanes as a state's 197 do.
    return f"district-{nth % SCHOOLS + 1:03d}"


def values(count: int) -> Iterator[bytes]:
    """Give the values that `fill_attendance` publishes."""
    return map(_encode, marks(count))


async def fill_attendance(publisher: Publisher, count: int) -> None:
    """Publish `count` marks to `attendance`, as ingest would before rolls: same bytes, keys, partitions and headers."""
    waiting: dict[int, list[Message]] = {partition: [] for partition in range(PARTITIONS)}
    for nth, mark in enumerate(marks(count), start=1):
        headers = cloud_event_headers(
            event_id=mark.event_id, event_type="attendance.recorded.v1", source=f"district/{mark.district}"
        )
        key = mark.student_key
        waiting[partition_of(key, PARTITIONS)].append((key.encode(), _encode(mark), headers))
        if nth % _CHUNK == 0 or nth == count:
            await publisher.publish_batches("attendance", waiting)
            waiting = {partition: [] for partition in range(PARTITIONS)}


def roll_messages(count: int) -> dict[int, list[Message]]:
    """Give the messages of `count` marks as rolls, by lane: same bytes, keys, partitions and headers as ingest's."""
    lanes: dict[int, list[Message]] = {}
    for roll in rolls(count):
        headers = cloud_event_headers(
            event_id=str(uuid4()), event_type="roll.recorded.v1", source=f"district/{roll.district}"
        )
        message = roll.district.encode(), roll.value, headers
        lanes.setdefault(partition_of(roll.district, PARTITIONS), []).append(message)
    return lanes


async def fill_rolls(publisher: Publisher, count: int) -> None:
    """Publish `count` marks to `rolls`."""
    await publisher.publish_batches("rolls", roll_messages(count))


async def fill_landing(publisher: Publisher, count: int) -> None:
    """Publish `count` marks to the landing topic as the district's software writes them, each under its student."""
    topic = landing_topics(LANDING_DISTRICT)[0]
    waiting: list[Message] = []
    for nth, mark in enumerate(marks(count), start=1):
        value = records.mark(
            records.Mark(
                mark.student_key, mark.school, mark.school_day.isoformat(), mark.category.value, mark.source_version
            )
        ).value
        waiting.append((mark.student_key.encode(), value, []))
        if nth % _CHUNK == 0 or nth == count:
            await publisher.publish_batches(topic, {0: waiting})
            waiting = []


def _uuid_text(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
