"""The marks of one school and day that landed together become one roll, as columns. No I/O, no clock.

Marks are gathered as they are and made into columns at the end, each column at one go: this is the state's hot path.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from contracts.events import CATEGORY_LETTERS, MAX_STUDENTS_OF_A_ROLL, TAKEN_BACK, Category
from services.ingest.rules.attendance import Completion, LandingPlaces, RollRecorded, moment_of
from services.ingest.rules.landing import Mark, Retraction, RollMark
from services.ingest.rules.pseudonyms import Pseudonyms, uuid_text

MAX_ROLL_BYTES = 64 * 1024

Run = tuple[int, int, int]
"""Offset, place and number of marks, as the contract has it."""

_LETTERS: Mapping[Category | None, str] = dict([(None, TAKEN_BACK), *CATEGORY_LETTERS.items()])
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class OpenRoll:
    """What one school told of one day so far, in the order of landing.

    `first` and `last` are the landing offsets it holds, `newest_ms` when the last of them was appended. `receipts` name
    places of `marks`, `runs` say where these landed. Where the day is `unusual`, each mark must be asked whether it may
    come in.
    """

    school: str
    school_day: date
    first: int
    last: int = 0
    newest_ms: int = 0
    unusual: bool = False
    marks: list[Mark | Retraction | RollMark] = field(default_factory=list)
    receipts: dict[str, list[int]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    is_counted: bool = True
    completed: Completion | None = None

    def landed_at(self, offset: int) -> None:
        """Note where the mark landed that was added last: a record of its own."""
        runs = self.runs
        if runs and runs[-1][1] == 0 and runs[-1][0] + runs[-1][2] == offset:
            runs[-1] = (runs[-1][0], 0, runs[-1][2] + 1)
        else:
            runs.append((offset, 0, 1))

    def landed_in(self, offset: int, places: Sequence[int]) -> None:
        """Note where the marks landed that were added last: these places, from 1, of one landed roll."""
        start = 0
        for at in range(1, len(places) + 1):
            if at == len(places) or places[at] != places[at - 1] + 1:
                self.runs.append((offset, places[start], at - start))
                start = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where rolls come from: whose they are, the landing topic and partition, and which log of that name."""

    district: str
    landing: str
    log: str
    pseudonyms: Pseudonyms


class _Columns(NamedTuple):
    students: Sequence[str]
    categories: str
    versions: Sequence[int]
    parts: Sequence[tuple[int, int] | None] | None
    receipts: dict[str, list[int]]
    runs: Sequence[Run]


def tell(roll: OpenRoll, *, origin: Origin) -> Iterator[tuple[str, bytes]]:
    """Yield the event ids and the JSON of the records that tell a roll, its completion with the last of them.

    There are as few as the limits of a record allow; the same landed records give the same ones again. A roll without a
    mark and without a completion has nothing to tell.
    """
    columns = _columns(roll, pseudonyms=origin.pseudonyms)
    marks = len(roll.marks)
    for start in range(0, max(marks, bool(roll.completed)), MAX_STUDENTS_OF_A_ROLL):
        yield from _tell_part(roll, columns, origin, start, min(start + MAX_STUDENTS_OF_A_ROLL, marks))


def _tell_part(roll: OpenRoll, columns: _Columns, origin: Origin, start: int, end: int) -> Iterator[tuple[str, bytes]]:
    identity = f"{origin.landing}/{roll.first}/{roll.last}/{start}"
    event_id = uuid_text(blake2b(identity.encode(), digest_size=16, person=b"roll").hexdigest())
    versions = columns.versions[start:end]
    receipts = {
        receipt: mine
        for receipt, places in columns.receipts.items()
        if (mine := [place - start for place in places if start <= place < end])
    }
    written = _encode(
        RollRecorded(
            event_id=event_id,
            occurred_at=moment_of(roll.newest_ms),
            district=origin.district,
            school=roll.school,
            school_day=roll.school_day,
            students=columns.students[start:end],
            categories=columns.categories[start:end],
            versions=versions[0] if versions and versions.count(versions[0]) == len(versions) else versions,
            parts=None if columns.parts is None else _unless_empty(columns.parts[start:end]),
            receipts=receipts or None,
            completed=roll.completed if end == len(roll.marks) else None,
            landed=LandingPlaces(origin.log, _cut(columns.runs, start, end)) if end > start else None,
        )
    )
    if len(written) <= MAX_ROLL_BYTES or end - start == 1:
        yield event_id, written
        return
    middle = (start + end) // 2
    yield from _tell_part(roll, columns, origin, start, middle)
    yield from _tell_part(roll, columns, origin, middle, end)


def _cut(runs: Sequence[Run], start: int, end: int) -> Sequence[Run]:
    """Give the runs of the marks from one place to, not with, another."""
    if not runs or (start == 0 and end == sum(marks for _, _, marks in runs)):
        return runs
    found, at = [], 0
    for offset, place, marks in runs:
        first, last = max(start, at) - at, min(end, at + marks) - at
        if first < last:
            found.append((offset, place + first, last - first) if place else (offset + first, 0, last - first))
        at += marks
    return found


def _columns(roll: OpenRoll, *, pseudonyms: Pseudonyms) -> _Columns:
    marks = roll.marks
    # Comprehensions, one for each column: this runs for every mark of the state.
    numbers = [mark.student if mark.student is not None else f"state:{mark.state_student}" for mark in marks]
    parted = [mark.day_parts for mark in marks]
    return _Columns(
        students=pseudonyms.student_keys(numbers),
        categories="".join([_LETTERS[mark.category] for mark in marks]),
        versions=[mark.version for mark in marks],
        parts=[_parts(mark) for mark in marks] if any(parted) else None,
        receipts=roll.receipts,
        runs=roll.runs if roll.is_counted else (),
    )


def _parts(mark: Mark | Retraction | RollMark) -> tuple[int, int] | None:
    if mark.present_parts is None or mark.day_parts is None:
        return None
    return mark.present_parts, mark.day_parts


def _unless_empty(parts: Sequence[tuple[int, int] | None]) -> Sequence[tuple[int, int] | None] | None:
    return parts if any(parts) else None
