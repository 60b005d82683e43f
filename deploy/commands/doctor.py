"""`leap doctor`: what this machine has, what it lacks, and what to do about it."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import psutil

from deploy.commands import state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.local import HTTP_PORTS, broker, containers, postgres
from deploy.local.machine import checkout
from deploy.local.parts import PartMissing, is_free

NEEDED_MEMORY_MB = 2_000
NEEDED_DISK_MB = 2_000
_MB = 1024 * 1024
_CLOSE_IT = "Give it SASL_SSL and an authorizer, and name its administrator by KAFKA_USER and its like (README)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `needed` is false where something else will do."""

    name: str
    good: bool
    told: str
    needed: bool = True


def doctor(screen: Screen) -> int:
    """Look at the machine and change nothing; 0 where `leap up` has what it needs, else 1."""
    findings = list(_look())
    screen.give({"findings": [asdict(finding) for finding in findings]})
    for finding in findings:
        screen.say(f" {'✓' if finding.good else '✗' if finding.needed else '·'} {finding.name}: {finding.told}")
    return 0 if all(finding.good for finding in findings if finding.needed) else 1


def _who_comes(found: State) -> Finding:
    door = found.broker_door()
    if not door.has_users:
        told = "the broker asks nobody who they are: whoever reaches it reads every family's address. "
        told += "Stop it and `leap up`" if found.broker and found.broker["kind"] != "given" else _CLOSE_IT
        return Finding(name="Kafka's door", good=False, told=told, needed=False)
    assert door.passwords is not None
    loose = [file.name for file in door.passwords.rglob("*") if stat.S_IMODE(file.stat().st_mode) & 0o077]
    told = (
        f"others can read the passwords of {', '.join(loose)}: `leap kafka rotate` each" if loose else "asks who comes"
    )
    encrypted = "" if door.administrator.is_encrypted else ", not encrypted: for this machine's own address alone"
    return Finding(name="Kafka's door", good=not loose, told=told + encrypted, needed=False)


def _look() -> Iterator[Finding]:
    yield Finding(name="Python", good=sys.version_info >= (3, 11), told=sys.version.split()[0])
    docker = containers.daemon_answers()
    yield Finding(name="Docker", good=docker, told="answers" if docker else "no daemon answers", needed=False)

    given_broker, given_database = os.environ.get("KAFKA_BOOTSTRAP_SERVERS"), os.environ.get("DATABASE_URL")
    root_installs = os.geteuid() == 0 and shutil.which("apt-get") is not None
    java, maven = broker.installed_java(), shutil.which("mvn")
    yield Finding(
        name="Kafka",
        good=bool(given_broker or docker or (java and maven) or root_installs),
        told="given by KAFKA_BOOTSTRAP_SERVERS"
        if given_broker
        else f"Java {java or 'missing'}, Maven {maven or 'missing'}"
        + ("" if java and maven else "; `leap up` installs it" if root_installs else f". {broker.WAYS_OUT}"),
    )
    try:
        programs = "given by DATABASE_URL" if given_database else str(postgres.postgres_programs())
        yield Finding(name="PostgreSQL", good=True, told=programs)
    except PartMissing as missing:
        yield Finding(name="PostgreSQL", good=docker, told=str(missing))

    memory = psutil.virtual_memory().available // _MB
    yield Finding(name="memory", good=memory >= NEEDED_MEMORY_MB, told=f"{memory:,} MB free")
    disk = shutil.disk_usage(checkout()).free // _MB
    yield Finding(name="disk", good=disk >= NEEDED_DISK_MB, told=f"{disk:,} MB free")
    found = state.load()
    if found.broker is not None:
        yield _who_comes(found)
    if found.services:
        down = [name for name, part in found.parts().items() if not part.is_running()]
        yield Finding(name="parts", good=not down, told=f"down: {', '.join(down)}" if down else "all run", needed=False)
    else:
        busy = [str(port) for port in HTTP_PORTS.values() if not is_free(port)]
        told = f"busy: {', '.join(busy)}; `leap up` moves to others" if busy else "free"
        yield Finding(name="ports", good=not busy, told=told, needed=False)
