"""The marks that landed together become one roll for each school and day, none of them behind its completion."""

import json
from collections import Counter
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import events
from contracts.events import CATEGORY_LETTERS, MAX_STUDENTS_OF_A_ROLL, TAKEN_BACK, RollRecorded
from contracts.topics import PARTITIONS
from services.ingest.handlers.batch import Batch
from services.ingest.handlers.landed import read_landed
from services.ingest.rules.rolls import MAX_ROLL_BYTES
from services.runtime.delivery.publisher import partition_of
from tests.delivering import record
from tests.unit.ingest.landed import (
    NOON,
    Taken,
    completed,
    districts,
    land,
    mark,
    published,
    rejections,
    retraction,
    roll,
)  # fmt: skip
from tests.zones import HERE

RECEIPT, OTHER_RECEIPT = "0d3b8a0e-0000-4000-8000-000000000001", "0d3b8a0e-0000-4000-8000-000000000002"
_seen = st.characters(
    exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters="\u115f\u1160\u2800\u3164\uffa0"
)
_of_codes = st.characters(categories=("L", "N"), include_characters="_", exclude_characters="\u115f\u1160\u3164\uffa0")
_within_codes = st.one_of(_of_codes, st.sampled_from(" .-"))
numbers = st.text(_seen, min_size=1, max_size=64)
schools = st.builds(
    lambda first, within, last: first + within + last,
    st.text(_of_codes, min_size=1, max_size=1), st.text(_within_codes, max_size=38), st.text(_of_codes, max_size=1),
).filter(lambda code: not code.endswith(" "))  # fmt: skip
days = st.dates(min_value=date(2021, 7, 1), max_value=date(2026, 9, 1))
versions = st.integers(min_value=0, max_value=2**63 - 1)


def key_of(student: str) -> UUID:
    return UUID(districts().pseudonyms["hartford"].student_key(student=student, state_student=None))


def rolls(batch: Taken) -> list[RollRecorded]:
    """Read the rolls of a batch through their contract, in the order in which they are published."""
    return [RollRecorded.model_validate(written) for _, written in published(batch, "rolls")]


def told_marks(told: RollRecorded) -> list[tuple[str, date, UUID, str, int]]:
    """Give a roll's marks one by one."""
    versions = told.versions if isinstance(told.versions, tuple) else (told.versions,) * len(told.students)
    return [
        (told.school, told.school_day, *each) for each in zip(told.students, told.categories, versions, strict=True)
    ]


def test_the_marks_of_a_school_and_day_are_one_record_of_their_district() -> None:
    batch = land(
        mark(student="1"), mark(student="2", category="tardy"), mark(student="3", school="H02"),
        mark(student="4", date="2026-08-31"), retraction(student="1"),
    )  # fmt: skip

    assert {partition for partition, _ in published(batch, "rolls")} == {partition_of("hartford", PARTITIONS)}
    first, other_school, other_day = rolls(batch)
    assert (first.district, first.school, first.school_day) == ("hartford", "H01", date(2026, 9, 1))
    assert first.students == (key_of("1"), key_of("2"), key_of("1"))
    assert first.categories == CATEGORY_LETTERS[events.Category.EXCUSED_ABSENCE] + "b" + TAKEN_BACK
    assert first.versions == (1, 1, 2)
    assert (first.parts, first.receipts, first.completed) == (None, None, None)
    assert (other_school.school, other_day.school_day) == ("H02", date(2026, 8, 31))
    assert batch.counts() == {("hartford", "mark"): 4, ("hartford", "retraction"): 1}


def test_one_number_stands_for_versions_that_agree() -> None:
    [told] = rolls(land(mark(student="1", version=7), mark(student="2", version=7)))
    assert told.versions == 7


def test_parts_of_the_day_stand_at_their_places_and_nowhere_else() -> None:
    [told] = rolls(land(mark(student="1"), mark(student="2", present_parts=193, day_parts=387), retraction()))
    assert told.parts == (None, (193, 387), None)


