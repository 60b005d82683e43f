"""Who acts, and when: it travels from both doors to the rules as one value."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context
from services.runtime.web.people import Person


@dataclass(frozen=True, slots=True)
class Act:
    """One person at one thing: all of it in one transaction, at one moment."""

    tx: Transaction
    person: Person
    as_of: datetime

    @property
    def connection(self) -> asyncpg.Connection:
        """Give the transaction's connection."""
        return self.tx.connection

    @property
    def zone(self) -> ZoneInfo:
        """Give the zone whose days are meant."""
        return self.tx.zone

    @property
    def today(self) -> date:
        """Name the day on which the person acts."""
        return local_day(self.as_of, zone=self.zone)

    @property
    def districts(self) -> list[str] | None:
        """Name the districts that the person may see; None is all of them."""
        return None if self.person.sees_everything else sorted(self.person.scopes)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command: what is told to whoever gave it, and whether it was news."""

    told: Mapping[str, Any]
    is_new: bool = True


@asynccontextmanager
async def acting(context: Context, person: Person) -> AsyncIterator[Act]:
    """Let the person act now; leaving the block commits."""
    async with context.begin() as tx:
        yield Act(tx, person, clock.now())
