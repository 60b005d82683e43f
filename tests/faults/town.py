"""What districts land in a round, by seed and round alone: a school's day, corrections of former ones, movers, poison.

A round's records have the round's own version, so a round that is landed again says the same, and a later one wins.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from tests.zones import HERE

Record = dict[str, Any]
Value = Record | bytes

DISTRICTS = ("hartford", "norwich", "windham", "danbury")
FULL_FEEDS = ("norwich",)
WHOLE_ROLLS = ("norwich", "windham")
RECREATED = "windham"
"""Whose landing topic is made anew by a fault."""
SCHOOLS = ("S1", "S2")
FIRST_DAY, SCHOOL_YEAR, PLANNED = date(2026, 8, 31), 2026, 180
NOW = datetime(2027, 6, 1, 15, tzinfo=HERE)
"""An afternoon behind all days: of a day to come there is neither a presence nor a complete roll."""
_EXCEPTIONS = ("excused_absence", "unexcused_absence", "out_of_school_suspension", "tardy", "early_departure")
POISON = (b"\xff\xfe\x00", b"[]", b'{"type":"mark"', b'{"type":"no such thing"}', b"")


def school_days() -> list[date]:
    """Give the year's weekdays."""
    days = (FIRST_DAY + timedelta(days=n) for n in range(2 * PLANNED))
    return [day for day in days if day.weekday() < 5][:PLANNED]


DAYS = school_days()
BEGUN = 12
"""Days that the first round lands together: before ten days nobody is chronically absent."""


