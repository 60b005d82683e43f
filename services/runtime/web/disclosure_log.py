"""What was recorded of readings, for whoever answers for them: as a page, as CSV and for programs, the latest first.

Everybody who may read it reads what lies in their scopes; that they do names nobody, so it is no reading of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BeforeValidator, StringConstraints

from services.runtime.database import Connection
from services.runtime.web.context import Context
from services.runtime.web.csv_file import Cell, as_csv
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import NAME, Person
from services.runtime.web.sign_in import signed_in

MOST_ROWS = 500
PAGE_ROWS = 50
MOST_EXPORTED = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = (
    "at", "since", "times", "person", "role", "what", "scope", "whose", "members", "purpose", "door", "route",
)  # fmt: skip

_LIST = f"""
SELECT disclosure, {", ".join(_COLUMNS)} FROM disclosed
WHERE ($1::text[] IS NULL OR scope = ANY ($1))
  AND ($2::uuid IS NULL OR whose @> ARRAY[$2] OR members @> ARRAY[$2])
  AND ($3::text IS NULL OR person = $3)
  AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
  AND ($6::timestamptz IS NULL OR (at, disclosure) < ($6, $7::bigint))
ORDER BY at DESC, disclosure DESC LIMIT $8
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which records are asked for. `whose` is a key of those who belong together, or of a single one."""

    scopes: Sequence[str] | None
    whose: UUID | None = None
    person: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    after: tuple[datetime, int] | None = None
    limit: int = PAGE_ROWS


async def read_log(connection: Connection, sought: Sought) -> list[dict[str, Any]]:
    """Read records, the latest first."""
    at, number = sought.after or (None, None)
    rows = await connection.fetch(
        _LIST,
        None if sought.scopes is None else list(sought.scopes),
        sought.whose,
        sought.person,
        sought.since,
        sought.before,
        at,
        number,
        sought.limit,
    )
    return [dict(row) for row in rows]


# A form sends the fields that nobody filled in as well.
_EMPTY = BeforeValidator(lambda given: given or None)


class _Asked:
    """The filters as they stand in an address. Raises 422 for a day or a cursor that is none."""

    def __init__(
        self,
        whose: Annotated[
            UUID | None, _EMPTY, Query(description="a key of those who belong together, or of one")
        ] = None,
        person: Annotated[Annotated[str, StringConstraints(pattern=NAME)] | None, _EMPTY, Query()] = None,
        first: Annotated[date | None, _EMPTY, Query(alias="from", description="first local day")] = None,
        until: Annotated[date | None, _EMPTY, Query(description="last local day")] = None,
        after: Annotated[str, Query(max_length=40, description="`next` of the page before")] = "",
    ) -> None:
        if any(day is not None and not 1900 < day.year < 2200 for day in (first, until)):
            raise HTTPException(422, N_("choose days of this century"))
        self.whose, self.person, self.first, self.until = whose, person, first, until
        self.after = _cursor(after) if after else None

    def by(self, person: Person, zone: tzinfo, limit: int) -> Sought:
        """Give what the person may read of it."""
        return Sought(
            scopes=None if person.sees_everything else sorted(person.scopes),
            whose=self.whose,
            person=self.person,
            since=_begin(self.first, zone) if self.first is not None else None,
            before=_begin(self.until + timedelta(days=1), zone) if self.until is not None else None,
            after=self.after,
            limit=limit,
        )

    def address(self, path: str, **more: str) -> str:
        """Write the filters as an address does."""
        given = {"whose": self.whose, "person": self.person, "from": self.first, "until": self.until, **more}
        query = urlencode({name: str(value) for name, value in given.items() if value})
        return f"{path}?{query}" if query else path


Asked = Annotated[_Asked, Depends()]
Who = Annotated[Person, Depends(signed_in)]


def routes(context: Context) -> APIRouter:
    """Offer the records to programs: page by page as JSON, or all that were asked for as CSV."""
    router = APIRouter()

    @router.get("/disclosures")
    async def list_disclosures(
        person: Who, asked: Asked, limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100
    ) -> dict[str, Any]:
        """List who read what of whom, why, when and through which door, the latest first; `next` leads on."""
        async with context.begin() as tx:
            rows = await read_log(tx.connection, asked.by(person, context.settings.zone, limit))
        shown = [{name: row[name] for name in _COLUMNS} for row in rows]
        return {"disclosures": shown, "next": _written(rows[-1]) if len(rows) == limit else None}

    @router.get("/disclosures.csv")
    async def export_disclosures(person: Who, asked: Asked) -> Response:
        """Export the same. More than 100,000 rows are refused: ask for fewer days."""
        async with context.begin() as tx:
            rows = await read_log(tx.connection, asked.by(person, context.settings.zone, MOST_EXPORTED + 1))
        if len(rows) > MOST_EXPORTED:
            raise HTTPException(413, N_("these are too many for one file; choose fewer days"))
        cells = [_COLUMNS, *([_cell(row[name]) for name in _COLUMNS] for row in rows)]
        headers = {"Content-Disposition": 'attachment; filename="disclosures.csv"'}
        return Response(as_csv(cells), media_type="text/csv; charset=utf-8", headers=headers)

    return router


def page(
    context: Context,
    pages: Pages,
    *,
    words: Mapping[str, str],
    around: Callable[[Request, Person], Mapping[str, Any]],
) -> APIRouter:
    """Offer the records as a page.

    `words` say in English what the codes of what, why, door and role mean; `around` gives what the service's own layout
    needs.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/disclosures")
    async def show(request: Request, person: Who, asked: Asked) -> Response:
        """Show one page of the records."""
        async with context.begin() as tx:
            rows = await read_log(tx.connection, asked.by(person, pages.zone, PAGE_ROWS))
        language = pages.language(request)
        names = {each.name: each.display_name for each in pages.sessions.people}
        values = {
            "rows": rows,
            "asked": asked,
            "names": names,
            "say": lambda code: language.gettext(words.get(code, code)),
            "more": asked.address("/disclosures", after=_written(rows[-1])) if len(rows) == PAGE_ROWS else None,
            "export": asked.address("/v1/disclosures.csv"),
            **around(request, person),
        }
        return pages.render(request, "disclosures.html", values)

    return router


def nothing_asked() -> dict[str, Any]:
    """Give what the page needs where no records are shown on it."""
    return {"rows": None, "asked": _Asked(), "export": "/v1/disclosures.csv", "more": None}


def _cell(value: Any) -> Cell:
    if isinstance(value, list):
        return " ".join(map(str, value))
    cell: Cell = value.isoformat() if isinstance(value, datetime) else value
    return cell


def _begin(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _written(row: Mapping[str, Any]) -> str:
    return f"{(row['at'] - _EPOCH) // _MICROSECOND}.{row['disclosure']}"


def _cursor(text: str) -> tuple[datetime, int]:
    micros, _, number = text.partition(".")
    try:
        if not 0 <= int(number) < 2**63:
            raise ValueError
        return _EPOCH + int(micros) * _MICROSECOND, int(number)
    except (ValueError, OverflowError):
        raise HTTPException(422, N_("this page can't be found; begin at the first")) from None
