"""A batch's marks as columns say what the same marks say one by one, whatever of them meets whom."""

import random
from datetime import date

import pytest

from services.flagging import facts
from services.flagging.handlers.marking import DayMarks, _stand
from services.flagging.rules.rolls import ABSENT, CATEGORIES, FIRST_ABSENT, Mark, RollPage, pack_roll

STUDENTS = [bytes([number]) * 16 for number in range(6)]
DAY = date(2026, 9, 1)


def a_mark(draw: random.Random, *, in_parts: bool) -> Mark:
    parts = (draw.randint(0, 3), draw.randint(1, 3)) if in_parts and draw.random() < 0.5 else (-1, -1)
    return Mark(draw.randint(1, 3), draw.randrange(len(CATEGORIES)), *parts)


def a_roll(told: list[tuple[bytes, Mark]]) -> facts.Roll:
    """Make a roll of marks in which students may come again."""
    parts = [None if mark.day_parts < 0 else (mark.present_parts, mark.day_parts) for _, mark in told]
    return facts.Roll(
        "hartford", "H01", DAY, [student for student, _ in told], bytes(mark.code for _, mark in told),
        [mark.version for _, mark in told], parts if any(parts) else None, None, None, None,
    )  # fmt: skip


def one_by_one(standing: dict[bytes, Mark], told: list[tuple[bytes, Mark]]) -> dict[bytes, Mark]:
    """Let each mark stand that beats what stands, written anew."""
    stands = dict(standing)
    for student, mark in told:
        if student not in stands or mark.beats(stands[student]):
            stands[student] = mark
    return stands


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("has_page", [False, True])
def test_marks_as_columns_stand_as_one_by_one(has_page: bool, in_parts: bool) -> None:
    for seed in range(400):
        draw = random.Random(seed)
        told = [(draw.choice(STUDENTS), a_mark(draw, in_parts=in_parts)) for _ in range(draw.randint(1, 12))]
        marks = DayMarks()
        half = draw.randint(0, len(told))
        for part in (told[:half], told[half:]):
            marks.add_roll(a_roll(part), at=0)
        before = {each: a_mark(draw, in_parts=in_parts) for each in draw.sample(STUDENTS, 3)} if has_page else {}
        page = RollPage() if has_page else None
        if page is not None:
            page.marks |= before

        won, columns = _stand(page, marks, range(len(told)))

        stands = one_by_one(before, told)
        assert RollPage.read(*columns).marks == stands, seed
        assert {marks.students[place] for place in won} == {
            each for each in stands if stands[each] != before.get(each)
        }, seed
        assert all(marks.mark(place) == stands[marks.students[place]] for place in won), seed


def test_parts_and_one_version_are_written_only_where_there_is_something_to_say() -> None:
    plain = pack_roll(STUDENTS, bytes([1] * 6), [7] * 6, None)
    assert [len(each) for each in plain] == [6 * 16, 6, 8, 0]
    assert pack_roll(STUDENTS, bytes([1] * 6), [7] * 6, [(-1, -1)] * 6) == plain
    in_parts = pack_roll(STUDENTS, bytes([1] * 6), [7] * 5 + [8], [(1, 2)] + [(-1, -1)] * 5)
    assert [len(each) for each in in_parts] == [6 * 16, 6, 6 * 8, 6 * 8]


def test_without_a_share_of_the_day_its_category_says_that_it_was_missed() -> None:
    assert sorted(ABSENT) == list(range(FIRST_ABSENT, len(CATEGORIES)))
