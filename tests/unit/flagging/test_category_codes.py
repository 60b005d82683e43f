"""What `mark.category` has meant since the first mark was stored: years of rows are read by these numbers."""

from collections.abc import Collection, Mapping
from typing import get_args

from services.flagging.facts import Category
from services.flagging.rules.absence import ABSENT_CATEGORIES, PRESENT_CATEGORIES
from services.flagging.rules.rolls import CODE_OF as CATEGORY_CODES
from services.flagging.rules.rolls import FIRST_ABSENT as FIRST_ABSENT_CODE

# Add to it, and change nothing: what is stored can't be asked what it was meant to be.
STORED = {
    0: None,
    1: "in_attendance",
    2: "tardy",
    3: "early_departure",
    4: "school_activity",
    5: "remote_learning",
    6: "in_school_suspension",
    7: "alternative_education",
    8: "excused_absence",
    9: "unexcused_absence",
    10: "mental_health_day",
    11: "out_of_school_suspension",
    12: "expulsion",
}


def wrong_codes(
    codes: Mapping[str | None, int], *, present: Collection[str], absent: Collection[str], first_absent: int
) -> list[str]:
    """Say where numbers leave what is stored, or what the statement takes them for."""
    found = [
        f"{code} has meant {STORED[code]}, and would mean {name}"
        for name, code in codes.items()
        if STORED.get(code, name) != name
    ]
    found += [f"{code} stands for two categories" for code in set(codes.values()) if [*codes.values()].count(code) > 1]
    found += [f"{name} has no number" for name in (*present, *absent) if name not in codes]
    found += [
        f"{name} is present and would be stored as absent" for name in present if codes.get(name, 1) >= first_absent
    ]
    found += [
        f"{name} is absent and would be stored as present" for name in absent if codes.get(name, 99) < first_absent
    ]
    return found


def test_every_number_means_what_it_has_meant_and_the_statement_takes_it_for() -> None:
    found = wrong_codes(
        CATEGORY_CODES, present=PRESENT_CATEGORIES, absent=ABSENT_CATEGORIES, first_absent=FIRST_ABSENT_CODE
    )
    assert found == []
    assert set(CATEGORY_CODES) == {None, *PRESENT_CATEGORIES, *ABSENT_CATEGORIES} == {None, *get_args(Category)}


def test_a_category_put_at_its_natural_place_would_turn_absences_into_presences() -> None:
    present = (*PRESENT_CATEGORIES[:3], "late_bus", *PRESENT_CATEGORIES[3:])
    by_place = {None: 0} | {name: code for code, name in enumerate((*present, *ABSENT_CATEGORIES), start=1)}
    found = wrong_codes(by_place, present=present, absent=ABSENT_CATEGORIES, first_absent=FIRST_ABSENT_CODE + 1)
    assert "8 has meant excused_absence, and would mean alternative_education" in found


def test_a_number_that_is_used_again_a_second_time_or_on_the_wrong_side_is_found() -> None:
    def found(codes: Mapping[str | None, int], *further: str) -> list[str]:
        present = (*(name for name in PRESENT_CATEGORIES if name in codes), *further)
        return wrong_codes(codes, present=present, absent=ABSENT_CATEGORIES, first_absent=FIRST_ABSENT_CODE)

    without_tardy = {name: code for name, code in CATEGORY_CODES.items() if name != "tardy"}
    assert found(without_tardy) == []
    assert found({**without_tardy, "late_bus": 2}, "late_bus") == ["2 has meant tardy, and would mean late_bus"]
    assert "1 stands for two categories" in found({**CATEGORY_CODES, "late_bus": 1}, "late_bus")
    assert found({**CATEGORY_CODES, "late_bus": 13}, "late_bus") == [
        "late_bus is present and would be stored as absent"
    ]
    assert found(CATEGORY_CODES, "late_bus") == ["late_bus has no number"]
