"""Broker and database as containers, where a Docker daemon answers: started by testcontainers, and found again by it.

Its modules are imported where a daemon is asked, or every `leap` command would wait for them.
"""

import os
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from deploy.local.parts import PartFailed, free_port, wait_until

KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE", "apache/kafka:4.3.0")
POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:18-alpine")
# The image starts the server twice; only the second start listens on TCP, and a little later it answers.
POSTGRES_READY = r'listening on IPv4 address "0\.0\.0\.0".*?ready to accept connections'
_START_SECONDS = 120


@dataclass(slots=True, kw_only=True)
class Container:
    """A part in a container; the port is the same inside and outside, so a restart keeps the address."""

    address: str
    container_id: str
    ready_when: str
    """What its log says once it answers: a pattern, which may reach over several lines."""

    @property
    def pid(self) -> int | None:
        """Give the process number on the host, None where the container is down."""
        return int(self._found().attrs["State"]["Pid"]) or None

    def start(self) -> None:
        """Start the stopped container again and wait until it is ready."""
        container = self._found()
        # The last start said it too: only what comes behind counts.
        said = self._times_ready(container)
        container.start()
        wait_until(
            lambda: self._times_ready(container) > said,
            seconds=_START_SECONDS,
            pulse=lambda: len(container.logs()),
            what=self.address,
        )

    def stop(self) -> None:
        """Stop the container and keep its files for `start`."""
        self._found().stop()

    def kill(self) -> None:
        """Kill the container's processes."""
        self._found().kill()

    def remove(self) -> None:
        """Take the container and its files away."""
        self._found().remove(force=True, v=True)

    def is_running(self) -> bool:
        """Ask the daemon whether it runs; a container that is gone does not."""
        return bool(_daemon().containers.list(filters={"id": self.container_id, "status": "running"}))

    def describe(self) -> dict[str, Any]:
        """Give what `part_from` needs to find the container again."""
        return {
            "kind": "container",
            "address": self.address,
            "container_id": self.container_id,
            "ready_when": self.ready_when,
        }

    def _times_ready(self, container: Any) -> int:
        return len(re.findall(self.ready_when.encode(), container.logs(), re.DOTALL))

    def _found(self) -> Any:
        return _daemon().containers.get(self.container_id)


def daemon_answers() -> bool:
    """Tell whether a Docker daemon is there and talks to us."""
    from docker.errors import DockerException

    try:
        with closing(_daemon(timeout=5)) as asked:
            return bool(asked.ping())
    except (DockerException, OSError):
        return False


def start_kafka_container(security: str) -> Container:
    """Run the Kafka image (KAFKA_IMAGE) on a free port, advertised under that same port.

    `security` are the lines of its settings that say who may come in: a file of the container, since they hold a
    password, and every variable can be read by whoever may ask the daemon.
    """
    port = free_port()
    return _run(
        image=KAFKA_IMAGE,
        port=port,
        address=f"localhost:{port}",
        ready_when="Kafka Server started",
        environment={
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": f"CLIENTS://0.0.0.0:{port},CONTROLLER://localhost:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"CLIENTS://localhost:{port}",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        },
        # Where the image looks for settings of ours: it puts what its variables say behind them.
        files={"/mnt/shared/config/server.properties": security},
    )


def start_postgres_container() -> Container:
    """Run the PostgreSQL image (POSTGRES_IMAGE) on a free port."""
    port = free_port()
    return _run(
        image=POSTGRES_IMAGE,
        port=port,
        address=f"postgresql://postgres:postgres@localhost:{port}/postgres",
        ready_when=POSTGRES_READY,
        environment={"POSTGRES_PASSWORD": "postgres", "PGPORT": str(port)},
        command="postgres -c max_connections=200",
    )


def _run(
    *,
    image: str,
    port: int,
    address: str,
    ready_when: str,
    environment: dict[str, str],
    command: str | None = None,
    files: Mapping[str, str] | None = None,
) -> Container:
    from docker.errors import DockerException
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    # The reaper would take the parts away when `leap up` returns; `leap down` and the tests end them themselves.
    testcontainers_config.ryuk_disabled = True
    ready = LogMessageWaitStrategy(re.compile(ready_when, re.DOTALL)).with_startup_timeout(_START_SECONDS)
    described = DockerContainer(image).with_bind_ports(port, port).with_envs(**environment)
    described.waiting_for(ready.with_poll_interval(0.1))
    for place, text in (files or {}).items():
        described.with_copy_into_container(text.encode(), place)
    if command is not None:
        described.with_command(command)
    try:
        described.start()
    except (DockerException, TimeoutError, RuntimeError) as error:
        described.stop()  # nobody was told about it: nobody else would end it
        raise PartFailed(f"{image} did not come up: {error}") from None
    return Container(address=address, container_id=described.get_container_id(), ready_when=ready_when)


def _daemon(**options: Any) -> Any:
    from testcontainers.core.docker_client import DockerClient

    # Its client and not the SDK's own: it also asks docker's context which daemon is meant.
    return DockerClient(**options).client
