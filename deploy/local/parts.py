"""What a broker, a database or a service is on one machine: something with an address that starts, stops and dies."""

import atexit
import os
import secrets
import signal
import socket
import subprocess
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

STOP_SECONDS = 15.0
START_SECONDS = 60.0
POLL_SECONDS = 0.05
# So much of a processor within START_SECONDS is work, and more than a part that hangs takes.
_WORK_SECONDS = 3.0

# Below the range that Linux hands out for outgoing connections: a port chosen here is still free a second later.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000


class PartMissing(Exception):
    """This machine can't run the part. The message names the ways out."""


class PartFailed(Exception):
    """The part did not come up; the message ends with the last lines of its log."""


class Part(Protocol):
    """A part of the system with an address. `stop` is graceful, `kill` is not, `start` brings it back as it was."""

    @property
    def address(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def is_running(self) -> bool: ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(slots=True)
class Given:
    """A part somebody else runs: this machine neither starts nor stops it."""

    address: str
    pid: int | None = None
    operations: str = ""

    def start(self) -> None:
        """Leave it as it is."""

    def stop(self) -> None:
        """Leave it as it is."""

    def kill(self) -> None:
        """Refuse: it is not ours to kill."""
        raise PartMissing(f"the part at {self.address} was given, not started here: it can't be killed from here")

    def is_running(self) -> bool:
        """Trust whoever runs it."""
        return True

    def describe(self) -> dict[str, Any]:
        """Give what `part_from` needs to find the part again."""
        return {"kind": "given", "address": self.address, "operations": self.operations}


@dataclass(slots=True, kw_only=True)
class Process:
    """A part that is an operating system process in a session of its own, so that Ctrl-C at the prompt spares it."""

    name: str
    address: str
    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path
    ready_line: str | None = None
    ready_url: str | None = None
    operations: str = ""  # where machines ask, if that is not the address that people have
    stop_signal: int = signal.SIGTERM
    pid: int | None = None
    created: float | None = None
    log_begins: int = 0
    umask: int = -1
    """Takes rights away from the files that it makes; -1: as whoever starts it."""

    def start(self) -> None:
        """Start it and return when it is ready; raises PartFailed with the end of its log."""
        self.launch()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()  # nobody was told about it: nobody else would end it
            raise

    def launch(self) -> None:
        """Start it and return at once; `wait_ready` waits."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # The last start said "ready" too: only what comes behind it counts.
        self.log_begins = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**_inherited(), **self.environment},
                start_new_session=True,
                umask=self.umask,
            )
        self.pid = child.pid
        self.created = psutil.Process(child.pid).create_time()
        child.returncode = 0  # psutil watches it from here; Popen would warn that it still runs

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return when the part says it is ready, or raise PartFailed when it dies or does nothing for so long.

        A broker or a database that reads its logs after a crash may take minutes, and to kill it is to begin again: as
        long as it writes into its log, or works, it is waited for.
        """
        pulse = self._pulse if self.ready_line is not None else None
        wait_until(self._says_ready, seconds=seconds, alive=self.is_running, pulse=pulse, what=self.name, log=self.log)

    def is_running(self) -> bool:
        """Tell whether the very process that was started still lives, not one that took over its number."""
        return self._process() is not None

    def stop(self) -> None:
        """Ask it to end and wait, then end it the hard way."""
        process = self._process()
        if process is None:
            return
        family = [process, *process.children(recursive=True)]
        process.send_signal(self.stop_signal)
        _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for survivor in left:
            survivor.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would, its children with it."""
        process = self._process()
        if process is None:
            return
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=STOP_SECONDS)

    def describe(self) -> dict[str, Any]:
        """Give what `part_from` needs to find the part again from another process."""
        described = asdict(self)
        return {"kind": "process", **described, "log": str(self.log), "folder": str(self.folder)}

    def _process(self) -> psutil.Process | None:
        if self.pid is None:
            return None
        try:
            process = psutil.Process(self.pid)
            # The kernel derives the time from a clock that is being corrected: a second either way is the same process.
            if abs(process.create_time() - (self.created or 0)) > 2 or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    def _pulse(self) -> tuple[int, int]:
        """Give what changes while the part does something: how long its log is, and how much it has worked."""
        worked = 0.0
        with suppress(psutil.Error):
            if (process := self._process()) is not None:
                for each in (process, *process.children(recursive=True)):
                    worked += sum(each.cpu_times()[:2])
        return self.log.stat().st_size, int(worked / _WORK_SECONDS)

    def _says_ready(self) -> bool:
        if self.ready_url is not None:
            return answers(self.ready_url)
        assert self.ready_line is not None
        return self.ready_line.encode() in self.log.read_bytes()[self.log_begins :]


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds: float,
    what: str,
    alive: Callable[[], bool] | None = None,
    pulse: Callable[[], object] | None = None,
    log: Path | None = None,
) -> None:
    """Poll until the condition holds; raises PartFailed after `seconds`, or as soon as `alive` is false.

    With a pulse, `seconds` is for how long it may stand still.
    """
    deadline, felt = time.monotonic() + seconds, pulse() if pulse is not None else None
    while not condition():
        if pulse is not None and felt != (felt := pulse()):
            deadline = time.monotonic() + seconds
        if alive is not None and not alive():
            raise PartFailed(f"{what} ended while it was starting{last_lines(log)}")
        if time.monotonic() > deadline:
            idle = "" if pulse is None else " in which it did nothing"
            raise PartFailed(f"{what} was not ready after {seconds:.0f} s{idle}{last_lines(log)}")
        time.sleep(POLL_SECONDS)


def last_lines(log: Path | None, count: int = 15) -> str:
    """Quote the end of a log for an error message; empty where there is none."""
    if log is None or not log.exists():
        return ""
    return f"; the end of {log}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def answers(url: str) -> bool:
    """Tell whether a GET of the address gives 200 within two seconds."""
    import http.client
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener

    try:
        with build_opener(ProxyHandler({})).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, http.client.HTTPException):
        return False


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """Give the preferred port where it is free, else another one, and keep it from others until we end.

    Between the choice and the moment in which a part listens there are seconds, and a second `leap up` of this machine
    chooses too. So who chooses a port binds its twin of UDP, which nobody listens on: one of the two can't.
    """
    if preferred is not None and _reserve(preferred):
        return preferred
    while True:
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        if _reserve(port):
            return port


def _reserve(port: int) -> bool:
    if port in _reserved:
        return False  # chosen by ourselves a moment ago
    twin = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        twin.bind(("127.0.0.1", port))
    except OSError:
        twin.close()
        return False
    if not is_free(port):
        twin.close()
        return False
    _reserved[port] = twin
    if len(_reserved) > _MOST_RESERVED:
        _reserved.popitem(last=False)[1].close()
    return True


_reserved: OrderedDict[int, socket.socket] = OrderedDict()
# More than a stack has parts; whoever chose that many since has long been started.
_MOST_RESERVED = 64


@atexit.register
def _let_go() -> None:
    for twin in _reserved.values():
        twin.close()


def _inherited() -> dict[str, str]:
    # A service refuses LEAP_ variables it doesn't know: those of the prompt are not its own.
    return {name: value for name, value in os.environ.items() if not name.startswith("LEAP_")}
