"""What routes and timers work with."""

import copy
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Self

import asyncpg

from services.runtime.delivery.lease import Lease
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.transaction import Transaction, begin
from services.runtime.settings import Settings, SettingsRejected
from services.runtime.web.people import People
from services.runtime.web.session_table import SessionTable
from services.runtime.web.sign_in import Admission, Sessions
from services.runtime.web.sse import Broadcast


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
        self.pool = pool
        self.publisher = publisher
        self.changes = Broadcast(pool)
        self._service = service
        self._admission = admission
        self._lease: Lease | None = None

    def under(self, lease: Lease) -> Self:
        """Give the same, whose transactions take effect as long as the lease is held and raise LeaseLost afterwards."""
        leased = copy.copy(self)
        leased._lease = lease
        return leased

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction with an outbox; leaving the block commits."""
        return begin(self.pool, self.publisher, zone=self.settings.zone, lease=self._lease)

    @property
    def people(self) -> People:
        """Give the people who may sign in. Raises SettingsRejected where nobody said who they are."""
        return self._admitted.people

    @cached_property
    def sessions(self) -> Sessions:
        """Give what tells who is asking. Raises SettingsRejected as `people` does."""
        return Sessions(self._admitted, self._service, self._admitted.kept or SessionTable(self.pool))

    @property
    def _admitted(self) -> Admission:
        if self._admission is None:
            raise SettingsRejected("LEAP_PEOPLE_FILE: must be set; it says who may sign in")
        return self._admission
