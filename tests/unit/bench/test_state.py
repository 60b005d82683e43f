"""The made-up state is what is said of it: who is flagged, who is one absence away, and what lands."""

from collections import Counter
from itertools import islice

import msgspec
import pytest

from contracts.events import Category
from services.ingest.formats import own
from services.ingest.rules.landing import Calendar, CompletedRoll, Enrollment, Mark, Roll
from tests.bench import state
from tests.bench.state import MEASURED_DAY, STUDENTS_PER_SCHOOL, Size, State, day_of, is_flagged

SMALL = State(Size(students=10_080, districts=3))


def days(*missed: int) -> int:
    return sum(1 << day for day in missed)


@pytest.mark.parametrize(
    ("missed", "entry", "day", "flagged"),
    [
        (days(1), 1, 9, False),  # fewer than ten days
        (days(1), 1, 10, True),
        (days(1), 1, 11, False),
        (days(11), 1, 11, False),
        (days(2, 9), 1, 9, True),  # two of the first twenty
        (days(2, 9), 1, 40, True),  # 5 % of 40
        (days(2, 9), 1, 41, False),
        (days(2, 21), 1, 30, False),
        (days(50, 57), 47, 57, True),
        (days(30, 57), 47, 57, False),  # before the entry nothing counts
    ],
)
def test_who_is_flagged(missed: int, entry: int, day: int, flagged: bool) -> None:
    assert is_flagged(missed, entry, day) is flagged


def test_the_whole_state_has_504_000_students_in_1_000_schools_of_197_districts() -> None:
    whole = State(Size())

    assert (whole.students, sum(whole.schools.values()), len(whole.districts)) == (504_000, 1_000, 197)
    assert max(whole.schools.values()) == whole.schools[whole.districts[0]]


def test_the_60th_day_is_before_the_last_of_november_which_is_the_63rd() -> None:
    assert (day_of(MEASURED_DAY).isoformat(), day_of(state.LAST_OF_NOVEMBER).isoformat()) == (
        "2026-11-20",
        "2026-11-25",
    )
    assert day_of(state.LAST_OF_NOVEMBER + 1).month == 12
    assert len(state.SCHOOL_DAYS) >= state.FIRST_LOADED_DAYS


def test_one_student_in_six_is_flagged_by_the_59th_day_and_some_more_each_day_from_then_on() -> None:
    flagged = [sum(map(len, SMALL.flagged_after(day).values())) for day in range(MEASURED_DAY - 1, MEASURED_DAY + 6)]

    assert flagged[0] / SMALL.students == pytest.approx(86_000 / 504_000, rel=0.05)
    assert flagged == sorted(set(flagged))


def test_whoever_is_not_flagged_on_the_59th_day_never_was_so_that_batches_cut_anyhow_end_alike() -> None:
    last = MEASURED_DAY - 1
    for _, _, pupil in SMALL.everybody():
        if not is_flagged(pupil.missed, pupil.entry, last):
            assert not any(is_flagged(pupil.missed, pupil.entry, day) for day in range(pupil.entry, last))


def test_another_absence_flags_each_who_is_one_away_on_any_of_the_days_that_are_lived() -> None:
    waiting = list(SMALL.one_absence_from_a_flag())
    households = Counter((district, state.household_of(pupil.nth)) for district, _, pupil in waiting)

    assert len(waiting) > 20
    assert set(households.values()) == {1}
    for day in range(MEASURED_DAY, MEASURED_DAY + 6):
        flagged = SMALL.flagged_after(day)
        for district, _, pupil in waiting:
            assert (district, state.household_of(pupil.nth)) not in flagged
            assert is_flagged(pupil.missed | 1 << day, pupil.entry, day)


def test_a_day_is_the_same_as_single_marks_and_as_whole_rolls() -> None:
    district = SMALL.districts[1]
    single, completed = set(), set()
    for value in SMALL.single_marks(district, MEASURED_DAY):
        read = own.decode(value)
        if isinstance(read, Mark):
            single.add((read.school, read.date, read.student, read.category, read.version))
        else:
            assert isinstance(read, CompletedRoll)
            completed.add((read.school, read.date, read.feed))
    rolls = [own.decode(value) for value in SMALL.whole_rolls(district, range(MEASURED_DAY, MEASURED_DAY + 1))]
    whole = [roll for roll in rolls if isinstance(roll, Roll)]

    assert len(whole) == len(rolls) == SMALL.schools[district]
    assert single == {
        (roll.school, roll.date, mark.student, mark.category, mark.version) for roll in whole for mark in roll.marks
    }
    assert completed == {(roll.school, roll.date, roll.feed) for roll in whole if roll.complete}
    assert len(single) == SMALL.marks_on(district, MEASURED_DAY)


def test_absences_that_land_are_those_that_are_expected() -> None:
    absent = 0
    for district in SMALL.districts:
        for value in SMALL.whole_rolls(district, range(MEASURED_DAY, MEASURED_DAY + 1)):
            read = own.decode(value)
            assert isinstance(read, Roll)
            absent += sum(mark.category is Category.UNEXCUSED_ABSENCE for mark in read.marks)

    assert absent == SMALL.absent_on(MEASURED_DAY)


def test_the_roster_has_every_calendar_before_every_student() -> None:
    district = SMALL.districts[0]
    read = [own.decode(value) for value in SMALL.roster(district)]
    calendars = [each for each in read if isinstance(each, Calendar)]
    enrolled = [each for each in read if isinstance(each, Enrollment)]

    assert len(calendars) == SMALL.schools[district]
    assert len(enrolled) == len({each.student for each in enrolled}) == STUDENTS_PER_SCHOOL * len(calendars)
    assert read == [*calendars, *enrolled]
    assert {str(each.feed) for each in calendars} <= {"full", "exceptions"}


def test_nobody_is_marked_before_moving_in() -> None:
    district = SMALL.districts[0]
    first = next(islice(SMALL.whole_rolls(district, range(1, 2)), 1))
    marks = msgspec.json.decode(first)["marks"]

    assert len(marks) == sum(pupil.entry == 1 for pupil in SMALL.pupils(district, 0)) < STUDENTS_PER_SCHOOL
