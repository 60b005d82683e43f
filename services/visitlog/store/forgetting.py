"""What the visit log's tables let go of who is forgotten, and of districts whose contract is over.

Each statement takes what stands, whoever put it there and when; given again it finds nothing.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from services.runtime.columns import columns
from services.runtime.database import Connection
from services.runtime.web.disclosing import erase_disclosed_of_ended

LOGS_AT_A_TIME = 200

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
# Also a child of whom no household is known: that is a household alone, by the same key.
_BODIES = f"""
SELECT log_id, body FROM visit_log JOIN visit USING (visit_id) JOIN forgotten AS f ON f.subject = household_key
WHERE wordless IS DISTINCT FROM 'forgotten'
  AND (f.version >= f.again OR logged_at <= f.forgotten_at)
ORDER BY log_id LIMIT {LOGS_AT_A_TIME} FOR UPDATE OF visit_log"""
_EMPTY = """
UPDATE visit_log AS v SET body = given.body, wordless = $3
FROM unnest($1::uuid[], $2::text[]) AS given (log_id, body) WHERE v.log_id = given.log_id"""

_LOGS = "(SELECT log_id FROM visit_log JOIN visit USING (visit_id) WHERE district = ANY ($1::text[]))"
_VISITS = "(SELECT visit_id FROM visit WHERE district = ANY ($1::text[]))"
_OF_A_DISTRICT = (
    "DELETE FROM household_contact WHERE district = ANY ($1::text[])",
    f"DELETE FROM referral_step WHERE referral_id IN (SELECT referral_id FROM referral WHERE log_id IN {_LOGS})",
    f"DELETE FROM referral WHERE log_id IN {_LOGS}",
    f"DELETE FROM effort WHERE log_id IN {_LOGS}",
    f"DELETE FROM amendment WHERE log_id IN {_LOGS}",
    f"DELETE FROM safety_timer WHERE visit_id IN {_VISITS}",
    f"DELETE FROM visit_log WHERE visit_id IN {_VISITS}",
    "DELETE FROM visit WHERE district = ANY ($1::text[])",
    "DELETE FROM request WHERE district = ANY ($1::text[])",
    "DELETE FROM school_calendar WHERE district = ANY ($1::text[])",
    "DELETE FROM visitor WHERE district = ANY ($1::text[])",
    "DELETE FROM pay_rate WHERE district = ANY ($1::text[])",
    "DELETE FROM log_policy WHERE district = ANY ($1::text[])",
    "DELETE FROM retention_policy WHERE district = ANY ($1::text[])",
    "DELETE FROM forgotten WHERE owner = ANY ($1::text[])",
)


async def is_wordless(connection: Connection, *, log_id: UUID, visit_id: UUID) -> bool:
    """Tell whether no words are taken of a log: it has lost them, or its family is forgotten."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM visit_log WHERE log_id = $1 AND wordless IS NOT NULL)
                OR EXISTS (SELECT FROM visit JOIN forgotten AS f ON f.subject = household_key
                           WHERE visit_id = $2 AND f.version >= f.again)
            """,
            log_id,
            visit_id,
        )
    )


async def forget_households(connection: Connection) -> None:
    """Let go how to reach them."""
    for statement in (_CONTACTS, _LATE_CONTACTS, _DEAD_LETTERS):
        await connection.execute(statement)


async def strip_students(connection: Connection, students: Collection[UUID] | None) -> None:
    """Take their names out of their households' contact data: of these, or of all who are forgotten."""
    await connection.execute(_NAMES, None if students is None else list(students))


async def bodies_of_forgotten(connection: Connection) -> list[tuple[UUID, str]]:
    """Read logs of households that are forgotten in which words may still stand, some at a time."""
    return [(UUID(bytes=row[0].bytes), row[1]) for row in await connection.fetch(_BODIES)]


async def empty_logs(connection: Connection, rows: Sequence[tuple[UUID, str]], *, because: str) -> None:
    """Write what is left of these logs, and delete what was added to them. Rows: log_id, body."""
    if rows:
        await connection.execute(_EMPTY, *columns(rows, width=2), because)
        await connection.execute("DELETE FROM amendment WHERE log_id = ANY ($1::uuid[])", [row[0] for row in rows])


async def erase_districts(connection: Connection, districts: Collection[str]) -> None:
    """Let go everything of districts whose contract is over, as this transaction remembers."""
    await connection.execute("SELECT erase_disclosure_of_ended()")
    await erase_disclosed_of_ended(connection)
    for statement in _OF_A_DISTRICT:
        await connection.execute(statement, sorted(districts))
