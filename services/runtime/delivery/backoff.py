"""Before the next try: wait, longer each time and never long, and try fewer records at once."""

import asyncio
import random

import structlog

from services.runtime.seen import telemetry

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0

log = structlog.get_logger(__name__)


SOON_SECONDS = 2.0


class BatchSize:
    """How many records are read at once: half as many after each failure, whatever it was.

    A line, a broker or a database that takes less than a batch in the time that a transaction may wait would be given
    the same batch for ever. Twice as many after one that was soon done.
    """

    def __init__(self, most: int) -> None:
        self.records = self._most = most

    def failed(self, records: int) -> None:
        """Try half of what failed next."""
        self.records = max(1, min(self.records, records) // 2)

    def applied(self, seconds: float) -> None:
        """Take more at once where that took next to no time."""
        if seconds < SOON_SECONDS:
            self.records = min(self._most, self.records * 2)


class Backoff:
    """Waits between the tries of one thing. `stopping` ends every wait."""

    def __init__(self, group: str, stopping: asyncio.Event) -> None:
        self._group = group
        self._stopping = stopping
        self._seconds = FIRST_SECONDS

    def over(self) -> None:
        """Begin with a short wait again: it worked."""
        self._seconds = FIRST_SECONDS

    async def wait(self, error: Exception) -> None:
        """Wait because of the error; several members that met the same trouble don't come back at once."""
        seconds = self._seconds * random.uniform(0.5, 1.5)
        self._seconds = min(self._seconds * 2, LONGEST_SECONDS)
        log.warning("waiting to try again", group=self._group, wait_seconds=round(seconds, 2), **telemetry.where(error))
        await within(seconds, self._stopping)


async def within(seconds: float, stopping: asyncio.Event) -> None:
    """Wait that long, or until the process is to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass
