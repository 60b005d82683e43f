"""What flagging told, as a reader keeps it: the newest word on each flag, each student's month, each school's day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from contracts.events import (
    Event,
    FlagChanged,
    FlagCleared,
    FlagFiguresUpdated,
    FlagRaised,
    Level,
    RecentDays,
    SchoolDayTalliedV2,
    StudentMonthsTallied,
)
from tests import oracle
from tests.oracle_facts import School

Key = tuple[UUID, int]
"""Student and school year."""


@dataclass(slots=True)
class Flags:
    """Of everybody flagged at any time, by the newest word: level, version, and the days behind the figures."""

    level: dict[Key, Level] = field(default_factory=dict)
    version: dict[Key, int] = field(default_factory=dict)
    household: dict[Key, UUID | None] = field(default_factory=dict)
    figures: dict[Key, tuple[int, int]] = field(default_factory=dict)
    absent_days: dict[Key, frozenset[date]] = field(default_factory=dict)
    recent: dict[Key, RecentDays | None] = field(default_factory=dict)
    as_of: dict[Key, date] = field(default_factory=dict)
    chronic_before: dict[Key, bool | None] = field(default_factory=dict)

    def standing(self) -> dict[Key, Level]:
        """Give the flags that stand."""
        return {key: level for key, level in self.level.items() if level is not Level.NONE}

    def cross(self, event: FlagRaised | FlagChanged | FlagCleared) -> None:
        """Take a crossing, which must follow from what was told before."""
        key = (event.student_key, event.school_year)
        assert event.previous_level == self.level.get(key, Level.NONE)
        assert event.level != event.previous_level or event.household_key != self.household[key]
        assert isinstance(event, FlagRaised) == (event.previous_level is Level.NONE)
        assert isinstance(event, FlagCleared) == (event.level is Level.NONE)
        assert event.version > self.version.get(key, 0)
        assert len(event.absent_days) == event.days_absent
        self.level[key], self.household[key] = event.level, event.household_key
        self.version[key] = event.version
        self.figures[key] = (event.days_absent, event.days_enrolled)
        self.absent_days[key] = frozenset(event.absent_days)
        self.recent[key], self.as_of[key] = event.recent, event.as_of
        self.chronic_before[key] = event.chronic_last_year

    def update(self, event: FlagFiguresUpdated) -> None:
        """Take figures, which cross no line."""
        for place, who in enumerate(event.students):
            key = (who, event.school_year)
            assert event.levels[place] == self.level[key], "figures cross no line"
            assert event.versions[place] > self.version[key]
            assert len(event.absent_days[place]) == event.days_absent[place]
            self.version[key] = event.versions[place]
            self.figures[key] = (event.days_absent[place], event.days_enrolled[place])
            self.absent_days[key] = frozenset(event.absent_days[place])
            self.recent[key], self.as_of[key] = event.recent[place], event.as_of
            self.chronic_before[key] = event.chronic_last_year[place]


def flags(events: Iterable[Event]) -> Flags:
    """Follow everybody's flag through the events, each of which must follow from those before it."""
    told, seen = Flags(), set()
    for event in events:
        assert event.event_id not in seen, "an id is one event's"
        seen.add(event.event_id)
        if isinstance(event, FlagFiguresUpdated):
            told.update(event)
        else:
            assert isinstance(event, FlagRaised | FlagChanged | FlagCleared)
            told.cross(event)
    return told


def assert_flags_are(told: Flags, expected: oracle.Conclusions, flags_that_stand: Mapping[Key, Level]) -> None:
    """Compare the newest word of everybody flagged at any time with the days of all the facts."""
    assert told.standing() == flags_that_stand
    assert told.figures == {key: expected.figures.get(key, (0, 0)) for key in told.figures}
    verdicts = {key: expected.verdicts.get(key, {}) for key in told.figures}
    assert told.absent_days == {key: {day for day in of if of[day]} for key, of in verdicts.items()}
    counted = [key for key in told.figures if verdicts[key]]
    assert {key: told.as_of[key] for key in counted} == {key: max(verdicts[key]) for key in counted}
    assert {key: told.recent[key] for key in counted} == {key: recent(verdicts[key]) for key in counted}
    chronic_before = {key for key in counted if told.chronic_before[key]}
    assert chronic_before == expected.chronic_before & set(counted), "chronic last year"


def recent(verdicts: Mapping[date, bool]) -> RecentDays:
    """Say how it has been going lately, from the days themselves."""
    days = sorted(verdicts)
    last, before = days[-20:], days[-40:-20]
    attended = [at for at, day in enumerate(days) if not verdicts[day]]
    return RecentDays(
        last_20_absent=sum(verdicts[day] for day in last),
        last_20_counted=len(last),
        before_20_absent=sum(verdicts[day] for day in before),
        before_20_counted=len(before),
        spell=len(days) - (attended[-1] + 1 if attended else 0),
    )


def months(events: Iterable[Event]) -> dict[tuple[UUID, School, date], tuple[int, int]]:
    """Give the newest (absent, counted) of every student's month at a school."""
    newest: dict[tuple[UUID, School, date], tuple[int, tuple[int, int]]] = {}
    for event in events:
        assert isinstance(event, StudentMonthsTallied)
        for who, absent, enrolled in zip(event.students, event.days_absent, event.days_enrolled, strict=True):
            key = (who, (event.district, event.school), event.month)
            if key not in newest or newest[key][0] < event.version:
                newest[key] = (event.version, (absent, enrolled))
    return {key: figures for key, (_, figures) in newest.items()}


def school_days(events: Iterable[Event]) -> dict[tuple[School, date], tuple[int, int]]:
    """Give the newest (counted, absent) of every school's day."""
    newest: dict[tuple[School, date], tuple[int, tuple[int, int]]] = {}
    for event in events:
        assert isinstance(event, SchoolDayTalliedV2)
        key = ((event.district, event.school), event.school_day)
        assert event.students_counted or key in newest, "a day that counts for nobody is told where it counted before"
        if key not in newest or newest[key][0] < event.version:
            newest[key] = (event.version, (event.students_counted, event.students_absent))
    return {key: figures for key, (_, figures) in newest.items()}
