"""Who may see and write what: the two of the pair their visit, the coordinator the district's. For others: nothing."""

from typing import Any
from uuid import UUID

import asyncpg

from services.runtime.web.languages import N_
from services.runtime.web.people import Person
from services.visitlog.handlers.acts import Act
from services.visitlog.rules import outcomes
from services.visitlog.store import logs

VISITOR = "visitor"
COORDINATOR = "coordinator"


class NotYours(outcomes.Refusal):
    """The district is not this person's to coordinate; for them it does not exist."""

    def __init__(self) -> None:
        super().__init__(N_("There is nothing here for you."))


def is_office(person: Person, district: str) -> bool:
    """Tell whether the person coordinates this district's visits."""
    return person.role == COORDINATOR and person.may_see(district)


def check_coordinates(person: Person) -> None:
    """Raise NotYours for whoever is no coordinator."""
    if person.role != COORDINATOR:
        raise NotYours


def may_see_visit(person: Person, visit: asyncpg.Record) -> bool:
    """Tell whether it is the person's own visit, or one of the district they coordinate."""
    own = person.role == VISITOR and person.may_see(visit["district"]) and person.name in visit["pair"]
    return own or is_office(person, visit["district"])


def may_see_log(person: Person, log: asyncpg.Record) -> bool:
    """Tell whether the person was to be there, was there, or coordinates those who were."""
    was_there = person.name in log["agreed_pair"] or person.name in log["pair"]
    own = person.role == VISITOR and person.may_see(log["district"]) and was_there
    return own or is_office(person, log["district"])


async def visit_of(act: Act, visit_id: UUID, *, lock: bool = False) -> Any:
    """Read the visit. Raises VisitUnknown also where it is somebody else's: that it exists is knowledge."""
    visit = await logs.find_visit(act.connection, visit_id, lock=lock)
    if visit is None or not may_see_visit(act.person, visit):
        raise outcomes.VisitUnknown
    return visit


async def log_of(act: Act, log_id: UUID, *, lock: bool = False) -> Any:
    """Read the log. Raises LogUnknown also where it is somebody else's."""
    log = await logs.find_log(act.connection, log_id, lock=lock)
    if log is None or not may_see_log(act.person, log):
        raise outcomes.LogUnknown
    return log