def day_of(number: int) -> int | None:
    """Give the place among the year's days of the one that a round lands; None once the year is over."""
    return BEGUN + number if BEGUN + number < PLANNED else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Districts of one size, one seed."""

    seed: int
    students: int

    def roster(self, district: str) -> list[Record]:
        """Give the calendars and everybody's first enrolment, every two children a household."""
        landed = [
            {
                "type": "calendar", "school": school, "school_year": SCHOOL_YEAR, "feed": _feed(district),
                "school_days": [day.isoformat() for day in DAYS], "version": 1,
            }
            for school in SCHOOLS
        ]  # fmt: skip
        return landed + [self._stint(district, n, "a", self.home(n), 1) for n in range(self.students)]

    def home(self, n: int) -> str:
        """Name the school that a child is entered at first."""
        return SCHOOLS[n % len(SCHOOLS)]

    def school_on(self, district: str, n: int, day: int) -> str:
        """Name the school that a child is at on the year's day of this place, by all moves up to it."""
        return SCHOOLS[(n + len(self._moves(district, n, day - BEGUN))) % len(SCHOOLS)]

    def _moves(self, district: str, n: int, last: int) -> list[int]:
        """Name the rounds up to the last in which a child moves."""
        return [each for each in range(1, last + 1) if n in self.movers(district, each)]

    def movers(self, district: str, number: int) -> frozenset[int]:
        """Name the children who change schools in a round: few, and in the year's days only."""
        return _movers(self.seed, self.students, district, number)

    def roster_of_round(self, district: str, number: int) -> list[Record]:
        """Give the moves of a round: the old stint ends on the day on which the new one begins."""
        landed: list[Record] = []
        for n in sorted(self.movers(district, number)):
            moves, today = self._moves(district, n, number - 1), BEGUN + number
            before, after = self.school_on(district, n, today - 1), self.school_on(district, n, today)
            begun = DAYS[BEGUN + moves[-1]] if moves else FIRST_DAY
            code = f"m{moves[-1]}" if moves else "a"
            left = {"entry_date": begun.isoformat(), "exit_date": DAYS[today].isoformat()}
            landed.append(self._stint(district, n, code, before, number + 1) | left)
            entered = {"entry_date": DAYS[today].isoformat()}
            landed.append(self._stint(district, n, f"m{number}", after, number + 1) | entered)
        return landed

    def attendance(self, district: str, number: int) -> list[Value]:
        """Give a round's day, with corrections, a retraction or two, a repeated former round, disorder and poison."""
        draw = random.Random(f"{self.seed}/{district}/{number}")
        day = _day_of(number, draw)
        landed: list[Value] = [*self._day(district, day, number, draw)]
        for former in range(BEGUN if number == 0 else 0):
            landed += self._day(district, former, number, draw)
        landed += self._corrections(district, day, number, draw)
        if number:
            again = list(self._day_of_round(district, draw.randrange(number)))
            landed += again[: len(again) // 2]
        for value in draw.sample(POISON, 2):
            landed.insert(draw.randrange(len(landed)), value)
        return landed

    def _day_of_round(self, district: str, number: int) -> Iterator[Record]:
        draw = random.Random(f"{self.seed}/{district}/{number}")
        return self._day(district, _day_of(number, draw), number, draw)

    def _day(self, district: str, day: int, number: int, draw: random.Random) -> Iterator[Record]:
        written = DAYS[day].isoformat()
        for school in SCHOOLS:
            marks: list[Record] = [
                {"type": "mark", "school": school, "date": written, "student": str(n), "version": number + 1} | mark
                for n in range(self.students)
                if self.school_on(district, n, day) == school and (mark := _mark(n, district, draw)) is not None
            ]
            draw.shuffle(marks)
            if district in WHOLE_ROLLS:
                rows = [[each["student"], each["category"], each["version"]] for each in marks]
                half = len(rows) // 2
                roll = {"type": "roll", "school": school, "date": written, "feed": _feed(district)}
                yield roll | {"marks": rows[:half]}
                yield roll | {"marks": rows[half:], "complete": True}
            else:
                completed = {"type": "roll_completed", "school": school, "date": written, "feed": _feed(district)}
                # A completion may overtake the marks of its day.
                marks.insert(draw.randrange(len(marks) + 1), completed)
                yield from marks

    def _corrections(self, district: str, day: int, number: int, draw: random.Random) -> Iterator[Record]:
        """Correct or take back marks of other days: once each in a round, or one version would say two things."""
        known = min(BEGUN + number, PLANNED) if number else 0
        others = draw.sample(range(known), min(known, 6))
        for other in others:
            if other == day:
                continue
            for n in draw.sample(range(self.students), max(1, self.students // 20)):
                record = {
                    "school": self.school_on(district, n, other), "date": DAYS[other].isoformat(), "student": str(n),
                    "version": number + 1,
                }  # fmt: skip
                if draw.random() < 0.2:
                    yield record | {"type": "retraction"}
                else:
                    category = draw.choice((*_EXCEPTIONS, "in_attendance"))
                    yield record | {"type": "mark", "category": category}

    def _stint(self, district: str, n: int, code: str, school: str, version: int) -> Record:
        return {
            "type": "enrollment", "id": f"{n}-{code}", "student": str(n), "state_student": f"{district}9{n}",
            "household": f"h{n // 2}", "school": school, "grade": str(1 + n % 12),
            "entry_date": FIRST_DAY.isoformat(), "version": version,
        }  # fmt: skip


def as_bytes(value: Value) -> bytes:
    """Write a record as it lands."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _day_of(number: int, draw: random.Random) -> int:
    day = day_of(number)
    return draw.randrange(PLANNED) if day is None else day


@cache
def _movers(seed: int, students: int, district: str, number: int) -> frozenset[int]:
    if number < 1 or day_of(number) is None:
        return frozenset()
    draw = random.Random(f"{seed}/movers/{district}/{number}")
    return frozenset(n for n in range(students) if draw.random() < 0.01)


def _feed(district: str) -> str:
    return "full" if district in FULL_FEEDS else "exceptions"


def _mark(n: int, district: str, draw: random.Random) -> Record | None:
    # Some children miss much, most little; a tenth lives near the line, where one wrong day shows.
    often = 0.3 if n % 11 == 0 else 0.1 if n % 5 == 0 else 0.03
    if draw.random() < often:
        return {"category": draw.choice(_EXCEPTIONS)}
    return {"category": "in_attendance"} if district in FULL_FEEDS else None
