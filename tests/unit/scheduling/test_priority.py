"""The priority: transparent points, one sentence, and an order that no further absence ever lowers."""

from dataclasses import fields, replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.scheduling.rules.policy import DEFAULT, Weights, problems_with
from services.scheduling.rules.priority import (
    Child,
    Correction,
    Inputs,
    base_points,
    from_json,
    in_transition,
    percent,
    points_of,
    rate_tenths,
    to_json,
    waiting_points,
    why,
    why_gone,
)

LEO = UUID("0a000000-0000-4000-8000-000000000001")
MIA = UUID("0a000000-0000-4000-8000-000000000002")
FIRST_DAY = date(2026, 9, 1)
WEIGHTS = DEFAULT.weights


def child_of_days(days: list[bool], *, chronic: bool = False, grade: str = "3") -> Child:
    """A child as flagging would tell it, from one word per counted day: absent or not."""
    absent = tuple(FIRST_DAY + timedelta(days=n) for n, missed in enumerate(days) if missed)
    spell = next((n for n, missed in enumerate(reversed(days)) if not missed), len(days))
    last, before = days[-20:], days[-40:-20]
    return Child(
        student_key=LEO,
        grade=grade,
        level="chronically_absent",
        days_absent=len(absent),
        days_enrolled=len(days),
        absent_days=absent,
        last_20_absent=sum(last),
        last_20_counted=len(last),
        before_20_absent=sum(before),
        before_20_counted=len(before),
        spell=spell,
        chronic_last_year=chronic,
    )


A_YEAR = st.lists(st.booleans(), min_size=1, max_size=200)
SOUND_WEIGHTS = st.builds(Weights, **{name: st.integers(0, 60) for name in Weights.model_fields}).filter(
    lambda weights: not problems_with(weights)
)


@given(days=A_YEAR, weights=SOUND_WEIGHTS, chronic=st.booleans())
def test_one_more_absent_day_never_lowers_a_rank(days: list[bool], weights: Weights, chronic: bool) -> None:
    before = base_points([child_of_days(days, chronic=chronic)], weights)
    after = base_points([child_of_days([*days, True], chronic=chronic)], weights)
    assert after >= before


@given(days=A_YEAR, which=st.integers(0, 199), weights=SOUND_WEIGHTS)
def test_a_day_found_to_be_absent_after_all_never_lowers_a_rank(days: list[bool], which: int, weights: Weights) -> None:
    assume(which < len(days))
    corrected = [*days[:which], True, *days[which + 1 :]]
    before = base_points([child_of_days(days)], weights)
    assert base_points([child_of_days(corrected)], weights) >= before


@given(first=A_YEAR, second=A_YEAR)
def test_a_sibling_who_is_flagged_too_never_lowers_a_rank(first: list[bool], second: list[bool]) -> None:
    alone, sibling = child_of_days(first), replace(child_of_days(second), student_key=MIA)
    assert base_points([alone, sibling], WEIGHTS) >= base_points([alone], WEIGHTS)


def test_weights_that_would_break_the_promise_are_found_and_do_break_it() -> None:
    greedy = Weights(rate=1, recent=0, worsening=30, spell=0)
    assert len(problems_with(greedy)) == 2
    days = [False] * 20 + [True] * 10 + [False] * 10
    corrected = [True, *days[1:]]
    assert base_points([child_of_days(corrected)], greedy) < base_points([child_of_days(days)], greedy)
    assert problems_with(WEIGHTS) == []


def test_the_points_are_made_of_what_the_programme_names_and_nothing_else() -> None:
    assert {field.name for field in fields(Child)} == {
        "student_key", "grade", "level", "days_absent", "days_enrolled", "as_of", "absent_days", "last_20_absent",
        "last_20_counted", "before_20_absent", "before_20_counted", "spell", "chronic_last_year", "new_to_district",
    }  # fmt: skip
    assert set(Weights.model_fields) == {
        "rate", "recent", "worsening", "spell", "chronic_last_year", "transition", "sibling", "waiting",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("absent", "enrolled", "tenths"),
    [(17, 180, 94), (18, 180, 100), (19, 180, 105), (21, 130, 161), (36, 180, 200), (0, 0, 0)],
)
def test_the_rate_is_cut_off_and_never_rounded_over_a_line(absent: int, enrolled: int, tenths: int) -> None:
    assert rate_tenths(days_absent=absent, days_enrolled=enrolled) == tenths


