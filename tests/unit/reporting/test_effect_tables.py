"""What of the effect may be published, and that two published lines tell nothing together that one must not."""

from typing import Any

import numpy as np
import pytest

from services.reporting.rules.effect import EffectOfMonth, StillChronic, effect_by_month
from services.reporting.rules.effect_tables import effect_shown, effect_tables, flagged_students, still_shown
from services.reporting.rules.tables import HIDDEN_MARK, STATE, Table
from tests.unit.reporting.simulated_state import simulate


def month(**changes: Any) -> EffectOfMonth:
    given = {
        "months_since": 1,
        "students": 47,
        "households": 40,
        "compared": 131,
        "effect": 3.44,
        "standard_error": 0.5,
        "low": 2.46,
        "high": 4.42,
        "naive_students": 60,
        "naive": 4.75,
    }
    return EffectOfMonth(**{**given, **changes})


def rows(*, band_of: str = "3") -> list[dict[str, Any]]:
    """A simulated state's students as the query gives them: every tenth in Danbury, the others in Hartford."""
    panel = simulate(1, students=2000).panel
    months = panel.month.reshape(panel.household.size, -1)
    enrolled, absent = panel.days_enrolled.reshape(months.shape), panel.days_absent.reshape(months.shape)
    return [
        {
            "household": int(panel.household[each]),
            "district": "danbury" if each % 10 == 0 else "hartford",
            "grade": band_of if each % 3 else "10",
            "flag_month": int(panel.flag_month[each]),
            "visit_month": int(panel.visit_month[each]) if panel.visit_month[each] < 10**9 else None,
            "months": months[each].tolist(),
            "days_enrolled": enrolled[each].tolist(),
            "days_absent": absent[each].tolist(),
        }
        for each in range(panel.household.size)
    ]


def tables() -> dict[str, Table]:
    return effect_tables(flagged_students(rows()), school_year=2025, as_of=None, cut_off=None)


def test_an_effect_is_told_with_its_interval_and_counts_in_tens() -> None:
    assert effect_shown(month()) == {
        "effect_students": 40,
        "effect_compared": 130,
        "effect": 3.4,
        "effect_low": 2.5,
        "effect_high": 4.4,
        "naive": 4.8,
    }


@pytest.mark.parametrize("few", [{"students": 19}, {"compared": 19}])
def test_of_fewer_than_twenty_on_either_side_nothing_is_told_but_the_naive_figure(few: dict[str, int]) -> None:
    shown = effect_shown(month(**few))
    assert {name for name, told in shown.items() if told == HIDDEN_MARK} == {*shown} - {"naive"}


def test_a_naive_figure_of_few_is_not_told() -> None:
    assert effect_shown(month(naive_students=19))["naive"] == HIDDEN_MARK


@pytest.mark.parametrize(
    ("students", "still", "told"),
    [(40, 30, 75), (40, 40, 100), (40, 0, 0), (19, 10, None), (40, 5, None), (40, 35, None), (40, 6, 15), (40, 34, 85)],
)
def test_neither_a_few_who_still_are_nor_a_few_who_are_not(students: int, still: int, told: int | None) -> None:
    shown = still_shown(StillChronic(students=students, still=still))
    assert shown["still_chronic_share"] == (HIDDEN_MARK if told is None else told)


def test_rows_become_the_panel_they_came_from() -> None:
    panel = simulate(1, students=2000).panel
    students = flagged_students(rows())
    assert effect_by_month(students.panel) == effect_by_month(panel)
    assert np.count_nonzero(students.district == "danbury") == -(-panel.household.size // 10)


def test_there_is_a_line_for_each_district_the_state_and_each_band() -> None:
    made = tables()
    assert {line.keys[0] for line in made["effect"].lines} == {"danbury", "hartford", STATE}
    assert {line.keys[0] for line in made["effect-by-band"].lines} == {"K-5", "9-12"}
    assert {line.keys[0] for line in made["still-chronic"].lines} == {"danbury", "hartford", STATE}
    months_told = [line.keys[1] for line in made["effect"].lines if line.keys[0] == STATE]
    assert months_told == [str(each) for each in range(len(months_told))]


def test_no_line_tells_of_fewer_than_twenty() -> None:
    for name, measure in (("effect", "effect_students"), ("effect-by-band", "effect_compared")):
        told = [number for _, number, _ in tables()[name].column(measure) if number is not None]
        assert told
        assert min(told) >= 20


def test_before_anybody_was_flagged_the_tables_are_empty() -> None:
    nothing = effect_tables(flagged_students([]), school_year=2025, as_of=None, cut_off=None)
    assert [table.lines for table in nothing.values()] == [(), (), (), ()]
