"""The topics: who writes, who reads, what keys the order, how long it is kept, and whether it names anybody."""

from dataclasses import dataclass

from contracts import events

PARTITIONS = 24
"""Of every topic behind ingest. Never changed in place: a key's order would be cut in two."""

_DAY_MS = 24 * 3600 * 1000
LANDING_RETENTION_MS = 30 * _DAY_MS
TWO_SCHOOL_YEARS_MS = 2 * 366 * _DAY_MS
FOR_EVER = -1

ATTENDANCE_IN = "attendance-in-"
ROSTER_IN = "roster-in-"
HOUSEHOLD_CONTACTS = "household-contacts"
FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `key` says what the order holds for; `personal_data` decides who may ever read it.

    `tombstone` completes "a record without a value says", on a compacted topic that has such. `gone_within_ms`
    bounds how long a record stands that a newer one on its key replaced: a day where names are taken back.
    """

    name: str
    key: str
    events: tuple[type[events.Event], ...]
    producer: str
    consumers: tuple[str, ...]
    partitions: int = PARTITIONS
    retention_ms: int = FOR_EVER
    compacted: bool = False
    personal_data: bool = False
    read_back: bool = False
    """Its producer reads it again: it tells what follows from no other topic."""
    tombstone: str = ""
    gone_within_ms: int | None = None

    @property
    def settings(self) -> dict[str, str]:
        """Give what the broker is to be told of it, by Kafka's names."""
        wanted = {"retention.ms": str(self.retention_ms), "cleanup.policy": "compact" if self.compacted else "delete"}
        if self.compacted:
            # A service put back from the oldest backup that may be used must still read what was taken back since.
            # A tombstone names nobody: it may stand longer than what it takes back.
            wanted["delete.retention.ms"] = str(LANDING_RETENTION_MS)
        if self.gone_within_ms is not None:
            # Only what lies in a closed part of the log is ever cleaned: parts close and are cleaned within it.
            wanted |= {"max.compaction.lag.ms": str(self.gone_within_ms), "segment.ms": str(self.gone_within_ms)}
        elif self.personal_data:
            wanted["segment.ms"] = str(_DAY_MS)
        return wanted

    @property
    def names_families(self) -> bool:
        """Tell whether it says where a family lives and how it is reached."""
        return self.name == HOUSEHOLD_CONTACTS


LANDING_SETTINGS = {
    "retention.ms": str(LANDING_RETENTION_MS),
    # The broker's clock, not the district's: a replayed year must not look thirty days old on arrival.
    "message.timestamp.type": "LogAppendTime",
    # Whole parts of a log are removed: with parts of a week it would keep names for so much longer.
    "segment.ms": str(_DAY_MS),
}
"""Of every landing topic, by Kafka's names. What a family asks to be forgotten is cut away sooner (decision 24)."""


