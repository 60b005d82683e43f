"""A week is planned beside everybody else: in another process, one at a time, one for each person."""

import asyncio
import time
from unittest.mock import ANY

import pytest
from fastapi import HTTPException

from services.runtime.web.people import Person
from services.scheduling.api import planning
from services.scheduling.api.planning import MOST_PLANS, Planning
from services.scheduling.rules import week as rules
from services.scheduling.rules.week import Budget, WeekPlan
from tests.unit.scheduling import weeks
from tests.unit.scheduling.who_goes import visitor


def somebody(number: int) -> Person:
    """A scheduler."""
    name = f"scheduler-{number}"
    return Person(name=name, display_name=name, role="scheduler", scopes=frozenset({"hartford"}), language="en")


def full_week() -> rules.Week:
    """Forty families and twelve visitors: a second's work and more."""
    times = [(weeks.moment(day, 9), weeks.moment(day, 19)) for day in range(5)]
    wishes = [weeks.wanted(number, *times) for number in range(1, 41)]
    return weeks.week([visitor(f"visitor-{number}", windows=()) for number in range(12)], wishes)


async def test_twelve_plans_at_once_leave_the_loop_to_others_and_each_gets_the_plan_that_it_would_alone() -> None:
    plans, asked, budget = Planning(), full_week(), Budget(iterations=40)
    longest = 0.0
    ended = asyncio.Event()

    async def others() -> None:
        nonlocal longest
        while not ended.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - began)

    async def one(number: int) -> WeekPlan | int:
        try:
            with plans.place_for(somebody(number % 3)):
                return await plans.propose(asked, weeks.POLICY, budget)
        except HTTPException as refused:
            return refused.status_code

    listening = asyncio.create_task(others())
    answers = await asyncio.gather(*(one(number) for number in range(12)))
    ended.set()
    await listening

    alone = rules.propose(asked, weeks.POLICY, budget)
    assert answers == [alone] * 3 + [429] * 9, "each person has one at a time"
    assert longest < 0.5, "whoever asks for a page waits for no plan"


async def test_a_person_is_told_to_wait_for_their_own_plan_and_may_ask_again_after_it() -> None:
    plans = Planning()
    with plans.place_for(somebody(1)):
        with pytest.raises(HTTPException) as refused, plans.place_for(somebody(1)):
            pass
        with plans.place_for(somebody(2)):
            pass
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": ANY})
    with plans.place_for(somebody(1)):
        pass


async def test_no_more_wait_than_can_be_worked_off() -> None:
    plans = Planning()
    kept = [plans.place_for(somebody(number)) for number in range(MOST_PLANS)]
    for each in kept:
        each.__enter__()
    with pytest.raises(HTTPException) as refused, plans.place_for(somebody(99)):
        pass
    assert refused.value.status_code == 503


async def test_a_plan_that_takes_too_long_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PLAN_SECONDS", 0.01)
    with pytest.raises(HTTPException) as refused:
        await Planning().propose(full_week(), weeks.POLICY, Budget(iterations=2000))
    assert refused.value.status_code == 503
