"""What a district may decide for itself: targets, weights, tries, and how long a decline is respected."""

from dataclasses import dataclass, field

from services.scheduling.rules.wording import N_


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Points of the priority. They are the programme's own choice: the field publishes no weights."""

    rate: int = 1  # for each tenth of a percent of days missed
    recent: int = 4  # for each absence among the last 20 counted days
    worsening: int = 2  # for each absence more than in the 20 days before those
    spell: int = 5  # for each counted day missed in a row, up to the last
    chronic_last_year: int = 50
    transition: int = 30  # kindergarten, first middle or high grade, new to the district
    sibling: int = 40  # for each further flagged child of the family
    waiting: int = 5  # for each school day beyond the target


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A district's policy. Version 0 is the default of a district that has not decided anything."""

    version: int = 0
    first_contact_days: int = 3  # school days until somebody tries to reach the family
    agreed_days: int = 10  # school days until a visit is agreed
    tries: int = 3
    decline_days: int = 90
    follow_up_days: int = 30
    undo_minutes: int = 15
    min_notice_hours: int = 0  # before a visit; the programme itself says only: in the future
    visit_minutes: int = 60
    travel_minutes: int = 30
    weekly_cap: int = 6
    earliest_hour: int = 8
    latest_hour: int = 20
    weights: Weights = field(default_factory=Weights)


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
