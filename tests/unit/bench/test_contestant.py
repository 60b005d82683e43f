"""A contestant is a process: what it says is heard, and one that dies or stays silent is no contestant."""

import sys
from itertools import count
from pathlib import Path

import pytest

from tests.bench.contestant import ContestantFailed, Finished, run_contestant, said_in
from tests.bench.machine import Reading

BEGAN = """print('{"said": "began"}', flush=True)"""
DONE = """print('{"said": "done", "marks": 20}', flush=True); import sys; sys.stdin.read()"""


async def run(script: str, folder: Path) -> Finished:
    moments = count(10)

    def clocks(_: int) -> Reading:
        return Reading(wall=float(next(moments)), client=0.5, postgres=None, broker=2.0)

    return await run_contestant([sys.executable, "-c", script], folder=folder, log=folder / "peer.log", clocks=clocks)


async def test_clocks_are_read_when_the_first_mark_is_taken_and_when_the_last_is_kept(tmp_path: Path) -> None:
    finished = await run(f"{BEGAN}\nprint('noise', 1)\nprint('[1]')\n{DONE}", tmp_path)

    assert finished.said == {"said": "done", "marks": 20}
    assert finished.used == Reading(wall=1.0, client=0.0, postgres=None, broker=0.0)
    assert finished.peak_megabytes > 1


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("raise SystemExit('no such topic')", "no such topic"),
        (f"{BEGAN}\nraise RuntimeError('out of memory')", "out of memory"),
        (BEGAN, "never said 'done'"),
        (DONE, "never said 'began'"),
        (f"{BEGAN}\n{DONE}\nraise SystemExit(3)", "ended with 3"),
    ],
)
async def test_a_contestant_that_does_not_come_to_its_end_has_failed(tmp_path: Path, script: str, told: str) -> None:
    # The last word of a script that only says "done" is waited for until its input is closed: close it for it.
    with pytest.raises(ContestantFailed, match=told):
        await run(script if script != DONE else DONE.replace("sys.stdin.read()", ""), tmp_path)


@pytest.mark.parametrize("line", [b"", b"INFO started\n", b"17\n", b'{"level": "info"}\n', b'{"said": "be', b"\xff\n"])
def test_whatever_else_a_library_prints_is_not_heard(line: bytes) -> None:
    assert said_in(line) is None
