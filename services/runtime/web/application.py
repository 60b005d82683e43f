"""The HTTP side of every service for people and their programs: its own routes, and what all of them have."""

import logging
from functools import partial
from typing import Annotated, Any

import fastapi
import structlog
import uvicorn
from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from services.runtime.seen import telemetry
from services.runtime.settings import NAMES_PER_HOUR
from services.runtime.web import connections, with_provider
from services.runtime.web.access import Access, Door
from services.runtime.web.context import Context
from services.runtime.web.disclosing import RETRY_SECONDS, ReadTooMuch
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.runtime.web.problems import problem_of, title_of
from services.runtime.web.safe_answers import SafeAnswers
from services.runtime.web.sign_in import signed_in
from services.runtime.web.timing import Timed

log = structlog.get_logger(__name__)

GRACEFUL_HTTP_SECONDS = 3


class Server(uvicorn.Server):
    """Leaves the signals to the service, which stops everything else too."""

    async def serve(self, _: list[object] | None = None) -> None:  # type: ignore[override]
        await self._serve()


class _Application(fastapi.FastAPI):
    """Is FastAPI's, and says of every answer how it may be shown and kept, also of those it makes where code failed."""

    def build_middleware_stack(self) -> ASGIApp:
        # Added as others are it would stand inside what answers failures, and these would go out without a word.
        return SafeAnswers(super().build_middleware_stack())


def application(name: str, *, max_body_bytes: int | None = None) -> fastapi.FastAPI:
    """Make the application that a service's routes are put on. A body longer than `max_body_bytes` gets 413."""
    # No page of FastAPI's own: they load scripts from another site.
    app = _Application(title=f"LEAP {name}", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.max_body_bytes = max_body_bytes
    app.state.pages = app.state.sessions = None
    app.state.names_per_hour = NAMES_PER_HOUR
    app.add_middleware(_LongBodiesExplained, max_body_bytes=max_body_bytes)
    app.add_middleware(Timed)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(ClientDisconnect, _on_nobody_there)
    app.add_exception_handler(ReadTooMuch, _on_read_too_much)
    app.add_exception_handler(Exception, _on_failure)

    return app


def serve(
    app: fastapi.FastAPI,
    context: Context,
    *,
    access: Access,
    pages: Pages | None = None,
    routes: fastapi.APIRouter | None = None,
) -> None:
    """Add a service's pages for people and its routes for programs, and what both need to know who is asking.

    Raises RoutesUndeclared where they are not those of the table, SettingsRejected where a route asks who that is and
    nobody said who may sign in.
    """
    app.state.pages = pages
    door = Door(access)
    app.state.names_per_hour = context.settings.names_per_hour
    for router in (pages.router if pages is not None else None, routes):
        if router is not None:
            # On the router and not on the application, whose own limit would come before the explanation.
            app.include_router(router, dependencies=[Depends(door)], max_body_size=app.state.max_body_bytes)
    if pages is not None or routes_by_person(app)[True]:
        app.state.sessions = context.sessions
        app.add_api_route("/openapi.json", _describe, dependencies=[Depends(door)], include_in_schema=False)
    door.learn(app.routes, may_lack=with_provider.ROUTES)


def routes_by_person(app: fastapi.FastAPI) -> dict[bool, set[str]]:
    """Name the routes, as "METHOD /path", by whether they let in only people who are signed in."""
    named: dict[bool, set[str]] = {True: set(), False: set()}
    for route in iter_route_contexts(app.routes):
        asks_who = isinstance(route.original_route, APIRoute) and _depends_on_a_person(route.dependant)
        named[asks_who] |= {f"{method} {route.path}" for method in route.methods or ()}
    return named


def _depends_on_a_person(dependant: Dependant) -> bool:
    return any(each.call is signed_in or _depends_on_a_person(each) for each in dependant.dependencies)


def server(
    app: fastapi.FastAPI,
    host: str,
    port: int,
    *,
    trusted_proxies: str = "",
    guests: connections.Guests | None = None,
) -> Server:
    """Make the HTTP server; its log goes where the service's goes, without a line per request.

    `trusted_proxies` are those whose word on where a request came from, and whether by TLS, counts: by itself nobody's.
    `guests` bounds its connections, where it is not the usual number.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACEFUL_HTTP_SECONDS,
        server_header=False,
        h11_max_incomplete_event_size=connections.MAX_HEAD_BYTES,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
    )
    if guests is None:
        # This machine itself is no place on the network: who lives on it shares one address.
        guests = connections.Guests(trusted=f"{trusted_proxies},{connections.THIS_MACHINE}")
    config.http = partial(connections.GuardedProtocol, guests=guests)  # type: ignore[assignment]
    # Counted as cut off: a line for each would let anybody fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return Server(config)


async def _describe(request: Request, _: Annotated[Person, Depends(signed_in)]) -> dict[str, Any]:
    """Describe the service's API to somebody who may ask it."""
    described: dict[str, Any] = request.app.openapi()
    return described


async def _on_nobody_there(_: Request, __: Exception) -> Response:
    return Response(status_code=408)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    said = error.detail if error.detail != title_of(error.status_code) else ""
    answer = problem_of(request, error.status_code, said)
    answer.headers.update(error.headers or {})
    return answer


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Where, never what: a field may hold a name.
    fields = sorted({".".join(map(str, fault["loc"])) for fault in error.errors()})
    return problem_of(request, 422, N_("correct the fields listed and send again"), fields=fields)


async def _on_read_too_much(request: Request, _: Exception) -> Response:
    said = N_(
        "You have read about more people within an hour than work here asks for. Nothing was shown; go on in a while, "
        "or ask whoever runs this installation."
    )
    answer = problem_of(request, 429, said)
    answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


async def _on_failure(request: Request, error: Exception) -> Response:
    log.error("a request failed", method=request.method, route=_route_of(request), **telemetry.where(error))
    return problem_of(request, 500, N_("nothing was changed; try again, and tell us if it stays"))


class _LongBodiesExplained:
    """Refuses a body that says it is too long before any of it is read; one that doesn't say is cut off later."""

    def __init__(self, app: ASGIApp, max_body_bytes: int | None) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._max_body_bytes is not None:
            said = Headers(scope=scope).get("content-length", "")
            if said.isdecimal() and int(said) > self._max_body_bytes:
                answer = problem_of(Request(scope), 413, N_("this is longer than any form here; send less"))
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _route_of(request: Request) -> str:
    # The pattern, not the address: an address may hold what somebody searched for.
    return str(getattr(request.scope.get("route"), "path", "unknown"))
