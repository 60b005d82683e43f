"""What districts' own programs are most likely to be: the Java client, with each codec and with transactions."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.broker import java, kafka_jars
from tests.component.runtime.conftest import Consuming
from tests.component.runtime.kafka import create_topics, until
from tests.component.runtime.test_the_log_changed import counted, total

SOURCE = Path(__file__).parent / "AnyProducer.java"
ENOUGH_TO_COMPRESS = 2_000

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="javac compiles the client")


class JavaClient:
    """Sends by Kafka's own client of the release that the broker is of."""

    def __init__(self, classes: Path, broker: str) -> None:
        self._command = [
            java(),
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={classes}",
            "-cp",
            f"{classes}:{kafka_jars()}/*",
        ]
        self._broker = broker

    async def send(self, topic: str, name: str, count: int, *options: str, ending: str = "plain") -> None:
        command = [*self._command, "AnyProducer", self._broker, topic, name, str(count), ending, *options]
        finished = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr[-2000:]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client."""
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-cp", f"{kafka_jars()}/*", "-d", str(folder), str(SOURCE)], check=True)
    return folder


@pytest.fixture
def client(classes: Path, broker: str) -> JavaClient:
    return JavaClient(classes, broker)


async def test_every_codec_of_the_java_client(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, client: JavaClient
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    for codec in codecs:
        await client.send(topic, codec, ENOUGH_TO_COMPRESS, f"compression.type={codec}", "enable.idempotence=true")
    async with consuming(topic) as (_, reasons):
        for codec in codecs:
            await counted(pool, codec, ENOUGH_TO_COMPRESS)
    assert reasons == []
    assert await pool.fetchval("SELECT count(*) FROM stopped_partition") == 0


async def test_transactions_of_the_java_client(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, client: JavaClient
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    transactional = (f"transactional.id=j-{uuid4().hex}", "compression.type=lz4")
    async with consuming(topic) as (consumption, reasons):
        await client.send(topic, "kept", 100, *transactional, ending="commit")
        await client.send(topic, "rolled back", 70, *transactional, ending="abort")
        await client.send(topic, "kept", 100, *transactional, ending="commit")
        await counted(pool, "kept", 200)

        async def at_the_end() -> bool:
            row = await pool.fetchrow("SELECT next_offset, empty_offsets FROM position")
            return row is not None and tuple(row) == (273, 73)

        await until(at_the_end, "the position behind the last marker")
        await consumption.partitions.look()
        assert consumption.lag.waiting_seconds() == 0
    assert await total(pool, "rolled back") == 0
    assert reasons == []
