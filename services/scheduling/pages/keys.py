"""The page of keys: what each does, and the switch that turns single keys off."""

from collections.abc import Sequence

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.forms import read_form
from services.scheduling.pages.desk import SHORTCUTS_COOKIE, AtTheDesk, Desk, PageRoute
from services.scheduling.rules.wording import N_

A_YEAR_SECONDS = 365 * 24 * 60 * 60

KEYS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    (
        N_("Everywhere"),
        (
            ("q", N_("Queue")),
            ("s", N_("Day sheet")),
            ("b", N_("Visitors")),
            ("y", N_("Policy")),
            ("?", N_("This page")),
            ("Esc", N_("Leave a field, or let go of a way chosen by key")),
        ),
    ),
    (
        N_("In the queue"),
        (
            ("j", N_("Next line")),
            ("k", N_("Line before")),
            ("Enter", N_("Open the line")),
            ("c", N_("Claim the line")),
            ("n", N_("Next for me")),
            ("/", N_("Find a family")),
            (".", N_("Next page")),
        ),
    ),
    (
        N_("On a request"),
        (
            ("c", N_("Claim, or hold it longer")),
            ("r", N_("Release")),
            ("t", N_("Take over")),
            ("u", N_("Undo the last change")),
            ("e", N_("Agree a visit, or move it")),
            ("f", N_("Confirm: family and pair know of it")),
            ("x", N_("Close")),
            ("o", N_("Reopen")),
        ),
    ),
    (
        N_("A contact, in two keys: first how, then what came of it"),
        (
            ("1", N_("Call")),
            ("2", N_("Text message")),
            ("3", N_("Letter")),
            ("4", N_("In person")),
            ("n", N_("Not reached")),
            ("a", N_("Agreed to a visit")),
            ("m", N_("Agreed, in a community place")),
            ("p", N_("Phone instead")),
            ("d", N_("Declined")),
            ("v", N_("Moved")),
            ("l", N_("Later: leads to the day")),
        ),
    ),
)


def routes(desk: Desk) -> APIRouter:
    """Offer the page of keys."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/help")
    async def show_keys(request: Request, _: AtTheDesk) -> Response:
        """List what each key does."""
        return desk.render(request, "keys.html", {"keys": KEYS})

    @router.post("/shortcuts")
    async def switch_keys(request: Request, _: AtTheDesk) -> Response:
        """Switch single keys on or off in this browser."""
        chosen = (await read_form(request)).get("shortcuts")
        if chosen not in ("on", "off"):
            raise HTTPException(422, N_("Keys are on or off; use the buttons on the page of keys."))
        answer = RedirectResponse("/help", status_code=303)
        answer.set_cookie(SHORTCUTS_COOKIE, chosen, max_age=A_YEAR_SECONDS, httponly=True, samesite="lax")
        return answer

    return router