def test_no_number_of_a_student_leaves_ingest() -> None:
    [(key, written, headers)] = [m for part in land(mark()).outgoing["rolls"].values() for m in part]
    assert b"100234" not in written + (key or b"") + repr(headers).encode()


@given(student=numbers, school=schools, day=days, version=versions, category=st.sampled_from(list(events.Category)))
def test_every_well_formed_mark_is_told_so_that_its_contract_can_read_it(
    student: str, school: str, day: date, version: int, category: events.Category
) -> None:
    written = mark(student=student, school=school, date=day.isoformat(), version=version, category=category.value)
    [told] = rolls(land(written))
    assert told_marks(told) == [(school, day, key_of(student), CATEGORY_LETTERS[category], version)]


def test_a_completion_goes_with_the_marks_before_it_and_later_ones_make_another_roll() -> None:
    first, second = rolls(land(mark(student="1"), completed(feed="full", version=5), mark(student="2")))

    assert (first.students, first.completed) == ((key_of("1"),), events.Completion(feed=events.Feed.FULL, version=5))
    assert (second.students, second.completed) == ((key_of("2"),), None)


def test_a_completion_alone_is_a_roll_without_students() -> None:
    batch = land(completed())
    [told] = rolls(batch)
    assert (told.students, told.categories, told.versions) == ((), "", ())
    assert told.completed is not None
    assert batch.counts() == {("hartford", "roll"): 1}


def test_a_large_roll_is_told_in_parts_and_completed_by_the_last() -> None:
    students = range(2 * MAX_STUDENTS_OF_A_ROLL + 1)
    told = rolls(land(*(mark(student=str(n)) for n in students), completed()))

    assert [len(each.students) for each in told] == [MAX_STUDENTS_OF_A_ROLL, MAX_STUDENTS_OF_A_ROLL, 1]
    assert [each.completed is not None for each in told] == [False, False, True]
    assert [key for each in told for key in each.students] == [key_of(str(n)) for n in students]
    assert len({each.event_id for each in told}) == 3


def test_a_record_stays_under_its_size_and_its_columns_stay_together() -> None:
    headers = (("leap-receipt", RECEIPT.encode()), ("leap-row", b"1"))
    marks = [mark(student=str(n), version=2**62 + n, present_parts=n, day_parts=100_000) for n in range(1_000)]
    batch = land(*marks, completed(), headers=headers)

    sizes = [len(value) for part in batch.outgoing["rolls"].values() for _, value, _ in part]
    told = rolls(batch)
    assert len(told) > 1
    assert max(sizes) <= MAX_ROLL_BYTES
    assert [each.completed is not None for each in told] == [False] * (len(told) - 1) + [True]
    place = 0
    for each in told:
        assert each.receipts == {UUID(RECEIPT): tuple(range(len(each.students)))}
        for n, key in enumerate(each.students):
            assert key == key_of(str(place))
            assert isinstance(each.versions, tuple)
            assert each.parts is not None
            assert (each.versions[n], each.parts[n]) == (2**62 + place, (place, 100_000))
            place += 1


def test_receipts_name_the_places_of_their_rows() -> None:
    of_upload = land_with_receipts([RECEIPT, None, OTHER_RECEIPT, RECEIPT])
    [told] = rolls(of_upload)
    assert told.receipts == {UUID(RECEIPT): (0, 3), UUID(OTHER_RECEIPT): (2,)}
    assert of_upload.batch.accepted == {}  # flagging tells about marks


def land_with_receipts(receipts: list[str | None]) -> Taken:
    batch = Batch(districts(), zone=HERE)
    for offset, receipt in enumerate(receipts):
        headers = () if receipt is None else (("leap-receipt", receipt.encode()), ("leap-row", b"1"))
        written = json.dumps(mark(student=str(offset)))
        landed = record("attendance-in-hartford", 0, offset, written, headers=headers, timestamp_ms=NOON)
        batch.land(landed, read_landed(landed, districts=districts()))
    return Taken(batch, batch.close())


