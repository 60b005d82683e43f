"""The boards are what Grafana's own types say a dashboard is."""

import json

import pytest

from deploy.observability.board_types import CompilerMissing, mistakes
from deploy.observability.boards import BOARDS
from deploy.observability.grafana import rendered


def compiled(boards: dict[str, str]) -> list[str]:
    try:
        return mistakes(boards)
    except CompilerMissing as missing:
        pytest.skip(str(missing))


def test_every_board_compiles_as_a_dashboard() -> None:
    assert compiled({board.uid: rendered(board) for board in BOARDS}) == []


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    board = json.loads(rendered(BOARDS[0]))
    board["panels"][0]["questoin"] = "?"
    assert any("questoin" in complaint for complaint in compiled({"wrong": json.dumps(board)}))


def test_a_value_that_grafana_does_not_know_is_found() -> None:
    board = json.loads(rendered(BOARDS[0]))
    board["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "relative"
    assert compiled({"wrong": json.dumps(board)}) != []
