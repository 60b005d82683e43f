"""Broker and database come up wherever the checkout lies and whoever starts them, or say what is in the way."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.local import broker
from deploy.local.broker import kafka_jars, start_kafka
from deploy.local.machine import UNPRIVILEGED_USER
from deploy.local.postgres import postgres_programs, start_postgres
from tests.architecture.checks import ROOT

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")

# As root's home is on a fresh machine, and as it is where root keeps everything to itself.
CLOSED = {"a home of mode 0700": 0o755, "a checkout made with umask 077": 0o700}


def with_programs(folder: Path, *, mode: int = 0o755) -> Path:
    """Lay the wheel into a folder, as the checkout's own `.venv` has it."""
    package = postgres_programs().parents[1]
    for part in (package, package.with_suffix(".libs")):
        shutil.copytree(part, folder / part.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & (0o7000 | mode))
    return folder


def closed(folder: Path) -> Path:
    """Make a folder with a space in its name below two that nobody but their owner may enter."""
    inside = folder / "home" / "my checkout, née Leap"
    inside.mkdir(parents=True)
    for each in (folder / "home", inside):
        each.chmod(0o700)
    return inside


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="leap-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", CLOSED.values(), ids=CLOSED)
async def test_the_database_comes_up_in_a_closed_folder_with_spaces(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = closed(tmp_path)
    monkeypatch.syspath_prepend(with_programs(checkout, mode=mode))
    assert checkout in postgres_programs().parents

    part = start_postgres(checkout / ".leap" / "database")
    try:
        assert psutil.Process(part.pid).uids().effective != 0
        await written_and_read(part.address)
        part.stop()
        part.start()
        await written_and_read(part.address)
    finally:
        part.stop()


async def test_the_broker_comes_up_in_a_closed_folder_with_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = closed(tmp_path)
    shutil.copytree(kafka_jars(), checkout / ".leap" / "kafka")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setattr(broker, "checkout", lambda: checkout)

    part = start_kafka(checkout / ".leap" / "broker", passwords=checkout / ".leap" / "kafka-users")
    try:
        assert (checkout / ".leap" / "broker" / "records" / "meta.properties").exists()
    finally:
        part.stop()


# Started by itself, as who is said: first what is left of root's rights goes, then PostgreSQL begins.
STARTED = """
import ctypes, sys
from pathlib import Path
from deploy.local.parts import PartMissing
sys.path.insert(0, sys.argv[1])
from deploy.local.postgres import start_postgres
AMBIENT, CLEAR_ALL = 47, 4
ctypes.CDLL(None).prctl(AMBIENT, CLEAR_ALL, 0, 0, 0)
try:
    start_postgres(Path(sys.argv[1]) / "database").stop()
except PartMissing as missing:
    print(missing)
else:
    print("came up")
"""


def started(folder: Path, *words: str) -> str:
    """Start PostgreSQL, programs and data in this folder, from a Python that `words` make less than root."""
    finished = subprocess.run(
        [*words, sys.executable, "-c", STARTED, str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return finished.stdout.strip() or finished.stderr


WITHOUT_PASSAGE = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", "--")


@only_root
def test_root_that_may_lend_no_passage_hears_which_folder_is_closed(tmp_path: Path) -> None:
    checkout = with_programs(closed(tmp_path))

    said = started(checkout, *WITHOUT_PASSAGE)

    shut = next(folder for folder in reversed(checkout.parents) if folder.stat().st_mode & 0o001 == 0)
    assert said.startswith("PostgreSQL does not run as root, and user nobody can't reach ")
    assert f"/pginstall/bin, since {shut} has mode 0700" in said
    assert "chmod o+x" in said
    assert "locked requirements" not in said, "they are installed: advice that doesn't help"


@only_root
def test_root_that_may_lend_no_passage_needs_none_where_nothing_is_closed(open_folder: Path) -> None:
    assert started(with_programs(open_folder), *WITHOUT_PASSAGE) == "came up"


@only_root
def test_an_ordinary_user_starts_it_as_themselves(open_folder: Path) -> None:
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    os.chown(with_programs(open_folder), user.pw_uid, user.pw_gid)
    # Python's own files may lie in a closed folder: passage to load them, and it is gone before PostgreSQL starts.
    passage = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup")

    ordinary = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *passage, "--")

    assert started(open_folder, *ordinary) == "came up"
    assert (open_folder / "database" / "cluster").stat().st_uid == user.pw_uid


async def written_and_read(address: str) -> None:
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (line text)")
        await connection.execute("INSERT INTO kept VALUES ('once')")
        assert await connection.fetchval("SELECT max(line) FROM kept") == "once"
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")  # from `share` and `lib`, not `bin` alone
    finally:
        await connection.close()
