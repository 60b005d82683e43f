"""The others: each takes the same records from its first to its last; what it used and what it came to is read."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.topics import PARTITIONS
from deploy.local.machine import checkout
from tests.bench import referee
from tests.bench.contestant import Finished, run_contestant
from tests.bench.machine import THIS_PYTHON, Ground, read_clocks
from tests.bench.peer_setup import command_of
from tests.bench.runs import Input, Run, run_of

WARM_UP_MARKS = 300_000
BY_STUDENT, BY_PAGE = "student", "page"
"""How a peer keeps what it knows: one value for a student's year, or one for 64 students' years."""
_numbers = itertools.count(1)


async def ceiling(records: Input) -> Run:
    """The same marks in one Python process that keeps nothing."""
    finished = await _python("ceiling", records.ground, records.topic, str(records.marks))
    referee.require_counts(
        "in-memory ceiling", records.truth, crossings=finished.said["crossings"], chronic=finished.said["chronic"]
    )
    return run_of("in-memory ceiling", records.name, records.marks, finished.used, finished.peak_megabytes)


async def per_message(records: Input, marks: int) -> Run:
    """One INSERT and one commit per message. It keeps marks and judges nothing, so there is nothing to check."""
    url = (await records.ground.fresh_schemas("flagging"))["flagging"]
    finished = await _python("per_message", records.ground, records.topic, str(marks), url)
    return run_of("one INSERT per message", records.name, marks, finished.used, finished.peak_megabytes)


async def _python(module: str, ground: Ground, *arguments: str) -> Finished:
    command = [THIS_PYTHON, "-m", f"tests.bench.{module}", ground.broker.address, *arguments]
    return await run_contestant(
        command, folder=checkout(), log=ground.folder / f"{module}.log", clocks=partial(read_clocks, ground)
    )


async def peer(records: Input, *, name: str, layout: str = BY_STUDENT) -> Run:
    """A peer in a process of its own. Raises PeerMissing where it can't be had, WrongResult where it computes nonsense.

    A peer on the JVM takes the first marks once before it is counted, so that its code is compiled by then.
    """
    command = await asyncio.to_thread(command_of, name, into=checkout() / ".leap" / "bench")
    ground, marks, crossings = records.ground, records.marks, f"crossings-{next(_numbers)}"
    contestant = peer_name(name, layout)
    async with _peers_topics(ground, crossings, f"{crossings}-warm-up"):
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=ground.folder, ignore_cleanup_errors=True) as folder:
            asked = (records.topic, str(marks), crossings, str(min(marks, WARM_UP_MARKS)), layout)
            finished = await run_contestant(
                [*command, ground.broker.address, *asked],
                folder=Path(folder),
                log=ground.folder / f"{name}.log",
                clocks=partial(read_clocks, ground),
            )
        told = await referee.crossings_told(ground.broker.address, crossings)
    referee.require_crossings(f"{contestant} on {records.name}", records.truth, told)
    return run_of(contestant, records.name, marks, finished.used, finished.peak_megabytes)


def peer_name(name: str, layout: str) -> str:
    """Name a peer that keeps its state so."""
    return f"{name}, by 64" if layout == BY_PAGE else name


@asynccontextmanager
async def _peers_topics(ground: Ground, *names: str) -> AsyncIterator[None]:
    """Make the peer's topics, and delete them and whatever it made itself: nobody's turn pays for compacting them."""
    client = AIOKafkaAdminClient(bootstrap_servers=ground.broker.address)
    await client.start()
    try:
        before = set(await client.list_topics())
        await client.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        try:
            yield
        finally:
            made = set(await client.list_topics()) - before
            await client.delete_topics([name for name in made if not name.startswith("__")])
    finally:
        await client.close()
