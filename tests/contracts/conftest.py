"""What the tests of the contracts stand on."""

from pathlib import Path

import pytest

from tests.contracts.spoilt import copied_to


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the contracts and migrations that may be spoilt, with nothing in it that is not released."""
    return copied_to(tmp_path / "tree")
