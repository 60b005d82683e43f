"""The rules that make a landed record a fact. No I/O, no clock.

msgspec on this path, not pydantic: a fact costs a third to write. The contracts stay the source: a test
reads every fact written here through its contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from contracts.events import Closing, Feed, FileVersions, Grade, RejectionReason
from services.ingest.rules.landing import Calendar, DeclaredFeed, Enrollment, Household, ReopenedRoll
from services.ingest.rules.pseudonyms import Pseudonyms

LAST_MOMENT_MS = 253_402_300_799_000  # the last second of the year 9999

# What is published: exactly the contracts' JSON. A roll leaves out what it hasn't got; the rest spells all out.


class Completion(msgspec.Struct, omit_defaults=True, gc=False):
    feed: Feed
    version: int
    landed: int | None = None


class LandingPlaces(msgspec.Struct, gc=False):
    log: str
    runs: Sequence[tuple[int, int, int]]


class RollRecorded(msgspec.Struct, tag_field="event_type", tag="roll.recorded.v1", omit_defaults=True, gc=False):
    event_id: str
    occurred_at: str
    district: str
    school: str
    school_day: date
    students: Sequence[str]
    categories: str
    versions: int | Sequence[int]
    parts: Sequence[tuple[int, int] | None] | None = None
    receipts: dict[str, list[int]] | None = None
    completed: Completion | None = None
    landed: LandingPlaces | None = None


class RollReopened(msgspec.Struct, tag_field="event_type", tag="roll.reopened.v1"):
    event_id: str
    occurred_at: str
    district: str
    school: str
    school_day: date
    feed: Feed
    version: int
    landed: int | None


class FeedDeclared(msgspec.Struct, tag_field="event_type", tag="feed.declared.v1"):
    event_id: str
    occurred_at: str
    district: str
    school: str | None
    feed: Feed
    closing: Closing
    rosters: bool
    file_versions: FileVersions
    version: int


class EnrollmentChanged(msgspec.Struct, tag_field="event_type", tag="enrollment.changed.v1"):
    event_id: str
    occurred_at: str
    district: str
    school: str
    student_key: str
    person_key: str | None
    household_key: str | None
    stint: str
    grade: Grade
    entry_date: date
    exit_date: date | None
    exit_day_counts: bool
    withdrawn: bool
    number_key: str | None
    track: str | None
    source_version: int


class SchoolCalendarChanged(msgspec.Struct, tag_field="event_type", tag="school-calendar.changed.v1"):
    event_id: str
    occurred_at: str
    district: str
    school: str
    school_year: int
    feed: Feed
    school_days: list[date]
    track: str | None
    source_version: int


class StudentName(msgspec.Struct):
    student_key: str
    given_name: str
    family_name: str


class HouseholdContactChanged(msgspec.Struct, tag_field="event_type", tag="household-contact.changed.v1"):
    event_id: str
    occurred_at: str
    district: str
    household_key: str
    contact_name: str
    phones: list[str]
    address: str | None
    language: str
    interpreter_needed: bool
    students: list[StudentName]
    source_version: int


MARK_OF_A_ROLL = "marks["
"""How the detail begins where a mark goes back alone."""


class AttendanceRejected(msgspec.Struct, tag_field="event_type", tag="attendance.rejected.v1", omit_defaults=True):
    event_id: str
    occurred_at: str
    district: str
    reason: RejectionReason
    detail: str
    landing_topic: str
    landing_partition: int
    landing_offset: int
    row: int | None
    receipt: str | None
    original: bytes  # msgspec writes bytes as base64, as the contract says
    # Runs of places, where others are told with it.
    also_offsets: list[list[int]] | None = None
    also_rows: list[list[int]] | None = None

    @property
    def is_whole(self) -> bool:
        """Tell a record that goes back from one mark of a landed roll."""
        return not self.detail.startswith(MARK_OF_A_ROLL)


Fact = RollReopened | FeedDeclared | EnrollmentChanged | SchoolCalendarChanged | HouseholdContactChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What every fact says about itself. `event_id` follows from the landing position, so a repeat has the same."""

    event_id: str
    occurred_at: str
    district: str


def completion(feed: Feed, version: int | None, *, timestamp_ms: int, offset: int) -> Completion:
    """State that a roll is complete. Without a version it has the moment and, within that, the place of its landing."""
    return Completion(feed, *_version_and_place(version, timestamp_ms=timestamp_ms, offset=offset))


