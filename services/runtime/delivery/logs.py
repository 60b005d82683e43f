"""What is asked of logs themselves: where each begins and ends, and which record stands at an offset.

Every partition answers for itself: one that is away or gone keeps no other from answering. What aiokafka offers for it
asks until all have answered.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

from services.runtime.delivery.identity import Bounds, Fingerprint, checksum_of
from services.runtime.delivery.lenient import lenient_records

_EARLIEST, _LATEST = -2, -1
_ALL_RECORDS, _COMMITTED_RECORDS = 0, 1
# Enough for the batch at the end of a quiet topic. A larger one comes back empty, and is asked for alone.
_FEW_BYTES, _MANY_BYTES = 64 << 10, 8 << 20
_OUT_OF_RANGE = 1


class Logs:
    """Asks by a consumer's own connections."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._client: Any = consumer._client

    async def bounds(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Bounds]:
        """Tell where the logs begin and end, of those partitions that answer. The end: of what is committed."""
        wanted = tuple(partitions)
        starts = await self._offsets(wanted, _EARLIEST)
        ends = await self._offsets(wanted, _LATEST)
        return {each: Bounds(starts[each], ends[each]) for each in wanted if each in starts and each in ends}

    async def fingerprints(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Fingerprint | None]:
        """Take the fingerprints of the records at these offsets: None where a log has none there.

        A partition that does not answer is left out.
        """
        found, larger = await self._fingerprints(offsets, _FEW_BYTES)
        for partition in larger:
            alone, _ = await self._fingerprints({partition: offsets[partition]}, _MANY_BYTES)
            found |= alone
        return found

    async def _offsets(self, partitions: Iterable[TopicPartition], which: int) -> dict[TopicPartition, int]:
        asked = []
        for leader, at_one in self._by_leader(partitions).items():
            wanted = _by_topic({each: (each.partition, which) for each in at_one})
            asked.append((leader, OffsetRequest(-1, _COMMITTED_RECORDS, wanted)))
        offsets = {}
        for answer in await self._answers(asked):
            for topic, parts in answer.topics:
                for partition, error, _, offset, *_ in parts:
                    if error:
                        self._not_answered(error)
                    else:
                        offsets[TopicPartition(topic, partition)] = offset
        return offsets

    async def _fingerprints(
        self, offsets: Mapping[TopicPartition, int], most_bytes: int
    ) -> tuple[dict[TopicPartition, Fingerprint | None], list[TopicPartition]]:
        asked = []
        for leader, at_one in self._by_leader(offsets).items():
            wanted = _by_topic({each: (each.partition, offsets[each], most_bytes) for each in at_one})
            asked.append((leader, FetchRequest(0, 0, 32 << 20, _ALL_RECORDS, wanted)))
        found: dict[TopicPartition, Fingerprint | None] = {}
        larger = []
        for answer in await self._answers(asked):
            for topic, parts in answer.topics:
                for partition, error, _, *rest in parts:
                    at = TopicPartition(topic, partition)
                    if error == _OUT_OF_RANGE:
                        found[at] = None
                    elif error:
                        self._not_answered(error)
                    elif rest[-1] or most_bytes == _MANY_BYTES:
                        found[at] = _fingerprint_at(offsets[at], rest[-1] or b"")
                        await asyncio.sleep(0)
                    else:
                        larger.append(at)
        return found, larger

    async def _answers(self, asked: Iterable[tuple[int, Any]]) -> list[Any]:
        answers = await asyncio.gather(
            *(self._client.send(leader, request) for leader, request in asked), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, KafkaError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def _by_leader(self, partitions: Iterable[TopicPartition]) -> dict[int, list[TopicPartition]]:
        by_leader: dict[int, list[TopicPartition]] = {}
        for each in partitions:
            leader = self._client.cluster.leader_for_partition(each)
            if leader is None or leader < 0:
                self._ask_who_leads()
            else:
                by_leader.setdefault(leader, []).append(each)
        return by_leader

    def _not_answered(self, error: int) -> None:
        if for_code(error).invalid_metadata:
            self._ask_who_leads()

    def _ask_who_leads(self) -> None:
        # Nobody waits for it: that no broker answered is said by whoever asks one next.
        self._client.force_metadata_update().add_done_callback(lambda asked: asked.cancelled() or asked.exception())


def _by_topic(asked: Mapping[TopicPartition, tuple[int, ...]]) -> list[tuple[str, list[tuple[int, ...]]]]:
    by_topic: dict[str, list[tuple[int, ...]]] = {}
    for partition, wanted in asked.items():
        by_topic.setdefault(partition.topic, []).append(wanted)
    return list(by_topic.items())


def _fingerprint_at(offset: int, fetched: bytes) -> Fingerprint | None:
    try:
        try:
            return _search(MemoryRecords(fetched), offset)
        except UnicodeDecodeError:
            return _search(lenient_records(fetched), offset)
    except Exception:  # noqa: BLE001 - whatever a reader says of spoilt bytes: no record can be known again there
        return None


def _search(records: Any, offset: int) -> Fingerprint | None:
    while records.has_next():
        batch = records.next_batch()
        if batch.next_offset <= offset:
            continue
        if batch.is_control_batch:
            return None
        for record in batch:
            if record.offset == offset:
                return Fingerprint(offset, record.timestamp, checksum_of(record.key, record.value))
            if record.offset > offset:
                return None
        return None
    return None
