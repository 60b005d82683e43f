"""Rolls on a real database: every record and every mark is accounted for, and the door knows how schools report."""

import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contracts.events import AttendanceRejected, RollRecorded, RollReopened
from services.ingest.handlers import landed as handlers
from services.ingest.store.measured import list_gaps
from services.runtime import clock
from services.runtime.delivery.subscription import Subscription
from tests.delivering import RecordingPublisher, deliver, record
from tests.unit.ingest.landed import NOON, completed, districts, enrollment, mark, retraction, roll

ServiceDatabase = Callable[[str], Awaitable[Any]]

LANDED = Subscription(
    group="leap-ingest",
    pattern="^(attendance|roster)-in-.*",
    decode=partial(handlers.decode_landed, districts=districts()),
    handle=partial(handlers.on_landed, districts=districts()),
)
CALENDAR = {"type": "calendar", "school": "H01", "school_year": 2026, "feed": "full", "school_days": [], "version": 1}
TOMORROW = "2026-09-02"


@pytest.fixture(autouse=True)
def real_clock_afterwards() -> Iterator[None]:
    yield
    clock.use(None)


class Landing:
    """A district's two landing topics, and what ingest published of them."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.publisher = RecordingPublisher()
        self._offsets: dict[str, int] = {}

    async def land(self, *values: Any, topic: str = "attendance-in-hartford", **headers: str) -> None:
        """Land these records as one batch behind those before."""
        start = self._offsets.get(topic, 0)
        self._offsets[topic] = start + len(values)
        carried = tuple((f"leap-{name}", header.encode()) for name, header in headers.items())
        records = [
            record(topic, 0, start + n, json.dumps(value), headers=carried, timestamp_ms=NOON)
            for n, value in enumerate(values)
        ]
        await deliver(self.pool, LANDED, records, self.publisher)

    def rolls(self) -> list[RollRecorded]:
        """Read the rolls published so far."""
        return [RollRecorded.model_validate_json(value) for value in self._published("rolls") if b'"students"' in value]

    def reopenings(self) -> list[bytes]:
        """Give the rolls reopened so far, as published."""
        return [value for value in self._published("rolls") if b"roll.reopened.v1" in value]

    def returned(self) -> list[AttendanceRejected]:
        """Read what went back so far."""
        return [AttendanceRejected.model_validate_json(value) for value in self._published("attendance-rejected")]

    async def counts(self) -> dict[str, int]:
        """Read the counts of Hartford by kind."""
        rows = await self.pool.fetch("SELECT kind, records FROM landed_count WHERE district = 'hartford'")
        return {row["kind"]: row["records"] for row in rows}

    async def gap(self) -> int:
        """Read how many records nobody accounts for."""
        async with self.pool.acquire() as connection:
            [row] = await list_gaps(connection)
        return int(row["missing"] + row["uncounted"])

    def _published(self, topic: str) -> list[bytes]:
        return [value for name, _, (_, value, _) in self.publisher.published if name == topic]


async def test_a_landed_roll_is_one_record_and_its_marks_are_counted_beside_it(
    service_database: ServiceDatabase,
) -> None:
    landing = Landing(await service_database("ingest"))
    whole = roll(["1", "tardy", 1], ["2", "asleep", 1], ["3", "expulsion", 1], feed="full", complete=True)
    await landing.land(mark(), retraction(), whole, completed(), mark(version=-1))
    await landing.land(enrollment(), topic="roster-in-hartford")

    assert await landing.counts() == {
        "mark": 1, "retraction": 1, "roll": 2, "roll_mark": 2, "roll_mark_rejected": 1, "rejected": 1, "roster": 1,
    }  # fmt: skip
    told = sum(len(each.students) for each in landing.rolls())
    assert told == 4  # mark, retraction and the two good marks of the roll: what flagging applies or knows already
    assert await landing.gap() == 0

    await landing.pool.execute("UPDATE landed_count SET records = records - 1 WHERE kind = 'roll'")
    assert await landing.gap() == 1
    await landing.pool.execute("UPDATE landed_count SET records = records + 7 WHERE kind = 'roll_mark'")
    assert await landing.gap() == 1


async def test_the_same_batch_again_tells_the_same_and_counts_nothing_twice(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    first, again = Landing(pool), Landing(await service_database("ingest"))
    values = [mark(), roll(["1", "tardy", 1], [], feed="full", complete=True), mark(student="9")]
    for landing in (first, again):
        await landing.land(*values)
    assert first.publisher.published == again.publisher.published

    before = await first.counts()
    first._offsets.clear()
    await first.land(*values)
    assert await first.counts() == before


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_words_on_a_roll_without_a_version_say_where_they_landed_however_batches_are_cut(
    service_database: ServiceDatabase, size: int
) -> None:
    landing = Landing(await service_database("ingest"))
    reopened = {"type": "roll_reopened", "school": "H01", "date": "2026-09-01", "feed": "full"}
    values = [completed(), reopened, roll(["1", "tardy", 1], feed="full", complete=True), completed(version=7)]
    for begin in range(0, len(values), size):
        await landing.land(*values[begin : begin + size])

    words = [each.completed for each in landing.rolls() if each.completed]
    [taken_back] = [RollReopened.model_validate_json(value) for value in landing.reopenings()]
    assert [(each.version, each.landed) for each in words] == [(NOON * 1000, 0), (NOON * 1000, 2), (7, None)]
    assert (taken_back.version, taken_back.landed) == (NOON * 1000, 1)


async def test_more_marks_than_memory_should_hold_are_published_in_parts_and_in_order(
    service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "MARKS_AT_A_TIME", 5)
    landing = Landing(await service_database("ingest"))
    await landing.land(*(roll(*([str(n), "tardy", version] for n in range(3))) for version in range(6)), completed())

    told = landing.rolls()
    assert [each.versions for each in told[:3]] == [(0, 0, 0, 1, 1, 1), (2, 2, 2, 3, 3, 3), (4, 4, 4, 5, 5, 5)]
    assert [each.completed is not None for each in told] == [False, False, False, True]
    assert await landing.gap() == 0


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("roster-in-hartford", CALENDAR),
        ("attendance-in-hartford", {"type": "feed", "feed": "full"}),
    ],
)
async def test_an_absence_of_a_day_to_come_is_refused_where_an_earlier_batch_told_of_a_full_feed(
    service_database: ServiceDatabase, topic: str, told: dict[str, Any]
) -> None:
    landing = Landing(await service_database("ingest"))
    await landing.land(mark(date=TOMORROW))
    assert landing.returned() == []

    await landing.land(told, topic=topic)
    await landing.land(mark(date=TOMORROW, student="2"), mark(student="3"))
    assert [event.detail for event in landing.returned()] == ["date: a full feed tells no day to come"]

    await landing.land({"type": "feed", "school": "H01", "feed": "exceptions"}, mark(date=TOMORROW, student="4"))
    await landing.land(mark(date=TOMORROW, student="5"))
    assert len(landing.returned()) == 1
    assert await landing.gap() == 0


async def test_another_districts_feed_says_nothing_of_this_one(service_database: ServiceDatabase) -> None:
    landing = Landing(await service_database("ingest"))
    await landing.land({"type": "feed", "feed": "full"}, topic="attendance-in-danbury")
    await landing.land(mark(date=TOMORROW))
    assert landing.returned() == []


async def test_in_a_simulated_state_the_clock_file_says_what_day_it_is(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    landing = Landing(await service_database("ingest"))
    await landing.land(completed(date=TOMORROW))
    assert [event.reason for event in landing.returned()] == ["impossible_date"]

    (tmp_path / "clock").write_text("86400")
    clock.use(tmp_path / "clock")
    await landing.land(completed(date=TOMORROW))
    assert len(landing.returned()) == 1
    [told] = landing.rolls()
    assert told.school_day.isoformat() == TOMORROW


async def test_a_mark_refused_for_its_date_is_a_refused_row_of_its_upload(service_database: ServiceDatabase) -> None:
    landing = Landing(await service_database("ingest"))
    receipt = "0d3b8a0e-0000-4000-8000-000000000001"
    await landing.pool.execute("INSERT INTO receipt (district, receipt, rows) VALUES ('hartford', $1, 2)", receipt)
    part = roll(["1", "tardy", 1], ["2", "asleep", 1], ["3"])

    await landing.land(mark(date="2126-09-01"), receipt=receipt, row="1")
    await landing.land(part, receipt=receipt, row="2")

    rows = await landing.pool.fetch("SELECT row_number, reason, detail FROM rejected_row ORDER BY row_number")
    assert [(row["row_number"], row["reason"]) for row in rows] == [(1, "impossible_date"), (2, "unknown_category")]
    assert rows[1]["detail"] == "marks[2]: category: not a category we know"
    counted = await landing.pool.fetchrow("SELECT accepted, rejected FROM receipt")
    assert tuple(counted) == (0, 2)


async def test_a_large_record_is_read_when_it_is_taken_in(service_database: ServiceDatabase) -> None:
    landing = Landing(await service_database("ingest"))
    whole = roll(*([f"{n:06d}", "in_attendance", 1] for n in range(500)), ["1", "asleep", 1])
    large = record("attendance-in-hartford", 0, 0, json.dumps(whole))
    assert handlers.decode_landed(large, districts=districts()) is handlers.Unread.UNREAD

    await landing.land(whole, {**whole, "school": None}, mark())

    assert [len(each.students) for each in landing.rolls()] == [501]
    assert [(event.row, event.landing_offset) for event in landing.returned()] == [(501, 0), (None, 1)]
    assert await landing.gap() == 0
