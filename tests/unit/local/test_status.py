"""What `leap status` says of a district's own affairs: a sentence each, and nothing where nothing is open."""

from typing import Any

import pytest

from deploy.commands.figures import DistrictFigures
from deploy.commands.status import left_open


def district(**open_ends: Any) -> DistrictFigures:
    return DistrictFigures(district="hartford", sent=9, accepted=9, rejected=0, duplicate=0, **open_ends)


def test_where_nothing_is_open_nothing_is_said() -> None:
    assert list(left_open(district())) == []


@pytest.mark.parametrize(
    ("open_ends", "said"),
    [
        ({"waiting_numbers": 3, "waiting_days": 40}, "marks of 40 days wait, of 3 numbers"),
        ({"rolls_waiting": 2, "oldest_roll_waiting": "2026-09-01"},
         "2 school days wait for their roll, the oldest since 2026"),
        ({"days_without_mark": 1200}, "no mark for 1,200 days of enrolled students"),
        ({"schools_without_calendar": 4}, "4 schools have no calendar"),
    ],
)  # fmt: skip
def test_what_is_open_is_said_with_what_mends_it(open_ends: dict[str, Any], said: str) -> None:
    (line,) = left_open(district(**open_ends))
    assert line.startswith("hartford: ")
    assert said in line


def test_everything_that_is_open_is_said() -> None:
    every = district(waiting_numbers=1, rolls_waiting=1, days_without_mark=1, schools_without_calendar=1)
    assert len(list(left_open(every))) == 4
