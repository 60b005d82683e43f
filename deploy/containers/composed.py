"""compose.yaml as it runs on the engine of the proof."""

import json
import re
import secrets
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from contracts.services import SERVICES
from deploy.commands import http_client
from deploy.containers.engine import Engine
from deploy.containers.images import BUILT
from deploy.local.machine import checkout
from deploy.local.parts import PartFailed, free_port

PROJECT = "leap-proof"
PARTS = ("kafka", "postgres")
WATCHERS = ("prometheus", "alertmanager")
PROXY = "proxy"
LASTING = (*PARTS, *SERVICES, "auditor", PROXY, *WATCHERS)
"""What keeps running. Grafana is the one that is left out: it can be built of nothing that is to be had here."""


class Composed:
    """The running project: started and asked through docker-compose, looked into through the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        file = checkout() / "deploy" / "compose.yaml"
        self._files = ("-f", str(file), "-p", PROJECT)
        self._variables = {
            **BUILT,
            **{name: str(free_port()) for name in re.findall(r"\$\{(\w+_PORT):-", file.read_text(encoding="utf-8"))},
            "POSTGRES_PASSWORD": secrets.token_hex(16),
            "GRAFANA_PASSWORD": secrets.token_hex(16),
            "CERTIFICATE_FOLDER": str(make_certificate(engine.folder / "certificate")),
        }
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def compose(self, *words: str) -> str:
        """Run docker-compose on the project."""
        return self._engine.compose(*self._files, *words, variables=self._variables)

    def up(self) -> None:
        """Start everything, jobs first, and return when all that lasts is healthy."""
        self._looking.start()
        self.compose("up", "-d", "--no-build", *LASTING)
        self.wait_healthy()

    def down(self) -> None:
        """Remove containers, network and volumes."""
        self._stopping.set()
        self.compose(
            "--profile",
            "tools",
            "--profile",
            "administration",
            "down",
            "--volumes",
            "--remove-orphans",
            "--timeout",
            "15",
        )

    def name_of(self, service: str) -> str:
        """Give the container's name."""
        return f"{PROJECT}_{service}_1"

    def healthy(self, service: str) -> bool:
        """Run the container's own health check once."""
        return self._engine.succeeds("healthcheck", "run", self.name_of(service))

    def wait_healthy(self, *services: str, seconds: float = 120) -> None:
        """Return when these, or all, are healthy; raises PartFailed with the end of a log."""
        deadline = time.monotonic() + seconds
        for service in services or LASTING:
            while not self.healthy(service):
                if time.monotonic() > deadline:
                    said = self._engine.run("logs", "--tail", "15", self.name_of(service))
                    raise PartFailed(f"{service} is not healthy after {seconds:.0f} s:\n{said}")
                time.sleep(0.2)

    def stop(self, service: str) -> tuple[float, int]:
        """Stop one container as its own grace says, and give the seconds and the exit code."""
        began = time.monotonic()
        self.compose("stop", service)
        took = time.monotonic() - began
        return took, int(self._engine.inspect(self.name_of(service))["State"]["ExitCode"])

    def start(self, service: str) -> None:
        """Start a stopped container again."""
        self.compose("start", service)
        self.wait_healthy(service)

    def status(self) -> dict[str, Any]:
        """Give the figures of `leap status`, measured in the project's own network."""
        found: dict[str, Any] = json.loads(self.inside("python", "-m", "deploy.cli", "status", "--json", well=(0, 1)))
        return found

    def inside(self, *command: str, well: tuple[int, ...] = (0,)) -> str:
        """Run a command in the operator's container and return what it prints."""
        said = self._run_tool(*command)
        text, _, code = said.rpartition("exit code ")
        if int(code) not in well:
            raise PartFailed(f"{' '.join(command[:4])} ended with {code.strip()}:\n{text[-2000:]}")
        return text

    def begin(self, *command: str, service: str = "leap") -> str:
        """Start a command in a container of the operator's, or the administrator's, and return the container's name."""
        name = f"{PROJECT}_tool_{secrets.token_hex(3)}"
        self.compose("run", "-d", "--name", name, "--entrypoint", command[0], service, *command[1:])
        return name

    def ended(self, container: str) -> int | None:
        """Give a container's exit code, None while it runs."""
        state = self._engine.inspect(container)["State"]
        return int(state["ExitCode"]) if state["Status"] == "exited" else None

    def said(self, container: str) -> str:
        """Give what a container printed."""
        return self._engine.run("logs", container)

    def prepare_again(self) -> int:
        """Run the job before the services once more, beside them, and give its exit code."""
        self.compose("start", "prepare")
        return int(self._engine.run("wait", self.name_of("prepare")))

    def seen_by_prometheus(self) -> set[str]:
        """Name the services that Prometheus reaches, asked as a browser on this machine would."""
        address = f"http://127.0.0.1:{self._variables['PROMETHEUS_PORT']}"
        found = http_client.get(address, "/api/v1/query?query=up", {})
        return {each["metric"]["job"] for each in found["data"]["result"] if each["value"][1] == "1"}

    def privileges(self, service: str) -> dict[str, str]:
        """Read, inside, what the kernel says of the container's first process: user, capabilities."""
        status = self._engine.run("exec", self.name_of(service), "cat", "/proc/1/status")
        return {name: words.strip() for name, _, words in (line.partition(":") for line in status.splitlines())}

    def can_write(self, service: str, path: str) -> bool:
        """Try to make a file inside."""
        return self._engine.succeeds("exec", self.name_of(service), "touch", path)

    def proxied(self, service: str, path: str) -> int:
        """Ask a service as a browser on this machine would, through the proxy, and give the status."""
        trusting = ssl.create_default_context(cafile=str(Path(self._variables["CERTIFICATE_FOLDER"]) / "proxy.pem"))
        handlers = (ProxyHandler({}), HTTPSHandler(context=trusting))
        address = f"https://localhost:{self._variables[f'{service.upper()}_PORT']}{path}"
        try:
            with build_opener(*handlers).open(address, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def _run_tool(self, *command: str) -> str:
        name = self.begin(*command)
        try:
            self._engine.run("wait", name)
            # Only what went to standard output: a client's warnings would spoil the JSON.
            return f"{self.said(name)}exit code {self.ended(name)}"
        finally:
            self._engine.run("rm", "-f", name)

    def _look(self) -> None:
        # Podman looks after nobody's health by itself where no systemd runs; compose waits for what it finds.
        while not self._stopping.wait(1.0):
            for service in LASTING:
                if not self._stopping.is_set():
                    self.healthy(service)


def make_certificate(folder: Path, *, name: str = "localhost") -> Path:
    """Make a certificate that nobody else trusts, for a day and this name, and give its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    files = ("-keyout", str(folder / "proxy.key"), "-out", str(folder / "proxy.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "proxy.key").chmod(0o644)  # the proxy is another user, and this key opens nothing but the proof
    return folder
