"""Visit log's HTTP for programs, under /v1: logs, what is added to them, and what the coordinator works with."""

from fastapi import APIRouter

from services.runtime.web.context import Context
from services.visitlog.api import commands, logs, office


def routes(context: Context) -> APIRouter:
    """Offer the commands, and what there is to read of logs and for the office."""
    router = APIRouter(prefix="/v1")
    for part in (commands, logs, office):
        router.include_router(part.routes(context))
    return router
