"""Where a student counts, recomputed from enrolments and absences alone, in plain sets: DOMAIN's words, day by day.

Within a district a day that two enrolments claim goes to the later entry (equal entry: the larger stint), a student
counts once, at the school entered last on or before the as-of day, with the district's days; in the state a person
counts once with the days of all districts, and who has no state number stands for themselves.
"""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from uuid import UUID

from contracts import events
from tests.component.reporting.tallied import Month, months

FIRST_DAY, LAST_DAY = date(2026, 9, 1), date(2026, 11, 30)
SEPTEMBER, OCTOBER, NOVEMBER = (date(2026, month, 1) for month in (9, 10, 11))
END = {SEPTEMBER: date(2026, 9, 30), OCTOBER: date(2026, 10, 31), NOVEMBER: LAST_DAY}
DAYS = [FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1)]


@dataclass(frozen=True, kw_only=True)
class Stint:
    """An enrolment at one school; the exit day doesn't count."""

    school: str
    entry: date
    stint: str
    exit: date | None = None

    def covers(self, day: date) -> bool:
        return self.entry <= day and (self.exit is None or day < self.exit)


@dataclass(frozen=True, kw_only=True)
class Child:
    """A student of one district; `person` is the state's number, if the district sent it."""

    key: UUID
    district: str
    grade: str
    stints: tuple[Stint, ...]
    absent: frozenset[date]
    person: int | None = None

    def stint_of(self, day: date) -> Stint | None:
        claims = [each for each in self.stints if each.covers(day) and teaches(each.school, day)]
        return max(claims, key=lambda each: (each.entry, each.stint), default=None)

    def days(self, *, until: date) -> tuple[int, int]:
        enrolled = {day for day in DAYS if day <= until and self.stint_of(day)}
        return len(enrolled), len(enrolled & self.absent)

    def school(self, *, as_of: date) -> str:
        entered = [each for each in self.stints if each.entry <= as_of]
        return max(entered, key=lambda each: (each.entry, each.stint)).school


def teaches(school: str, day: date) -> bool:
    """Monday to Friday; a school whose code ends in 2 not on Wednesdays."""
    return day.weekday() < 5 and not (school.endswith("2") and day.weekday() == 2)


@dataclass
class Counted:
    """Students and chronically absent ones of K to 12 with ten days or more."""

    by_school: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    by_state: Counter[tuple[str, str]] = field(default_factory=Counter)


def counted(children: list[Child], *, as_of: date) -> Counted:
    """Count as of a day: by district, school, grade and figure; and persons by grade and figure."""
    found, persons = Counted(), defaultdict[object, list[Child]](list)
    for child in children:
        if not any(each.entry <= as_of for each in child.stints):
            continue
        persons[child.key if child.person is None else child.person].append(child)
        for figure in figures(*child.days(until=as_of)):
            found.by_school[child.district, child.school(as_of=as_of), child.grade, figure] += 1
    for same in persons.values():
        newest = max(same, key=lambda child: max(each.entry for each in child.stints if each.entry <= as_of))
        days = [child.days(until=as_of) for child in same]
        for figure in figures(sum(each[0] for each in days), sum(each[1] for each in days)):
            found.by_state[newest.grade, figure] += 1
    return found


def figures(enrolled: int, absent: int) -> list[str]:
    """In which figures somebody with these days counts."""
    if enrolled < 10:
        return []
    return ["students", "chronic"] if Fraction(absent, enrolled) >= Fraction(1, 10) else ["students"]


def tallied(child: Child, *, version: int) -> list[events.StudentMonthsTallied]:
    """The child's months as flagging tells them: each day once, and each school entered, also without a day."""
    told = []
    for month, end in END.items():
        claimed = Counter(claim.school for day in DAYS if month <= day <= end and (claim := child.stint_of(day)))
        missed = Counter(claim.school for day in child.absent if month <= day <= end and (claim := child.stint_of(day)))
        for school in sorted({each.school for each in child.stints if each.entry <= end}):
            entered = max(each.entry for each in child.stints if each.school == school and each.entry <= end)
            if claimed[school] or entered >= month:
                place = Month(child.key, claimed[school], missed[school], child.person, child.grade, entered)
                told.append(months(place, version=version, district=child.district, school=school, month=month))
    return told


def a_world(chance: random.Random, *, children: int) -> list[Child]:
    """Movers within and across districts, dual enrolments, children without a number, short stays."""
    world = []
    for number in range(children):
        person = number if chance.random() < 0.8 else None
        one = _a_child(chance, number, "hartford", person, since=FIRST_DAY)
        if chance.random() < 0.4:
            left = chance.choice(DAYS[1:-1])
            stayed = [each for each in one.stints if each.entry < left]
            one = replace(one, stints=tuple(replace(each, exit=min(each.exit or left, left)) for each in stayed))
            world.append(_a_child(chance, 1000 + number, chance.choice(("danbury", "windham")), person, since=left))
        world += [one] if one.stints else []
    return world


def _a_child(chance: random.Random, number: int, district: str, person: int | None, *, since: date) -> Child:
    here, there = chance.sample([f"{district[0].upper()}{n:02}" for n in (1, 2, 3)], 2)
    days = [day for day in DAYS if day >= since]
    entry, moved, back = sorted(chance.choices(days, k=3))
    first, second = Stint(school=here, entry=entry, stint="a"), Stint(school=there, entry=moved, stint="b")
    stints = {
        "stays": (first,),
        "moves": (replace(first, exit=moved), second),
        "two schools": (first, second),
        "both from one day": (first, replace(second, entry=entry)),
        "comes back": (replace(first, exit=moved), replace(second, exit=back), replace(first, entry=back, stint="c")),
    }
    often = chance.choice((0.02, 0.09, 0.12, 0.3))
    return Child(
        key=UUID(int=0x0A << 120 | number),
        district=district,
        grade=chance.choice(("K", "3", "7", "11")),
        stints=tuple(
            each for each in stints[chance.choice(list(stints))] if each.exit is None or each.entry < each.exit
        ),
        absent=frozenset(day for day in DAYS if chance.random() < often),
        person=person,
    )
