"""A service's restored tables learn again what it told since: `python -m services.runtime.rebuild.take_back NAME`.

For after a backup was put back, while the service is stopped; its environment is the service's own. It may be repeated:
what is known is not taken back twice.
"""

import asyncio
import importlib
import json
import sys
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from services.runtime import clock
from services.runtime.broker_access import Broker
from services.runtime.database import Connection
from services.runtime.delivery.own_words import Topics
from services.runtime.delivery.positions import lock_all
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.transaction import Transaction
from services.runtime.migrate import migrate
from services.runtime.service import Service
from services.runtime.settings import SettingsRejected

_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
"""
_WAITING = "SELECT event_id FROM outbox"
_DROP = "DELETE FROM outbox WHERE event_id = ANY ($1::uuid[])"


class StillRunning(Exception):
    """The service must be stopped first: it would write what it does not know yet."""


async def take_back(service: Service, *, broker: Broker, database_url: str, zone: ZoneInfo) -> dict[str, int]:
    """Let the service's tables know again what its topics tell, and count what they did not know.

    What waits to be told and stands on a topic already is dropped: told again it would stand behind what is newer.
    Raises StillRunning.
    """
    own = service.own_words
    if own is None:
        return {}
    connection = await asyncpg.connect(
        database_url, server_settings={"timezone": "UTC", "jit": "off", "leap.time_zone": zone.key}
    )
    try:
        await migrate(connection, service.migrations)
        if await connection.fetchval(_OTHERS, f"leap {service.name}"):
            raise StillRunning(f"{service.name} runs: stop it, then let it take back what it told")
        topics = Topics(broker)
        async with connection.transaction():
            await lock_all(connection)
            nobody = Publisher(broker, source=service.name)  # what is told goes by the outbox
            tx = Transaction(connection, nobody, zone=zone)
            repeated = await _told_already(connection, topics, own.topics)
            found = await own.take_back(tx, topics)
            await tx.flush()
            return found | ({"waiting to be told, and told already": repeated} if repeated else {})
    finally:
        await connection.close()


async def _told_already(connection: Connection, topics: Topics, own: tuple[str, ...]) -> int:
    waiting = {str(row["event_id"]) for row in await connection.fetch(_WAITING)}
    if not waiting:
        return 0
    told: set[str] = set()
    async for records in topics.read(own):
        told |= waiting & {_event_id(record.headers) for record in records}
    await connection.execute(_DROP, sorted(told))
    return len(told)


def _event_id(headers: Any) -> str:
    return next((value.decode(errors="replace") for name, value in headers if name == "ce_id" and value), "")


def main(words: list[str]) -> int:
    """Take back what the named service told, by its own environment, and say as JSON what was found."""
    if len(words) != 1:
        sys.stderr.write("usage: python -m services.runtime.rebuild.take_back NAME\n")
        return 2
    service: Service = importlib.import_module(f"services.{words[0]}.app").service
    try:
        settings = service.settings.from_environment()
        clock.use(settings.clock_file)
        found = asyncio.run(
            take_back(
                service,
                broker=settings.kafka,
                database_url=settings.database_url,
                zone=settings.zone,
            )
        )
    except (SettingsRejected, StillRunning) as error:
        sys.stderr.write(f"{words[0]}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
