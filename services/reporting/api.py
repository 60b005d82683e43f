"""Reporting's HTTP: read only."""

from typing import Any

from fastapi import APIRouter

from services.reporting import measures, store
from services.runtime.service import Context


def routes(context: Context) -> APIRouter:
    """This will offer the reports under /v1."""
    router = APIRouter(prefix="/v1")

    @router.get("/funnel")
    async def funnel() -> dict[str, Any]:
        """This will show, per district and in households: flagged, requested, agreed, visited, declined."""
        async with context.begin() as tx:
            rows = await store.funnel(tx.connection)
            as_of = await store.newest_event_at(tx.connection)
        return measures.funnel_of([dict(row) for row in rows], as_of=as_of)

    @router.get("/counts")
    async def counts() -> dict[str, int]:
        """This will count what the projections hold."""
        async with context.begin() as tx:
            return await store.counts(tx.connection)

    return router
