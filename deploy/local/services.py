"""The services as processes of one machine."""

import sys
from collections.abc import Mapping
from pathlib import Path

from contracts.services import SERVICES
from deploy.local.machine import checkout
from deploy.local.parts import Process, free_port
from services.runtime.broker_access import Broker, access_to

FIRST_HTTP_PORT = 8001
HTTP_PORTS = {name: port for port, name in enumerate(SERVICES, start=FIRST_HTTP_PORT)}
"""The ports tried first, by service in the order of the list; a busy one moves."""

OPERATIONS_ABOVE = 1000
"""How far above a service's port the one is tried first on which machines ask it."""

AUDIT_PORT = FIRST_HTTP_PORT + 90
"""Tried first for the auditor, far enough behind for services to come."""


def start_auditor(*, broker: Broker, database_url: str, districts_file: Path, port: int, folder: Path) -> Process:
    """Start the auditor and return at once; its log is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    process = Process(
        name="auditor",
        address=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "deploy.audit"],
        environment={
            **kafka_environment(broker),
            "LEAP_DATABASE_URL": database_url,
            "LEAP_DISTRICTS_FILE": str(districts_file),
            "LEAP_HTTP_HOST": "127.0.0.1",
            "LEAP_HTTP_PORT": str(port),
        },
        log=folder.absolute() / "auditor.log",
        folder=checkout(),
        ready_url=f"http://127.0.0.1:{port}/metrics",
    )
    process.launch()
    return process


def start_service(
    name: str, *, broker: Broker, database_url: str, port: int, folder: Path, env: Mapping[str, str] | None = None
) -> Process:
    """Start one service and return at once; `wait_ready` waits for its /readyz. Its log is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    operations = free_port(port + OPERATIONS_ABOVE)
    process = Process(
        name=name,
        address=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "services.runtime.service", name],
        environment={
            **kafka_environment(broker),
            "LEAP_DATABASE_URL": database_url,
            "LEAP_HTTP_HOST": "127.0.0.1",
            "LEAP_HTTP_PORT": str(port),
            "LEAP_OPERATIONS_PORT": str(operations),
            **(env or {}),
        },
        log=folder.absolute() / f"{name}.log",
        folder=checkout(),
        ready_url=f"http://127.0.0.1:{operations}/readyz",
        operations=f"http://127.0.0.1:{operations}",
    )
    process.launch()
    return process


def kafka_environment(broker: Broker) -> dict[str, str]:
    """Say how a process reaches the broker, and as whom, in its variables: files of secrets by their names."""
    access = access_to(broker)
    told = {
        "BOOTSTRAP_SERVERS": access.bootstrap_servers,
        "SECURITY_PROTOCOL": access.protocol,
        "USER": access.user,
        "PASSWORD_FILE": access.password_file,
        "CA_FILE": access.ca_file,
        "CERTIFICATE_FILE": access.certificate_file,
        "KEY_FILE": access.key_file,
    }
    return {f"LEAP_KAFKA_{name}": str(value) for name, value in told.items() if value is not None}
