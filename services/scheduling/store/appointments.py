"""Visits and their appointments, one row at a time. Booking the pair is the database's own doing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from contracts.events import Place
from contracts.identities import visit_identity
from services.scheduling.rules.visits import VisitState


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is agreed with a family: when, where, how, who comes. `interpreter` None: if it turns out to be needed."""

    starts_at: datetime
    minutes: int
    place: Place
    place_text: str | None
    language: str
    interpreter: bool | None
    pair: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment(Terms):
    """One revision of what was agreed for a visit."""

    visit_id: UUID
    state: VisitState
    revision: int
    ends_at: datetime
    follow_up: bool
    made_by: str
    made_at: datetime

    def terms(self) -> Terms:
        """Give what was agreed, without when and by whom that was."""
        return Terms(**{each.name: getattr(self, each.name) for each in fields(Terms)})


_COLUMNS = """visit_id, state, revision, starts_at, starts_at + make_interval(mins => minutes) AS ends_at, minutes,
    place, place_text, language, interpreter, follow_up, ARRAY[first_visitor, second_visitor] AS pair,
    made_by, made_at"""


def _appointment(row: asyncpg.Record) -> Appointment:
    read = {"state": VisitState(row["state"]), "place": Place(row["place"]), "pair": tuple(row["pair"])}
    return Appointment(**{**dict(row), **read})


async def appointments_of(connection: asyncpg.Connection, request_id: UUID) -> list[Appointment]:
    """Read every revision of every visit of a request, oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM visit JOIN appointment USING (visit_id)
        WHERE request_id = $1 ORDER BY min(made_at) OVER (PARTITION BY visit_id), visit_id, revision
        """,
        request_id,
    )
    return [_appointment(row) for row in rows]


async def scheduled_visit(connection: asyncpg.Connection, request_id: UUID) -> UUID | None:
    """Find the visit that still lies ahead of a request."""
    visit_id: UUID | None = await connection.fetchval(
        "SELECT visit_id FROM visit WHERE request_id = $1 AND state = 'scheduled'", request_id
    )
    return visit_id


async def scheduled_appointment(connection: asyncpg.Connection, request_id: UUID) -> Appointment | None:
    """Read what stands agreed for the visit that lies ahead of a request."""
    row = await connection.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM visit JOIN appointment USING (visit_id)
        WHERE request_id = $1 AND state = 'scheduled' ORDER BY revision DESC LIMIT 1
        """,
        request_id,
    )
    return _appointment(row) if row else None


async def revision_before(connection: asyncpg.Connection, visit_id: UUID) -> Appointment | None:
    """Read the last but one revision of a visit's appointment; None where it was never moved."""
    row = await connection.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM visit JOIN appointment USING (visit_id)
        WHERE visit_id = $1 ORDER BY revision DESC OFFSET 1 LIMIT 1
        """,
        visit_id,
    )
    return _appointment(row) if row else None


async def open_visit(connection: asyncpg.Connection, *, request_id: UUID, version: int) -> UUID:
    """Add a scheduled visit to a request, which comes to this version by it."""
    visit_id = visit_identity(request_id=request_id, version=version)
    await connection.execute("INSERT INTO visit (visit_id, request_id) VALUES ($1, $2)", visit_id, request_id)
    return visit_id


async def cancel_visit(connection: asyncpg.Connection, visit_id: UUID) -> None:
    """Cancel a visit; its pair is free again."""
    await connection.execute("UPDATE visit SET state = 'cancelled' WHERE visit_id = $1", visit_id)


async def append_appointment(
    connection: asyncpg.Connection,
    visit_id: UUID,
    terms: Terms,
    *,
    travel_minutes: int,
    follow_up: bool,
    actor: str,
    as_of: datetime,
) -> int:
    """Write the next revision of a visit's appointment, book its pair, and return the revision.

    Raises asyncpg's ExclusionViolationError, booked_once, where one of the two is elsewhere at that time, and
    CheckViolationError, leap101_is_current, for a visitor unknown or without valid training.
    """
    revision: int = await connection.fetchval(
        """
        INSERT INTO appointment (visit_id, revision, starts_at, minutes, travel_minutes, place, place_text, language,
                                 interpreter, follow_up, first_visitor, second_visitor, made_by, made_at)
        SELECT $1, coalesce(max(revision), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
        FROM appointment WHERE visit_id = $1
        RETURNING revision
        """,
        visit_id,
        terms.starts_at,
        terms.minutes,
        travel_minutes,
        terms.place.value,
        terms.place_text,
        terms.language,
        terms.interpreter,
        follow_up,
        *terms.pair,
        actor,
        as_of,
    )
    return revision


async def visited_before(connection: asyncpg.Connection, household_key: UUID) -> bool:
    """Say whether any visit to the household took place."""
    visited: bool = await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM request JOIN visit USING (request_id)
                       WHERE household_key = $1 AND state = 'completed')
        """,
        household_key,
    )
    return visited


async def household_language(connection: asyncpg.Connection, household_key: UUID) -> str:
    """Name the household's language; English where nothing is known."""
    language: str | None = await connection.fetchval(
        "SELECT language FROM household_contact WHERE household_key = $1", household_key
    )
    return language or "en"


async def schools_of(connection: asyncpg.Connection, household_key: UUID) -> frozenset[str]:
    """Name the schools of a household's students."""
    rows = await connection.fetch("SELECT DISTINCT school FROM flagged_student WHERE household_key = $1", household_key)
    return frozenset(row["school"] for row in rows)


async def replace_offered_times(
    connection: asyncpg.Connection, request_id: UUID, times: Sequence[tuple[datetime, datetime]]
) -> None:
    """Keep when the family could, instead of what was kept before."""
    await connection.execute("DELETE FROM offered_time WHERE request_id = $1", request_id)
    await connection.executemany(
        "INSERT INTO offered_time (request_id, begins_at, ends_at) VALUES ($1, $2, $3)",
        [(request_id, begins_at, ends_at) for begins_at, ends_at in times],
    )


async def offered_times(connection: asyncpg.Connection, request_id: UUID) -> list[tuple[datetime, datetime]]:
    """Read when the family could, earliest first."""
    rows = await connection.fetch(
        "SELECT begins_at, ends_at FROM offered_time WHERE request_id = $1 ORDER BY begins_at", request_id
    )
    return [(row["begins_at"], row["ends_at"]) for row in rows]