def reopened_roll(roll: ReopenedRoll, *, identity: Identity, timestamp_ms: int, offset: int) -> RollReopened:
    """State that a school's day is not complete after all; without a version as a completion is."""
    version, landed = _version_and_place(roll.version, timestamp_ms=timestamp_ms, offset=offset)
    return RollReopened(
        event_id=identity.event_id,
        occurred_at=identity.occurred_at,
        district=identity.district,
        school=roll.school,
        school_day=roll.date,
        feed=roll.feed,
        version=version,
        landed=landed,
    )


def declared_feed(feed: DeclaredFeed, *, identity: Identity, version: int) -> FeedDeclared:
    """State how a district reports, or one of its schools."""
    return FeedDeclared(
        event_id=identity.event_id,
        occurred_at=identity.occurred_at,
        district=identity.district,
        school=feed.school,
        feed=feed.feed,
        closing=feed.closing,
        rosters=feed.rosters,
        file_versions=feed.file_versions,
        version=version,
    )


def changed_calendar(calendar: Calendar, *, identity: Identity) -> SchoolCalendarChanged:
    """State all school days of a school's year, in order, each once."""
    return SchoolCalendarChanged(
        event_id=identity.event_id,
        occurred_at=identity.occurred_at,
        district=identity.district,
        school=calendar.school,
        school_year=calendar.school_year,
        feed=calendar.feed,
        school_days=sorted(set(calendar.school_days)),
        track=calendar.track,
        source_version=calendar.version,
    )


def changed_enrollment(enrollment: Enrollment, *, identity: Identity, pseudonyms: Pseudonyms) -> EnrollmentChanged:
    """State a student's stint at a school, every number of the source replaced by its keyed hash.

    Where both the district's and the state's number are named, marks with either are this child's: `number_key` is what
    those with the state's number alone are hashed to.
    """
    number_key = None
    if enrollment.student is not None and enrollment.state_student is not None:
        number_key = pseudonyms.student_key(student=None, state_student=enrollment.state_student)
    return EnrollmentChanged(
        event_id=identity.event_id,
        occurred_at=identity.occurred_at,
        district=identity.district,
        school=enrollment.school,
        student_key=pseudonyms.student_key(student=enrollment.student, state_student=enrollment.state_student),
        person_key=None if enrollment.state_student is None else pseudonyms.person_key(enrollment.state_student),
        household_key=None if enrollment.household is None else pseudonyms.household_key(enrollment.household),
        stint=pseudonyms.stint(enrollment.id),
        grade=enrollment.grade,
        entry_date=enrollment.entry_date,
        exit_date=enrollment.exit_date,
        exit_day_counts=enrollment.exit_day_counts,
        withdrawn=enrollment.withdrawn,
        number_key=number_key,
        track=enrollment.track,
        source_version=enrollment.version,
    )


def changed_contact(household: Household, *, identity: Identity, pseudonyms: Pseudonyms) -> HouseholdContactChanged:
    """State how to reach a household: the one fact that names people."""
    return HouseholdContactChanged(
        event_id=identity.event_id,
        occurred_at=identity.occurred_at,
        district=identity.district,
        household_key=pseudonyms.household_key(household.household),
        contact_name=household.contact_name,
        phones=household.phones,
        address=household.address,
        language=household.language,
        interpreter_needed=household.interpreter_needed,
        students=[
            StudentName(
                student_key=pseudonyms.student_key(student=student.student, state_student=student.state_student),
                given_name=student.given_name,
                family_name=student.family_name,
            )
            for student in household.students
        ],
        source_version=household.version,
    )


def moment_of(timestamp_ms: int) -> str:
    """Write a Kafka timestamp as RFC 3339 in UTC; one that no calendar knows becomes the nearest it does.

    The producer sets it, so a district can send any number.
    """
    seconds, milliseconds = divmod(_bounded(timestamp_ms), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def version_of(timestamp_ms: int) -> int:
    """Give the version of what was sent without one: when the broker appended it, in microseconds."""
    return _bounded(timestamp_ms) * 1000


def _version_and_place(version: int | None, *, timestamp_ms: int, offset: int) -> tuple[int, int | None]:
    # A producer's batch, or the broker's, has one moment for all: which came first only the landing place says.
    return (version_of(timestamp_ms), offset) if version is None else (version, None)


def _bounded(timestamp_ms: int) -> int:
    return min(max(timestamp_ms, 0), LAST_MOMENT_MS)
