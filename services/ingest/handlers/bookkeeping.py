"""Which of a batch's landed records are counted for the first time, and the entry of all of them in the books."""

from collections.abc import Mapping, Sequence

from services.ingest.rules import books as rules
from services.ingest.rules.books import Page
from services.ingest.store import books
from services.ingest.store.books import Entry, Partition
from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction


async def enter(transaction: Transaction, deliveries: Sequence[Delivery]) -> Mapping[Partition, Page]:
    """Enter the batch's records in the books of their logs, and say of each partition what is known already."""
    offsets: dict[Partition, list[int]] = {}
    times: dict[Partition, tuple[int, int]] = {}
    for record, _ in deliveries:
        partition = record.topic, record.partition
        of_partition = offsets.get(partition)
        if of_partition is None:
            of_partition = offsets[partition] = []
            times[partition] = record.timestamp, record.timestamp
        of_partition.append(record.offset)
        if record.timestamp > times[partition][1]:
            times[partition] = times[partition][0], record.timestamp

    known = await books.read_books(transaction.connection, offsets)
    pages: dict[Partition, Page] = {}
    entries = []
    for partition in sorted(offsets):
        first_ms, newest_ms = times[partition]
        moving = transaction.moving[partition]
        read = rules.stretch(offsets[partition], moving=moving, first_ms=first_ms, newest_ms=newest_ms)
        book = rules.book_for(known.get(partition), read, position=moving[0])
        pages[partition] = rules.page_for(book, read)
        dealt = [(max(start, book.began), end) for start, end in read.spans]
        entries.append(Entry(*partition, book, newest_ms, dealt, read.void))
    await books.enter(transaction.connection, entries)
    return pages
