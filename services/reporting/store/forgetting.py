"""What the projections let go: figures that are to be erased, and districts whose contract is over."""

from collections.abc import Collection

from services.runtime.database import Connection
from services.runtime.web.disclosing import erase_disclosed_of_ended

_ERASED = "SELECT subject FROM forgotten WHERE figures = 'erased' AND version >= again"
_BY_STUDENT = ("flag", "flag_figures", "student_month")
_BY_HOUSEHOLD = ("flag", "request", "visit", "visit_log", "appointment", "contact", "follow_up", "referral")
_BY_DISTRICT = (
    "flag", "flag_figures", "request", "visit", "visit_log", "appointment", "contact", "follow_up", "referral",
    "student_month", "school_month", "school_day", "day_tally", "visitor", "district_policy",
)  # fmt: skip


async def erase_figures(connection: Connection) -> None:
    """Let go rows of children and families whose figures are to be erased; given again it finds nothing."""
    if not await connection.fetchval(f"SELECT EXISTS ({_ERASED})"):
        return
    # A child of whom no household is known is a household alone, by the same key.
    for column, tables in (("student_key", _BY_STUDENT), ("household_key", _BY_HOUSEHOLD)):
        for table in tables:
            await connection.execute(f"DELETE FROM {table} WHERE {column} IN ({_ERASED})")


async def erase_districts(connection: Connection, districts: Collection[str]) -> None:
    """Let go all rows of districts whose contract is over, but what was published of the state."""
    await erase_disclosed_of_ended(connection)
    for table in _BY_DISTRICT:
        await connection.execute(f"DELETE FROM {table} WHERE district = ANY ($1::text[])", sorted(districts))
    await connection.execute("DELETE FROM forgotten WHERE owner = ANY ($1::text[])", sorted(districts))
