"""The household: whose it is, what stands of how to reach it, and how a district takes that back."""

from collections.abc import Iterable
from typing import NamedTuple, Self
from uuid import UUID

from contracts.events.attendance import HouseholdContactChanged
from contracts.events.envelope import Contract


def household_of(*, student_key: UUID, household_key: UUID | None) -> UUID:
    """Name a student's household; a student of whom none is known is a household alone."""
    return household_key or student_key


class ContactForgotten(Contract):
    """A district took a household's contact data back: a tombstone, a record with the key and without a value.

    The compacted topic keeps nothing older of the key then, and no reader may.
    """

    household_key: UUID

    @classmethod
    def of_key(cls, key: bytes | None) -> Self:
        """Read a tombstone by its key. Raises ValueError where that is no household's."""
        return cls(household_key=UUID((key or b"").decode()))


class Contacts(NamedTuple):
    """What records of `household-contacts` come to: what stands of each household, and whose is to be deleted first."""

    standing: list[HouseholdContactChanged]
    forgotten: list[UUID]


def contacts_after(said: Iterable[HouseholdContactChanged | ContactForgotten]) -> Contacts:
    """Read a household's records in their order: the newest version stands, and nothing from before a tombstone."""
    standing: dict[UUID, HouseholdContactChanged] = {}
    forgotten: set[UUID] = set()
    for each in said:
        known = standing.get(each.household_key)
        if isinstance(each, ContactForgotten):
            standing.pop(each.household_key, None)
            forgotten.add(each.household_key)
        elif known is None or each.source_version > known.source_version:
            standing[each.household_key] = each
    return Contacts([*standing.values()], sorted(forgotten))
