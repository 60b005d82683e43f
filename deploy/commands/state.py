"""What `leap up` left behind for the commands after it: `.leap/state.json`, in the checkout and nowhere else."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from contracts.broker_users import OPERATOR
from deploy.local import HTTP_PORTS
from deploy.local.doors import Door, door_from, open_door
from deploy.local.found import part_from
from deploy.local.machine import checkout, write_whole
from deploy.local.parts import Part
from services.runtime.broker_access import Access
from services.runtime.settings import zone_from


def passwords() -> Path:
    """Give the folder of the broker's passwords, a file for each user."""
    return folder() / "kafka-users"


class NotRunning(Exception):
    """Nothing runs in this checkout: start it with `leap up`."""

    def __init__(self) -> None:
        super().__init__("nothing runs in this checkout; `leap up` starts it")


def folder() -> Path:
    """Give the folder that holds everything `leap` writes."""
    return checkout() / ".leap"


class HalfStarted(NotRunning):
    """Some parts run and others don't: a start or a stop was broken off, or is under way. `leap up` finishes it."""

    def __init__(self, missing: list[str]) -> None:
        Exception.__init__(self, f"half-started: {', '.join(missing)} missing; `leap up` starts the rest")
        self.missing = missing


@dataclass(slots=True)
class State:
    """The parts as described when they were started, and whether the demonstration has been sent."""

    broker: dict[str, Any] | None = None
    database: dict[str, Any] | None = None
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    demo: dict[str, Any] | None = None
    observers: dict[str, dict[str, Any]] = field(default_factory=dict)
    life: dict[str, Any] | None = None
    auditor: dict[str, Any] | None = None
    door: dict[str, Any] | None = None
    """How the broker is reached, and where the passwords lie; None: it was started by a release that asked nobody."""

    def save(self) -> None:
        """Write the state where the next command finds it; nobody else on the machine may read it."""
        folder().mkdir(exist_ok=True)
        write_whole(_file(), json.dumps({name: getattr(self, name) for name in self.__slots__}, indent=1))

    def parts(self) -> dict[str, Part]:
        """Find every part again, in the order in which they are stopped: who sends, services, the rest."""
        described = {
            "life": self.life,
            **self.services,
            "auditor": self.auditor,
            **self.observers,
            "broker": self.broker,
            "database": self.database,
        }
        return {name: part_from(each) for name, each in described.items() if each is not None}

    def is_complete(self) -> bool:
        """Tell whether everything that serves was started and still runs, watched and lived in or not."""
        parts = {name: part for name, part in self.parts().items() if name not in (*self.observers, "life", "auditor")}
        return (
            len(self.services) > 0
            and self.asks_who_comes()
            and {"broker", "database"} <= parts.keys()
            and all(part.is_running() for part in parts.values())
        )

    def missing(self) -> list[str]:
        """Name what serves and was never started, and a broker or a database that doesn't run any more."""
        parts = self.parts()
        stopped = [name for name in ("broker", "database") if name not in parts or not parts[name].is_running()]
        return stopped + [name for name in HTTP_PORTS if name not in self.services]

    def bootstrap(self) -> str:
        """Give the broker's address. Raises NotRunning."""
        return _address(self.broker)

    def broker_door(self) -> Door:
        """Give the ways into the broker. Raises NotRunning."""
        return open_door(self.bootstrap()) if self.door is None else door_from(self.door)

    def kafka(self, user: str = OPERATOR) -> Access:
        """Give the user's way into the broker; the operator's, who looks at everything. Raises NotRunning."""
        return self.broker_door().access(user)

    def kafka_of_district(self, district: str) -> Access:
        """Give a district's own way into the broker. Raises NotRunning."""
        return self.broker_door().district(district)

    def asks_who_comes(self) -> bool:
        """Tell whether the broker, where it is ours, lets nobody in unasked."""
        return self.door is not None or (self.broker is not None and self.broker["kind"] == "given")

    def admin_url(self) -> str:
        """Give the administrator's URL of the database. Raises NotRunning."""
        return _address(self.database)

    def zone(self) -> ZoneInfo:
        """Give the zone in which the services count days: the one they were started with."""
        started = [each["environment"] for each in self.services.values() if "environment" in each]
        return zone_from(started[0]) if started else zone_from()

    def address_of(self, service: str) -> str:
        """Give the service's HTTP address. Raises NotRunning."""
        return _address(self.services.get(service))

    def operations_of(self, service: str) -> str:
        """Give the address on which machines ask the service. Raises NotRunning."""
        described = self.services.get(service) or {}
        return str(described.get("operations") or self.address_of(service))


def load() -> State:
    """Read the state; an empty one where nothing was ever started."""
    if not _file().exists():
        return State()
    return State(**json.loads(_file().read_text()))


def load_running() -> State:
    """Read the state of what runs. Raises NotRunning where the broker or the database doesn't: HalfStarted for one."""
    state = load()
    missing = state.missing()
    if {"broker", "database"}.isdisjoint(missing):
        return state
    if any(part.is_running() for part in state.parts().values()):
        raise HalfStarted(missing)
    raise NotRunning


def load_whole() -> State:
    """Read the state of a stack that was started as a whole, what died since included. Raises NotRunning."""
    state = load_running()
    if missing := state.missing():
        raise HalfStarted(missing)
    return state


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep a second `up` or `down` of the same checkout waiting until the first has ended."""
    folder().mkdir(exist_ok=True)
    with (folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _address(described: dict[str, Any] | None) -> str:
    if described is None:
        raise NotRunning
    return str(described["address"])


def _file() -> Path:
    return folder() / "state.json"
