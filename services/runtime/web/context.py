"""What routes and timers work with."""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import Self

import asyncpg

from services.runtime.delivery.lease import Lease
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.transaction import Transaction, begin
from services.runtime.roles import enter_for_people
from services.runtime.settings import Settings, SettingsRejected
from services.runtime.web.people import People
from services.runtime.web.session_table import SessionTable
from services.runtime.web.sign_in import Admission, Sessions
from services.runtime.web.sse import Broadcast


class RowsUnbounded(Exception):
    """A route reached for rows past the rule that bounds them to its reader's scopes."""


class Context:
    """The running service's settings, database, publisher, people, and the changes that its pages hear of."""

    def __init__(
        self,
        settings: Settings,
        pool: asyncpg.Pool,
        publisher: Publisher,
        *,
        service: str = "service",
        admission: Admission | None = None,
    ) -> None:
        self.settings = settings
        self._pool = pool
        self.publisher = publisher
        self.changes = Broadcast(pool)
        self._service = service
        self._admission = admission
        self._lease: Lease | None = None
        self._asked_for: Callable[[], str] | None = None

    def under(self, lease: Lease) -> Self:
        """Give the same, whose transactions take effect as long as the lease is held and raise LeaseLost afterwards."""
        leased = copy.copy(self)
        leased._lease = lease
        return leased

    def for_people(self, asked_for: Callable[[], str]) -> Self:
        """Give the same, whose transactions see the rows of the scopes that `asked_for` names when they begin.

        With commas between them, `*` for all, or none. There is no other way to rows from it.
        """
        bounded = copy.copy(self)
        bounded._asked_for = asked_for
        return bounded

    @property
    def pool(self) -> asyncpg.Pool:
        """Give the service's connections. Raises RowsUnbounded where people's requests are answered."""
        if self._asked_for is not None:
            raise RowsUnbounded("the pool shows every scope's rows: read inside `begin()`")
        return self._pool

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction with an outbox; leaving the block commits."""
        opened = begin(self._pool, self.publisher, zone=self.settings.zone, lease=self._lease)
        return opened if self._asked_for is None else _bounded(opened, self._asked_for())

    @property
    def people(self) -> People:
        """Give the people who may sign in. Raises SettingsRejected where nobody said who they are."""
        return self._admitted.people

    @cached_property
    def sessions(self) -> Sessions:
        """Give what tells who is asking. Raises SettingsRejected as `people` does."""
        return Sessions(self._admitted, self._service, self._admitted.kept or SessionTable(self._pool))

    @property
    def _admitted(self) -> Admission:
        if self._admission is None:
            raise SettingsRejected("LEAP_PEOPLE_FILE: must be set; it says who may sign in")
        return self._admission


@asynccontextmanager
async def _bounded(opened: AbstractAsyncContextManager[Transaction], scopes: str) -> AsyncIterator[Transaction]:
    async with opened as transaction:
        await enter_for_people(transaction.connection, scopes)
        yield transaction
