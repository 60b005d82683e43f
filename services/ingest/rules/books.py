"""What is known of a landing log: which of its offsets were dealt with, so that each is counted once. No I/O, no clock.

A landing topic that was deleted and made anew is another log: its offsets begin again, and so does its book.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Span = tuple[int, int]
"""Offsets from the first to, not with, the second."""


class Book(NamedTuple):
    """What was dealt with of one log. `began` is the first offset that is counted here: what lies before it was counted
    before there were books. `newest_ms` is when the newest record dealt with was appended."""

    log: int
    began: int
    newest_ms: int
    dealt: Sequence[Span]

    @property
    def end(self) -> int:
        """The offset behind everything that was dealt with."""
        return max((end for _, end in self.dealt), default=self.began)


class Stretch(NamedTuple):
    """A batch's records of one landing partition: their offsets, and when the first and the newest were appended.

    `void` are offsets that were passed over: the log had no record for them. Of transactions it keeps markers, and
    drops what was taken back.
    """

    spans: Sequence[Span]
    void: Sequence[Span]
    first_ms: int
    newest_ms: int

    @property
    def first(self) -> int:
        """The first offset."""
        return self.spans[0][0]


@dataclass(frozen=True, slots=True)
class Page:
    """What of a batch's landing partition counts: not what lies before the book's beginning, nor what is `known`."""

    log: int = 0
    began: int = 0
    known: Sequence[Span] = ()

    def counts(self, offset: int) -> bool:
        """Say whether the record is counted here for the first time."""
        return offset >= self.began and not any(start <= offset < end for start, end in self.known)


NEW = Page()


def stretch(offsets: Iterable[int], *, moving: Span, first_ms: int, newest_ms: int) -> Stretch:
    """Write rising offsets as spans, and what they leave out of the way that the position moves."""
    spans: list[list[int]] = []
    for offset in offsets:
        if spans and spans[-1][1] == offset:
            spans[-1][1] += 1
        else:
            spans.append([offset, offset + 1])
    ends = [moving[0], *(end for _, end in spans)]
    begins = [*(start for start, _ in spans), moving[1]]
    void = [(end, begin) for end, begin in zip(ends, begins, strict=True) if end < begin]
    return Stretch([(start, end) for start, end in spans], void, first_ms, newest_ms)


def book_for(known: Book | None, read: Stretch, *, position: int) -> Book:
    """Give the book that a stretch belongs into: the known one, unless the log is another.

    The broker's clock dates every record. One that stands where another stood, and is younger than all of them, is of a
    log that was made after them.
    """
    if known is None or (read.first < known.end and read.first_ms > known.newest_ms):
        return Book(log=read.first_ms, began=min(position, read.first), newest_ms=0, dealt=())
    return known


def page_for(book: Book, read: Stretch) -> Page:
    """Say what of the stretch is counted already."""
    known = [
        (max(start, of_book[0]), min(end, of_book[1]))
        for start, end in read.spans
        for of_book in book.dealt
        if start < of_book[1] and of_book[0] < end
    ]
    return Page(book.log, book.began, known)
