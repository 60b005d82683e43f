"""What stands once all the facts are known, for the oracle: of everything said twice, the word that counts.

Written from the domain's rules alone; it shares nothing with any service, and the facts may come in any order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

from contracts.events import (
    CATEGORY_LETTERS,
    AttendanceRecorded,
    AttendanceRetracted,
    Category,
    Closing,
    Completion,
    EnrollmentChanged,
    Event,
    Feed,
    FeedDeclared,
    Grade,
    RollCompleted,
    RollRecorded,
    RollReopened,
    SchoolCalendarChanged,
)

ABSENT = {
    Category.EXCUSED_ABSENCE,
    Category.UNEXCUSED_ABSENCE,
    Category.MENTAL_HEALTH_DAY,
    Category.OUT_OF_SCHOOL_SUSPENSION,
    Category.EXPULSION,
}
_CATEGORY_OF = {letter: category for category, letter in CATEGORY_LETTERS.items()}

School = tuple[str, str]
"""District and school code."""


class Mark(NamedTuple):
    """One word about one student's day. A source's taking back is a word too: `missed` is then None."""

    district: str
    number: UUID
    school: str
    day: date
    version: int
    missed: bool | None


class Word(NamedTuple):
    """One word about a roll. Ordered: the newest stands, of one moment the one that landed later.

    Of one version that its source gave, complete before reopened, full before not.
    """

    version: int
    landed: int
    complete: bool
    full: bool


@dataclass(frozen=True, kw_only=True)
class Stint:
    """One enrolment that stands. Where a feed has no rosters, a mark is one, for its day, of a grade nobody told."""

    district: str
    student: UUID
    school: str
    name: str
    grade: Grade | None
    entry_date: date
    exit_date: date | None = None
    exit_day_counts: bool = False
    track: str | None = None
    person: UUID | None = None

    @property
    def place(self) -> School:
        """The district and the school."""
        return self.district, self.school

    @property
    def order(self) -> tuple[date, str, str]:
        """9.9: a day that two enrolments claim goes to the later entry, equal entry to the larger stint id.

        Of two schools without rosters that both have marks of a day nothing is decided: the larger code will do.
        """
        return self.entry_date, self.name, self.school

    def covers(self, day: date) -> bool:
        """Whether the exit day counts is the feed's convention; the entry day always does."""
        if day < self.entry_date:
            return False
        return self.exit_date is None or day < self.exit_date or (self.exit_day_counts and day == self.exit_date)

    def touches(self, year: int) -> bool:
        """Whether it lies in a school year; a stint that ended as it began covers no day, and is one all the same."""
        begins_in_time = self.entry_date < date(year + 1, 7, 1)
        return begins_in_time and (self.exit_date is None or self.exit_date >= date(year, 7, 1))


class Calendar(NamedTuple):
    """The school days of a school's year, or of one of its tracks, and the feed that it names."""

    days: frozenset[date]
    feed: Feed


def school_year(day: date) -> int:
    """Name the school year in which a day lies."""
    return day.year - (day < date(day.year, 7, 1))


def whole_year(year: int) -> list[date]:
    """List the days of a school year, from 1 July."""
    first = date(year, 7, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 7, 1) - first).days)]


def children(facts: Iterable[Event]) -> dict[tuple[str, UUID], UUID]:
    """Say whose each number is that an enrolment names beside another: the newest of those that stand decides (9.4)."""
    newest: dict[tuple[str, UUID, str], EnrollmentChanged] = {}
    for fact in facts:
        if isinstance(fact, EnrollmentChanged):
            key = (fact.district, fact.student_key, fact.stint)
            if key not in newest or _stint_rank(fact) > _stint_rank(newest[key]):
                newest[key] = fact
    in_order = sorted(newest.values(), key=lambda fact: fact.source_version)
    naming = [(fact, fact.number_key) for fact in in_order if not fact.withdrawn]
    return {(fact.district, number): fact.student_key for fact, number in naming if number is not None}


def standing_stints(facts: Iterable[Event]) -> list[Stint]:
    """Give the newest version of every stint that was not withdrawn, each as the child's whose number it was told with.

    A stint that was told with both numbers of a child is one.
    """
    facts = list(facts)
    child_of = children(facts)
    newest: dict[tuple[str, UUID, str], EnrollmentChanged] = {}
    for fact in facts:
        if isinstance(fact, EnrollmentChanged):
            child = child_of.get((fact.district, fact.student_key), fact.student_key)
            key = (fact.district, child, fact.stint)
            if key not in newest or _stint_rank(fact) > _stint_rank(newest[key]):
                newest[key] = fact
    return [
        Stint(
            district=fact.district,
            student=child,
            school=fact.school,
            name=fact.stint,
            grade=fact.grade,
            entry_date=fact.entry_date,
            exit_date=fact.exit_date,
            exit_day_counts=fact.exit_day_counts,
            track=fact.track,
            person=fact.person_key,
        )
        for (_, child, _), fact in newest.items()
        if not fact.withdrawn
    ]


