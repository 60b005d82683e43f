"""Where landed marks went, read from the logs: which roll told each of them, and what went back. No database."""

import base64
import json
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord

from contracts.events import CATEGORY_LETTERS
from contracts.topics import ATTENDANCE_IN, PARTITIONS
from deploy.audit.logs import Logs
from services.runtime.delivery.access import Broker
from services.runtime.delivery.publisher import partition_of

_CATEGORY_OF = {letter: str(category) for category, letter in CATEGORY_LETTERS.items()}
TAKEN_BACK = "taken back"


class Place(NamedTuple):
    """A landing place: which log, the offset, and of a mark in a landed roll its place there, else 0."""

    log: str
    offset: int
    place: int

    def __str__(self) -> str:
        return f"{self.offset}, mark {self.place}" if self.place else str(self.offset)


class TracedMark(NamedTuple):
    """A mark as a roll told it; `at` is the roll's own offset in its partition of `rolls`."""

    place: Place
    school: str
    day: date
    student_key: str
    version: int
    category: str
    at: int


class TracedReturn(NamedTuple):
    """A landed record, or one mark of it, that went back."""

    offset: int
    reason: str
    detail: str
    told: dict[str, Any]


class Traces:
    """Everything of a district that was told of, each landing place once."""

    def __init__(self, district: str) -> None:
        self.district = district
        self.marks: dict[Place, TracedMark] = {}
        self.returned: list[TracedReturn] = []
        self.landed: dict[str, Any] | None = None
        """What stands at the offset that was asked for; None: nothing, or no longer."""
        self.bounds = (0, 0)

    async def read(self, broker: Broker, *, offset: int | None) -> None:
        """Read the rolls of the district's lane, what went back, and the landing record at the offset."""
        landing = ATTENDANCE_IN + self.district
        async with Logs(broker) as logs:
            partitions = await logs.partitions(["rolls", "attendance-rejected", landing])
            begins = await logs.begins(partitions)
            lane = partition_of(self.district, PARTITIONS)
            rolls = {each: at for each, at in begins.items() if each.topic == "rolls" and each.partition == lane}
            back = {each: at for each, at in begins.items() if each.topic == "attendance-rejected"}
            (of_landing,) = [each for each in partitions if each.topic == landing and each.partition == 0]
            await logs.read(rolls, self._take_roll)
            await logs.read(back, self._take_return)
            self.bounds = begins[of_landing], await logs.end(of_landing)
            if offset is not None and self.bounds[0] <= offset < self.bounds[1]:
                self.landed = _kind(await logs.one(of_landing, offset))

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
            self.marks[place] = TracedMark(place, told["school"], day, key, version, category, record.offset)

    def _take_return(self, record: ConsumerRecord) -> None:
        told = _json(record.value)
        if told.get("landing_topic") == ATTENDANCE_IN + self.district:
            self.returned.append(TracedReturn(told["landing_offset"], told["reason"], told["detail"], _original(told)))


def _places(landed: dict[str, Any]) -> Iterator[Place]:
    for offset, place, marks in landed["runs"]:
        for n in range(marks):
            yield Place(landed["log"], offset, place + n) if place else Place(landed["log"], offset + n, 0)


def _kind(record: ConsumerRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
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