TOPICS: tuple[Topic, ...] = (
    Topic(
        name="attendance",
        key="student_key; a completed roll goes to every partition",
        events=(events.AttendanceRecorded, events.AttendanceRetracted, events.RollCompleted),
        producer="ingest",
        consumers=("flagging",),
        retention_ms=TWO_SCHOOL_YEARS_MS,
    ),
    Topic(
        name="enrollments",
        key="student_key",
        events=(events.EnrollmentChanged,),
        producer="ingest",
        consumers=("flagging",),
        retention_ms=TWO_SCHOOL_YEARS_MS,
    ),
    Topic(
        name="school-calendar",
        key="every partition",
        events=(events.SchoolCalendarChanged,),
        producer="ingest",
        consumers=("flagging", "scheduling", "visitlog"),
        retention_ms=TWO_SCHOOL_YEARS_MS,
    ),
    # A district stays in one partition: one worker reads its rolls, rosters and calendars in the order they landed.
    Topic(
        name="rolls",
        key="district",
        events=(events.RollRecorded, events.RollReopened, events.FeedDeclared),
        producer="ingest",
        consumers=("flagging",),
        retention_ms=TWO_SCHOOL_YEARS_MS,
    ),
    Topic(
        name="rosters",
        key="district",
        events=(events.EnrollmentChanged,),
        producer="ingest",
        consumers=("flagging",),
        retention_ms=TWO_SCHOOL_YEARS_MS,
    ),
    Topic(
        name="calendars",
        key="district",
        events=(events.SchoolCalendarChanged,),
        producer="ingest",
        consumers=("flagging", "scheduling", "visitlog"),
        retention_ms=TWO_SCHOOL_YEARS_MS,
    ),
    Topic(
        name=HOUSEHOLD_CONTACTS,
        key="household_key",
        events=(events.HouseholdContactChanged,),
        producer="ingest",
        consumers=("scheduling", "visitlog"),
        compacted=True,
        personal_data=True,
        gone_within_ms=_DAY_MS,
        tombstone="that the district took the contact data back: whoever keeps any deletes it",
    ),
    # A district stays in one partition, in the order in which it was said; the newest word on each is kept for ever.
    Topic(
        name=FORGOTTEN,
        key="district; the record's own key is of whom it tells, so that the newest word on each is kept",
        events=(
            events.HouseholdForgotten,
            events.StudentForgotten,
            events.HouseholdKnownAgain,
            events.StudentKnownAgain,
            events.LandingCut,
            events.DistrictEnded,
        ),
        producer="ingest",
        consumers=("flagging", "scheduling", "visitlog", "reporting"),
        compacted=True,
        read_back=True,
    ),
    # The original bytes of a rejected record may name a child: it goes back to its district and to nobody else.
    Topic(
        name="attendance-rejected",
        key="district",
        events=(events.AttendanceRejected,),
        producer="ingest",
        consumers=(),
        retention_ms=LANDING_RETENTION_MS,
        personal_data=True,
    ),
    Topic(
        name="receipt-progress",
        key="receipt",
        events=(events.ReceiptProgressed,),
        producer="flagging",
        consumers=("ingest",),
        retention_ms=LANDING_RETENTION_MS,
    ),
    Topic(
        name="absence-flags",
        key="student_key",
        events=(events.FlagRaised, events.FlagChanged, events.FlagCleared, events.FlagFiguresUpdated),
        producer="flagging",
        consumers=("scheduling", "reporting"),
    ),
    Topic(
        name="student-months",
        key="student_key",
        events=(events.StudentMonthTallied,),
        producer="flagging",
        consumers=("reporting",),
    ),
    Topic(
        name="school-days",
        key="the part's own partition",
        events=(events.SchoolDayTallied,),
        producer="flagging",
        consumers=("reporting",),
    ),
    # Crossings and figures of a district's students in one order; before it, absence-flags by student.
    Topic(
        name="flags",
        key="district",
        events=(events.FlagRaised, events.FlagChanged, events.FlagCleared, events.FlagFiguresUpdated),
        producer="flagging",
        consumers=("scheduling", "reporting"),
    ),
    Topic(
        name="school-months",
        key="district",
        events=(events.StudentMonthsTallied,),
        producer="flagging",
        consumers=("reporting",),
    ),
    Topic(
        name="day-tallies",
        key="district",
        events=(events.SchoolDayTalliedV2,),
        producer="flagging",
        consumers=("reporting",),
    ),
    Topic(
        name="home-visits",
        key="household_key",
        events=(
            events.VisitRequested,
            events.VisitRequestWithdrawn,
            events.RequestStageChanged,
            events.RequestReopened,
            events.ContactAttempted,
            events.FamilyAgreed,
            events.FamilyDeclined,
            events.VisitScheduled,
            events.VisitRescheduled,
            events.VisitCancelled,
        ),
        producer="scheduling",
        consumers=("visitlog", "reporting"),
        read_back=True,
    ),
    Topic(
        name="visitors",
        key="visitor_id",
        events=(events.VisitorChanged,),
        producer="scheduling",
        consumers=("visitlog", "reporting"),
        compacted=True,
        read_back=True,
    ),
    # A decision for a day to come must not wipe out the one in force until then: compaction keeps every version, and
    # its place in the district's order stays, since the partition is the district's.
    Topic(
        name="district-policies",
        key="district; the record's own key is district/version, so that every version is kept",
        events=(events.DistrictPolicyDecided,),
        producer="scheduling",
        consumers=("ingest", "flagging", "visitlog", "reporting"),
        compacted=True,
        read_back=True,
    ),
    Topic(
        name="district-statuses",
        key="district",
        events=(events.DistrictStatusChanged,),
        producer="scheduling",
        consumers=("flagging",),
        compacted=True,
        read_back=True,
    ),
    Topic(
        name="transfers",
        key="district, the one that took the person in",
        events=(events.TransferConfirmed,),
        producer="scheduling",
        consumers=("flagging",),
    ),
    Topic(
        name="visit-log",
        key="household_key",
        events=(
            events.VisitCompleted,
            events.VisitAttempted,
            events.LogAmended,
            events.FollowUpPromised,
            events.ReferralMade,
        ),
        producer="visitlog",
        consumers=("scheduling", "reporting"),
        read_back=True,
    ),
)

FORMER = {
    "attendance": "rolls",
    "enrollments": "rosters",
    "school-calendar": "calendars",
    "absence-flags": "flags",
    "student-months": "school-months",
    "school-days": "day-tallies",
}
"""Topics by student, of before, and the topic by district that took each one's place.

Nobody writes them any more; they are read for as long as they hold anything.
"""

TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}
COMPACTED = frozenset(topic.name for topic in TOPICS if topic.compacted)
"""Topics of which Kafka keeps the newest word on each key: older records may be gone, and none is missed."""


def landing_topics(district: str) -> tuple[str, str]:
    """Name the two topics, of one partition each, that only this district may write."""
    return ATTENDANCE_IN + district, ROSTER_IN + district
