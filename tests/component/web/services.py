"""Every service with something in it, served on a port of its own: what bad input is tried on."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts import events
from services.ingest import api as ingest_api
from services.runtime.service import Service
from tests import people
from tests.browser.site import Site, service_named, serving
from tests.browser.visitlog.visits import with_visits
from tests.component.scheduling.waiting import register, waiting_families
from tests.component.visit_events import flag, of_visit
from tests.conftest import ServiceDatabase
from tests.delivering import served
from tests.unit.ingest.landed import districts

PAGES = ("scheduling", "visitlog", "reporting")


@asynccontextmanager
async def standing(name: str, service_database: ServiceDatabase) -> AsyncIterator[Site]:
    """Serve the service with some families, visits or numbers in it."""
    service = _ingest() if name == "ingest" else service_named(name)
    pool = await service_database(name)
    app = served(service, pool, people.everybody())
    async with serving(app) as address:
        site = Site(address=address, pool=pool, service=service)
        if name == "scheduling":
            await waiting_families(site.deliver)
            await register(pool, "marisol", "omar", languages=("en", "es"))
        if name == "visitlog":
            await with_visits(site)
        if name == "reporting":
            await site.deliver("absence-flags", flag(1), flag(2, household_number=2, district="danbury"))
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            requested = of_visit(events.VisitRequested)
            await site.deliver("home-visits", requested, of_visit(events.VisitScheduled, starts_at=tomorrow))
        yield site


def schema_of(name: str) -> dict[str, object]:
    """Describe the service's API as it describes itself."""
    service = _ingest() if name == "ingest" else service_named(name)
    return served(service, None, people.everybody()).openapi()  # type: ignore[arg-type]


def _ingest() -> Service:
    declared: Service = importlib.import_module("services.ingest.app").service
    return Service(
        name="ingest",
        access=declared.access,
        migrations=Path(declared.migrations),
        routes=lambda context: ingest_api.routes(context, districts),
        max_body_bytes=None,
    )
