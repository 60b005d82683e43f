"""`leap restore FOLDER`: tables put back as a backup has them, what was told since taken back, services started."""

import asyncio
import importlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from aiokafka import TopicPartition

from contracts.services import SERVICES
from deploy.commands import backup, state
from deploy.commands.backup import BackupRefused
from deploy.commands.position import OF_ANOTHER_LOG, bounds
from deploy.commands.rebuild import live_in_the_time_of
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.commands.up import READY_WITHIN_SECONDS
from deploy.local.dumps import FORMER, go_back, put_aside_last, restore_schema
from deploy.local.found import part_from
from deploy.local.parts import PartFailed, Process
from services.runtime.broker_access import Broker
from services.runtime.rebuild.take_back import StillRunning, take_back


def restore(screen: Screen, *, folder: Path, services: list[str], however_old: bool = False) -> int:
    """Put these services' tables back, or all; the others run on. It may be repeated. Raises BackupRefused, PartFailed.

    What stood there is kept as `<service>_before_restore` until the next restore.
    """
    found, chosen = state.load_running(), services or list(SERVICES)
    made = backup.read(folder)
    now = datetime.fromisoformat(made.made_at) if however_old else datetime.now(UTC)
    backup.check(folder, made, chosen, now=now, found=found)
    restored_at = datetime.now(UTC).isoformat()
    with state.one_at_a_time(), _stopped(screen, found, chosen):
        for service in chosen:
            with screen.wait(f"{service}: tables of {made.made_at}"):
                file = folder / f"{service}.dump"
                asyncio.run(restore_schema(found.admin_url(), service, file, restored_at=restored_at))
        told = _take_back(screen, found, chosen)
    _say(screen, told, made_at=made.made_at, chosen=chosen)
    return 0


def take_back_only(screen: Screen, *, services: list[str]) -> int:
    """Let these services' tables know again what was told, without putting anything back."""
    found, chosen = state.load_running(), services or list(SERVICES)
    with state.one_at_a_time(), _stopped(screen, found, chosen):
        told = _take_back(screen, found, chosen)
    _say(screen, told, made_at=None, chosen=())
    return 0


def put_back(screen: Screen, *, services: list[str]) -> int:
    """Let what the last restore put aside stand again, of the services that it put back or of these. Raises PartFailed.

    What an older restore put aside, of services that the last one left alone, is as old as that.
    """
    found = state.load_running()
    last = asyncio.run(put_aside_last(found.admin_url(), list(SERVICES)))
    chosen = services or last
    if not chosen or not set(chosen) <= set(last):
        raise PartFailed(
            f"the last restore put aside {', '.join(last) or 'nothing'}: there is no way back of"
            f" {', '.join(services) or 'any service'}"
        )
    with state.one_at_a_time(), _stopped(screen, found, chosen):
        for service in chosen:
            asyncio.run(go_back(found.admin_url(), service))
            screen.step(f"{service}: as before the restore")
        told = _take_back(screen, found, chosen)
    _say(screen, told, made_at=None, chosen=chosen)
    return 0


def kafka_lost(screen: Screen) -> int:
    """Let every service begin at the beginning of new topics: for when Kafka lost its logs and the tables are kept.

    What stood on a topic and was not yet read is lost; what waits in an outbox is told.
    """
    found = state.load_running()
    with state.one_at_a_time(), _stopped(screen, found, list(SERVICES)):
        positions, former = asyncio.run(_forget_positions(found.admin_url(), found.kafka()))
    screen.say(f"{positions} positions forgotten: every topic is read from its beginning")
    if former:
        screen.say(
            f"{former} had been read in logs that are gone: `leap rebuild` refuses to make tables anew from now on"
        )
    screen.say("Tell the districts to send again what they sent in the last days: what is known changes nothing.")
    screen.give({"positions": positions})
    return 0


