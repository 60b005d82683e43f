"""Releases of the history: schemas from the list of what was released, code from git where git has it."""

import asyncio
import hashlib
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import asyncpg

from contracts.services import SERVICES
from deploy.local import Process, free_port
from deploy.local.machine import checkout
from tests.component.runtime.test_databases_of_before import LEDGER, files_of
from tests.pipeline.stack import Stack

_LIST = "contracts/released/list.sha256"

NO_WAY_BACK = {
    # A completed roll is stored with where it landed, in a form that the flagging of before takes for another one: it
    # would set every roll aside. That came without a file of its own; this one came after it.
    "flagging/0009_the_standard_policy.sql",
}
"""What the release before can't go on with; said in the CHANGELOG under "No way back"."""


class NoHistory(Exception):
    """Git can't give the code of the release before; the message is the reason."""


async def lay_out_oldest(stack: Stack) -> None:
    """Make every service's schema as its first release did."""
    for service in SERVICES:
        own = "0001.1" if service == "flagging" else "0001"
        async with stack.sql(service) as connection:
            await run_by_hand(connection, files_of(service, "0001", own))


async def run_by_hand(connection: "asyncpg.Connection[asyncpg.Record]", files: list[tuple[str, bytes]]) -> None:
    """Run files and remember them, as the program of then did."""
    await connection.execute(LEDGER)
    for name, text in files:
        await connection.execute(text.decode())
        digest = hashlib.sha256(text).hexdigest()
        await connection.execute("INSERT INTO migration (name, digest) VALUES ($1, $2)", name, digest)


def code_of_the_release_before(folder: Path) -> Path:
    """Lay out the code that was released last before this commit. Raises NoHistory."""
    commits = _git("log", "-2", "--format=%H", "--", _LIST).decode().split()
    before = [commit for commit in commits if commit != _git("rev-parse", "HEAD").decode().strip()]
    if not before:
        raise NoHistory("git knows no release before this commit")
    code = folder / "code"
    with tarfile.open(fileobj=BytesIO(_git("archive", before[0]))) as files:
        files.extractall(code, filter="data")
    return code


def without_a_way_back(code: Path) -> set[str]:
    """Name the services that can't be put back from the newest files to that code."""
    gone = {name for name in NO_WAY_BACK if not (code / "services" / name.replace("/", "/migrations/")).exists()}
    return {name.partition("/")[0] for name in gone}


async def migrate_by_job(stack: Stack, service: str, stage: str) -> None:
    """Run what the newest release adds (`pre`) or takes away (`post`), as where jobs do it around the services."""
    job = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.runtime.migrate", service, stage,
        cwd=checkout(), env={**os.environ, "LEAP_DATABASE_URL": stack.urls[service]},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await job.communicate()
    assert job.returncode == 0, said.decode(errors="replace")


def start_before(stack: Stack, code: Path, name: str) -> Process:
    """Start a service of the release before, ready or not, where the newest one of this name has been."""
    if (newest := stack.processes.get(name)) is not None:
        newest.stop()
    port, operations = free_port(), None
    # A release that knows no port of its own for machines refuses to be told of one.
    if "operations_port" in (code / "services/runtime/settings.py").read_text():
        operations = free_port()
    process = Process(
        name=name,
        address=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "services.runtime.service", name],
        environment={
            "LEAP_KAFKA_BOOTSTRAP_SERVERS": stack.broker.address,
            "LEAP_DATABASE_URL": stack.urls[name],
            "LEAP_HTTP_PORT": str(port),
            "LEAP_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "LEAP_PEOPLE_FILE": str(stack.people_file),
            "LEAP_CLOCK_FILE": str(stack.clock_file),
            **({"LEAP_OPERATIONS_PORT": str(operations)} if operations else {}),
            **({"LEAP_DISTRICTS_FILE": str(stack.districts_file)} if name == "ingest" else {}),
        },
        log=stack.folder / f"{name}-before.log",
        folder=code,
        ready_url=f"http://127.0.0.1:{operations or port}/readyz",
        operations=f"http://127.0.0.1:{operations or port}",
    )
    process.launch()
    stack.processes[name] = process
    return process


def _git(*arguments: str) -> bytes:
    try:
        told = subprocess.run(["git", *arguments], cwd=checkout(), capture_output=True, check=False)
    except FileNotFoundError as missing:
        raise NoHistory("git is not installed") from missing
    if told.returncode:
        raise NoHistory(told.stderr.decode(errors="replace").strip())
    return told.stdout
