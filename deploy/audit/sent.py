"""What a district said of a school day, read from its landing records. No I/O.

Written from the README's table of what a district sends, and not from ingest: who shares a mistake can't find it.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"marks\[(\d+)\]:")


class SchoolDay(NamedTuple):
    """A school and one of its days."""

    school: str
    day: date


class Said(NamedTuple):
    """The content of a mark; a category of None takes back what was said."""

    category: str | None
    present: int | None = None
    of_day: int | None = None

    @property
    def is_absence(self) -> bool:
        """Less than half of the day attended, or absent by its name."""
        if self.category is None:
            return False
        if self.present is not None and self.of_day is not None:
            return self.present * 2 < self.of_day
        return self.category in ABSENT


class Sent(NamedTuple):
    """One mark as it was sent: of whom, with which version, and what it says."""

    student: bytes
    version: int
    said: Said


ABSENT = frozenset(
    ("excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion")
)


class Where(NamedTuple):
    """One landed record. A topic that was made anew has another one at the same offset, of another time."""

    topic: str
    partition: int
    offset: int
    at_ms: int


class Returned:
    """What ingest sent back to the districts, by landing topic, offset and time: whole records, or marks of a roll."""

    def __init__(self) -> None:
        self._whole: set[Where] = set()
        self._places: dict[Where, set[int]] = {}

    def add(self, value: bytes) -> None:
        """Take in one rejection as it was published."""
        told = json.loads(value)
        since_1970 = datetime.fromisoformat(told["occurred_at"]) - _EPOCH
        at_ms = since_1970 // timedelta(milliseconds=1)
        where = Where(told["landing_topic"], told["landing_partition"], told["landing_offset"], at_ms)
        if place := _PLACE.match(told["detail"]):
            self._places.setdefault(where, set()).update((int(place[1]), *_of_runs(told.get("also_rows"))))
        else:
            offsets = (where.offset, *_of_runs(told.get("also_offsets")))
            self._whole.update(where._replace(offset=offset) for offset in offsets)

    def is_whole(self, where: Where) -> bool:
        """Say whether the whole record went back."""
        return where in self._whole

    def places(self, where: Where) -> set[int]:
        """Give the places of a roll's marks that went back, from 1."""
        return self._places.get(where, set())


def _of_runs(runs: list[list[int]] | None) -> Iterator[int]:
    for first, last in runs or ():
        yield from range(first, last + 1)


LANES = 24


def lane_of(district: str) -> int:
    """Give the partition in which everything of a district is told: by six hex digits at the head, else by checksum."""
    head = district[:6]
    if re.fullmatch("[0-9a-fA-F]{6}", head):
        return int(head, 16) % LANES
    return crc32(district.encode()) % LANES


class Keys:
    """A district's students as everybody behind ingest knows them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, number: str) -> bytes:
        """Give the 16 bytes of a number's key; the state's number is written `state:9001`."""
        return blake2b(number.encode(), key=self._secret, digest_size=16, person=b"student").digest()


def marks_of(
    value: bytes | None, headers: Mapping[str, bytes], *, keys: Keys, left_out: Iterable[int] = ()
) -> Iterator[tuple[SchoolDay, Sent]]:
    """Give the marks of one landed record that did not go back; none where it is of another kind."""
    record = _read(value, headers)
    kind = record.get("type")
    if kind in ("mark", "retraction"):
        yield _day_of(record), _single(record, keys)
    elif kind == "roll":
        gone, day = set(left_out), _day_of(record)
        for place, (number, category, version, *parts) in enumerate(record["marks"], 1):
            if place not in gone:
                yield day, Sent(keys.of(number), version, Said(category, *(parts or (None, None))))


def _single(record: Mapping[str, Any], keys: Keys) -> Sent:
    number = record["student"] if record.get("student") is not None else f"state:{record['state_student']}"
    if record["type"] == "retraction":
        return Sent(keys.of(number), record["version"], Said(None))
    said = Said(record["category"], record.get("present_parts"), record.get("day_parts"))
    return Sent(keys.of(number), record["version"], said)


def _day_of(record: Mapping[str, Any]) -> SchoolDay:
    return SchoolDay(record["school"], date.fromisoformat(record["date"]))


def _read(value: bytes | None, headers: Mapping[str, bytes]) -> Mapping[str, Any]:
    if "leap-columns" not in headers:
        found = json.loads(value or b"null")
        return found if isinstance(found, dict) else {}
    names = next(csv.reader([headers["leap-columns"].decode("utf-8-sig")]))
    cells = next(csv.reader([(value or b"").decode()]))
    row: dict[str, Any] = {
        name.strip().lower(): cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()
    }
    for name in ("version", "present_parts", "day_parts"):
        if name in row:
            row[name] = int(row[name])
    return row | {"type": "mark"}
