"""Roll pages in PostgreSQL: what a school sent for a day, the newest mark of each student of a register page."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import NamedTuple

import asyncpg

from contracts.calendar import first_day_of, last_day_of
from services.flagging.rules.register import SchoolYear
from services.flagging.rules.rolls import RollColumns, RollPage
from services.runtime.columns import columns
from services.runtime.database import Connection

_COLUMNS = "district, school, school_day, page, students, codes, versions, parts"
_PAGES = f"""
SELECT {_COLUMNS} FROM roll_page
WHERE (district, school, school_day, page) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::date[], $4::int[]))"""
_PAGES_OF_SCHOOL = f"""
SELECT {_COLUMNS} FROM roll_page WHERE district = $1 AND school = $2 AND school_day BETWEEN $3 AND $4"""
_PAGES_OF_REGISTER = _PAGES_OF_SCHOOL + " AND page = ANY ($5::int[])"
_SAVE = f"""
INSERT INTO roll_page AS p ({_COLUMNS})
SELECT * FROM unnest($1::text[], $2::text[], $3::date[], $4::int[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[])
ON CONFLICT (district, school, school_day, page) DO UPDATE
SET students = excluded.students, codes = excluded.codes, versions = excluded.versions, parts = excluded.parts"""


class RollKey(NamedTuple):
    """Where a roll page stands."""

    district: str
    school: str
    school_day: date
    page: int


async def read_pages(connection: Connection, wanted: Collection[RollKey]) -> dict[RollKey, RollPage]:
    """Read these pages; one of a day without marks yet is not among them."""
    if not wanted:
        return {}
    return _read(await connection.fetch(_PAGES, *columns(wanted, width=4)))


async def read_school(
    connection: Connection, key: SchoolYear, pages: Collection[int] | None = None
) -> dict[RollKey, RollPage]:
    """Read a school's whole year, or that of some of its register pages."""
    span = (key.district, key.school, first_day_of(key.school_year), last_day_of(key.school_year))
    if pages is None:
        return _read(await connection.fetch(_PAGES_OF_SCHOOL, *span))
    return _read(await connection.fetch(_PAGES_OF_REGISTER, *span, list(pages)))


async def save_pages(connection: Connection, pages: Mapping[RollKey, RollColumns]) -> None:
    """Write pages, new or changed."""
    if pages:
        rows = [(*key, *pages[key]) for key in sorted(pages)]
        await connection.execute(_SAVE, *columns(rows, width=8))


def _read(rows: Iterable[asyncpg.Record]) -> dict[RollKey, RollPage]:
    return {RollKey(*row[:4]): RollPage.read(*row[4:]) for row in rows}
