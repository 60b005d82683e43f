"""Marks become roll pages, and what they say of a student's days: a batch's marks by school and day, each page once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from uuid import UUID

from services.flagging import facts
from services.flagging.handlers import joining
from services.flagging.rules.page import JOINED, STUDENTS_ON_A_PAGE, Page
from services.flagging.rules.places import Run
from services.flagging.rules.register import SchoolYear
from services.flagging.rules.rolls import (
    ABSENT,
    CODE_OF,
    NO_PART,
    NO_PARTS,
    TAKEN_BACK,
    Mark,
    RollColumns,
    RollPage,
    is_missed,
    pack_roll,
)
from services.flagging.store import rolls, rosters
from services.flagging.store.registers import Registers
from services.flagging.store.rolls import RollKey
from services.flagging.store.rosters import Member
from services.runtime.database import uuid_of


class Landed(NamedTuple):
    """Where the marks of one roll landed; `first` is the place of the first of them in the day's columns."""

    first: int
    log: str
    runs: list[Run]


class Row(NamedTuple):
    """A row of an upload: whose it is, and the offset of the roll that told it; None for one told by itself."""

    receipt: UUID
    at: int | None


@dataclass(slots=True)
class DayMarks:
    """The marks of a school's day that are in a batch, a place for each in every column."""

    students: list[bytes] = field(default_factory=list)
    codes: bytearray = field(default_factory=bytearray)
    versions: list[int] = field(default_factory=list)
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The parts of the day, present and all, by the place of a mark that has any."""
    receipts: dict[int, Row] = field(default_factory=dict)
    """The upload that a mark came with, by its place here."""
    landed: list[Landed] = field(default_factory=list)
    repeats: set[int] = field(default_factory=set)
    """Marks that were counted before, by their place here: they are applied like any other."""

    def add_roll(self, roll: facts.Roll, *, at: int) -> None:
        """Add the marks of a roll that stands at this offset."""
        first = len(self.students)
        self.students += roll.students
        self.codes += roll.codes
        self.versions += roll.versions
        for place, parts in enumerate(roll.parts or ()):
            if parts is not None:
                self.parts[first + place] = parts
        for receipt, places in (roll.receipts or {}).items():
            self.receipts.update((first + place, Row(receipt, at)) for place in places)
        if roll.landed is None:
            return  # published before anybody noted where marks land
        if not roll.landed.runs:
            self.repeats.update(range(first, len(self.students)))
        else:
            self.landed.append(Landed(first, roll.landed.log, roll.landed.runs))

    def add_mark(self, mark: facts.Mark) -> None:
        """Add a single mark."""
        place = len(self.students)
        if mark.receipt is not None:
            self.receipts[place] = Row(mark.receipt, None)
        self.students.append(mark.student_key.bytes)
        self.versions.append(mark.source_version)
        if isinstance(mark, facts.AttendanceRetracted):
            self.codes.append(TAKEN_BACK)
            return
        self.codes.append(CODE_OF[mark.category])
        if mark.present_parts is not None or mark.day_parts is not None:
            self.parts[place] = (
                NO_PART if mark.present_parts is None else mark.present_parts,
                NO_PART if mark.day_parts is None else mark.day_parts,
            )

    def mark(self, place: int) -> Mark:
        """Give one mark."""
        return Mark(self.versions[place], self.codes[place], *self.parts.get(place, NO_PARTS))

    def columns(self, places: Sequence[int]) -> RollColumns:
        """Give the marks at these places as a roll page holds them."""
        return pack_roll(
            [self.students[place] for place in places],
            bytes([self.codes[place] for place in places]),
            [self.versions[place] for place in places],
            [self.parts.get(place, NO_PARTS) for place in places] if self.parts else None,
        )


@dataclass(slots=True)
class Effects:
    """How many marks changed what stands and how many were known or older, by district; and rows of uploads.

    Each landing place counts once.
    """

    applied: Counter[str] = field(default_factory=Counter)
    landed: Counter[str] = field(default_factory=Counter)
    accepted_rows: Counter[tuple[str, Row]] = field(default_factory=Counter)
    landed_rows: Counter[tuple[str, Row]] = field(default_factory=Counter)


Day = tuple[str, str, date]
"""District, school and school day."""


def by_day(rolls_of_batch: Iterable[tuple[int, facts.Roll]], single: Iterable[facts.Mark]) -> dict[Day, DayMarks]:
    """Gather a batch's marks by school and day, however they came; rolls come with their offsets."""
    found: defaultdict[Day, DayMarks] = defaultdict(DayMarks)
    for at, roll in rolls_of_batch:
        if roll.students:
            found[roll.district, roll.school, roll.school_day].add_roll(roll, at=at)
    for mark in single:
        found[mark.district, mark.school, mark.school_day].add_mark(mark)
    return found


