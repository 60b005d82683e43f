"""A made-up state, school day after school day. Who is absent follows from the student's place in the list. No I/O.

Of a hundred students 17 miss one day in eight: they are flagged by winter, and stay so. 4 moved in on the 47th school
day, missed one day, and are one absence from a flag; of each eight of these one misses each of the days 60 to 65 and is
flagged by it. The others miss one day in 25, from the 11th on, and never come near the line.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import msgspec

from deploy.demo import records

STUDENTS_PER_SCHOOL = 504
FIRST_DAY, LAST_DAY = date(2026, 8, 31), date(2027, 6, 18)
_FREE = {date(2026, 11, day) for day in (26, 27, 30)}
SCHOOL_DAYS = tuple(
    day
    for n in range((LAST_DAY - FIRST_DAY).days + 1)
    if (day := FIRST_DAY + timedelta(days=n)).weekday() < 5 and day not in _FREE
)
"""Of every school; the n-th is at place n - 1. The 60th is 20 November, the 63rd the last of that month."""

MEASURED_DAY, LAST_OF_NOVEMBER, FIRST_LOADED_DAYS = 60, 63, 180
_MOVED_IN, _MISSED_ONE = 47, 57
_LAST_CROSSING = 65
_OFTEN, _NEW = 1706, 2106
_EXCEPTIONS_EVERY = 10
_PRESENT, _ABSENT = "in_attendance", "unexcused_absence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a state."""

    students: int = 504_000
    districts: int = 197

    @property
    def schools(self) -> int:
        """Count the schools, all of one size."""
        return max(1, round(self.students / STUDENTS_PER_SCHOOL))


class Pupil(msgspec.Struct, gc=False, frozen=True):
    """A student: the number, the first school day, and the days missed, bit n the n-th school day."""

    number: str
    nth: int
    entry: int
    missed: int

    def is_absent(self, day: int) -> bool:
        """Tell whether the student misses the n-th school day."""
        return bool(self.missed >> day & 1)


class Roll(msgspec.Struct, tag_field="type", tag="roll", omit_defaults=True, gc=False):
    school: str
    date: str
    feed: str
    marks: list[tuple[str, str, int]]
    complete: bool = False


_encode = msgspec.json.Encoder().encode


class State:
    """Districts of schools, the first the largest as in a real state."""

    def __init__(self, size: Size) -> None:
        count = min(size.districts, size.schools)
        weights = [1 / (nth + 8) for nth in range(count)]
        shares = [1 + int((size.schools - count) * weight / sum(weights)) for weight in weights]
        for nth in range(size.schools - sum(shares)):
            shares[nth % count] += 1
        self.schools = {f"district-{nth + 1:03d}": share for nth, share in enumerate(shares)}
        self.districts = tuple(self.schools)
        self.students = size.schools * STUDENTS_PER_SCHOOL
        self._pupils: dict[tuple[str, int], list[Pupil]] = {}
        self._entries: dict[str, Counter[int]] = {}

    def pupils(self, district: str, school: int) -> list[Pupil]:
        """Give the students of a district's school."""
        known = self._pupils.get((district, school))
        if known is None:
            place = self.districts.index(district)
            first = school * STUDENTS_PER_SCHOOL
            known = [_pupil(place, nth) for nth in range(first, first + STUDENTS_PER_SCHOOL)]
            self._pupils[district, school] = known
        return known

    def everybody(self) -> Iterator[tuple[str, int, Pupil]]:
        """Give every student with district and school."""
        for district, schools in self.schools.items():
            for school in range(schools):
                for pupil in self.pupils(district, school):
                    yield district, school, pupil

    def roster(self, district: str) -> Iterator[bytes]:
        """Give the calendars of the district's schools and an enrolment for every student, as they land."""
        for school in range(self.schools[district]):
            yield records.calendar(
                school=code_of(school), school_year=2026, feed=feed_of(school), school_days=SCHOOL_DAYS, version=1
            ).value
        for school in range(self.schools[district]):
            for pupil in self.pupils(district, school):
                enrollment = {
                    "type": "enrollment", "id": f"s{pupil.number}", "student": pupil.number, "version": 1,
                    "household": household_of(pupil.nth), "school": code_of(school), "grade": "3",
                    "entry_date": day_of(pupil.entry),
                }  # fmt: skip
                yield _encode(enrollment)

    def whole_rolls(self, district: str, days: range, *, complete: bool = True) -> Iterator[bytes]:
        """Give these days of a district as whole rolls, a school's days one behind the other."""
        for school in range(self.schools[district]):
            pupils = self.pupils(district, school)
            for day in days:
                marks = [
                    (pupil.number, _ABSENT if pupil.missed >> day & 1 else _PRESENT, 1)
                    for pupil in pupils
                    if pupil.entry <= day
                ]
                yield _encode(Roll(code_of(school), str(day_of(day)), feed_of(school), marks, complete))

    def single_marks(self, district: str, day: int) -> Iterator[bytes]:
        """Give a day of a district as single marks, and behind each school's marks its completed roll."""
        for school in range(self.schools[district]):
            for pupil in self.pupils(district, school):
                if pupil.entry <= day:
                    yield mark(pupil, school, day, version=1, absent=pupil.is_absent(day))
            yield self.completion(school, day)

    def completion(self, school: int, day: int) -> bytes:
        """Give a school's word that its roll is complete."""
        return records.roll(records.CompletedRoll(code_of(school), str(day_of(day)), feed_of(school))).value

    def marks_on(self, district: str, day: int) -> int:
        """Count the marks of a whole day."""
        entries = self._entries.get(district)
        if entries is None:
            pupils = (pupil for n in range(self.schools[district]) for pupil in self.pupils(district, n))
            entries = self._entries[district] = Counter(pupil.entry for pupil in pupils)
        return sum(count for entry, count in entries.items() if entry <= day)

    def absent_on(self, day: int) -> int:
        """Count the absences of a whole day."""
        return sum(pupil.is_absent(day) for _, _, pupil in self.everybody() if pupil.entry <= day)

    def flagged_after(self, day: int) -> dict[tuple[str, str], list[Pupil]]:
        """Give who is flagged when that day's rolls are complete, by district and household."""
        found: dict[tuple[str, str], list[Pupil]] = {}
        for district, _, pupil in self.everybody():
            if is_flagged(pupil.missed, pupil.entry, day):
                found.setdefault((district, household_of(pupil.nth)), []).append(pupil)
        return found

    def one_absence_from_a_flag(self) -> Iterator[tuple[str, int, Pupil]]:
        """Give those whom another absence would flag, on whatever day; in a household without a flag, one of each.

        By turns of schools, so that they come from everywhere.
        """
        for place in range(STUDENTS_PER_SCHOOL):
            for district, schools in self.schools.items():
                for school in range(schools):
                    pupils = self.pupils(district, school)
                    pupil, sibling = pupils[place], pupils[place ^ 1]
                    if _waits(pupil) and not (_is_ever_flagged(sibling) or (_waits(sibling) and place & 1)):
                        yield district, school, pupil


