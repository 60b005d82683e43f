"""The job before the services: roles and schemas, topics, and what each service alone may know. May run again.

`python -m deploy.containers.prepare`, with LEAP_KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL (an administrator's). What is
in the schemas is the next job's (migrate.py).
"""

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from contracts.services import SERVICES
from deploy.commands import districts, people, state
from deploy.commands.state import State
from deploy.local import create_topics, provision, provision_auditor, provision_onlooker
from deploy.local.database import lay_out, part_owners
from deploy.local.machine import write_whole
from deploy.local.parts import Given
from services.runtime.database_url import guarded_by_environment

T = TypeVar("T")

HTTP_PORT, OPERATIONS_PORT = 8000, 9000
RETRY_SECONDS, PATIENCE_SECONDS = 1.0, 60.0
KNOWN = Path("/run/leap")
"""A volume for each service, so that none can read another's login."""
LOGIN, SESSION_SECRET = "database-url", "session-secret"
OWNERS = "owners"
"""The volume of the jobs that migrate: a file for each service, with the login of its tables' owner."""


def main() -> None:
    """Leave everything as the services need it to start."""
    bootstrap, admin_url = (
        os.environ["LEAP_KAFKA_BOOTSTRAP_SERVERS"],
        guarded_by_environment(os.environ["DATABASE_URL"]),
    )
    _take_over_keys()
    # Districts and people of your own go into these volumes before; made-up ones only where there are none.
    _one_of(KNOWN / "districts" / "districts.json", districts.districts_file)
    _one_of(KNOWN / "people" / "people.json", people.people_file)
    _patiently(lambda: create_topics(bootstrap, districts.codes()))
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
    whole = State(broker=Given(bootstrap).describe(), database=Given(admin_url).describe(), services=services)
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
    seen = replace(whole, database=Given(onlooker.read_text()).describe())
    write_whole(operator / "state.json", json.dumps({name: getattr(seen, name) for name in seen.__slots__}, indent=1))
    declared = json.loads((KNOWN / "districts" / "districts.json").read_text())["districts"]
    told = {code: {"name": each.get("name", code)} for code, each in declared.items()}
    write_whole(operator / "districts.json", json.dumps({"districts": told}, indent=1))
    if (keys := state.folder() / "keys.json").exists():
        write_whole(operator / "keys.json", keys.read_text())
    (operator / "people.json").unlink(missing_ok=True)  # a release of before left it there


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
    main()
