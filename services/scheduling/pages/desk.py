"""What every page of the desk works with: who may be here, what they may see, and how a refusal is shown."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from babel.dates import format_date, format_datetime, format_skeleton, format_time
from fastapi import Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.languages import Language
from services.runtime.web.pages import Pages, signed_in
from services.runtime.web.people import Person
from services.scheduling.pages import words
from services.scheduling.pages.forms import Attempt
from services.scheduling.rules import visits
from services.scheduling.rules.pairing import AppointmentRefused, Reason
from services.scheduling.rules.visits import What
from services.scheduling.rules.wording import N_

ROLES = frozenset({"scheduler", "coordinator"})
SHORTCUTS_COOKIE = "shortcuts"


async def at_the_desk(person: Annotated[Person, Depends(signed_in)]) -> Person:
    """Let schedulers and coordinators in. For everybody else there is no desk."""
    if person.role not in ROLES:
        raise HTTPException(404, N_("The desk is for schedulers and coordinators."))
    return person


AtTheDesk = Annotated[Person, Depends(at_the_desk)]


class Desk:
    """One service's desk: its pages, its database, and the people who share it."""

    def __init__(self, context: Context, pages: Pages) -> None:
        self.context = context
        self.pages = pages

    def now(self) -> datetime:
        """Read the clock."""
        return clock.now()

    def today(self, as_of: datetime) -> date:
        """Say which school day it is where the districts are."""
        return local_day(as_of, zone=self.pages.zone)

    def districts_of(self, person: Person) -> tuple[str, ...] | None:
        """Say which districts the person works for; None is all of them."""
        return None if person.sees_everything else tuple(sorted(person.scopes))

    def colleagues(self, person: Person) -> list[Person]:
        """List who works at the same desks, by name."""
        return sorted(
            (
                each
                for each in self.context.people
                if each.role in ROLES
                and (person.sees_everything or each.sees_everything or each.scopes & person.scopes)
            ),
            key=lambda each: each.display_name,
        )

    def name_of(self, name: str | None) -> str:
        """Give the name by which people know each other; a person who left is known by their code."""
        person = self.context.people.named(name) if name else None
        return person.display_name if person else name or ""

    def render(
        self, request: Request, template: str, values: Mapping[str, Any] | None = None, status: int = 200
    ) -> Response:
        """Make a page with the desk's words."""
        language = self.pages.language(request)
        return self.pages.render(
            request,
            template,
            {
                "words": words,
                "language_name": lambda code: words.language_name(code, language.code),
                "name_of": self.name_of,
                "month_name": lambda day: format_skeleton("yMMM", day, locale=language.locale),
                "shortcuts": request.cookies.get(SHORTCUTS_COOKIE) != "off",
                "queue_address": _queue_before(request),
                **(values or {}),
            },
            status,
        )

    def failed(self, request: Request, refusal: visits.Refusal, attempt: Attempt) -> tuple[Attempt, int]:
        """Say what a refused form becomes, and with which status. What is not there for this person raises."""
        if isinstance(refusal, visits.RequestUnknown | visits.NotAllowed):
            raise refusal
        stale = isinstance(refusal, visits.StaleVersion)
        holder = refusal.claimed_by if isinstance(refusal, visits.HeldByAnother) else None
        refused = replace(attempt, refusal=self.say(request, refusal), stale=stale, held_by=holder)
        return refused, 409 if stale or holder else 422

    def say(self, request: Request, refusal: visits.Refusal) -> str:
        """Say in the reader's language why something can't be done, every reason of it."""
        if isinstance(refusal, AppointmentRefused):
            return " · ".join(self.say_reason(request, reason) for reason in refusal.reasons)
        return self._filled(request, refusal.msgid, refusal.values)

    def say_reason(self, request: Request, reason: Reason) -> str:
        """Say why somebody could go, or can't."""
        return self._filled(request, reason.msgid, reason.values)

    def _filled(self, request: Request, msgid: str, values: Mapping[str, Any]) -> str:
        language = self.pages.language(request)
        text = language.gettext(msgid)
        if not values:
            said = text.replace("%%", "%")
        else:
            said = text % {name: self._said(name, value, language) for name, value in values.items()}
        return said[:1].upper() + said[1:]

    def _said(self, name: str, value: Any, language: Language) -> Any:
        if name in ("visitor", "claimed_by"):
            return self.name_of(value)
        if name == "language":
            return words.language_name(value, language.code)
        if isinstance(value, datetime):
            return format_datetime(value.astimezone(self.pages.zone), "medium", locale=language.locale)
        if isinstance(value, date):
            return format_date(value, "medium", locale=language.locale)
        return format_time(value, "short", locale=language.locale) if isinstance(value, time) else value


def _queue_before(request: Request) -> str:
    """The view of the queue from which the person came, so that the way back leads to it; else the whole queue."""
    came_from = urlsplit(request.headers.get("referer", "")[:2000])
    if came_from.path == "/queue" and came_from.netloc == request.headers.get("host"):
        return f"/queue?{came_from.query}" if came_from.query else "/queue"
    return "/queue"


def request_id_of(text: str) -> UUID:
    """Read a request's id from an address. Raises 404: what is no id is nobody's request."""
    try:
        return UUID(text)
    except ValueError:
        raise nothing_here() from None


def to_request(request_id: UUID, done: What | None) -> Response:
    """Lead back to the request, which says what happened."""
    return RedirectResponse(f"/requests/{request_id}?said={done}", status_code=303)


def nothing_here() -> HTTPException:
    """Make the answer for what does not exist, or is not yours to know of."""
    return HTTPException(404, N_("There is no such request in your districts."))


class PageRoute(APIRoute):
    """A route of a page: what FastAPI finds wrong in an address is told as a page, not as its own JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestValidationError:
                raise HTTPException(422, N_("Part of this address can't be read; go back and try again.")) from None
            except (visits.RequestUnknown, visits.NotAllowed):
                raise nothing_here() from None

        return answer