def _stint_rank(fact: EnrollmentChanged) -> tuple[Any, ...]:
    return (
        fact.source_version,
        fact.withdrawn,
        fact.school,
        fact.grade.value,
        fact.entry_date,
        fact.exit_date or date.max,
        fact.exit_day_counts,
        str(fact.person_key or ""),
        str(fact.household_key or ""),
    )


def standing_marks(facts: Iterable[Event]) -> dict[tuple[str, UUID, date, str], bool]:
    """Tell of every child, day and school with a standing mark if the day is missed.

    9.4: marks with either number are the same child's; of two of one day and school the newest version stands, then
    absence before presence. What the source took back is no mark.
    """
    facts = list(facts)
    child_of = children(facts)
    newest: dict[tuple[str, UUID, date, str], tuple[tuple[int, int], bool | None]] = {}
    for mark in _marks(facts):
        child = child_of.get((mark.district, mark.number), mark.number)
        key = (mark.district, child, mark.day, mark.school)
        rank = (mark.version, {None: 0, False: 1, True: 2}[mark.missed])
        if key not in newest or rank > newest[key][0]:
            newest[key] = (rank, mark.missed)
    return {key: missed for key, (_, missed) in newest.items() if missed is not None}


def _marks(facts: Iterable[Event]) -> Iterator[Mark]:
    for fact in facts:
        if isinstance(fact, RollRecorded):
            yield from _marks_of(fact)
        elif isinstance(fact, AttendanceRecorded):
            missed = _is_missed(fact.category, fact.present_parts, fact.day_parts)
            yield Mark(fact.district, fact.student_key, fact.school, fact.school_day, fact.source_version, missed)
        elif isinstance(fact, AttendanceRetracted):
            yield Mark(fact.district, fact.student_key, fact.school, fact.school_day, fact.source_version, None)


def _marks_of(roll: RollRecorded) -> Iterator[Mark]:
    for place, number in enumerate(roll.students):
        version = roll.versions if isinstance(roll.versions, int) else roll.versions[place]
        category = _CATEGORY_OF.get(roll.categories[place])
        parts = (roll.parts[place] if roll.parts else None) or (None, None)
        missed = None if category is None else _is_missed(category, *parts)
        yield Mark(roll.district, number, roll.school, roll.school_day, version, missed)


def _is_missed(category: Category, present_parts: int | None, day_parts: int | None) -> bool:
    """State Board, September 2022: present for at least half of the day's time; the category where no time is told."""
    if present_parts is not None and day_parts is not None:
        return Fraction(present_parts, day_parts) < Fraction(1, 2)
    return category in ABSENT


def words_of_rolls(facts: Iterable[Event]) -> dict[tuple[str, str, date], Word]:
    """Give the newest of the completions and reopenings of each roll; the completion of before has version 0."""
    newest: dict[tuple[str, str, date], Word] = {}
    for fact in facts:
        if isinstance(fact, RollRecorded) and fact.completed is not None:
            word = Word(fact.completed.version, _landed(fact.completed), True, fact.completed.feed is Feed.FULL)
        elif isinstance(fact, RollReopened):
            word = Word(fact.version, _landed(fact), False, fact.feed is Feed.FULL)
        elif isinstance(fact, RollCompleted):
            word = Word(0, -1, True, fact.feed is Feed.FULL)
        else:
            continue
        key = (fact.district, fact.school, fact.school_day)
        newest[key] = max(newest.get(key, word), word)
    return newest


def _landed(said: Completion | RollReopened) -> int:
    return -1 if said.landed is None else said.landed


def declared_feeds(facts: Iterable[Event]) -> dict[tuple[str, str | None], FeedDeclared]:
    """Give the newest declaration of every district, and of every school that has its own."""
    newest: dict[tuple[str, str | None], FeedDeclared] = {}
    for fact in facts:
        if isinstance(fact, FeedDeclared):
            key = (fact.district, fact.school)
            if key not in newest or fact.version > newest[key].version:
                newest[key] = fact
    return newest


def standing_calendars(facts: Iterable[Event]) -> dict[tuple[str, str, int, str | None], Calendar]:
    """Give the newest calendar of every school and year, and of every track that has its own."""
    newest: dict[tuple[str, str, int, str | None], tuple[tuple[Any, ...], Calendar]] = {}
    for fact in facts:
        if isinstance(fact, SchoolCalendarChanged):
            days = frozenset(day for day in fact.school_days if school_year(day) == fact.school_year)
            # Between two calendars of one version, the one with the earliest day that the other lacks stands.
            picture = [day in days for day in whole_year(fact.school_year)]
            rank = (fact.source_version, picture, fact.feed.value)
            key = (fact.district, fact.school, fact.school_year, fact.track)
            if key not in newest or rank > newest[key][0]:
                newest[key] = (rank, Calendar(days, fact.feed))
    return {key: calendar for key, (_, calendar) in newest.items()}


