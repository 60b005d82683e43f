"""A whole roll may land as one record; a bad mark inside it goes back alone, and its neighbours go on."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import AttendanceRejected, RejectionReason, RollRecorded
from services.ingest.rules.landing import MAX_MARKS_OF_A_LANDED_ROLL
from tests.unit.ingest.landed import NOON, Taken, districts, land, mark, published, rejections, retraction, roll

Reason = RejectionReason
GOOD, NEIGHBOUR = ["100234", "excused_absence", 1], ["100235", "tardy", 2, 193, 387]
RECEIPT = "0d3b8a0e-0000-4000-8000-000000000001"


def one_roll(batch: Taken) -> RollRecorded:
    [(_, written)] = published(batch, "rolls")
    return RollRecorded.model_validate(written)


def keys(*students: str) -> list[str]:
    return districts().pseudonyms["hartford"].student_keys(students)


def test_a_landed_roll_is_told_as_it_came_with_its_completion() -> None:
    batch = land(roll(GOOD, NEIGHBOUR, feed="full", complete=True, version=9))

    told = one_roll(batch)
    assert [str(key) for key in told.students] == keys("100234", "100235")
    assert (told.categories, told.versions, told.parts) == ("hb", (1, 2), (None, (193, 387)))
    assert told.completed is not None
    assert (told.completed.feed, told.completed.version) == ("full", 9)
    assert batch.counts() == {("hartford", "roll"): 1, ("hartford", "roll_mark"): 2}


def test_it_says_the_same_as_its_marks_one_by_one() -> None:
    single = mark(), mark(student="100235", category="tardy", version=2, present_parts=193, day_parts=387)
    whole, marks = one_roll(land(roll(GOOD, NEIGHBOUR))), one_roll(land(*single))
    differ = {"event_id", "landed"}
    assert whole.model_dump(exclude=differ) == marks.model_dump(exclude=differ)
    assert whole.occurred_at.timestamp() * 1000 == NOON


def test_single_marks_of_the_day_join_it() -> None:
    told = one_roll(land(mark(student="1"), roll(GOOD), retraction(student="2")))
    assert told.categories == "hhx"


@pytest.mark.parametrize(
    ("bad", "reason", "detail"),
    [
        (["7", "asleep", 1], Reason.UNKNOWN_CATEGORY, "category: not a category we know"),
        (["7", "tardy"], Reason.MISSING_FIELD, "student, category, version: all are needed"),
        ([], Reason.MISSING_FIELD, "student, category, version: all are needed"),
        (["", "tardy", 1], Reason.OUT_OF_RANGE, "student: length outside the limits"),
        ([7, "tardy", 1], Reason.WRONG_TYPE, "student: not the type of value this field holds"),
        (None, Reason.WRONG_TYPE, "mark: not the type of value this field holds"),
        ({"student": "7"}, Reason.WRONG_TYPE, "mark: not the type of value this field holds"),
        (["7", "tardy", -1], Reason.OUT_OF_RANGE, "version: number outside the limits"),
        (["7", "tardy", 1.5], Reason.WRONG_TYPE, "version: not the type of value this field holds"),
        (["7\x00", "tardy", 1], Reason.OUT_OF_RANGE, "record: a control character in a text"),
        (["state:", "tardy", 1], Reason.MISSING_FIELD, "student: no number behind state:"),
        (["7", "tardy", 1, 5], Reason.MISSING_FIELD, "present_parts, day_parts: both or neither"),
        (["7", "tardy", 1, None, 5], Reason.MISSING_FIELD, "present_parts, day_parts: both or neither"),
        (["7", "tardy", 1, 6, 5], Reason.OUT_OF_RANGE, "present_parts: more than day_parts"),
        (["7", "tardy", 1, 0, 0], Reason.OUT_OF_RANGE, "day_parts: number outside the limits"),
    ],
)
def test_a_bad_mark_goes_back_alone_with_its_place_and_nothing_of_its_neighbours(
    bad: Any, reason: RejectionReason, detail: str
) -> None:
    batch = land(roll(GOOD, bad, NEIGHBOUR, feed="full", complete=True))

    [event] = (AttendanceRejected.model_validate(each) for each in rejections(batch))
    assert (event.reason, event.detail, event.row) == (reason, f"marks[2]: {detail}", 2)
    assert json.loads(event.original) == bad
    told = one_roll(batch)
    assert [str(key) for key in told.students] == keys("100234", "100235")
    assert told.completed is not None
    assert batch.counts() == {
        ("hartford", "roll"): 1,
        ("hartford", "roll_mark"): 2,
        ("hartford", "roll_mark_rejected"): 1,
    }


def test_a_states_number_that_is_left_out_goes_back_however_the_colon_is_spelled() -> None:
    written = json.dumps(roll(["state:", "tardy", 1], GOOD, ["state:9", "tardy", 1])).encode()
    for value in (written, written.replace(b"state:", rb"state\u003a")):
        batch = land(value)
        assert [event["row"] for event in rejections(batch)] == [1]
        assert len(one_roll(batch).students) == 2


def test_bad_marks_of_every_kind_keep_their_own_places_and_ids() -> None:
    bad = [["7", "asleep", 1], ["8", "tardy", 1, 6, 5], ["9", "tardy"]]
    batch = land(roll(bad[0], GOOD, bad[1], NEIGHBOUR, bad[2]))

    back = sorted(rejections(batch), key=lambda event: int(event["row"]))
    assert [(event["row"], json.loads(base64.b64decode(event["original"]))) for event in back] == [
        (1, bad[0]), (3, bad[1]), (5, bad[2]),
    ]  # fmt: skip
    assert len({event["event_id"] for event in back} | {str(one_roll(batch).event_id)}) == 4
    assert batch.batch.returns.reasons.total() == 3


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (roll(GOOD, complete=True), Reason.MISSING_FIELD, "feed"),
        (roll(GOOD, district="danbury"), Reason.FOREIGN_DISTRICT, "district"),
        ({**roll(GOOD), "marks": "none"}, Reason.WRONG_TYPE, "marks"),
        ({**roll(GOOD), "school": "H\x00"}, Reason.OUT_OF_RANGE, "school"),
        ({name: each for name, each in roll(GOOD).items() if name != "date"}, Reason.MISSING_FIELD, "date"),
        ({**roll(["7", "asleep", 1]), "date": "2026-02-30"}, Reason.IMPOSSIBLE_DATE, "date"),
        (roll(*([1] * (MAX_MARKS_OF_A_LANDED_ROLL + 1))), Reason.OUT_OF_RANGE, "marks"),
        (json.dumps(roll(GOOD)).encode()[:-3], Reason.NOT_JSON, "record"),
        (json.dumps(roll(GOOD, NEIGHBOUR)).encode().replace(b"tardy", b"\xff"), Reason.NOT_UTF8, "record"),
        (b'{"type":"roll","school":"s","date":"2026-09-01","marks":[[1,' + b"[" * 60_000, Reason.NOT_JSON, "record"),
        ({"type": "feed", "feed": "exceptions", "rosters": False}, Reason.OUT_OF_RANGE, "feed"),
        ({"type": "feed", "feed": "exceptions", "closing": "third_school_day"}, Reason.OUT_OF_RANGE, "feed"),
        ({"type": "roll_reopened", "school": "H01", "date": "2026-09-01"}, Reason.MISSING_FIELD, "feed"),
    ],
)
def test_what_is_wrong_around_the_marks_sends_the_whole_record_back(
    value: Any, reason: RejectionReason, field: str
) -> None:
    batch = land(value)
    [event] = rejections(batch)
    assert (event["reason"], event["detail"].partition(":")[0]) == (reason.value, field)
    assert published(batch, "rolls") == []
    assert batch.counts() == {("hartford", "rejected"): 1}
    sent = value if isinstance(value, bytes) else json.dumps(value).encode()
    assert base64.b64decode(event["original"]) == sent


def test_a_roll_without_marks_and_completion_has_nothing_to_tell() -> None:
    batch = land(roll())
    assert published(batch, "rolls") == []
    assert batch.counts() == {("hartford", "roll"): 1}


def test_an_uploaded_roll_is_one_row_of_its_receipt() -> None:
    headers = (("leap-receipt", RECEIPT.encode()), ("leap-row", b"14"))
    good, part = land(roll(GOOD, NEIGHBOUR), headers=headers), land(roll(GOOD, [], []), headers=headers)

    assert good.batch.accepted == {("hartford", RECEIPT): 1}
    assert one_roll(good).receipts is None
    assert part.batch.accepted == {}
    assert {(row.receipt, row.row) for row in part.batch.returns.rows} == {(RECEIPT, 14)}
    assert [(event["receipt"], event["row"]) for event in rejections(part)] == [(RECEIPT, 2), (RECEIPT, 3)]


# The sign at the end keeps a drawn text from being a word that the rules themselves use.
_values = st.text(max_size=9).map(lambda text: text + "§") | st.integers() | st.floats() | st.none() | st.booleans()


@given(st.lists(st.lists(_values | st.sampled_from(["tardy", "expulsion"]), max_size=6) | _values, max_size=12))
def test_any_marks_are_told_or_go_back_and_none_is_quoted(marks: list[Any]) -> None:
    batch = land(roll(GOOD, *marks))

    back = [AttendanceRejected.model_validate(each) for each in rejections(batch)]
    told = sum(len(RollRecorded.model_validate(each).students) for _, each in published(batch, "rolls"))
    assert told + len(back) == len(marks) + 1 or batch.counts() == {("hartford", "rejected"): 1}
    assert all("§" not in event.detail for event in back)
