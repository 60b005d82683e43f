"""Where landed marks went, read from the logs: which roll told each of them, and what went back. No database."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition

from contracts.events import CATEGORY_LETTERS
from contracts.topics import ATTENDANCE_IN, PARTITIONS
from deploy.audit.logs import Logs
from services.runtime.broker_access import Broker
from services.runtime.delivery.publisher import partition_of

_CATEGORY_OF = {letter: str(category) for category, letter in CATEGORY_LETTERS.items()}
TAKEN_BACK = "taken back"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """A landing place: which log, the offset, and of a mark in a landed roll its place there, else 0."""

    log: str
    offset: int
    place: int

    @property
    def partition(self) -> int:
        """The partition of the landing topic."""
        return int(self.log.partition("@")[0].rpartition("/")[2])

    @property
    def began_ms(self) -> int:
        """What tells the log from others of its name: when its first record was appended; 0 of long ago."""
        return int(self.log.rpartition("@")[2])

    def __str__(self) -> str:
        where = spelt(self.partition, self.offset)
        return f"{where}, mark {self.place}" if self.place else where


def spelt(partition: int, offset: int) -> str:
    """Write a landing place as `leap trace` takes it: nearly every landing topic has one partition."""
    return f"{partition}/{offset}" if partition else str(offset)


class TracedMark(NamedTuple):
    """A mark as a roll told it; `at` is the roll's own offset in its partition of `rolls`."""

    place: Place
    school: str
    day: date
    student_key: str
    version: int
    category: str
    at: int
    told_at: str
    """When the newest record behind the roll landed."""


class TracedReturn(NamedTuple):
    """A landed record, or one mark of it, that went back."""

    partition: int
    offset: int
    reason: str
    detail: str
    told: dict[str, Any]
    occurred_at: str


class Traces:
    """Everything of a district that was told of, each landing place once."""

    def __init__(self, district: str) -> None:
        self.district = district
        self.marks: dict[Place, TracedMark] = {}
        self.returned: list[TracedReturn] = []
        self.landed: dict[str, Any] | None = None
        """What stands at the place that was asked for; None: nothing, or no longer."""
        self.landed_at_ms: int | None = None
        self.bounds: tuple[int, int] | None = None
        """Where the partition that was asked for begins and ends; None: there is none."""
        self._newest: dict[int, int] = {}

    def is_current(self, mark: TracedMark) -> bool:
        """Tell whether a mark landed in the log that there is, and not in one that bore its name before.

        Of a log that was made anew and is not read yet nothing is told: its record is younger than what was.
        """
        is_newest = mark.place.began_ms == self._newest[mark.place.partition]
        return is_newest and (self.landed_at_ms is None or _ms(mark.told_at) >= self.landed_at_ms)

    def is_of_this_log(self, returned: TracedReturn) -> bool:
        """Tell whether what went back is what stands at the place that was asked for, or may be."""
        return self.landed_at_ms in (None, _ms(returned.occurred_at))

    async def read(self, broker: Broker, *, at: tuple[int, int] | None) -> None:
        """Read the rolls of the district's lane, what went back, and what landed in that partition at that offset."""
        landing = ATTENDANCE_IN + self.district
        async with Logs(broker) as logs:
            partitions = await logs.partitions(["rolls", "attendance-rejected", landing])
            begins = await logs.begins(partitions)
            lane = partition_of(self.district, PARTITIONS)
            rolls = {each: start for each, start in begins.items() if each.topic == "rolls" and each.partition == lane}
            back = {each: start for each, start in begins.items() if each.topic == "attendance-rejected"}
            await logs.read(rolls, self._take_roll)
            await logs.read(back, self._take_return)
            if at is None or (asked := TopicPartition(landing, at[0])) not in begins:
                return
            self.bounds = begins[asked], await logs.end(asked)
            if self.bounds[0] <= at[1] < self.bounds[1] and (record := await logs.one(asked, at[1])) is not None:
                self.landed, self.landed_at_ms = _kind(record), record.timestamp

    def _take_roll(self, record: ConsumerRecord) -> None:
        told = _json(record.value)
        if told.get("district") != self.district or not told.get("landed") or not told.get("students"):
            return
        versions = told["versions"]
        for at, (place, key, letter) in enumerate(
            zip(_places(told["landed"]), told["students"], told["categories"], strict=False)
        ):
            version = versions[at] if isinstance(versions, list) else versions
            day, category = date.fromisoformat(told["school_day"]), _CATEGORY_OF.get(letter, TAKEN_BACK)
            self._newest[place.partition] = max(place.began_ms, self._newest.get(place.partition, 0))
            self.marks[place] = TracedMark(
                place, told["school"], day, key, version, category, record.offset, told["occurred_at"]
            )

    def _take_return(self, record: ConsumerRecord) -> None:
        told = _json(record.value)
        if told.get("landing_topic") == ATTENDANCE_IN + self.district:
            first = told["landing_offset"]
            also = [*_also(told.get("also_offsets")), *(first for _ in _also(told.get("also_rows")))]
            partition, said, at = told["landing_partition"], (told["reason"], told["detail"]), told["occurred_at"]
            self.returned.append(TracedReturn(partition, first, *said, _original(told), at))
            # Of those that were told with the first one, nobody keeps the words but the landing log.
            self.returned += (TracedReturn(partition, each, *said, {}, at) for each in also)


def _also(runs: list[list[int]] | None) -> Iterator[int]:
    for first, last in runs or ():
        yield from range(first, last + 1)


def _places(landed: dict[str, Any]) -> Iterator[Place]:
    for offset, place, marks in landed["runs"]:
        for n in range(marks):
            yield Place(landed["log"], offset, place + n) if place else Place(landed["log"], offset + n, 0)


def _ms(moment: str) -> int:
    return (datetime.fromisoformat(moment) - _EPOCH) // timedelta(milliseconds=1)


def _kind(record: ConsumerRecord) -> dict[str, Any]:
    told = _json(record.value)
    return {"type": told.get("type", "?"), "school": told.get("school"), "date": told.get("date")}


def _original(told: dict[str, Any]) -> dict[str, Any]:
    try:
        return _json(base64.b64decode(told.get("original", "")))
    except ValueError:
        return {}


def _json(value: bytes | None) -> dict[str, Any]:
    try:
        told = json.loads(value or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
