"""What visitors take along: the visits of a day with how to reach each family. Whoever shows them records it."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetVisit:
    """One visit as its pair, its scheduler and its family see it. `contact` is personal data; None: nothing known."""

    visit_id: UUID
    request_id: UUID
    household_key: UUID
    district: str
    school: str
    stage: str
    state: str
    revision: int
    starts_at: datetime
    ends_at: datetime
    place: str
    place_text: str | None
    language: str
    interpreter: bool
    follow_up: bool
    pair: tuple[str, str]
    contact: dict[str, Any] | None


_SELECT = """
    SELECT visit_id, r.request_id, r.household_key, r.district, r.school, r.stage, v.state, a.revision, a.starts_at,
           a.starts_at + make_interval(mins => a.minutes) AS ends_at, a.place, a.place_text, a.language, a.interpreter,
           a.follow_up, ARRAY[a.first_visitor, a.second_visitor] AS pair, to_jsonb(c) AS contact
    FROM visit AS v JOIN request AS r USING (request_id)
    JOIN LATERAL (SELECT * FROM appointment WHERE appointment.visit_id = v.visit_id
                  ORDER BY revision DESC LIMIT 1) AS a USING (visit_id)
    LEFT JOIN (SELECT household_key, contact_name, phones, address, language, interpreter_needed, students
               FROM household_contact) AS c ON c.household_key = r.household_key
"""


def _sheet_visit(row: asyncpg.Record) -> SheetVisit:
    contact = json.loads(row["contact"]) if row["contact"] is not None else None
    if contact is not None:
        del contact["household_key"]
    return SheetVisit(**{**dict(row), "pair": tuple(row["pair"]), "contact": contact})


async def visits_between(
    connection: asyncpg.Connection, *, district: str, visitor_id: str | None, begins_at: datetime, ends_at: datetime
) -> list[SheetVisit]:
    """Read a district's visits that start in the time, or one visitor's of them, earliest first."""
    rows = await connection.fetch(
        f"""
        {_SELECT}
        WHERE visit_id IN (SELECT visit_id FROM appointment WHERE starts_at >= $3 AND starts_at < $4)
          -- Said again of the revision that stands: an earlier one may have been on this day.
          AND a.starts_at >= $3 AND a.starts_at < $4
          AND r.district = $1 AND v.state <> 'cancelled'
          AND ($2::text IS NULL OR $2 IN (a.first_visitor, a.second_visitor))
        ORDER BY a.starts_at, visit_id
        """,
        district,
        visitor_id,
        begins_at,
        ends_at,
    )
    return [_sheet_visit(row) for row in rows]


async def find_visit(connection: asyncpg.Connection, visit_id: UUID) -> SheetVisit | None:
    """Read one visit as it stands agreed."""
    row = await connection.fetchrow(f"{_SELECT} WHERE visit_id = $1", visit_id)
    return _sheet_visit(row) if row else None
