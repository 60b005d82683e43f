"""The referee of the week's plans: right where everything can be tried, and not to be taken in by a faulty planner."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import POINTS
from services.scheduling.rules.proposals import starts_in
from services.scheduling.rules.week import Budget, Planned, Wanted, Week, WeekPlan, propose
from tests.unit.scheduling.referee import best_possible, value_of
from tests.unit.scheduling.weeks import POLICY, against, drawn_week, meeting_of, moment, wanted, week
from tests.unit.scheduling.who_goes import at, booking, visitor

EVENING = (moment(1, 16), moment(1, 20))


def visits_of(world: Week, wish: Wanted) -> Iterator[Planned | None]:
    """Every way to make one visit, and not to make it."""
    yield None
    for begins_at, ends_at in wish.times:
        for starts_at in starts_in(begins_at=begins_at, ends_at=ends_at, minutes=wish.minutes):
            for one, other in combinations(sorted(person.visitor_id for person in world.visitors), 2):
                ends = pairing.ends_at(meeting_of(world, wish, starts_at))
                made = Planned(
                    request_id=wish.request_id,
                    starts_at=starts_at,
                    ends_at=ends,
                    pair=(one, other),
                    interpreter=False,
                    reasons=(),
                )
                if not against(world, [made], made):
                    yield made


def worth_of(world: Week, planned: list[Planned]) -> int:
    """Count what a plan is worth from the reasons that a scheduler would read: 1000 a visit, its urgency, its pair."""
    wishes = {wish.request_id: wish for wish in world.wanted}
    people = {person.visitor_id: person for person in world.visitors}
    visits = Counter({who: len(booked) for who, booked in world.bookings.items()})
    worth = 0
    for visit in planned:
        wish, pair = wishes[visit.request_id], [people[who] for who in visit.pair]
        meeting = meeting_of(world, wish, visit.starts_at)
        reasons = pairing.merits_of_pair(pair=pair, meeting=meeting)
        for person in pair:
            reasons += pairing.merits(
                visitor=person,
                meeting=meeting,
                bookings=world.bookings.get(person.visitor_id, ()),
                visits_before=wish.visits_before.get(person.visitor_id, 0),
                scarce=pairing.scarce_languages(world.visitors),
            )
            worth += POINTS.load * visits[person.visitor_id]
            visits[person.visitor_id] += 1
        worth += 1000 + wish.points + 2000 * wish.pinned + sum(r.points for r in reasons if r.code != "load")
    return worth


@pytest.mark.parametrize("seed", range(12))
def test_where_every_plan_can_be_tried_the_best_of_them_is_what_the_referee_proves(seed: int) -> None:
    world = drawn_week(seed, visitors=4, requests=3, days=1)
    plans = [
        [visit for visit in chosen if visit is not None]
        for chosen in product(*(list(visits_of(world, wish)) for wish in world.wanted))
    ]
    legal = [plan for plan in plans if not any(against(world, plan, visit) for visit in plan)]

    assert len(plans) > 1
    assert best_possible(world, POLICY).proven
    assert best_possible(world, POLICY).value == max(worth_of(world, plan) for plan in legal)


def test_what_nobody_wants_is_worth_nothing_and_proven() -> None:
    assert (best_possible(week([], []), POLICY).proven, best_possible(week([], []), POLICY).value) == (True, 0)


TWO = [visitor("ana"), visitor("ben")]
BOTH = [wanted(1, EVENING), wanted(2, EVENING)]


def plan_of(*visits: Planned) -> WeekPlan:
    """These visits and no other."""
    return WeekPlan(planned=visits, unscheduled=(), value=0)


def made(number: int, hour: float = 16, pair: tuple[str, str] = ("ana", "ben")) -> Planned:
    """An hour's visit on Tuesday."""
    starts_at, wish = moment(1, hour), wanted(number)
    ends = pairing.ends_at(meeting_of(week([], []), wish, starts_at))
    return Planned(
        request_id=wish.request_id, starts_at=starts_at, ends_at=ends, pair=pair, interpreter=False, reasons=()
    )


