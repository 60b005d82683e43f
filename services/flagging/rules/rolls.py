"""A school's day as it was sent: the newest mark of each student, and when the roll is complete. No I/O."""

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Self

from services.flagging.rules import packing

TAKEN_BACK = 0
CATEGORIES = (
    None,  # taken back by its source
    "in_attendance",
    "tardy",
    "early_departure",
    "school_activity",
    "remote_learning",
    "in_school_suspension",
    "alternative_education",
    "excused_absence",
    "unexcused_absence",
    "mental_health_day",
    "out_of_school_suspension",
    "expulsion",
)
"""What the stored number of a category means. Years of rolls are kept by these: one keeps its meaning for ever."""

FIRST_ABSENT = 8
"""From this number on a mark is absent by its name.

A further absence is 13. A further presence has no number left below: the rule has to be written anew for it first.
"""

CODE_OF = {category: code for code, category in enumerate(CATEGORIES)}

NO_PART = -1
"""Where the source gives no share of the day."""
NO_PARTS = (NO_PART, NO_PART)

RollColumns = tuple[bytes, bytes, bytes, bytes]
"""A roll page as the table holds it: students, codes, versions and parts."""


class Mark(NamedTuple):
    """What is said of one student on one day."""

    version: int
    code: int
    present_parts: int = NO_PART
    day_parts: int = NO_PART

    @property
    def is_missed(self) -> bool:
        """Less than half of the day attended (State Board, September 2022), or absent by its name."""
        return is_missed(self.code, self.present_parts, self.day_parts)

    def beats(self, standing: "Mark") -> bool:
        """Say which of two marks stands: the newest version, then absence before presence, then content."""
        if self.version != standing.version:
            return self.version > standing.version
        return (self.is_missed, *self[1:]) > (standing.is_missed, *standing[1:])


def is_missed(code: int, present_parts: int, day_parts: int) -> bool:
    """Say whether a mark's day was missed. By position: this is asked of every mark there is."""
    if present_parts >= 0 and day_parts >= 0 and code != TAKEN_BACK:
        return 2 * present_parts < day_parts
    return code >= FIRST_ABSENT


ABSENT = frozenset(code for code in range(len(CATEGORIES)) if is_missed(code, *NO_PARTS))
"""The categories of a missed day, where no share of it is given."""


class RollPage:
    """The newest marks of one register page's students on one school day."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        self.marks: dict[bytes, Mark] = {}

    def put(self, student: bytes, mark: Mark) -> bool:
        """Let the mark stand if it beats what stands; say whether it did."""
        standing = self.marks.get(student)
        if standing is not None and not mark.beats(standing):
            return False
        self.marks[student] = mark
        return True

    def columns(self) -> RollColumns:
        """Give the page as the table holds it."""
        versions, codes, present, of_day = zip(*self.marks.values(), strict=True) if self.marks else ((),) * 4
        return pack_roll(list(self.marks), bytes(codes), versions, list(zip(present, of_day, strict=True)))

    @classmethod
    def read(cls, students: bytes, codes: bytes, versions: bytes, parts: bytes) -> Self:
        """Read what columns() wrote."""
        page = cls()
        keys = packing.unpack_keys(students)
        every_version = packing.unpack_versions(versions, len(codes))
        if parts:
            shares = array("i", parts)
            told = zip(every_version, codes, shares[::2], shares[1::2], strict=True)
            page.marks = dict(zip(keys, map(Mark._make, told), strict=True))
        else:
            page.marks = {
                key: Mark(version, code) for key, version, code in zip(keys, every_version, codes, strict=True)
            }
        return page


def pack_roll(
    students: Sequence[bytes], codes: bytes, versions: Sequence[int], parts: Sequence[tuple[int, int]] | None
) -> RollColumns:
    """Write marks, a place for each in every column. Nothing is written of parts where no mark has any."""
    in_parts = parts is not None and any(each != NO_PARTS for each in parts)
    return (
        packing.pack_keys(students),
        codes,
        packing.pack_versions(versions),
        array("i", chain.from_iterable(parts or ())).tobytes() if in_parts else b"",
    )


NOWHERE = -1
"""Where a word landed that came with a version: that decides."""


class Completion(NamedTuple):
    """The school's newest word on one day's roll."""

    version: int
    is_complete: bool
    is_full: bool
    landed: int = NOWHERE

    def beats(self, standing: "Completion") -> bool:
        """Say which of two words stands: the newest version, of one moment the one that landed later, then content."""
        return self._rank > standing._rank

    @property
    def _rank(self) -> tuple[int, int, bool, bool]:
        return self.version, self.landed, self.is_complete, self.is_full


_COMPLETE, _FULL, _LANDED = 1, 2, 4


class Completions:
    """The newest word on each day's roll of a school year, and what follows: complete days, and days of a full feed."""

    __slots__ = ("by_place",)

    def __init__(self, packed: bytes = b"") -> None:
        self.by_place: dict[int, Completion] = {}
        at = 0
        while at < len(packed):
            place, state = int.from_bytes(packed[at : at + 2], "little"), packed[at + 2]
            version, landed = int.from_bytes(packed[at + 3 : at + 11], "little", signed=True), NOWHERE
            at += 11
            if state & _LANDED:
                landed = int.from_bytes(packed[at : at + 8], "little")
                at += 8
            self.by_place[place] = Completion(version, bool(state & _COMPLETE), bool(state & _FULL), landed)

    def put(self, place: int, completion: Completion) -> bool:
        """Let the word stand if it beats what stands; say whether it did."""
        standing = self.by_place.get(place)
        if standing is not None and not completion.beats(standing):
            return False
        self.by_place[place] = completion
        return True

    def pack(self) -> bytes:
        """Write the words, 11 bytes for each day; 8 more where one has its landing place."""
        return b"".join(_pack(place, word) for place, word in self.by_place.items())

    def days(self) -> tuple[int, int, int]:
        """Give the complete days, those of a full feed, and those of an exceptions-only feed."""
        complete = full = exceptions = 0
        for place, word in self.by_place.items():
            complete |= word.is_complete << place
            full |= word.is_full << place
            exceptions |= (not word.is_full) << place
        return complete, full, exceptions


def _pack(place: int, word: Completion) -> bytes:
    has_landed = word.landed != NOWHERE
    state = _COMPLETE * word.is_complete | _FULL * word.is_full | _LANDED * has_landed
    packed = place.to_bytes(2, "little") + bytes([state]) + word.version.to_bytes(8, "little", signed=True)
    return packed + word.landed.to_bytes(8, "little") if has_landed else packed