def test_two_absences_in_the_first_days_are_not_half_a_year() -> None:
    early = Child(student_key=LEO, grade="3", level="at_risk", days_absent=2, days_enrolled=4)
    assert points_of(early, WEIGHTS) == {"rate": 100}


@pytest.mark.parametrize(("grade", "moves"), [("K", True), ("6", True), ("9", True), ("PK", False), ("5", False)])
def test_kindergarten_and_the_first_middle_and_high_grades_are_transitions(grade: str, moves: bool) -> None:
    child = child_of_days([True], grade=grade)
    assert in_transition(child) is moves
    assert in_transition(replace(child, new_to_district=True))


@given(days=st.integers(-5, 200))
def test_waiting_counts_from_the_target_on(days: int) -> None:
    assert waiting_points(days, WEIGHTS) == WEIGHTS.waiting * max(0, days)


def test_the_sentence_says_what_the_points_are_for_each_clause_with_its_days() -> None:
    days = [False] * 92 + [True] * 15 + [False] * 3 + [False] * 14 + [True] * 6
    clauses = why(Inputs(children=(child_of_days(days, chronic=True),), days_beyond_target=2))

    assert [str(clause) for clause in clauses] == [
        "Missed 21 of 130 days (16.1 %).",
        "6 of the last 20.",
        "Missed the last 6 days in a row.",
        "Was chronically absent last year.",
        "School days waited beyond the target: 2.",
    ]
    assert [len(clause.days) for clause in clauses] == [21, 6, 6, 0, 0]
    assert sum(clause.points for clause in clauses) == (
        base_points([child_of_days(days, chronic=True)], WEIGHTS) + waiting_points(2, WEIGHTS)
    )


def test_a_promise_comes_first_and_siblings_are_counted() -> None:
    worse, better = child_of_days([True] * 10), replace(child_of_days([False] * 9 + [True]), student_key=MIA)
    clauses = why(Inputs(children=(better, worse), promise_due=date(2026, 10, 5), promise_kind="visit"))
    assert clauses[0].code == "promise"
    assert next(clause for clause in clauses if clause.code == "rate").student_key == LEO
    assert "2 children of the family are flagged." in map(str, clauses)


def test_a_correction_is_named_with_its_days() -> None:
    corrected = (date(2026, 11, 3), date(2026, 11, 4))
    (clause,) = why_gone([Correction(student_key=LEO, days_absent=12, days_enrolled=125, corrected_days=corrected)])
    assert (str(clause), clause.days) == ("2 absences were corrected to present; now 9.6 %.", corrected)
    (one,) = why_gone([Correction(student_key=LEO, days_absent=1, days_enrolled=10, corrected_days=corrected[:1])])
    assert str(one) == "One absence was corrected to present; now 10 %."
    (none,) = why_gone([Correction(student_key=LEO, days_absent=2, days_enrolled=30)])
    assert str(none) == "Missed 2 of 30 days by now (6.6 %)."


@given(days=A_YEAR, promised=st.booleans(), beyond=st.integers(0, 9))
def test_stored_inputs_are_read_as_they_were_written(days: list[bool], promised: bool, beyond: int) -> None:
    inputs = Inputs(
        children=(child_of_days(days),),
        promise_due=FIRST_DAY if promised else None,
        promise_kind="call" if promised else None,
        days_beyond_target=beyond,
    )
    assert from_json(to_json(inputs), days_beyond_target=beyond) == inputs


def test_percents_are_written_as_people_do() -> None:
    assert [percent(tenths) for tenths in (0, 96, 100, 161)] == ["0", "9.6", "10", "16.1"]
