"""Weeks planned in a process of its own: a search takes seconds of a core, and the desk's loop has others to answer."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from fastapi import HTTPException

from services.runtime.seen import telemetry
from services.runtime.web.people import Person
from services.scheduling.rules import week
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.week import Budget, Week, WeekPlan
from services.scheduling.rules.wording import N_

MOST_PLANS = 4
"""Being worked on or waiting, of all people together. One is worked on at a time: the other core is the desk's."""
PLAN_SECONDS = 60.0
AGAIN_SECONDS = 5
_NICENESS = 10


class Planning:
    """Who has a week planned just now: each person one, all together a few, one after the other."""

    def __init__(self) -> None:
        self._people: set[str] = set()
        self._one_at_a_time = CapacityLimiter(1)

    @contextmanager
    def place_for(self, person: Person) -> Iterator[None]:
        """Keep the person's place while their week is planned.

        Raises HTTPException 429 where they have one planned already, 503 where too many wait.
        """
        if person.name in self._people:
            raise _refused(429, N_("your last plan is still being worked on: wait for it, then ask again"))
        if len(self._people) >= MOST_PLANS:
            raise _refused(503, N_("many weeks are being planned: ask again in a moment"))
        self._people.add(person.name)
        try:
            yield
        finally:
            self._people.discard(person.name)

    async def propose(self, asked: Week, policy: Policy, budget: Budget) -> WeekPlan:
        """Plan the week. Raises HTTPException 503 where it took too long or its process died."""
        try:
            async with asyncio.timeout(PLAN_SECONDS):
                return await to_process.run_sync(
                    propose_politely, asked, policy, budget, cancellable=True, limiter=self._one_at_a_time
                )
        except (TimeoutError, BrokenWorkerProcess):
            raise _refused(503, N_("the plan took too long: ask for fewer iterations")) from None


def propose_politely(asked: Week, policy: Policy, budget: Budget) -> WeekPlan:
    """Plan the week behind whatever else this machine has to do."""
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    return week.propose(asked, policy, budget)


def _refused(status: int, said: str) -> HTTPException:
    telemetry.HTTP_TOO_MANY.labels("plan").inc()
    return HTTPException(status, said, {"Retry-After": str(AGAIN_SECONDS)})
