"""A contestant that is a process of its own: started, listened to, its clocks read as it begins and as it is done."""

import asyncio
import json
from asyncio import StreamReader, create_subprocess_exec, subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.parts import last_lines
from tests.bench.machine import Reading, peak_megabytes

DEADLINE_SECONDS = 900.0


class ContestantFailed(Exception):
    """A contestant's process ended badly or never; the message ends with what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A turn that went to its end: what it used from its first mark to its last, and the figures it said."""

    used: Reading
    said: dict[str, Any]
    peak_megabytes: float


async def run_contestant(
    command: Sequence[str], *, folder: Path, log: Path, clocks: Callable[[int], Reading]
) -> Finished:
    """Run one contestant in this folder; ContestantFailed where it ends before it is done, or never.

    `clocks` is asked for a reading with the process's id. What the process complains of is in the log.
    """
    with log.open("ab") as complaints:
        process = await create_subprocess_exec(
            *command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await _heard(process.stdout, "began")
            began = clocks(process.pid)
            said = await _heard(process.stdout, "done")
            used = clocks(process.pid).since(began)
            finished = Finished(used=used, said=said, peak_megabytes=peak_megabytes(process.pid))
            process.stdin.close()
            ended = await process.wait()
    except (TimeoutError, _Silent) as silence:
        raise ContestantFailed(f"{log.stem}: {silence!r}{last_lines(log)}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if ended:
        raise ContestantFailed(f"{log.stem} ended with {ended}{last_lines(log)}")
    return finished


class _Silent(Exception):
    """The process closed its output without the word that was waited for."""


async def _heard(stream: StreamReader, word: str) -> dict[str, Any]:
    while line := await stream.readline():
        said = said_in(line)
        if said is not None and said["said"] == word:
            return said
    raise _Silent(f"never said {word!r}")


def said_in(line: bytes) -> dict[str, Any] | None:
    """Read what a line says of a turn; None for whatever else a library prints."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and "said" in said else None
