"""A made-up state of flagged students whose natural recovery and whose effect of visits are known.

A student misses what is usual, more in a bad spell, and more or less by the month's luck. The spell brings the flag and
mostly fades by itself. Visitors go first to those whose last month had bad luck, which is over by the time they come: a
visit is made because of a bad spell. It adds `PLANTED` to attendance from its month on. With `sees_spells` visitors
also go first where the spell is worst; then those still waiting are those who recover sooner.
"""

from dataclasses import dataclass

import numpy as np

from services.reporting.rules.effect import NEVER, Floats, Panel, month_number

SEPTEMBER = month_number(year=2025, month=9)
MONTHS = 10
PLANTED = (1.7, 3.4, 5.1, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5)
"""Percentage points of days attended, by months since the visit; the visit's own month has half of the first one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedState:
    """The panel as projections would hold it, and what the visits really did, by months since the visit, in points."""

    panel: Panel
    truth: tuple[float, ...]


def simulate(
    seed: int, *, students: int = 6000, planted: tuple[float, ...] = PLANTED, sees_spells: bool = False
) -> SimulatedState:
    """Simulate one school year; many of the households have several students."""
    chance = np.random.default_rng(seed)
    household = np.sort(chance.integers(0, int(students / 1.2), students))
    usual = chance.beta(0.035 * 120, 0.965 * 120, students)
    spell_begins = chance.integers(1, 7, students)
    days = chance.integers(17, 22, MONTHS)

    luck = chance.normal(0, 0.05, (students, MONTHS))
    spell = np.zeros((students, MONTHS))
    absent = np.zeros((students, MONTHS), dtype=np.int64)
    flagged = np.full(students, NEVER)
    visited = np.full(students, NEVER)
    gained = np.zeros((students, MONTHS))
    for month in range(MONTHS):
        # A flag without a spell is the beginning of one: then all flagged in one month go on alike.
        began = np.minimum(spell_begins, flagged)
        since_spell = np.maximum(month - began, 0)
        spell[:, month] = np.where(began <= month, 0.08 + 0.27 * 0.7**since_spell, 0.0)
        missed = np.clip(usual + spell[:, month] + luck[:, month], 0.0, 0.95)

        waits = (flagged < month) & (visited == NEVER)
        urgency = 0.12 + 1.5 * luck[:, month - 1] + (spell[:, month - 1] if sees_spells else 0.0)
        asked = waits & (chance.random(students) < urgency)
        chosen = np.isin(household, household[asked]) & (visited == NEVER)
        visited[chosen] = month

        since = month - visited
        effect = np.where(visited <= month, np.array(planted)[np.clip(since, 0, MONTHS - 1)] / 100, 0.0)
        gained[:, month] = missed - np.maximum(missed - effect, 0.0)
        absent[:, month] = chance.binomial(days[month], missed - gained[:, month])
        late = (flagged == NEVER) & (10 * absent[:, : month + 1].sum(1) >= days[: month + 1].sum())
        flagged[late] = month

    known = np.flatnonzero(flagged != NEVER)
    place = np.repeat(np.arange(known.size), MONTHS)
    panel = Panel(
        household=household[known],
        flag_month=SEPTEMBER + flagged[known],
        visit_month=np.where(visited[known] == NEVER, NEVER, SEPTEMBER + np.minimum(visited[known], MONTHS)),
        of_student=place,
        month=SEPTEMBER + np.tile(np.arange(MONTHS), known.size),
        days_enrolled=np.tile(days, known.size),
        days_absent=absent[known].ravel(),
    )
    return SimulatedState(panel=panel, truth=_truth(gained[known], visited[known], flagged[known]))


def _truth(gained: Floats, visited: np.ndarray, flagged: np.ndarray) -> tuple[float, ...]:
    served = np.flatnonzero((visited != NEVER) & (visited >= flagged) & (flagged > 0))
    means = []
    for since in range(MONTHS):
        reached = served[visited[served] + since < MONTHS]
        means.append(100 * float(gained[reached, visited[reached] + since].mean()) if reached.size else float("nan"))
    return tuple(means)
