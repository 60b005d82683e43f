"""The five services as processes of one machine."""

import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.machine import checkout
from deploy.local.parts import Process

HTTP_PORTS = {"ingest": 8001, "flagging": 8002, "scheduling": 8003, "visitlog": 8004, "reporting": 8005}
"""The ports tried first; a busy one moves."""

SERVICES = tuple(HTTP_PORTS)


def start_service(
    name: str, *, bootstrap: str, database_url: str, port: int, folder: Path, env: Mapping[str, str] | None = None
) -> Process:
    """Start one service and return at once; `wait_ready` waits for its /readyz. Its log is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    process = Process(
        name=name,
        address=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "services.runtime.service", name],
        environment={
            "LEAP_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "LEAP_DATABASE_URL": database_url,
            "LEAP_HTTP_HOST": "127.0.0.1",
            "LEAP_HTTP_PORT": str(port),
            **(env or {}),
        },
        log=folder.absolute() / f"{name}.log",
        folder=checkout(),
        ready_url=f"http://127.0.0.1:{port}/readyz",
    )
    process.launch()
    return process
