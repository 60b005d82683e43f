"""What the desk shows of families, kind by kind, and of whom: recorded with each reading."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from contracts.disclosures import SEARCH, Purpose, What
from services.runtime.web.disclosing import Reading, Shown

# Days without a name are no address book: they are recorded and not bounded.
DAYS = Reading(what=(What.DAYS,), purpose=Purpose.ARRANGE, counted=False)
REQUEST = Reading(what=(What.CONTACT, What.DAYS), purpose=Purpose.ARRANGE)
CONTACT = Reading(what=(What.CONTACT,), purpose=Purpose.ARRANGE)
FOUND = Reading(what=(What.NAME, What.DAYS), purpose=Purpose.FIND, door=SEARCH)
DAY_SHEET = Reading(what=(What.CONTACT,), purpose=Purpose.SHEET)
CONFIRMATION = Reading(what=(What.CONTACT,), purpose=Purpose.CONFIRM)
KEY_FOUND = Reading(what=(What.NAME,), purpose=Purpose.ANSWER, door=SEARCH)
HELD = Reading(what=(What.CONTACT, What.DAYS), purpose=Purpose.ANSWER)


class OfHousehold(Protocol):
    """A request, a visit, a line of the queue."""

    @property
    def district(self) -> str: ...
    @property
    def household_key(self) -> UUID: ...


def household_of(each: OfHousehold, children: Iterable[UUID] = ()) -> list[Shown]:
    """Name the household, and the children of it who were meant."""
    return [Shown(each.district, each.household_key, child) for child in children] or [
        Shown(each.district, each.household_key)
    ]


def children_of(contact: dict[str, Any] | None, students: Sequence[dict[str, Any]] = ()) -> set[UUID]:
    """Name the children who are shown with a contact, and with their days."""
    named = contact["students"] if contact else ()
    return {UUID(str(each["student_key"])) for each in (*named, *students)}
