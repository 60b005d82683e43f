"""The job before the services: roles, schemas, topics, users, rules, and what each one alone may know. May run again.

`python -m deploy.containers.prepare [rotate NAME]`, with LEAP_KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL (an
administrator's). `rotate` gives a service, a district, `auditor` or `leap` another password on the way: start what runs
with it again. What is in the schemas is the next job's (migrate.py).
"""

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from contracts.broker_users import AUDITOR, BROKER, OPERATOR, user_of
from contracts.services import SERVICES
from deploy.commands import districts, kafka, people, state
from deploy.commands.state import State
from deploy.containers.keys import CA
from deploy.kafka.layout import lay_out, renew
from deploy.local import provision, provision_auditor
from deploy.local.doors import Door, Passwords, client_properties, own_door
from deploy.local.machine import write_whole
from deploy.local.parts import Given

T = TypeVar("T")

HTTP_PORT = 8000
RETRY_SECONDS, PATIENCE_SECONDS = 1.0, 60.0
KNOWN = Path("/run/leap")
"""A volume for each service, so that none can read another's login."""
LOGIN, PASSWORD = "database-url", "kafka-password"
PASSWORDS = KNOWN / "passwords"
"""Everybody's, in a volume that this job alone mounts."""


def main(words: Sequence[str] = ()) -> None:
    """Leave everything as the services need it to start."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it warns of each password that opens nothing yet
    admin_url, door = os.environ["DATABASE_URL"], _door()
    # Districts and people of your own go into these volumes before; made-up ones only where there are none.
    _one_of(KNOWN / "districts" / "districts.json", districts.districts_file)
    _one_of(KNOWN / "people" / "people.json", people.people_file)
    if words:
        _rotate(door, words[1])
    _patiently(partial(_lay_out, door, admin_url))
    _hand_out(door)
    for service in SERVICES:
        _give_login(service, partial(_provision, admin_url, service))
    _give_login("auditor", partial(provision_auditor, admin_url))
    # For `leap status` and its like, run in the same network.
    State(
        broker=Given(door.administrator.bootstrap_servers).describe(),
        door=_for_the_operator(door).describe(),
        database=Given(admin_url).describe(),
        services={name: Given(f"http://{name}:{HTTP_PORT}").describe() for name in SERVICES},
    ).save()
    print(f"prepared: {len(districts.codes())} districts, {len(SERVICES)} services")


def _door() -> Door:
    address, ca = os.environ["LEAP_KAFKA_BOOTSTRAP_SERVERS"], KNOWN / "broker" / CA
    door = own_door(address, PASSWORDS, protocol="SASL_SSL", ca_file=ca)
    administrator = replace(door.administrator, password_file=KNOWN / "broker" / BROKER)
    return replace(door, administrator=administrator, copies=int(os.environ.get("KAFKA_REPLICATION_FACTOR", "1")))


async def _lay_out(door: Door, admin_url: str) -> None:
    drift = await lay_out(door, districts.codes(), database=kafka.database_named(admin_url))
    for line in drift.lines():
        print(f"not mended: {line}")


def _rotate(door: Door, name: str) -> None:
    user = user_of(name) if name in districts.codes() else name
    Passwords(PASSWORDS).renew(user)
    _patiently(lambda: renew(door, user))


def _hand_out(door: Door) -> None:
    """Leave each service its own password, and the operator its own and the districts', with the authority's name."""
    for service in (*SERVICES, AUDITOR):
        write_whole(KNOWN / service / PASSWORD, door.access(service).password())
        shutil.copyfile(KNOWN / "broker" / CA, KNOWN / service / CA)
    shutil.copyfile(KNOWN / "broker" / CA, state.folder() / CA)
    own = state.passwords()
    (own / "for-districts").mkdir(mode=0o700, parents=True, exist_ok=True)
    for user in (OPERATOR, *map(user_of, districts.codes())):
        write_whole(own / user, door.access(user).password())
    for district in districts.codes():
        text = client_properties(_for_the_operator(door), district, servers=os.environ.get("KAFKA_OUTSIDE"))
        write_whole(kafka.file_for(district, own), text)


def _for_the_operator(door: Door) -> Door:
    """Describe the way in that the operator's container has: it looks, and lays nothing out."""
    looking = replace(door.access(OPERATOR), password_file=state.passwords() / OPERATOR, ca_file=state.folder() / CA)
    return replace(door, administrator=looking, passwords=state.passwords())


def _give_login(service: str, lay_out: Callable[[], Coroutine[Any, Any, str]]) -> None:
    """Lay out the role and what it may see; a login that still opens stays."""
    login = KNOWN / service / LOGIN
    # A new password would shut out the service that runs with the old one.
    if not (login.exists() and _patiently(lambda: _opens(login.read_text()))):
        write_whole(login, _patiently(lay_out))


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
    if sys.argv[1:2] not in ([], ["rotate"]) or len(sys.argv) not in (1, 3):
        sys.exit("usage: python -m deploy.containers.prepare [rotate NAME]")
    main(sys.argv[1:])
