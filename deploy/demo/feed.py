"""A year as the districts report it: day by day, in the order and disorder in which their systems send.

Everything of one district's day is drawn from one stream of chance named after that day, so a replay until October is
the beginning of a replay until June.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from contracts.calendar import is_business_day, school_year_of
from deploy.demo import absences, records
from deploy.demo.calendars import first_school_day, last_possible_day
from deploy.demo.population import School, Student, Town, settle
from deploy.demo.records import Sent

DOCUMENTED_LATER = 0.25
CORRECTION_SCHOOL_DAYS = (1, 10)
SENT_LATE = 0.005
ROLL_SENT_LATE = 0.005
FILE_SENT_AGAIN = 0.015
ROW_SENT_TWICE = 0.002
FILE_SHUFFLED = 0.02
GARBAGE_BETWEEN = 0.01
_ROSTER_DAYS_AHEAD = 5

_ABSENT = ("unexcused_absence", "excused_absence", "mental_health_day", "out_of_school_suspension", "tardy",
           "early_departure")  # fmt: skip
_ABSENT_WEIGHTS = (47, 40, 3, 3, 3, 4)
_DAY_MINUTES = (383, 387, 390, 395)
_TARDY, _LEFT_EARLY, _AWAY_WITH_THE_SCHOOL = 0.03, 0.04, 0.045


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictDay:
    """What one district sends on one day, in order: first to its roster topic, then to its attendance topic."""

    day: date
    district: str
    roster: tuple[Sent, ...]
    attendance: tuple[Sent, ...]


Visited = Mapping[tuple[str, str], date]
"""When a visit first took place, by district and household code."""


def plan(
    *, scale: float, seed: int, until: date, districts: frozenset[str] | None = None, visited: Visited | None = None
) -> Iterator[DistrictDay]:
    """Give the school year that contains `until` up to that day, in order of time; nothing is sent.

    `scale` is the share of the real number of students (0.01 to 1.0); `districts` keeps only those named. A day is
    drawn when it is asked for, so what is added to `visited` meanwhile changes the days after it.
    """
    for _, sent in days(scale=scale, seed=seed, until=until, districts=districts, visited=visited):
        yield from sent


def days(
    *, scale: float, seed: int, until: date, districts: frozenset[str] | None = None, visited: Visited | None = None
) -> Iterator[tuple[date, list[DistrictDay]]]:
    """Give the same, a whole day of all districts at a time; days on which nobody sends are left out."""
    school_year = school_year_of(until)
    towns = settle(seed=seed, scale=scale, school_year=school_year)
    chosen = [
        _Reporter(town, seed=seed, school_year=school_year, visited=visited or {})
        for code, town in towns.items()
        if districts is None or code in districts
    ]

    day = first_school_day(school_year) - timedelta(days=_ROSTER_DAYS_AHEAD)
    yield day, [reporter.open_the_year(day) for reporter in chosen]
    while day <= min(until, last_possible_day(school_year)):
        if sent := [each for reporter in chosen if (each := reporter.report(day))]:
            yield day, sent
        day += timedelta(days=1)


@dataclass(slots=True)
class _Outbound:
    roster: list[Sent] = field(default_factory=list)
    attendance: list[Sent] = field(default_factory=list)


class _Row(NamedTuple):
    """One line of a school's day as its software exports it; some are in the export twice."""

    mark: records.Mark
    repeat: bool = False


