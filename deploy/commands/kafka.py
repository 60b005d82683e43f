"""`leap kafka`: who may read and write what on the broker, held against the contract, mended; passwords renewed."""

import asyncio
import os
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiokafka.errors import KafkaError

from contracts import broker_users as contract
from contracts.services import SERVICES
from deploy.commands import districts, state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.kafka import layout
from deploy.kafka.compare import Drift
from deploy.local.doors import Door, Passwords, client_properties
from deploy.local.found import part_from
from deploy.local.machine import write_whole
from deploy.local.parts import Given, Part, PartFailed, Process

WELL, NOT_WELL = 0, 1
_OPEN = (
    "  This broker asks nobody who they are: whoever reaches it reads every family's address and writes any district's"
    ' attendance. See README, "Who may read and write what".'
)


class NotAUser(Exception):
    """The message lists the users there are."""


def check(screen: Screen) -> int:
    """Name every difference between the contract and the broker, and change nothing; exit code 1 where there is any."""
    found = state.load_running()
    drift = _asked(layout.compare(found.broker_door(), districts.codes(), database=database_of(found)))
    return _tell(screen, drift, "users, rules, quotas and topics are as the contract says")


def apply(screen: Screen) -> int:
    """Mend every difference; exit code 1 where one is left that can't be mended without harm."""
    found = state.load_running()
    with state.one_at_a_time(), screen.wait("users, rules, quotas and topics"):
        drift = _lay_out(found)
    return _tell(screen, drift, "users, rules, quotas and topics are as the contract says")


def rotate(screen: Screen, *, name: str) -> int:
    """Give a service, a district, the auditor or the operator another password; what runs with it starts again.

    Raises NotAUser. Ended anywhere it can be repeated; `leap kafka apply` does the rest too.
    """
    found = state.load_running()
    door = found.broker_door()
    user = _user(name, door)
    with state.one_at_a_time(), screen.wait(f"another password for {user}"):
        assert door.passwords is not None
        if isinstance(_part_of(found, user), Given):
            raise NotAUser(f"{user} runs elsewhere and would be shut out: the job that prepares it gives another one")
        Passwords(door.passwords).renew(user)
        asyncio.run(layout.renew(door, user))
        tell_districts(door, districts.codes())
        started = _start_again(found, user)
    screen.give({"user": user, "file": str(door.passwords / user), "started_again": started})
    screen.say(f"{user} has another password: {door.passwords / user}")
    if user.startswith(contract.DISTRICT):
        screen.say(f"Give {file_for(name, door.passwords)} to {name}: until then what it sends is refused.")
    return WELL


def lay_out_whole(screen: Screen, found: State) -> None:
    """Make and mend everything, as `leap up` does before any service starts. Raises PartFailed."""
    drift = _lay_out(found)
    for line in drift.lines():
        screen.step(f"Kafka, not mended: {line}")


def mend_what_drifted(screen: Screen, found: State) -> None:
    """Name what is different on a broker that was laid out before, and mend it. Raises PartFailed."""
    drift = _asked(layout.compare(found.broker_door(), districts.codes(), database=database_of(found)))
    for line in drift.lines():
        screen.step(f"Kafka: {line}")
    if drift.lines():
        lay_out_whole(screen, found)


def database_of(found: State) -> str:
    """Name the database that keeps the services' outboxes."""
    return database_named(found.admin_url())


def database_named(url: str) -> str:
    """Name the database of a URL."""
    return urlsplit(url).path.lstrip("/") or "postgres"


def file_for(district: str, passwords: Path) -> Path:
    """Give the file that a district's own program is given."""
    return passwords / "for-districts" / f"{district}.properties"


def how_a_district_connects() -> str:
    """Say where a district's own way to the broker stands."""
    return f"a district's own way in: {file_for('<district>', state.passwords().relative_to(state.folder().parent))}"


def _lay_out(found: State) -> Drift:
    door = found.broker_door()
    drift = _asked(layout.lay_out(door, districts.codes(), database=database_of(found)))
    tell_districts(door, districts.codes())
    return drift


def tell_districts(door: Door, codes: Iterable[str]) -> None:
    """Write for each district the file that its own program is given, with the address that KAFKA_OUTSIDE names."""
    if door.passwords is not None:
        file_for("", door.passwords).parent.mkdir(mode=0o700, exist_ok=True)
        for district in codes:
            text = client_properties(door, district, servers=os.environ.get("KAFKA_OUTSIDE"))
            write_whole(file_for(district, door.passwords), text)


def _start_again(found: State, user: str) -> list[str]:
    # A client keeps the password that it began with: its connections last, and the next one is refused.
    part = _part_of(found, user)
    if not isinstance(part, Process) or not part.is_running():
        return []
    part.stop()
    part.launch()
    if user == contract.AUDITOR:
        found.auditor = part.describe()
    else:
        found.services[user] = part.describe()
    found.save()
    part.wait_ready()
    return [user]


def _part_of(found: State, user: str) -> Part | None:
    described = found.auditor if user == contract.AUDITOR else found.services.get(user)
    return part_from(described) if described is not None else None


def _user(name: str, door: Door) -> str:
    if not door.has_users:
        raise NotAUser(
            "this broker has no users of ours: everybody goes in as they were given (KAFKA_USER), or as nobody"
        )
    codes = districts.codes()
    if name in codes:
        return contract.user_of(name)
    if name in contract.users(codes):
        return name
    raise NotAUser(
        f"nobody is called {name}; there are {', '.join((*SERVICES, contract.AUDITOR, contract.OPERATOR))}"
        f" and the districts {', '.join(codes)}"
    )


def _tell(screen: Screen, drift: Drift, well: str) -> int:
    lines = drift.lines()
    screen.give({"drift": lines, "asks_who_comes": drift.authorizes})
    for line in lines:
        screen.say(line)
    if not drift.authorizes:
        screen.say(_OPEN)
    if not lines:
        screen.say(well)
    return NOT_WELL if lines else WELL


def _asked(work: Coroutine[Any, Any, Drift]) -> Drift:
    try:
        return asyncio.run(work)
    except (KafkaError, OSError, TimeoutError) as error:
        raise PartFailed(f"the broker could not be asked: {type(error).__name__}; see `leap logs kafka`") from None
