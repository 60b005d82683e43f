"""One child, two numbers: where an enrolment names the district's and the state's, marks with either are the child's.

Each number has a register row of its own, with its own roll pages: nothing is moved. The days of the child whose
enrolment names the other number are set from the marks of all of them, and the other number's own row says nothing;
when a join is taken back, both are set anew.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from itertools import chain
from uuid import UUID

from contracts.calendar import first_day_of
from services.flagging.rules.page import ALL_DAYS, JOINED
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.rolls import Mark, RollPage
from services.flagging.store import rolls, rosters
from services.flagging.store.registers import Registers
from services.flagging.store.rolls import RollKey
from services.flagging.store.rosters import Member
from services.runtime.database import uuid_of

Wanted = Mapping[SchoolYear, Mapping[bytes, Collection[date] | None]]
"""Students and the days of theirs that are to be settled; None is the whole year."""


async def settle_numbers(registers: Registers, numbers: Collection[UUID], students: Collection[UUID]) -> None:
    """Settle the whole years of these numbers and of whoever has or had them: an enrolment changed what joins them."""
    involved = {*numbers, *students, *await rosters.who_names(registers.connection, numbers)}
    owners = await rosters.owners_of(registers.connection, involved)
    members = await rosters.members_of(registers.connection, involved | set(owners.values()))
    wanted: defaultdict[SchoolYear, dict[bytes, None]] = defaultdict(dict)
    for student, places in members.items():
        for member in places:
            wanted[member.key][student.bytes] = None
    await registers.open_schools(wanted)
    await settle(registers, wanted)


async def settle_newcomers(registers: Registers) -> None:
    """Settle the newcomers of this transaction whose number an enrolment names beside another."""
    newcomers = {uuid_of(student) for student, _ in registers.arrived}
    owners = await rosters.owners_of(registers.connection, newcomers) if newcomers else {}
    involved = {student.bytes for student in (*owners, *owners.values())}
    wanted: defaultdict[SchoolYear, dict[bytes, None]] = defaultdict(dict)
    for student, key in registers.arrived:
        if student in involved:
            wanted[key][student] = None
    if wanted:
        await settle(registers, wanted)


async def settle(registers: Registers, wanted: Wanted) -> None:
    """Let the newest of all numbers' marks of a day stand for the child; equal versions: absence before presence."""
    asked = {uuid_of(student) for students in wanted.values() for student in students}
    owners = await rosters.owners_of(registers.connection, asked)
    families = {key: _families(owners, students) for key, students in wanted.items()}
    await registers.open_students({key: {*found, *chain(*found.values())} for key, found in families.items()})
    newcomers: list[Member] = []
    for key, found in families.items():
        school = registers.schools[key]
        days = _days(wanted[key])
        _admit_children(registers, school, found, newcomers)
        here = {
            child: [each for each in family if each in school.index]
            for child, family in found.items()
            if child in school.index
        }
        pages = await _roll_pages(registers, school, here.values(), days)
        joined = {each for family in here.values() if len(family) > 1 for each in family}
        for student, family in here.items():
            _settle_student(school, student, family, pages, days)
            page, at = school.page_of(student)
            page.traits[at] = page.traits[at] | JOINED if student in joined else page.traits[at] & ~JOINED
            page.is_changed = True
    await rosters.save_members(registers.connection, newcomers)


def _families(owners: Mapping[UUID, UUID], students: Collection[bytes]) -> dict[bytes, tuple[bytes, ...]]:
    """Give the numbers whose marks speak of each: of a child all of theirs, of a number that is another's none."""
    owner_of = {number.bytes: owner.bytes for number, owner in owners.items()}
    numbers_of: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for number, owner in owner_of.items():
        numbers_of[owner].append(number)
    children = {owner_of.get(each, each) for each in students}
    of_children = {child: (child, *numbers_of[child]) for child in children if child not in owner_of}
    of_numbers = {number: () for number, owner in owner_of.items() if owner in children}
    return of_children | of_numbers


def _admit_children(
    registers: Registers, school: School, families: Mapping[bytes, tuple[bytes, ...]], newcomers: list[Member]
) -> None:
    """Give a child a place where only another number of theirs has one."""
    for child, family in families.items():
        if child not in school.index and any(each in school.index for each in family):
            page, _ = school.admit(child)
            registers.arrived.add((child, school.key))
            place = school.key.school_year, school.key.school, school.key.district
            newcomers.append(Member(uuid_of(child), *place, page.number))


def _days(wanted: Mapping[bytes, Collection[date] | None]) -> set[date] | None:
    days: set[date] = set()
    for each in wanted.values():
        if each is None:
            return None
        days.update(each)
    return days


async def _roll_pages(
    registers: Registers, school: School, families: Iterable[list[bytes]], days: set[date] | None
) -> dict[RollKey, RollPage]:
    """Read the roll pages of the families' register pages: of the days that are asked for, or of the whole year."""
    numbers = {school.page_of(each)[0].number for family in families for each in family}
    if days is None:
        return await rolls.read_school(registers.connection, school.key, numbers)
    keys = [RollKey(school.key.district, school.key.school, day, number) for day in days for number in numbers]
    return await rolls.read_pages(registers.connection, keys)


def _settle_student(
    school: School, student: bytes, family: list[bytes], pages: Mapping[RollKey, RollPage], days: set[date] | None
) -> None:
    newest: dict[date, Mark] = {}
    for key, roll_page in pages.items():
        for each in family:
            mark = roll_page.marks.get(each)
            if mark is not None and (key.school_day not in newest or mark.beats(newest[key.school_day])):
                newest[key.school_day] = mark
    first = first_day_of(school.key.school_year)
    settled = ALL_DAYS if days is None else sum(1 << (day - first).days for day in days)
    page, at = school.page_of(student)
    page.remember()
    page.marked[at] &= ~settled
    page.missed[at] &= ~settled
    for day, mark in newest.items():
        place = (day - first).days
        page.marked[at] |= bool(mark.code) << place
        page.missed[at] |= mark.is_missed << place
