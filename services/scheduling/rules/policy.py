"""What a district may decide for itself, as the desk goes by it: the values stand in the contract, read by all."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from contracts.calendar import SchoolDays
from contracts.events import DeskPolicy, DistrictPolicy, ExtraField, Weights
from services.scheduling.rules.bounds import VersionIfAny
from services.scheduling.rules.wording import N_

__all__ = [
    "DEFAULT",
    "STANDARD",
    "DistrictPolicy",
    "FieldProblem",
    "Policy",
    "Weights",
    "desk_part",
    "first_school_day",
    "problems_with",
    "problems_with_fields",
]


class Policy(DeskPolicy):
    """The desk's part of the policy in force. Version 0 is the default of a district that has not decided anything."""

    version: VersionIfAny = 0


DEFAULT = Policy()
STANDARD = DistrictPolicy(version=0, effective_from=date(2000, 1, 1))
"""What stands in a district until its first decision."""


def desk_part(policy: DistrictPolicy) -> Policy:
    """Give what the desk goes by. As it was decided: a bound that was drawn since does not undo a decision."""
    return Policy.model_construct(**dict(policy.desk), version=policy.version)


def first_school_day(*, since: date, calendar: SchoolDays) -> date:
    """Give the first school day from a day on, that day included: from then on a decision is in force."""
    day = since
    # Beyond the years a district has sent, Monday to Friday count: there is an end to this.
    while not calendar.is_school_day(day):
        day += timedelta(days=1)
    return day


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


class FieldProblem(NamedTuple):
    """What is wrong with one of the further fields of the log: which one by its place, which part of it, and why."""

    position: int
    part: str
    code: str
    msgid: str


def problems_with_fields(fields: Sequence[ExtraField]) -> list[FieldProblem]:
    """Say what keeps the further fields of the log from being told apart and answered, each at its place."""
    problems = [
        FieldProblem(
            position, "code", "field_twice", N_("two further fields of the log have the same code; name them apart")
        )
        for position in _repeated(field.code for field in fields)
    ]
    for position, field in enumerate(fields):
        if field.kind == "choice" and not field.choices:
            problems.append(
                FieldProblem(position, "choices", "no_choices", N_("a field with choices needs at least one; write it"))
            )
        if _repeated(choice.code for choice in field.choices):
            problems.append(
                FieldProblem(
                    position,
                    "choices",
                    "choice_twice",
                    N_("two choices of one field have the same code; name them apart"),
                )
            )
    return problems


def _repeated(codes: Iterable[str]) -> list[int]:
    standing = list(codes)
    return [place for place, code in enumerate(standing) if code in standing[:place]]
