"""Tables as JSON and CSV. Read only; every answer says what it counts, as of when, and up to which cut-off."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Response

from contracts.events import DISTRICT_PATTERN
from services.reporting.reports.reading import Reading
from services.reporting.rules.measures import MEASURES, STEPS, TABLES
from services.reporting.rules.tables import Table, as_json, as_rows
from services.runtime.web.csv_file import as_csv
from services.runtime.web.languages import N_
from services.runtime.web.pages import signed_in
from services.runtime.web.people import Person
from services.runtime.web.safe_answers import NOTICE

PUBLIC = "Published figures: small counts are hidden, and the table may be passed on whole and unchanged."

Who = Annotated[Person, Depends(signed_in)]
Name = Annotated[str, Path(pattern=r"^[a-z][a-z-]{0,39}$")]
District = Annotated[str, Path(pattern=DISTRICT_PATTERN)]
School = Annotated[str, Path(pattern=r"^[^\x00-\x1f]{1,40}$")]
Day = date | None


def routes(reading: Reading) -> APIRouter:
    """Offer the reports under /v1."""
    router = APIRouter(prefix="/v1")

    @router.get("/measures")
    async def catalogue(_: Who) -> dict[str, Any]:
        """Define every number and every table."""
        return {
            "measures": [
                {
                    "name": each.name,
                    "title": each.title,
                    "definition": each.definition,
                    "unit": each.unit,
                    "suppressed": each.suppressed,
                }
                for each in MEASURES.values()
            ],
            "tables": [
                {"name": kind.name, "title": kind.title, "keys": kind.keys, "measures": kind.measures}
                for kind in TABLES.values()
            ],
        }

    @router.get("/published")
    async def publications(_: Who) -> dict[str, Any]:
        """List the cut-offs with published numbers, and the tables there are."""
        return {
            "cut_offs": await reading.cut_offs(),
            "tables": [name for name, kind in TABLES.items() if not kind.own_only],
        }

    @router.get("/published/{name}.csv")
    async def published_csv(person: Who, name: Name, cut_off: Day = None) -> Response:
        """Give a published table as CSV."""
        return csv_answer(await _published(person, name, cut_off), is_public=True)

    @router.get("/published/{name}")
    async def published(person: Who, name: Name, cut_off: Day = None) -> dict[str, Any]:
        """Give a published table: frozen at its cut-off, small cells hidden as `*`."""
        return as_json(await _published(person, name, cut_off))

    @router.get("/districts/{district}/{name}.csv")
    async def own_csv(person: Who, district: District, name: Name) -> Response:
        """Give a district's own table as CSV."""
        return csv_answer(_one(await reading.own(person, district), name))

    @router.get("/districts/{district}/{name}")
    async def own(person: Who, district: District, name: Name) -> dict[str, Any]:
        """Give a district's own table, of this moment and whole."""
        return as_json(_one(await reading.own(person, district), name))

    @router.get("/districts/{district}/schools/{school}/{name}.csv")
    async def of_school_csv(person: Who, district: District, school: School, name: Name) -> Response:
        """Give one school's own table as CSV."""
        return csv_answer(_one(await reading.school(person, district, school), name))

    @router.get("/districts/{district}/schools/{school}/{name}")
    async def of_school(person: Who, district: District, school: School, name: Name) -> dict[str, Any]:
        """Give one school's own table."""
        return as_json(_one(await reading.school(person, district, school), name))

    @router.get("/funnel")
    async def funnel(person: Who) -> dict[str, Any]:
        """Show, in households, the way from flag to visit in each district the person works in."""
        tables = await reading.own_of_all(person)
        lines = [
            {**dict(zip(STEPS, line.numbers, strict=True)), "declined": ended.numbers[0], "district": line.keys[0]}
            for each in tables
            for line, ended in zip(each["funnel"].lines, each["endings"].lines, strict=True)
        ]
        as_of = max((each["funnel"].as_of for each in tables if each["funnel"].as_of), default=None)
        return {"as_of": as_of, "unit": "households", "districts": lines}

    @router.get("/counts")
    async def counts(_: Who) -> dict[str, int]:
        """Count what the projections hold, for operations."""
        return await reading.counts()

    async def _published(person: Person, name: str, cut_off: date | None) -> Table:
        return _one(await reading.published(person, cut_off), name)

    return router


def _one(tables: dict[str, Table], name: str) -> Table:
    table = tables.get(name)
    if table is None:
        raise HTTPException(404, N_("there is no such table here; GET /v1/published lists them"))
    return table


def csv_answer(table: Table, *, is_public: bool = False) -> Response:
    """Answer with the table as a file; one that is public may be passed on."""
    headers = {"Content-Disposition": f'attachment; filename="{table.name}.csv"', "Cache-Control": "no-store"}
    if is_public:
        headers[NOTICE] = PUBLIC
    return Response(as_csv(as_rows(table)), media_type="text/csv; charset=utf-8", headers=headers)
