"""What stays forgotten: a deletion that no older or repeated file undoes, and that a later, express word does.

Of each family and child two numbers are kept, and nothing else: up to which version they are forgotten, and the newest
version that said `again`. Both only grow, so the order in which deletions, files and repeats come changes nothing.
No I/O, no clock.
"""

from collections.abc import Mapping, Set
from typing import NamedTuple

from contracts.events import RejectionReason
from services.ingest.rules.landing import Rejection

NEVER = -1


class Remembered(NamedTuple):
    """Up to which version somebody is forgotten, and the newest version that said they are known again."""

    version: int = NEVER
    again: int = NEVER

    @property
    def is_forgotten(self) -> bool:
        """Tell whether nothing newer said, in so many words, that they are known again."""
        return self.version >= self.again and self.version > NEVER

    def with_deletion(self, version: int) -> "Remembered":
        """Give what is remembered once they were to be forgotten up to a version."""
        return self._replace(version=max(self.version, version))

    def with_word(self, version: int) -> "Remembered":
        """Give what is remembered once a version said that they are known again."""
        return self._replace(again=max(self.again, version))

    def refusal(self, *, version: int, again: bool) -> Rejection | None:
        """Say why a record of this version may not come in, or None. It is not returned with its bytes: they name."""
        if version <= self.version:
            return Rejection(
                RejectionReason.OUT_OF_RANGE, "version: forgotten on request up to a later one", kept=False
            )
        if self.is_forgotten and not again:
            return Rejection(
                RejectionReason.MISSING_FIELD,
                "again: forgotten on request; true where they are to be known again",
                kept=False,
            )
        return None


class Memory(NamedTuple):
    """A district's: what is remembered of households and students by key, and which students are forgotten now."""

    households: Mapping[str, Remembered]
    students: Mapping[str, Remembered]
    forgotten: Set[str]


NOTHING = Memory({}, {}, frozenset())
FORGOTTEN_STUDENT = Rejection(
    RejectionReason.OUT_OF_RANGE,
    "student: forgotten on request; a later enrolment that says again undoes it",
    kept=False,
)


def memory_of(households: Mapping[str, Remembered], students: Mapping[str, Remembered]) -> Memory:
    """Put a district's memory together."""
    return Memory(households, students, frozenset(key for key, each in students.items() if each.is_forgotten))
