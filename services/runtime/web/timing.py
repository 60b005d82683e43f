"""How long requests take, by the route they matched and never by their address: an address may name somebody."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.seen import telemetry, tracing

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class Timed:
    """Times each request until its answer begins. A stream of events begins when something happens: left out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"").decode(
            "ascii", "replace"
        )
        # Both labels are closed: a route is one that was declared, a method one of a few.
        method = scope["method"] if scope["method"] in _METHODS else "other"

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start" and not _is_stream(message):
                route = getattr(scope.get("route"), "path", "other")
                seconds = time.perf_counter() - started
                tracing.name_request(route, message["status"])
                telemetry.HTTP_SECONDS.labels(route, method, str(message["status"])).observe(seconds)
            await send(message)

        with tracing.serving(method, given):
            await self._app(scope, receive, timed)


def _is_stream(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/event-stream")
               for name, value in message.get("headers", ()))  # fmt: skip
