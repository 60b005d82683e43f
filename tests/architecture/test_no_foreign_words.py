"""What the tree may not say, and what the services may not tell."""

from pathlib import Path

import pytest

from tests.architecture import checks
from tests.architecture.checks import ROOT

SERVICE_FILES = checks.python_files(ROOT / "services")


def test_the_tree_names_no_registry_host() -> None:
    assert checks.foreign_words(checks.texts_of_the_tree(ROOT)) == []


@pytest.mark.parametrize("path", SERVICE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_service_prints_nothing_and_logs_no_payload(path: Path) -> None:
    assert checks.talkative(path) == []
