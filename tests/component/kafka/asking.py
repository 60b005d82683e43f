"""Somebody at the broker's door who tries everything, one request at a time, and hears what it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteRecordsRequest,
    DeleteTopicsRequest,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from deploy.kafka import requests
from deploy.local.parts import Process
from services.runtime.broker_access import Access, client_options

DISTRICTS = ("windsor", "windsor-locks", "avon")
DATABASE = "postgres"

ALLOWED, DENIED = "allowed", "denied"
_NO_ERROR, _UNKNOWN_TOPIC, _TOPIC_DENIED, _EXISTS, _BAD_PARTITIONS = 0, 3, 29, 36, 37
_TOPIC = 2


class Encrypted(NamedTuple):
    """A broker behind TLS, and the folder of its keys."""

    broker: Process
    keys: Path


class Asking:
    """One user's connection; each method tries one thing on a topic, and names the broker's answer."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client

    async def read(self, topic: str) -> str:
        """Fetch from the beginning of the first partition."""
        wanted = [(topic, [(0, 0, 1 << 20)])]
        answer = await self._send(FetchRequest(0, 0, 1 << 20, 0, wanted))
        ((_, ((_, code, *_),)),) = answer.topics
        return _named(code)

    async def write(self, topic: str) -> str:
        """Append one record to the first partition."""
        batch = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=1 << 16,
        )
        batch.append(0, timestamp=0, key=b"key", value=b"tried", headers=[])
        answer = await self._send(ProduceRequest(None, -1, 10_000, [(topic, [(0, bytes(batch.build()))])]))
        ((_, ((_, code, *_),)),) = answer.topics
        return _named(code)

    async def create(self, topic: str) -> str:
        """Create the topic, which is there: only who may would be told so."""
        answer = await self._send(CreateTopicsRequest([(topic, 1, 1, [], [])], 10_000, False))
        ((_, code, *_),) = answer.topic_errors
        return _named(code, well=_EXISTS)

    async def alter(self, topic: str) -> str:
        """Change a setting, and the number of partitions, without effect."""
        changed = await self._send(requests.AlterSettings([(_TOPIC, topic, [("retention.ms", 0, "1000")])], True))
        ((code, *_),) = changed.responses
        widened = await self._send(CreatePartitionsRequest([(topic, (99, None))], 10_000, True))
        ((_, other, *_),) = widened.topic_errors
        said = {_named(code), _named(other)}
        assert len(said) == 1, (topic, said)
        return said.pop()

    async def cut(self, topic: str) -> str:
        """Delete the records before the first one."""
        answer = await self._send(DeleteRecordsRequest([(topic, [(0, 0)])], 10_000))
        ((_, ((_, _, code, *_),), *_),) = answer.topics
        return _named(code)

    async def delete(self, topic: str) -> str:
        """Delete the topic: whoever may has done so."""
        answer = await self._send(DeleteTopicsRequest([topic], 10_000))
        ((_, code, *_),) = answer.topic_error_codes
        return _named(code)

    async def _send(self, request: Any) -> Any:
        return await self._client.send(self._client.get_random_node(), request)


@asynccontextmanager
async def asking(access: Access) -> AsyncIterator[Asking]:
    """Sign in and give the connection."""
    client = AIOKafkaClient(**client_options(access))
    try:
        await client.bootstrap()
        yield Asking(client)
    finally:
        await client.close()


def _named(code: int, *, well: int = _NO_ERROR) -> str:
    if code in (_TOPIC_DENIED, _UNKNOWN_TOPIC):
        return DENIED  # whoever may not know of a topic is told that there is none
    assert code == well, for_code(code)
    return ALLOWED
