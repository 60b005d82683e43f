"""What is true of every child, school and district on a day, from what has landed: dates, sets and integers.

Written from the domain's rules alone, by itself: nothing of the services is imported, and nothing of the tests' oracle.
It knows one school year, the standard policy, and feeds that complete their rolls, which is what the simulated state
has; of anything else it says that it was not foreseen.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from tests.pipeline.year.landed import Landed, Mark, SchoolDay, Stint, Unforeseen

MINIMUM_DAYS = 10
FIRST_DAYS, FIRST_ABSENCES = 20, 2
RECENT_DAYS = 20
CLOSES_ON_SCHOOL_DAY = 10
NONE, AT_RISK, CHRONIC, SEVERE = range(4)

Child = tuple[str, str]
"""District and the district's number; `state:` and the state's number where the district has none."""

School = tuple[str, str]


class CountedDay(NamedTuple):
    """A day that counts for a child, at the school that counts it."""

    day: date
    school: str
    absent: bool


class Recent(NamedTuple):
    """How it has been going over the child's last counted days."""

    last_20_absent: int
    last_20_counted: int
    before_20_absent: int
    before_20_counted: int
    spell: int


class Tally(NamedTuple):
    """Days of a child in a month, or students on a day."""

    counted: int
    absent: int


class Share(NamedTuple):
    """Students who have been enrolled long enough, and those of them who are chronically absent."""

    students: int
    chronic: int


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One child in one district on the as-of day."""

    stints: tuple[Stint, ...]
    days: tuple[CountedDay, ...]
    by_school: Mapping[str, tuple[CountedDay, ...]]
    """Days as each school counts them, where nothing of another school is laid over."""

    @property
    def newest(self) -> Stint:
        """Give the stint entered last."""
        return self.stints[-1]

    @property
    def as_of(self) -> date | None:
        """Give the last day that counts; None before the first."""
        return self.days[-1].day if self.days else None

    @property
    def school(self) -> str:
        """Name the school entered last on or before the as-of day."""
        entered = [stint for stint in self.stints if self.as_of is None or stint.entry <= self.as_of]
        return (entered or self.stints)[-1].school

    @property
    def grade(self) -> str:
        """Give the grade where the child was entered last."""
        return self.newest.grade

    @property
    def absent_days(self) -> list[date]:
        """List the days missed, oldest first."""
        return [each.day for each in self.days if each.absent]

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Give the level after each counted day, by the facts of today."""
        return tuple(_levels((each.absent for each in self.days), grade=self.grade))

    @property
    def level(self) -> int:
        """Give the level after the last counted day."""
        return self.levels[-1] if self.levels else NONE

    @property
    def ever(self) -> bool:
        """Tell whether the child was at any level on any day of the year, by the facts of today."""
        return any(self.levels)

    @property
    def first_flagged(self) -> date | None:
        """Give the first school day after which the child was at any level, by the facts of today."""
        return next((day.day for day, level in zip(self.days, self.levels, strict=True) if level), None)

    @property
    def first_reached(self) -> date | None:
        """Give the school day on which today's level was reached first; None without one."""
        if self.level == NONE:
            return None
        reached = next(at for at, level in enumerate(self.levels) if level >= self.level)
        return self.days[reached].day

    @property
    def recent(self) -> Recent:
        """Count the last twenty counted days, the twenty before, and the days missed in a row up to the last."""
        absent = [each.absent for each in self.days]
        last, before = absent[-RECENT_DAYS:], absent[-2 * RECENT_DAYS : -RECENT_DAYS]
        spell = next((at for at, missed in enumerate(reversed(absent)) if not missed), len(absent))
        return Recent(sum(last), len(last), sum(before), len(before), spell)

    def until(self, day: date) -> Tally:
        """Count the days up to and including a day."""
        days = [each for each in self.days if each.day <= day]
        return Tally(len(days), sum(each.absent for each in days))


