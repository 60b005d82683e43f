"""The search for exchanges leaves out most of them, and finds what the one finds that leaves out none."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting.rules.cubes import Cube, chronic_cube, funnel_cube
from services.reporting.rules.measures import STEPS
from services.reporting.rules.suppression import Part, Sum, hidden_cells
from tests.unit.reporting.slow_search import SlowSearch

ROWS, COLUMNS = range(7), "abc"
COUNTS = st.one_of(st.integers(0, 3), st.integers(0, 30), st.sampled_from([0, 5, 6, 19, 20, 400]))


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[Part, int], dict[str, Sum[str]], dict[Any, Any], list[dict[Any, int]]]:
    """Any small table: rows in groups or none, cells of any parts, shares, worths, holes, or else moves."""
    whole_rows = {(row, column) for row in draw(st.sets(st.sampled_from(ROWS), min_size=1)) for column in COLUMNS}
    holes = draw(st.booleans())
    wanted = draw(st.sets(st.sampled_from(sorted(whole_rows)), min_size=1)) if holes else whole_rows
    parts: dict[Part, int] = {part: draw(COUNTS) for part in sorted(wanted)}
    groups = {row: draw(st.sampled_from(["x", "y"])) for row in ROWS if draw(st.booleans())}
    sums = [[part] for part in sorted(wanted) if draw(st.booleans())]
    sums += [[part for part in sorted(wanted) if part[0] == row] for row in ROWS]
    sums += [[part for part in sorted(wanted) if part[1] == column] for column in COLUMNS]
    sums += [sorted(draw(st.sets(st.sampled_from(sorted(wanted)), min_size=1))) for _ in range(draw(st.integers(0, 3)))]
    cells = {}
    for number, each in enumerate(filter(None, sums)):
        times: dict[Part, int] = {part: draw(st.sampled_from([1, 1, 1, 2])) for part in each}
        whole = (str(draw(st.integers(0, number - 1))),) if number and draw(st.booleans()) else ()
        cells[str(number)] = Sum(times, whole, draw(st.sampled_from([6, 20])), draw(st.sampled_from([1, 1, 10])))
    moves: list[dict[Any, int]] = [{"a": 1, "b": -2}, {"b": 1, "a": -1, "c": -1}]
    return parts, cells, groups, [] if holes else draw(st.sampled_from([[], moves[:1], moves]))


@settings(max_examples=150)
@given(tables())
def test_it_finds_the_same_as_the_search_that_leaves_nothing_out(
    table: tuple[dict[Part, int], dict[str, Sum[str]], dict[Any, Any], list[dict[Any, int]]],
) -> None:
    assert hidden_cells(*table) == SlowSearch(*table).hidden()


def schools(count: int, *, students: int) -> list[dict[str, Any]]:
    """The schools of one district, each with so many students of one grade, none or few of them chronically absent."""
    return [
        {
            "district": "hartford",
            "school": f"S{number:04}",
            "grade": ("K", "5", "8", "11")[number % 4],
            "students": students,
            "chronic": min(students, number % 3),
        }
        for number in range(count)
    ]


def households(count: int) -> Cube:
    furthest = [
        {"district": f"d{number:04}", "furthest": STEPS[number % len(STEPS)], "households": 1}
        for number in range(count)
    ]
    return funnel_cube(furthest, [], [str(each["district"]) for each in furthest])


class Counting(dict[Part, int]):
    """Parts that count how often one is looked up: what the search weighs, whatever the machine is busy with."""

    looked_up = 0

    def __getitem__(self, part: Part) -> int:
        self.looked_up += 1
        return super().__getitem__(part)


def work(cube: Cube) -> int:
    parts = Counting(cube.parts)
    hidden_cells(parts, cube.cells(), cube.group_by_row, cube.moves)
    return parts.looked_up


@pytest.mark.parametrize("students", [1, 3, 7, 30])
def test_twice_as_many_schools_of_a_district_are_twice_the_work(students: int) -> None:
    few, many = (work(chronic_cube(schools(count, students=students))) for count in (200, 400))
    assert many < 2.5 * few


def test_twice_as_many_tiny_districts_are_twice_the_work() -> None:
    assert work(households(200)) < 2.5 * work(households(100))


@pytest.mark.parametrize(
    "cube", [*(chronic_cube(schools(20, students=students)) for students in (1, 3, 7, 30)), households(8)]
)
def test_of_tiny_schools_and_districts_too_the_same_is_hidden(cube: Cube) -> None:
    cells = {
        repr(cell): Sum(each.parts, tuple(map(repr, each.share_of)), each.smallest, each.worth)
        for cell, each in cube.cells().items()
    }
    found = {repr(cell) for cell in hidden_cells(cube.parts, cube.cells(), cube.group_by_row, cube.moves)}
    assert found
    assert found == SlowSearch(cube.parts, cells, cube.group_by_row, cube.moves).hidden()
