"""Facts as ingest publishes them, records as Kafka carries them, and what the database concluded."""

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
from aiokafka import ConsumerRecord

from contracts.events import (
    CATEGORY_LETTERS,
    TAKEN_BACK,
    AttendanceRecorded,
    AttendanceRetracted,
    Category,
    Completion,
    DistrictPolicyDecided,
    DistrictStatusChanged,
    EnrollmentChanged,
    Event,
    FeedDeclared,
    Grade,
    Level,
    RollCompleted,
    RollRecorded,
    RollReopened,
    SchoolCalendarChanged,
    TransferConfirmed,
)
from contracts.topics import PARTITIONS, TOPIC_BY_NAME
from services.flagging.app import FACTS
from services.flagging.rules.page import ALL_DAYS, GRADES, NO_GRADE, SEVERAL_TRACKS
from services.flagging.rules.register import School, SchoolYear
from services.flagging.store.registers import Registers
from services.runtime import clock
from services.runtime.delivery.publisher import partition_of
from tests import oracle
from tests.delivering import deliver, record
from tests.zones import HERE

DISTRICT = "hartford"
FIRST_DAY = date(2026, 8, 31)
_NAMES = UUID("3f1c1f2e-0a2b-4c83-9d5f-6c7d8e9f0a1b")


def student(number: int) -> UUID:
    """Give the same key for the same number, spread over the partitions."""
    return uuid5(_NAMES, f"student {number}")


def school_days(count: int, first: date = FIRST_DAY) -> list[date]:
    """Give weekdays from the first on."""
    return [day for n in range(count * 2) if (day := first + timedelta(days=n)).weekday() < 5][:count]


def _envelope() -> dict[str, Any]:
    return {"event_id": uuid4(), "occurred_at": datetime(2026, 9, 1, 12, tzinfo=UTC)}


def mark(
    who: UUID, day: date, category: str = "unexcused_absence", *, school: str = "H01", version: int = 1, **fields: Any
) -> AttendanceRecorded:
    """Build a mark, an absence unless told otherwise."""
    return AttendanceRecorded.model_validate(
        _envelope()
        | {"event_type": AttendanceRecorded.EVENT_TYPE, "district": DISTRICT, "school": school, "student_key": who}
        | {"school_day": day, "category": category, "source_version": version}
        | fields
    )


def retraction(
    who: UUID, day: date, *, school: str = "H01", version: int = 2, district: str = DISTRICT
) -> AttendanceRetracted:
    """Take a mark back."""
    return AttendanceRetracted.model_validate(
        _envelope()
        | {"event_type": AttendanceRetracted.EVENT_TYPE, "district": district, "school": school}
        | {"student_key": who, "school_day": day, "source_version": version}
    )


def roll(day: date, *, school: str = "H01", feed: str = "exceptions", district: str = DISTRICT) -> RollCompleted:
    """Complete a school's day, as before: without a version."""
    return RollCompleted.model_validate(
        _envelope()
        | {"event_type": RollCompleted.EVENT_TYPE, "district": district, "school": school}
        | {"school_day": day, "feed": feed}
    )


def completion(
    day: date,
    version: int,
    *,
    school: str = "H01",
    feed: str = "exceptions",
    district: str = DISTRICT,
    landed: int | None = None,
) -> RollRecorded:
    """Complete a school's day in so many words, without any mark."""
    return RollRecorded.model_validate(
        _envelope()
        | {"event_type": RollRecorded.EVENT_TYPE, "district": district, "school": school, "school_day": day}
        | {"students": [], "categories": "", "versions": 0}
        | {"completed": {"feed": feed, "version": version, "landed": landed}}
    )


def reopening(
    day: date,
    version: int,
    *,
    school: str = "H01",
    feed: str = "exceptions",
    district: str = DISTRICT,
    landed: int | None = None,
) -> RollReopened:
    """Say that a school's day is not complete after all."""
    return RollReopened.model_validate(
        _envelope()
        | {"event_type": RollReopened.EVENT_TYPE, "district": district, "school": school}
        | {"school_day": day, "feed": feed, "version": version, "landed": landed}
    )


def feed(kind: str, version: int = 1, *, district: str = DISTRICT, **fields: Any) -> FeedDeclared:
    """Declare how a district reports, or with `school` one of its schools."""
    return FeedDeclared.model_validate(
        _envelope()
        | {"event_type": FeedDeclared.EVENT_TYPE, "district": district, "feed": kind, "version": version}
        | fields
    )


