"""A batch that can't be read at all stops its own partition and no other, and is named.

aiokafka raises from the middle of a fetch, without saying of which partition, and what it had read of others for the
same fetch is gone. Here what stands before the batch is handed out first, and then an error that names the place.
"""

from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError


class RecordsUnreadable(KafkaError):  # type: ignore[misc]
    """Nothing can be read of the partition from `offset` to before `end`; `why` holds no payload."""

    def __init__(self, partition: TopicPartition, *, offset: int, end: int, why: str) -> None:
        super().__init__(f"{partition.topic}/{partition.partition} can't be read from {offset} to {end}: {why}")
        self.partition, self.offset, self.end, self.why = partition, offset, end, why


class _Named:
    """Batches one after the other, as aiokafka's own; keeps the one at hand."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self.at_hand: Any = None

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        self.at_hand = self._batches.next_batch()
        return self.at_hand


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """aiokafka's own, which ends before a batch that can't be read, and raises where it is the first."""

    def __init__(self, tp: TopicPartition, records: Any, *rest: Any) -> None:
        self._named = _Named(records)
        self._begun = False
        super().__init__(tp, self._named, *rest)

    def __next__(self) -> Any:
        offset = self.next_fetch_offset
        try:
            record = super().__next__()
        except (StopIteration, UnicodeDecodeError):  # the latter is read again, leniently
            raise
        except Exception as error:
            if self._begun or self.next_fetch_offset > offset:
                raise StopIteration from None
            raise RecordsUnreadable(self._tp, offset=offset, end=self._end(offset), why=_why(error)) from error
        self._begun = True
        return record

    def _end(self, offset: int) -> int:
        batch = self._named.at_hand
        return offset + 1 if batch is None else max(offset + 1, int(batch.next_offset))


def name_what_is_unreadable() -> None:
    """Let every consumer of this process raise RecordsUnreadable, from its next fetch on."""
    fetcher.PartitionRecords = _PartitionRecords


def _why(error: Exception) -> str:
    # A codec's name and a checksum's failure are told; what a decompressor says of bytes might quote them.
    known = isinstance(error, KafkaError) and error.args and isinstance(error.args[0], str)
    return f"{type(error).__name__}: {error.args[0]}" if known else type(error).__name__