class _Reporter:
    """One district's software in one school year. It remembers only what it still has to send."""

    def __init__(self, town: Town, *, seed: int, school_year: int, visited: Visited) -> None:
        self._town = town
        self._visited = visited
        self._district = town.district
        self._seed = seed
        self._school_year = school_year
        self._stints: dict[str, tuple[int, date]] = {}
        self._calendar_versions = dict.fromkeys(town.schools, 1)
        # By the district's own count of school days, because "up to ten school days later" is.
        self._later: dict[int, _Outbound] = defaultdict(_Outbound)
        self._days_taught = 0
        self._version = 0

    def open_the_year(self, day: date) -> DistrictDay:
        """Tell calendars, enrolments and households, known before the first bell."""
        entry = self._town.year.planned[0]
        roster = [self._calendar(school, known_on=day) for school in self._town.schools]
        roster += [
            self._enroll(student, school=school.code, entry=entry)
            for school in self._town.schools.values()
            for student in school.students
        ]
        roster += [records.household(living_together) for living_together in self._town.households]
        return DistrictDay(day=day, district=self._district.code, roster=tuple(roster), attendance=())

    def report(self, day: date) -> DistrictDay | None:
        """Tell one day: who moved, which schools closed, every school's roll, and what earlier days still owed."""
        rng = random.Random(f"{self._seed}:{self._district.code}:{day.isoformat()}")
        out = _Outbound()
        self._close_schools(day, out)
        self._move_students(day, out)

        open_schools = (
            [
                school
                for school in self._town.schools.values()
                if day in self._town.year.school_days(school=school.code, known_on=day)
            ]
            if is_business_day(day)
            else []
        )
        if open_schools:
            self._days_taught += 1
            self._version = _microseconds(day)
            for school in open_schools:
                self._take_roll(school, day, out, rng)
            owed = self._later.pop(self._days_taught, None)
            if owed:
                out.roster += owed.roster
                out.attendance += owed.attendance
        if not out.roster and not out.attendance:
            return None
        return DistrictDay(
            day=day, district=self._district.code, roster=tuple(out.roster), attendance=tuple(out.attendance)
        )

    def _close_schools(self, day: date, out: _Outbound) -> None:
        for closure in self._town.year.closures:
            if closure.day == day:
                for school in [closure.school] if closure.school else list(self._town.schools):
                    self._calendar_versions[school] += 1
                    out.roster.append(self._calendar(school, known_on=day))

    def _calendar(self, school: str, *, known_on: date) -> Sent:
        return records.calendar(
            school=school,
            school_year=self._school_year,
            feed=self._district.feed,
            school_days=self._town.year.school_days(school=school, known_on=known_on),
            version=self._calendar_versions[school],
        )

    def _enroll(self, student: Student, *, school: str, entry: date) -> Sent:
        stint, _ = self._stints.get(student.number, (0, entry))
        self._stints[student.number] = (stint + 1, entry)
        return records.enrollment(student, stint=stint + 1, school=school, entry=entry, version=1)

    def _move_students(self, day: date, out: _Outbound) -> None:
        for move in self._town.moves.get(day, ()):
            if move.from_district == self._district.code:
                self._town.schools[move.from_school].students.remove(move.student)
                stint, entry = self._stints[move.student.number]
                # Where a move is told late, the stints at both schools are open for a while.
                told = self._later[self._days_taught + 1 + move.exit_told_after] if move.exit_told_after else out
                counts = self._district.feed == "full"
                told.roster.append(
                    records.enrollment(
                        move.student,
                        stint=stint,
                        school=move.from_school,
                        entry=entry,
                        version=2,
                        exit_date=day - timedelta(days=1) if counts else day,
                        exit_day_counts=counts,
                    )
                )
            if move.to_district == self._district.code:
                self._town.schools[move.to_school].students.append(move.arriving)
                out.roster.append(self._enroll(move.arriving, school=move.to_school, entry=day))
                if move.household:
                    out.roster.append(records.household(move.household))

    def _take_roll(self, school: School, day: date, out: _Outbound, rng: random.Random) -> None:
        rows = self._mark_students(school, day, rng)
        if rng.random() < FILE_SHUFFLED:
            rng.shuffle(rows)
        roll = records.CompletedRoll(school.code, day.isoformat(), self._district.feed)
        if self._district.sends == "rolls":
            self._send_roll(roll, rows, out, rng)
        else:
            self._send_marks(roll, rows, out, rng)

    def _send_roll(self, roll: records.CompletedRoll, rows: list[_Row], out: _Outbound, rng: random.Random) -> None:
        sent = records.whole_roll(roll, [row.mark for row in rows if not row.repeat])
        if rng.random() < GARBAGE_BETWEEN:
            out.attendance.append(records.garbage(school=roll.school, day=roll.date, rng=rng))
        # A roll that is late is late as a whole, and so is what is sent again.
        late = rng.random() < ROLL_SENT_LATE
        attendance = self._later[self._days_taught + 1].attendance if late else out.attendance
        attendance += sent
        if rng.random() < FILE_SENT_AGAIN:
            attendance += [each._replace(repeat=True) for each in sent]
        attendance += [records.mark(row.mark)._replace(repeat=True) for row in rows if row.repeat]

    def _send_marks(self, roll: records.CompletedRoll, rows: list[_Row], out: _Outbound, rng: random.Random) -> None:
        sent = [records.mark(row.mark)._replace(repeat=row.repeat) for row in rows]
        again = [each._replace(repeat=True) for each in sent]
        if rng.random() < GARBAGE_BETWEEN:
            sent.insert(rng.randint(0, len(sent)), records.garbage(school=roll.school, day=roll.date, rng=rng))
        out.attendance += sent
        late = rng.random() < ROLL_SENT_LATE
        (self._later[self._days_taught + 1] if late else out).attendance.append(records.roll(roll))
        if rng.random() < FILE_SENT_AGAIN:
            out.attendance += again

    def _mark_students(self, school: School, day: date, rng: random.Random) -> list[_Row]:
        """Draw everybody's day. What comes late is put by, as single marks whatever the district sends."""
        draw, friday, local_day = rng.random, 2 * (day.weekday() == 4), day.isoformat()
        everybody = self._district.feed == "full"
        rows: list[_Row] = []
        for student in school.students:
            chance = student.chances[student.absent_last_day + friday]
            first_visit = self._visited.get((self._district.code, student.household))
            if first_visit is not None and first_visit < day:
                chance *= absences.VISITED
            absent = draw() < chance
            student.absent_last_day = absent
            if absent:
                mark = self._absence(student, school.code, local_day, rng)
                self._change_later(mark, rng)
            else:
                presence = self._presence(student, school.code, local_day, rng)
                if presence is None and not everybody:
                    continue
                mark = presence or records.Mark(student.number, school.code, local_day, "in_attendance", self._next())
            luck = draw()
            if luck < SENT_LATE:
                self._later[self._days_taught + rng.randint(1, 3)].attendance.append(records.mark(mark))
                continue
            rows.append(_Row(mark))
            if luck > 1 - ROW_SENT_TWICE:
                rows.append(_Row(mark, repeat=True))
        return rows

    def _absence(self, student: Student, school: str, local_day: str, rng: random.Random) -> records.Mark:
        """A day missed, or one of which less than half was left: the State Board's rule calls both absent."""
        category = rng.choices(_ABSENT, _ABSENT_WEIGHTS)[0]
        mark = records.Mark(student.number, school, local_day, category, self._next())
        if category in ("tardy", "early_departure"):
            mark.day_parts = rng.choice(_DAY_MINUTES)
            mark.present_parts = rng.randint(20, (mark.day_parts - 1) // 2)
        return mark

    def _presence(self, student: Student, school: str, local_day: str, rng: random.Random) -> records.Mark | None:
        luck = rng.random()
        if luck >= _AWAY_WITH_THE_SCHOOL:
            return None
        category = "tardy" if luck < _TARDY else "early_departure" if luck < _LEFT_EARLY else "school_activity"
        mark = records.Mark(student.number, school, local_day, category, self._next())
        if category != "school_activity":
            mark.day_parts = rng.choice(_DAY_MINUTES)
            mark.present_parts = rng.randint((mark.day_parts + 1) // 2, mark.day_parts - 5)
        return mark

    def _change_later(self, mark: records.Mark, rng: random.Random) -> None:
        luck = rng.random()
        if luck < absences.TAKEN_BACK:
            due = self._days_taught + rng.randint(1, 5)
            changed = self._take_back(mark, due)
        elif mark.category == "unexcused_absence" and luck < absences.TAKEN_BACK + DOCUMENTED_LATER:
            due = self._days_taught + rng.randint(*CORRECTION_SCHOOL_DAYS)
            changed = records.mark(
                records.Mark(mark.student, mark.school, mark.date, "excused_absence", mark.version + due)
            )
        else:
            return
        self._later[due].attendance.append(changed)

    def _take_back(self, mark: records.Mark, due: int) -> Sent:
        version = mark.version + due
        if self._district.feed == "exceptions":
            return records.retraction(records.Retraction(mark.student, mark.school, mark.date, version))
        return records.mark(records.Mark(mark.student, mark.school, mark.date, "in_attendance", version))

    def _next(self) -> int:
        """Source versions are modification times in µs: a later change of a mark always has a larger one."""
        self._version += 1
        return self._version


def _microseconds(day: date) -> int:
    moment = datetime.combine(day, time(13), tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000
