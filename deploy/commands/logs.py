"""`leap logs`: the ends of the parts' logs."""

import sys
import time
from pathlib import Path
from typing import BinaryIO

from deploy.commands import state

POLL_SECONDS = 0.3


class LogMissing(Exception):
    """No such log; the message lists those there are."""


def logs(*, service: str | None, lines: int, follow: bool) -> int:
    """Print the last lines of one part's log or of all, and with `follow` what comes after."""
    found = {path.stem: path for path in sorted(state.folder().glob("*/*.log"))}
    if service is not None and service not in found:
        raise LogMissing(f"no log of {service}; there are {', '.join(found) or 'none'}")
    chosen = {service: found[service]} if service is not None else found
    opened: dict[str, BinaryIO] = {}
    for name, path in chosen.items():
        _print(name, _last(path, lines))
        opened[name] = path.open("rb")
        opened[name].seek(0, 2)
    while follow:
        for name, file in opened.items():
            _print(name, file.read().splitlines())
        time.sleep(POLL_SECONDS)
    return 0


def _last(path: Path, lines: int) -> list[bytes]:
    return path.read_bytes().splitlines()[-lines:]


def _print(name: str, lines: list[bytes]) -> None:
    for line in lines:
        sys.stdout.write(f"{name:10} {line.decode(errors='replace')}\n")
    sys.stdout.flush()
