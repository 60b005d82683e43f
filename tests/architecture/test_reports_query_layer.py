"""No way around the query layer: what leaves reporting was made by it, and so suppressed or a district's own."""

from pathlib import Path

import pytest

from tests.architecture.checks import ROOT, imported_by, python_files, reaches

REPORTING = ROOT / "services" / "reporting"

# Who writes the projections, who publishes from them, who measures and rebuilds them. Nobody who answers a reader.
MAY_TOUCH_THE_STORE = ("store", "reports", "handlers.py", "metrics.py", "rebuild", "rebuild.py")


def ways_around(folder: Path) -> list[str]:
    """Name each file of the service that reads the store, or the database, past the query layer."""
    found = []
    for path in python_files(folder):
        own = path.relative_to(folder).parts[0]
        if own not in MAY_TOUCH_THE_STORE:
            wanted = [name for name in ("services.reporting.store", "asyncpg") if reaches(imported_by(path), name)]
            found += [f"{path.relative_to(folder)}: imports {name}" for name in wanted]
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(folder)}: says {word}" for word in (".connection", ".pool") if word in text]
    return found


def test_only_the_query_layer_reads_the_projections_for_readers() -> None:
    assert ways_around(REPORTING) == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("api/x.py", "from services.reporting.store import queries", "api/x.py: imports services.reporting.store"),
        ("pages/x.py", "import services.reporting.store.queries", "pages/x.py: imports services.reporting.store"),
        ("figures.py", "import asyncpg", "figures.py: imports asyncpg"),
        ("pages/y.py", "rows = tx.connection.fetch('SELECT 1')", "pages/y.py: says .connection"),
    ],
)
def test_a_way_around_is_found(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    assert complaint in ways_around(tmp_path)
