"""What is committed is what the code says."""

import re
from collections.abc import Iterator

import pytest

from deploy.observability import alerts, rules
from deploy.observability.boards import BOARDS
from deploy.observability.generate import HERE, files
from deploy.observability.metrics_table import LABELS, listed
from deploy.observability.panel import Board
from deploy.observability.slo import WINDOWS
from services.runtime.seen.metric import Entry

FILES = files()

# What Prometheus and every Python process tell without us.
FOREIGN_METRICS = {
    "up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
    "process_max_fds",
}  # fmt: skip
FOREIGN_LABELS = {"job", "instance", "le", "slo", "hop", "alertstate", "severity"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_generated_file_is_up_to_date(name: str) -> None:
    path = HERE / name
    assert path.exists(), "run `python -m deploy.observability.generate`"
    assert path.read_text(encoding="utf-8") == FILES[name], "run `python -m deploy.observability.generate`"


def test_nothing_else_lies_among_the_generated_files() -> None:
    lying = {str(path.relative_to(HERE)) for path in (HERE / "generated").rglob("*") if path.is_file()}
    assert lying == {name for name in FILES if name.startswith("generated/")}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_is_a_question_with_a_unit_and_how_to_read_it(board: Board) -> None:
    for panel in board.panels:
        assert panel.question.endswith("?")
        assert panel.reading.endswith(".")
        assert panel.unit
        assert panel.queries


def test_there_are_six_boards() -> None:
    assert [board.title for board in BOARDS] == [
        "Are students being missed?", "Pipeline", "Backlog", "Resources", "One district", "Security",
    ]  # fmt: skip


def test_every_query_asks_for_metrics_and_labels_that_exist() -> None:
    known = {name for entry in listed() for name in exposed_names(entry)} | FOREIGN_METRICS | recorded()
    unknown = {
        (where, name) for where, query in queries() for name in names_in(query) if name not in known
    }  # fmt: skip
    assert unknown == set()
    assert {
        (where, label) for where, query in queries() for label in labels_in(query)
        if label not in LABELS.keys() | FOREIGN_LABELS
    } == set()  # fmt: skip


def test_a_misspelt_metric_or_label_is_found() -> None:
    assert names_in('sum by (group) (rate(leap_recods_in_total{group="x"}[5m]))') == {"leap_recods_in_total"}
    assert labels_in('sum by (grup) (leap_lag_seconds{topik="x"})') == {"grup", "topik"}


def queries() -> Iterator[tuple[str, str]]:
    """Give every query there is, with where it stands."""
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                yield f"{board.uid}: {panel.question}", query.expr
    for alert in alerts.listed():
        yield alert.name, alert.expr
    for record in (*rules.RECORDS, *rules.promise_records(("5m",))):
        yield record.name, record.expr


def recorded() -> set[str]:
    """Name the series that rules record."""
    return {record.name for record in (*rules.RECORDS, *rules.promise_records(WINDOWS))}


def exposed_names(entry: Entry) -> list[str]:
    """Name the series by which a metric is scraped."""
    if entry.kind == "histogram":
        return [f"{entry.name}_bucket", f"{entry.name}_count", f"{entry.name}_sum"]
    return [entry.name]


def names_in(query: str) -> set[str]:
    """Name the metrics of a query: words of ours, or of the few we know not to be ours."""
    bare = re.sub(r'"[^"]*"', '""', query)
    return set(re.findall(r"\b(?:leap[_:][a-z0-9_:]+|ALERTS|up\b|process_\w+)", bare))


def labels_in(query: str) -> set[str]:
    """Name the labels a query matches or groups by."""
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    grouped = [
        label.strip()
        for inside in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", query)
        for label in inside.split(",")
    ]
    return {label for label in (*matched, *grouped) if label}
