"""The job before the services: roles, schemas, topics, users, rules, and what each one alone may know. May run again.

`python -m deploy.containers.prepare [rotate NAME]`, with LEAP_KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL (an
administrator's). `rotate` gives a service, a district, `auditor` or `leap` another password on the way: start what runs
with it again. What is in the schemas is the next job's (migrate.py).
"""

import asyncio
import json
import logging
import os
import secrets
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
from deploy.kafka import layout
from deploy.local import provision, provision_auditor, provision_onlooker
from deploy.local.database import lay_out, part_owners
from deploy.local.doors import Door, Passwords, own_door
from deploy.local.machine import write_whole
from deploy.local.parts import Given
from services.runtime.database_url import guarded_by_environment

T = TypeVar("T")

HTTP_PORT, OPERATIONS_PORT = 8000, 9000
RETRY_SECONDS, PATIENCE_SECONDS = 1.0, 60.0
KNOWN = Path("/run/leap")
"""A volume for each service, so that none can read another's login."""
LOGIN, PASSWORD, SESSION_SECRET = "database-url", "kafka-password", "session-secret"
OWNERS = "owners"
"""The volume of the jobs that migrate: a file for each service, with the login of its tables' owner."""
ALL_PASSWORDS = "passwords"
"""Everybody's on the broker, in a volume that this job and the administrator alone mount."""
SENDERS = "senders"
"""Those of the districts, for whoever sends in their place: a simulated state."""


def main(words: Sequence[str] = ()) -> None:
    """Leave everything as the services need it to start."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it warns of each password that opens nothing yet
    admin_url, door = guarded_by_environment(os.environ["DATABASE_URL"]), _door()
    _take_over_keys()
    # Districts and people of your own go into these volumes before; made-up ones only where there are none.
    _one_of(KNOWN / "districts" / "districts.json", districts.districts_file)
    _one_of(KNOWN / "people" / "people.json", people.people_file)
    if words:
        _rotate(door, words[1])
    _patiently(partial(_lay_out, door, admin_url))
    _hand_out(door)
    for service in SERVICES:
        _patiently(partial(lay_out, admin_url, [service]))
        _give_session_secret(KNOWN / service / SESSION_SECRET)
        _give_login(service, partial(_provision, admin_url, service))
    # Nobody but the jobs that migrate owns tables, and only they can read how to become who does.
    for service, owner in _patiently(partial(part_owners, admin_url, SERVICES)).items():
        write_whole(KNOWN / OWNERS / service, owner)
    _give_login("auditor", partial(provision_auditor, admin_url))
    services = {
        name: Given(f"http://{name}:{HTTP_PORT}", operations=f"http://{name}:{OPERATIONS_PORT}").describe()
        for name in SERVICES
    }
    whole = State(
        broker=Given(door.administrator.bootstrap_servers).describe(),
        door=door.describe(),
        database=Given(admin_url).describe(),
        services=services,
    )
    whole.save()
    _give_operator(whole, admin_url)
    print(f"prepared: {len(districts.codes())} districts, {len(SERVICES)} services")


def _take_over_keys() -> None:
    """Keep the keys that a release of before left with the operator alone."""
    keys = KNOWN / "operator" / "keys.json"
    if keys.exists() and not (state.folder() / keys.name).exists():
        write_whole(state.folder() / keys.name, keys.read_text())


def _give_operator(whole: State, admin_url: str) -> None:
    """Leave `leap status` and the simulated state what they need: no administrator, no secret, no district's token.

    What needs more is run by the administrator, in a container of that name.
    """
    operator = KNOWN / "operator"
    onlooker = operator / LOGIN
    _keep_login(onlooker, lambda: provision_onlooker(admin_url))
    looking = _for_the_operator(whole.broker_door())
    seen = replace(whole, database=Given(onlooker.read_text()).describe(), door=looking.describe())
    write_whole(operator / "state.json", json.dumps({name: getattr(seen, name) for name in seen.__slots__}, indent=1))
    declared = json.loads((KNOWN / "districts" / "districts.json").read_text())["districts"]
    told = {code: {"name": each.get("name", code)} for code, each in declared.items()}
    write_whole(operator / "districts.json", json.dumps({"districts": told}, indent=1))
    if (keys := state.folder() / "keys.json").exists():
        write_whole(operator / "keys.json", keys.read_text())
    (operator / "people.json").unlink(missing_ok=True)  # a release of before left it there


def _door() -> Door:
    address, ca = os.environ["LEAP_KAFKA_BOOTSTRAP_SERVERS"], KNOWN / "broker" / CA
    door = own_door(address, KNOWN / ALL_PASSWORDS, protocol="SASL_SSL", ca_file=ca)
    administrator = replace(door.administrator, password_file=KNOWN / "broker" / BROKER)
    return replace(door, administrator=administrator, copies=int(os.environ.get("KAFKA_REPLICATION_FACTOR", "1")))


async def _lay_out(door: Door, admin_url: str) -> None:
    drift = await layout.lay_out(door, districts.codes(), database=kafka.database_named(admin_url))
    for line in drift.lines():
        print(f"not mended: {line}")


def _rotate(door: Door, name: str) -> None:
    user = user_of(name) if name in districts.codes() else name
    Passwords(KNOWN / ALL_PASSWORDS).renew(user)
    _patiently(lambda: layout.renew(door, user))


def _hand_out(door: Door) -> None:
    """Leave each service its own password, the operator its own, and whoever sends for districts theirs."""
    for service in (*SERVICES, AUDITOR):
        write_whole(KNOWN / service / PASSWORD, door.access(service).password())
        shutil.copyfile(KNOWN / "broker" / CA, KNOWN / service / CA)
    own, senders = KNOWN / "operator" / state.passwords().name, KNOWN / SENDERS
    own.mkdir(mode=0o700, exist_ok=True)
    for folder in (own, senders):
        write_whole(folder / OPERATOR, door.access(OPERATOR).password())
    shutil.copyfile(KNOWN / "broker" / CA, KNOWN / "operator" / CA)
    for user in map(user_of, districts.codes()):
        write_whole(senders / user, door.access(user).password())
    kafka.tell_districts(door, districts.codes())


def _for_the_operator(door: Door) -> Door:
    """Describe the way in that the operator's container has, in its own volume: it looks, and lays nothing out."""
    looking = replace(door.access(OPERATOR), password_file=state.passwords() / OPERATOR, ca_file=state.folder() / CA)
    return replace(door, administrator=looking, passwords=state.passwords())


def _give_login(service: str, lay_out: Callable[[], Coroutine[Any, Any, str]]) -> None:
    """Give the service a login; one that still opens stays."""
    _keep_login(KNOWN / service / LOGIN, lay_out)


def _keep_login(login: Path, lay_out: Callable[[], Coroutine[Any, Any, str]]) -> None:
    # A new password would shut out whoever runs with the old one.
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
    if sys.argv[1:2] not in ([], ["rotate"]) or len(sys.argv) not in (1, 3):
        sys.exit("usage: python -m deploy.containers.prepare [rotate NAME]")
    main(sys.argv[1:])
