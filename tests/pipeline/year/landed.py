"""What districts have landed, read as anybody could who reads their topics: the facts that stand, and nothing else.

Written from what the README says that a district sends, and by itself: nothing of the services is imported here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord

PRESENT = frozenset(
    ("in_attendance", "tardy", "early_departure", "school_activity", "remote_learning", "in_school_suspension",
     "alternative_education")
)  # fmt: skip
ABSENT = frozenset(
    ("excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion")
)


class Unforeseen(Exception):
    """A district sent what this checker has no rule for: give it one, or it would pass what it did not look at."""


class SchoolDay(NamedTuple):
    """One day of one school of one district."""

    district: str
    school: str
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What stands of a number's day at a school; `absent` is None where the mark was taken back."""

    version: int
    absent: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """The newest word on whether a school has taken attendance on a day."""

    version: int
    complete: bool
    feed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stint:
    """One enrolment, as its newest version says."""

    district: str
    code: str
    version: int
    school: str
    grade: str
    entry: date
    exit: date | None
    exit_day_counts: bool
    withdrawn: bool
    number: str | None
    state_number: str | None
    household: str | None
    track: str | None

    @property
    def child(self) -> str:
        """Name the child by the district's number; by the state's where the district has none."""
        return self.number or f"state:{self.state_number}"

    def covers(self, day: date) -> bool:
        """Tell whether the child is enrolled by it on a day."""
        if self.withdrawn or day < self.entry:
            return False
        return self.exit is None or day < self.exit or (day == self.exit and self.exit_day_counts)


@dataclass(slots=True, kw_only=True)
class Landed:
    """The facts that stand after all records that were read so far. Their order decides nothing."""

    marks: dict[tuple[str, str, str], dict[date, Mark]] = field(default_factory=dict)
    """By district, school and number: what stands of each day."""
    rolls: dict[SchoolDay, Roll] = field(default_factory=dict)
    stints: dict[tuple[str, str], Stint] = field(default_factory=dict)
    calendars: dict[tuple[str, str, int, str | None], tuple[int, str, frozenset[date]]] = field(default_factory=dict)
    corrected: set[tuple[str, str, str]] = field(default_factory=set)
    """Of whom a mark was taken back or turned round at some time: what was told of them then was told rightly."""
    refused: int = 0
    latest: date = date.min

    def read(self, records: Iterable[ConsumerRecord]) -> None:
        """Take in records of landing topics, each topic's in its order."""
        for record in records:
            district = record.topic.split("-in-", 1)[1]
            self.take(district, record.value, landed_at=datetime.fromtimestamp(record.timestamp / 1000, UTC))

    def take(self, district: str, value: bytes, *, landed_at: datetime) -> None:
        """Take in one record; what can't be a fact is counted as refused and changes nothing."""
        try:
            said = json.loads(value)
            if said.get("district", district) != district:
                raise ValueError(said["district"])
            match said["type"]:
                case "mark" | "retraction":
                    self._mark(district, said)
                case "roll_completed" | "roll_reopened":
                    self._roll(district, said, landed_at, complete=said["type"] == "roll_completed")
                case "roll":
                    self._whole_roll(district, said, landed_at)
                case "enrollment":
                    self._stint(district, said)
                case "calendar":
                    self._calendar(district, said)
                case "household":
                    pass  # names and phones; who lives together is said by enrolments
                case "feed":
                    raise Unforeseen("a feed's declaration")
                case _:
                    raise ValueError(said["type"])
        except (ValueError, KeyError, AttributeError, TypeError):
            self.refused += 1

    def _mark(self, district: str, said: dict[str, Any]) -> None:
        where = SchoolDay(district, said["school"], date.fromisoformat(said["date"]))
        number = said.get("student") or f"state:{_text(said['state_student'])}"
        absent = None if said["type"] == "retraction" else _absent(said)
        self._stands(where, _text(number), Mark(version=int(said["version"]), absent=absent))

    def _whole_roll(self, district: str, said: dict[str, Any], landed_at: datetime) -> None:
        where = SchoolDay(district, said["school"], date.fromisoformat(said["date"]))
        for student, category, version, *parts in said["marks"]:
            share = dict(zip(("present_parts", "day_parts"), parts, strict=False))
            mark = Mark(version=version, absent=_absent({"category": category, **share}))
            self._stands(where, _text(student), mark)
        if said.get("complete"):
            self._roll(district, said, landed_at, complete=True)

    def _stands(self, where: SchoolDay, number: str, mark: Mark) -> None:
        days = self.marks.setdefault((where.district, where.school, number), {})
        known = days.get(where.day)
        if known is not None and known.version == mark.version and known.absent != mark.absent:
            raise Unforeseen(f"two marks of one version on {where.day}: a conflict has no right answer here")
        if known is not None and known.absent != mark.absent:
            self.corrected.add((where.district, where.school, number))
        if known is None or known.version < mark.version:
            days[where.day] = mark
        self.latest = max(self.latest, where.day)

    def _roll(self, district: str, said: dict[str, Any], landed_at: datetime, *, complete: bool) -> None:
        where = SchoolDay(district, said["school"], date.fromisoformat(said["date"]))
        version = said.get("version")
        microseconds = int(landed_at.timestamp() * 1_000_000) if version is None else int(version)
        known = self.rolls.get(where)
        if known is None or known.version <= microseconds:
            self.rolls[where] = Roll(version=microseconds, complete=complete, feed=said["feed"])
        self.latest = max(self.latest, where.day)

    def _stint(self, district: str, said: dict[str, Any]) -> None:
        last = said.get("exit_date")
        stint = Stint(
            district=district,
            code=said["id"],
            version=int(said["version"]),
            school=said["school"],
            grade=said["grade"],
            entry=date.fromisoformat(said["entry_date"]),
            exit=None if last is None else date.fromisoformat(last),
            exit_day_counts=said.get("exit_day_counts", False),
            withdrawn=said.get("withdrawn", False),
            number=said.get("student"),
            state_number=said.get("state_student"),
            household=said.get("household"),
            track=said.get("track"),
        )
        if stint.number is None and stint.state_number is None:
            raise ValueError("nobody")
        known = self.stints.get((district, stint.code))
        if known is None or known.version < stint.version:
            self.stints[district, stint.code] = stint

    def _calendar(self, district: str, said: dict[str, Any]) -> None:
        whose = (district, said["school"], int(said["school_year"]), said.get("track"))
        days = frozenset(date.fromisoformat(day) for day in said["school_days"])
        known = self.calendars.get(whose)
        if known is None or known[0] < said["version"]:
            self.calendars[whose] = (int(said["version"]), said["feed"], days)


def _absent(said: dict[str, Any]) -> bool:
    """Apply the half-day rule: present, at an activity or in remote learning for at least half of the day's time."""
    category = said["category"]
    if category not in PRESENT | ABSENT:
        raise ValueError(category)
    if said.get("day_parts") is not None:
        return bool(2 * said["present_parts"] < said["day_parts"])
    return category in ABSENT


def _text(number: Any) -> str:
    if not isinstance(number, str) or not number:
        raise ValueError("a number is text")
    return number
