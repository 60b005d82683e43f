"""What the numbers mean."""

import pytest

from services.reporting.rules.measures import MEASURES, TABLES, grade_band


@pytest.mark.parametrize(
    ("grade", "band"),
    [("PK", None), ("K", "K-5"), ("5", "K-5"), ("6", "6-8"), ("8", "6-8"), ("9", "9-12"), ("12", "9-12"), (None, None)],
)
def test_pre_k_is_outside_of_chronic_absence(grade: str | None, band: str | None) -> None:
    assert grade_band(grade) == band


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: str(table.name))
def test_every_number_of_a_table_is_defined(table: object) -> None:
    measures = [MEASURES[name] for name in table.measures]  # type: ignore[attr-defined]
    assert all(each.title and each.definition.endswith((".", ",")) and each.unit for each in measures)


def test_only_numbers_about_staff_are_outside_suppression() -> None:
    assert {each.name for each in MEASURES.values() if not each.suppressed} == {"trained", "active", "speakers"}
