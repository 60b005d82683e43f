"""The door of every route: who may pass is looked up in the service's table, and whose rows are read follows from it.

A service hands in its table (`Access`); a route that is not in it, or a line without a route, keeps the service from
starting. What the door found out stays with the request: the transactions that it opens see the rows of those scopes
(`services.runtime.roles`), whatever their statements ask for.
"""

from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol

from fastapi import HTTPException, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from services.runtime.roles import EVERYTHING
from services.runtime.web.languages import N_
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in

ANYBODY = "anybody"
"""The role of whoever is not asked to sign in."""


class Scope(Protocol):
    """What a route shows to a role."""

    @property
    def shows_rows(self) -> bool:
        """Say whether rows are read for it: of the scopes that are the person's."""


Access = Mapping[str, Mapping[str, Scope]]
"""By route, as "METHOD /path": the roles that may use it, and what it shows each."""

_NO_ROWS = ""
_scopes: ContextVar[str] = ContextVar("whose rows this request may read", default=_NO_ROWS)


class RoutesUndeclared(Exception):
    """A service's routes are not what its table says; the message names them."""


class Door:
    """Stands before every route of one service: a dependency of each."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._rules: dict[tuple[int, str], Mapping[str, Scope]] = {}

    def learn(self, routes: Sequence[BaseRoute], *, may_lack: Collection[str] = ()) -> None:
        """Give each route its line; those that it `may_lack` are there in some installations only.

        Raises RoutesUndeclared where a route has no line, or a line no route.
        """
        offered = {
            f"{method} {context.path}": (id(context.original_route), method)
            for context in iter_route_contexts(routes)
            for method in context.methods or ()
        }
        without = sorted(offered.keys() - self._access.keys())
        gone = sorted(self._access.keys() - offered.keys() - set(may_lack))
        if without or gone:
            raise RoutesUndeclared(f"nobody says who may use {without or 'them'}; nobody offers {gone or 'others'}")
        # By the route itself: what is matched doesn't know under which prefix it was put.
        self._rules = {place: self._access[named] for named, place in offered.items()}
        if len(self._rules) != len(offered):
            raise RoutesUndeclared("a route is offered under two addresses: offer it once")

    async def __call__(self, request: Request) -> None:
        """Let through whom the table names; else raise 404 for a page, 403 under /v1, or what `signed_in` raises."""
        rule = self._rules[id(request.scope["route"]), request.method]
        if ANYBODY in rule:
            return
        person = await signed_in(request)
        scope = rule.get(person.role)
        if scope is None:
            raise _refused(request)
        _scopes.set(_told(person) if scope.shows_rows else _NO_ROWS)


def asked_for() -> str:
    """Tell whose rows the request that is being answered may read: names with commas, `*`, or none."""
    return _scopes.get()


def _told(person: Person) -> str:
    return EVERYTHING if person.sees_everything else ",".join(sorted(person.scopes))


def _refused(request: Request) -> HTTPException:
    if request.url.path.startswith("/v1/"):
        return HTTPException(403, N_("your role does not include this; ask whoever runs this installation"))
    return HTTPException(404, N_("There is nothing here for your role."))
