"""What a district decided for itself: its one policy, a version at a time; if it is live; whom it took in for good."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.calendar import LOG_DUE_BUSINESS_DAYS
from contracts.events.absence import Accumulator
from contracts.events.envelope import Contract, District, Event, Moment

DEFAULT_RESOURCES = (
    "health_insurance",
    "food",
    "housing",
    "transport",
    "winter_clothing",
    "counseling",
    "tutoring",
    "after_school",
    "summer_camp",
    "family_resource_center",
)

Weight = Annotated[int, Field(ge=0, le=1000)]
FieldCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
LabelText = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$")]


class AbsencePolicy(Contract):
    """When a flag is raised, within what the law leaves to a district: 10 % and 20 % are nobody's to move."""

    min_enrolled_days: int = Field(
        default=10, ge=5, le=20, description="school days enrolled before 10 % and 20 % are asked for"
    )
    early_warning: bool = Field(default=True, description="flag who begins to miss: so many absences in the first days")
    early_absences: int = Field(default=2, ge=1, le=10, description="absences in the student's first days")
    early_days: int = Field(default=20, ge=5, le=60, description="how many of the student's own days are the first")
    accumulator: Literal[Accumulator.DISTRICT, Accumulator.SCHOOL] = Field(
        default=Accumulator.DISTRICT, description="over which enrolments a student's days are counted for the flag"
    )
    fractions_of_a_day: bool = Field(
        default=False, description="show absences as parts of days too: locally, never as the state's figure"
    )
    in_school_suspension_is_absence: bool = Field(
        default=False, description="show in-school suspension as missed too: locally, never as the state's figure"
    )


class Weights(Contract):
    """Points of the priority. They are the programme's own choice: the field publishes no weights."""

    rate: Weight = 1  # for each tenth of a percent of days missed
    recent: Weight = 4  # for each absence among the last 20 counted days
    worsening: Weight = 2  # for each absence more than in the 20 days before those
    spell: Weight = 5  # for each counted day missed in a row, up to the last
    chronic_last_year: Weight = 50
    transition: Weight = 30  # kindergarten, first middle or high grade, new to the district
    sibling: Weight = 40  # for each further flagged child of the family
    waiting: Weight = 5  # for each school day beyond the target


class DeskPolicy(Contract):
    """By what the scheduling desk goes."""

    first_contact_days: int = Field(default=3, ge=1, le=60, description="school days until somebody tries the family")
    agreed_days: int = Field(default=10, ge=1, le=180, description="school days until a visit is agreed")
    # Three tries at least are the programme's rule; a district may ask for more.
    tries: int = Field(default=3, ge=3, le=20, description="tries before a family counts as not reached")
    decline_days: int = Field(default=90, ge=1, le=730)
    follow_up_days: int = Field(default=30, ge=1, le=365)
    undo_minutes: int = Field(default=15, ge=0, le=240)
    # The programme itself says only: in the future.
    min_notice_hours: int = Field(default=0, ge=0, le=24 * 14, description="before a visit")
    visit_minutes: int = Field(default=60, ge=5, le=480)
    travel_minutes: int = Field(default=30, ge=0, le=480)
    weekly_cap: int = Field(default=6, ge=1, le=60, description="visits a week of a visitor without another number")
    earliest_hour: int = Field(default=8, ge=0, le=23)
    latest_hour: int = Field(default=20, ge=1, le=24)
    summer_requests: bool = Field(
        default=True, description="last year's flags may open a request until the new year's first complete roll"
    )
    weights: Weights = Weights()


class Labelled(Contract):
    """A code and what people read for it, by language; English where theirs is not there."""

    code: FieldCode
    labels: dict[Literal["en", "es"], LabelText] = Field(min_length=1)

    def label(self, language: str) -> str:
        """Give the label in the language, or in the first there is."""
        for each in (language, "en", *self.labels):
            if each in self.labels:
                return self.labels[each]
        return self.code


class ExtraField(Labelled):
    """One more field of the log's form."""

    kind: Literal["text", "number", "yes_no", "choice"] = "text"
    choices: tuple[Labelled, ...] = Field(default=(), max_length=20)


class LogPolicy(Contract):
    """What the district wishes of its logs: when one is overdue, which resources there are, and fields of its own."""

    log_due_business_days: int = Field(default=LOG_DUE_BUSINESS_DAYS, ge=1, le=30)
    short_first_visit: bool = True
    resources: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], ...] = Field(
        default=DEFAULT_RESOURCES, min_length=1, max_length=60
    )
    extra_fields: tuple[ExtraField, ...] = Field(default=(), max_length=20)


Years = Annotated[int, Field(ge=0, le=100)]


class RetentionPolicy(Contract):
    """For how many years a district keeps what; 0: nobody said, and it is kept until they do. Numbers stay.

    State law leaves the years to the district's contract.
    """

    contacts_years: Years = Field(default=0, description="how to reach a family, since the district last told it")
    log_bodies_years: Years = Field(default=0, description="words, notes and additions of a log, since the visit")
    requests_years: Years = Field(default=0, description="a closed request's tries, steps and times, since it closed")
    disclosures_years: Years = Field(default=0, description="who saw whose data, since they saw it")
    dead_letters_years: Years = Field(default=0, description="records that could not be applied, since they came")
    receipts_years: Years = Field(default=0, description="receipts of uploads and their refused rows, since they came")
    forgotten_figures: Literal["kept", "erased"] = Field(
        default="kept",
        description="numbers of whom is forgotten: kept under the pseudonym, or erased",
    )


class DistrictPolicy(Contract):
    """All that a district decides for itself, with the version and the school day from which it is in force.

    In force on a day is the largest version whose `effective_from` has come by then; before the first, the standard
    policy: the defaults, as version 0.
    """

    version: int = Field(ge=0, lt=2**31)
    effective_from: date
    absence: AbsencePolicy = AbsencePolicy()
    desk: DeskPolicy = DeskPolicy()
    log: LogPolicy = LogPolicy()
    retention: RetentionPolicy = RetentionPolicy()


class DistrictPolicyDecided(Event):
    """A district decided the next version of its policy: the whole of it, in force from a school day."""

    EVENT_TYPE: ClassVar[str] = "district-policy.decided.v1"
    event_type: Literal["district-policy.decided.v1"]
    version: int = Field(ge=1, lt=2**31)
    effective_from: date = Field(description="a school day of the district; one that has passed counts from now on")
    absence: AbsencePolicy = AbsencePolicy()
    desk: DeskPolicy = DeskPolicy()
    log: LogPolicy = LogPolicy()
    retention: RetentionPolicy = RetentionPolicy()


class DistrictStatus(StrEnum):
    """If what is computed for a district is told: not in rehearsal; paused, clears are and raises wait."""

    REHEARSAL = "rehearsal"
    LIVE = "live"
    PAUSED = "paused"


class DistrictStatusChanged(Event):
    """A district goes live, back to rehearsal, or rests. The largest version stands; nobody's word yet means live."""

    EVENT_TYPE: ClassVar[str] = "district-status.changed.v1"
    event_type: Literal["district-status.changed.v1"]
    status: DistrictStatus
    since: Moment
    version: int = Field(ge=1, lt=2**31)


class TransferConfirmed(Event):
    """Both districts confirmed that a person moved from one to the other; `district` is the one that took them in."""

    EVENT_TYPE: ClassVar[str] = "transfer.confirmed.v1"
    event_type: Literal["transfer.confirmed.v1"]
    person_key: UUID = Field(description="joins the student keys of a mover; follows from the state's number")
    from_district: District
    confirmed_at: Moment
