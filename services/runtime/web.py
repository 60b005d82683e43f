"""The HTTP side of every service: metrics, liveness, readiness, and its own routes."""

from collections.abc import Awaitable, Callable

import fastapi
import uvicorn
from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

GRACEFUL_HTTP_SECONDS = 3


class Server(uvicorn.Server):
    """Leaves the signals to the service, which stops everything else too."""

    async def serve(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await self._serve()


def application(
    name: str,
    *,
    alive: Callable[[], str],
    ready: Callable[[], Awaitable[str]],
    measure: Callable[[], Awaitable[None]],
) -> fastapi.FastAPI:
    """This will make the application with the routes every service has.

    `alive` and `ready` return what is wrong, or an empty string; `measure` brings the metrics up to now.
    """
    app = fastapi.FastAPI(title=f"LEAP {name}", docs_url="/docs", redoc_url=None)

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        return _plain(alive())

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return _plain(await ready())

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        await measure()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def server(app: fastapi.FastAPI, host: str, port: int) -> Server:
    """This will make the HTTP server; its log goes where the service's goes, without a line per request."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACEFUL_HTTP_SECONDS,
            server_header=False,
        )
    )


def _plain(problem: str) -> Response:
    return Response(problem or "ok", status_code=503 if problem else 200, media_type="text/plain")