async def apply_marks(registers: Registers, days: dict[Day, DayMarks]) -> Effects:
    """Let the newest mark of each student's day stand and set the days; every page it needs is in the hand already."""
    newcomers: list[Member] = []
    placed = {day: _placed(registers, day, marks, newcomers) for day, marks in days.items()}
    await rosters.save_members(registers.connection, newcomers)
    known = await rolls.read_pages(
        registers.connection,
        [key for day, pages in placed.items() for key in _kept(registers, day, pages)],
    )
    effects, changed = Effects(), dict[RollKey, RollColumns]()
    joined: defaultdict[SchoolYear, dict[bytes, set[date]]] = defaultdict(dict)
    for day, pages in placed.items():
        school = registers.schools[SchoolYear.of_day(*day)]
        bit = 1 << school.place_of(day[2])
        applied: list[int] = []
        for number, places in pages.items():
            key = RollKey(*day, number)
            won, columns = _stand(known.get(key), days[day], places)
            if won:
                changed[key] = columns
                school.expect(bit)
                for student in _set_days(school.pages[number], bit, days[day], won):
                    joined[school.key].setdefault(student, set()).add(day[2])
                applied += won
        _count(effects, day[0], days[day], applied)
    await rolls.save_pages(registers.connection, changed)
    if joined:
        await joining.settle(registers, joined)
    return effects


def _placed(registers: Registers, day: Day, marks: DayMarks, newcomers: list[Member]) -> dict[int, list[int]]:
    """Sort a day's marks by register page: places in the columns. Who is new here is admitted, and told."""
    school = registers.schools[SchoolYear.of_day(*day)]
    pages: defaultdict[int, list[int]] = defaultdict(list)
    for place, at in enumerate(map(school.index.get, marks.students)):
        if at is None:
            student = marks.students[place]
            page, _ = school.admit(student)
            registers.arrived.add((student, school.key))
            newcomers.append(Member(uuid_of(student), school.key.school_year, day[1], day[0], page.number))
            pages[page.number].append(place)
        else:
            pages[at // STUDENTS_ON_A_PAGE].append(place)
    return pages


def _kept(registers: Registers, day: Day, pages: Iterable[int]) -> Iterable[RollKey]:
    school = registers.schools[SchoolYear.of_day(*day)]
    place = school.place_of(day[2])
    return [RollKey(*day, number) for number in pages if school.pages[number].rolls >> place & 1]


def _stand(page: RollPage | None, marks: DayMarks, places: Sequence[int]) -> tuple[Sequence[int], RollColumns]:
    """Let the newest marks stand on a roll page: the places of those that now do, and the page for the table."""
    newest = {marks.students[place]: place for place in places}
    if len(newest) < len(places):
        newest.clear()
        for place in places:
            # Of equal marks the first: its landing place is counted, the other's is a repeat.
            standing = newest.setdefault(marks.students[place], place)
            if place != standing and marks.mark(place).beats(marks.mark(standing)):
                newest[marks.students[place]] = place
    won = list(newest.values())
    if page is None:
        return won, marks.columns(won)  # a day's first roll, nearly every one: no mark of it is looked at singly
    won = [place for place in won if page.put(marks.students[place], marks.mark(place))]
    return won, page.columns()


def _set_days(page: Page, bit: int, marks: DayMarks, won: Sequence[int]) -> Iterable[bytes]:
    """Set what the marks of a day at these places say; give the students of whom other numbers' marks speak too."""
    page.remember()
    page.rolls |= bit
    page.is_changed = True
    joined = []
    at_of, traits, marked, missed, parts = page.places, page.traits, page.marked, page.missed, marks.parts
    for place in won:
        student, code = marks.students[place], marks.codes[place]
        at = at_of[student]
        if traits[at] & JOINED:
            joined.append(student)
            continue
        if code:
            marked[at] |= bit
        else:
            marked[at] &= ~bit
        if is_missed(code, *parts[place]) if place in parts else code in ABSENT:
            missed[at] |= bit
        elif missed[at] & bit:
            missed[at] ^= bit
    return joined


def _count(effects: Effects, district: str, marks: DayMarks, won: Sequence[int]) -> None:
    if marks.repeats:
        won = [place for place in won if place not in marks.repeats]
    effects.landed[district] += len(marks.students) - len(marks.repeats)
    effects.applied[district] += len(won)
    if marks.receipts:
        rows = {place: row for place, row in marks.receipts.items() if place not in marks.repeats}
        effects.landed_rows.update((district, row) for row in rows.values())
        effects.accepted_rows.update((district, rows[place]) for place in won if place in rows)
