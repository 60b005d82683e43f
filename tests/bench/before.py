"""The worker of before rolls, as a contestant: the code of one commit, laid out from git, on a schema of its own."""

import asyncio
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from contracts.events import Event
from deploy.local import Process, free_port
from deploy.local.machine import checkout
from tests.bench.contestant import ContestantFailed
from tests.bench.machine import Ground
from tests.bench.peer_setup import PeerMissing

COMMIT = "1590354fedd36bcd5d6a3b30cb31a677367fd787"
"""The last one whose flagging kept a row for each mark."""

# Run by the former code, which knows how its own facts reach it: the roster is in before anything is timed.
_ENROL = """
import asyncio, sys
import asyncpg
from pydantic import TypeAdapter
from contracts.events import EnrollmentChanged, SchoolCalendarChanged
from tests.component.flagging.builders import Feeder

async def main(url, file):
    facts = TypeAdapter(list[EnrollmentChanged | SchoolCalendarChanged]).validate_json(open(file, "rb").read())
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await Feeder(pool).feed(facts)
        await pool.execute("DELETE FROM position")

asyncio.run(main(*sys.argv[1:]))
"""


def lay_out(folder: Path) -> Path:
    """Lay the former code out in a folder of its own, once. Raises PeerMissing where git doesn't have the commit."""
    code = folder / f"code-{COMMIT[:7]}"
    if code.exists():
        return code
    try:
        archive = subprocess.run(["git", "archive", COMMIT], cwd=checkout(), capture_output=True, check=False)
    except FileNotFoundError:
        raise PeerMissing("the worker of before can't be had here: git is not installed") from None
    if archive.returncode:
        reason = archive.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["git has no such commit"]
        raise PeerMissing(f"the worker of before can't be had here: {reason[0]}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(code, filter="data")
    return code


async def enrol(code: Path, url: str, facts: Iterable[Event], folder: Path) -> None:
    """Enrol students in the former schema, through the former code's own handler."""
    file = folder / "roster-of-before.json"
    file.write_text("[" + ",".join(fact.model_dump_json(exclude_none=True) for fact in facts) + "]")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ENROL, url, str(file), cwd=code,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode:
        raise ContestantFailed(f"the worker of before could not be enrolled: {said.decode()[-1000:]}")


def start_worker(code: Path, *, ground: Ground, database_url: str, clock: Path) -> Process:
    """Start the former flagging and return before it is ready."""
    port = free_port()
    process = Process(
        name="flagging",
        address=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "services.runtime.service", "flagging"],
        environment={
            "LEAP_KAFKA_BOOTSTRAP_SERVERS": ground.broker.address,
            "LEAP_DATABASE_URL": database_url,
            "LEAP_HTTP_PORT": str(port),
            "LEAP_CLOCK_FILE": str(clock),
            "LEAP_PEOPLE_FILE": str(ground.people_file),
        },
        log=ground.folder / "flagging-of-before.log",
        folder=code,
        ready_url=f"http://127.0.0.1:{port}/readyz",
    )
    process.launch()
    return process
