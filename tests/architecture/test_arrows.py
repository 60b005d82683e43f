"""Few arrows, all of them pointing down: the rooms of a house can be understood one floor at a time."""

from pathlib import Path

import pytest

from tests.architecture.arrows import arrows_of, circles, count, described, floors
from tests.architecture.checks import ROOT, python_files

# Each folder whose number of arrows somebody promised; a new arrow is a decision, so raise a bound on purpose.
# The runtime's doors (who may, by which role, over TLS, how fast) stand on what they guard.
MOST_ARROWS = {"services/scheduling": 20, "services/reporting": 18, "services/runtime": 43}

FOLDERS = sorted(
    {
        str(path.parent.relative_to(ROOT))
        for top in ("contracts", "services", "deploy")
        for path in python_files(ROOT / top)
    }
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_rooms_import_each_other_even_late(folder: str) -> None:
    assert circles(arrows_of(ROOT, folder)) == []


@pytest.mark.parametrize("folder", MOST_ARROWS)
def test_a_house_keeps_its_few_arrows(folder: str) -> None:
    arrows = arrows_of(ROOT, folder)
    assert count(arrows) <= MOST_ARROWS[folder], described(ROOT, folder)
    assert floors(arrows)


def test_a_circle_closed_by_a_late_import_is_found(tmp_path: Path) -> None:
    house = tmp_path / "services" / "desk"
    house.mkdir(parents=True)
    (house / "pages.py").write_text("from services.desk import context\n")
    (house / "context.py").write_text("def later() -> None:\n    from services.desk.pages import Pages\n")
    (house / "words.py").write_text("")
    arrows = arrows_of(tmp_path, "services/desk")
    assert circles(arrows) == [["context", "pages"]]
    assert count(arrows) == 2
    with pytest.raises(ValueError, match="import each other"):
        floors(arrows)
