"""A page of a school's register: the days of 64 students, and which of them count. Sets of days are ints. No I/O.

What is kept of a student: the days enrolled, marked and missed. What follows is never kept: a day counts when it is a
school day inside an enrolment and its roll is complete, or on a full feed marked. So a completed roll, a snow day or a
declared feed changes the school, and no student.
"""

import functools
import operator
from array import array
from collections.abc import MutableSequence
from typing import NamedTuple

from services.flagging.rules import absence, packing

STUDENTS_ON_A_PAGE = 64
ALL_DAYS = (1 << absence.YEAR_DAYS) - 1

GRADES = ("PK", "K", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12")
PK = GRADES.index("PK")
NO_GRADE = 255
"""No enrolment here knows the student."""
SEVERAL_TRACKS = 65_535
"""Of stints on several tracks: the enrolled days are cut to the calendars already, and set anew when one changes."""

SHARED = 1
"""Other enrolments weigh in: another school this year, or pre-kindergarten and a later grade at this one."""
WATCHED = 2
"""Flagged at any time this year: figures are told whenever a day closes or is corrected."""
CHRONIC_BEFORE, KNOWN_BEFORE = 4, 8
"""Chronically absent last year; and whether last year is known at all."""
CHRONIC_NOW = 32
"""Chronically absent this year by the standard policy, which the year after asks for."""
JOINED = 16
"""Marks with another number are this child's, or this number's marks are another's."""


class Days(NamedTuple):
    """One student's days at one school: which count, and which of these were missed."""

    counted: int
    absent: int


class Terms(NamedTuple):
    """What a school says of everybody's days."""

    completed: int
    open_days: int
    """Days on which a mark counts before the roll is complete."""
    calendars: tuple[int, ...]
    """School days: the school's own first, then those of each track."""
    enrols: bool
    """A feed without rosters: a mark enrols its student for its day."""

    @property
    def taught(self) -> int:
        """The days on which the school teaches anybody: its own and its tracks'."""
        return functools.reduce(operator.or_, self.calendars)


class Columns(NamedTuple):
    """What a page says of its students' days, a place for each student."""

    enrolled: MutableSequence[int]
    marked: MutableSequence[int]
    missed: MutableSequence[int]
    grades: MutableSequence[int]
    tracks: MutableSequence[int]


def days_of_all(terms: Terms, columns: Columns) -> list[Days]:
    """Say which days count for each student of a page, and which of these were missed.

    A day counts that is a school day inside an enrolment and complete, or on an open day marked.
    """
    completed, open_days, calendars, enrols = terms
    enrolled, marked, missed, grades, tracks = columns
    if enrols:
        known = zip(enrolled, marked, grades, strict=True)
        enrolled = [days | marks if grade == NO_GRADE else days for days, marks, grade in known]
    if any(tracks):
        inside = [
            days if track == SEVERAL_TRACKS else days & calendars[track]
            for days, track in zip(enrolled, tracks, strict=True)
        ]
    else:
        taught = calendars[0]
        inside = [days & taught for days in enrolled]
    counted = [(marks & open_days | completed) & days for marks, days in zip(marked, inside, strict=True)]
    return [Days(days, misses & days) for days, misses in zip(counted, missed, strict=True)]


class Page:
    """At most 64 students of a school's year, a place for each in every column."""

    __slots__ = (
        "before", "enrolled", "grades", "is_changed", "keys", "levels", "marked", "missed", "number", "places", "rolls",
        "standings", "touched", "tracks", "traits", "yielded",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.keys: list[bytes] = []
        self.places: dict[bytes, int] = {}
        self.enrolled: list[int] = []
        self.marked: list[int] = []
        self.missed: list[int] = []
        self.yielded: list[int] = []  # counted days that a later enrolment elsewhere claims
        self.grades = bytearray()
        self.tracks = array("H")  # 0: the school's own calendar, else a place among School.tracks, from 1
        self.traits = bytearray()
        self.standings = bytearray()  # as last judged by itself, plus one
        self.levels = bytearray()  # as last told
        self.rolls = 0  # days of which a roll page is kept
        self.is_changed = False
        self.before: Columns | None = None  # as they were before the batch, once anything of theirs may change
        self.touched: set[int] = set()  # to be looked at even where no day moved: the grade is another

    def add(self, student: bytes) -> int:
        """Give a student the next place."""
        at = self.places[student] = len(self.keys)
        self.keys.append(student)
        self.enrolled.append(0)
        self.marked.append(0)
        self.missed.append(0)
        self.yielded.append(0)
        self.grades.append(NO_GRADE)
        self.tracks.append(0)
        self.traits.append(0)
        self.standings.append(1)
        self.levels.append(0)
        self.is_changed = True
        return at

    def days_before(self) -> Columns | None:
        """Give the days as they were before the batch, of newcomers none; None: nothing of theirs has changed."""
        if self.before is not None:
            for column, nothing in zip(self.before, (0, 0, 0, NO_GRADE, 0), strict=True):
                column.extend([nothing] * (len(self.keys) - len(column)))
        return self.before

    def says(self, whose: slice | None = None) -> Columns:
        """Give what it says of everybody's days, or of those at these places."""
        if whose is None:
            return Columns(self.enrolled, self.marked, self.missed, self.grades, self.tracks)
        return Columns(
            self.enrolled[whose], self.marked[whose], self.missed[whose], self.grades[whose], self.tracks[whose]
        )

    def remember(self) -> None:
        """Keep the days as they were before the batch; once, before anything of theirs changes."""
        if self.before is None:
            self.before = Columns(
                self.enrolled.copy(), self.marked.copy(), self.missed.copy(), list(self.grades), list(self.tracks)
            )

    def columns(self) -> tuple[object, ...]:
        """Give the page as the table holds it: what changes every day comes last."""
        return (
            self.number,
            packing.pack_keys(self.keys),
            packing.pack_sets(self.enrolled),
            bytes(self.grades),
            self.tracks.tobytes(),
            packing.pack_sets(self.yielded),
            bytes(self.traits),
            packing.pack_set(self.rolls),
            bytes(self.standings),
            bytes(self.levels),
            packing.pack_sets(self.marked),
            packing.pack_sets(self.missed),
        )

    @classmethod
    def read(cls, *columns: bytes) -> "Page":
        """Read what columns() wrote."""
        number, keys, enrolled, grades, tracks, yielded, traits, rolls, standings, levels, marked, missed = columns
        page = cls(int(number))
        page.keys = packing.unpack_keys(keys)
        page.places = {key: at for at, key in enumerate(page.keys)}
        count = len(page.keys)
        page.enrolled = packing.unpack_sets(enrolled, count)
        page.grades, page.tracks, page.traits = bytearray(grades), array("H", tracks), bytearray(traits)
        page.yielded = packing.unpack_sets(yielded, count)
        page.rolls = packing.unpack_set(rolls)
        page.standings, page.levels = bytearray(standings), bytearray(levels)
        page.marked, page.missed = packing.unpack_sets(marked, count), packing.unpack_sets(missed, count)
        return page
