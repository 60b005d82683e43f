"""What a person gets to read: the right edition for who is asking, or 404."""

import time
from datetime import date

from services.reporting.access import own_districts, published_districts, require_own
from services.reporting.reports import own, published
from services.reporting.rules.tables import Table
from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.people import Person

RECENT_SECONDS = 3.0
"""A page's charts are fetched right after it: they show the same moment, counted once."""

Tables = dict[str, Table]


class Reading:
    """The reports of one running service."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._recent: dict[tuple[str, ...], tuple[float, Tables]] = {}
        self.zone = context.settings.zone

    async def published(self, person: Person, cut_off: date | None = None) -> Tables:
        """Read a release, as far as the person sees districts; empty before the first one."""
        async with self._context.begin() as tx:
            return await published.published_tables(
                tx.connection, cut_off=cut_off, districts=published_districts(person)
            )

    async def cut_offs(self) -> list[date]:
        """List the published cut-offs, the newest first."""
        async with self._context.begin() as tx:
            return await published.cut_offs(tx.connection)

    async def own(self, person: Person, district: str) -> Tables:
        """Count one district's own tables. Raises 404 unless it is the person's."""
        require_own(person, district)
        if (kept := self._kept(district)) is not None:
            return kept
        async with self._context.begin() as tx:
            if district not in await own.districts(tx.connection):
                return {}
            tables = await own.own_tables(tx.connection, district, now=clock.now(), zone=self.zone)
        return self._keep(tables, district)

    async def school(self, person: Person, district: str, school: str) -> Tables:
        """Count one school's tables; empty where it is not known. Raises 404 as `own` does."""
        require_own(person, district)
        if (kept := self._kept(district, school)) is not None:
            return kept
        async with self._context.begin() as tx:
            tables = await own.school_tables(tx.connection, district, school, now=clock.now(), zone=self.zone)
        return self._keep(tables, district, school)

    async def own_of_all(self, person: Person) -> list[Tables]:
        """Count the own tables of each of the person's districts."""
        return [await self.own(person, district) for district in await self.own_districts(person)]

    async def own_districts(self, person: Person) -> list[str]:
        """Name the known districts whose own numbers the person may see."""
        async with self._context.begin() as tx:
            return own_districts(person, await own.districts(tx.connection))

    async def counts(self) -> dict[str, int]:
        """Count what the projections hold; the caller has made sure that operations asks."""
        async with self._context.begin() as tx:
            return await own.counts(tx.connection)

    def _kept(self, *key: str) -> Tables | None:
        until, tables = self._recent.get(key, (0.0, {}))
        return tables if time.monotonic() < until else None

    def _keep(self, tables: Tables, *key: str) -> Tables:
        now = time.monotonic()
        self._recent = {each: kept for each, kept in self._recent.items() if kept[0] > now}
        self._recent[key] = (now + RECENT_SECONDS, tables)
        return tables


async def publish_due(context: Context) -> None:
    """Publish the last month's tables once, when they are due and all that happened is known: a timer's work."""
    now, zone = clock.now(), context.settings.zone
    async with context.begin() as tx:
        waiting = await published.is_waiting(tx.connection, now=now, zone=zone)
    if not waiting:
        await published.publish(context.begin, now=now, zone=zone)