def policy(version: int, effective_from: date, *, district: str = DISTRICT, **absence: Any) -> DistrictPolicyDecided:
    """Decide a district's next policy."""
    return DistrictPolicyDecided.model_validate(
        _envelope()
        | {"event_type": DistrictPolicyDecided.EVENT_TYPE, "district": district, "version": version}
        | {"effective_from": effective_from, "absence": absence}
    )


def status(said: str, version: int, *, district: str = DISTRICT) -> DistrictStatusChanged:
    """Say whether a district is live."""
    return DistrictStatusChanged.model_validate(
        _envelope()
        | {"event_type": DistrictStatusChanged.EVENT_TYPE, "district": district, "status": said}
        | {"since": datetime(2026, 9, 1, tzinfo=UTC), "version": version}
    )


def transfer(person: UUID, from_district: str, district: str) -> TransferConfirmed:
    """Confirm that a person moved."""
    return TransferConfirmed.model_validate(
        _envelope()
        | {"event_type": TransferConfirmed.EVENT_TYPE, "district": district, "from_district": from_district}
        | {"person_key": person, "confirmed_at": datetime(2026, 11, 9, tzinfo=UTC)}
    )


def stint(
    who: UUID, *, school: str = "H01", entry: date = FIRST_DAY, version: int = 1, grade: str = "4", **fields: Any
) -> EnrollmentChanged:
    """Enrol a student."""
    return EnrollmentChanged.model_validate(
        _envelope()
        | {"event_type": EnrollmentChanged.EVENT_TYPE, "district": DISTRICT, "school": school, "student_key": who}
        | {"stint": f"stint-{school}", "grade": grade, "entry_date": entry, "source_version": version}
        | fields
    )


def calendar(
    days: Sequence[date], *, school: str = "H01", version: int = 1, feed: str = "exceptions", **fields: Any
) -> SchoolCalendarChanged:
    """Set a school's year."""
    return SchoolCalendarChanged.model_validate(
        _envelope()
        | {"event_type": SchoolCalendarChanged.EVENT_TYPE, "district": DISTRICT, "school": school}
        | {"school_year": oracle.school_year(days[0]), "feed": feed, "school_days": days, "source_version": version}
        | fields
    )


