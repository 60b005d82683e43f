"""The flags of the few whose standing moved: judged over all their enrolments, with the year before."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from contracts.calendar import school_year_of
from services.flagging import telling
from services.flagging.handlers import enrolling
from services.flagging.handlers.tallying import Moved
from services.flagging.handlers.work import Work
from services.flagging.rules import absence, packing
from services.flagging.rules.absence import Level, Policy, StintDays
from services.flagging.rules.page import CHRONIC_BEFORE, KNOWN_BEFORE, SHARED, WATCHED, Days, Page
from services.flagging.rules.register import School, SchoolYear
from services.flagging.store import flags, policies, rosters, transfers
from services.flagging.store.flags import Flag
from services.flagging.store.registers import Registers
from services.flagging.store.rosters import Member, Stint
from services.flagging.store.transfers import Person, StudentYear
from services.flagging.telling import Crossing, Figures
from services.runtime.database import uuid_of


class Place(NamedTuple):
    """Where a student stands in a school's register."""

    school: School
    page: Page
    at: int


class Known(NamedTuple):
    """All that is known of the students who are to be judged, by student and school year."""

    places: dict[StudentYear, list[Place]]
    stints: dict[UUID, list[Stint]]
    flags: dict[StudentYear, Flag]
    persons: dict[StudentYear, UUID]
    taken_in: set[StudentYear]
    """Whom another district, both confirmed it, knows as chronically absent in the year before."""

    def parts(self, who: StudentYear) -> list[tuple[Stint, StintDays]]:
        """Give each stint's days of the year, as its school's register has them."""
        found: list[tuple[Stint, StintDays]] = []
        by_marks: list[tuple[Place, Days]] = []
        for place in self.places.get(who, ()):
            school, page, at = place
            days = school.days(page, at)
            here = [stint for stint in self.stints.get(who[0], ()) if stint.place == school.key[:2]]
            here = [stint for stint in here if stint.touches(who[1])]
            for stint in here:
                of_stint = school.days_of_stint(page, at, days, inside=stint.days_in(who[1]), track=stint.track)
                found.append((stint, _stint_days(stint, of_stint)))
            if not here and days.counted:
                by_marks.append((place, days))
        entries = {days.entry_date for _, days in found if school_year_of(days.entry_date) == who[1]}
        for place, days in by_marks:
            found += _enrolled_by_marks(who, place, days, entries)
        return sorted(found, key=lambda each: (each[0].entry_date, each[0].stint, each[0].school))


class Verdict(NamedTuple):
    """What a student's days of a school year say by the policy in force."""

    level: Level
    counted: int
    absent: int
    stint: Stint | None
    policy: Policy
    chronic_last_year: bool | None


def whom_to_ask(students: Iterable[tuple[bytes, int]]) -> set[StudentYear]:
    """Name the student years to be judged: the year after too, which asks whether this one was chronic."""
    return {(uuid_of(student), year + n) for student, year in students for n in (0, 1)}


async def judge(work: Work, asked: Collection[StudentYear]) -> tuple[list[Figures], dict[School, Moved]]:
    """Bring the flags of everybody who is asked for up to their days.

    Tells crossings, gives the figures of those who were flagged this year and crossed nothing, and what moved at a
    school because days went to another.
    """
    known = await _know(work.registers, asked)
    figures: list[Figures] = []
    crossed: list[tuple[Flag, int]] = []
    chronic: dict[StudentYear, Person | None] = {}
    yielded: defaultdict[School, Moved] = defaultdict(Moved)
    for who in sorted(asked):
        if who not in known.places and who not in known.flags:
            continue
        parts = known.parts(who)
        _settle_shared(known.places.get(who, []), parts, yielded)
        verdict = _verdict(work, known, who, parts)
        person = known.persons.get(who)
        is_chronic = absence.was_chronic(parts=[days for stint, days in parts if stint.grade != "PK"])
        # Of a student whom no person is known of any more, what was kept is taken back.
        chronic[who] = Person(person, known.places[who][-1].school.key.district) if person and is_chronic else None
        _tell(work, known, who, verdict, crossed, figures)
    await flags.save(work.registers.connection, crossed)
    await transfers.keep_chronic(work.registers.connection, chronic)
    return figures, yielded