def is_chronic(days: Tally) -> bool:
    """Hold absences against the tenth of the days, once there are enough of them."""
    return days.counted >= MINIMUM_DAYS and 10 * days.absent >= days.counted


def _levels(absences: Iterable[bool], *, grade: str) -> Iterator[int]:
    absent = early = 0
    for counted, missed in enumerate(absences, start=1):
        absent += missed
        early += missed and counted <= FIRST_DAYS
        if grade == "PK":
            yield NONE
        elif counted >= MINIMUM_DAYS and 5 * absent >= counted:
            yield SEVERE
        elif counted >= MINIMUM_DAYS and 10 * absent >= counted:
            yield CHRONIC
        elif early >= FIRST_ABSENCES and (counted <= FIRST_DAYS or 20 * absent >= counted):
            yield AT_RISK
        else:
            yield NONE


class Taught(NamedTuple):
    """A school day up to today: whether its roll is complete, and whether a mark counts before that."""

    day: date
    complete: bool
    full: bool


@dataclass(kw_only=True)
class Checker:
    """The truth on a day. `order_of` orders stints of equal entry by the id that is told, a hash of the source's."""

    landed: Landed
    today: date
    order_of: Callable[[Stint], str] = lambda stint: stint.code
    _numbers: dict[Child, set[str]] = field(default_factory=dict)
    _taught: dict[tuple[str, str, str | None], list[Taught]] = field(default_factory=dict)
    _closed: dict[tuple[School, date], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what there is no rule for here."""
        if len({year for _, _, year, _ in self.landed.calendars}) > 1:
            raise Unforeseen("a second school year")
        if self.landed.latest > self.today:
            raise Unforeseen(f"a fact of {self.landed.latest}, which is to come on {self.today}")

    @cached_property
    def children(self) -> dict[Child, Judged]:
        """Judge every child with an enrolment that has begun."""
        standing = [stint for stint in self.landed.stints.values() if not stint.withdrawn]
        own_number: dict[Child, str] = {}
        for stint in sorted(standing, key=lambda each: (each.version, each.code)):
            if stint.number and stint.state_number:  # the newest enrolment that names both decides
                own_number[stint.district, f"state:{stint.state_number}"] = stint.number
        for (district, state_number), number in own_number.items():
            self._numbers.setdefault((district, number), set()).add(state_number)

        stints: defaultdict[Child, list[Stint]] = defaultdict(list)
        for stint in standing:
            if stint.entry <= self.today:
                named = (stint.district, stint.child)
                stints[stint.district, own_number.get(named, stint.child)].append(stint)
        return {child: self._judge(child, of_child) for child, of_child in sorted(stints.items())}

    def _judge(self, child: Child, stints: list[Stint]) -> Judged:
        stints.sort(key=lambda stint: (stint.entry, self.order_of(stint)))
        days: dict[date, CountedDay] = {}
        by_school: defaultdict[str, dict[date, CountedDay]] = defaultdict(dict)
        for stint in stints:  # the later entry comes later, and takes the day
            marks = self._marks_of(child, stint.school)
            for day, complete, full in self._days_taught(stint.district, stint.school, stint.track):
                mark = marks.get(day)
                told = mark is not None and mark.absent is not None
                if stint.covers(day) and (complete or (full and told)):
                    counted = CountedDay(day, stint.school, mark is not None and mark.absent is True)
                    days[day] = by_school[stint.school][day] = counted
        return Judged(
            stints=tuple(stints),
            days=tuple(days[day] for day in sorted(days)),
            by_school={school: tuple(of[day] for day in sorted(of)) for school, of in by_school.items()},
        )

    def _marks_of(self, child: Child, school: str) -> Mapping[date, Mark]:
        district, number = child
        own = self.landed.marks.get((district, school, number), {})
        found = dict(own) if child in self._numbers else own
        for state_number in self._numbers.get(child, ()):
            for day, mark in self.landed.marks.get((district, school, state_number), {}).items():
                # Of two marks the newest, then the absence.
                if day not in found or _rank(found[day]) < _rank(mark):
                    found[day] = mark
        return found

    def _days_taught(self, district: str, school: str, track: str | None) -> list[Taught]:
        where = (district, school, track)
        if where not in self._taught:
            self._taught[where] = sorted(self._look_up(district, school, track))
        return self._taught[where]

    def _look_up(self, district: str, school: str, track: str | None) -> Iterator[Taught]:
        calendar = self._calendar(district, school, track)
        days = {at.day for at in self.landed.rolls if at[:2] == (district, school)} if calendar is None else calendar[2]
        for day in days:
            if day <= self.today:
                roll = self.landed.rolls.get(SchoolDay(district, school, day))
                complete = roll is not None and roll.complete
                if calendar is not None or complete:
                    feed = roll.feed if roll else calendar[1] if calendar else ""
                    yield Taught(day, complete, feed == "full")

    def _calendar(self, district: str, school: str, track: str | None) -> tuple[int, str, frozenset[date]] | None:
        """Find the calendar of a school's track, else the school's own; None until one comes."""
        of_school = {
            key[3]: calendar for key, calendar in self.landed.calendars.items() if key[:2] == (district, school)
        }
        return of_school.get(track, of_school.get(None))

    @cached_property
    def school_days(self) -> dict[SchoolDay, Tally]:
        """Count the students of every school's day, and those absent: each child at the school that counts the day.

        Of days whose roll is complete: before that a full feed's mark counts for its child, and the day is not over.
        """
        counted: defaultdict[SchoolDay, list[bool]] = defaultdict(list)
        for (district, _), child in self.children.items():
            for each in child.days:
                where = SchoolDay(district, each.school, each.day)
                if (roll := self.landed.rolls.get(where)) and roll.complete:
                    counted[where].append(each.absent)
        return {where: Tally(len(absences), sum(absences)) for where, absences in counted.items()}

    @cached_property
    def months(self) -> dict[tuple[School, date], dict[str, Tally]]:
        """Count each child's days of every month that has closed at a school."""
        found: defaultdict[tuple[School, date], dict[str, Tally]] = defaultdict(dict)
        for (district, number), child in self.children.items():
            days: defaultdict[tuple[str, date], list[bool]] = defaultdict(list)
            for each in child.days:
                days[each.school, each.day.replace(day=1)].append(each.absent)
            for (school, month), absences in days.items():
                if self.is_closed((district, school), month):
                    found[(district, school), month][number] = Tally(len(absences), sum(absences))
        return dict(found)

    def is_closed(self, school: School, month: date) -> bool:
        """Tell whether a school's month has closed: with its last roll, else so many school days later."""
        if (school, month) not in self._closed:
            self._closed[school, month] = self._closes(school, month)
        return self._closed[school, month]

    def _closes(self, school: School, month: date) -> bool:
        calendar = self._calendar(*school, None)
        if calendar is None:
            raise Unforeseen(f"a month of {school[1]}, of which no calendar is known")
        days = sorted(day for day in calendar[2] if day.replace(day=1) == month)
        if not days:
            return False
        if all((roll := self.landed.rolls.get(SchoolDay(*school, day))) and roll.complete for day in days):
            return True
        later = sorted(day for day in calendar[2] if day > days[-1])
        if later:
            return len(later) >= CLOSES_ON_SCHOOL_DAY and self.today >= later[CLOSES_ON_SCHOOL_DAY - 1]
        weekdays = (days[-1] + timedelta(days=n) for n in range(1, 40))
        return self.today >= [day for day in weekdays if day.weekday() < 5][CLOSES_ON_SCHOOL_DAY - 1]

    def months_that_closed(self, district: str) -> list[date]:
        """List the months that have closed at every school of a district that taught in them."""
        taught = {(key[1], day.replace(day=1)) for key, of in self.landed.calendars.items() if key[0] == district
                  for day in of[2]}  # fmt: skip
        months = sorted({month for _, month in taught})
        return [month for month in months
                if all(self.is_closed((district, school), month) for school, at in taught if at == month)]  # fmt: skip

    def told(self, districts: Iterable[str], month: date, *, persons: bool = False) -> Share:
        """Say what is published of districts: of each school and grade band the middles of the sixes, added up.

        `persons`: the state's persons in place of the sum; by how many they differ is told by sixes too, each band's.
        """
        parts = [
            (where, share)
            for district in districts
            for where, share in self.shares(district, month, by_band=True).items()
            if where
        ]
        chronic = [share.chronic for _, share in parts]
        others = [share.students - share.chronic for _, share in parts]
        differ = []
        if persons:
            for band, found in self.persons_by_band(month).items():
                here = [share for where, share in parts if where.endswith(f"/{band}")]
                students, absent = sum(each.students for each in here), sum(each.chronic for each in here)
                differ.append(Share(students - found.students, absent - found.chronic))
        return Share(
            round(sum(map(_middle, chronic + others))) - round(sum(_middle(each.students) for each in differ)),
            round(sum(map(_middle, chronic))) - round(sum(_middle(each.chronic) for each in differ)),
        )

    def shares(self, district: str, month: date, *, by_band: bool = False) -> dict[str, Share]:
        """Count a district's students up to a month's end by school, each at the one entered last; "" is all.

        `by_band`: by school and grade band.
        """
        end = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        students: defaultdict[str, list[bool]] = defaultdict(list)
        for (of_district, _), child in self.children.items():
            entered = [stint for stint in child.stints if stint.entry <= end]
            if of_district == district and entered and entered[-1].grade != "PK":
                days = child.until(end)
                if days.counted >= MINIMUM_DAYS:
                    band = f"/{_band(entered[-1].grade)}" if by_band else ""
                    for where in ("", entered[-1].school + band):
                        students[where].append(is_chronic(days))
        return {where: Share(len(each), sum(each)) for where, each in students.items()}

    def persons_by_band(self, month: date) -> dict[str, Share]:
        """Count the whole state's students up to a month's end: a mover once, with the days of all districts."""
        end = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        days: defaultdict[str, list[Tally]] = defaultdict(list)
        grades: dict[str, tuple[date, str]] = {}
        for child, judged in self.children.items():
            entered = [stint for stint in judged.stints if stint.entry <= end]
            if entered:
                person = entered[-1].state_number or ":".join(child)
                days[person].append(judged.until(end))
                grades[person] = max(grades.get(person, (date.min, "")), (entered[-1].entry, entered[-1].grade))
        counted: defaultdict[str, list[Tally]] = defaultdict(list)
        for person, of in days.items():
            tally = Tally(sum(each.counted for each in of), sum(each.absent for each in of))
            if grades[person][1] != "PK" and tally.counted >= MINIMUM_DAYS:
                counted[_band(grades[person][1])].append(tally)
        return {band: Share(len(counted[band]), sum(map(is_chronic, counted[band]))) for band in ("K-5", "6-8", "9-12")}

    def flagged_by_grade(self, district: str) -> dict[str, Tally]:
        """Count who is flagged today in each grade of a district, and who of them severely."""
        levels: defaultdict[str, list[bool]] = defaultdict(list)
        for (of_district, _), child in self.children.items():
            if of_district == district and child.level:
                levels[child.grade].append(child.level == SEVERE)
        return {grade: Tally(len(each), sum(each)) for grade, each in levels.items()}


def _rank(mark: Mark) -> tuple[int, bool]:
    return mark.version, mark.absent is True


def _band(grade: str) -> str:
    return "K-5" if grade in ("K", "1", "2", "3", "4", "5") else "6-8" if grade in ("6", "7", "8") else "9-12"


def _middle(count: int) -> Fraction:
    """The middle of 1 to 6, 7 to 12 and so on, on either side of zero."""
    if count == 0:
        return Fraction(0)
    first = (abs(count) - 1) // 6 * 6 + 1
    return Fraction(2 * first + 5, 2) * (1 if count > 0 else -1)
