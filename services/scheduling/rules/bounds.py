"""Within which bounds a command may be spelled, each bound once: programs and forms are read by the same types."""

from datetime import date, time
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from contracts.texts import seen_or_nothing


def _on_the_wall(said: object) -> object:
    try:
        at = time.fromisoformat(said) if isinstance(said, str) else said
    except ValueError:
        raise PydanticCustomError("time_parsing", "a time of day is needed") from None
    # A zone that was sent along is no part of a clock on the wall.
    return at.replace(tzinfo=None) if isinstance(at, time) else at


Version = Annotated[int, Field(ge=1, lt=2**63, description="the version you read; another one is answered with 409")]
VersionIfAny = Annotated[int, Field(ge=0, lt=2**63, description="the version you read; 0 where there is none yet")]
# Decisions of a district are counted: "version 3" is what people call one.
DecisionIfAny = Annotated[int, Field(ge=0, lt=2**31 - 1, description="the version you read; 0 where there is none yet")]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
LocalTime = Annotated[
    time, BeforeValidator(_on_the_wall), Field(description="on the clock of the place, without a zone")
]
VisitorId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Pair = Annotated[list[VisitorId], Field(min_length=2, max_length=2)]
# The district's own code of it, whatever its letters: a page offers those that its flags name.
SchoolCode = Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f<>][^\x00-\x1f\x7f<>]{0,39}$")]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
# How long a visit may really take is a rule, asked of every appointment: pairing.SHORTEST_MINUTES to LONGEST_MINUTES.
Minutes = Annotated[int, Field(ge=1, le=24 * 60)]
# No control characters: it is printed, and PostgreSQL can't hold all of them.
Seen = BeforeValidator(seen_or_nothing)
"""A text of which nobody could see anything is as empty as it looks."""
# Last: what is asked before must not keep the bounds from being those of a text, with the words for a text.
PlaceText = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"), Seen]


class Part(BaseModel):
    """A part of what is said: a field that nobody knows is refused, not dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Versioned(Part):
    """What every change of something says: the version that was read."""

    version: Version
