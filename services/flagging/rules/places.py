"""Landing places as numbers, so that each counts once: a mark has one, and a set of them is a few ranges. No I/O.

An offset is worth 2,048 places. Of a landed roll each mark has one of them; a mark that is a record of its own fills
all of its offset, so that neighbours make one range.
"""

from collections.abc import Iterable, Iterator, Sequence

PLACES_OF_AN_OFFSET = 2048
OFFSETS_OF_A_PART = 1024
"""Ranges are kept in parts of so many offsets: one of the past is not written again."""

_PLACES_OF_A_PART = PLACES_OF_AN_OFFSET * OFFSETS_OF_A_PART

Span = tuple[int, int]
"""Places from the first to, not with, the second."""


Run = tuple[int, int, int]
"""Offset, place and number of marks that landed one behind the other, as the event tells it: place 0 for records."""


def spans_of(runs: Iterable[Run]) -> list[Span]:
    """Give the places of each run. By position: in the worst order there is a run for each mark."""
    return [
        (offset * PLACES_OF_AN_OFFSET + place - 1, offset * PLACES_OF_AN_OFFSET + place - 1 + marks)
        if place
        else (offset * PLACES_OF_AN_OFFSET, (offset + marks) * PLACES_OF_AN_OFFSET)
        for offset, place, marks in runs
    ]


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


def seen_before(runs: Sequence[Run], *, known: Sequence[Span], seen: set[int]) -> Iterator[bool]:
    """Say of each mark whether its landing place is known, or was in this batch before; `seen` grows by the others."""
    for (start, end), (_, in_roll, _) in zip(spans_of(runs), runs, strict=True):
        for place in range(start, end, 1 if in_roll else PLACES_OF_AN_OFFSET):
            is_repeat = place in seen or any(first <= place < last for first, last in known)
            seen.add(place)
            yield is_repeat
