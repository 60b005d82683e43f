"""The auditor as a process: `python -m deploy.audit`. One district after the other, round after round.

Told by the environment: LEAP_KAFKA_BOOTSTRAP_SERVERS and how to sign in there, LEAP_DATABASE_URL (a login that reads
flagging's tables and nothing else; for one elsewhere LEAP_DATABASE_CA_FILE), LEAP_DISTRICTS_FILE, LEAP_HTTP_HOST and
LEAP_HTTP_PORT for /metrics; LEAP_AUDIT_EVERY_SECONDS, how long a round of all districts takes (600), and
LEAP_AUDIT_SHARE of the school days that it looks at (0.1).
"""

import asyncio
import secrets
import signal
import sys
import time
from pathlib import Path

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from prometheus_client import start_http_server

from deploy.audit.logs import LogSilent
from deploy.audit.rounds import Auditor
from services.runtime.settings import Settings, SettingsRejected

PAUSE_SECONDS = 20.0
"""Between two looks at what disagrees: longer than a mark takes on its way."""

_AWAY = (KafkaError, LogSilent, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

log = structlog.get_logger("deploy.audit")


class AuditSettings(Settings):
    """What a service is told, and what is the auditor's own."""

    districts_file: Path
    audit_share: float = 0.1
    audit_every_seconds: float = 600.0


async def audit(auditor: Auditor, *, every_seconds: float) -> None:
    """Recount the districts in turn, until cancelled. Whoever can't be asked just now is asked in the next round."""
    while True:
        seed = secrets.token_bytes(16)  # nobody knows beforehand which days are looked at
        for district in auditor.districts:
            began = time.monotonic()
            try:
                await auditor.recount(district, seed=seed)
            except _AWAY as error:
                log.warning("not recounted", district=district, error=type(error).__name__)
            await asyncio.sleep(max(0.0, every_seconds / len(auditor.districts) - (time.monotonic() - began)))


async def _run() -> None:
    settings = AuditSettings.from_environment()
    auditor = Auditor(
        broker=settings.kafka,
        database_url=settings.database_url,
        districts_file=settings.districts_file,
        share=settings.audit_share,
        pause=PAUSE_SECONDS,
    )
    work = asyncio.create_task(audit(auditor, every_seconds=settings.audit_every_seconds))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    start_http_server(settings.http_port, settings.http_host)
    try:
        await work
    except asyncio.CancelledError:
        log.info("the auditor ends")


if __name__ == "__main__":
    try:
        asyncio.run(_run())
    except SettingsRejected as problem:
        sys.exit(f"the auditor: {problem}")