class World:
    """The schools' days as they are: who was enrolled where, which days count, and which of them were missed.

    `today` closes rolls that close by rule, and says which days have come; without it none closes, and all have come.
    """

    def __init__(self, facts: Iterable[Event], today: date | None = None) -> None:
        facts = list(facts)
        self.today = today
        self.words = words_of_rolls(facts)
        self.calendars = standing_calendars(facts)
        self._declared = declared_feeds(facts)
        self._full_years = {
            (district, school, school_year(day)) for (district, school, day), word in self.words.items() if word.full
        }
        self._sent = {(mark.district, mark.school, mark.day) for mark in _marks(facts)}
        self.stints = standing_stints(facts)
        self.missed = standing_marks(facts)
        self.stints += self._enrolled_by_marks()

    def years(self) -> set[int]:
        """Name every school year that any fact speaks of."""
        days = {day for *_, day in self.words} | {day for _, _, day, _ in self.missed}
        days |= {stint.entry_date for stint in self.stints}
        return {school_year(day) for day in days} | {year for _, _, year, _ in self.calendars}

    def stints_by_year(self) -> Mapping[tuple[UUID, int], list[Stint]]:
        """Give every student's enrolments of every year."""
        found: defaultdict[tuple[UUID, int], list[Stint]] = defaultdict(list)
        for year in sorted(self.years()):
            for stint in self.stints:
                if stint.touches(year):
                    found[stint.student, year].append(stint)
        return found

    def calendar(self, stint: Stint, year: int) -> Calendar | None:
        """Give the calendar by which a student goes: the track's; the school's where the track has none."""
        own = self.calendars.get((*stint.place, year, stint.track))
        return own or self.calendars.get((*stint.place, year, None))

    def is_school_day(self, stint: Stint, day: date) -> bool:
        """Without a calendar any day may be one (9.1: a day with a complete roll, on a full feed one with marks)."""
        calendar = self.calendar(stint, school_year(day))
        return calendar is None or day in calendar.days

    def declared(self, school: School) -> FeedDeclared | None:
        """A school's own word comes before its district's."""
        return self._declared.get(school) or self._declared.get((school[0], None))

    def feed(self, school: School, day: date) -> Feed:
        """The roll's own word; what was declared; what the calendar says; else what the school's other rolls say."""
        word = self.words.get((*school, day))
        if word is not None:
            return Feed.FULL if word.full else Feed.EXCEPTIONS
        declared = self.declared(school)
        if declared is not None:
            return declared.feed
        calendar = self.calendars.get((*school, school_year(day), None))
        if calendar is not None:
            return calendar.feed
        return Feed.FULL if (*school, school_year(day)) in self._full_years else Feed.EXCEPTIONS

    def is_complete(self, school: School, day: date) -> bool:
        """By the school's word; where none is sent, at the end of the third school day after (9.1).

        A roll is what a school sends for a day: of a day of which nothing came there is none that could close.
        """
        word = self.words.get((*school, day))
        if word is not None:
            return word.complete
        declared = self.declared(school)
        if declared is None or declared.closing is not Closing.THIRD_SCHOOL_DAY or self.today is None:
            return False
        calendar = self.calendars.get((*school, school_year(day), None))
        # Until a calendar comes, a day with a complete roll is a school day, on a full feed one with marks.
        taught = calendar.days if calendar else self._sent_or_complete(school, school_year(day))
        after = sorted(each for each in taught if each > day)
        return (*school, day) in self._sent and len(after) >= 3 and after[2] < self.today

    def _sent_or_complete(self, school: School, year: int) -> set[date]:
        known = self._sent | {key for key, word in self.words.items() if word.complete}
        return {day for *place, day in known if tuple(place) == school and school_year(day) == year}

    def counts(self, stint: Stint, day: date) -> bool:
        """9.1: a school day, inside the enrolment, its roll complete; on a full feed a standing mark will do.

        9.5: a full feed's mark of a day to come never counts before its day.
        """
        if not stint.covers(day) or not self.is_school_day(stint, day):
            return False
        if self.is_complete(stint.place, day):
            return True
        marked = (stint.district, stint.student, day, stint.school) in self.missed
        return marked and self.has_come(day) and self.feed(stint.place, day) is Feed.FULL

    def has_come(self, day: date) -> bool:
        """Without a day that it is, nothing is still to come."""
        return self.today is None or day <= self.today

    def is_absent(self, stint: Stint, day: date) -> bool:
        """Only a standing mark makes a day missed: silence on a complete roll is presence."""
        return self.missed.get((stint.district, stint.student, day, stint.school)) is True

    def _enrolled_by_marks(self) -> list[Stint]:
        """9.3: on a full feed without rosters a mark enrols for its day whom no enrolment there knows that year."""
        known = {
            (*stint.place, stint.student, year)
            for stint in self.stints
            for year in {school_year(day) for _, _, day, _ in self.missed}
            if stint.touches(year)
        }
        return [
            Stint(
                district=district, student=child, school=school, name="", grade=None,
                entry_date=day, exit_date=day, exit_day_counts=True,
            )
            for district, child, day, school in self.missed
            if (declared := self.declared((district, school))) is not None
            and not declared.rosters
            and self.has_come(day)
            and self.feed((district, school), day) is Feed.FULL
            and (district, school, child, school_year(day)) not in known
        ]  # fmt: skip
