"""Prometheus' configuration: which services it asks, which rules it follows, whom it tells."""

from collections.abc import Mapping, Sequence

from contracts.services import SERVICES

OPERATIONS_PORT, AUDITORS_PORT = 9000, 8000
"""In a container: where a service answers machines, and where the auditor does, which answers nobody else."""


def configuration(
    *,
    targets: Mapping[str, Sequence[str]],
    alertmanager: str,
    rules: str,
    every_seconds: int = 15,
) -> dict[str, object]:
    """Give the configuration; `targets` are host:port by service, `rules` a path or pattern of files."""
    return {
        "global": {
            "scrape_interval": f"{every_seconds}s",
            # A frozen process keeps its connection open: don't wait for it longer than for the next round.
            "scrape_timeout": f"{min(every_seconds, 10)}s",
            "evaluation_interval": f"{every_seconds}s",
        },
        "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": service, "static_configs": [{"targets": list(addresses)}]}
            for service, addresses in targets.items()
        ],
    }


def in_containers() -> dict[str, object]:
    """Give the configuration for the containers, where a service's name is its address.

    Each is asked by DNS, so that every replica behind the name is found.
    """
    made = configuration(targets={}, alertmanager="alertmanager:9093", rules="/etc/prometheus/rules/*.yml")
    made["scrape_configs"] = [
        {
            "job_name": service,
            "dns_sd_configs": [{"names": [service], "type": "A", "port": port, "refresh_interval": "15s"}],
        }
        for service, port in (*((each, OPERATIONS_PORT) for each in SERVICES), ("auditor", AUDITORS_PORT))
    ]
    return made
