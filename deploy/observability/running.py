"""Prometheus and Alertmanager as processes of one machine, watching services that run there."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.machine import apt_install, checkout
from deploy.local.parts import PartMissing, Process, free_port
from deploy.observability import alertmanager, prometheus

PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093
"""Tried first; a busy one moves."""

RULES = Path(__file__).parent / "generated" / "rules" / "*.yml"

WAYS_OUT = (
    "Prometheus and Alertmanager are needed to watch (Debian: `apt-get install prometheus prometheus-alertmanager`); "
    "they must be found as prometheus, promtool, prometheus-alertmanager or alertmanager, and amtool"
)


def programs() -> tuple[str, str]:
    """Find Prometheus and Alertmanager, installing Debian's where it may. Raises PartMissing."""
    found = _installed()
    if found is None:
        apt_install(["prometheus", "prometheus-alertmanager"], otherwise=WAYS_OUT)
        found = _installed()
    if found is None:
        raise PartMissing(WAYS_OUT)
    return found


def start_alertmanager(
    folder: Path, *, webhook: str | None = None, at_once: bool = False, port: int = ALERTMANAGER_PORT
) -> Process:
    """Start Alertmanager and return when it is ready. Without a webhook alerts are shown and sent nowhere."""
    _, program = programs()
    base = folder.absolute() / "alertmanager"
    base.mkdir(parents=True, exist_ok=True)
    address = f"http://127.0.0.1:{free_port(port)}"
    receivers = {name: f"{webhook}/{name}" if webhook else None for name in ("pager", "tickets", "dead_man")}
    configuration = base / "alertmanager.yml"
    configuration.write_text(json.dumps(alertmanager.configuration(**receivers, at_once=at_once), indent=1))
    process = Process(
        name="alertmanager",
        address=address,
        command=[
            program,
            f"--config.file={configuration}",
            f"--storage.path={base / 'kept'}",
            f"--web.listen-address={urlsplit(address).netloc}",
            "--cluster.listen-address=",  # alone: no other to agree with
        ],
        log=base / "alertmanager.log",
        folder=checkout(),
        ready_url=f"{address}/-/ready",
    )
    process.start()
    return process


def start_prometheus(
    folder: Path,
    *,
    services: Mapping[str, str],
    alertmanager_address: str,
    every_seconds: int = 5,
    port: int = PROMETHEUS_PORT,
) -> Process:
    """Start Prometheus on these services (name to address) and return when it is ready."""
    program, _ = programs()
    base = folder.absolute() / "prometheus"
    base.mkdir(parents=True, exist_ok=True)
    address = f"http://127.0.0.1:{free_port(port)}"
    configuration = base / "prometheus.yml"
    configuration.write_text(
        json.dumps(
            prometheus.configuration(
                targets={name: [urlsplit(each).netloc] for name, each in services.items()},
                alertmanager=urlsplit(alertmanager_address).netloc,
                rules=str(RULES),
                every_seconds=every_seconds,
            ),
            indent=1,
        )
    )
    process = Process(
        name="prometheus",
        address=address,
        command=[
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={base / 'kept'}",
            "--storage.tsdb.retention.time=15d",
            f"--web.listen-address={urlsplit(address).netloc}",
            "--web.enable-lifecycle",
        ],
        log=base / "prometheus.log",
        folder=checkout(),
        ready_url=f"{address}/-/ready",
    )
    process.start()
    return process


def _installed() -> tuple[str, str] | None:
    # Debian calls it prometheus-alertmanager, its authors alertmanager.
    second = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    first = shutil.which("prometheus")
    return (first, second) if first and second else None
