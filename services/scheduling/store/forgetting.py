"""What the desk's tables let go of families and children who are forgotten, and of districts whose contract is over.

Each statement takes what stands, whoever put it there and when; given again it finds nothing.
"""

from collections.abc import Collection
from uuid import UUID

import asyncpg

from services.runtime.web.disclosing import erase_disclosed_of_ended

# Known again, what came later stands; what is older is gone all the same.
_CONTACTS = """
DELETE FROM household_contact AS c USING forgotten AS f
WHERE f.kind = 'household' AND f.subject = c.household_key AND c.source_version <= f.version"""
# By version alone: ingest says up to which one, and a word that they are known again may be older than the wish.
_LATE_CONTACTS = """
INSERT INTO household_forgotten AS kept (household_key, source_version, forgotten_at)
SELECT subject, version, '-infinity' FROM forgotten WHERE kind = 'household' AND version >= 0 ORDER BY subject
ON CONFLICT (household_key) DO UPDATE SET source_version = excluded.source_version
WHERE kept.source_version < excluded.source_version"""
# What could not be applied names them all the same: by their key, which is the record's, or inside it.
_DEAD_LETTERS = """
DELETE FROM dead_letter AS d USING forgotten AS f
WHERE d.topic = 'household-contacts' AND f.version >= f.again
  AND (position(convert_to(f.subject::text, 'UTF8') IN coalesce(d.key, '')) > 0
       OR position(convert_to(f.subject::text, 'UTF8') IN coalesce(d.value, '')) > 0)"""
# Also a child of whom no household is known: that is a household alone, by the same key.
_PLACES = """
UPDATE appointment AS a SET place_text = NULL
FROM visit AS v JOIN request AS r USING (request_id) JOIN forgotten AS f ON f.subject = r.household_key
WHERE a.visit_id = v.visit_id AND a.place_text IS NOT NULL
  AND (f.version >= f.again OR a.made_at <= f.forgotten_at)"""
_NAMES = """
UPDATE household_contact AS c
SET students = (
    SELECT coalesce(jsonb_agg(child), '[]') FROM jsonb_array_elements(c.students) AS child
    WHERE NOT EXISTS (SELECT FROM forgotten AS f
                      WHERE f.kind = 'student' AND f.version >= f.again
                        AND f.subject = (child ->> 'student_key')::uuid))
WHERE EXISTS (
    SELECT FROM forgotten AS f
    WHERE f.kind = 'student' AND f.version >= f.again AND ($1::uuid[] IS NULL OR f.subject = ANY ($1::uuid[]))
      AND f.owner = c.district
      AND c.students @> jsonb_build_array(jsonb_build_object('student_key', f.subject::text)))"""
# That there was a request stays, and nothing of what was done about it: its name must not be given to another one.
_OF_REQUESTS = ("contact_attempt", "offered_time", "request_history")
_EMPTY_REQUESTS = """
WITH gone AS (
    SELECT request_id FROM request JOIN forgotten AS f ON f.subject = household_key
    WHERE f.figures = 'erased' AND f.version >= f.again
)
DELETE FROM {table} WHERE request_id IN (SELECT request_id FROM gone)"""
_PRICES = """
UPDATE request AS r SET priority = NULL, wish = NULL, promise_kind = NULL, promise_due = NULL
FROM forgotten AS f
WHERE f.subject = r.household_key AND f.figures = 'erased' AND f.version >= f.again
  AND num_nonnulls(r.priority, r.wish, r.promise_kind, r.promise_due) > 0"""
# Once flagging told that nothing is left of the child's year: until then the flag is what closes the request.
_FLAGS = """
DELETE FROM flagged_student AS s USING forgotten AS f
WHERE f.kind = 'student' AND f.subject = s.student_key AND f.figures = 'erased' AND f.version >= f.again
  AND s.level = 'none'"""

_REQUESTS = "(SELECT request_id FROM request WHERE district = ANY ($1::text[]))"
_OF_A_DISTRICT = (
    "DELETE FROM household_contact WHERE district = ANY ($1::text[])",
    "DELETE FROM booking WHERE visit_id IN (SELECT visit_id FROM visit JOIN request USING (request_id)"
    " WHERE district = ANY ($1::text[]))",
    "DELETE FROM appointment WHERE visit_id IN (SELECT visit_id FROM visit JOIN request USING (request_id)"
    " WHERE district = ANY ($1::text[]))",
    "DELETE FROM visit WHERE request_id IN (SELECT request_id FROM request WHERE district = ANY ($1::text[]))",
    f"DELETE FROM contact_attempt WHERE request_id IN {_REQUESTS}",
    f"DELETE FROM offered_time WHERE request_id IN {_REQUESTS}",
    f"DELETE FROM request_history WHERE request_id IN {_REQUESTS}",
    "DELETE FROM promise WHERE household_key IN (SELECT household_key FROM request WHERE district = ANY ($1::text[]))",
    "DELETE FROM request WHERE district = ANY ($1::text[])",
    "DELETE FROM flagged_student WHERE district = ANY ($1::text[])",
    "DELETE FROM visitor_window WHERE visitor_id IN (SELECT visitor_id FROM visitor WHERE district = ANY ($1::text[]))",
    "DELETE FROM visitor_away WHERE visitor_id IN (SELECT visitor_id FROM visitor WHERE district = ANY ($1::text[]))",
    "DELETE FROM visitor_exclusion WHERE visitor_id IN"
    " (SELECT visitor_id FROM visitor WHERE district = ANY ($1::text[]))",
    "DELETE FROM visitor v WHERE district = ANY ($1::text[]) AND NOT EXISTS"
    " (SELECT FROM appointment a WHERE v.visitor_id IN (a.first_visitor, a.second_visitor))",
    "DELETE FROM school_calendar WHERE district = ANY ($1::text[])",
    "DELETE FROM teaching_day WHERE district = ANY ($1::text[])",
    "DELETE FROM school_year_begun WHERE district = ANY ($1::text[])",
    "DELETE FROM policy WHERE district = ANY ($1::text[])",
    "DELETE FROM district_status WHERE district = ANY ($1::text[])",
    "DELETE FROM forgotten WHERE owner = ANY ($1::text[])",
)


async def forget_households(connection: asyncpg.Connection) -> None:
    """Let go how to reach them, and where they were met."""
    for statement in (_CONTACTS, _LATE_CONTACTS, _PLACES, _DEAD_LETTERS):
        await connection.execute(statement)


async def strip_students(connection: asyncpg.Connection, students: Collection[UUID] | None) -> None:
    """Take their names out of their households' contact data: of these, or of all who are forgotten."""
    await connection.execute(_NAMES, None if students is None else list(students))


async def erase_figures(connection: asyncpg.Connection) -> None:
    """Let go numbers of whom a district wants nothing kept."""
    for table in _OF_REQUESTS:
        await connection.execute(_EMPTY_REQUESTS.format(table=table))
    await connection.execute(_PRICES)
    await connection.execute(_FLAGS)


async def erase_districts(connection: asyncpg.Connection, districts: Collection[str]) -> None:
    """Let go everything of districts whose contract is over, as this transaction remembers."""
    await connection.execute("SELECT erase_contact_disclosure_of_ended()")
    await erase_disclosed_of_ended(connection)
    for statement in _OF_A_DISTRICT:
        await connection.execute(statement, sorted(districts))
