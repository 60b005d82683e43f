"""Lands a round while faults happen, as a district would: what was not acknowledged is sent again, all of it."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.topics import landing_topics
from services.runtime.broker_access import client_options
from tests.faults.bed import Bed
from tests.faults.town import Town, Value, as_bytes

TOGETHER = 40
ACKNOWLEDGED_SECONDS = 15.0
_UPLOADED = 30


class Sender:
    """Whoever lands records: straight to the broker, and some of them by upload."""

    def __init__(self, bed: Bed, town: Town) -> None:
        self._bed, self.town = bed, town
        self._producer: AIOKafkaProducer | None = None
        self._held: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.sent_again = 0

    async def stop(self) -> None:
        """Let go of the broker."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), ACKNOWLEDGED_SECONDS)

    async def rosters(self, number: int) -> None:
        """Land everybody's enrolment before the first round, and a round's moves before its day."""
        for district in self._bed.districts:
            roster = self.town.roster(district) if number == 0 else self.town.roster_of_round(district, number)
            if roster:
                await self.land(landing_topics(district)[1], roster)

    async def attendance(self, number: int, *, seconds: float) -> dict[str, str]:
        """Land a round's attendance of all districts, spread over so many seconds; gives the receipts of uploads."""
        draw = random.Random(f"{self.town.seed}/order/{number}")
        left = {district: self.town.attendance(district, number) for district in self._bed.districts}
        pieces = [
            (district, part) for district, values in left.items() for part in _in_parts(values, TOGETHER)
        ]  # fmt: skip
        pieces = _merged(pieces, draw)
        receipts: dict[str, str] = {}
        for number_of, (district, part) in enumerate(pieces):
            if number_of % 5 == 4:
                receipts |= await self._upload(district, part[:_UPLOADED])
            await self.land(landing_topics(district)[0], part)
            await asyncio.sleep(seconds / len(pieces))  # a load over time, not a wait for something
        return receipts

    async def land(self, topic: str, values: Sequence[Value]) -> None:
        """Land records in their order; all of them again, with another producer, until they are acknowledged."""
        async with self._held[topic]:
            await self.land_held(topic, values)

    @asynccontextmanager
    async def holding(self, topic: str) -> AsyncIterator[None]:
        """Let nobody land anything on a topic meanwhile, but by `land_held`."""
        async with self._held[topic]:
            yield

    async def land_held(self, topic: str, values: Sequence[Value]) -> None:
        """Land records on a topic that the caller holds."""
        while True:
            try:
                async with asyncio.timeout(ACKNOWLEDGED_SECONDS):
                    producer = await self._connected()
                    sent = [await producer.send(topic, as_bytes(value)) for value in values]
                    await asyncio.gather(*sent)
                    return
            except (KafkaError, OSError, TimeoutError):
                self.sent_again += 1
                await self.stop()

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **client_options(self._bed.kafka), acks="all", enable_idempotence=True, request_timeout_ms=8000
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _upload(self, district: str, values: Sequence[Value]) -> dict[str, str]:
        """Upload rows, with whoever answers; a receipt is what a district may hold us to."""
        if self._held[landing_topics(district)[0]].locked():
            return {}
        rows = [as_bytes(value) for value in values]
        rows = [row for row in rows if row.strip() and b"\n" not in row and _is_text(row)]
        headers = {"Authorization": f"Bearer test-token-of-{district}", "Content-Type": "application/x-ndjson"}
        for name in ("ingest", "ingest#2"):
            if name in self._bed.processes:
                with suppress(httpx.HTTPError):
                    async with httpx.AsyncClient(base_url=self._bed.processes[name].address, timeout=10) as client:
                        answer = await client.post(
                            f"/v1/districts/{district}/attendance", content=b"\n".join(rows), headers=headers
                        )
                    if answer.status_code == 202:
                        issued: dict[str, Any] = answer.json()
                        return {issued["id"]: district}
        return {}


def _in_parts(values: Sequence[Value], size: int) -> Iterator[Sequence[Value]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _merged(pieces: list[tuple[str, Sequence[Value]]], draw: random.Random) -> list[tuple[str, Sequence[Value]]]:
    """Mix the districts, each one's parts in their order."""
    queues: dict[str, list[Sequence[Value]]] = {}
    for district, part in pieces:
        queues.setdefault(district, []).append(part)
    merged = []
    while queues:
        district = draw.choice(sorted(queues))
        merged.append((district, queues[district].pop(0)))
        if not queues[district]:
            del queues[district]
    return merged


def _is_text(row: bytes) -> bool:
    try:
        row.decode()
    except UnicodeDecodeError:
        return False
    return True
