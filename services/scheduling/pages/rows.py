"""A line of the queue as a person reads it: the sentence first, then how old, whose, and the points."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil

from contracts.calendar import SchoolDays
from services.scheduling.rules import ageing, priority
from services.scheduling.rules.priority import Clause
from services.scheduling.store.queue import Queued


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How long a request has waited, in school days, and whether that is too long."""

    state: str  # overdue, today, within, paused, reached: never told by colour alone
    days: int
    beyond: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """One line of the queue."""

    row: Queued
    sentence: tuple[Clause, ...]
    age: Age
    held_by: str | None
    minutes_left: int


def age_of(row: Queued, *, calendar: SchoolDays, today: date) -> Age:
    """Say how old a request is; the days on which the family asked for time don't count."""
    days = ageing.age(since=row.aged_from, today=today, pauses=row.pauses, calendar=calendar)
    if row.contact_again_on is not None and row.contact_again_on > today:
        return Age(state="paused", days=days)
    if row.due_on is None:
        return Age(state="reached", days=days)
    if row.due_on < today:
        beyond = ageing.days_beyond(due_on=row.due_on, today=today, pauses=row.pauses, calendar=calendar)
        return Age(state="overdue", days=days, beyond=beyond)
    if row.due_on == today:
        return Age(state="today", days=days)
    return Age(state="within", days=days, left=ageing.age(since=today, today=row.due_on, calendar=calendar))


def line_of(row: Queued, *, calendars: Mapping[str, SchoolDays], today: date, as_of: datetime) -> QueueLine:
    """Put a request into words. Of several children the most absent one speaks; the others are counted."""
    inputs = priority.from_json(row.priority, days_beyond_target=row.days_beyond) if row.priority else None
    clauses = priority.why(inputs) if inputs else []
    first = next((clause.student_key for clause in clauses if clause.student_key is not None), None)
    held = row.claimed_by is not None and row.claimed_until is not None and row.claimed_until > as_of
    return QueueLine(
        row=row,
        sentence=tuple(clause for clause in clauses if clause.student_key in (None, first)),
        age=age_of(row, calendar=calendars.get(row.district, SchoolDays()), today=today),
        held_by=row.claimed_by if held else None,
        minutes_left=ceil((row.claimed_until - as_of).total_seconds() / 60) if held and row.claimed_until else 0,
    )
