"""Stints become enrolled days: of the students whom a batch of enrolments touches, and of a school that is new here."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from uuid import UUID

from services.flagging.handlers import joining
from services.flagging.rules.page import GRADES, NO_GRADE, PK, SEVERAL_TRACKS, SHARED, WATCHED, Page
from services.flagging.rules.register import School
from services.flagging.store import declared, flags, rolls, rosters, transfers
from services.flagging.store.registers import Registers
from services.flagging.store.rosters import Member, Stint


async def make_pages(registers: Registers, schools: Collection[School]) -> None:
    """Make the registers of schools that are new or were carried over: from members, enrolments and roll pages.

    Whoever is on them counts as moved by every day that counts, so all that follows is found and told.
    """
    stale = [school for school in schools if school.is_stale]
    if not stale:
        return
    for school, said in (await declared.read(registers.connection, stale)).items():
        school.declare(said.feed, enrols=said.enrols)
    stints: defaultdict[tuple[str, str], defaultdict[UUID, list[Stint]]] = defaultdict(lambda: defaultdict(list))
    places = {school.key[:2] for school in stale}
    for stint in await rosters.stints_of_schools(registers.connection, sorted(places)):
        stints[stint.district, stint.school][stint.student_key].append(stint)
    members: list[Member] = []
    for school in stale:
        school.is_whole = school.is_changed = True
        school.is_stale = False
        if not school.is_new:
            await _place_members(registers, school)
        members += _enrol(registers, school, stints[school.key[:2]])
        if not school.is_new:
            await _read_marks(registers, school)
            await _read_flags(registers, school)
            school.before = school.terms._replace(completed=0)
            school.is_told_anew = True
    registers.renamed |= await rosters.save_members(registers.connection, members)
    # An enrolment at another school may name the number: every newcomer is asked for.
    await joining.settle_newcomers(registers)


async def enrol(registers: Registers, touched: rosters.Touched) -> None:
    """Set the enrolled days of these students anew; their pages are in the hand."""
    everybody = {student for students in touched.students.values() for student in students}
    stints = await rosters.stints_of(registers.connection, everybody)
    members: list[Member] = []
    for key, students in touched.students.items():
        place = key[:2]
        at_school = {
            student: [stint for stint in stints.get(student, ()) if stint.place == place] for student in students
        }
        members += _enrol(registers, registers.schools[key], at_school)
    registers.renamed |= await rosters.save_members(registers.connection, members)
    if touched.numbers:
        await joining.settle_numbers(registers, touched.numbers, everybody)


def _enrol(registers: Registers, school: School, stints: Mapping[UUID, Sequence[Stint]]) -> Iterable[Member]:
    """Set the enrolled days of students from their stints at the school, and give the faces that changed."""
    year = school.key.school_year
    for student, every in stints.items():
        here = sorted([stint for stint in every if stint.touches(year)], key=attrgetter("entry_date", "stint"))
        key = student.bytes
        if key not in school.index:
            if not here:
                continue
            school.admit(key)
            registers.arrived.add((key, school.key))
        page, at = school.page_of(key)
        page.remember()
        _set_face(school, page, at, here)
        if page.traits[at] & (SHARED | WATCHED) or page.levels[at]:
            registers.to_judge.add((key, year))
        latest = here[-1] if here else None
        yield Member(
            student, year, school.key.school, school.key.district, page.number,
            *(() if latest is None else (latest.entry_date, latest.grade, latest.household_key, latest.person_key)),
        )  # fmt: skip


def _set_face(school: School, page: Page, at: int, stints: Sequence[Stint]) -> None:
    page.is_changed = True
    page.touched.add(at)
    tracks = {school.track_number(stint.track) for stint in stints}
    enrolled = 0
    for stint in stints:
        days = stint.days_in(school.key.school_year)
        enrolled |= days & school.terms.calendars[school.track_number(stint.track)] if len(tracks) > 1 else days
    page.enrolled[at] = enrolled
    page.grades[at] = GRADES.index(stints[-1].grade) if stints else NO_GRADE
    page.tracks[at] = SEVERAL_TRACKS if len(tracks) > 1 else max(tracks, default=0)
    if len({stint.grade == GRADES[PK] for stint in stints}) > 1:
        page.traits[at] |= SHARED  # days in pre-kindergarten are outside: the stints must be looked at


async def _place_members(registers: Registers, school: School) -> None:
    for student, number in await rosters.members_of_school(registers.connection, school.key):
        page = school.pages.get(number)
        if page is None:
            page = school.pages[number] = Page(number)
        page.remember()
        page.add(student.bytes)
        registers.arrived.add((student.bytes, school.key))
    for page in list(school.pages.values()):
        school.hold(page)


async def _read_marks(registers: Registers, school: School) -> None:
    for key, roll_page in (await rolls.read_school(registers.connection, school.key)).items():
        page = school.pages[key.page]
        place = school.place_of(key.school_day)
        page.rolls |= 1 << place
        school.expect(1 << place)
        for student, mark in roll_page.marks.items():
            at = page.places[student]
            page.marked[at] |= bool(mark.code) << place
            page.missed[at] |= mark.is_missed << place


async def _read_flags(registers: Registers, school: School) -> None:
    """Take over what was last told of students who were flagged in that year, or known as chronic: all are judged."""
    year = school.key.school_year
    chronic = await transfers.chronic_students(registers.connection, school.key.district, year)
    registers.to_judge |= {(student.bytes, year) for student in chronic if student.bytes in school.index}
    for flag in await flags.read_year(registers.connection, school.key.district, year):
        student = flag.student_key.bytes
        if student in school.index:
            page, at = school.page_of(student)
            page.traits[at] |= WATCHED
            page.levels[at] = flag.level
            registers.to_judge.add((student, year))
