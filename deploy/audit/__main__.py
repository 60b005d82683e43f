"""The auditor as a process: `python -m deploy.audit`. One district after the other, round after round.

Told by the environment: LEAP_KAFKA_BOOTSTRAP_SERVERS, LEAP_DATABASE_URL (a login that reads flagging's tables and
nothing else; for one elsewhere LEAP_DATABASE_CA_FILE), LEAP_DISTRICTS_FILE, LEAP_HTTP_HOST and LEAP_HTTP_PORT for
/metrics; LEAP_AUDIT_EVERY_SECONDS, how long a round of all districts takes (600), and LEAP_AUDIT_SHARE of the school
days that it looks at (0.1).
"""

import asyncio
import os
import secrets
import signal
import time
from pathlib import Path

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from prometheus_client import start_http_server

from deploy.audit.logs import LogSilent
from deploy.audit.rounds import Auditor
from services.runtime.database_url import guarded_by_environment

PAUSE_SECONDS = 20.0
"""Between two looks at what disagrees: longer than a mark takes on its way."""

_AWAY = (KafkaError, LogSilent, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

log = structlog.get_logger("deploy.audit")


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
    auditor = Auditor(
        bootstrap=os.environ["LEAP_KAFKA_BOOTSTRAP_SERVERS"],
        database_url=guarded_by_environment(os.environ["LEAP_DATABASE_URL"]),
        districts_file=Path(os.environ["LEAP_DISTRICTS_FILE"]),
        share=float(os.environ.get("LEAP_AUDIT_SHARE", "0.1")),
        pause=PAUSE_SECONDS,
    )
    work = asyncio.create_task(audit(auditor, every_seconds=float(os.environ.get("LEAP_AUDIT_EVERY_SECONDS", "600"))))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    start_http_server(int(os.environ["LEAP_HTTP_PORT"]), os.environ.get("LEAP_HTTP_HOST", "127.0.0.1"))
    try:
        await work
    except asyncio.CancelledError:
        log.info("the auditor ends")


if __name__ == "__main__":
    asyncio.run(_run())