async def _forget_positions(admin_url: str, broker: Broker) -> tuple[int, int]:
    """Forget every position. Returns how many there were, and how many of them in logs that are gone."""
    admin = await asyncpg.connect(admin_url)
    try:
        async with admin.transaction():
            forgotten, former = 0, 0
            for service in SERVICES:
                rows = await admin.fetch(_POSITIONS.format(s=service))
                forgotten += len(rows)
                ends = await bounds(broker, {TopicPartition(row["topic"], row["partition"]) for row in rows})
                gone = [row for row in rows if _is_gone(row, ends)]
                former += len(gone)
                await admin.executemany(_KEEP_FORMER.format(s=service), [tuple(row)[:4] for row in gone])
                await admin.execute(f"DELETE FROM {service}.position")
                await admin.execute(f"DELETE FROM {service}.stopped_partition")
            # The books of landed records go on: a log that was made anew begins one of its own.
            return forgotten, former
    finally:
        await admin.close()


_POSITIONS = """
SELECT consumer_group, topic, partition, next_offset, reason
FROM {s}.position LEFT JOIN {s}.stopped_partition USING (consumer_group, topic, partition)
"""
_KEEP_FORMER = "INSERT INTO {s}.former_log (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4)"


def _is_gone(row: asyncpg.Record, ends: Mapping[TopicPartition, tuple[int, int]]) -> bool:
    if row["reason"] in OF_ANOTHER_LOG:
        return bool(row["next_offset"])
    _, end = ends.get(TopicPartition(row["topic"], row["partition"]), (0, 0))
    return bool(row["next_offset"] > end)


@contextmanager
def _stopped(screen: Screen, found: State, services: list[str]) -> Iterator[None]:
    """Stop the services, and start those that ran again: also where something fails in between."""
    parts = found.parts()
    ran = [name for name in services if name in parts]
    if (life := parts.get("life")) is not None and life.is_running():
        with screen.wait("the simulated state rests"):
            life.stop()
    with screen.wait(f"stopped: {', '.join(ran)}"):
        for name in ran:
            parts[name].stop()
    try:
        yield
    finally:
        with screen.wait(f"started: {', '.join(ran)}"):
            started = []
            for name in ran:
                part = part_from(found.services[name])
                assert isinstance(part, Process), "a service of this machine is a process"
                part.launch()
                found.services[name] = part.describe()
                found.save()
                started.append(part)
            for part in started:
                part.wait_ready(READY_WITHIN_SECONDS)


def _database_url(found: State, service: str) -> str:
    described = found.services.get(service)
    if described is None:
        raise BackupRefused(f"{service} was never started here: `leap up --no-demo` first lays everything out")
    return str(described["environment"]["LEAP_DATABASE_URL"])


def _take_back(screen: Screen, found: State, services: list[str]) -> dict[str, dict[str, int]]:
    told = {}
    for name in services:
        service = importlib.import_module(f"services.{name}.app").service
        if service.own_words is None:
            continue  # everything it says follows from what it reads, and it reads that again from its positions
        live_in_the_time_of(found.services[name]["environment"])
        with screen.wait(f"{name}: what it told since"):
            try:
                told[name] = asyncio.run(
                    take_back(
                        service,
                        broker=found.kafka(name),
                        database_url=_database_url(found, name),
                        zone=found.zone(),
                    )
                )
            except StillRunning as error:
                raise PartFailed(f"{error}; another machine or another checkout runs it") from None
    return told


def _say(screen: Screen, told: dict[str, dict[str, int]], *, made_at: str | None, chosen: Collection[str]) -> None:
    for service, counts in told.items():
        news = [f"{count:,} {what}" for what, count in counts.items() if count]
        screen.say(
            f"{service} had told, and knows again: {', '.join(news) if news else 'nothing that it did not know'}"
        )
    if made_at is not None:
        screen.say(
            f'\nWhat was never told is as it was on {made_at}: see deploy/RESTORE.md, "What does not come back".'
        )
        screen.say(f"What stood there before is kept as <service>{FORMER}; `leap restore --back` puts it back.")
    if "flagging" in chosen:
        screen.say(
            "Once `leap status` is well: `leap retell --all`. Others may show what flagging does not know any more."
        )
    screen.give({"told": told, "made_at": made_at})
