"""Waiting before the next try: longer each time, never long, and not once the process is to stop."""

import asyncio
import random

import structlog

from services.runtime.seen import telemetry

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0

log = structlog.get_logger(__name__)


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
