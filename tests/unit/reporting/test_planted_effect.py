"""Twenty made-up states with a known effect of visits: the comparison recovers it, before and after does not."""

import inspect
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType

import numpy as np
import pytest

from services.reporting.rules import effect
from services.reporting.rules.effect import EffectOfMonth, effect_by_month
from tests.unit.reporting.simulated_state import SimulatedState, simulate

SEEDS = range(20)
MONTHS_SINCE = (1, 2, 3, 4)


@cache
def state(seed: int) -> SimulatedState:
    return simulate(seed)


def told(seed: int) -> list[EffectOfMonth]:
    return effect_by_month(state(seed).panel)


def hits(estimate: Callable[[int], list[EffectOfMonth]]) -> dict[int, int]:
    """Per month since the visit: in how many of the states the interval holds the truth."""
    counts = dict.fromkeys(MONTHS_SINCE, 0)
    for seed in SEEDS:
        effects = estimate(seed)
        for each in MONTHS_SINCE:
            low, high = effects[each].low, effects[each].high
            assert low is not None
            assert high is not None
            counts[each] += low <= state(seed).truth[each] <= high
    return counts


def bias(months_since: int) -> float:
    errors = [(told(seed)[months_since].effect or 0) - state(seed).truth[months_since] for seed in SEEDS]
    return float(np.mean(errors))


def test_the_interval_holds_the_planted_effect_about_nineteen_times_in_twenty() -> None:
    counts = hits(told)
    # 20 draws of 95 %: fewer than 16 would be one in 400; of 80, fewer than 70 one in 200.
    assert min(counts.values()) >= 16
    assert sum(counts.values()) >= 70


@pytest.mark.parametrize("months_since", MONTHS_SINCE)
def test_on_average_the_comparison_is_right(months_since: int) -> None:
    assert abs(bias(months_since)) < 0.2


@pytest.mark.parametrize("months_since", MONTHS_SINCE)
def test_before_and_after_overstates_it_every_time(months_since: int) -> None:
    for seed in SEEDS:
        naive = told(seed)[months_since].naive
        assert naive is not None
        assert naive > state(seed).truth[months_since] + 2


def test_without_an_effect_none_is_found() -> None:
    effects = [effect_by_month(simulate(seed, planted=(0.0,) * 10).panel)[1] for seed in SEEDS]
    assert sum(each.low is not None and each.high is not None and each.low <= 0 <= each.high for each in effects) >= 17
    assert all(each.naive is not None and each.naive > 2 for each in effects)


def test_where_visitors_go_first_to_the_worst_spells_it_understates_rather_than_overstates() -> None:
    for months_since in (1, 2, 3):
        states = [simulate(seed, sees_spells=True) for seed in SEEDS]
        errors = [(effect_by_month(s.panel)[months_since].effect or 0) - s.truth[months_since] for s in states]
        assert -2 < np.mean(errors) < 0


FAULTS = {
    "the comparison includes the already visited": (
        "known & (visit_month > max(month, visited_in))",
        "known & (visit_month != visited_in)",
    ),
    "the base is the month before the visit, which is the bad spell": (
        "known[:, column] - known[:, base]",
        "known[:, column] - known[:, visited_in - 1 - outcomes.first_month]",
    ),
    "students flagged at any time are one stack": (
        "np.flatnonzero(stacked & (outcomes.flag_month == flagged_in))",
        "np.flatnonzero(stacked)",
    ),
    "the errors are a third": ("error = 100 *", "error = 33 *"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_seeded_fault_of_the_estimator_is_noticed(fault: str) -> None:
    right, wrong = FAULTS[fault]
    source = inspect.getsource(effect)
    assert source.count(right) == 1
    faulty = ModuleType("faulty_effect")
    sys.modules[faulty.__name__] = faulty  # a dataclass looks its own module up
    exec(compile(source.replace(right, wrong), faulty.__name__, "exec"), faulty.__dict__)

    counts = hits(lambda seed: faulty.effect_by_month(state(seed).panel))
    assert min(counts.values()) < 16 or sum(counts.values()) < 70