class Feeder:
    """Delivers facts to flagging as Kafka would, offsets counted: as rolls and by district, or as before, by student.

    Of before: each mark for itself in its student's partition, completed rolls and calendars in all. It is `today` when
    they are appended, by the clock as it stands; without it the last day of all, on which nothing is still to come.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", *, as_rolls: bool = True, today: date = date(2030, 6, 30)
    ) -> None:
        self.pool = pool
        self.as_rolls = as_rolls
        self.today = today
        self._offsets: dict[tuple[str, int], int] = {}

    async def feed(self, facts: Iterable[Event], *, batch: int = 5000) -> None:
        """Deliver the facts in batches of so many."""
        facts = list(facts)
        for start in range(0, len(facts), batch):
            await deliver(self.pool, FACTS, self.records(facts[start : start + batch]))

    def records(self, facts: Sequence[Event]) -> list[ConsumerRecord]:
        """Give the next records of the topics, without delivering them."""
        return list(self._by_district(facts) if self.as_rolls else self._by_student(facts))

    def _by_district(self, facts: Sequence[Event]) -> Iterable[ConsumerRecord]:
        for fact in rolls_of(facts):
            topic = next(name for name in FACTS.topics[3:] if type(fact) in TOPIC_BY_NAME[name].events)
            yield self._record(topic, partition_of(fact.district, PARTITIONS), fact)

    def _by_student(self, facts: Sequence[Event]) -> Iterable[ConsumerRecord]:
        for fact in facts:
            topic = next(name for name in FACTS.topics if type(fact) in TOPIC_BY_NAME[name].events)
            if isinstance(fact, RollCompleted | SchoolCalendarChanged):
                partitions: Iterable[int] = range(PARTITIONS)
            elif topic not in FACTS.topics[:3]:  # what there was no word for before
                partitions = [partition_of(fact.district, PARTITIONS)]
            else:
                assert isinstance(fact, AttendanceRecorded | AttendanceRetracted | EnrollmentChanged)
                partitions = [partition_of(str(fact.student_key), PARTITIONS)]
            for partition in partitions:
                yield self._record(topic, partition, fact)

    def _record(self, topic: str, partition: int, fact: Event) -> ConsumerRecord:
        offset = self._offsets[topic, partition] = self._offsets.get((topic, partition), -1) + 1
        appended = datetime.combine(self.today, time(12), HERE) - clock.moved()
        return record(topic, partition, offset, fact.model_dump_json(), timestamp_ms=int(appended.timestamp() * 1000))


def rolls_of(facts: Iterable[Event]) -> list[Event]:
    """Gather marks, retractions and completions by school and day, as ingest does with a batch of landed records."""
    marks: dict[tuple[str, str, date], list[AttendanceRecorded | AttendanceRetracted]] = {}
    completed: dict[tuple[str, str, date], Completion] = {}
    others: list[Event] = []
    for fact in facts:
        if isinstance(fact, AttendanceRecorded | AttendanceRetracted):
            marks.setdefault((fact.district, fact.school, fact.school_day), []).append(fact)
        elif (said := _completion(fact)) is not None:
            assert isinstance(fact, RollCompleted | RollRecorded)
            key = (fact.district, fact.school, fact.school_day)
            completed[key] = max(
                completed.get(key, said), said, key=lambda each: (each.version, each.landed or 0, each.feed)
            )
        else:
            others.append(fact)
    days = dict.fromkeys((*marks, *completed))
    return [*others, *(_roll_of(day, marks.get(day, []), completed.get(day)) for day in days)]


def _completion(fact: Event) -> Completion | None:
    if isinstance(fact, RollCompleted):
        return Completion(feed=fact.feed, version=0)
    return fact.completed if isinstance(fact, RollRecorded) and not fact.students else None


def _roll_of(
    day: tuple[str, str, date], marks: Sequence[AttendanceRecorded | AttendanceRetracted], completed: Completion | None
) -> RollRecorded:
    recorded = [each if isinstance(each, AttendanceRecorded) else None for each in marks]
    parts = [(each.present_parts, each.day_parts) if each and each.day_parts else None for each in recorded]
    receipts: dict[UUID, list[int]] = {}
    for place, each in enumerate(marks):
        if each.receipt is not None:
            receipts.setdefault(each.receipt, []).append(place)
    return RollRecorded.model_validate(
        _envelope()
        | {"event_type": RollRecorded.EVENT_TYPE, "district": day[0], "school": day[1], "school_day": day[2]}
        | {"students": [each.student_key for each in marks], "versions": [each.source_version for each in marks]}
        | {"categories": "".join(CATEGORY_LETTERS[each.category] if each else TAKEN_BACK for each in recorded)}
        | {"parts": parts if any(parts) else None, "receipts": receipts or None}
        | {"completed": completed}
    )


async def conclusions(pool: "asyncpg.Pool[asyncpg.Record]") -> oracle.Conclusions:
    """Read what flagging concluded, in the oracle's terms."""
    records: dict[oracle.RecordKey, oracle.Days] = {}
    entries = {
        (row["student_key"].bytes, row["school_year"], row["school"]): row["entry_date"]
        for row in await pool.fetch("SELECT student_key, school_year, school, entry_date FROM member")
    }
    async with pool.acquire() as connection:
        registers = Registers(connection)
        keys = [
            SchoolYear(*row)
            for row in await connection.fetch("SELECT district, school, school_year::int FROM school_year")
        ]
        schools = await registers.open_schools(keys)
        await registers.open_whole(schools)
    for school in schools:
        district, code, year = school.key
        for page, at in school.everybody():
            days, own = school.days(page, at), school.own_days(page, at)
            enrolled = page.enrolled[at] & _taught(school, page.tracks[at])
            grade = page.grades[at]
            if grade == NO_GRADE:  # enrolled by marks, each for its day
                enrolled = days.counted
            concluded = oracle.Days(
                district=district,
                entry_date=entries[page.keys[at], year, code],
                grade=None if grade == NO_GRADE else Grade(GRADES[grade]),
                enrolled=_dates(enrolled, year),
                counted=_dates(days.counted, year),
                absent=_dates(days.absent, year),
                own=_dates(own.counted, year),
            )
            assert concluded.counted <= concluded.enrolled, "a day counted outside every enrolment"
            if concluded.enrolled:
                records[UUID(bytes=page.keys[at]), year, code] = concluded
    levels = list(Level)
    flags = {
        (row["student_key"], row["school_year"]): levels[row["level"]]
        for row in await pool.fetch("SELECT student_key, school_year, level FROM flag WHERE level > 0")
    }
    return oracle.Conclusions(records=records, flags=flags)


