"""Who read what of which family: the desk's records, and a family's key from a parent's name."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import StringConstraints

from services.runtime.web import disclosure_log
from services.runtime.web.forms import read_form
from services.runtime.web.pages import signed_in
from services.runtime.web.people import Person
from services.scheduling.handlers import held
from services.scheduling.pages.desk import ROLES, SHORTCUTS_COOKIE, Desk, PageRoute
from services.scheduling.pages.forms import kept, read
from services.scheduling.rules.bounds import Part
from services.scheduling.rules.wording import N_

WORDS: Mapping[str, str] = {
    "name": N_("the name"),
    "contact": N_("name, phones and address"),
    "days": N_("a child's days"),
    "arrange": N_("to arrange a visit"),
    "find": N_("looked for by name, phone or reference"),
    "sheet": N_("for visitors to take along"),
    "confirm": N_("to write to the family"),
    "answer": N_("to answer the family"),
    "page": N_("page"),
    "api": N_("program"),
    "command": N_("command of the installation"),
    "search": N_("search"),
    "scheduler": N_("scheduler"),
    "visitor": N_("visitor"),
    "coordinator": N_("coordinator"),
    "auditor": N_("auditor"),
}


class SoughtParent(Part):
    """A parent's name, all of it."""

    words: Annotated[str, StringConstraints(min_length=2, max_length=80)]


def routes(desk: Desk) -> APIRouter:
    """Offer the records to coordinators and auditors."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    def around(request: Request, person: Person) -> dict[str, Any]:
        return {
            "at_desk": person.role in ROLES,
            "shortcuts": request.cookies.get(SHORTCUTS_COOKIE) != "off",
            "faults": (),
            "typed": {},
            "found": None,
        }

    router.include_router(disclosure_log.page(desk.context, desk.pages, words=WORDS, around=around))

    @router.post("/disclosures/find")
    async def find_key(request: Request, person: Annotated[Person, Depends(signed_in)]) -> Response:
        """Find a family's key by a parent's whole name. A name is sent, and never in an address."""
        form = await read_form(request)
        reading = read(SoughtParent, form, given={"words": " ".join(form.get("words").split())})
        found = None
        if reading.value is not None:
            async with desk.context.begin() as tx:
                found = await held.find_keys(tx, name=reading.value.words, person=person, as_of=desk.now())
        values = {
            **disclosure_log.nothing_asked(),
            **around(request, person),
            "faults": reading.faults,
            "typed": kept(form),
            "found": found,
        }
        return desk.pages.render(request, "disclosures.html", values, 422 if reading.faults else 200)

    return router
