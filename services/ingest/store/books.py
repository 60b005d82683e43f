"""The books of landing logs: which offsets were dealt with, as ranges, in the transaction that moves the position."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from services.ingest.rules.books import Book, Span
from services.runtime.columns import columns
from services.runtime.database import Connection

Partition = tuple[str, int]
"""Landing topic and partition."""

# The position's row is locked by whoever applies the batch: that is the book's lock too. Of several logs of one name
# the newest is written.
_READ = """
SELECT DISTINCT ON (topic, partition) topic, partition, log, began, newest_ms, dealt FROM landing_book
WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))
ORDER BY topic, partition, log DESC"""
_ENTER = """
INSERT INTO landing_book AS b (topic, partition, log, began, newest_ms, dealt, void)
SELECT topic, partition, log, began, newest_ms, dealt::int8multirange, void::int8multirange
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
     AS given (topic, partition, log, began, newest_ms, dealt, void)
ORDER BY topic, partition
ON CONFLICT (topic, partition, log) DO UPDATE
SET newest_ms = greatest(b.newest_ms, excluded.newest_ms), dealt = b.dealt + excluded.dealt,
    void = b.void + excluded.void"""


_PASS = """
UPDATE landing_book AS b SET void = b.void + passed.way::int8multirange
FROM unnest($1::text[], $2::int[], $3::text[]) AS passed (topic, partition, way)
WHERE b.topic = passed.topic AND b.partition = passed.partition
  AND b.log = (SELECT max(log) FROM landing_book n WHERE n.topic = b.topic AND n.partition = b.partition)"""


class Entry(NamedTuple):
    """What a batch adds to a book. `void` are offsets for which the log had no record."""

    topic: str
    partition: int
    book: Book
    newest_ms: int
    dealt: Collection[Span]
    void: Collection[Span]


async def read_books(connection: Connection, partitions: Collection[Partition]) -> Mapping[Partition, Book]:
    """Read the book of each landing partition of which anything was ever dealt with."""
    return {
        (topic, partition): Book(log, began, newest_ms, [(each.lower, each.upper) for each in dealt])
        for topic, partition, log, began, newest_ms, dealt in await connection.fetch(
            _READ, *columns(partitions, width=2)
        )
    }


async def enter(connection: Connection, entries: Collection[Entry]) -> None:
    """Add to the books; what they hold already changes nothing."""
    rows = [
        (topic, partition, book.log, book.began, newest_ms, _text(dealt), _text(void))
        for topic, partition, book, newest_ms, dealt, void in entries
    ]
    await connection.execute(_ENTER, *columns(rows, width=7))


async def pass_over(connection: Connection, ways: Mapping[Partition, Span]) -> None:
    """Enter offsets at which the log has no record, where nothing was dealt with beside them."""
    rows = [(*partition, _text([way])) for partition, way in sorted(ways.items())]
    await connection.execute(_PASS, *columns(rows, width=3))


def _text(spans: Collection[Span]) -> str:
    return "{" + ",".join(f"[{start},{end})" for start, end in spans if start < end) + "}"
