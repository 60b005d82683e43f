"""A month is told when all who are known have closed it, at the latest on the 15th, and says what it lacks."""

from datetime import date

import pytest

from services.reporting.rules.closing import (
    Lacks,
    MissingRolls,
    School,
    SchoolMonth,
    as_document,
    from_document,
    is_due,
    lacking,
)

JUNE, JULY, SEPTEMBER, OCTOBER = (date(2026, month, 1) for month in (6, 7, 9, 10))
H01, H02, D01 = School("hartford", "H01"), School("hartford", "H02"), School("danbury", "D01")


def said(lacks: Lacks) -> str:
    return lacks.sentence(lambda text, **values: text % values if values else text)


def month(first_day: date, *closed: School, taught: tuple[School, ...] = ()) -> list[SchoolMonth]:
    return [SchoolMonth(first_day, each, True) for each in closed] + [
        SchoolMonth(first_day, each, False) for each in taught
    ]


@pytest.mark.parametrize(
    ("today", "due"), [(date(2026, 11, 1), False), (date(2026, 11, 14), False), (date(2026, 11, 15), True)]
)
def test_a_month_that_lacks_a_school_is_told_on_the_15th(today: date, due: bool) -> None:
    told = month(OCTOBER, H01, taught=(H02,))
    assert is_due(OCTOBER, told, today=today, lacks=lacking(OCTOBER, told)) is due


def test_a_month_that_all_have_closed_is_told_at_once() -> None:
    told = month(SEPTEMBER, H01, D01) + month(OCTOBER, H01, D01)
    assert is_due(OCTOBER, told, today=date(2026, 10, 31), lacks=lacking(OCTOBER, told))


def test_a_month_of_which_nobody_has_told_anything_waits_for_the_15th() -> None:
    assert lacking(OCTOBER, []) == Lacks()
    assert not is_due(OCTOBER, [], today=date(2026, 11, 14), lacks=Lacks())
    assert is_due(OCTOBER, [], today=date(2026, 11, 15), lacks=Lacks())


def test_who_was_there_the_month_before_and_is_silent_now_is_missed() -> None:
    told = month(SEPTEMBER, H01, H02, D01) + month(OCTOBER, H01)
    assert lacking(OCTOBER, told) == Lacks(districts=("danbury",), schools=(H02,))


def test_who_was_there_two_months_ago_is_not() -> None:
    assert lacking(OCTOBER, month(date(2026, 8, 1), H02) + month(OCTOBER, H01)) == Lacks()


def test_over_the_summer_no_school_of_june_is_missed() -> None:
    assert lacking(JULY, month(JUNE, H01, D01) + month(JULY, H02)) == Lacks()


def test_a_district_with_a_flag_and_without_a_day_is_missed_where_others_teach() -> None:
    assert lacking(OCTOBER, month(OCTOBER, H01), flagged=["windham"]).districts == ("windham",)
    assert lacking(JULY, [], flagged=["windham"]) == Lacks()


def test_what_is_missing_is_one_sentence() -> None:
    lacks = Lacks(districts=("danbury", "windham"), schools=(H02,), rolls=(MissingRolls(H01, 2), MissingRolls(D01, 1)))
    assert said(lacks) == (
        "Missing: the month has not closed in danbury, windham; the month has not closed at H02 (hartford); "
        "school days without a complete roll: 3, at H01 (hartford): 2, D01 (danbury): 1."
    )
    assert said(Lacks()).startswith("Nothing is missing:")


def test_of_many_the_first_are_named_and_the_document_names_all() -> None:
    lacks = Lacks(districts=tuple(f"district-{n:03}" for n in range(100)))
    assert said(lacks).endswith("district-011 and 88 more.")
    assert len(as_document(lacks)["districts"]) == 100


def test_a_document_is_read_back_as_it_was() -> None:
    lacks = Lacks(districts=("danbury",), schools=(H02,), rolls=(MissingRolls(H01, 2),))
    assert from_document(as_document(lacks)) == lacks


def test_a_reader_hears_of_their_own_districts_alone() -> None:
    lacks = Lacks(districts=("danbury",), schools=(H02,), rolls=(MissingRolls(D01, 2), MissingRolls(H01, 1)))
    assert lacks.of_districts({"hartford"}) == Lacks(schools=(H02,), rolls=(MissingRolls(H01, 1),))
