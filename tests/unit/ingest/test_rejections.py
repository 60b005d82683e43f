"""Whatever a district sends, it becomes a fact or goes back with a reason, its bytes unaltered and no value quoted."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import AttendanceRejected, RejectionReason
from deploy.audit.sent import Returned, Where
from services.ingest.handlers.batch import Batch
from services.ingest.handlers.landed import MAX_RETURNABLE_BYTES, decode_landed, read_landed
from services.ingest.rules.allowance import Bucket
from services.ingest.rules.landing import Rejection
from services.runtime.delivery.subscription import Undecodable
from tests.delivering import record
from tests.unit.ingest.landed import NOON, districts, enrollment, land, mark, rejections, retraction, roll
from tests.zones import HERE

Reason = RejectionReason
HOUSEHOLD = {"type": "household", "household": "55", "contact_name": "Wren Madeupton", "version": 1}
NAMED = {"given_name": "Ash", "family_name": "Madeupton", "student": "100234"}


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (b"", Reason.NOT_JSON, "record"),
        (None, Reason.NOT_JSON, "record"),
        (b'{"type":"mark","stud', Reason.NOT_JSON, "record"),
        (b"[" * 60_000, Reason.WRONG_TYPE, "record"),
        (b'{"type":"mark","school":"\\ud800"}', Reason.NOT_JSON, "record"),
        (b"[]", Reason.WRONG_TYPE, "record"),
        (b'{"type":"mark","school":"\xff"}', Reason.NOT_UTF8, "record"),
        (json.dumps(mark()).encode()[:-1] + b',"note":"\xff"}', Reason.NOT_UTF8, "record"),
        (json.dumps(mark(note="x" * 70_000)).encode(), Reason.TOO_LARGE, "record"),
        (mark(school="H\x001"), Reason.OUT_OF_RANGE, "school"),
        (mark(type="rumour"), Reason.UNKNOWN_RECORD_TYPE, "type"),
        (mark(type=None), Reason.MISSING_FIELD, "type"),
        (mark(version=None), Reason.MISSING_FIELD, "version"),
        (mark(student=None), Reason.MISSING_FIELD, "student or state_student"),
        (mark(category="asleep"), Reason.UNKNOWN_CATEGORY, "category"),
        (mark(date="2026-02-30"), Reason.IMPOSSIBLE_DATE, "date"),
        (mark(date="1026-02-03"), Reason.IMPOSSIBLE_DATE, "date"),
        (mark(date=20260901), Reason.WRONG_TYPE, "date"),
        (mark(student=100234), Reason.WRONG_TYPE, "student"),
        (mark(school=""), Reason.OUT_OF_RANGE, "school"),
        (mark(school="H" * 41), Reason.OUT_OF_RANGE, "school"),
        (mark(school='=HYPERLINK("http://evil.example","x")'), Reason.OUT_OF_RANGE, "school"),
        (mark(school="-1"), Reason.OUT_OF_RANGE, "school"),
        (mark(school="A/1"), Reason.OUT_OF_RANGE, "school"),
        (mark(school="S1 "), Reason.OUT_OF_RANGE, "school"),
        (mark(school="S1\n"), Reason.OUT_OF_RANGE, "school"),
        (enrollment(school="@SUM(A1)"), Reason.OUT_OF_RANGE, "school"),
        (enrollment(track="+1"), Reason.OUT_OF_RANGE, "track"),
        (mark(version=-1), Reason.OUT_OF_RANGE, "version"),
        (mark(version=2**63), Reason.OUT_OF_RANGE, "version"),
        (mark(version=10**40), Reason.OUT_OF_RANGE, "version"),
        (mark(present_parts=1), Reason.MISSING_FIELD, "present_parts, day_parts"),
        (mark(present_parts=3, day_parts=2), Reason.OUT_OF_RANGE, "present_parts"),
        (mark(present_parts=0, day_parts=0), Reason.OUT_OF_RANGE, "day_parts"),
        (mark(district="danbury"), Reason.FOREIGN_DISTRICT, "district"),
        (enrollment(grade="13"), Reason.OUT_OF_RANGE, "grade"),
        (enrollment(exit_date="2026-08-30"), Reason.OUT_OF_RANGE, "exit_date"),
        # Two of the state's numbers joined: one of them would be a child without days of its own.
        (enrollment(student="state:9001", state_student="9002"), Reason.OUT_OF_RANGE, "student"),
        (enrollment(student="state:9001"), Reason.OUT_OF_RANGE, "student"),
        (enrollment(student="state:"), Reason.OUT_OF_RANGE, "student"),
        (mark(student="100234\u200b"), Reason.OUT_OF_RANGE, "student"),
        (
            json.dumps(mark(state_student="\u202e9001"), ensure_ascii=False).encode(),
            Reason.OUT_OF_RANGE,
            "state_student",
        ),
        (mark(school="H\u00ad01"), Reason.OUT_OF_RANGE, "school"),
        (enrollment(id="stint\ufeff-7"), Reason.OUT_OF_RANGE, "id"),
        (enrollment(track="\u2060K"), Reason.OUT_OF_RANGE, "track"),
        (HOUSEHOLD | {"contact_name": "\u200b\u3164"}, Reason.OUT_OF_RANGE, "record"),
        (HOUSEHOLD | {"students": [NAMED | {"family_name": "\u2063"}]}, Reason.OUT_OF_RANGE, "record"),
        (HOUSEHOLD | {"students": [NAMED | {"student": "1\u200d"}]}, Reason.OUT_OF_RANGE, "student"),
    ],
)
def test_a_broken_rule_has_its_reason_and_names_its_field(value: Any, reason: RejectionReason, field: str) -> None:
    [event] = rejections(land(value))

    assert event["reason"] == reason.value
    assert event["detail"].partition(":")[0] == field


def test_a_school_that_is_no_code_goes_back_with_row_column_rule_and_way_out() -> None:
    [event] = rejections(land(mark(school="=1+1"), headers=(("leap-row", b"14"),)))

    assert event["row"] == 14
    assert event["detail"].startswith("school: not a code: letters, digits, ")
    assert event["detail"].endswith("Send the code that your system has for it")
    assert "=1+1" not in event["detail"]


@pytest.mark.parametrize("school", ["S1", "255901001", "064-01", "PS_12", "High St. 2", "Núñez", "0"])
def test_codes_as_the_field_has_them_are_facts(school: str) -> None:
    assert rejections(land(mark(school=school), enrollment(school=school))) == []


def test_what_came_before_codes_had_a_form_can_be_taken_back() -> None:
    stale = {"type": "retraction", "school": "A/1", "date": "2026-09-01", "student": "1", "version": 9}
    assert rejections(land(stale, enrollment(school="A/1", withdrawn=True))) == []


@pytest.mark.parametrize(
    "value",
    [
        # What came in before is taken back by its own number.
        retraction(student="1\u200b"),
        enrollment(student="1\u200b", withdrawn=True), enrollment(student="state:9001", withdrawn=True),
        mark(student="Ñ-1"), mark(school="École 7"), enrollment(state_student="9001"), enrollment(student="my state:1"),
        # Joiners and marks of direction belong to how some names are written.
        HOUSEHOLD | {"contact_name": "\u200fלוי", "students": [NAMED | {"given_name": "می\u200cنا"}]},
    ],
)  # fmt: skip
def test_what_people_can_read_comes_in(value: dict[str, Any]) -> None:
    assert rejections(land(value)) == []


def test_of_a_roll_only_the_mark_goes_back_whose_number_nobody_can_read() -> None:
    landed = roll(["1\u200b", "tardy", 1], ["2", "tardy", 1])
    for written in (json.dumps(landed), json.dumps(landed, ensure_ascii=False)):
        batch = land(written.encode())
        assert [(each["detail"].partition(":")[0], each["row"]) for each in rejections(batch)] == [("marks[1]", 1)]
        assert batch.counts()["hartford", "roll_mark"] == 1


def test_a_rejection_is_an_event_with_the_position_and_the_bytes() -> None:
    original = b'{"type":"mark","name":"K\xffm"}'
    receipt = b"0d3b8a0e-0000-4000-8000-000000000001"
    [written] = rejections(land(original, headers=(("leap-receipt", receipt), ("leap-row", b"14"))))

    event = AttendanceRejected.model_validate(written)
    assert event.original == original
    assert (event.landing_topic, event.landing_partition, event.landing_offset) == ("attendance-in-hartford", 0, 0)
    assert (event.row, str(event.receipt)) == (14, receipt.decode())


def test_a_foreign_district_is_counted_as_a_security_event() -> None:
    batch = land(mark(district="danbury"), mark(), mark(district="hartford"))
    assert batch.batch.returns.foreign == {"hartford": 1}
    assert batch.counts() == {("hartford", "rejected"): 1, ("hartford", "mark"): 2}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((("leap-receipt", b"\xff"),), Reason.NOT_UTF8),
        ((("leap-receipt", b"not-a-uuid"),), Reason.WRONG_TYPE),
        ((("leap-row", b"minus one"),), Reason.WRONG_TYPE),
        ((("leap-row", b"0"),), Reason.WRONG_TYPE),
        ((("leap-columns", b"colour,shape"),), Reason.MISSING_FIELD),
        ((("\\xff\\xfe", b"a name the runtime had to spell"),), Reason.NOT_UTF8),
    ],
)
def test_bad_headers_reject_the_record_and_travel_back_unaltered(
    headers: tuple[tuple[str, bytes], ...], reason: RejectionReason
) -> None:
    batch = land(mark(), headers=headers)

    [(_key, value, carried)] = [m for messages in batch.outgoing["attendance-rejected"].values() for m in messages]
    assert json.loads(value)["reason"] == reason.value
    for name, header in headers:
        assert (f"landing-{name}", header) in carried


def test_a_key_that_is_not_utf8_travels_back_unaltered() -> None:
    batch = Batch(districts(), zone=HERE)
    landed = record("attendance-in-hartford", 0, 0, json.dumps(mark()), key=b"\xff\xfe")
    batch.land(landed, read_landed(landed, districts=districts()))

    [(_key, value, carried)] = [m for messages in batch.close()["attendance-rejected"].values() for m in messages]
    assert json.loads(value)["reason"] == "not_utf8"
    assert ("landing-key", b"\xff\xfe") in carried


@given(st.binary(max_size=300))
def test_any_bytes_go_back_as_they_came(value: bytes) -> None:
    [event] = rejections(land(value))
    assert base64.b64decode(event["original"]) == value
    AttendanceRejected.model_validate(event)


# The sign at the end keeps a drawn text from being a word that the rules themselves use, such as a field's name.
secret_looking = st.text(min_size=6, max_size=30).map(lambda text: text + "§")


@given(
    field=st.sampled_from(["type", "student", "school", "date", "category", "version", "present_parts", "district"]),
    value=secret_looking | st.integers() | st.floats() | st.none() | st.lists(secret_looking, max_size=3),
)
def test_a_field_of_any_value_never_crashes_and_is_never_quoted(field: str, value: object) -> None:
    batch = land({**mark(), field: value})

    for event in rejections(batch):
        if isinstance(value, str):
            assert value not in event["detail"]
        AttendanceRejected.model_validate(event)
    assert sum(batch.counts().values()) == 1


def test_what_cannot_travel_back_or_has_no_secrets_is_left_to_the_dead_letters() -> None:
    with pytest.raises(Undecodable, match="too_large"):
        decode_landed(record("attendance-in-hartford", 0, 0, b"x" * (MAX_RETURNABLE_BYTES + 1)), districts=districts())
    with pytest.raises(Undecodable, match="unknown_district"):
        decode_landed(record("attendance-in-atlantis", 0, 0, b"x"), districts=districts())
    returned = decode_landed(record("roster-in-danbury", 0, 0, b"x"), districts=districts())
    assert isinstance(returned, Rejection)
    assert returned.reason is Reason.NOT_JSON


def flood(*values: Any, one_by_one: int = 2) -> tuple[Batch, list[dict[str, Any]]]:
    """Land the values as Hartford's, of whose rejections only so many are told one by one."""
    batch = Batch(districts(), zone=HERE, one_by_one=Bucket(one_by_one, 1e-9))
    for offset, value in enumerate(values):
        written = json.dumps(value) if isinstance(value, dict) else value
        landing = record("attendance-in-hartford", 0, offset, written, timestamp_ms=NOON)
        assert batch.land(landing, read_landed(landing, districts=districts())) is None
    messages = batch.close()["attendance-rejected"].values()
    return batch, [json.loads(value) for each in messages for _, value, _ in each]


