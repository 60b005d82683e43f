"""Broker and database as containers, where a Docker daemon answers."""

import os
from dataclasses import dataclass
from typing import Any

from deploy.local.parts import free_port, wait_until

KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE", "apache/kafka:4.3.0")
POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:18-alpine")
_START_SECONDS = 120.0


@dataclass(slots=True, kw_only=True)
class Container:
    """A part in a container; the port is the same inside and outside, so a restart keeps the address."""

    address: str
    container_id: str
    ready_line: str

    @property
    def pid(self) -> int | None:
        """Give the process number on the host, None where the container is down."""
        return int(_found(self.container_id).attrs["State"]["Pid"]) or None

    def start(self) -> None:
        """Start the stopped container again and wait until it is ready."""
        container = _found(self.container_id)
        lines = container.logs().count(self.ready_line.encode())
        container.start()
        wait_until(
            lambda: container.logs().count(self.ready_line.encode()) > lines,
            seconds=_START_SECONDS,
            what=self.address,
        )

    def stop(self) -> None:
        """Stop the container and keep its files for `start`."""
        _found(self.container_id).stop()

    def kill(self) -> None:
        """Kill the container's processes."""
        _found(self.container_id).kill()

    def remove(self) -> None:
        """Take the container and its files away."""
        _found(self.container_id).remove(force=True, v=True)

    def is_running(self) -> bool:
        """Ask the daemon whether it runs; a container that is gone does not."""
        from docker.errors import NotFound

        try:
            return bool(_found(self.container_id).status == "running")
        except NotFound:
            return False

    def describe(self) -> dict[str, Any]:
        """Give what `part_from` needs to find the container again."""
        return {
            "kind": "container",
            "address": self.address,
            "container_id": self.container_id,
            "ready_line": self.ready_line,
        }


def daemon_answers() -> bool:
    """Tell whether a Docker daemon is there and talks to us."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except (DockerException, OSError):
        return False
    return True


def start_kafka_container() -> Container:
    """Run the Kafka image (KAFKA_IMAGE) on a free port, advertised under that same port."""
    port = free_port()
    return _run(
        image=KAFKA_IMAGE,
        port=port,
        address=f"localhost:{port}",
        ready_line="Kafka Server started",
        environment={
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        },
    )


def start_postgres_container() -> Container:
    """Run the PostgreSQL image (POSTGRES_IMAGE) on a free port."""
    port = free_port()
    return _run(
        image=POSTGRES_IMAGE,
        port=port,
        address=f"postgresql://postgres:postgres@localhost:{port}/postgres",
        # The image starts the server twice; only the second start listens on TCP.
        ready_line=f'listening on IPv4 address "0.0.0.0", port {port}',
        environment={"POSTGRES_PASSWORD": "postgres", "PGPORT": str(port)},
        command="postgres -c max_connections=200",
    )


def _run(
    *, image: str, port: int, address: str, ready_line: str, environment: dict[str, str], command: str | None = None
) -> Container:
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    # The reaper would take the parts away when `leap up` returns; `leap down` and the tests end them themselves.
    testcontainers_config.ryuk_disabled = True
    described = DockerContainer(image).with_bind_ports(port, port).with_envs(**environment)
    if command is not None:
        described = described.with_command(command)
    wrapped = described.start().get_wrapped_container()
    wait_until(lambda: ready_line.encode() in wrapped.logs(), seconds=_START_SECONDS, what=image)
    return Container(address=address, container_id=str(wrapped.id), ready_line=ready_line)


def _found(container_id: str) -> Any:
    import docker

    return docker.from_env().containers.get(container_id)
