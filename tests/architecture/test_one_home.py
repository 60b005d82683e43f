"""One answer has one home: a second one would begin to differ."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.checks import ROOT
from tests.architecture.homes import csv_writers, dates_worked_out, named_zones, spelt_districts
from tests.architecture.test_seeded_checkers import written

# In pieces, so that this file names no zone.
ROME, KNOX = "/".join(("Europe", "Rome")), "/".join(("America", "Indiana", "Knox"))


def test_only_the_settings_say_where_people_live() -> None:
    assert named_zones(ROOT) == []


def test_only_the_calendar_works_out_dates() -> None:
    assert dates_worked_out(ROOT) == []


def test_only_the_contracts_spell_a_districts_code() -> None:
    assert spelt_districts(ROOT) == []


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("services/visitlog/rules/outcomes.py", f'LOCAL = ZoneInfo("{ROME}")', f"names {ROME}"),
        ("services/visitlog/store/office.py", f"SQL = \"... AT TIME ZONE '{ROME}'\"", f"names {ROME}"),
        ("services/flagging/migrations/0009_x.sql", f"SELECT now() AT TIME ZONE '{KNOX}'", f"names {KNOX}"),
        ("deploy/compose.yaml", f"LEAP_TIME_ZONE: {KNOX}", f"names {KNOX}"),
        ("tests/unit/test_x.py", f'ZoneInfo("{ROME}")', f"names {ROME}"),
        ("deploy/cli.py", "today = datetime.now().astimezone().date()", "asks the machine's own zone"),
    ],
)
def test_a_zone_named_elsewhere_is_found(tmp_path: Path, path: str, text: str, complaint: str) -> None:
    written(tmp_path, path, text)
    (found,) = named_zones(tmp_path)
    assert complaint in found


def test_a_second_zone_in_a_place_that_may_name_one_is_found(tmp_path: Path) -> None:
    written(tmp_path, "services/runtime/settings.py", f'time_zone: str = "{ROME}"')
    assert named_zones(tmp_path) == []
    written(tmp_path, "services/runtime/settings.py", f'zones = ("{ROME}", "{KNOX}")')
    assert len(named_zones(tmp_path)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "year = day.year if day.month >= 7 else day.year - 1",
        "year = self.days[0].year - (self.days[0].month < 7)",
        "first = date(year, 7, 1)",
        "last = datetime.date(school_year + 1, 6, 30)",
        "weekdays = [day for day in days if day.weekday() < 5]",
        "left -= moment.isoweekday() < 6",
        "STATEMENT = 'SELECT count(*) FROM d WHERE extract(isodow FROM day) < 6'",
        "STATEMENT = \"SELECT extract(year FROM day - interval '6 months')\"",
    ],
)
def test_a_date_that_is_worked_out_elsewhere_is_found(tmp_path: Path, line: str) -> None:
    written(tmp_path, "contracts/calendar.py", line)
    assert dates_worked_out(tmp_path) == []
    written(tmp_path, "services/reporting/rules/spans.py", line)
    (found,) = dates_worked_out(tmp_path)
    assert found.startswith("services/reporting/rules/spans.py:1: ")


@pytest.mark.parametrize(
    "line",
    ["earliest = date(2000, 7, 1)", "friday = day.weekday() == 4", "monday = day - timedelta(days=day.weekday())"],
)
def test_a_date_that_is_only_named_is_no_rule(tmp_path: Path, line: str) -> None:
    written(tmp_path, "services/ingest/rules/landing.py", line)
    found = dates_worked_out(tmp_path)
    assert found == []


def test_a_district_spelt_once_more_is_found(tmp_path: Path) -> None:
    written(tmp_path, "services/reporting/api/tables.py", 'District = Path(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")')
    assert spelt_districts(tmp_path) == [
        "services/reporting/api/tables.py: spells a district's code; contracts.events has DISTRICT_PATTERN"
    ]


@pytest.mark.parametrize("check", [named_zones, dates_worked_out, spelt_districts])
def test_an_empty_tree_has_nothing_to_find(tmp_path: Path, check: Callable[[Path], list[str]]) -> None:
    assert check(tmp_path) == []


def test_only_one_writer_makes_csv() -> None:
    assert csv_writers(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "rows = csv.writer(file)",
        "rows = csv.DictWriter(file, names)",
        "from csv import writer",
        "SQL = 'COPY rate TO STDOUT (FORMAT csv)'",
    ],
)
def test_a_second_writer_of_csv_is_found(tmp_path: Path, line: str) -> None:
    written(tmp_path, "services/runtime/web/csv_file.py", line)
    assert csv_writers(tmp_path) == []
    written(tmp_path, "services/visitlog/handlers/office.py", line)
    (found,) = csv_writers(tmp_path)
    assert found.startswith("services/visitlog/handlers/office.py:1: ")


def test_who_only_reads_csv_is_not(tmp_path: Path) -> None:
    written(tmp_path, "services/ingest/formats/csv_rows.py", "cells = next(csv.reader([text]))")
    assert csv_writers(tmp_path) == []
