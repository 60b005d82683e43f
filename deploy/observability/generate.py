"""Writes what the code of this folder comes to: `python -m deploy.observability.generate`. A test compares."""

from pathlib import Path

import yaml

from deploy.observability import alertmanager, alerts, metrics_table, prometheus, rules
from deploy.observability.boards import BOARDS
from deploy.observability.grafana import SOURCE, rendered

HERE = Path(__file__).parent
GENERATED = "generated"

_NOTE = "# Written by `python -m deploy.observability.generate`: change the code, not this file.\n"


def files() -> dict[str, str]:
    """Give every generated file's text by its path in this folder."""
    written = {
        f"{GENERATED}/prometheus.yml": _yaml(prometheus.in_containers()),
        f"{GENERATED}/rules/leap.yml": rules_file(),
        f"{GENERATED}/alertmanager.yml": _yaml(alertmanager.configuration()),
        f"{GENERATED}/grafana/datasources/prometheus.yml": _yaml(_datasource()),
        f"{GENERATED}/grafana/dashboards/leap.yml": _yaml(_provider()),
        "METRICS.md": metrics_table.table(metrics_table.listed()),
    }
    for board in BOARDS:
        written[f"{GENERATED}/boards/{board.uid}.json"] = rendered(board)
    return written


def rules_file() -> str:
    """Give recording rules and alerts in one file."""
    return _yaml({"groups": [*rules.recording_groups(), alerts.alert_group()]})


def main() -> None:
    """Write the files that differ and remove those that are no longer made."""
    made = files()
    for path in sorted((HERE / GENERATED).rglob("*")):
        if path.is_file() and str(path.relative_to(HERE)) not in made:
            path.unlink()
    for name, text in made.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _datasource() -> dict[str, object]:
    source = {
        "name": "Prometheus", "uid": SOURCE, "type": "prometheus", "access": "proxy",
        "url": "http://prometheus:9090", "isDefault": True,
    }  # fmt: skip
    return {"apiVersion": 1, "datasources": [source]}


def _provider() -> dict[str, object]:
    provider = {
        "name": "LEAP", "type": "file", "allowUiUpdates": False,
        "options": {"path": "/etc/grafana/boards"},
    }  # fmt: skip
    return {"apiVersion": 1, "providers": [provider]}


class _Dumper(yaml.SafeDumper):
    """Multi-line expressions stay readable."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(content: object) -> str:
    return _NOTE + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=4096, allow_unicode=True)


if __name__ == "__main__":
    main()
