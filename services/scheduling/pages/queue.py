"""The queue: who waits, why, how long, and whose it is."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from services.runtime.web.disclosing import Shown, disclose
from services.runtime.web.forms import read_form
from services.runtime.web.people import Person
from services.scheduling.handlers import disclosing
from services.scheduling.pages import view as views
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute
from services.scheduling.pages.forms import kept, read
from services.scheduling.pages.rows import QueueLine, line_of
from services.scheduling.rules.bounds import Part
from services.scheduling.rules.wording import N_
from services.scheduling.store import calendars, queue

MOST_ROWS_ASKED = 25
"""More changes at once than this, and the page is told to be loaded anew instead."""


class Sought(Part):
    """What families are looked for by: a name, or part of one."""

    words: Annotated[str, Field(min_length=2, max_length=80)] | None = None


Reading = Callable[[], Coroutine[Any, Any, list[QueueLine]]]


class Together:
    """One reading for all who ask the same at the same time: a change is asked for by every open page at once.

    What is asked names the versions that were heard of, so nobody is given what was read before them.
    """

    def __init__(self) -> None:
        self._readings: dict[Hashable, asyncio.Task[list[QueueLine]]] = {}

    async def read(
        self, asked: Hashable, reading: Callable[[], Coroutine[Any, Any, list[QueueLine]]]
    ) -> list[QueueLine]:
        """Wait for the reading that is under way, or begin one."""
        task = self._readings.get(asked)
        if task is None:
            task = self._readings[asked] = asyncio.create_task(reading())
            task.add_done_callback(lambda _: self._readings.pop(asked, None))
        # Who hangs up takes nothing from the others.
        return await asyncio.shield(task)


def routes(desk: Desk) -> APIRouter:
    """Offer the queue, its search and its live rows."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    together = Together()

    @router.get("/")
    async def start(_: AtTheDesk) -> Response:
        """Lead to the queue."""
        return RedirectResponse("/queue", status_code=303)

    @router.get("/queue")
    async def show_queue(request: Request, person: AtTheDesk) -> Response:
        """Show one page of the view that the address names."""
        view = views.read_view(request, desk.districts_of(person))
        after = views.read_cursor(request.query_params.get("after", ""))
        as_of = desk.now()
        today = desk.today(as_of)
        async with desk.context.begin() as tx:
            counts = await queue.count_by_stage(tx.connection, view, today=today, as_of=as_of)
            rows = await queue.read_queue(
                tx.connection, view, today=today, as_of=as_of, after=after, limit=queue.PAGE_ROWS + 1
            )
            lines = await lines_of(desk, tx.connection, rows[: queue.PAGE_ROWS])
            await disclose(tx.connection, person, _shown(lines), disclosing.DAYS, as_of=as_of)
            facets = await _facets(desk, tx.connection, person, view)
        last = rows[queue.PAGE_ROWS - 1] if len(rows) > queue.PAGE_ROWS else None
        return desk.render(
            request,
            "queue.html",
            {
                "view": view,
                "counts": counts,
                "lines": lines,
                "more": views.address(view, after=views.write_cursor(_cursor_of(last))) if last else None,
                "first_page": after is None,
                "address": lambda **changes: views.address(view, **changes),
                "live_rows": views.address(view, "/queue/rows"),
                "filtered": len(views.parameters(view)) - (view.stage is not None),
                **facets,
            },
        )

    @router.get("/queue/rows")
    async def show_rows(request: Request, person: AtTheDesk) -> Response:
        """Show those of the asked requests that are in the view: what a live page fetches of a change."""
        view = views.read_view(request, desk.districts_of(person))
        asked = tuple(request.query_params.get("ids", "").split(",")[: MOST_ROWS_ASKED + 1])
        try:
            # ID.VERSION: the version says only from when on it has to be read.
            ids = [UUID(each.partition(".")[0]) for each in asked]
        except ValueError:
            raise HTTPException(422, N_("These are no requests; load the queue again.")) from None
        if len(ids) > MOST_ROWS_ASKED:
            raise HTTPException(422, N_("Too many requests at once; load the queue again."))

        async def read() -> list[QueueLine]:
            as_of = desk.now()
            async with desk.context.begin() as tx:
                rows = await queue.read_queue(tx.connection, view, today=desk.today(as_of), as_of=as_of, only=ids)
                return await lines_of(desk, tx.connection, rows)

        versioned = all(each.partition(".")[2] for each in asked)
        lines = await together.read((view, asked), read) if versioned else await read()
        # Many read together, and each of them is recorded by themselves.
        if lines:
            async with desk.context.begin() as tx:
                await disclose(tx.connection, person, _shown(lines), disclosing.DAYS, as_of=desk.now())
        return desk.render(request, "rows.html", {"lines": lines, "view": view})

    @router.post("/search")
    async def search(request: Request, person: AtTheDesk) -> Response:
        """Find families by name. What is looked for is a name, so it is sent, and never in an address."""
        form = await read_form(request)
        reading = read(Sought, form, given={"words": " ".join(form.get("words").split()) or None})
        sought = reading.value.words if reading.value is not None else None
        lines: list[QueueLine] = []
        if sought:
            as_of = desk.now()
            async with desk.context.begin() as tx:
                rows = await queue.find_families(
                    tx.connection,
                    words=sought,
                    districts=desk.districts_of(person),
                )
                lines = await lines_of(desk, tx.connection, rows)
                await disclose(tx.connection, person, _shown(lines), disclosing.FOUND, as_of=as_of)
        return desk.render(
            request,
            "search.html",
            {"sought": sought, "typed": kept(form), "faults": reading.faults, "lines": lines},
            status=422 if reading.faults else 200,
        )

    return router


async def lines_of(desk: Desk, connection: Any, rows: list[queue.Queued]) -> list[QueueLine]:
    """Put rows into words, by the calendars of their districts."""
    as_of = desk.now()
    by_district = {
        district: await calendars.of_district(connection, district) for district in {row.district for row in rows}
    }
    return [line_of(row, calendars=by_district, today=desk.today(as_of), as_of=as_of) for row in rows]


def _shown(lines: list[QueueLine]) -> list[Shown]:
    return [
        shown
        for line in lines
        for shown in disclosing.household_of(
            line.row, {*line.row.children, *(clause.student_key for clause in line.sentence if clause.student_key)}
        )
    ]


def _cursor_of(row: queue.Queued) -> queue.Cursor:
    return queue.Cursor(pinned=row.pinned, points=row.points, opened_at=row.opened_at, request_id=row.request_id)


async def _facets(desk: Desk, connection: asyncpg.Connection, person: Person, view: queue.View) -> dict[str, Any]:
    """What the filters offer: the schools, languages and colleagues that there are."""
    schools = await queue.schools_of(connection, view.districts)
    languages = await queue.languages_of(connection, view.districts or ())
    return {
        "schools": schools if view.school is None or view.school in schools else [*schools, view.school],
        "spoken": sorted({*languages, *([view.language] if view.language else [])}),
        "owners": desk.colleagues(person),
    }
