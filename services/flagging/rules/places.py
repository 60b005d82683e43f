"""Landing places as numbers, so that each counts once: a mark has one, and a set of them is a few ranges. No I/O.

An offset is worth 2,048 places. Of a landed roll each mark has one of them; a mark that is a record of its own fills
all of its offset, so that neighbours make one range.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

PLACES_OF_AN_OFFSET = 2048
OFFSETS_OF_A_PART = 1024
"""Ranges are kept in parts of so many offsets: one of the past is not written again."""

_PLACES_OF_A_PART = PLACES_OF_AN_OFFSET * OFFSETS_OF_A_PART

Span = tuple[int, int]
"""Places from the first to, not with, the second."""


class Run(NamedTuple):
    """Marks that landed one behind the other, as the event tells it: place 0 for records of their own."""

    offset: int
    place: int
    marks: int

    def span(self) -> Span:
        """Give their places."""
        first = self.offset * PLACES_OF_AN_OFFSET
        if self.place:
            return first + self.place - 1, first + self.place - 1 + self.marks
        return first, first + self.marks * PLACES_OF_AN_OFFSET

    def each(self) -> Iterator[int]:
        """Give the place of each mark."""
        start, end = self.span()
        return iter(range(start, end, 1 if self.place else PLACES_OF_AN_OFFSET))


def merged(spans: Iterable[Span]) -> tuple[list[Span], bool]:
    """Join spans, and say whether any place is in two of them."""
    found: list[Span] = []
    is_twice = False
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            is_twice |= start < found[-1][1]
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found, is_twice


def by_part(spans: Iterable[Span]) -> dict[int, list[Span]]:
    """Cut spans where parts begin."""
    parts: dict[int, list[Span]] = {}
    for start, end in spans:
        at = start
        while at < end:
            part = at // _PLACES_OF_A_PART
            until = min(end, (part + 1) * _PLACES_OF_A_PART)
            parts.setdefault(part, []).append((at, until))
            at = until
    return parts


def seen_before(runs: Iterable[Run], *, known: Sequence[Span], seen: set[int]) -> Iterator[bool]:
    """Say of each mark whether its landing place is known, or was in this batch before; `seen` grows by the others."""
    for run in runs:
        for place in run.each():
            is_repeat = place in seen or any(start <= place < end for start, end in known)
            seen.add(place)
            yield is_repeat
