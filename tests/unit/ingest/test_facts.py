"""A landed record becomes the fact its contract describes, under a pseudonym, in the lane of its district."""

from datetime import date

import msgspec
import pytest

from contracts import events
from contracts.topics import PARTITIONS
from services.ingest.rules import attendance
from services.runtime.delivery.publisher import partition_of
from tests.unit.ingest.landed import NOON, completed, districts, enrollment, land, published

HARTFORD = partition_of("hartford", PARTITIONS)
CALENDAR = {
    "type": "calendar",
    "school": "H01",
    "school_year": 2026,
    "feed": "exceptions",
    "school_days": ["2026-09-02", "2026-09-01", "2026-09-02"],
    "version": 3,
}


def test_a_calendar_is_one_record_of_its_district_with_its_days_in_order() -> None:
    [(partition, written)] = published(land(CALENDAR, topic="roster-in-hartford"), "calendars")

    assert partition == HARTFORD
    fact = events.SchoolCalendarChanged.model_validate(written)
    assert fact.school_days == (date(2026, 9, 1), date(2026, 9, 2))
    assert fact.track is None


def test_a_calendar_may_be_that_of_a_track() -> None:
    [(_, written)] = published(land({**CALENDAR, "track": "seniors"}, topic="roster-in-hartford"), "calendars")
    assert events.SchoolCalendarChanged.model_validate(written).track == "seniors"


def test_an_enrolment_is_one_record_of_its_district_with_its_track() -> None:
    batch = land(enrollment(track="seniors"), topic="roster-in-hartford")

    [(partition, written)] = published(batch, "rosters")
    assert partition == HARTFORD
    assert events.EnrollmentChanged.model_validate(written).track == "seniors"
    assert batch.counts() == {("hartford", "roster"): 1}


def test_an_enrolment_carries_a_second_key_that_joins_a_mover_across_districts() -> None:
    stint = enrollment(state_student="9001", household="55")
    [(_, here)] = published(land(stint, topic="roster-in-hartford"), "rosters")
    [(_, there)] = published(land(stint, topic="roster-in-danbury"), "rosters")

    ours, theirs = events.EnrollmentChanged.model_validate(here), events.EnrollmentChanged.model_validate(there)
    assert ours.person_key == theirs.person_key is not None
    assert ours.student_key != theirs.student_key
    assert ours.household_key != theirs.household_key
    assert ours.exit_day_counts is False


def test_an_enrolment_that_names_both_numbers_joins_the_marks_of_either() -> None:
    both, local, state = (
        events.EnrollmentChanged.model_validate(published(land(each, topic="roster-in-hartford"), "rosters")[0][1])
        for each in (
            enrollment(state_student="9001"),
            enrollment(),
            enrollment(student=None, state_student="9001"),
        )
    )
    key = districts().pseudonyms["hartford"].student_key
    assert str(both.student_key) == key(student="100234", state_student=None)
    assert str(both.number_key) == key(student=None, state_student="9001")
    assert (local.number_key, state.number_key) == (None, None)
    assert state.student_key == both.number_key


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
    [landed] = land(household, topic="roster-in-hartford").batch.take_contacts()

    fact = events.HouseholdContactChanged.model_validate_json(msgspec.json.encode(landed.fact))
    assert landed.household_key == fact.household_key
    assert fact.students[0].given_name == "Bo"
    assert fact.language == "es"


def test_a_reopened_roll_is_told_behind_the_completion_that_it_takes_back() -> None:
    reopened = {"type": "roll_reopened", "school": "H01", "date": "2026-09-01", "feed": "full", "version": 9}
    batch = land(completed(feed="full", version=8), reopened)

    [(partition, completion), (_, written)] = published(batch, "rolls")
    fact = events.RollReopened.model_validate(written)
    assert partition == HARTFORD
    assert events.RollRecorded.model_validate(completion).completed is not None
    assert (fact.school, fact.school_day, fact.feed, fact.version) == ("H01", date(2026, 9, 1), "full", 9)
    assert batch.counts() == {("hartford", "roll"): 2}


def test_a_feed_is_declared_for_a_district_or_for_one_of_its_schools() -> None:
    whole = {"type": "feed", "feed": "full", "closing": "third_school_day", "rosters": False, "version": 4}
    one = {"type": "feed", "school": "H01", "feed": "exceptions", "file_versions": "snapshots"}
    batch = land(whole, one)

    of_district, of_school = (events.FeedDeclared.model_validate(written) for _, written in published(batch, "rolls"))
    assert (of_district.school, of_district.feed, of_district.closing) == (None, "full", "third_school_day")
    assert (of_district.rosters, of_district.file_versions, of_district.version) == (False, "versions", 4)
    assert (of_school.school, of_school.feed, of_school.file_versions) == ("H01", "exceptions", "snapshots")
    assert batch.counts() == {("hartford", "roster"): 2}


@pytest.mark.parametrize(
    "landed",
    [
        completed(),
        {"type": "roll_reopened", "school": "H01", "date": "2026-09-01", "feed": "full"},
        {"type": "feed", "feed": "full"},
        {"type": "roll", "school": "H01", "date": "2026-09-01", "feed": "full", "marks": [], "complete": True},
    ],
)
def test_what_is_sent_without_a_version_has_the_time_of_its_landing_in_microseconds(landed: dict[str, object]) -> None:
    [(_, written)] = published(land(landed), "rolls")
    assert (written.get("completed") or written)["version"] == NOON * 1000


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
    assert 0 <= attendance.version_of(timestamp_ms) < 2**63
