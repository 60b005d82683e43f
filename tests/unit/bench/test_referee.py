"""Who computes nonsense gets no figure: the truth is counted anew, and each way of being wrong is caught."""

from collections import Counter
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.bench import load, referee
from tests.bench.referee import Crossing, Truth, WrongResult

ANN, BOB = UUID(int=1), UUID(int=2)
FIRST_DAY = date(2026, 9, 1)
CHRONIC = Crossing(ANN, True, (10, 1))


def mark(student: UUID, day: int, *, absent: bool = False, version: int = 1) -> bytes:
    return msgspec.json.encode(
        {
            "event_type": "attendance.recorded.v1",
            "district": "hartford",
            "school": "E01",
            "student_key": student,
            "school_day": FIRST_DAY + timedelta(days=day),
            "category": "excused_absence" if absent else "in_attendance",
            "source_version": version,
        }
    )


def ten_days(student: UUID, *, absences: int) -> list[bytes]:
    return [mark(student, day, absent=day < absences) for day in range(10)]


def test_one_absence_in_ten_days_is_a_crossing_and_none_is_not() -> None:
    truth = referee.truth_of([*ten_days(ANN, absences=1), *ten_days(BOB, absences=0)])

    assert truth == Truth(crossings=Counter([CHRONIC]), chronic=frozenset([ANN]))


def test_the_eleventh_day_attended_crosses_back_and_a_correction_does_too() -> None:
    later = referee.truth_of([*ten_days(ANN, absences=1), mark(ANN, 10)])
    corrected = referee.truth_of([*ten_days(ANN, absences=1), mark(ANN, 0, version=2)])

    assert later.crossings == Counter([CHRONIC, Crossing(ANN, False, (11, 1))])
    assert corrected.crossings == Counter([CHRONIC, Crossing(ANN, False, (10, 0))])
    assert later.chronic == corrected.chronic == frozenset()


def test_an_older_version_changes_nothing() -> None:
    truth = referee.truth_of([mark(ANN, 0, version=2), *ten_days(ANN, absences=1)])

    assert truth.crossings == Counter()


def test_the_truth_of_the_load_is_what_counting_the_newest_marks_anew_finds() -> None:
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for value in load.values(40_000):
        row = msgspec.json.decode(value)
        newest[row["student_key"], row["school_day"]] = row
    enrolled = Counter(row["student_key"] for row in newest.values())
    absent = Counter(row["student_key"] for row in newest.values() if row["category"].endswith("absence"))

    truth = referee.truth_of(load.values(40_000))

    over = {UUID(key) for key, days in enrolled.items() if days >= 10 and absent[key] * 10 >= days}
    assert truth.chronic == over
    assert 0 < len(over) < len(enrolled)


def test_a_roll_is_judged_mark_by_mark_parts_of_the_day_before_its_letter_and_nothing_of_what_was_taken_back() -> None:
    def roll(day: int, letter: str, part: tuple[int, int] | None = None) -> bytes:
        return msgspec.json.encode(
            {
                "event_type": "roll.recorded.v1",
                "district": "hartford",
                "school": "E01",
                "school_day": FIRST_DAY + timedelta(days=day),
                "students": [str(BOB), str(ANN)],
                "categories": "a" + letter,
                "versions": 1,
                "parts": part and [None, part],
            }
        )

    present = [roll(day, "a") for day in range(9)]

    assert referee.truth_of([*present, roll(9, "i")]).chronic == frozenset([ANN])
    assert referee.truth_of([*present, roll(9, "a", (2, 6))]).chronic == frozenset([ANN])
    assert referee.truth_of([*present, roll(9, "i", (3, 6))]).chronic == frozenset()
    assert referee.truth_of([*present, roll(9, "x")]).chronic == frozenset()


@pytest.mark.parametrize(
    "told",
    [
        Counter[Crossing](),
        Counter([CHRONIC, CHRONIC]),
        Counter([Crossing(BOB, True, (10, 1))]),
        Counter([Crossing(ANN, True, (10, 2))]),
        Counter([CHRONIC, Crossing(ANN, False, (11, 1))]),
    ],
    ids=["nothing", "twice", "another student", "other figures", "one that never was"],
)
def test_a_peer_that_tells_other_crossings_gets_no_figure(told: Counter[Crossing]) -> None:
    truth = referee.truth_of(ten_days(ANN, absences=1))
    referee.require_crossings("peer", truth, Counter([CHRONIC]))

    with pytest.raises(WrongResult, match="peer told"):
        referee.require_crossings("peer", truth, told)


@pytest.mark.parametrize("found", [frozenset[UUID](), frozenset([BOB]), frozenset([ANN, BOB])])
def test_a_worker_that_flags_other_students_gets_no_figure(found: frozenset[UUID]) -> None:
    truth = referee.truth_of(ten_days(ANN, absences=1))
    referee.require_chronic("flagging", truth, frozenset([ANN]))

    with pytest.raises(WrongResult, match="flagging ends with"):
        referee.require_chronic("flagging", truth, found)


@pytest.mark.parametrize("counted", [{"crossings": 0, "chronic": 1}, {"crossings": 1, "chronic": 0}])
def test_a_count_that_differs_gets_no_figure(counted: dict[str, int]) -> None:
    truth = referee.truth_of(ten_days(ANN, absences=1))
    referee.require_counts("ceiling", truth, crossings=1, chronic=1)

    with pytest.raises(WrongResult, match="ceiling counts"):
        referee.require_counts("ceiling", truth, **counted)