def test_the_states_number_has_a_key_of_its_own_and_the_same_in_a_landed_roll() -> None:
    [single] = rolls(land(mark(student=None, state_student="9001")))
    [in_roll] = rolls(land(roll(["state:9001", "tardy", 1])))
    assert single.students == in_roll.students != rolls(land(mark(student="9001")))[0].students


def test_the_same_landed_records_give_the_same_rolls_again_and_others_other_ids() -> None:
    again = [land(mark(), mark(student="2"), completed()).outgoing for _ in range(2)]
    assert again[0] == again[1]
    cut = {each.event_id for values in ([mark()], [mark(), mark()]) for each in rolls(land(*values))}
    assert len(cut) == 2


# Any mix of what may land: each mark is told once, and no mark that landed before a completion comes behind it.

_landed = st.one_of(
    st.tuples(st.sampled_from(["mark", "retraction"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["completion", "reopening"]), st.just(0)),
    st.tuples(st.sampled_from(["roll", "complete roll"]), st.sampled_from([0, 1, 3, 1001])),
)


@given(st.lists(st.tuples(_landed, st.sampled_from(["H01", "H02"]), st.sampled_from(["2026-08-31", "2026-09-01"]))))
def test_whatever_lands_each_mark_is_told_once_and_none_behind_its_completion(
    landed: list[tuple[tuple[str, int], str, str]],
) -> None:
    values: list[dict[str, Any]] = []
    expected: Counter[tuple[str, str, UUID, int]] = Counter()
    completions: dict[tuple[str, str, int], set[int]] = {}  # by the completion's version: the marks it closes
    so_far: dict[tuple[str, str], set[int]] = {}
    version = 0
    for (kind, count), school, day in landed:
        where = {"school": school, "date": day}
        marks = so_far.setdefault((school, day), set())
        if kind in ("mark", "retraction"):
            version += 1
            marks.add(version)
            values.append((mark if kind == "mark" else retraction)(student=str(count), version=version, **where))
            expected[school, day, key_of(str(count)), version] += 1
        elif kind == "reopening":
            values.append({"type": "roll_reopened", "feed": "full", **where})
        else:
            lines = [(str(n), "tardy", version + 1 + n) for n in range(count if "roll" in kind else 0)]
            marks.update(said for _, _, said in lines)
            expected.update((school, day, key_of(student), said) for student, _, said in lines)
            version += len(lines) + 1
            if kind == "completion":
                values.append(completed(version=version, **where))
            else:
                values.append(roll(*lines, complete="complete" in kind, feed="full", version=version, **where))
            if "comple" in kind:
                completions[school, day, version] = set(marks)

    told = [RollRecorded.model_validate(each) for _, each in published(land(*values), "rolls") if "students" in each]

    found = [each for roll_ in told for each in told_marks(roll_)]
    assert Counter((school, str(day), key, said) for school, day, key, _, said in found) == expected
    known: dict[tuple[str, str], set[int]] = {}
    for each in told:
        at = (each.school, str(each.school_day))
        known.setdefault(at, set()).update(said for *_, said in told_marks(each))
        if each.completed is not None:
            assert completions.pop((*at, each.completed.version)) <= known[at]
    assert completions == {}
    assert len({each.event_id for each in told}) == len(told)


def test_a_full_batch_rejects_nothing_good() -> None:
    batch = land(*(mark(student=str(number)) for number in range(500)))
    assert sum(len(each.students) for each in rolls(batch)) == 500
    assert rejections(batch) == []


@pytest.mark.parametrize("form", [RECEIPT, RECEIPT.upper()])
def test_a_completed_roll_of_an_upload_is_accepted_when_it_is_published(form: str) -> None:
    batch = land(completed(), headers=(("leap-receipt", form.encode()), ("leap-row", b"1")))
    assert batch.batch.accepted == {("hartford", RECEIPT): 1}
