"""Alerts fire when a child could be missed, and not on a holiday, at night, or for a quiet district."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.observability.alerts import Alert, listed
from deploy.observability.generate import HERE
from tests.unit.observability.rule_cases import CASES, Case

ALERTS = listed()
RULES = HERE / "generated" / "rules" / "leap.yml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is missing (Debian: prometheus): that alerts fire and keep quiet is not proved",
)


@needs_promtool
def test_the_rules_pass_every_lint() -> None:
    finished = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert finished.returncode == 0, finished.stdout + finished.stderr


@needs_promtool
def test_prometheus_takes_its_configuration() -> None:
    # The rules lie where the containers mount them, not here: the syntax is what can be told.
    finished = promtool("check", "config", "--syntax-only", str(HERE / "generated" / "prometheus.yml"))
    assert finished.returncode == 0, finished.stdout + finished.stderr


@needs_promtool
def test_every_alert_fires_when_it_must_and_only_then(tmp_path: Path) -> None:
    finished = run_cases(CASES, tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@needs_promtool
def test_a_case_that_expects_the_wrong_thing_is_noticed(tmp_path: Path) -> None:
    silent = next(case for case in CASES if case.alert == "DistrictSilent" and not case.fires)
    wrong = Case(
        alert=silent.alert, story="wrong", series=silent.series, fires=({"severity": "ticket", "district": "danbury"},)
    )
    assert run_cases((wrong,), tmp_path).returncode != 0


def test_every_alert_has_a_case_where_it_fires_and_one_where_it_must_not() -> None:
    names = {alert.name for alert in ALERTS}
    assert {case.alert for case in CASES if case.fires} == names
    # The dead man's switch has no quiet case: it must never be quiet.
    assert {case.alert for case in CASES if not case.fires} == names - {"Watchdog"}


@pytest.mark.parametrize("name", sorted({alert.name for alert in ALERTS}))
def test_every_alert_has_a_runbook_that_says_what_to_do(name: str) -> None:
    text = (HERE / "runbooks" / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    for heading in ("## Look", "## Mend", "## Ends when"):
        assert heading in text


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    assert {path.stem for path in (HERE / "runbooks").glob("*.md")} == {alert.name for alert in ALERTS}


def test_every_consumer_of_every_service_is_missed_by_name() -> None:
    missed = {
        (alert.labels["service"], alert.labels["group"], re.findall(r'group="([\w-]+)"', alert.expr)[0])
        for alert in ALERTS
        if alert.name == "ConsumerAbsent" and alert.labels
    }
    written = {
        (app.parent.name, group, group)
        for app in (HERE.parents[1] / "services").glob("*/app.py")
        for group in re.findall(r'Subscription\(\s*group="([\w-]+)"', app.read_text(encoding="utf-8"))
    }
    assert missed == written
    assert len(missed) >= 6


def promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)


def run_cases(cases: tuple[Case, ...], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Let promtool play the cases; JSON is YAML to it."""
    written = folder / "cases.yml"
    written.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [_test(case) for case in cases]})
    )
    return promtool("test", "rules", str(written))


def _test(case: Case) -> dict[str, Any]:
    return {
        "name": f"{case.alert}: {case.story}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [
            {
                "eval_time": case.at,
                "alertname": case.alert,
                "exp_alerts": [
                    {"exp_labels": dict(labels), "exp_annotations": _annotations(case.alert, dict(labels))}
                    for labels in case.fires
                ],
            }
        ],
    }


def _annotations(name: str, labels: dict[str, str]) -> dict[str, str]:
    alert: Alert = next(
        each
        for each in ALERTS
        if each.name == name and each.severity == labels["severity"] and (each.labels or {}).items() <= labels.items()
    )
    annotations = alert.as_rule()["annotations"]
    assert isinstance(annotations, dict)
    return {
        key: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text) for key, text in annotations.items()
    }
