"""What a district may decide for itself: targets, weights, tries, and how long a decline is respected."""

from typing import Annotated

from pydantic import Field

from services.scheduling.rules.bounds import Part, VersionIfAny
from services.scheduling.rules.wording import N_

Weight = Annotated[int, Field(ge=0, le=1000)]


class Weights(Part):
    """Points of the priority. They are the programme's own choice: the field publishes no weights."""

    rate: Weight = 1  # for each tenth of a percent of days missed
    recent: Weight = 4  # for each absence among the last 20 counted days
    worsening: Weight = 2  # for each absence more than in the 20 days before those
    spell: Weight = 5  # for each counted day missed in a row, up to the last
    chronic_last_year: Weight = 50
    transition: Weight = 30  # kindergarten, first middle or high grade, new to the district
    sibling: Weight = 40  # for each further flagged child of the family
    waiting: Weight = 5  # for each school day beyond the target


class Policy(Part):
    """A district's policy. Version 0 is the default of a district that has not decided anything."""

    version: VersionIfAny = 0
    first_contact_days: Annotated[int, Field(ge=1, le=60)] = 3  # school days until somebody tries to reach the family
    agreed_days: Annotated[int, Field(ge=1, le=180)] = 10  # school days until a visit is agreed
    # Three tries at least are the programme's rule; a district may ask for more.
    tries: Annotated[int, Field(ge=3, le=20)] = 3
    decline_days: Annotated[int, Field(ge=1, le=730)] = 90
    follow_up_days: Annotated[int, Field(ge=1, le=365)] = 30
    undo_minutes: Annotated[int, Field(ge=0, le=240)] = 15
    # Before a visit; the programme itself says only: in the future.
    min_notice_hours: Annotated[int, Field(ge=0, le=24 * 14)] = 0
    visit_minutes: Annotated[int, Field(ge=5, le=480)] = 60
    travel_minutes: Annotated[int, Field(ge=0, le=480)] = 30
    weekly_cap: Annotated[int, Field(ge=1, le=60)] = 6
    earliest_hour: Annotated[int, Field(ge=0, le=23)] = 8
    latest_hour: Annotated[int, Field(ge=1, le=24)] = 20
    weights: Weights = Weights()


DEFAULT = Policy()


def problems_with(weights: Weights) -> list[str]:
    """Say what keeps "one more absence never lowers a rank" from holding under these weights.

    A day absent may enter the older twenty days and take `worsening` away; the rate (at least two tenths of a
    percent a day, with 366 days enrolled at most) or the spell, whichever grew by that day, has to outweigh it.
    """
    problems = []
    if weights.worsening > 2 * weights.rate:
        problems.append(N_("the weight of worsening may be twice the weight of the rate at most"))
    if weights.worsening > weights.spell:
        problems.append(N_("the weight of worsening may not exceed the weight of a day of the spell"))
    return problems
