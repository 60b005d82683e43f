"""Enrolments of children who are forgotten, and what is let go of whose figures are erased or whose district ended."""

from collections.abc import Collection, Mapping
from uuid import UUID

from services.flagging.facts import EnrollmentChanged
from services.runtime.database import Connection
from services.runtime.web.disclosing import erase_disclosed_of_ended

# By a version below every other: what is put in their place stands, and is told as a change of what was there.
_TAKE_OUT = """
UPDATE enrollment AS e SET source_version = -1
FROM unnest($1::uuid[], $2::bigint[]) AS gone (student_key, version)
WHERE e.student_key = gone.student_key AND e.source_version BETWEEN 0 AND gone.version
RETURNING old.district, old.school, old.student_key, old.stint, old.grade, old.entry_date, old.source_version,
    old.person_key, old.household_key, old.exit_date, old.exit_day_counts, old.withdrawn, old.number_key, old.track"""
_FIELDS = (
    "district", "school", "student_key", "stint", "grade", "entry_date", "source_version", "person_key",
    "household_key", "exit_date", "exit_day_counts", "withdrawn", "number_key", "track",
)  # fmt: skip

_ERASED = """(SELECT subject FROM forgotten
    WHERE kind = 'student' AND figures = 'erased' AND version >= again)"""
# Once it is cleared, and that was told: the clear is what closes a request.
_ERASE = (
    f"""DELETE FROM flag_history h WHERE student_key IN {_ERASED}
        AND EXISTS (SELECT FROM flag f WHERE (f.student_key, f.school_year) = (h.student_key, h.school_year)
                    AND f.level = 0)""",
    f"DELETE FROM flag WHERE student_key IN {_ERASED} AND level = 0",
    f"DELETE FROM chronic_year WHERE student_key IN {_ERASED}",
)
_BY_DISTRICT = (
    "enrollment", "member", "register_page", "roll_page", "school_year", "declared_feed", "district_status",
    "chronic_year", "mark_count", "landing_place", "policy",
)  # fmt: skip


async def take_out(connection: Connection, version_by_student: Mapping[UUID, int]) -> list[EnrollmentChanged]:
    """Take out the enrolments of these children up to a version each, and give them as they stood."""
    if not version_by_student:
        return []
    rows = await connection.fetch(_TAKE_OUT, list(version_by_student), list(version_by_student.values()))
    return [EnrollmentChanged(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


async def erase_figures(connection: Connection) -> None:
    """Let go flags of children whose figures are to be erased."""
    for statement in _ERASE:
        await connection.execute(statement)


async def erase_districts(connection: Connection, districts: Collection[str]) -> None:
    """Let go everything of districts whose contract is over, as this transaction remembers."""
    ended = sorted(districts)
    await erase_disclosed_of_ended(connection)
    await connection.execute(
        """
        DELETE FROM flag_history WHERE student_key IN (SELECT student_key FROM flag WHERE district = ANY ($1::text[]))
        """,
        ended,
    )
    await connection.execute(
        """
        DELETE FROM judge_due WHERE student_key IN (SELECT student_key FROM member WHERE district = ANY ($1::text[]))
        """,
        ended,
    )
    for table in ("flag", *_BY_DISTRICT):
        await connection.execute(f"DELETE FROM {table} WHERE district = ANY ($1::text[])", ended)
    await connection.execute(
        "DELETE FROM transfer WHERE district = ANY ($1::text[]) OR from_district = ANY ($1::text[])", ended
    )
    await connection.execute("DELETE FROM forgotten WHERE owner = ANY ($1::text[])", ended)
