"""Which of a household's contact data stands, and which goes back. No I/O, no clock."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID


class Known(NamedTuple):
    """The newest version of a household that was told; `content` None: what it said is not known any more."""

    version: int
    content: bytes | None


class Said(Protocol):
    """Contact data as a district sent it; `content` is equal where it says the same."""

    @property
    def household_key(self) -> UUID:
        """Whose it is."""

    @property
    def version(self) -> int:
        """The source's version."""

    @property
    def content(self) -> bytes:
        """What it says, as a keyed hash."""


Landed = TypeVar("Landed", bound=Said)


def newest_and_contradicting(
    said: Iterable[Landed], known: Mapping[UUID, Known]
) -> tuple[dict[UUID, Landed], list[Landed]]:
    """Take contact data in, one after the other: what rises above all before, and what contradicts its own version.

    Of one version the first stands. What is older than the newest is neither: it came late, and changes nothing.
    """
    stands = dict(known)
    newest: dict[UUID, Landed] = {}
    contradicting = []
    for each in said:
        before = stands.get(each.household_key)
        if before is None or each.version > before.version:
            newest[each.household_key] = each
            stands[each.household_key] = Known(each.version, each.content)
        elif each.version == before.version and before.content not in (None, each.content):
            contradicting.append(each)
    return newest, contradicting
