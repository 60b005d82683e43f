"""Every metric is in the list, and no label can grow without bound or name somebody."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deploy.observability.metrics_table import LABELS, listed
from services.runtime.seen.metric import Entry, Snapshot, WeightedHistogram, counter

SERVICES = Path(__file__).parents[3] / "services"
MAY_USE_THE_CLIENT = {"metric.py", "operations.py"}


def unlisted(scraped: str, entries: list[Entry]) -> set[str]:
    """Name what is scraped under our prefix and not in the list."""
    families = {family.name for family in text_string_to_metric_families(scraped) if family.name.startswith("leap_")}
    return families - {entry.name.removesuffix("_total") for entry in entries}


def strange_labels(entries: list[Entry]) -> set[tuple[str, str]]:
    """Name each label that nothing bounds."""
    return {(entry.name, label) for entry in entries for label in entry.labels if label not in LABELS}


def test_everything_that_is_scraped_is_listed() -> None:
    entries = listed()
    assert unlisted(generate_latest(REGISTRY).decode(), entries) == set()
    assert len({entry.name for entry in entries}) == len(entries) >= 30


def test_a_metric_outside_the_list_is_found() -> None:
    registry = CollectorRegistry()
    Gauge("leap_smuggled", "not listed", registry=registry)
    assert unlisted(generate_latest(registry).decode(), listed()) == {"leap_smuggled"}


def test_labels_are_closed() -> None:
    assert strange_labels(listed()) == set()
    assert not {"student", "student_key", "school", "event", "event_id", "person", "household"} & LABELS.keys()


def test_a_label_outside_the_closed_list_is_found() -> None:
    wrong = Entry(name="leap_x", kind="gauge", labels=("school",), meaning="x")
    assert strange_labels([wrong]) == {("leap_x", "school")}


@pytest.mark.parametrize("name", ["records_in_total", "leap_records_in"])
def test_a_counter_carries_prefix_and_unit(name: str) -> None:
    with pytest.raises(ValueError, match="begins with leap_"):
        counter(name, "x")


def test_nobody_makes_a_metric_past_the_list() -> None:
    found = [
        str(path.relative_to(SERVICES))
        for path in SERVICES.rglob("*.py")
        if path.name not in MAY_USE_THE_CLIENT and "prometheus_client" in imported(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_thousand_records_of_one_age_are_one_observation() -> None:
    ages = WeightedHistogram("leap_age", "x", ["group"], (1, 900))
    ages.observe("a", value=0.5, times=1000)
    ages.observe("a", value=900.0, times=2)
    ages.observe("a", value=901.0)

    (shown,) = ages.collect()
    buckets = {sample.labels["le"]: sample.value for sample in shown.samples if sample.name == "leap_age_bucket"}
    assert buckets == {"1.0": 1000, "900.0": 1002, "+Inf": 1003}
    assert [sample.value for sample in shown.samples if sample.name == "leap_age_sum"] == [500 + 1800 + 901]


def test_what_is_gone_is_no_longer_shown() -> None:
    kept = Snapshot("gauge", "leap_kept", "x", ["reason"])
    kept.replace({("old",): 3})
    kept.replace({("new",): 1})
    (shown,) = kept.collect()
    assert [(sample.labels, sample.value) for sample in shown.samples] == [({"reason": "new"}, 1)]


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing (Debian: prometheus): names of metrics are not linted"
)
def test_promtool_finds_no_fault_with_the_names() -> None:
    assert linted(exposed(listed())) == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: prometheus)")
def test_a_name_with_a_foreign_unit_is_found() -> None:
    wrong = Entry(name="leap_late_days", kind="gauge", labels=("district",), meaning="x")
    assert [line.split()[0] for line in linted(exposed([wrong]))] == ["leap_late_days"]


def exposed(entries: list[Entry]) -> str:
    """Write one sample of each metric: promtool passes over a name that has none, and who has one depends on chance."""
    lines = []
    for entry in entries:
        lines += [f"# HELP {entry.name} {entry.meaning}", f"# TYPE {entry.name} {entry.kind}"]
        labels = [f'{label}="x"' for label in entry.labels]
        samples = [(entry.name, labels)]
        if entry.kind == "histogram":
            bucket = (f"{entry.name}_bucket", [*labels, 'le="+Inf"'])
            samples = [bucket, (f"{entry.name}_sum", labels), (f"{entry.name}_count", labels)]
        lines += [f"{name}{{{','.join(given)}}} 1" for name, given in samples]
    return "\n".join(lines) + "\n"


def linted(text: str) -> list[str]:
    """Return what promtool says of metrics of ours."""
    finished = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    said = (finished.stdout + finished.stderr).decode()
    assert "error while linting" not in said, said
    return [line for line in said.splitlines() if line.startswith("leap_")]


def imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names
