"""What pages show of visits: the appointment, and how to reach the family as far as the reader needs it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from contracts.calendar import local_day
from contracts.disclosures import What
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.visitlog.handlers import access, disclosing, office
from services.visitlog.handlers.acts import Act
from services.visitlog.rules import outcomes
from services.visitlog.rules.outcomes import Due
from services.visitlog.store import logs, visits
from services.visitlog.store.visits import Listed

_TO_BE_LOGGED = {Due.EXPECTED, Due.OVERDUE}
LOOK_BACK = timedelta(days=60)
LOOK_AHEAD = timedelta(days=28)
DONE_FOR = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How to reach a household."""

    name: str
    phones: Sequence[str]
    address: str | None
    language: str
    interpreter_needed: bool
    students: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One visit as a page shows it. `contact` is None where the reader does not need it any more."""

    visit_id: UUID
    starts_at: datetime
    minutes: int
    place: str
    language: str
    interpreter: bool
    follow_up: bool
    pair: Sequence[str]
    partners: Sequence[str]
    due: Due
    log_ids: Sequence[UUID]
    contact: Contact | None

    @property
    def may_be_logged(self) -> bool:
        """Tell whether a log can be written: one visit takes place once, attempts may repeat."""
        return self.due is not Due.LOGGED


@dataclass(slots=True)
class Board:
    """A visitor's visits by what they ask for."""

    waiting: list[Card] = field(default_factory=list)
    today: list[Card] = field(default_factory=list)
    coming: list[Card] = field(default_factory=list)
    done: list[Card] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to show."""
        return not (self.waiting or self.today or self.coming or self.done)


def display_name(pages: Pages, name: str) -> str:
    """Give a visitor's name as colleagues know it; the code where they never sign in here."""
    person = pages.sessions.people.named(name)
    return person.display_name if person is not None else name


async def board_of(act: Act, pages: Pages) -> Board:
    """Gather a visitor's visits, and note that it was shown how to reach the families."""
    listed = Listed(
        districts=act.districts,
        visitor_id=act.person.name,
        due=list(Due),
        starts_from=act.as_of - LOOK_BACK,
        starts_before=act.as_of + LOOK_AHEAD,
        limit=300,
    )
    rows = await office.list_expected(act, listed)
    contacts = await _disclosed(act, rows, What.CONTACT)
    today = act.today
    board = Board()
    for row in rows:
        card = _card(pages, row, act.person, contacts.get(row["household_key"]))
        visited_on = local_day(card.starts_at, zone=act.zone)
        if card.due in _TO_BE_LOGGED and visited_on < today:
            board.waiting.append(card)
        elif visited_on == today:
            board.today.append(card)
        elif visited_on > today and card.due in _TO_BE_LOGGED:
            board.coming.append(card)
        elif card.starts_at > act.as_of - DONE_FOR:
            board.done.append(card)
    board.done.reverse()
    return board


async def card_of(act: Act, pages: Pages, visit: Mapping[str, Any]) -> Card:
    """Show one visit with how to reach the family, and note that it was shown. Raises VisitUnknown."""
    limits = await office.overdue_limits(act, [visit["district"]])
    row = await visits.standing_of_visit(act.connection, visit["visit_id"], limits)
    if row is None or row["starts_at"] is None:
        raise outcomes.VisitUnknown
    contacts = await _disclosed(act, [row], What.CONTACT)
    return _card(pages, row, act.person, contacts.get(row["household_key"]))


async def last_time(act: Act, visit: Mapping[str, Any]) -> dict[str, Any] | None:
    """Recall what was agreed and promised when the household was last visited."""
    household_key = visit["household_key"]
    row = await logs.last_log_of_household(act.connection, household_key=household_key, before=act.as_of)
    if row is None:
        return None
    body = json.loads(row["body"])
    await disclosing.note(act, [(visit["district"], household_key)], What.WORDS)
    return {
        "started_at": row["started_at"],
        "small_step": body.get("small_step"),
        "promises": body.get("promises") or [],
        "hopes": (body.get("voice") or {}).get("hopes"),
    }


async def _disclosed(act: Act, rows: Sequence[asyncpg.Record], what: What) -> dict[UUID, asyncpg.Record]:
    is_office = act.person.role == access.COORDINATOR
    # A visitor needs the family until the visit is told; after that the district's own records do.
    needed = [row for row in rows if is_office or Due(row["due"]) in _TO_BE_LOGGED]
    contacts = await visits.contacts_of(act.connection, [row["household_key"] for row in needed])
    households = [(row["district"], row["household_key"]) for row in needed if row["household_key"] in contacts]
    await disclosing.note(act, households, what)
    return contacts


def _card(pages: Pages, row: asyncpg.Record, person: Person, contact: asyncpg.Record | None) -> Card:
    return Card(
        visit_id=row["visit_id"],
        starts_at=row["starts_at"],
        minutes=row["minutes"],
        place=row["place"] or "home",
        language=row["language"] or "en",
        interpreter=row["interpreter"],
        follow_up=row["follow_up"],
        pair=[display_name(pages, name) for name in row["pair"]],
        partners=[display_name(pages, name) for name in row["pair"] if name != person.name],
        due=Due(row["due"]),
        log_ids=row["log_ids"] or [],
        contact=None if contact is None else _contact(contact),
    )


def _contact(row: asyncpg.Record) -> Contact:
    students = json.loads(row["students"])
    return Contact(
        name=row["contact_name"],
        phones=list(row["phones"]),
        address=row["address"],
        language=row["language"],
        interpreter_needed=row["interpreter_needed"],
        students=[f"{student['given_name']} {student['family_name']}" for student in students],
    )
