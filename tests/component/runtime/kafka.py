"""A counting service as a process, and what is needed around it."""

import asyncio
import os
import struct
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.record.util import calc_crc32c

from deploy.local import free_port

CHECKOUT = Path(__file__).parents[3]
PATIENCE_SECONDS = 40.0


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return as soon as the condition holds, and fail when it does not in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.05)


async def create_topics(bootstrap: str, **partitions: int) -> dict[str, str]:
    """Create topics with names of their own for this test; returns the full names."""
    unique = uuid4().hex[:8]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = {name: f"{name}-{unique}" for name in partitions}
        await admin.create_topics([NewTopic(names[name], count, 1) for name, count in partitions.items()])
    finally:
        await admin.close()
    return names


async def send(bootstrap: str, topic: str, values: Sequence[bytes], *, partition: int = 0, headers: Any = None) -> None:
    """Write the values to one partition, in order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        sent = [await producer.send(topic, value, partition=partition, headers=headers) for value in values]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def ones(name: str, count: int) -> list[bytes]:
    """Make values that count one each."""
    return [msgspec.json.encode({"name": name, "by": 1})] * count


async def send_with_header_name(bootstrap: str, topic: str, values: Sequence[bytes], name: bytes) -> None:
    """Write one batch whose middle record has a header with this name, which need not be UTF-8."""
    placeholder = "h" * len(name)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        for number, value in enumerate(values):
            headers = [(placeholder, b"x")] if number == len(values) // 2 else []
            batch.append(key=None, value=value, timestamp=None, headers=headers)
        written = bytearray(batch._build())
        written[:] = written.replace(placeholder.encode(), name)
        # The checksum stands at byte 17 and covers what follows it.
        struct.pack_into(">I", written, 17, calc_crc32c(bytes(written[21:])))
        batch._buffer = written
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Read every record the topic holds now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        numbers = await consumer._client._wait_on_metadata(topic)
        partitions = [TopicPartition(topic, each) for each in sorted(numbers)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        while [each for each in partitions if await consumer.position(each) < ends[each]]:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
    finally:
        await consumer.stop()
    return records


def group_of(*arguments: str) -> str:
    """Name the group that a worker with these arguments belongs to."""
    return f"counting-{arguments[-1]}"


class Worker:
    """The counting service as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, operations: int) -> None:
        self.process = process
        self.port = port
        self._operations = operations

    def get(self, path: str) -> tuple[int, str]:
        """Ask the service by HTTP as machines do; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._operations}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def post(self, path: str) -> str:
        """Post nothing and return the answer's text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=b"", timeout=10) as answer:
            return str(answer.read().decode())

    async def ready(self) -> bool:
        """Tell whether it says it is ready."""
        return (await asyncio.to_thread(self.get, "/readyz"))[0] == 200

    def metric(self, line_start: str) -> float:
        """Add up the metric's values over all labels."""
        _, text = self.get("/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(line_start))


@asynccontextmanager
async def worker(bootstrap: str, database_url: str, *arguments: str, **settings: str) -> AsyncIterator[Worker]:
    """Run a counting service; it is killed at the end if it still runs. The setting LOG_FILE is where its log goes."""
    port, operations = free_port(9000), free_port()
    log = os.open(settings.pop("LOG_FILE"), os.O_WRONLY | os.O_CREAT) if "LOG_FILE" in settings else None
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.component.runtime.counting",
        *arguments,
        cwd=CHECKOUT,
        stdout=log,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("LEAP_")},
            "LEAP_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "LEAP_DATABASE_URL": database_url,
            "LEAP_HTTP_PORT": str(port),
            "LEAP_OPERATIONS_PORT": str(operations),
            "LEAP_KAFKA_SESSION_TIMEOUT_MS": "6000",
            # Kafka waits for a killed member of a group; no test waits for another test's.
            "COUNTING_GROUP": group_of(*arguments),
            **settings,
        },
    )
    if log is not None:
        os.close(log)
    try:
        yield Worker(process, port, operations)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