@lru_cache(maxsize=4096)
def is_flagged(missed: int, entry: int, day: int) -> bool:
    """Judge a student whose every school day from `entry` to `day` counts, by the law and not by the service's code.

    10 % of at least 10 days; or two of the first 20, until these are over and it is under 5 %.
    """
    counted = day - entry + 1
    absent = [n for n in range(entry, day + 1) if missed >> n & 1]
    if counted >= 10 and 10 * len(absent) >= counted:
        return True
    began_to_miss = sum(n < entry + 20 for n in absent) >= 2
    return began_to_miss and (counted <= 20 or 20 * len(absent) >= counted)


def day_of(day: int) -> date:
    """Give the date of the n-th school day."""
    return SCHOOL_DAYS[day - 1]


def code_of(school: int) -> str:
    """Give a school's code in its district."""
    return f"E{school + 1:03d}"


def feed_of(school: int) -> str:
    """Say how a school reports: one in ten sends marks that count only when the roll is complete."""
    return "exceptions" if school % _EXCEPTIONS_EVERY == _EXCEPTIONS_EVERY - 1 else "full"


def household_of(nth: int) -> str:
    """Give a student's household: they live in pairs."""
    return f"h{nth // 2}"


def mark(pupil: Pupil, school: int, day: int, *, version: int, absent: bool) -> bytes:
    """Write one mark as a district sends it."""
    category = _ABSENT if absent else _PRESENT
    return records.mark(records.Mark(pupil.number, code_of(school), str(day_of(day)), category, version)).value


def _pupil(district: int, nth: int) -> Pupil:
    # Spread over schools and households; the same in every run.
    luck = (nth * 2_654_435_761 + district * 40_503 + 7) % 2**32 % 10_000
    return Pupil(str(nth), nth, _MOVED_IN if _OFTEN <= luck < _NEW else 1, _missed(luck))


@lru_cache(maxsize=10_000)
def _missed(luck: int) -> int:
    days = range(1, len(SCHOOL_DAYS) + 1)
    if luck < _OFTEN:
        return sum(1 << day for day in days if (day + luck) % 8 == 0)
    if luck < _NEW:
        crosses_on = MEASURED_DAY + luck % 8
        return 1 << _MISSED_ONE | (1 << crosses_on if crosses_on <= _LAST_CROSSING else 0)
    first = 11 + luck % 25
    return sum(1 << day for day in days if day >= first and (day - first) % 25 == 0)


def _waits(pupil: Pupil) -> bool:
    return pupil.entry == _MOVED_IN and pupil.missed == 1 << _MISSED_ONE


def _is_ever_flagged(pupil: Pupil) -> bool:
    return any(is_flagged(pupil.missed, pupil.entry, day) for day in range(MEASURED_DAY - 1, _LAST_CROSSING + 1))