def _taught(school: School, track: int) -> int:
    return ALL_DAYS if track == SEVERAL_TRACKS else school.terms.calendars[track]


async def published(pool: "asyncpg.Pool[asyncpg.Record]", topic: str) -> list[Event]:
    """Read the outbox of a topic through its contracts."""
    models = {model.EVENT_TYPE: model for model in TOPIC_BY_NAME[topic].events}
    rows = await pool.fetch("SELECT * FROM outbox WHERE topic = $1 ORDER BY id", topic)
    events = []
    for row in rows:
        event = models[row["event_type"]].model_validate_json(row["payload"])
        assert event.event_id == row["event_id"]
        assert json.loads(row["payload"])["occurred_at"].endswith("Z")
        events.append(event)
    return events


def _dates(days: int, year: int) -> frozenset[date]:
    return frozenset(date(year, 7, 1) + timedelta(days=n) for n in range(366) if days >> n & 1)


CATEGORIES = list(Category)


def a_year_of_facts(seed: int, *, students: int = 24, days: int = 45) -> list[Event]:
    """Make two school years of two districts with movers, snow days, corrections, repeats and oddities."""
    draw = random.Random(seed)
    facts: list[Event] = []
    for first, year_students in ((date(2025, 9, 2), students // 2), (FIRST_DAY, students)):
        dates = school_days(days, first)
        for school, feed in (("H01", "exceptions"), ("H02", "exceptions"), ("H03", "full")):
            if draw.random() < 0.9:
                facts.append(calendar(dates, school=school, feed=feed))
            snow = draw.choice(dates[5:])
            facts.append(calendar([day for day in dates if day != snow], school=school, feed=feed, version=2))
            facts += [roll(day, school=school, feed=feed) for day in dates if draw.random() < 0.95]
        for number in range(year_students):
            facts += _student_facts(draw, student(number), dates, first)
    return facts


def _student_facts(draw: random.Random, who: UUID, dates: list[date], first: date) -> list[Event]:
    facts: list[Event] = []
    schools = draw.sample(["H01", "H02", "H03"], k=draw.choice([1, 1, 1, 2]))
    share = draw.choice([0.02, 0.06, 0.12, 0.3])
    for order, school in enumerate(schools):
        entry = first if order == 0 else draw.choice(dates)
        fields: dict[str, Any] = {"grade": draw.choice(["PK", "K", "3", "9", "12"])}
        if order == 0 and len(schools) > 1:
            fields |= {"exit_date": draw.choice(dates), "exit_day_counts": draw.random() < 0.5}
        name = f"{school}-{first.year}"
        if draw.random() < 0.9:
            facts.append(stint(who, school=school, entry=entry, stint=name, **fields))
        if draw.random() < 0.2:
            facts.append(stint(who, school=draw.choice(["H01", "H02"]), entry=entry, stint=name, version=2, **fields))
        if draw.random() < 0.1:
            facts.append(stint(who, school=school, entry=entry, stint=name, version=3, withdrawn=True))
        if draw.random() < 0.15:  # an exit that is told long after it, with marks behind it
            left = draw.choice([day for day in dates if day >= entry])
            facts.append(stint(who, school=school, entry=entry, stint=name, version=4, exit_date=left))
        if draw.random() < 0.15:  # gone and back, the first stay sometimes left open
            facts.append(stint(who, school=school, entry=draw.choice(dates), stint=f"{name}-again", grade="3"))
        for day in dates:
            missed = draw.random() < share
            if missed or school == "H03":
                category = draw.choice(CATEGORIES) if missed else "in_attendance"
                parts = {"present_parts": draw.randrange(390), "day_parts": 387} if draw.random() < 0.2 else {}
                facts.append(mark(who, day, category, school=school, **parts))
                if draw.random() < 0.15:
                    again = draw.choice(CATEGORIES)
                    facts.append(mark(who, day, again, school=school, version=draw.choice([0, 1, 2])))
                if draw.random() < 0.1:
                    facts.append(retraction(who, day, school=school, version=draw.choice([1, 2, 3])))
    return facts