async def _know(registers: Registers, asked: Collection[StudentYear]) -> Known:
    students = sorted({student for student, _ in asked})
    years = {(student, year - n) for student, year in asked for n in (0, 1)}
    members: list[Member] = [
        member
        for found in (await rosters.members_of(registers.connection, students)).values()
        for member in found
        if (member.student_key, member.school_year) in years
    ]
    keys = [member.key for member in members]
    await enrolling.make_pages(registers, await registers.open_schools(keys))
    await registers.open_pages({(key, member.page) for key, member in zip(keys, members, strict=True)})
    places: defaultdict[StudentYear, list[Place]] = defaultdict(list)
    for key, member in zip(keys, members, strict=True):
        school = registers.schools[key]
        places[member.student_key, member.school_year].append(Place(school, *school.page_of(member.student_key.bytes)))
    return Known(
        dict(places),
        await rosters.stints_of(registers.connection, students),
        await flags.read(registers.connection, students),
        {(m.student_key, m.school_year): m.person_key for m in members if m.person_key is not None},
        await transfers.taken_in_chronic(registers.connection, students),
    )


def _stint_days(stint: Stint, days: Days) -> StintDays:
    return StintDays(
        school=stint.school, stint=stint.stint, entry_date=stint.entry_date, counted=days.counted, absent=days.absent
    )


def _enrolled_by_marks(
    who: StudentYear, place: Place, days: Days, entries: Iterable[date]
) -> Iterator[tuple[Stint, StintDays]]:
    """Enrol a student by marks, each for its day: that is later than any entry but one of that very day."""
    key = place.school.key
    rest = days.counted
    for entry in entries:
        if (day := absence.day_bit(day=entry)) & rest:
            stint = Stint.of_marks(who[0], key.district, key.school, entry)
            yield stint, _stint_days(stint, Days(day, days.absent & day))
            rest &= ~day
    stint = Stint.of_marks(who[0], key.district, key.school, date.max)
    yield stint, _stint_days(stint, Days(rest, days.absent & rest))


def _settle_shared(
    places: Sequence[Place], parts: Sequence[tuple[Stint, StintDays]], yielded: defaultdict[School, Moved]
) -> None:
    """Set what each of several schools yields to a later enrolment elsewhere, and remember what moved by it."""
    own = absence.own_days(parts=[days for _, days in parts]) if len(places) > 1 else {}
    for school, page, at in places:
        now = school.days(page, at).counted & ~own.get(school.key.school, 0) if len(places) > 1 else 0
        is_shared = len(places) > 1 or len({stint.grade == "PK" for stint, _ in parts}) > 1
        traits = page.traits[at] & ~SHARED | SHARED * is_shared
        moved = page.yielded[at] ^ now
        if moved or traits != page.traits[at]:
            page.yielded[at], page.traits[at], page.is_changed = now, traits, True
        if moved:
            corrected = moved & school.closed
            yielded[school].add(Moved(moved, [(page, at, corrected)] if corrected else []))


def _verdict(work: Work, known: Known, who: StudentYear, parts: Sequence[tuple[Stint, StintDays]]) -> Verdict:
    older = [(stint, days) for stint, days in parts if stint.grade != "PK"]
    last_year = [days for stint, days in known.parts((who[0], who[1] - 1)) if stint.grade != "PK"]
    chronic_last_year = True if who in known.taken_in else absence.was_chronic(parts=last_year)
    counted = 0
    for _, days in older:
        counted |= days.counted
    district = older[-1][0].district if older else ""
    policy = work.decisions.of(district, telling.last_day(counted or 1, who[1]))
    level, counted, absent, latest = absence.judged(
        parts=[days for _, days in older], chronic_last_year=bool(chronic_last_year), policy=policy
    )
    stint = next((s for s, days in older if days is latest), None)
    return Verdict(level, counted, absent, stint, policy, chronic_last_year)


