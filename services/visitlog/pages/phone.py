"""What makes the pages an application on a phone: a manifest, and a worker that keeps them readable offline."""

import base64
import hashlib
import json
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.session_table import SESSION_SECONDS
from services.visitlog.api.asking import Who
from services.visitlog.store import phone_keys

_STATIC = Path(__file__).parents[1] / "static"
_SHELL = ("leap.css", "leap.svg", "log.css", "log.js", "kept.js", "sealing.js", "outbox.js", "writing.js")
TITLE = N_("Visit log")


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer the manifest, the worker, the key of what a phone keeps, and the page without a connection."""
    router = APIRouter(include_in_schema=False)
    shell = ["/offline", *(pages.static.address(name) for name in _SHELL)]
    version = hashlib.sha256(json.dumps(shell).encode()).hexdigest()[:12]
    # A worker is no module: what it shares with the pages stands in it.
    sealing = (_STATIC / "sealing.js").read_text().replace("export ", "")
    constants = f"const SHELL = {json.dumps(shell)};\nconst VERSION = {json.dumps(version)};\n"
    worker = constants + sealing + (_STATIC / "service-worker.js").read_text()

    @router.get("/service-worker.js")
    async def service_worker() -> Response:
        """Serve the worker from the root, so that it may look after every page of this service."""
        # A worker goes by the policy of its own answer: it fetches our pages.
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": "default-src 'self'"}
        return Response(worker, media_type="text/javascript", headers=headers)

    @router.get("/phone-key")
    async def phone_key(person: Who) -> JSONResponse:
        """Hand out the key that locks what this person keeps on a phone; only their own session brings it back."""
        async with context.begin() as tx:
            secret = await phone_keys.key_of(tx.connection, person.name, as_of=clock.now())
        # Whose it is: a page left open by one person must not take another's for theirs.
        told = {"person": person.name, "key": base64.b64encode(secret).decode(), "seconds": SESSION_SECONDS}
        return JSONResponse(told, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})

    @router.get("/manifest.webmanifest")
    async def manifest(request: Request) -> Response:
        """Describe the application to a phone that is asked to install it."""
        language = pages.language(request)
        described = {
            "name": f"LEAP · {language.gettext(TITLE)}",
            "short_name": language.gettext(TITLE),
            "lang": language.code,
            "dir": language.direction,
            "start_url": "/",
            "scope": "/",
            "display": "standalone",
            "background_color": "#f6f5f1",
            "theme_color": "#0b5f63",
            "icons": [{"src": pages.static.address("leap.svg"), "sizes": "any", "type": "image/svg+xml"}],
        }
        return JSONResponse(described, media_type="application/manifest+json")

    @router.get("/offline")
    async def offline(request: Request) -> Response:
        """Say that there is no connection; it names nobody, so a phone may keep it."""
        return pages.render(request, "offline.html", {"person": None})

    return router
