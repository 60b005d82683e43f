"""What follows from a batch: whose flag changes, whose figures are told, which days and months are tallied anew."""

from datetime import date
from uuid import UUID

from services.flagging import telling
from services.flagging.handlers import judging, tallying
from services.flagging.handlers.tallying import Moved
from services.flagging.handlers.work import Work
from services.flagging.rules import register
from services.flagging.rules.absence import Policy
from services.flagging.rules.page import CHRONIC_BEFORE, KNOWN_BEFORE, SHARED, WATCHED, Page
from services.flagging.rules.register import School, Student
from services.flagging.store import rosters
from services.flagging.telling import Figures


async def conclude(work: Work, *, today: date | None = None) -> None:
    """Judge, tell and write everything that follows from what changed in the registers.

    `today` closes months that have waited long enough; without it only complete ones close.
    """
    registers = work.registers
    moved: dict[School, Moved] = {}
    figures: list[Figures] = []
    for school in list(registers.schools.values()):
        moved[school] = _follow(work, school, figures)
    for renamed, key in registers.renamed:
        school = registers.schools[key]
        if school.closed:
            before = moved.setdefault(school, Moved(0, []))
            before.corrected.append((*school.page_of(renamed), school.closed))
        registers.to_judge.add((renamed, key.school_year))
    for student, year in await rosters.at_several_schools(
        registers.connection, {(UUID(bytes=student), key.school_year) for student, key in registers.arrived}
    ):
        registers.to_judge.add((student.bytes, year))
    if registers.to_judge:
        asked = judging.whom_to_ask(registers.to_judge)
        judged, yielded = await judging.judge(work, asked)
        figures = [
            *judged,
            *(each for each in figures if (UUID(bytes=each.student), each.key.school_year) not in asked),
        ]
        for school, (days, students) in yielded.items():
            before = moved.setdefault(school, Moved(0, []))
            moved[school] = Moved(before.days | days, [*before.corrected, *students])
    for district, told in telling.figures(work.moment, figures):
        work.tell(telling.FLAGS, district, told)
    await tallying.tell_days(work, moved)
    await tallying.tell_months(work, moved, today)
    await registers.save()


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
        if register.is_to_be_judged(student, policy) or (is_watched and (traits & SHARED or not counted_days.counted)):
            work.registers.to_judge.add((page.keys[at], school.key.school_year))
        elif is_watched and is_told:
            figures.append(_figures(school, student, policy))
    if is_another_policy:
        school.decisions = decisions
        school.is_changed = True
    return Moved(days, corrected)


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
