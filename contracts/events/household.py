"""The household: whose it is, what stands of how to reach it, and how a district takes that back for good."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple, Self
from uuid import UUID

from contracts.events.attendance import HouseholdContactChanged
from contracts.events.envelope import Contract, Moment

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def household_of(*, student_key: UUID, household_key: UUID | None) -> UUID:
    """Name a student's household; a student of whom none is known is a household alone."""
    return household_key or student_key


class ContactForgotten(Contract):
    """A district took a household's contact data back: a tombstone, a record with the key and without a value.

    The compacted topic keeps nothing older of the key then, and no reader may: nothing that landed before, and no
    version that was known by then, comes back. What a district sends afterwards, as something newer, is a new word.
    """

    household_key: UUID
    forgotten_at: Moment = _LONG_AGO

    @classmethod
    def of_key(cls, key: bytes | None, *, timestamp_ms: int = 0) -> Self:
        """Read a tombstone by its key, and by when it was written. Raises ValueError where that is no household's."""
        return cls(
            household_key=UUID((key or b"").decode()), forgotten_at=datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        )


class Forgotten(NamedTuple):
    """Whose data was taken back, the newest version of it that these records named before (-1: none), and when."""

    household_key: UUID
    source_version: int
    forgotten_at: datetime


class Contacts(NamedTuple):
    """What records of `household-contacts` come to: what stands of each household, and whose is to be deleted first."""

    standing: list[HouseholdContactChanged]
    forgotten: list[Forgotten]


def is_behind(contact: HouseholdContactChanged, forgotten: Forgotten) -> bool:
    """Tell whether a contact is from before it was taken back: landed by then, or known by then."""
    return contact.occurred_at <= forgotten.forgotten_at or contact.source_version <= forgotten.source_version


def contacts_after(said: Iterable[HouseholdContactChanged | ContactForgotten]) -> Contacts:
    """Read a household's records in their order: the newest version stands, and nothing from before a tombstone."""
    standing: dict[UUID, HouseholdContactChanged] = {}
    forgotten: dict[UUID, Forgotten] = {}
    for each in said:
        key = each.household_key
        known, gone = standing.get(key), forgotten.get(key)
        if isinstance(each, ContactForgotten):
            standing.pop(key, None)
            version = max(known.source_version if known else -1, gone.source_version if gone else -1)
            at = max(each.forgotten_at, gone.forgotten_at) if gone else each.forgotten_at
            forgotten[key] = Forgotten(key, version, at)
        elif gone is not None and is_behind(each, gone):
            continue
        elif known is None or each.source_version > known.source_version:
            standing[key] = each
    return Contacts([*standing.values()], sorted(forgotten.values()))
