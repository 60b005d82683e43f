"""Marks become roll pages, and what they say of a student's days: a batch's marks by school and day, each page once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from uuid import UUID

from contracts.calendar import first_day_of, school_year_of
from services.flagging import facts
from services.flagging.handlers import joining
from services.flagging.rules.page import JOINED, STUDENTS_ON_A_PAGE, Page
from services.flagging.rules.places import Run
from services.flagging.rules.register import SchoolYear
from services.flagging.rules.rolls import CODE_OF, NO_PART, Mark, RollPage, is_missed
from services.flagging.store import rolls, rosters
from services.flagging.store.registers import Registers
from services.flagging.store.rolls import RollKey
from services.flagging.store.rosters import Member


class Landed(NamedTuple):
    """Where the marks of one roll landed; `first` is the place of the first of them in the day's columns."""

    first: int
    log: str
    runs: list[Run]


@dataclass(slots=True)
class DayMarks:
    """The marks of a school's day that are in a batch, a place for each in every column."""

    students: list[bytes] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    receipts: dict[int, UUID] = field(default_factory=dict)
    """The upload that a mark came with, by its place here."""
    landed: list[Landed] = field(default_factory=list)
    repeats: set[int] = field(default_factory=set)
    """Marks that were counted before, by their place here: they are applied like any other."""

    def add_roll(self, roll: facts.Roll) -> None:
        """Add the marks of a roll."""
        first = len(self.students)
        self.students += roll.students
        if roll.parts is None:
            self.marks += [Mark(version, code) for version, code in zip(roll.versions, roll.codes, strict=True)]
        else:
            self.marks += [
                Mark(version, code, *(parts or (NO_PART, NO_PART)))
                for version, code, parts in zip(roll.versions, roll.codes, roll.parts, strict=True)
            ]
        for receipt, places in (roll.receipts or {}).items():
            self.receipts.update((first + place, receipt) for place in places)
        if roll.landed is None:
            return  # published before anybody noted where marks land
        if not roll.landed.runs:
            self.repeats.update(range(first, len(self.students)))
        else:
            self.landed.append(Landed(first, roll.landed.log, roll.landed.runs))

    def add_mark(self, mark: facts.Mark) -> None:
        """Add a single mark."""
        if mark.receipt is not None:
            self.receipts[len(self.students)] = mark.receipt
        self.students.append(mark.student_key.bytes)
        if isinstance(mark, facts.AttendanceRetracted):
            self.marks.append(Mark(mark.source_version, 0))
            return
        self.marks.append(
            Mark(
                mark.source_version,
                CODE_OF[mark.category],
                NO_PART if mark.present_parts is None else mark.present_parts,
                NO_PART if mark.day_parts is None else mark.day_parts,
            )
        )


@dataclass(slots=True)
class Effects:
    """How many marks changed what stands and how many were known or older, by district; and rows of uploads.

    Each landing place counts once.
    """

    applied: Counter[str] = field(default_factory=Counter)
    landed: Counter[str] = field(default_factory=Counter)
    accepted_rows: Counter[tuple[str, UUID]] = field(default_factory=Counter)
    landed_rows: Counter[tuple[str, UUID]] = field(default_factory=Counter)


Day = tuple[str, str, date]
"""District, school and school day."""


def by_day(rolls_of_batch: Iterable[facts.Roll], single: Iterable[facts.Mark]) -> dict[Day, DayMarks]:
    """Gather a batch's marks by school and day, however they came."""
    found: defaultdict[Day, DayMarks] = defaultdict(DayMarks)
    for roll in rolls_of_batch:
        if roll.students:
            found[roll.district, roll.school, roll.school_day].add_roll(roll)
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
    effects, changed = Effects(), []
    joined: defaultdict[SchoolYear, dict[bytes, set[date]]] = defaultdict(dict)
    for day, pages in placed.items():
        school = registers.schools[_year(day)]
        won: list[int] = []
        for number, places in pages.items():
            key = RollKey(*day, number)
            roll_page = known.get(key) or RollPage()
            if winners := _put(roll_page, days[day], places):
                changed.append((key, roll_page))
                for student in _set_days(school.pages[number], day[2], days[day], winners):
                    joined[school.key].setdefault(student, set()).add(day[2])
                won += winners
        _count(effects, day[0], days[day], won)
    await rolls.save_pages(registers.connection, changed)
    if joined:
        await joining.settle(registers, joined)
    return effects


def _year(day: Day) -> SchoolYear:
    return SchoolYear(day[0], day[1], school_year_of(day[2]))


def _placed(registers: Registers, day: Day, marks: DayMarks, newcomers: list[Member]) -> dict[int, list[int]]:
    """Sort a day's marks by register page: places in the columns. Who is new here is admitted, and told."""
    school = registers.schools[_year(day)]
    index = school.index
    pages: defaultdict[int, list[int]] = defaultdict(list)
    for place, student in enumerate(marks.students):
        at = index.get(student)
        if at is None:
            page, _ = school.admit(student)
            registers.arrived.add((student, school.key))
            newcomers.append(Member(UUID(bytes=student), school.key.school_year, day[1], day[0], page.number))
            pages[page.number].append(place)
        else:
            pages[at // STUDENTS_ON_A_PAGE].append(place)
    return pages


def _kept(registers: Registers, day: Day, pages: Iterable[int]) -> Iterable[RollKey]:
    school = registers.schools[_year(day)]
    place = _place_of(day[2])
    return [RollKey(*day, number) for number in pages if school.pages[number].rolls >> place & 1]


def _place_of(day: date) -> int:
    return (day - first_day_of(school_year_of(day))).days


def _put(page: RollPage, marks: DayMarks, places: Sequence[int]) -> list[int]:
    """Put the marks at these places, and give the places of those that now stand."""
    winners: dict[bytes, int] = {}
    for place in places:
        if page.put(marks.students[place], marks.marks[place]):
            winners[marks.students[place]] = place
    return list(winners.values())


def _set_days(page: Page, day: date, marks: DayMarks, winners: Sequence[int]) -> Iterable[bytes]:
    """Set what the marks at these places say; give the students of whom other numbers' marks speak too."""
    joined = []
    page.remember()
    bit = 1 << _place_of(day)
    page.rolls |= bit
    page.is_changed = True
    for place in winners:
        at = page.places[marks.students[place]]
        if page.traits[at] & JOINED:
            joined.append(marks.students[place])
            continue
        _, code, present, of_day = marks.marks[place]
        page.marked[at] = page.marked[at] | bit if code else page.marked[at] & ~bit
        page.missed[at] = page.missed[at] | bit if is_missed(code, present, of_day) else page.missed[at] & ~bit
    return joined


def _count(effects: Effects, district: str, marks: DayMarks, won: Sequence[int]) -> None:
    if marks.repeats:
        won = [place for place in won if place not in marks.repeats]
    effects.landed[district] += len(marks.students) - len(marks.repeats)
    effects.applied[district] += len(won)
    if marks.receipts:
        rows = {place: receipt for place, receipt in marks.receipts.items() if place not in marks.repeats}
        effects.landed_rows.update((district, receipt) for receipt in rows.values())
        effects.accepted_rows.update((district, rows[place]) for place in won if place in rows)