def _tell(
    work: Work,
    known: Known,
    who: StudentYear,
    verdict: Verdict,
    crossed: list[tuple[Flag, int]],
    figures: list[Figures],
) -> None:
    """Compare the verdict with what was last told; a crossing is told at once, figures are given back."""
    student, year = who
    was = known.flags.get(who)
    former = was.level if was else 0
    places = known.places.get(who, [])
    district = places[-1].school.key.district if places else was.district if was else ""
    status = work.decisions.status(district)
    level = int(verdict.level)
    if status == policies.REHEARSAL:
        _keep(places, former, verdict, is_watched=False)
        return
    if status == policies.PAUSED and level > former:
        # A raise waits; the figures of who was flagged do not.
        level = former
        verdict = verdict._replace(level=Level(former))
    household = verdict.stint.household_key if verdict.stint else None
    has_moved = level > 0 and household is not None and household != ((was and was.household_key) or student)
    _keep(places, level, verdict, is_watched=level > 0 or was is not None)
    flag = _flag(who, district, verdict, was)
    if level != former or has_moved:
        moment = work.moment(district)
        flag = flag._replace(version=moment.version)
        crossed.append((flag, former))
        work.tell(telling.FLAGS, district, telling.crossing(moment, _crossing(flag, verdict, was)))
    elif was is not None:
        figures.append(
            Figures(
                student.bytes, SchoolYear(district, flag.school, year), _grade(verdict),
                level, verdict.counted, verdict.absent, flag.as_of, flag.policy_version, verdict.chronic_last_year,
            )
        )  # fmt: skip


def _grade(verdict: Verdict) -> str | None:
    return (verdict.stint.grade or None) if verdict.stint else None


def _keep(places: Sequence[Place], level: int, verdict: Verdict, *, is_watched: bool) -> None:
    """Keep beside the student's days what was told and what is known of last year: the next batch asks for no more."""
    for _, page, at in places:
        traits = page.traits[at] & ~(CHRONIC_BEFORE | KNOWN_BEFORE)
        traits |= WATCHED * is_watched
        if verdict.chronic_last_year is not None:
            traits |= KNOWN_BEFORE | CHRONIC_BEFORE * verdict.chronic_last_year
        if (traits, level) != (page.traits[at], page.levels[at]):
            page.traits[at], page.levels[at], page.is_changed = traits, level, True


def _flag(who: StudentYear, district: str, verdict: Verdict, was: Flag | None) -> Flag:
    """Make the flag of a verdict; where no enrolment has days any more, school, household and day stay as they were."""
    student, year = who
    household = verdict.stint.household_key if verdict.stint else None
    return Flag(
        student_key=student,
        school_year=year,
        district=district,
        school=verdict.stint.school if verdict.stint else was.school if was else "",
        household_key=household or (was.household_key if was else None),
        level=int(verdict.level),
        version=0,
        days_absent=verdict.absent.bit_count(),
        days_enrolled=verdict.counted.bit_count(),
        as_of=telling.last_day(verdict.counted, year) if verdict.counted or was is None else was.as_of,
        policy_version=verdict.policy.version,
        absent=packing.pack_set(verdict.absent),
    )


def _crossing(flag: Flag, verdict: Verdict, was: Flag | None) -> Crossing:
    return Crossing(
        student_key=flag.student_key,
        household_key=flag.household_key,
        school=flag.school,
        school_year=flag.school_year,
        grade=_grade(verdict),
        accumulator=verdict.policy.accumulator,
        level=flag.level,
        previous_level=was.level if was else 0,
        counted=verdict.counted,
        absent=verdict.absent,
        absent_before=packing.unpack_set(was.absent) if was else 0,
        as_of=flag.as_of,
        policy_version=flag.policy_version,
        chronic_last_year=verdict.chronic_last_year if verdict.stint else None,
        first_reached=_first_reached(flag, verdict, verdict.level),
        first_flagged=_first_reached(flag, verdict, Level.at_risk),
    )


def _first_reached(flag: Flag, verdict: Verdict, level: Level) -> date | None:
    if not flag.level:
        return None
    day = absence.first_reached(
        counted=verdict.counted,
        absent=verdict.absent,
        reached=level,
        chronic_last_year=bool(verdict.chronic_last_year),
        policy=verdict.policy,
    )
    return telling.last_day(day, flag.school_year) if day else flag.as_of
