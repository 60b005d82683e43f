"""Proposals for a week: no rule broken, nothing moved, the urgent first, and close to the proven best."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduling.rules.pairing import Window, say
from services.scheduling.rules.week import Budget, Week, WeekPlan, propose
from tests.unit.scheduling.referee import best_possible, value_of
from tests.unit.scheduling.weeks import MONDAY, POLICY, against, drawn_week, moment, wanted, week
from tests.unit.scheduling.who_goes import visitor
from tests.zones import HERE

BRIEF = Budget(iterations=60)
AFTERNOON = (moment(1, 16), moment(1, 17))


def planned(world: Week, budget: Budget = BRIEF) -> WeekPlan:
    return propose(world, POLICY, budget)


def reason(world: Week) -> str:
    (unscheduled,) = planned(world).unscheduled
    return unscheduled.reason.code


def assert_no_rule_is_broken(world: Week, plan: WeekPlan) -> None:
    """Ask of every visit of the plan what is asked of an appointment, all the others being booked."""
    wishes = {wish.request_id: wish for wish in world.wanted}
    for visit in plan.planned:
        assert against(world, plan.planned, visit) == []
    told = [visit.request_id for visit in plan.planned] + [each.request_id for each in plan.unscheduled]
    assert sorted(told) == sorted(wishes)


def test_two_visits_are_planned_one_after_the_other_with_the_way_between_them() -> None:
    evening = (moment(1, 16), moment(1, 19))
    plan = planned(week([visitor("ana"), visitor("ben")], [wanted(1, evening), wanted(2, evening)]))
    assert [visit.pair for visit in plan.planned] == [("ana", "ben")] * 2
    assert [visit.starts_at for visit in plan.planned] in ([moment(1, 16), moment(1, h)] for h in (17.5, 18))


def test_the_urgent_come_first_and_a_promise_before_all() -> None:
    two = [visitor("ana"), visitor("ben")]
    plan = planned(week(two, [wanted(1, AFTERNOON, points=10), wanted(2, AFTERNOON, points=200)]))
    assert [visit.request_id for visit in plan.planned] == [wanted(2).request_id]
    plan = planned(week(two, [wanted(1, AFTERNOON, pinned=True), wanted(2, AFTERNOON, points=200)]))
    assert [visit.request_id for visit in plan.planned] == [wanted(1).request_id]


def test_each_visit_says_why_these_two() -> None:
    people = [
        visitor("ana", languages=("en", "es")),
        visitor("ben"),
        visitor("tia", affiliation="school", school="H01"),
    ]
    plan = planned(week(people, [wanted(1, AFTERNOON, language="es", visits_before={"ana": 2})]))
    (visit,) = plan.planned
    assert visit.pair == ("ana", "tia")
    assert [say(each) for each in visit.reasons if each.points > 0] == [
        "ana speaks es",
        "tia is from H01",
        "ana has visited this family before (2)",
    ]


def test_what_found_no_place_says_what_stands_in_its_way_first() -> None:
    two = [visitor("ana"), visitor("ben")]
    assert reason(week(two, [wanted(1)])) == "no_times"
    assert reason(week(two, [wanted(1, (moment(9, 16), moment(9, 18)))])) == "no_times"
    assert reason(week(two, [wanted(1, (moment(1, 21), moment(1, 23)))])) == "night"
    assert reason(week(two, [wanted(1, (moment(3, 16), moment(3, 18)))])) == "nobody"
    assert reason(week(two[:1], [wanted(1, AFTERNOON)])) == "only_one"
    early = visitor("eve", windows=(Window(weekday=2, begins=time(8), ends=time(17)),))
    late = visitor("liv", windows=(Window(weekday=2, begins=time(17), ends=time(20)),))
    assert reason(week([early, late], [wanted(1, (moment(1, 16), moment(1, 18)))])) == "never_together"
    polish = wanted(1, AFTERNOON, language="pl", interpreter=False)
    (unscheduled,) = planned(week(two, [polish])).unscheduled
    assert say(unscheduled.reason) == (
        "no visitor who speaks pl is free with another from 2026-10-06 16:00 to 2026-10-06 17:00"
    )
    assert reason(week(two, [wanted(1, AFTERNOON), wanted(2, AFTERNOON)])) == "taken"


def test_an_empty_week_and_a_week_without_visitors_are_plans_too() -> None:
    assert planned(week([], [])) == WeekPlan(planned=(), unscheduled=(), value=0)
    assert reason(week([], [wanted(1, AFTERNOON)])) == "nobody"


def test_the_same_seed_gives_the_same_plan_in_whatever_order_it_is_asked() -> None:
    world = drawn_week(3, visitors=10, requests=20)
    shuffled = replace(world, visitors=world.visitors[::-1], wanted=world.wanted[::-1])
    assert planned(world) == planned(world) == planned(shuffled)
    assert planned(world, Budget(iterations=60, seed=2)).value >= planned(world, Budget(iterations=0)).value


def test_a_week_in_which_the_clocks_change_is_planned_on_the_local_clock() -> None:
    sunday = date(2026, 11, 1)
    person = {"windows": (Window(weekday=7, begins=time(10), ends=time(11)),)}
    times = (datetime.combine(sunday, time(9), HERE), datetime.combine(sunday, time(12), HERE))
    world = week([visitor("ana", **person), visitor("ben", **person)], [wanted(1, times)])
    (visit,) = planned(replace(world, monday=sunday - timedelta(days=6))).planned
    assert visit.starts_at.astimezone(HERE).time() == time(10)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 8), st.integers(0, 14), st.integers(1, 5))
def test_no_plan_ever_breaks_a_hard_rule_or_forgets_a_request(
    seed: int, visitors: int, requests: int, days: int
) -> None:
    world = drawn_week(seed, visitors=max(visitors, 1), requests=requests, days=days)
    assert_no_rule_is_broken(world, planned(world, Budget(iterations=30, seed=seed)))


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_searching_longer_never_leaves_a_worse_plan_than_the_first(seed: int) -> None:
    world = drawn_week(seed, visitors=6, requests=12)
    assert planned(world, Budget(iterations=100)).value >= planned(world, Budget(iterations=0)).value


SMALL, LARGER = {"visitors": 6, "requests": 9, "days": 2}, {"visitors": 10, "requests": 16, "days": 3}


@pytest.mark.parametrize(
    ("size", "seed"), [*((SMALL, seed) for seed in range(4)), *((LARGER, seed) for seed in range(3))]
)
def test_the_referee_prices_the_plan_alike_and_proves_that_little_more_was_possible(
    size: dict[str, int], seed: int
) -> None:
    world = drawn_week(seed, **size)
    plan = planned(world, Budget(iterations=1500, seed=seed))

    priced = value_of(world, POLICY, plan)
    assert (priced.proven, priced.value) == (True, plan.value)
    best = best_possible(world, POLICY)
    assert best.proven
    assert plan.value <= best.value
    assert 100 * plan.value >= 99 * best.value, f"{plan.value} of {best.value}"


def test_a_week_of_thirty_visitors_and_sixty_requests_keeps_every_rule() -> None:
    world = drawn_week(1, visitors=30, requests=60)
    plan = planned(world, Budget(iterations=200))
    assert_no_rule_is_broken(world, plan)
    assert len(plan.planned) >= 35
    assert min(visit.starts_at.date() for visit in plan.planned) >= MONDAY
