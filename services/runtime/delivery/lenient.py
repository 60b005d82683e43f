"""A record whose header name is not UTF-8 must not stop its partition.

aiokafka's reader (written in C) raises in the middle of a fetch, and would raise for ever. After the first such record
this process reads for a while with aiokafka's reader in Python, which is slower and can be told to spell such a name
with backslashes. No byte of a key or a value changes, and no record is skipped.
"""

import time
from typing import Any, Self

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import _MemoryRecordsPy

LENIENT_SECONDS = 60.0

_strict = fetcher.MemoryRecords
_lenient_until = 0.0


def read_leniently() -> None:
    """Read leniently what is fetched in the next minute, in this process."""
    global _lenient_until
    _lenient_until = time.monotonic() + LENIENT_SECONDS
    fetcher.MemoryRecords = _records


def lenient_records(fetched: bytes) -> Any:
    """Read these fetched bytes leniently, whatever is read how elsewhere."""
    return _LenientRecords(fetched)


def _records(fetched: bytes) -> Any:
    if time.monotonic() > _lenient_until:
        fetcher.MemoryRecords = _strict
        return _strict(fetched)
    return _LenientRecords(fetched)


class _Bytes(bytearray):
    """Spells what is not UTF-8 with backslashes."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Bytes(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", _: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def __iter__(self) -> Self:
        self._maybe_uncompress()
        self._buffer: bytearray = _Bytes(self._buffer)
        return self


class _LenientRecords:
    """aiokafka's `_MemoryRecordsPy`, which is final, with the batch above in place of its own."""

    def __init__(self, fetched: bytes) -> None:
        self._batches = _MemoryRecordsPy(fetched)

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def size_in_bytes(self) -> int:
        return int(self._batches.size_in_bytes())

    def next_batch(self) -> Any:
        upcoming = self._batches._next_slice
        batch = self._batches.next_batch()
        return batch if upcoming is None or isinstance(batch, LegacyRecordBatch) else _LenientBatch(upcoming)
