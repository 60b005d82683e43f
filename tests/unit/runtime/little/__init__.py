"""A little service with a page, a form and an API: what the runtime gives to every service, seen from outside."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from contracts.access import OF_ALL, OF_PAGES, Role, Scope
from services.runtime.service import Service
from services.runtime.web.context import Context
from services.runtime.web.forms import read_form
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages, require_role, signed_in
from services.runtime.web.people import Person
from services.runtime.web.sse import event_stream

HERE = Path(__file__).parent
Who = Annotated[Person, Depends(signed_in)]


def little_pages(context: Context) -> Pages:
    """Notes that nobody keeps."""
    pages = Pages(
        context,
        templates=HERE / "templates",
        translations=HERE / "translations",
        title=N_("Notes"),
        static=HERE / "static",
    )
    router = pages.router

    @router.get("/")
    async def start(request: Request, _: Who, count: int = 0) -> Response:
        return pages.render(request, "start.html", {"count": count, "typed": request.query_params.get("typed", "")})

    @router.post("/notes")
    async def keep(request: Request, _: Who) -> Response:
        form = await read_form(request)
        if not form.get("note"):
            return pages.problem(request, 422, pages.language(request).gettext("Write something"))
        return RedirectResponse("/", status_code=303)

    @router.get("/v1/notes/{number}")
    async def note(number: int, person: Who) -> dict[str, Any]:
        if number == 13:
            raise RuntimeError("a value nobody may see")
        if not person.may_see("hartford"):
            raise HTTPException(404)
        return {"number": number, "for": person.name}

    @router.put("/v1/notes/{number}")
    async def write(number: int, person: Who, _: dict[str, Any]) -> dict[str, Any]:
        require_role(person, "coordinator")
        return {"number": number}

    @router.get("/changes")
    async def changes(request: Request, person: Who) -> Response:
        return event_stream(request, context.changes, person, heartbeat_seconds=0.2)

    return pages


_EVERYBODY = {role.value: Scope.DISTRICTS for role in Role if role is not Role.ANYBODY}

service = Service(
    name="little",
    migrations=HERE,
    pages=little_pages,
    access={
        **OF_ALL,
        **OF_PAGES,
        "GET /": _EVERYBODY,
        "POST /notes": _EVERYBODY,
        "GET /v1/notes/{number}": _EVERYBODY,
        "PUT /v1/notes/{number}": _EVERYBODY,
        "GET /changes": _EVERYBODY,
    },
)