@pytest.mark.parametrize(
    ("world", "visits"),
    [
        (week(TWO, BOTH), [made(1), made(2)]),
        (week(TWO, BOTH), [made(1), made(2, 17)]),
        (week(TWO, [wanted(1, EVENING)]), [made(1), made(1, 18)]),
        (week(TWO, [wanted(1, EVENING)]), [made(1), made(1)]),
        (week([visitor("ana", weekly_cap=1), TWO[1]], BOTH), [made(1), made(2, 18)]),
        (week(TWO, [wanted(1, EVENING, language="pl", interpreter=False)]), [made(1)]),
        (week([visitor("ana", active=False), TWO[1]], [wanted(1, EVENING)]), [made(1)]),
        (week(TWO, [wanted(1, EVENING)]), [made(1, pair=("ana", "ana"))]),
        (week(TWO, [wanted(1, EVENING)]), [made(1, pair=("ana", "eve"))]),
        (week(TWO, [wanted(1, EVENING)]), [made(1, 19.5)]),
        (week(TWO, [wanted(1, EVENING)]), [made(2)]),
        (week(TWO, [wanted(1, EVENING)], {"ana": [booking(at(16))]}), [made(1)]),
    ],
    ids=[
        "at two doors", "no way between", "twice", "twice at once", "over the cap", "nobody who speaks", "who left",
        "alone", "a stranger", "when nobody is home", "whom nobody asked for", "booked already",
    ],
)  # fmt: skip
def test_a_plan_that_breaks_a_rule_has_no_price(world: Week, visits: list[Planned]) -> None:
    assert not value_of(world, POLICY, plan_of(*visits)).proven


def test_the_same_visits_with_nothing_broken_have_one() -> None:
    world = week(TWO, BOTH)

    assert value_of(world, POLICY, plan_of(made(1), made(2, 17.5))).proven


def forgets_the_way(world: Week) -> WeekPlan:
    """Plan the next visit where the last one ends."""
    return propose(world, POLICY.model_copy(update={"travel_minutes": 0}), Budget(iterations=300))


def forgets_who_speaks(world: Week) -> WeekPlan:
    """Send whoever is free."""
    deaf = tuple(replace(wish, interpreter=None) for wish in world.wanted)
    return propose(replace(world, wanted=deaf), POLICY, Budget(iterations=300))


def forgets_the_cap(world: Week) -> WeekPlan:
    """Send the same two all week."""
    tireless = tuple(replace(person, weekly_cap=9) for person in world.visitors)
    return propose(replace(world, visitors=tireless), POLICY, Budget(iterations=300))


def forgets_what_is_booked(world: Week) -> WeekPlan:
    """Plan over what is agreed already."""
    return propose(replace(world, bookings={}), POLICY, Budget(iterations=300))


def forgets_whom_the_family_knows(world: Week) -> WeekPlan:
    """Plan by the rules and price without the bond."""
    strangers = tuple(replace(wish, visits_before={}) for wish in world.wanted)
    return propose(replace(world, wanted=strangers), POLICY, Budget(iterations=300))


def forgets_a_visit(world: Week) -> WeekPlan:
    """Leave out what could be made."""
    plan = propose(world, POLICY, Budget(iterations=1500))
    return replace(plan, planned=plan.planned[1:])


def takes_what_comes_first(world: Week) -> WeekPlan:
    """Take no thought of what is urgent, and search no further."""
    blind = tuple(replace(wish, points=0, pinned=False) for wish in world.wanted)
    plan = propose(replace(world, wanted=blind), POLICY, Budget(iterations=0))
    return replace(plan, value=value_of(world, POLICY, plan).value)


@pytest.mark.parametrize(
    "faulty",
    [
        forgets_the_way,
        forgets_who_speaks,
        forgets_the_cap,
        forgets_what_is_booked,
        forgets_whom_the_family_knows,
        forgets_a_visit,
        takes_what_comes_first,
    ],
)
def test_a_faulty_planner_is_found(faulty: Callable[[Week], WeekPlan]) -> None:
    assert any(is_found_out(faulty, drawn_week(seed, visitors=6, requests=9, days=2)) for seed in range(20))


def is_found_out(planner: Callable[[Week], WeekPlan], world: Week) -> bool:
    """Ask of a planner what the week's own test asks: a legal plan, priced alike, within a hundredth of the best."""
    plan = planner(world)
    priced = value_of(world, POLICY, plan)
    if (priced.proven, priced.value) != (True, plan.value):
        return True
    return 100 * plan.value < 99 * best_possible(world, POLICY).value
