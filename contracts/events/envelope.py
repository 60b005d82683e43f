"""What every event has in common, and how a contract is read: frozen, and tolerant of fields added later."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
DISTRICT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,47}$"
District = Annotated[str, Field(pattern=DISTRICT_PATTERN, description="district code, kebab-case")]
School = Annotated[str, Field(min_length=1, max_length=40, description="the district's own code of the school")]
SchoolYear = Annotated[
    int, Field(ge=2000, le=2200, description="the calendar year in which the school year's July lies")
]
SourceVersion = Annotated[
    int, Field(ge=0, lt=2**63, description="the source's own version, or its modification time in µs since 1970")
]
Days = Annotated[int, Field(ge=0, le=366)]


class Contract(BaseModel):
    """A value inside an event. Unknown fields are ignored, so that an older reader survives a newer writer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Contract):
    """One fact, in the past tense. `EVENT_TYPE` is dotted and versioned and travels as CloudEvents `ce_type` too."""

    EVENT_TYPE: ClassVar[str]

    event_id: UUID
    event_type: str
    occurred_at: Moment
    district: District
