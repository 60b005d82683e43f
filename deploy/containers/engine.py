"""A container engine for the proof: Debian's podman and docker-compose, with a socket for Docker's clients."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.machine import apt_install
from deploy.local.parts import PartFailed, PartMissing, Process, wait_until

PACKAGES = ["podman", "runc", "netavark", "aardvark-dns", "iptables", "catatonit", "docker-compose", "debootstrap"]
PROGRAMS = ("podman", "runc", "docker-compose", "debootstrap")
WAYS_OUT = (
    "No container engine. The proof needs root on Debian (it installs podman and docker-compose itself), since it "
    "builds every image here and pulls none; with Docker elsewhere use deploy/compose.yaml as it says."
)

_SETTINGS = """\
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


class Engine:
    """Podman with settings and a socket of its own, in a folder that goes with the proof."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "containers.conf"
        settings.write_text(_SETTINGS)
        # Outside: the kernel takes 107 bytes for the path of a socket, and a checkout may lie deep.
        self.socket = Path(tempfile.mkdtemp(prefix="leap-engine-")) / "podman.sock"
        self.environment = {
            "CONTAINERS_CONF": str(settings),
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_BUILDKIT": "0",
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            # A stray /.dockerenv makes testcontainers believe that it is in a container itself.
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
        }
        self._service = Process(
            name="podman",
            address=f"unix://{self.socket}",
            command=["podman", "system", "service", "--time=0", f"unix://{self.socket}"],
            environment=self.environment,
            log=folder / "podman.log",
            folder=folder,
            ready_line="-",
        )

    def start(self) -> None:
        """Serve the socket; raises PartFailed where it never answers."""
        self._service.launch()
        podman = self._service
        try:
            wait_until(self.socket.exists, seconds=30, what="podman", alive=podman.is_running, log=podman.log)
        except PartFailed:
            self.stop()
            raise

    def stop(self) -> None:
        """End the socket; containers and images stay."""
        self._service.stop()
        shutil.rmtree(self.socket.parent)

    def run(self, *words: str, seconds: float = 1800) -> str:
        """Run one podman command and return what it prints. Raises PartFailed with the end of its errors."""
        return self._command(["podman", *words], seconds=seconds)

    def compose(self, *words: str, variables: Mapping[str, str], seconds: float = 600) -> str:
        """Run one docker-compose command on the socket and return what it prints."""
        return self._command(["docker-compose", *words], seconds=seconds, variables=variables)

    def succeeds(self, *words: str) -> bool:
        """Tell whether the podman command ends well."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(["podman", *words], env=environment, capture_output=True, check=False).returncode == 0

    def inspect(self, container: str) -> dict[str, Any]:
        """Give what the engine knows of a container."""
        found: dict[str, Any] = json.loads(self.run("inspect", container))[0]
        return found

    def _command(self, words: list[str], *, seconds: float, variables: Mapping[str, str] | None = None) -> str:
        finished = subprocess.run(
            words,
            env={**os.environ, **self.environment, **(variables or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if finished.returncode:
            said = (finished.stderr or finished.stdout)[-3000:].strip()
            raise PartFailed(f"{' '.join(words[:4])} failed ({finished.returncode}):\n{said}")
        return finished.stdout


def engine(folder: Path) -> Engine:
    """Give an engine that answers, installed where that is allowed. Raises PartMissing."""
    if os.geteuid() != 0:
        raise PartMissing(WAYS_OUT)
    if any(shutil.which(program) is None for program in PROGRAMS):
        apt_install(PACKAGES, otherwise=WAYS_OUT)
    made = Engine(folder)
    made.start()
    return made
