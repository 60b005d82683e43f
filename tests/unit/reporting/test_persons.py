"""The state counts persons: whom two districts count is one, and of few of them nothing can be worked out."""

from typing import Any

from services.reporting.rules.cubes import Cube, chronic_cube
from services.reporting.rules.tables import HIDDEN_MARK, STATE

DISTRICTS = ("danbury", "hartford")
STUDENTS = [
    {"district": district, "school": "S1", "grade": grade, "students": 500, "chronic": 60}
    for district in DISTRICTS
    for grade in ("3", "7", "11")
]


def persons(grade: str, students: int, chronic: int, joined: int, *others: str) -> dict[str, Any]:
    """Persons of one grade, of whom so many are counted by two districts, `others` being the grades they have there."""
    return {
        "grade": grade, "grades": [grade, *others], "students": students, "chronic": chronic, "joined": joined
    }  # fmt: skip


def published(*lines: dict[str, Any]) -> Cube:
    cube = chronic_cube(STUDENTS, lines)
    cube.suppress()
    return cube


def chronic_of_the_state(cube: Cube) -> dict[str, Any]:
    return {band: cube.shown("chronic", STATE, band) for band in ("K-5", "6-8", "9-12")} | {
        "all": cube.shown("chronic", STATE)
    }


def test_the_states_line_tells_persons_and_the_districts_their_students() -> None:
    cube = published(persons("3", 980, 110, 20), persons("7", 990, 115, 10), persons("11", 992, 116, 8))
    # By sixes: 60 of a school's band are told as 57.5, its 440 others as 441.5, and what the persons are fewer by, the
    # 20, 10 and 8 of the bands, as 21.5, 9.5 and 9.5; of the chronically absent the 10, 5 and 4 as 9.5, 3.5 and 3.5.
    assert cube.shown("students", STATE) == 6 * 499 - 40
    assert cube.shown("students", "hartford") == 3 * 499
    assert chronic_of_the_state(cube) == {"K-5": 115 - 10, "6-8": 115 - 4, "9-12": 115 - 4, "all": 345 - 16}


def test_where_nobody_moved_the_states_line_is_the_sum() -> None:
    cube = published(*(persons(grade, 1000, 120, 0) for grade in ("3", "7", "11")))
    assert chronic_of_the_state(cube) == {"K-5": 115, "6-8": 115, "9-12": 115, "all": 345}


def test_one_movers_attendance_cant_be_had_by_subtracting() -> None:
    cube = published(persons("3", 999, 119, 1), persons("7", 1000, 120, 0), persons("11", 1000, 120, 0))
    assert chronic_of_the_state(cube) == {"K-5": HIDDEN_MARK, "6-8": 115, "9-12": 115, "all": HIDDEN_MARK}


def test_a_band_with_few_movers_takes_another_with_it_so_that_the_whole_may_show() -> None:
    cube = published(persons("3", 997, 118, 3), persons("7", 990, 115, 10), persons("11", 980, 110, 20))
    assert chronic_of_the_state(cube) == {"K-5": HIDDEN_MARK, "6-8": HIDDEN_MARK, "9-12": 115 - 10, "all": 345 - 16}


def test_who_changed_bands_on_the_way_counts_as_a_mover_of_both() -> None:
    cube = published(persons("7", 1000, 118, 3, "3"), persons("3", 997, 119, 0), persons("11", 980, 110, 20))
    assert [band for band, shown in chronic_of_the_state(cube).items() if shown == HIDDEN_MARK] == ["K-5", "6-8"]


def test_a_states_own_small_number_is_hidden_though_the_sum_is_not() -> None:
    students = [{"district": d, "school": "S1", "grade": "3", "students": 60, "chronic": 7} for d in DISTRICTS]
    cube = chronic_cube(students, [persons("3", 110, 5, 10)])
    cube.suppress()
    assert cube.shown("chronic", STATE) == HIDDEN_MARK
    assert cube.shown("chronic", "hartford") == 10


def test_six_alone_is_hidden_since_it_would_be_told_as_fewer() -> None:
    students = [{"district": d, "school": "S1", "grade": "3", "students": 60, "chronic": 6} for d in DISTRICTS]
    cube = chronic_cube(students)
    cube.suppress()
    assert cube.shown("chronic", "hartford") == HIDDEN_MARK
