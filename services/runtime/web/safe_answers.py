"""What every answer says to whoever shows or keeps it: pages, JSON, CSV, pictures, refusals and failures alike.

A route that knows better says so itself: a static file may be kept, a page may load our own scripts.
"""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HSTS_SECONDS = 365 * 24 * 60 * 60

EVERY_ANSWER = {
    "Cache-Control": "no-store",
    # What is no page loads and runs nothing, whatever somebody wrote into it; a picture brings its own styles.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        "microphone=(), midi=(), payment=(), usb=()"
    ),
}

OVER_TLS = {"Strict-Transport-Security": f"max-age={HSTS_SECONDS}"}
"""Only where the request came over TLS, to us or to a proxy that we trust: elsewhere browsers pass over it."""

NOTICE = "Redisclosure-Notice"
NOT_PASSED_ON = (
    "Only for the purpose for which it was given to you; it may not be passed on to anybody else without consent "
    "(34 CFR 99.33)."
)
"""What a program hears with whatever it asks for, and what goes with a file in its name. A comment on top of a CSV
would be a row to most readers. A route whose figures are public says so under the same name."""

_FILE_NAME = re.compile(r'(?<=filename=")([^"]+?)(?=(?:\.\w+)?")')


def marked(disposition: str) -> str:
    """Write into a file's name that it may not be passed on: the one place that stays with it."""
    return _FILE_NAME.sub(r"\1-not-to-be-passed-on", disposition)


class SafeAnswers:
    """Adds to each answer what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**EVERY_ANSWER, **(OVER_TLS if scope["scheme"] == "https" else {})}.items():
                    headers.setdefault(name, value)
                _notify(headers, scope["path"])
            await send(message)

        await self._app(scope, receive, safely)


def _notify(headers: MutableHeaders, path: str) -> None:
    disposition = headers.get("content-disposition", "")
    if NOTICE not in headers and (disposition or path.startswith("/v1/")):
        headers[NOTICE] = NOT_PASSED_ON
        if disposition:
            headers["Content-Disposition"] = marked(disposition)
