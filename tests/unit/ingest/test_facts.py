"""A landed record becomes the fact its contract describes, under a pseudonym, in the partition of its student."""

import json
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import events
from contracts.topics import PARTITIONS
from services.ingest.rules import attendance
from services.runtime.delivery.publisher import partition_of
from tests.unit.ingest.landed import districts, enrollment, land, mark, published, rejections

numbers = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=64)
schools = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
days = st.dates(min_value=date(2000, 7, 1), max_value=date(2201, 6, 30))
versions = st.integers(min_value=0, max_value=2**63 - 1)


def test_a_mark_becomes_a_recorded_attendance_of_a_pseudonym() -> None:
    batch = land(mark(present_parts=193, day_parts=387))

    [(partition, written)] = published(batch, "attendance")
    fact = events.AttendanceRecorded.model_validate(written)
    assert fact.student_key == UUID(
        districts().pseudonyms["hartford"].student_key(student="100234", state_student=None)
    )
    assert partition == partition_of(str(fact.student_key), PARTITIONS)
    assert (fact.district, fact.school, fact.school_day) == ("hartford", "H01", date(2026, 9, 1))
    assert (fact.category, fact.present_parts, fact.day_parts) == (events.Category.EXCUSED_ABSENCE, 193, 387)
    assert "100234" not in json.dumps(written)
    assert batch.counts() == {("hartford", "mark"): 1}


@given(student=numbers, school=schools, day=days, version=versions, category=st.sampled_from(list(events.Category)))
def test_every_well_formed_mark_is_a_fact_its_contract_can_read(
    student: str, school: str, day: date, version: int, category: events.Category
) -> None:
    batch = land(mark(student=student, school=school, date=day.isoformat(), version=version, category=category.value))

    [(partition, written)] = published(batch, "attendance")
    fact = events.AttendanceRecorded.model_validate(written)
    assert (fact.school, fact.school_day, fact.source_version, fact.category) == (school, day, version, category)
    assert partition == partition_of(str(fact.student_key), PARTITIONS)


@given(st.lists(st.sampled_from(["mark", "retraction", "roll"]), max_size=30))
def test_a_completed_roll_goes_to_every_partition_behind_the_marks_before_it(order: list[str]) -> None:
    roll = {"type": "roll_completed", "school": "H01", "date": "2026-09-01", "feed": "full"}
    batch = land(*(roll if kind == "roll" else mark(type=kind, student=str(n)) for n, kind in enumerate(order)))

    offsets_by_partition: dict[int, list[int]] = {}
    for partition, event in published(batch, "attendance"):
        offsets_by_partition.setdefault(partition, []).append(int(event["event_id"][-12:], 16))
    rolls = [offset for offset, kind in enumerate(order) if kind == "roll"]
    for partition in range(PARTITIONS):
        offsets = offsets_by_partition.get(partition, [])
        assert offsets == sorted(offsets)
        assert [offset for offset in offsets if order[offset] == "roll"] == rolls


def test_a_calendar_goes_to_every_partition_with_its_days_in_order() -> None:
    calendar = {
        "type": "calendar",
        "school": "H01",
        "school_year": 2026,
        "feed": "exceptions",
        "school_days": ["2026-09-02", "2026-09-01", "2026-09-02"],
        "version": 3,
    }
    written = published(land(calendar, topic="roster-in-hartford"), "school-calendar")

    assert [partition for partition, _ in written] == list(range(PARTITIONS))
    assert len({event["event_id"] for _, event in written}) == 1
    fact = events.SchoolCalendarChanged.model_validate(written[0][1])
    assert fact.school_days == (date(2026, 9, 1), date(2026, 9, 2))


def test_an_enrolment_carries_a_second_key_that_joins_a_mover_across_districts() -> None:
    stint = enrollment(state_student="9001", household="55")
    [(_, here)] = published(land(stint, topic="roster-in-hartford"), "enrollments")
    [(_, there)] = published(land(stint, topic="roster-in-danbury"), "enrollments")

    ours, theirs = events.EnrollmentChanged.model_validate(here), events.EnrollmentChanged.model_validate(there)
    assert ours.person_key == theirs.person_key is not None
    assert ours.student_key != theirs.student_key
    assert ours.household_key != theirs.household_key
    assert ours.exit_day_counts is False


def test_a_household_names_its_students_by_key_and_by_name() -> None:
    household = {
        "type": "household",
        "household": "55",
        "contact_name": "Ana Doe",
        "phones": ["860 555 0100"],
        "address": "1 Main St\nHartford",
        "language": "es",
        "interpreter_needed": True,
        "students": [{"student": "100234", "given_name": "Bo", "family_name": "Doe"}],
        "version": 1,
    }
    [(partition, written)] = published(land(household, topic="roster-in-hartford"), "household-contacts")

    fact = events.HouseholdContactChanged.model_validate(written)
    assert partition == partition_of(str(fact.household_key), PARTITIONS)
    assert fact.students[0].given_name == "Bo"
    assert fact.language == "es"


def test_a_student_known_by_the_states_number_alone_has_a_key_of_its_own() -> None:
    by_state, by_district = (
        published(land(mark(student=None, state_student="100234")), "attendance"),
        published(land(mark()), "attendance"),
    )
    assert by_state[0][1]["student_key"] != by_district[0][1]["student_key"]


def test_the_same_landing_position_gives_the_same_event_again() -> None:
    assert published(land(mark(), mark(student="2")), "attendance") == published(
        land(mark(), mark(student="2")), "attendance"
    )


def test_a_mark_of_an_upload_carries_its_receipt_to_flagging() -> None:
    receipt = "0d3b8a0e-0000-4000-8000-000000000001"
    batch = land(
        mark(),
        {"type": "roll_completed", "school": "H01", "date": "2026-09-01", "feed": "full"},
        headers=(("leap-receipt", receipt.encode()), ("leap-row", b"1")),
    )
    recorded = [event for _, event in published(batch, "attendance") if "student_key" in event]
    assert recorded[0]["receipt"] == receipt
    assert batch.accepted == {("hartford", receipt): 1}  # the roll; flagging tells about the mark


@pytest.mark.parametrize(
    ("timestamp_ms", "moment"),
    [
        (1_788_220_800_123, "2026-09-01T00:00:00.123Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (2**63 - 1, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_any_timestamp_a_producer_sets_becomes_a_moment(timestamp_ms: int, moment: str) -> None:
    assert attendance.moment_of(timestamp_ms) == moment


def test_a_full_batch_rejects_nothing_good() -> None:
    batch = land(*(mark(student=str(number)) for number in range(500)))
    assert len(published(batch, "attendance")) == 500
    assert rejections(batch) == []