def test_where_very_many_go_back_those_that_are_alike_are_told_together_each_with_its_place() -> None:
    rows = [b"{}", b"{}", b"{}", b"{}", b"not json", mark(), b"{}", b"not json", b"{}"]
    batch, told = flood(*rows)

    assert [(each["landing_offset"], each.get("also_offsets")) for each in told] == [
        (0, None), (1, None), (2, [[3, 3], [6, 6], [8, 8]]), (4, [[7, 7]]),
    ]  # fmt: skip
    assert batch.counts()["hartford", "rejected"] == 8
    assert sum(batch.returns.reasons.values()) == 8
    for each in told:
        AttendanceRejected.model_validate(each)

    returned = Returned()
    for each in told:
        returned.add(json.dumps(each).encode())
    places = [Where("attendance-in-hartford", 0, offset, NOON) for offset in range(len(rows))]
    whole = [where.offset for where in places if returned.is_whole(where)]
    assert whole == [0, 1, 2, 3, 4, 6, 7, 8], "what recounts finds every one of them"


def test_marks_of_one_roll_are_told_together_by_their_places() -> None:
    bad, good = ["1", "elsewhere", 1], ["2", "tardy", 1]
    roll = {"type": "roll", "school": "H01", "date": "2026-09-01", "marks": [bad, good, bad, bad, bad]}
    batch, told = flood(roll, one_by_one=1)

    assert [(each["row"], each.get("also_rows")) for each in told] == [(1, None), (3, [[4, 5]])]
    assert batch.counts()["hartford", "roll_mark_rejected"] == 4
    returned = Returned()
    for each in told:
        returned.add(json.dumps(each).encode())
    assert returned.places(Where("attendance-in-hartford", 0, 0, NOON)) == {1, 3, 4, 5}


def test_what_goes_back_of_a_flood_is_no_larger_than_the_flood() -> None:
    _, told = flood(*[b"{}"] * 9_000, one_by_one=0)
    assert len(json.dumps(told)) < 1_000
