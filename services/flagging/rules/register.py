"""A school's year: its calendars and completed rolls, its pages, and who moved by what changed. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple, Self

from contracts.calendar import first_day_of, school_year_of
from services.flagging.rules import absence
from services.flagging.rules.absence import ONLY_AFTER_A_CHRONIC_YEAR, Policy
from services.flagging.rules.page import (
    ALL_DAYS,
    CHRONIC_BEFORE,
    CHRONIC_NOW,
    KNOWN_BEFORE,
    PK,
    SEVERAL_TRACKS,
    SHARED,
    STUDENTS_ON_A_PAGE,
    Days,
    Page,
    Terms,
    days_of_all,
)
from services.flagging.rules.rolls import Completion, Completions

BY_RULE = Completion(-1, is_complete=True, is_full=True)
"""Stands where a roll closed without the school's word, which comes before it whatever its version."""

DAYS_OF_GRACE = 3
"""A full feed that sends no completions closes its rolls at the end of so many school days later."""


class SchoolYear(NamedTuple):
    """Whose register it is."""

    district: str
    school: str
    school_year: int

    @classmethod
    def of_day(cls, district: str, school: str, day: date) -> Self:
        """Name the register in which a school's day stands."""
        return cls(district, school, school_year_of(day))


@dataclass(slots=True, eq=False)
class School:
    """A school's year: its calendars and completed rolls, and those of its pages that are in the hand."""

    key: SchoolYear
    calendar_version: int = -1  # -1: no calendar yet, and any day may be a school day
    feed: str | None = None  # the calendar's; what is declared or a roll says of itself comes before it
    school_days: int = ALL_DAYS
    tracks: dict[str, tuple[int, int]] = field(default_factory=dict)  # name to version and school days
    declared: str | None = None
    enrols: bool = False  # a feed without rosters: a mark enrols its student for its day
    completions: Completions = field(default_factory=Completions)
    closed: int = 0  # days of months that are told
    tallied: int = 0  # days of which a tally was told
    students: int = 0  # places given
    decisions: int = 0  # how many of its district's policies it was judged by as a whole
    checked_on: date = date.min  # the last day on which the timer looked at it; the earliest: it is to look now
    today: date = date.min  # the latest day that is known to have come, by when its rolls were sent or by the timer
    ahead: int = 0  # days after it of which marks came: they are looked at when they have come
    is_stale: bool = True  # its pages are to be made from enrolments and roll pages
    is_new: bool = True
    is_told_anew: bool = False  # whatever was told of its days and months is told again
    is_changed: bool = False
    completed: int = 0
    told_by_marks: int = 0  # days on which a mark counts before the roll is complete, once they have come
    before: Terms | None = None  # as they were before the batch, where they may have changed
    pages: dict[int, Page] = field(default_factory=dict)
    index: dict[bytes, int] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def first_day(self) -> date:
        """The 1 July from which places count."""
        return first_day_of(self.key.school_year)

    @property
    def has_calendar(self) -> bool:
        """Tell whether the school's days are known."""
        return self.calendar_version >= 0

    @property
    def open_days(self) -> int:
        """The days on which a mark counts before its roll is complete: of days to come none, whatever was sent."""
        return self.told_by_marks & self._days_until(self.today)

    def place_of(self, day: date) -> int:
        """Give the place of a day in sets of this school year's days."""
        return (day - self.first_day).days

    def _days_until(self, day: date) -> int:
        return _days_until(self.key.school_year, day)

    def expect(self, days: int) -> None:
        """Remember those of these days, of which marks came, that are still to come."""
        if ahead := days & ~self._days_until(self.today) & ~self.ahead:
            self.ahead |= ahead
            self.is_changed = True

    def waits_for(self, today: date) -> bool:
        """Say whether marks begin to count because it is this day: everybody's days must be in the hand then."""
        return bool(self.ahead & self.told_by_marks & self._days_until(today))

    def come_to(self, today: date) -> None:
        """Let it be this day or a later one; where it waits for the day, everybody's days must have been remembered."""
        if today > self.today:
            self.today, self.is_changed = today, True
            self.ahead &= ~self._days_until(today)

    def follow_facts(self) -> None:
        """Set the days that are complete, and those on which a mark counts before its roll is."""
        self.completed, full, exceptions = self.completions.days()
        feed = self.declared or self.feed or ("full" if full else None)
        self.told_by_marks = (ALL_DAYS & ~exceptions if feed == "full" else 0) | full

    def declare(self, feed: str | None, *, enrols: bool) -> None:
        """Set how the school reports as its district declared it; everybody's days must have been remembered."""
        self.declared, self.enrols, self.is_changed = feed, enrols, True
        self.follow_facts()

    def set_calendar(self, *, version: int, feed: str, days: int, track: str | None = None) -> None:
        """Let a newer calendar of the school or of one of its tracks stand; content breaks ties, never arrival.

        follow_facts() comes after the last of a batch.
        """
        if track is not None:
            self.track_number(track)
            if (version, days) > self.tracks[track]:
                self.tracks[track], self.is_changed = (version, days), True
        elif (version, _earliest_first(days), feed) > (
            self.calendar_version, _earliest_first(self.school_days) if self.has_calendar else "", self.feed or "",
        ):  # fmt: skip
            self.calendar_version, self.school_days, self.feed, self.is_changed = version, days, feed, True

    def complete(self, day: date, word: Completion) -> None:
        """Let a newer word on a day's roll stand; follow_facts() comes after the last of a batch."""
        self.is_changed |= self.completions.put(self.place_of(day), word)

    def sent_days(self) -> int:
        """Give the open days of which marks came: without a calendar they are school days, and count as they are."""
        if self.has_calendar or not self.open_days:
            return 0
        sent = 0
        for page in self.pages.values():
            sent |= page.rolls
        return sent & self.open_days

    def close_by_rule(self, today: date | None) -> None:
        """Complete the days that have marks and no word of the school, at the end of the third school day after.

        Without `today` none closes by rule. Days that had, and by today's calendar would not, are open again.
        """
        marked = 0
        for page in self.pages.values():
            marked |= page.rolls
        passed = self._days_until(today - timedelta(days=1)) if today is not None else 0
        # Until a calendar comes, a day with marks is a school day.
        taught = self.school_days if self.has_calendar else marked | self.completed
        words = self.completions.by_place
        for place in range(absence.YEAR_DAYS):
            is_due = marked >> place & 1 and ((taught & passed) >> (place + 1)).bit_count() >= DAYS_OF_GRACE
            if is_due and place not in words:
                words[place] = BY_RULE
            elif not is_due and words.get(place) == BY_RULE:
                del words[place]
        self.is_changed = True
        self.follow_facts()

    def hold(self, page: Page) -> None:
        """Take a page into the hand."""
        self.pages[page.number] = page
        first = page.number * STUDENTS_ON_A_PAGE
        self.index.update({key: first + at for key, at in page.places.items()})

    def page_of(self, student: bytes) -> tuple[Page, int]:
        """Give the student's page and place; it must be in the hand. Raises KeyError."""
        place = self.index[student]
        return self.pages[place // STUDENTS_ON_A_PAGE], place % STUDENTS_ON_A_PAGE

    @property
    def last_page(self) -> int:
        """The page on which the next newcomer gets a place."""
        return self.students // STUDENTS_ON_A_PAGE

    def admit(self, student: bytes) -> tuple[Page, int]:
        """Give a newcomer a place on the last page, which must be in the hand where it has anybody on it."""
        number = self.last_page
        page = self.pages.get(number)
        if page is None:
            page = self.pages[number] = Page(number)
        page.remember()
        at = page.add(student)
        self.index[student] = number * STUDENTS_ON_A_PAGE + at
        self.students += 1
        self.is_changed = True
        return page, at

    @property
    def terms(self) -> Terms:
        """What the school says of everybody's days by now. A track without a calendar goes by the school's."""
        of_tracks = (days if version >= 0 else self.school_days for version, days in self.tracks.values())
        return Terms(self.completed, self.open_days, (self.school_days, *of_tracks), self.enrols)

    def days(self, page: Page, at: int) -> Days:
        """Say which of a student's days count, and which of these were missed."""
        return days_of_all(self.terms, page.says(slice(at, at + 1)))[0]

    def days_of_stint(self, page: Page, at: int, days: Days, *, inside: int, track: str | None) -> Days:
        """Say which of a student's days count in one stint: `inside` are its days, and it goes by its own track."""
        if page.tracks[at] == SEVERAL_TRACKS:
            inside &= self.terms.calendars[self.track_number(track)]
        return Days(days.counted & inside, days.absent & inside)

    def track_number(self, track: str | None) -> int:
        """Give a track's number here, a new one where it was never heard of; 0 is the school's own calendar."""
        if track is None:
            return 0
        if track not in self.tracks:
            self.tracks[track] = (-1, 0)
            self.is_changed = True
        return list(self.tracks).index(track) + 1

    def own_days_of_all(self, page: Page) -> list[Days]:
        """Give everybody's days on a page that no later enrolment elsewhere claims."""
        return [
            Days(days.counted & ~yielded, days.absent & ~yielded) if yielded else days
            for days, yielded in zip(days_of_all(self.terms, page.says()), page.yielded, strict=True)
        ]

    def on_several_tracks(self) -> list[bytes]:
        """Name the students on the pages in the hand whose enrolled days must be set anew when a calendar changes."""
        return [page.keys[at] for page, at in self.everybody() if page.tracks[at] == SEVERAL_TRACKS]

    def everybody(self) -> Iterator[tuple[Page, int]]:
        """Give everybody on the pages in the hand."""
        return ((page, at) for page in self.pages.values() for at in range(len(page.keys)))

    def own_days(self, page: Page, at: int) -> Days:
        """Give the days that no later enrolment elsewhere claims: those that sums over schools count."""
        days = self.days(page, at)
        yielded = page.yielded[at]
        return Days(days.counted & ~yielded, days.absent & ~yielded) if yielded else days

    def tally(self, days: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Count, of each of these days, the students for whom it counts, and those who missed it.

        The whole school must be in the hand.
        """
        own = [each for page in self.pages.values() for each in self.own_days_of_all(page)]
        return {
            day: (sum(counted & day > 0 for counted, _ in own), sum(absent & day > 0 for _, absent in own))
            for day in days
        }

    def remember_all(self) -> None:
        """Keep everybody's days and what the school says of them, before the school itself changes."""
        if self.before is None:
            self.before = self.terms
        for page in self.pages.values():
            page.remember()


@lru_cache(maxsize=1024)  # asked for each student whose days are looked at
def _days_until(school_year: int, day: date) -> int:
    places = (day - first_day_of(school_year)).days + 1
    return (1 << min(max(places, 0), absence.YEAR_DAYS)) - 1


def _earliest_first(days: int) -> str:
    """Order sets of days: of two calendars the one with the earliest day that the other lacks is the larger."""
    return f"{days:0{absence.YEAR_DAYS}b}"[::-1]


class Student(NamedTuple):
    """Somebody on a page, with the days that count by now."""

    page: Page
    at: int
    days: Days
    moved: int
    """Days that began or ceased to count, or to be missed."""


def moved_students(school: School, *, everybody: bool = False) -> Iterator[Student]:
    """Give whoever's days are not what they were before the batch, and who must be looked at all the same."""
    terms = school.terms
    before = school.before or terms
    for page in school.pages.values():
        before_it = page.days_before()
        if before_it is None:
            continue
        now = days_of_all(terms, page.says())
        touched = page.touched
        for at, (former, days) in enumerate(zip(days_of_all(before, before_it), now, strict=True)):
            if everybody or former != days or at in touched:
                yield Student(page, at, days, (former[0] ^ days[0]) | (former[1] ^ days[1]))


def is_to_be_judged(student: Student, policy: Policy) -> bool:
    """Say whether a student's flag may have to change, and keep the standing that says so.

    The student's own standing moved, or other enrolments weigh in and a day moved; or by the standard policy, which the
    year after asks for, the student is chronically absent by now, or no longer.
    """
    page, at, days, moved = student
    traits = page.traits[at]
    is_kindergarten = page.grades[at] == PK
    now = 0 if is_kindergarten else absence.standing(counted=days.counted, absent=days.absent, policy=policy)
    former = page.standings[at] - 1
    is_moved = bool(moved and traits & SHARED)
    if policy.min_enrolled_days != absence.STANDARD.min_enrolled_days:
        is_chronic = bool(absence.chronic_level(counted=days.counted, absent=days.absent, policy=absence.STANDARD))
        if is_chronic != bool(traits & CHRONIC_NOW):
            page.traits[at] ^= CHRONIC_NOW
            page.is_changed = is_moved = True
    if now != former:
        page.standings[at] = now + 1
        page.is_changed = True
        # Two absences in September say nothing of somebody whose last year is known to have been none such.
        is_known = traits & (SHARED | KNOWN_BEFORE) == KNOWN_BEFORE
        is_moved |= not (is_known and _level(now, traits) == page.levels[at])
    return is_moved


def _level(standing: int, traits: int) -> int:
    if standing == ONLY_AFTER_A_CHRONIC_YEAR:
        return int(bool(traits & CHRONIC_BEFORE))
    return standing
