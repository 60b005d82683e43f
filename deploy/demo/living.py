"""A state that lives: a replayed year between whose days people answer, go, and write down what happened.

Twice a week a district's people work through what the services show them; a visit that took place changes how often the
children of the household are absent from then on. After the last replayed day life goes on, a school day every so many
seconds.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from contracts.calendar import school_year_of
from deploy.demo.calendars import last_possible_day
from deploy.demo.feed import Visited
from deploy.demo.population import Town
from deploy.demo.replay import Around, Progress, replay
from deploy.demo.staff import Done, Staff
from deploy.local.machine import write_whole
from services.ingest.districts_file import load_districts
from services.runtime.broker_access import Broker

T = TypeVar("T")

BEFORE_SCHOOL = time(7, 30)
TUESDAY, THURSDAY = 1, 3
WORKING_HOURS = {TUESDAY: time(10, 15), THURSDAY: time(17, 45)}
"""Two stretches a week, one in the morning and one in the evening: families are tried at varied hours."""
STUDENTS_PER_CONTACT = 150
FIRST_LIVING_PAUSE_SECONDS = 30.0
VISITORS_TRAINED_DAYS_BEFORE = 20


@dataclass(slots=True, kw_only=True)
class Chronicle:
    """How far the state has come, for whoever watches; kept in a file."""

    file: Path
    phase: str = "replaying"
    day: str = ""
    days_done: int = 0
    days_total: int = 1
    marks: int = 0
    done: Done = field(default_factory=Done)

    def write(self) -> None:
        """Replace the file as a whole."""
        told = {name: getattr(self, name) for name in ("phase", "day", "days_done", "days_total", "marks")}
        write_whole(self.file, json.dumps(told | asdict(self.done)))


class Clock:
    """The state's time of day, as the file that the services read says it: seconds beside the real time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self, moment: datetime) -> datetime:
        """Move the clock; from there it goes on at its own speed."""
        seconds = moment.timestamp() - datetime.now(UTC).timestamp()
        write_whole(self._file, f"{seconds:.3f}", mode=0o644)  # the services may run as somebody else
        return moment


@dataclass(slots=True, kw_only=True)
class Life:
    """Everybody of the state. `settled` returns when the services have worked off everything that was sent."""

    staffs: Sequence[Staff]
    towns: dict[str, Town]
    clock: Clock
    chronicle: Chronicle
    districts_file: Path
    settled: Callable[[], Awaitable[None]]
    until: date
    zone: ZoneInfo
    seconds_per_day: float
    visited: dict[tuple[str, str], date] = field(default_factory=dict)
    _code_by_key: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def live(self, *, broker_of: Callable[[str], Broker], scale: float, seed: int, report: Path) -> None:
        """Replay the year until its last replayed day, and then let it go on."""
        self._code_by_key = household_codes(self.towns, self.districts_file)
        school_year = school_year_of(self.until)
        end = self.until if self.seconds_per_day == 0 else last_possible_day(school_year)
        first = min(town.year.planned[0] for town in self.towns.values())
        self.clock.set(datetime.combine(first - timedelta(days=7), BEFORE_SCHOOL, self.zone))
        trained_on = first - timedelta(days=VISITORS_TRAINED_DAYS_BEFORE)
        await self._everybody(lambda staff: staff.register_visitors(trained_on=trained_on))
        self.chronicle.days_total = max(1, (self.until - first).days)
        visited: Visited = self.visited
        sent = await replay(
            broker_of=broker_of,
            scale=scale,
            seed=seed,
            until=end,
            districts_file=self.districts_file,
            visited=visited,
            around=Around(before_day=self._wake, progress=self._note, after_day=self._work),
        )
        sent.write(report)
        await self._rest()
        self.chronicle.phase = "ended"
        self.chronicle.write()

    def _note(self, progress: Progress) -> None:
        self.chronicle.day = progress.day.isoformat()
        self.chronicle.marks = progress.marks
        self.chronicle.days_done = min(progress.days_done, self.chronicle.days_total)
        self.chronicle.write()

    async def _wake(self, day: date) -> None:
        if day > self.until:
            await self._rest()
        self.clock.set(datetime.combine(day, BEFORE_SCHOOL, self.zone))

    async def _rest(self) -> None:
        """Between the replayed days and those to come, and between each of these."""
        if self.chronicle.phase == "replaying":
            await self.settled()
            self.chronicle.phase = "living"
            self.chronicle.days_done = self.chronicle.days_total
            self.chronicle.write()
            await asyncio.sleep(FIRST_LIVING_PAUSE_SECONDS if self.seconds_per_day else 0)
        else:
            await asyncio.sleep(self.seconds_per_day)

    async def _work(self, day: date) -> None:
        hour = WORKING_HOURS.get(day.weekday())
        if hour is None:
            return
        await self.settled()
        now = self.clock.set(datetime.combine(day, hour, self.zone))
        for done in await self._everybody(lambda staff: staff.work(now, contacts=self._contacts(staff.district))):
            self.chronicle.done.add(done)
        for staff in self.staffs:
            for household_key, visit_day in staff.visited:
                if code := self._code_by_key.get(household_key):
                    self.visited.setdefault(code, visit_day)
            staff.visited.clear()
        self.chronicle.write()

    def _contacts(self, district: str) -> int:
        students = sum(len(school.students) for school in self.towns[district].schools.values())
        return max(2, students // STUDENTS_PER_CONTACT)

    async def _everybody(self, does: Callable[[Staff], T]) -> list[T]:
        return await asyncio.gather(*(asyncio.to_thread(does, staff) for staff in self.staffs))


def household_codes(towns: dict[str, Town], districts_file: Path) -> dict[str, tuple[str, str]]:
    """Name district and code of each household key, as only the districts themselves can."""
    pseudonyms = load_districts(districts_file).pseudonyms
    codes = {}
    for district, town in towns.items():
        if district in pseudonyms:
            arrived = [move.household for moves in town.moves.values() for move in moves if move.household]
            for household in (*town.households, *arrived):
                codes[pseudonyms[district].household_key(household.code)] = (district, household.code)
    return codes
