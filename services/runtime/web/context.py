"""What routes and timers work with."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING

import asyncpg

from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.transaction import Transaction, begin
from services.runtime.settings import Settings, SettingsRejected
from services.runtime.web.people import People
from services.runtime.web.sign_in import Sessions

if TYPE_CHECKING:
    from services.runtime.web.pages import Pages


class Context:
    """The running service's settings, database, publisher and people. `pages` is set by a service that has some."""

    def __init__(
        self,
        settings: Settings,
        pool: asyncpg.Pool,
        publisher: Publisher,
        *,
        service: str = "service",
        people: People | None = None,
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.publisher = publisher
        self.pages: Pages | None = None
        self.on_stop: list[Callable[[], None]] = []
        """Called when the process begins to stop: what would wait for a browser ends now."""
        self._service = service
        self._people = people

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction with an outbox; leaving the block commits."""
        return begin(self.pool, self.publisher, zone=self.settings.zone)

    @property
    def people(self) -> People:
        """Give the people who may sign in. Raises SettingsRejected where nobody said who they are."""
        if self._people is None:
            raise SettingsRejected("LEAP_PEOPLE_FILE: must be set; it says who may sign in")
        return self._people

    @cached_property
    def sessions(self) -> Sessions:
        """Give what tells who is asking. Raises SettingsRejected as `people` does."""
        return Sessions(self.people, self._service)
