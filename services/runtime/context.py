"""What routes and timers work with."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING

import asyncpg

from services.runtime.outbox import Publisher
from services.runtime.people import People
from services.runtime.settings import Settings, SettingsRejected
from services.runtime.sign_in import Sessions
from services.runtime.transaction import Transaction, begin

if TYPE_CHECKING:
    from services.runtime.pages import Pages


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
        """This will open a transaction with an outbox; leaving the block commits."""
        return begin(self.pool, self.publisher)

    @property
    def people(self) -> People:
        """This will give the people who may sign in. Raises SettingsRejected where nobody said who they are."""
        if self._people is None:
            raise SettingsRejected("LEAP_PEOPLE_FILE: must be set; it says who may sign in")
        return self._people

    @cached_property
    def sessions(self) -> Sessions:
        """This will give what tells who is asking. Raises SettingsRejected as `people` does."""
        return Sessions(self.people, self._service)
