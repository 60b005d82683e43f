"""What machines ask, on a port of its own: metrics, liveness, readiness. Whoever reaches the pages doesn't reach it."""

from collections.abc import Awaitable, Callable

import fastapi
from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def operations(
    name: str,
    *,
    alive: Callable[[], str],
    ready: Callable[[], Awaitable[str]],
    measure: Callable[[], Awaitable[None]],
    revision: Callable[[], str] = str,
) -> fastapi.FastAPI:
    """Make the application with the three routes.

    `alive` and `ready` return what is wrong, or an empty string; `measure` brings the metrics up to now; `revision`
    names what readiness adds when all is well.
    """
    app = fastapi.FastAPI(title=f"LEAP {name}, for machines", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/livez")
    async def livez() -> Response:
        return _plain(alive())

    @app.get("/readyz")
    async def readyz() -> Response:
        return _plain(await ready(), well=f"ok\n{revision()}".strip())

    @app.get("/metrics")
    async def metrics() -> Response:
        await measure()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def _plain(problem: str, *, well: str = "ok") -> Response:
    return Response(problem or well, status_code=503 if problem else 200, media_type="text/plain")
