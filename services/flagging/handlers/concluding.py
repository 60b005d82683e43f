"""What follows from a batch: whose flag changes, whose figures are told, which days and months are tallied anew."""

from collections import defaultdict
from datetime import date

from services.flagging import telling
from services.flagging.handlers import judging, tallying
from services.flagging.handlers.tallying import Moved
from services.flagging.handlers.work import Work
from services.flagging.rules import register
from services.flagging.rules.absence import Policy
from services.flagging.rules.page import CHRONIC_BEFORE, KNOWN_BEFORE, PK, SHARED, WATCHED, Days, Page
from services.flagging.rules.register import School, Student
from services.flagging.store import rosters
from services.flagging.store.registers import Registers
from services.flagging.store.transfers import StudentYear
from services.flagging.telling import Figures
from services.runtime.database import uuid_of


async def conclude(work: Work, *, today: date | None = None) -> None:
    """Judge, tell and write everything that follows from what changed in the registers.

    `today` closes months that have waited long enough; without it only complete ones close.
    """
    registers = work.registers
    moved: defaultdict[School, Moved] = defaultdict(Moved)
    of_pages: list[Figures] = []
    of_judged: list[Figures] = []
    for school in list(registers.schools.values()):
        moved[school].add(_follow(work, school, of_pages))
    _hear_of_others(registers, moved)
    await _judge_newcomers_elsewhere(registers)
    judged: set[StudentYear] = set()
    while asked := judging.whom_to_ask(registers.to_judge) - judged:
        known = set(registers.schools)
        fresh, yielded = await judging.judge(work, asked)
        judged |= asked
        of_judged += fresh
        for school, by_others in yielded.items():
            moved[school].add(by_others)
        # Judging may have had to make the pages of schools that were carried over: what follows from them comes next.
        for key in registers.schools.keys() - known:
            moved[registers.schools[key]].add(_follow(work, registers.schools[key], of_pages))
        await _judge_newcomers_elsewhere(registers)
    # Whoever was judged is told by the verdict, with all enrolments, and not by one page.
    by_verdict = {(student.bytes, year) for student, year in judged}
    of_others = [each for each in of_pages if (each.student, each.key.school_year) not in by_verdict]
    for district, told in telling.figures(work.moment, [*of_judged, *of_others]):
        work.tell(telling.FLAGS, district, told)
    await tallying.tell_days(work, moved, today)
    await tallying.tell_months(work, moved, today)
    await registers.save()


def _hear_of_others(registers: Registers, moved: dict[School, Moved]) -> None:
    """Tell the months of students anew who are another person by now, or entered on another day; and judge them."""
    for student, key in registers.renamed:
        school = registers.schools[key]
        if school.closed:
            moved[school].corrected.append((*school.page_of(student), school.closed))
        registers.to_judge.add((student, key.school_year))


async def _judge_newcomers_elsewhere(registers: Registers) -> None:
    """Judge the newcomers who are at another school too: days of theirs may be claimed twice."""
    newcomers = {(uuid_of(student), key.school_year) for student, key in registers.arrived - registers.looked_at}
    registers.looked_at |= registers.arrived
    for student, year in await rosters.at_several_schools(registers.connection, newcomers):
        registers.to_judge.add((student.bytes, year))


def _follow(work: Work, school: School, figures: list[Figures]) -> Moved:
    """Find who is to be judged, collect the figures of the watched, and say what moved."""
    decisions = work.decisions.count(school.key.district)
    is_another_policy = school.is_whole and school.decisions != decisions
    is_told = work.is_told(school)
    days = 0
    corrected: list[tuple[Page, int, int]] = []
    for student in register.moved_students(school, everybody=is_another_policy):
        page, at, counted_days, moved = student
        policy = work.policy(school, counted_days.counted)
        traits = page.traits[at]
        days |= moved
        if moved & school.closed:
            corrected.append((page, at, moved & school.closed))
        is_watched = traits & WATCHED and (moved or is_another_policy)
        # By this page alone nobody can tell what another policy makes of somebody in whose year others weigh in.
        is_open = is_another_policy and bool(traits & SHARED)
        if register.is_to_be_judged(student, policy) or is_open or (is_watched and _needs_more(page, at, counted_days)):
            work.registers.to_judge.add((page.keys[at], school.key.school_year))
        elif is_watched and is_told:
            figures.append(_figures(school, student, policy))
    if is_another_policy:
        school.decisions = decisions
        school.is_changed = True
    return Moved(days, corrected)


def _needs_more(page: Page, at: int, days: Days) -> bool:
    """Say whether figures of a watched student take more than this page: pre-kindergarten is outside, for one."""
    return bool(page.traits[at] & SHARED) or page.grades[at] == PK or not days.counted


def _figures(school: School, student: Student, policy: Policy) -> Figures:
    page, at, days, _ = student
    traits = page.traits[at]
    return Figures(
        page.keys[at],
        school.key,
        telling.grade_of(page.grades[at]),
        page.levels[at],
        days.counted,
        days.absent,
        telling.last_day(days.counted, school.key.school_year),
        policy.version,
        bool(traits & CHRONIC_BEFORE) if traits & KNOWN_BEFORE else None,
    )
