"""The job before the services: roles and schemas, topics, and what each service alone may know. May run again.

`python -m deploy.containers.prepare`, with LEAP_KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL (an administrator's). What is
in the schemas is the next job's (migrate.py).
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from contracts.services import SERVICES
from deploy.commands import districts, people, state
from deploy.commands.state import State
from deploy.local import create_topics, provision, provision_auditor
from deploy.local.machine import write_whole
from deploy.local.parts import Given

T = TypeVar("T")

HTTP_PORT = 8000
RETRY_SECONDS, PATIENCE_SECONDS = 1.0, 60.0
KNOWN = Path("/run/leap")
"""A volume for each service, so that none can read another's login."""
LOGIN, SESSION_SECRET = "database-url", "session-secret"


def main() -> None:
    """Leave everything as the services need it to start."""
    bootstrap, admin_url = os.environ["LEAP_KAFKA_BOOTSTRAP_SERVERS"], os.environ["DATABASE_URL"]
    # Districts and people of your own go into these volumes before; made-up ones only where there are none.
    _one_of(KNOWN / "districts" / "districts.json", districts.districts_file)
    _one_of(KNOWN / "people" / "people.json", people.people_file)
    _patiently(lambda: create_topics(bootstrap, districts.codes()))
    for service in SERVICES:
        _give_session_secret(KNOWN / service / SESSION_SECRET)
        _give_login(service, partial(_provision, admin_url, service))
    _give_login("auditor", partial(provision_auditor, admin_url))
    # For `leap status` and its like, run in the same network.
    State(
        broker=Given(bootstrap).describe(),
        database=Given(admin_url).describe(),
        services={name: Given(f"http://{name}:{HTTP_PORT}").describe() for name in SERVICES},
    ).save()
    print(f"prepared: {len(districts.codes())} districts, {len(SERVICES)} services")


def _give_login(service: str, lay_out: Callable[[], Coroutine[Any, Any, str]]) -> None:
    """Lay out the role and what it may see; a login that still opens stays."""
    login = KNOWN / service / LOGIN
    # A new password would shut out the service that runs with the old one.
    if not (login.exists() and _patiently(lambda: _opens(login.read_text()))):
        write_whole(login, _patiently(lay_out))


def _give_session_secret(file: Path) -> None:
    """Make what signs the service's sessions; one that is there stays, or everybody would have to sign in again."""
    if not file.exists():
        write_whole(file, secrets.token_hex(32))


async def _provision(admin_url: str, service: str) -> str:
    return (await provision(admin_url, [service]))[service]


async def _opens(login: str) -> bool:
    try:
        connection = await asyncpg.connect(login)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await connection.close()
    return True


def _patiently(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # Healthy is what listens; it may still be starting up behind that.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return asyncio.run(ask())
        except (OSError, KafkaError, asyncpg.CannotConnectNowError):
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def _one_of(given: Path, made_up: Callable[[], Path]) -> None:
    """Leave the same file with the services and with the operator, what was given before what is made up."""
    if given.exists():
        write_whole(state.folder() / given.name, given.read_text())
    else:
        write_whole(given, made_up().read_text())


if __name__ == "__main__":
    main()
